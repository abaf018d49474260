//! Hostile broker: sessions that are resumed, lost, or never were ours.

use super::rig::{Rig, words};
use crate::model::event::{Event, Fate};
use crate::model::message::IfUnsupported;
use crate::model::reason::ReasonCode;
use crate::wire::packet::{Ack, ConnAck, ConnAckProperties, Packet};

#[test]
fn session_present_without_state_is_not_adopted_3_2_2_4() {
    let mut rig = Rig::new(|_| {});
    rig.publish(2);
    rig.online(true);
    assert_eq!(words(&rig.sent()), ["disconnect 00"]);
    rig.closed();
    assert!(rig.link_up().clean_start);
    rig.accept(true);
    assert_eq!(words(&rig.sent()), ["disconnect 82"], "session present though we asked for a clean start");
}

#[test]
fn session_lost_with_messages_in_flight_keeps_the_outbox_3_2_2_5() {
    let mut rig = Rig::new(|_| {});
    rig.online(false);
    rig.publish(1);
    rig.publish(2);
    let first = words(&rig.sent());
    rig.message(2, 9, b"in");
    let epoch = rig.row.session_epoch;
    rig.cut();
    rig.online(false);
    let again = words(&rig.sent());
    assert_eq!(again.len(), 2);
    assert!(again.iter().all(|word| !word.ends_with("dup")) && again != first, "new identifiers: {first:?} {again:?}");
    assert!(rig.received.is_empty() && rig.row.session_epoch == epoch + 1);
    assert!(rig.outbox.values().all(|row| row.maybe_dup));
    assert!(rig.events.iter().any(|event| matches!(event, Event::SessionLost { .. })));
}

#[test]
fn an_old_qos_2_identifier_is_a_new_message_after_a_lost_session_3_2_2_5() {
    let mut rig = Rig::new(|_| {});
    rig.online(false);
    rig.message(2, 9, b"old");
    rig.cut();
    rig.online(false);
    rig.message(2, 9, b"new");
    assert_eq!(rig.inbox.len(), 2);
}

#[test]
fn resumed_messages_go_again_with_dup_in_order_before_new_ones_4_4_0_1_4_6_0_1() {
    let mut rig = Rig::new(|_| {});
    rig.online(false);
    for qos in [1, 2, 1] {
        rig.publish(qos);
    }
    let first = words(&rig.sent());
    rig.input(crate::session::effect::Input::LinkDown(crate::model::event::Why::Cut(String::new())));
    rig.publish(1);
    rig.pass(5_000);
    rig.online(true);
    let again = words(&rig.sent());
    assert_eq!(again.len(), 4);
    for (first, again) in first.iter().zip(&again) {
        assert_eq!(*again, format!("{first} dup"));
    }
    assert!(!again[3].ends_with("dup"));
}

#[test]
fn after_pubrec_only_pubrel_goes_again_4_3_3_6() {
    let mut rig = Rig::new(|_| {});
    rig.online(false);
    rig.publish(2);
    rig.sent();
    rig.packet(Packet::PubRec(Ack::ok(2)));
    rig.restart();
    rig.online(true);
    assert_eq!(words(&rig.sent()), ["pubrel 2"]);
    rig.packet(Packet::PubComp(Ack::ok(2)));
    assert_eq!(rig.fates[&1], Fate::DELIVERED);
}

#[test]
fn pubrels_go_again_in_the_order_of_their_pubrecs_4_6_0_4() {
    let mut rig = Rig::new(|_| {});
    rig.online(false);
    for _ in 0..4 {
        rig.publish(2);
    }
    for pid in [4, 2, 5, 3] {
        rig.packet(Packet::PubRec(Ack::ok(pid)));
    }
    rig.restart();
    rig.online(true);
    assert_eq!(words(&rig.sent()), ["pubrel 4", "pubrel 2", "pubrel 5", "pubrel 3"]);
}

#[test]
fn nothing_is_resent_on_a_live_link_4_4_0_1() {
    let mut rig = Rig::new(|_| {});
    rig.online(false);
    rig.publish(1);
    rig.sent();
    for _ in 0..20 {
        rig.pass(30_000);
        rig.message(0, 0, b"alive");
        rig.packet(Packet::PingResp);
        assert!(words(&rig.sent()).iter().all(|word| word == "pingreq"));
    }
    assert!(!rig.close);
}

#[test]
fn receive_maximum_1_on_resume_with_1000_unacknowledged() {
    let mut rig = Rig::new(|_| {});
    rig.online(false);
    for _ in 0..1000 {
        rig.publish(1);
    }
    assert_eq!(rig.sent().len(), 1000);
    rig.cut();
    rig.link_up();
    rig.accept_with(true, |properties| properties.receive_maximum = Some(1));
    for number in 0..1000u16 {
        assert_eq!(words(&rig.sent()), [format!("publish1 {} dup", number + 2)]);
        rig.packet(Packet::PubAck(Ack::ok(number + 2)));
    }
    assert_eq!(rig.fates.len(), 1000);
}

#[test]
fn receive_maximum_100_then_5_after_a_reconnect() {
    let mut rig = Rig::new(|_| {});
    rig.link_up();
    rig.accept_with(false, |properties| properties.receive_maximum = Some(100));
    for _ in 0..200 {
        rig.publish(2);
    }
    assert_eq!(rig.sent().len(), 100);
    rig.cut();
    rig.link_up();
    rig.accept_with(true, |properties| properties.receive_maximum = Some(5));
    assert_eq!(rig.sent().len(), 5);
    rig.packet(Packet::PubRec(Ack::ok(2)));
    assert_eq!(words(&rig.sent()), ["pubrel 2"], "the quota returns with PUBCOMP");
    rig.packet(Packet::PubComp(Ack::ok(2)));
    assert_eq!(words(&rig.sent()), ["publish2 7 dup"]);
}

#[test]
fn an_error_connack_changes_nothing_3_2_2_6() {
    let mut rig = Rig::new(|_| {});
    rig.online(false);
    rig.publish(2);
    rig.packet(Packet::PubRec(Ack::ok(2)));
    rig.message(2, 9, b"in");
    rig.cut();
    rig.link_up();
    let (row, hot) = (rig.row.clone(), rig.hot);
    let properties = ConnAckProperties::default();
    let ack = ConnAck { session_present: true, reason: ReasonCode::ServerBusy, properties };
    rig.packet(Packet::ConnAck(Box::new(ack)));
    assert_eq!((&rig.row, rig.hot.lanes, rig.received.len()), (&row, hot.lanes, 1));
    rig.closed();
    rig.pass(130_000);
    rig.online(true);
    assert!(words(&rig.sent()).contains(&"pubrel 2".to_owned()));
}

#[test]
fn an_expiry_lowered_to_0_or_60_s_is_kept_and_the_loss_is_noticed() {
    for seconds in [0, 60] {
        let mut rig = Rig::new(|_| {});
        rig.subscribe("a/#");
        rig.link_up();
        rig.accept_with(false, |properties| properties.session_expiry = Some(seconds));
        assert_eq!(rig.row.expiry_granted_s, Some(seconds));
        assert_eq!(rig.grant(2), 1);
        rig.cut();
        rig.online(false);
        assert_eq!(rig.gaps.len(), 1);
        assert_eq!(rig.grant(2), 1);
        assert!(rig.gaps.is_empty());
    }
}

#[test]
fn a_session_lost_at_a_connect_whose_answer_was_never_seen_gets_its_subscriptions_again_3_2_2_5() {
    for killed in [false, true] {
        let mut rig = Rig::new(|_| {});
        rig.online(false);
        rig.subscribe("a");
        rig.grant(2);
        rig.cut();
        // The broker has lost the session and says so, but nobody hears it.
        rig.link_up();
        if killed {
            rig.restart()
        } else {
            rig.cut()
        }
        rig.online(true);
        assert_eq!(rig.grant(2), 1);
        rig.cut();
        rig.online(true);
        assert_eq!(rig.grant(2), 0, "once is enough");
    }
}

#[test]
fn an_identifier_of_a_session_lost_unheard_does_not_swallow_another_message() {
    let mut rig = Rig::new(|_| {});
    rig.online(false);
    rig.message(2, 9, b"old");
    rig.cut();
    rig.link_up();
    rig.cut();
    rig.online(true);
    rig.message(2, 9, b"new");
    rig.message(2, 9, b"new");
    assert_eq!(rig.inbox.len(), 2);
    rig.packet(Packet::PubRel(Ack::ok(9)));
    assert!(rig.received.get(&9).is_none_or(|row| row.completed));
}

#[test]
fn p9_a_qos_2_message_resent_behind_an_unheard_answer_says_maybe_twice() {
    let mut rig = Rig::new(|_| {});
    rig.online(false);
    rig.publish(2);
    rig.publish(2);
    rig.packet(Packet::PubRec(Ack::ok(2)));
    rig.cut();
    rig.link_up();
    rig.restart();
    rig.online(true);
    assert_eq!(words(&rig.sent()), ["pubrel 2", "publish2 3 dup"]);
    rig.restart();
    rig.online(true);
    rig.packet(Packet::PubComp(Ack::ok(2)));
    rig.packet(Packet::PubRec(Ack::ok(3)));
    rig.packet(Packet::PubComp(Ack::ok(3)));
    assert_eq!(rig.fates[&1], Fate::DELIVERED);
    assert_eq!(rig.fates[&2], Fate::Delivered { maybe_twice: true, maybe_lost: false, downgraded: false });
}

#[test]
fn an_assigned_client_id_is_kept() {
    let mut rig = Rig::new(|_| {});
    rig.link_up();
    rig.accept_with(false, |properties| properties.assigned_client_id = Some("given".to_owned()));
    rig.restart();
    assert_eq!(rig.link_up().client_id, "given");
}

#[test]
fn p3_what_went_out_as_qos_1_goes_again_as_qos_1_though_the_broker_takes_qos_2_now() {
    let mut rig = Rig::new(|_| {});
    rig.link_up();
    rig.accept_with(false, |properties| properties.maximum_qos = Some(1));
    let id = rig.publish_row(2, |row| row.if_unsupported = IfUnsupported::Downgrade);
    assert_eq!(words(&rig.sent()), ["publish1 2"]);
    rig.cut();
    rig.online(true);
    // As QoS 2 it could arrive twice, and nothing would say so.
    assert_eq!(words(&rig.sent()), ["publish1 2 dup"]);
    rig.packet(Packet::PubAck(Ack::ok(2)));
    assert_eq!(rig.fates[&id], Fate::Delivered { maybe_twice: false, maybe_lost: false, downgraded: true });
}
