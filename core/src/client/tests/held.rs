//! The outbox of a copy that was put back: it waits for the app's word, what was set aside included.

use tokio::sync::oneshot;

use super::app::*;
use crate::client::command::Command;
use crate::client::copied::HeldCommand;
use crate::client::turn::TurnInput;
use crate::model::event::Fate;
use crate::model::message::{IfUnsupported, QoS};
use crate::model::options::DeviceToken;
use crate::model::reason::ReasonCode;
use crate::session::effect::{Input, Now};
use crate::wire::packet::{Ack, Packet};

/// A store with a parked and a waiting message, opened on another device and connected to a broker that takes all.
fn copied() -> (App, u64, u64) {
    let mut app = App::new(|options| options.device_token = Some(DeviceToken::new(*b"phone").unwrap()));
    app.online(|properties| properties.maximum_qos = Some(1));
    let mut exactly = message().qos(QoS::ExactlyOnce);
    exactly.if_unsupported = IfUnsupported::Park;
    let parked = app.publish(exactly);
    app.offline();
    let waiting = app.publish(message());
    app.options.device_token = Some(DeviceToken::new(*b"tablet").unwrap());
    app.restart();
    assert_eq!(payloads(&app.online(|_| {})), [[0u8; 0]; 0]);
    let now = Now { mono_ms: app.now_ms, wall_ms: app.now_ms, store_ms: app.now_ms };
    assert!(app.engine.as_ref().unwrap().timeout(now).is_none_or(|at| at > app.now_ms), "nothing runs hot");
    assert_eq!(payloads(&app.turn(vec![TurnInput::Session(Input::Tick)])), [[0u8; 0]; 0]);
    assert_eq!(app.fate(parked), Fate::Parked(ReasonCode::QosNotSupported));
    (app, parked, waiting)
}

#[test]
fn discarding_the_outbox_of_a_copy_takes_what_was_set_aside_too() {
    let (mut app, parked, waiting) = copied();
    while app.ask(|answer| Command::Held(HeldCommand::Discard(answer))).unwrap() {}
    assert_eq!((app.fate(parked), app.fate(waiting)), (Fate::Cancelled, Fate::Cancelled));
    let hot = *app.engine.as_ref().unwrap().session().hot();
    assert_eq!((hot.parked_messages, hot.parked_bytes, hot.lanes[0].messages), (0, 0, 0));
    app.offline();
    assert_eq!(payloads(&app.online(|_| {})), [[0u8; 0]; 0]);
}

#[test]
fn a_message_of_a_copy_that_was_set_aside_may_be_delivered_twice() {
    let (mut app, parked, waiting) = copied();
    // The numbers of the original are not given again: what is new goes out once the old ones are through.
    let mut sent = app.turn(vec![TurnInput::Command(Command::Held(HeldCommand::Release(oneshot::channel().0)))]);
    while let Some(packet) = sent.pop() {
        let answer = match packet {
            Packet::Publish(publish) if publish.qos == QoS::ExactlyOnce => Packet::PubRec(Ack::ok(publish.pid)),
            Packet::Publish(publish) => Packet::PubAck(Ack::ok(publish.pid)),
            Packet::PubRel(ack) => Packet::PubComp(ack),
            other => panic!("{other:?}"),
        };
        sent.extend(app.turn(vec![TurnInput::Session(Input::Packet(answer))]));
    }
    let Fate::Superseded(again) = app.fate(parked) else { panic!("{:?}", app.fate(parked)) };
    let twice = Fate::Delivered { maybe_twice: true, maybe_lost: false, downgraded: false };
    assert_eq!((app.fate(again.number()), app.fate(waiting)), (twice.clone(), twice));
}
