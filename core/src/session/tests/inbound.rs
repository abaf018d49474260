//! Messages that find no room.

use super::rig::{Rig, message, words};
use crate::model::event::{GapCause, State, Why};
use crate::model::message::Properties;
use crate::model::options::{InboxFull, Limit, Version};
use crate::model::reason::ReasonCode;
use crate::session::effect::Input;
use crate::wire::packet::{Ack, Packet};

fn full(version: Version) -> Rig {
    let mut rig = Rig::new(|options| {
        options.version = version;
        options.inbox_limit = Limit { messages: 2, bytes: 1 << 30 };
    });
    rig.online(false);
    rig.message(1, 1, b"1");
    rig.message(1, 2, b"2");
    rig.sent();
    rig
}

/// What retention does: messages go, and the session is told.
fn make_room(rig: &mut Rig, messages: u64) {
    rig.session.hot_mut().inbox_messages -= messages;
    rig.input(Input::Room);
}

#[test]
fn a_full_inbox_asks_for_room_until_there_is_some() {
    let mut rig = full(Version::V5);
    rig.message(1, 3, b"3");
    for _ in 0..3 {
        assert!(rig.session.wants_room(), "held messages wait for ever otherwise");
        rig.input(Input::Tick);
    }
    make_room(&mut rig, 1);
    assert!(!rig.session.wants_room());
    assert_eq!(words(&rig.sent()), ["puback 3"]);
}

#[test]
fn a_full_inbox_answers_in_order_and_goes_on_pinging() {
    let mut rig = full(Version::V5);
    rig.message(2, 3, b"3");
    rig.message(1, 4, b"4");
    rig.message(2, 5, b"5");
    assert_eq!(words(&rig.sent()), Vec::<String>::new());
    rig.pass(60_000);
    assert_eq!(words(&rig.sent()), ["pingreq"]);
    make_room(&mut rig, 2);
    assert_eq!(words(&rig.sent()), ["pubrec 3", "puback 4"]);
    make_room(&mut rig, 2);
    assert_eq!(words(&rig.sent()), ["pubrec 5"]);
    assert_eq!(rig.inbox.len(), 5);
}

#[test]
fn many_small_messages_in_front_of_a_full_inbox_end_the_link_too() {
    let mut rig = full(Version::V311);
    for number in 0..200_000u32 {
        rig.message(1, (number % 60_000) as u16 + 10, b"");
        if rig.close {
            rig.closed();
            assert_eq!(rig.last_state(), Some(&State::Offline(Why::InboxFull)));
            return;
        }
    }
    panic!("200,000 messages are held in memory");
}

#[test]
fn properties_of_held_messages_count() {
    let mut rig = full(Version::V5);
    for pid in 10..200 {
        let Packet::Publish(mut publish) = message(1, pid, b"") else { unreachable!() };
        let user = vec![("k".to_owned(), "v".repeat(65_000)); 2];
        publish.props = Some(Box::new(Properties { user, ..Properties::default() }));
        rig.packet(Packet::Publish(publish));
        if rig.close {
            return;
        }
    }
    panic!("24 MB of properties are held in memory");
}

#[test]
fn a_blocked_link_comes_back_when_there_is_room_and_asks_for_little() {
    let mut rig = full(Version::V5);
    for pid in 10..30 {
        rig.message(1, pid, &vec![0; 1 << 20]);
    }
    rig.closed();
    rig.pass(600_000);
    assert!(!rig.open, "no link before there is room");
    assert!(rig.session.wants_room());
    make_room(&mut rig, 2);
    assert!(!rig.session.wants_room());
    assert_eq!(rig.link_up().receive_maximum, 8);
}

#[test]
fn no_link_before_there_is_room_for_a_large_message_that_was_forgotten() {
    let mut rig = Rig::new(|options| options.inbox_limit = Limit { messages: 10, bytes: 12 << 20 });
    rig.online(false);
    rig.message(1, 1, &vec![0; 5 << 20]);
    rig.message(1, 2, &vec![0; 9 << 20]);
    rig.closed();
    assert_eq!(rig.last_state(), Some(&State::Offline(Why::InboxFull)));
    // It would come again, and be forgotten again.
    rig.session.hot_mut().inbox_bytes = 4 << 20;
    make_room(&mut rig, 0);
    rig.pass(600_000);
    assert!(!rig.open && rig.session.wants_room());
    rig.session.hot_mut().inbox_bytes = 2 << 20;
    make_room(&mut rig, 0);
    rig.link_up();
    rig.accept(true);
    rig.message(1, 2, &vec![0; 9 << 20]);
    assert_eq!(words(&rig.sent()), ["puback 2"]);
}

#[test]
fn a_message_larger_than_the_whole_limit_gets_into_an_empty_inbox() {
    let mut rig = Rig::new(|options| options.inbox_limit = Limit { messages: 10, bytes: 100 });
    rig.online(false);
    rig.message(1, 1, &[0; 50]);
    rig.message(1, 2, &[0; 500]);
    assert_eq!(words(&rig.sent()), ["puback 1"]);
    rig.session.hot_mut().inbox_bytes = 0;
    make_room(&mut rig, 1);
    assert_eq!(words(&rig.sent()), ["puback 2"], "it would stand before all others for ever");
}

#[test]
fn a_released_identifier_is_not_answered_by_what_was_held_for_it() {
    let mut rig = full(Version::V311);
    make_room(&mut rig, 1);
    rig.message(2, 7, b"old");
    rig.cut();
    rig.online(true);
    rig.message(1, 8, b"held");
    rig.message(2, 7, b"old");
    rig.packet(Packet::PubRel(Ack::ok(7)));
    rig.message(2, 7, b"new");
    rig.sent();
    make_room(&mut rig, 2);
    assert_eq!(rig.inbox.last().unwrap().1, b"new"[..], "its PUBREC must not leave without it");
    assert_eq!(words(&rig.sent()), ["puback 8", "pubrec 7"]);
}

#[test]
fn a_gap_of_a_full_inbox_closes_after_a_restart_too() {
    let mut rig = full(Version::V5);
    rig.message(0, 0, b"dropped");
    assert_eq!(rig.gaps.len(), 1);
    assert_eq!(rig.gaps[0].cause, GapCause::Qos0Dropped);
    rig.restart();
    assert!(rig.session.wants_room());
    make_room(&mut rig, 1);
    assert!(rig.gaps.is_empty() && !rig.session.wants_room());
}

#[test]
fn over_our_receive_maximum_is_0x93_3_3_4_9() {
    let mut rig = Rig::new(|options| options.receive_maximum = 3);
    rig.online(false);
    for pid in 1..=3 {
        rig.message(2, pid, b"x");
    }
    assert!(!rig.close);
    rig.sent();
    rig.message(2, 4, b"x");
    assert_eq!(words(&rig.sent()), ["disconnect 93"]);
    rig.closed();
    assert!(matches!(
        rig.last_state(),
        Some(State::Waiting { why: Why::Protocol(ReasonCode::ReceiveMaximumExceeded, _), .. })
    ));
}

#[test]
fn qos_0_is_dropped_if_what_it_lacks_is_room_on_the_disk() {
    let mut rig = Rig::new(|options| options.inbox_full = InboxFull::DropOldest);
    rig.online(false);
    rig.session.set_disk(0);
    rig.message(0, 0, b"0");
    // No old message makes room for it.
    assert_eq!(rig.gaps.iter().map(|gap| gap.cause).collect::<Vec<_>>(), [GapCause::Qos0Dropped]);
    assert_eq!((rig.session.metrics().dropped_in, rig.inbox.len()), (1, 0));
}
