//! Configuration files: every key, precedence, and errors that never quote a secret.
use std::time::Duration;

use homing::CredentialsSource;

use super::*;

fn merged(text: &str) -> Result<Common, Failure> {
    let mut common = Common::default();
    common.merge(Path::new("c.toml"), text).map(|()| common)
}

fn given(options: &Options) -> Option<&Credentials> {
    match &options.credentials {
        Some(CredentialsSource::Static(credentials)) => Some(credentials),
        _ => None,
    }
}

fn problem(text: &str) -> String {
    match merged(text).err() {
        Some(Failure::Usage(problem)) => problem,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_key_is_taken() {
    let common = merged(
        "store = 'a.db'\nbroker = 'mqtt://h'\nclient-id = 'c'\nmqtt = 5\nkeep-alive = '10s'\nsession-expiry = '1h'\n\
         durability = 'process-kill'\ninflight = 7\ninflight-qos2 = 3\nretention = '1d'\noutbox-limit = '5,1MiB'\n\
         inbox-limit = '6,2MiB'\nuser = 'u'\npassword = 'p'\n\
         proxy = 'socks5h://a:b@p'\n[websocket-headers]\nAuthorization = 'Bearer t'",
    )
    .unwrap();
    let options = common.options().unwrap();
    assert_eq!(options.store, Path::new("a.db"));
    assert!(given(&options) == Some(&Credentials::new("u", Some(b"p".to_vec()))));
    assert_eq!(options.broker.unwrap().to_string(), "mqtt://h:1883");
    assert_eq!(options.client_id.unwrap().as_str(), "c");
    assert_eq!(options.version, homing::Version::V5);
    assert_eq!((options.keep_alive, options.session_expiry), (Duration::from_secs(10), Duration::from_secs(3600)));
    assert_eq!(options.durability, homing::Durability::ProcessKill);
    assert_eq!((options.inflight, options.inflight_qos2), (7, 3));
    assert_eq!((options.outbox_limit.messages, options.inbox_limit.bytes), (5, 2 << 20));
    assert_eq!(options.proxy, Proxy::Url(ProxyUrl::parse("socks5h://a:b@p:1080").unwrap()));
    assert_eq!(options.websocket_headers, [HttpHeader::new("Authorization", "Bearer t").unwrap()]);
}

#[test]
fn flags_go_before_the_file_and_the_url_before_user() {
    let mut common = Common { broker: vec!["mqtt://a:b@h".to_owned()], inflight: Some(1), ..Common::default() };
    common.merge(Path::new("c.toml"), "inflight = 2\nbroker = 'mqtt://other'\nuser = 'u'").unwrap();
    let options = common.options().unwrap();
    assert_eq!(options.inflight, 1);
    let broker = options.broker.unwrap();
    assert_eq!(broker.host(), "h");
    assert!(broker.credentials() == Some(&Credentials::new("a", Some(b"b".to_vec()))));
}

#[test]
fn what_the_file_has_for_its_brokers_goes_to_no_other_host() {
    let file = "broker = ['mqtts://home.example', 'mqtts://10.0.0.7:1']\nuser = 'u'\npassword = 'sesame'\n";
    let with = |broker: &str, text: &str| {
        let mut common = Common { broker: vec![broker.to_owned()], ..Common::default() };
        common.merge(Path::new("c.toml"), text).unwrap();
        common.options()
    };
    for same in ["mqtts://HOME.example:7", "wss://10.0.0.7/mqtt", "mqtt://me:mine@other.example"] {
        assert!(given(&with(same, file).unwrap()).is_some(), "{same}");
    }
    let refused = |broker: &str, text: &str| match with(broker, text) {
        Err(Failure::Usage(problem)) => problem,
        other => panic!("{broker}: {:?}", other.map(|_| ())),
    };
    // The first one would show in the clear what was meant for TLS.
    for other in [
        "mqtt://home.example",
        "mqtts://other.example",
        "mqtts://home.example mqtts://other.example",
        "mqtt://localhost",
    ] {
        let problem = refused(other, file);
        assert!(problem.contains("user and password in c.toml are for the brokers in it"), "{problem}");
        assert!(!problem.contains("sesame"), "{problem}");
    }
    let headers = "broker = 'wss://home.example'\n[websocket-headers]\nAuthorization = 'Bearer sesame'\n";
    assert!(refused("wss://other.example", headers).contains("the WebSocket headers in c.toml"));
    let both = format!("user = 'u'\n{headers}");
    assert!(refused("wss://me:mine@other.example", &both).contains("the WebSocket headers in c.toml"));
    assert!(with("mqtts://other.example", headers).is_ok(), "no header goes there");
    let here = "broker = 'mqtt://localhost:1'\nuser = 'u'\n";
    assert!(with("mqtt://127.0.0.1:2", here).is_ok(), "the same machine");
    assert!(with("mqtt://other.example", "user = 'u'\n").is_ok(), "the file names no broker");
}

#[test]
fn the_files_proxy_can_be_undone() {
    for (flag, expected) in [
        (None, Proxy::Url(ProxyUrl::parse("http://proxy:3128").unwrap())),
        (Some("none"), Proxy::Direct),
        (Some("system"), Proxy::System),
    ] {
        let mut common = Common { proxy: flag.map(str::to_owned), ..Common::default() };
        common.merge(Path::new("c.toml"), "proxy = 'http://proxy:3128'").unwrap();
        assert_eq!(common.options().unwrap().proxy, expected, "{flag:?}");
    }
    assert_eq!(merged("proxy = 'none'").unwrap().options().unwrap().proxy, Proxy::Direct);
}

#[test]
fn a_broker_has_several_addresses_in_order() {
    let addresses = |common: Common| {
        let options = common.options().unwrap();
        options.broker.iter().chain(&options.other_addresses).map(ToString::to_string).collect::<Vec<_>>()
    };
    let expected = ["mqtt://a:1883", "mqtt://b:1883", "mqtt://c:7"];
    let flags = ["mqtt://a", "mqtt://b", "mqtt://c:7"].map(str::to_owned).to_vec();
    assert_eq!(addresses(Common { broker: flags, ..Common::default() }), expected);
    let variable = vec!["mqtt://a  mqtt://b\n\tmqtt://c:7 ".to_owned()];
    assert_eq!(addresses(Common { broker: variable, ..Common::default() }), expected);
    assert_eq!(addresses(merged("broker = ['mqtt://a', 'mqtt://b', 'mqtt://c:7']").unwrap()), expected);
    assert!(problem("broker = ['mqtt://a', 7]").contains("broker: must be text, or a list of texts"));
}

#[test]
fn errors_name_the_key_and_never_quote_a_secret() {
    assert!(problem("colour = 1").contains("colour: is not a key"));
    assert!(problem("inflight = 0").contains("between 1 and 65535"));
    assert!(problem("keep-alive = true").contains("keep-alive: must be text"));
    assert!(problem("password = 'x'").contains("password without user"));
    let text = problem("user = 'u'\npassword = sesame sesame");
    assert!(text.contains("line 2") && !text.contains("sesame"), "{text}");
    let text = problem("[websocket-headers]\nAuthorization = ' sesame'");
    assert!(text.contains("Authorization") && !text.contains("sesame"), "{text}");
    for (broker, proxy) in [("mqtt://u:sesame@", None), ("mqtt://h", Some("ftp://u:sesame@p:1"))] {
        let proxy = proxy.map(str::to_owned);
        let common = Common { broker: vec![broker.to_owned()], proxy, ..Common::default() };
        assert!(matches!(common.options(), Err(Failure::Usage(text)) if !text.contains("sesame")));
    }
}

#[test]
fn client_ids_never_share_a_file() {
    assert_eq!(file_name("phone-1_a"), "phone-1_a");
    assert_eq!(file_name("A/ä"), "%41%2f%c3%a4");
}
