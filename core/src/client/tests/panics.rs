//! A panic in the driver: what stands in the store outlives it, and a message that is at hand at two of them is set aside.

use std::time::Duration;

use super::driver::{broker, connack, on, options, run};
use crate::model::error::{Error, PublishError};
use crate::model::event::Event;
use crate::model::message::Publish;
use crate::model::reason::ReasonCode;
use crate::model::topic::TopicName;
use crate::wire::packet::{Ack, ConnAck, ConnAckProperties, Packet};
use crate::{Fate, Homing};

const PARKED: Fate = Fate::Parked(ReasonCode::ImplementationSpecificError);

fn accepts(packet: Packet, link: usize) -> Vec<Packet> {
    let session_present = link > 0;
    let ack = ConnAck { session_present, reason: ReasonCode::Success, properties: ConnAckProperties::default() };
    match packet {
        Packet::Connect(_) if session_present => vec![Packet::ConnAck(Box::new(ack))],
        Packet::Connect(_) => vec![connack(ReasonCode::Success)],
        Packet::Publish(publish) => vec![Packet::PubAck(Ack::ok(publish.pid))],
        _ => Vec::new(),
    }
}

/// Published and parked by two panics, while others go through.
fn parks(topic: &'static str) {
    run(async move {
        let folder = tempfile::tempdir().unwrap();
        let (address, _thread) = broker(9, |link, packet| accepts(packet, link));
        let mut options = options(folder.path(), address);
        options.connect = false;
        let client = Homing::open(options).await.unwrap();
        let mut events = client.events();
        let before = client.publish(on()).await.unwrap();
        let bad = client.publish(Publish::new(TopicName::new(topic).unwrap(), "secret")).await.unwrap();
        let behind = client.publish(on()).await.unwrap();
        client.connect().await.unwrap();
        assert_eq!(client.settled(behind).await, Ok(Fate::DELIVERED));
        assert_eq!((client.fate(before).await, client.fate(bad).await), (Ok(Fate::DELIVERED), Ok(PARKED)));
        let (mut panics, mut poison) = (0, 0);
        while let Ok(Some(event)) = tokio::time::timeout(Duration::from_millis(100), events.next()).await {
            if let Event::Warning { code, text } = event {
                panics += usize::from(code == "internal_error");
                poison += usize::from(code == "poison");
                assert!(!text.contains("secret"), "P12");
            }
        }
        assert_eq!((panics, poison), (2, 1));
        client.close(Duration::from_secs(5)).await.unwrap();
    });
}

#[test]
fn two_panics_while_a_row_is_decided_on_park_it() {
    parks(crate::session::outbound::PANICS);
}

#[test]
fn two_panics_while_a_packet_is_encoded_park_its_row() {
    parks(crate::client::driver::PANICS);
}

#[test]
fn a_publish_that_meets_a_panic_is_undecided_and_the_client_goes_on() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let (address, _thread) = broker(9, |link, packet| accepts(packet, link));
        let client = Homing::open(options(folder.path(), address)).await.unwrap();
        let first = client.publish(on()).await.unwrap();
        assert_eq!(client.settled(first).await, Ok(Fate::DELIVERED));
        // It is taken, decided on and lost in one turn.
        let bad = Publish::new(TopicName::new(crate::session::outbound::PANICS).unwrap(), "x");
        assert_eq!(client.publish(bad).await, Err(PublishError::Unknown));
        let second = client.publish(on()).await;
        let second = match second {
            Err(PublishError::Unknown | PublishError::Storage { .. }) => client.publish(on()).await,
            answered => answered,
        };
        assert_eq!(client.settled(second.unwrap()).await, Ok(Fate::DELIVERED));
        assert_eq!(client.fate(first).await, Ok::<_, Error>(Fate::DELIVERED));
    });
}
