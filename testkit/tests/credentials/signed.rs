//! Credentials that are not in CONNECT: a URL that AWS's profile signs for each link, and those of a proxy.

use std::sync::atomic::{AtomicU32, Ordering};

use homing::{Aws, AwsKeySource, AwsKeys, Profile, Proxy, ProxyUrl, Why};
use homing_testkit::mosquitto::{Inflight, Mosquitto};
use homing_testkit::way::{RealProxy, mosquitto_with_websocket};

use super::*;

#[test]
fn a_signed_link_asks_for_its_keys_once_also_when_the_app_has_others() {
    let folder = tempfile::tempdir().unwrap();
    let (broker, url) = mosquitto_with_websocket();
    let asked = std::sync::Arc::new(AtomicU32::new(0));
    let counted = std::sync::Arc::clone(&asked);
    let keys = AwsKeySource::new(move || {
        counted.fetch_add(1, Ordering::SeqCst);
        std::future::ready(
            AwsKeys::new("AKIDEXAMPLE", "secret", None).map_err(|_| CredentialsError::Unavailable("keys")),
        )
    });
    let mut options = Options::new(folder.path().join("store.db"));
    options.broker = Some(BrokerUrl::parse(&url).unwrap());
    options.client_id = Some(ClientId::new("home").unwrap());
    options.profile = Profile::Aws(Aws::sigv4("x.iot.eu-west-1.amazonaws.com", None, keys).unwrap());
    options.connect = false;
    run(async {
        let client = Homing::open(options).await.unwrap();
        let mut events = client.events();
        client.connect().await.unwrap();
        online(&mut events).await;
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        client.credentials_changed().await.unwrap();
        assert_eq!(told(&mut events).await, CredentialsEvent::Refreshed { in_place: false });
        assert_eq!(asked.load(Ordering::SeqCst), 2, "once for the second link");
        // A link after that is signed anew.
        client.disconnect(homing::Farewell::KeepSession).await.unwrap();
        client.connect().await.unwrap();
        online(&mut events).await;
        assert_eq!(asked.load(Ordering::SeqCst), 3);
        client.close(PATIENCE).await.unwrap();
    });
    drop(broker);
}

#[test]
fn what_a_proxy_refuses_are_its_own_credentials_not_the_brokers() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Mosquitto::start(Inflight::Default);
    for proxy in [RealProxy::http(Some(("user", "right")), None), RealProxy::socks("socks5h", Some(("user", "right")))]
    {
        let provider = Script::new(|_, _| Ok(Credentials::new("home", Some(b"token".to_vec()))));
        let mut options = Options::new(folder.path().join(format!("{}.db", proxy.url(None).len())));
        options.broker = Some(BrokerUrl::parse(&broker.url()).unwrap());
        options.proxy = Proxy::Url(ProxyUrl::parse(&proxy.url(Some(("user", "wrong")))).unwrap());
        options.credentials = Some(Arc::clone(&provider).into());
        options.connect = false;
        run(async {
            let client = Homing::open(options).await.unwrap();
            let mut events = client.events();
            client.connect().await.unwrap();
            for _ in 0..2 {
                let mut blamed = false;
                let (wait, why) = until(&mut events, "end of the attempt", |event| match event {
                    Event::Credentials(_) => {
                        blamed = true;
                        None
                    }
                    Event::State(State::Waiting { retry_in_ms, why }) => Some((*retry_in_ms, why.clone())),
                    _ => None,
                })
                .await;
                assert!(matches!(&why, Why::ProxyRefused(_)), "{why:?}");
                assert!(why.to_string().starts_with("credentials refused: proxy "), "{why}");
                assert!(wait > 290_000, "an account may be locked: {wait}");
                assert!(!blamed, "the app would sign its user out");
                client.connect().await.unwrap();
            }
            client.close(PATIENCE).await.unwrap();
        });
        assert!(provider.whys().iter().all(|why| *why == WhyAsked::First), "{:?}", provider.whys());
    }
}
