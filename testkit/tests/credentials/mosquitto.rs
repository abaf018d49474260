//! mosquitto with a password file: right, wrong, and changed while it runs.

use std::sync::atomic::{AtomicBool, Ordering};

use homing::{Publish, QoS, ReasonCode, TopicName, Version};
use homing_testkit::mosquitto::{Inflight, Mosquitto};

use super::*;

/// A broker that knows `home` by this password only.
fn broker(folder: &Path, password: &str) -> Mosquitto {
    let file = folder.join("passwords");
    Mosquitto::write_password(&file, "home", password);
    Mosquitto::start_with(Inflight::Default, &format!("allow_anonymous false\npassword_file {}\n", file.display()))
}

fn password(text: &str) -> Credentials {
    Credentials::new("home", Some(text.as_bytes().to_vec()))
}

#[test]
fn the_right_password_static_and_from_a_provider_in_both_versions() {
    for version in [Version::V311, Version::V5] {
        let folder = tempfile::tempdir().unwrap();
        let broker = broker(folder.path(), "right");
        let sources = [password("right").into(), Script::new(|_, _| Ok(password("right"))).into()];
        for (number, source) in sources.into_iter().enumerate() {
            let mut options = Options::new(folder.path().join(format!("{number}.db")));
            options.broker = Some(BrokerUrl::parse(&broker.url()).unwrap());
            options.credentials = Some(source);
            options.version = version;
            run(async {
                let client = Homing::open(options).await.unwrap();
                let topic = TopicName::new("a").unwrap();
                let id = client.publish(Publish::new(topic, "x").qos(QoS::ExactlyOnce)).await.unwrap();
                let fate = tokio::time::timeout(PATIENCE, client.settled(id)).await.unwrap().unwrap();
                assert!(matches!(fate, homing::Fate::Delivered { .. }), "{fate:?}");
                client.close(PATIENCE).await.unwrap();
            });
        }
    }
}

#[test]
fn a_wrong_password_waits_with_an_event_until_the_app_has_another() {
    let folder = tempfile::tempdir().unwrap();
    let broker = broker(folder.path(), "right");
    let known = Arc::new(AtomicBool::new(false));
    let (theirs, url) = (Arc::clone(&known), broker.url());
    let provider = Script::new(move |_, _| Ok(password(if theirs.load(Ordering::SeqCst) { "right" } else { "wrong" })));
    run(async {
        let (client, mut events) = open(folder.path(), &url, Arc::clone(&provider)).await;
        let reason = match told(&mut events).await {
            CredentialsEvent::Refused { reason, retry_in_ms: 300_000 } => reason,
            other => panic!("{other:?}"),
        };
        assert!(matches!(reason, ReasonCode::NotAuthorized | ReasonCode::BadUserNameOrPassword), "{reason}");
        known.store(true, Ordering::SeqCst);
        client.credentials_changed().await.unwrap();
        online(&mut events).await;
        assert_eq!(provider.whys(), [WhyAsked::First, WhyAsked::Refused(reason)]);
        let asked = provider.asked.lock().unwrap()[0].clone();
        assert_eq!((asked.host.as_str(), asked.port), ("127.0.0.1", broker.port()));
        client.close(PATIENCE).await.unwrap();
    });
}

#[test]
fn a_password_changed_while_it_runs_is_asked_for_with_the_brokers_reason() {
    let folder = tempfile::tempdir().unwrap();
    let broker = broker(folder.path(), "old");
    let url = broker.url();
    let provider = Script::new(|_, why| match why {
        WhyAsked::First => Ok(password("old")),
        _ => Ok(password("new")),
    });
    run(async {
        let (client, mut events) = open(folder.path(), &url, Arc::clone(&provider)).await;
        online(&mut events).await;
        Mosquitto::write_password(&folder.path().join("passwords"), "home", "new");
        broker.reload();
        // The link is ended for its old password; the app's word makes the next attempt come at once.
        until(&mut events, "wait", |event| matches!(event, Event::State(State::Waiting { .. })).then_some(())).await;
        client.credentials_changed().await.unwrap();
        online(&mut events).await;
        client.publish(Publish::new(TopicName::new("a").unwrap(), "x")).await.unwrap();
        assert!(client.flush(PATIENCE).await.unwrap());
        let whys = provider.whys();
        assert!(whys.len() == 2 && whys[1] != WhyAsked::First, "{whys:?}");
        client.close(PATIENCE).await.unwrap();
    });
}

#[test]
fn a_provider_that_fails_and_panics_costs_attempts_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let broker = broker(folder.path(), "right");
    let url = broker.url();
    let provider = Script::new(|number, _| match number {
        0 => Err(CredentialsError::Unavailable("no network")),
        1 => panic!("a provider with a fault"),
        _ => Ok(password("right")),
    });
    run(async {
        let (client, mut events) = open(folder.path(), &url, Arc::clone(&provider)).await;
        let first = CredentialsEvent::Failed(CredentialsError::Unavailable("no network"));
        assert_eq!(told(&mut events).await, first);
        assert_eq!(told(&mut events).await, CredentialsEvent::Failed(CredentialsError::Panicked));
        online(&mut events).await;
        assert_eq!(provider.whys(), [WhyAsked::First; 3], "none had been sent");
        assert_eq!(client.metrics().link_attempts, 3);
        client.close(PATIENCE).await.unwrap();
    });
}
