//! Azure Event Grid: tokens that are renewed on the standing link, and certificates.

use homing_testkit::service::event_grid::{Clients, EventGrid, token};
use homing_testkit::service::now_s;

use super::*;

const KEY: &[u8] = b"the key of an issuer";
const CONFIG: &str = "profile = 'azure'\n[azure]\nservice = 'event-grid'\nhost = 'ns.example'\nclient_id = 'phone'\n";

fn namespace(clients: Clients, config: &str) -> Stage {
    Stage::new(EventGrid { client_id: "phone", clients }, config)
}

#[test]
fn a_token_of_each_kind_opens_it_and_none_is_said() {
    for (method, kind) in [("CUSTOM-JWT", ""), ("OAUTH2-JWT", "auth = 'entra-jwt'\n")] {
        let token = token(KEY, now_s() + 3600);
        let config = format!("{CONFIG}{kind}token = '{token}'\n");
        let stage = namespace(Clients::Tokens(method, KEY), &config).behind("mqtts", Stage::tls);
        let parts: Vec<&str> = token.split('.').collect();
        stage.keeps_secret(&[&token, parts[2]], &["pub", "home/light", "on"]);
        stage.service.is_content();
    }
}

#[test]
fn a_file_that_is_kept_fresh_renews_the_token_on_the_standing_link() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    // Others are asked for a tenth of its life before it is over, not within 5 s of the last question.
    std::fs::write(&file, token(KEY, now_s() + 9)).unwrap();
    let config = format!("{CONFIG}token_file = '{}'\n", file.display());
    let stage = namespace(Clients::Tokens("CUSTOM-JWT", KEY), &config).behind("mqtts", Stage::tls);
    let mut pipe = stage.homing.pipe(["home/#", "--auto-done"]);
    pipe.subscribed("home/#", PATIENCE);
    std::fs::write(&file, format!("{}\n", token(KEY, now_s() + 3600))).unwrap();
    stage.service.until("renewal", PATIENCE, |seen| seen.renewed == 1);
    pipe.publish("a", "home/light", "on", 1);
    delivered(&mut pipe, 1);
    stage.service.deliver("home/light", "off");
    assert_eq!(message(&mut pipe), "off");
    stage.service.is_content();
    stage.service.seen(|seen| assert_eq!((seen.connects.len(), seen.expired), (1, 0), "the link stood"));
}

#[test]
fn a_token_that_nobody_renews_ends_the_link_and_the_next_one_opens_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    // Long enough for a slow machine to come to CONNECT.
    std::fs::write(&file, token(KEY, now_s() + 10)).unwrap();
    let config = format!("{CONFIG}token_file = '{}'\n", file.display());
    let stage = namespace(Clients::Tokens("CUSTOM-JWT", KEY), &config).behind("mqtts", Stage::tls);
    let mut pipe = stage.homing.pipe([""; 0]);
    pipe.connected(PATIENCE);
    stage.service.until("end by the service", PATIENCE, |seen| seen.expired == 1);
    pipe.publish("a", "home/light", "on", 1);
    std::fs::write(&file, token(KEY, now_s() + 3600)).unwrap();
    assert!(pipe.connected(PATIENCE));
    delivered(&mut pipe, 1);
    // The first attempt behind the end may still have found the old one.
    stage.service.seen(|seen| assert!(seen.faults.iter().all(|fault| fault.contains("the token is over")), "{seen:?}"));
}

#[test]
fn a_certificate_opens_it_with_the_clients_name() {
    let config = format!("{CONFIG}auth = 'x509'\nuser = 'phone-authn'\n");
    let stage = namespace(Clients::Certificate("phone-authn"), &config)
        .behind("mqtts", |stage| Wanted { clients: Some(stage.authority.file.clone()), ..stage.tls() });
    let held = stage.authority.client("phone", &Wrong::default());
    let homing = stage.homing.clone().flag("--tls-cert", held.chain.display());
    let homing = homing.flag("--tls-key", held.key.display());
    let output = homing.run(["pub", "home/light", "on", "--wait", "delivered"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    stage.service.is_content();
}

#[test]
fn without_token_or_certificate_it_is_refused_at_the_opening() {
    let stage = namespace(Clients::Certificate("phone"), CONFIG);
    let run = |config: &str, arguments: &[&str]| {
        std::fs::write(stage.folder.path().join("homing.toml"), config).unwrap();
        let output = stage.homing.run(arguments);
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (status, said) = run(CONFIG, &["pub", "a", "b"]);
    assert!(status == Some(2) && said.contains("azure profile: token is missing"), "{said}");
    let (status, said) = run(&format!("{CONFIG}auth = 'x509'\n"), &["pub", "a", "b"]);
    assert!(status == Some(1) && said.contains("Azure Event Grid wants a token"), "{said}");
    let (status, said) = run(&format!("{CONFIG}token = 't'\n"), &["pub", "a", "b", "--mqtt", "3"]);
    assert!(status == Some(1) && said.contains("speaks MQTT 5 with this profile"), "{said}");
    let (status, said) = run(&format!("user = 'u'\npassword = 'p'\n{CONFIG}token = 't'\n"), &["pub", "a", "b"]);
    assert!(status == Some(2) && said.contains("exclude each other"), "{said}");
    assert!(!stage.store().exists());
}
