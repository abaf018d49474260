//! Hostile broker: SUBACKs of all kinds, and none; wishes that change at every moment.

use super::rig::{Rig, words};
use crate::model::event::Event;
use crate::model::message::{QoS, Subscription};
use crate::model::options::Version;
use crate::model::reason::ReasonCode;
use crate::model::topic::TopicFilter;
use crate::session::effect::Input;
use crate::wire::packet::{Packet, SubAck};

fn filter(text: &str) -> TopicFilter {
    TopicFilter::new(text).unwrap()
}

fn suback(pid: u16, codes: &[u8]) -> Packet {
    Packet::SubAck(SubAck { pid, reasons: codes.iter().map(|code| ReasonCode::from(*code)).collect() })
}

fn unsuback(pid: u16, codes: &[u8]) -> Packet {
    Packet::UnsubAck(SubAck { pid, reasons: codes.iter().map(|code| ReasonCode::from(*code)).collect() })
}

#[test]
fn one_refused_of_two_is_told_and_tried_again_at_the_next_link() {
    let mut rig = Rig::new(|_| {});
    rig.online(false);
    rig.subscribe("a");
    rig.subscribe("b");
    rig.sent();
    rig.packet(suback(65_280, &[0x87]));
    rig.packet(suback(65_281, &[2]));
    assert!(rig.sent().is_empty(), "no loop");
    assert!(rig.events.iter().any(|event| matches!(event, Event::SubscribeRefused { .. })));
    rig.cut();
    rig.online(true);
    assert_eq!(words(&rig.sent()), ["subscribe a"]);
}

#[test]
fn a_wrong_count_of_reasons_closes_3_8_4_6() {
    for codes in [&[][..], &[0, 0]] {
        let mut rig = Rig::new(|_| {});
        rig.online(false);
        rig.subscribe("a");
        rig.sent();
        rig.packet(suback(65_280, codes));
        assert_eq!(words(&rig.sent()), ["disconnect 82"]);
    }
}

#[test]
fn a_lower_qos_is_a_grant() {
    let mut rig = Rig::new(|_| {});
    rig.online(false);
    rig.subscribe("a");
    rig.grant(0);
    assert_eq!(rig.subscriptions[&filter("a")].granted, Some((QoS::AtMostOnce, 0)));
    rig.cut();
    rig.online(true);
    assert!(rig.sent().is_empty(), "never again in this epoch");
}

#[test]
fn a_suback_that_never_comes_is_asked_for_on_the_next_link() {
    let mut rig = Rig::new(|_| {});
    rig.online(false);
    rig.subscribe("a");
    rig.sent();
    rig.pass(50_000);
    assert!(rig.sent().is_empty());
    rig.restart();
    rig.online(true);
    assert_eq!(words(&rig.sent()), ["subscribe a"]);
}

#[test]
fn subacks_for_unknown_identifiers_are_counted() {
    let mut rig = Rig::new(|_| {});
    rig.online(false);
    rig.packet(suback(65_290, &[0]));
    rig.packet(unsuback(9, &[0]));
    assert!(!rig.close && rig.session.metrics().stray_acks == 2);
}

#[test]
fn suback_and_unsuback_mixed_up_close() {
    let mut rig = Rig::new(|_| {});
    rig.online(false);
    rig.subscribe("a");
    rig.sent();
    rig.packet(unsuback(65_280, &[0]));
    assert_eq!(words(&rig.sent()), ["disconnect 82"]);
}

#[test]
fn more_subscriptions_than_identifiers_go_out_as_answers_come() {
    let mut rig = Rig::new(|_| {});
    for number in 0..600 {
        rig.subscribe(&format!("a/{number}"));
    }
    rig.online(false);
    let mut all = 0;
    for _ in 0..600 {
        match rig.grant(1) {
            0 => break,
            count => all += count,
        }
    }
    assert_eq!(all, 600);
    assert!(rig.subscriptions.values().all(|row| row.granted.is_some()));
}

#[test]
fn a_wish_given_up_before_its_suback_is_taken_back() {
    let mut rig = Rig::new(|_| {});
    rig.online(false);
    rig.subscribe("a");
    rig.input(Input::Unsubscribe(filter("a")));
    assert_eq!(words(&rig.sent()), ["subscribe a"]);
    rig.packet(suback(65_280, &[1]));
    assert_eq!(words(&rig.sent()), ["unsubscribe a"]);
    rig.subscribe("a");
    assert!(rig.sent().is_empty(), "one request a filter at a time");
    rig.packet(unsuback(65_281, &[0]));
    assert_eq!(words(&rig.sent()), ["subscribe a"]);
    rig.packet(suback(65_282, &[1]));
    assert!(rig.subscriptions[&filter("a")].granted.is_some());
}

#[test]
fn a_wish_given_up_while_away_is_taken_back_at_the_next_link_also_after_a_kill() {
    for present in [true, false] {
        let mut rig = Rig::new(|options| options.version = Version::V311);
        rig.online(false);
        rig.subscribe("a");
        rig.grant(1);
        rig.cut();
        rig.input(Input::Unsubscribe(filter("a")));
        rig.restart();
        rig.online(present);
        if present {
            assert_eq!(words(&rig.sent()), ["unsubscribe a"]);
            rig.packet(unsuback(65_280, &[]));
        }
        assert!(rig.subscriptions.is_empty(), "session present {present}");
    }
}

#[test]
fn a_changed_wish_is_asked_for_anew_and_a_loss_before_its_suback_is_a_gap() {
    let mut rig = Rig::new(|_| {});
    rig.online(false);
    rig.subscribe("a");
    rig.grant(2);
    rig.cut();
    rig.input(Input::Subscribe(Subscription::new(filter("a"), QoS::AtLeastOnce)));
    rig.online(false);
    assert_eq!(rig.gaps.len(), 1, "it was granted in the session that was lost");
    assert_eq!(rig.grant(1), 1);
    assert!(rig.gaps.is_empty());
}

#[test]
fn a_gap_stays_open_over_further_losses_until_suback() {
    let mut rig = Rig::new(|_| {});
    rig.online(false);
    rig.subscribe("a");
    rig.grant(2);
    rig.pass(20_000);
    let from = rig.hot.last_contact_ms;
    rig.cut();
    for _ in 0..3 {
        rig.online(false);
        assert_eq!(rig.gaps.len(), 1);
        assert_eq!(rig.gaps[0].from_ms, from);
        rig.restart();
    }
    rig.online(false);
    rig.grant(2);
    assert!(rig.gaps.is_empty());
    let closed = rig.events.iter().filter(|event| matches!(event, Event::Gap(_)));
    assert_eq!(closed.count(), 1);
}
