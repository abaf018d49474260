//! Tokens that expire during the session, with a scripted broker that sees what each CONNECT brings.

use std::time::SystemTime;

use homing::wire::packet::{Connect, Disconnect, Packet};
use homing::{Publish, QoS, ReasonCode, TopicName};
use homing_testkit::script_broker::{Peer, ScriptBroker, connack, pubcomp, pubrec};

use super::*;

/// Tokens `token 0`, `token 1` and so on, each good for so long.
fn tokens(life: Duration) -> Arc<Script> {
    Script::new(move |number, _| {
        let token = format!("token {number}").into_bytes();
        Ok(Credentials::new("home", Some(token)).until(SystemTime::now() + life))
    })
}

fn token(connect: &Connect) -> String {
    let password = connect.credentials.as_ref().and_then(|own| own.password.clone());
    String::from_utf8(password.expect("a password")).unwrap()
}

fn accept(broker: &ScriptBroker, session_present: bool) -> (Peer, Connect) {
    let mut peer = broker.accept();
    let connect = peer.connect();
    peer.send(&connack(session_present, ReasonCode::Success, Default::default()));
    (peer, connect)
}

#[test]
fn before_a_token_expires_a_new_link_brings_the_next_one_and_qos_2_resumes() {
    let folder = tempfile::tempdir().unwrap();
    let broker = ScriptBroker::listen();
    let provider = tokens(Duration::from_secs(6));
    let (theirs, url, path) = (Arc::clone(&provider), broker.url(), folder.path().to_owned());
    let app = std::thread::spawn(move || {
        run(async {
            let (client, mut events) = open(&path, &url, theirs).await;
            online(&mut events).await;
            let topic = TopicName::new("a").unwrap();
            let id = client.publish(Publish::new(topic, "x").qos(QoS::ExactlyOnce)).await.unwrap();
            assert_eq!(told(&mut events).await, CredentialsEvent::Refreshed { in_place: false });
            let fate = tokio::time::timeout(PATIENCE, client.settled(id)).await.unwrap().unwrap();
            assert!(matches!(fate, homing::Fate::Delivered { maybe_twice: false, .. }), "{fate:?}");
            client.close(PATIENCE).await.unwrap();
        });
    });
    let (mut peer, connect) = accept(&broker, false);
    assert_eq!(token(&connect), "token 0");
    let first = peer.publish();
    assert_eq!(peer.closed_with(), Some(ReasonCode::Success), "in order, though the message is not finished");
    let (mut peer, connect) = accept(&broker, true);
    assert_eq!((token(&connect).as_str(), connect.clean_start), ("token 1", false));
    let again = peer.publish();
    assert_eq!((again.pid, again.dup, first.dup), (first.pid, true, false));
    peer.send(&pubrec(again.pid));
    assert!(matches!(peer.packet(), Packet::PubRel(_)));
    peer.send(&pubcomp(again.pid));
    peer.closed();
    app.join().unwrap();
    assert_eq!(provider.whys(), [WhyAsked::First, WhyAsked::Expired], "asked once a CONNECT");
}

#[test]
fn a_broker_that_ends_the_link_at_the_expiry_is_tried_soon_with_the_next_token() {
    let folder = tempfile::tempdir().unwrap();
    let broker = ScriptBroker::listen();
    let provider = tokens(Duration::from_secs(1));
    let (theirs, url, path) = (Arc::clone(&provider), broker.url(), folder.path().to_owned());
    let (done, until_done) = std::sync::mpsc::channel::<()>();
    let app = std::thread::spawn(move || {
        run(async {
            let (client, mut events) = open(&path, &url, theirs).await;
            online(&mut events).await;
            let soon = match told(&mut events).await {
                CredentialsEvent::Refused { reason: ReasonCode::NotAuthorized, retry_in_ms } => retry_in_ms,
                other => panic!("{other:?}"),
            };
            assert!(soon <= 1_000, "{soon}");
            online(&mut events).await;
            client.close(PATIENCE).await.unwrap();
            done.send(()).unwrap();
        });
    });
    let (mut peer, connect) = accept(&broker, false);
    assert_eq!(token(&connect), "token 0");
    // The time of the token is over; a real broker looks at the same clock.
    std::thread::sleep(Duration::from_millis(1_050));
    peer.send(&Packet::Disconnect(Disconnect::new(ReasonCode::NotAuthorized)));
    peer.closed();
    let (_peer, connect) = accept(&broker, true);
    assert_eq!(token(&connect), "token 1");
    until_done.recv_timeout(PATIENCE).unwrap();
    app.join().unwrap();
    assert_eq!(provider.whys(), [WhyAsked::First, WhyAsked::Refused(ReasonCode::NotAuthorized)]);
}
