//! Messages set aside: what the broker's limits do not admit and the app wants kept.

use super::rig::{Rig, words};
use crate::model::event::Fate;
use crate::model::message::{IfUnsupported, MessageId, StoreId};
use crate::model::reason::ReasonCode;
use crate::session::effect::Input;
use crate::wire::packet::{Ack, Packet};

fn by(n: u64) -> Fate {
    Fate::Superseded(MessageId::new(StoreId([7; 16]), n))
}

#[test]
fn p9_what_the_limits_do_not_admit_is_parked_and_goes_out_when_they_do() {
    for restart in [false, true] {
        let mut rig = Rig::new(|_| {});
        rig.link_up();
        rig.accept_with(false, |properties| {
            properties.maximum_qos = Some(1);
            properties.retain_available = Some(false);
            properties.maximum_packet_size = Some(1_000);
        });
        let park = IfUnsupported::Park;
        let qos = rig.publish_row(2, |row| row.if_unsupported = park);
        let retain = rig.publish_row(1, |row| (row.if_unsupported, row.retain) = (park, true));
        let size = rig.publish_row(1, |row| (row.if_unsupported, row.payload) = (park, vec![0; 2_000].into()));
        let urgent = rig.publish_in(1, 2, |row| row.if_unsupported = park);
        let fits = rig.publish(1);
        assert_eq!(words(&rig.sent()), ["publish1 5"]);
        let reasons = [ReasonCode::QosNotSupported, ReasonCode::RetainNotSupported, ReasonCode::PacketTooLarge];
        for (id, reason) in [qos, retain, size, urgent].into_iter().zip(reasons.into_iter().chain([reasons[0]])) {
            assert_eq!(rig.fates[&id], Fate::Parked(reason));
        }
        assert_eq!((rig.hot.parked_messages, rig.hot.lanes.map(|lane| lane.messages)), (4, [1, 0]));
        rig.packet(Packet::PubAck(Ack::ok(5)));
        assert_eq!(rig.fates[&fits], Fate::DELIVERED);
        rig.cut();
        if restart {
            rig.restart();
        }
        // The same limits: nothing moves.
        rig.link_up();
        rig.accept_with(true, |properties| properties.maximum_qos = Some(1));
        assert_eq!(words(&rig.sent()), ["publish1 6", "publish1 7"], "retained and large ones are welcome now");
        assert_eq!((rig.fates[&retain].clone(), rig.fates[&size].clone()), (by(5), by(6)));
        rig.cut();
        rig.online(true);
        assert_eq!(rig.fates[&qos], by(7));
        let words = words(&rig.sent());
        assert_eq!(words, ["publish1 6 dup", "publish1 7 dup", "publish2 57347", "publish2 8"], "restart {restart}");
        assert_eq!((rig.hot.parked_messages, rig.hot.parked_bytes, rig.parked.len()), (0, 0, 0));
    }
}

#[test]
fn maximum_packet_size_below_a_waiting_and_an_in_flight_row_parks_both() {
    let mut rig = Rig::new(|options| options.inflight = 1);
    rig.online(false);
    let large = |row: &mut crate::model::rows::OutboxRow| {
        (row.if_unsupported, row.payload) = (IfUnsupported::Park, vec![0; 2_000].into());
    };
    let (in_flight, waiting) = (rig.publish_row(2, large), rig.publish_row(2, large));
    rig.cut();
    rig.link_up();
    rig.accept_with(true, |properties| properties.maximum_packet_size = Some(1_000));
    for id in [in_flight, waiting] {
        assert_eq!(rig.fates[&id], Fate::Parked(ReasonCode::PacketTooLarge));
    }
    assert_eq!((words(&rig.sent()).len(), &rig.skipped[..]), (0, &[2][..]), "the broker may hold identifier 2");
    assert!(rig.parked[&in_flight].0.maybe_dup && !rig.parked[&waiting].0.maybe_dup);
    rig.cut();
    rig.online(true);
    assert_eq!(words(&rig.sent()), ["publish2 4"]);
    for pid in [4, 5] {
        rig.packet(Packet::PubRec(Ack::ok(pid)));
        rig.packet(Packet::PubComp(Ack::ok(pid)));
    }
    assert_eq!(rig.fates[&3], Fate::Delivered { maybe_twice: true, maybe_lost: false, downgraded: false });
    assert_eq!(rig.fates[&4], Fate::DELIVERED);
}

#[test]
fn p3_the_identifier_of_a_parked_message_is_skipped_until_the_session_is_lost() {
    for lost in [false, true] {
        let mut rig = Rig::new(|_| {});
        rig.online(false);
        rig.publish_row(2, |row| (row.if_unsupported, row.retain) = (IfUnsupported::Park, true));
        rig.cut();
        rig.link_up();
        rig.accept_with(true, |properties| properties.retain_available = Some(false));
        assert_eq!(rig.skipped, [2]);
        // The identifier comes round again.
        rig.hot.lanes[0].next_ord = 57_345;
        rig.hot.lanes[0].sent_through = 57_344;
        rig.restart();
        rig.link_up();
        rig.accept_with(!lost, |properties| properties.retain_available = Some(false));
        rig.row.pid_salt = 0;
        let (first, second) = (rig.publish(2), rig.publish(2));
        if lost {
            assert!(rig.skipped.is_empty() && !rig.fates.contains_key(&first));
            continue;
        }
        assert_eq!(words(&rig.sent()), ["publish2 3", "publish2 4"]);
        assert_eq!(rig.fates[&first], by(57_346));
        assert_eq!(second, 57_347);
    }
}

#[test]
fn unparked_by_the_app_it_goes_out_under_a_new_id_or_has_expired() {
    let mut rig = Rig::new(|_| {});
    rig.link_up();
    rig.accept_with(false, |properties| properties.maximum_qos = Some(1));
    let at = rig.now.store_ms + 5_000;
    let park = |row: &mut crate::model::rows::OutboxRow| row.if_unsupported = IfUnsupported::Park;
    let ids = [
        rig.publish_row(2, park),
        rig.publish_row(2, |row| {
            park(row);
            row.expires_ms = Some(at);
        }),
    ];
    rig.pass(6_000);
    for id in ids {
        let (row, _) = rig.parked[&id].clone();
        rig.input(Input::Unpark(row));
    }
    assert_eq!((rig.fates[&ids[0]].clone(), rig.fates[&ids[1]].clone()), (by(3), Fate::Expired));
    assert_eq!(rig.fates[&3], Fate::Parked(ReasonCode::QosNotSupported), "this broker cannot take it still");
    let size = rig.parked[&3].0.size();
    rig.input(Input::EndParked { id: 3, size, fate: Fate::Cancelled });
    assert_eq!((rig.fates[&3].clone(), rig.hot.parked_messages, rig.hot.parked_bytes), (Fate::Cancelled, 0, 0));
}

#[test]
fn thousands_of_parked_messages_do_not_make_one_turn() {
    let mut rig = Rig::new(|_| {});
    for _ in 0..5_000 {
        rig.publish_row(1, |row| (row.if_unsupported, row.retain) = (IfUnsupported::Park, true));
    }
    rig.largest = 0;
    rig.link_up();
    rig.accept_with(false, |properties| properties.retain_available = Some(false));
    rig.pass(1_000);
    assert_eq!((rig.hot.parked_messages, rig.parked.len()), (5_000, 5_000));
    rig.cut();
    rig.online(true);
    rig.pass(1_000);
    assert_eq!((rig.hot.parked_messages, rig.hot.lanes[0].messages), (0, 5_000));
    assert!(rig.largest < 3_000, "{} writes in one turn", rig.largest);
}

#[test]
fn p1_a_parked_message_goes_out_although_others_wait_behind_the_window() {
    for waiting in [1, 600] {
        let mut rig = Rig::new(|_| {});
        rig.link_up();
        rig.accept_with(false, |properties| properties.maximum_qos = Some(1));
        let parked = rig.publish_row(2, |row| row.if_unsupported = IfUnsupported::Park);
        assert_eq!(rig.fates[&parked], Fate::Parked(ReasonCode::QosNotSupported));
        rig.cut();
        for _ in 0..waiting {
            rig.publish(0);
        }
        // Nothing of what waits is in memory: rows are read while the parked one is published again.
        rig.restart();
        rig.online(true);
        rig.pass(1_000);
        let again = waiting + 2;
        assert_eq!(rig.fates[&parked], by(again));
        let sent = words(&rig.sent());
        assert_eq!(
            sent.last().map(String::as_str),
            Some(format!("publish2 {}", again + 1).as_str()),
            "{waiting} waiting"
        );
        assert_eq!(rig.outbox.keys().copied().collect::<Vec<_>>(), [again]);
    }
}

#[test]
fn p3_the_identifier_of_a_message_refused_at_its_resend_is_skipped_too() {
    let mut rig = Rig::new(|_| {});
    rig.online(false);
    let refused = rig.publish_row(2, |row| row.retain = true);
    rig.cut();
    rig.link_up();
    rig.accept_with(true, |properties| properties.retain_available = Some(false));
    assert_eq!(rig.fates[&refused], Fate::Refused(ReasonCode::RetainNotSupported));
    // The broker may hold it, and the identifier comes round again: a fresh message would be taken for a repeated one.
    rig.hot.lanes[0].next_ord = 57_345;
    rig.hot.lanes[0].sent_through = 57_344;
    rig.restart();
    rig.online(true);
    let fresh = rig.publish(2);
    assert_eq!(words(&rig.sent()), ["publish2 3"]);
    assert_eq!(rig.fates[&fresh], by(57_346));
}
