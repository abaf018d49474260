//! Two lanes: what goes first, what goes again in which order, what each lane keeps to itself.

use super::rig::{Rig, words};
use crate::model::event::{Fate, Why};
use crate::model::message::QoS;
use crate::model::rows::join_id;
use crate::session::effect::Input;
use crate::wire::packet::{Ack, Packet};

/// Packet identifiers of the publishes, in order; those of the urgent lane are 57,345 and above.
fn pids(rig: &mut Rig) -> Vec<u16> {
    let pid = |packet: &Packet| match packet {
        Packet::Publish(publish) => Some(publish.pid),
        _ => None,
    };
    rig.sent().iter().filter_map(pid).collect()
}

#[test]
fn p5_urgent_goes_before_every_normal_message_not_sent_yet() {
    let mut rig = Rig::new(|options| options.inflight = 2);
    for _ in 0..5 {
        rig.publish(1);
    }
    let (first, second) = (rig.urgent(1), rig.urgent(2));
    assert_eq!((first, second), (join_id(1, 1), join_id(1, 2)));
    rig.online(false);
    assert_eq!(words(&rig.sent()), ["publish1 57346", "publish2 57347"]);
    rig.packet(Packet::PubAck(Ack::ok(57_346)));
    assert_eq!(words(&rig.sent()), ["publish1 2"]);
    // The window is full; the next free place is for the urgent one that came last.
    rig.urgent(1);
    rig.packet(Packet::PubAck(Ack::ok(2)));
    assert_eq!(words(&rig.sent()), ["publish1 57348"]);
    assert_eq!(rig.fates[&first], Fate::DELIVERED);
}

#[test]
fn p5_urgent_overtakes_a_long_outbox_that_is_read_from_the_store() {
    let mut rig = Rig::new(|options| options.inflight = 10);
    for _ in 0..5_000 {
        rig.publish(1);
    }
    rig.online(false);
    assert_eq!(pids(&mut rig).len(), 10);
    let urgent: Vec<u64> = (0..3_000).map(|_| rig.urgent(1)).collect();
    let mut after = Vec::new();
    let mut open: Vec<u16> = (2..12).collect();
    while after.len() < 3_100 {
        rig.packet(Packet::PubAck(Ack::ok(open.remove(0))));
        let sent = pids(&mut rig);
        open.extend(&sent);
        after.extend(sent);
    }
    assert!(after[..3_000].iter().all(|pid| *pid >= 57_345) && after[3_000..].iter().all(|pid| *pid < 57_345));
    assert!(rig.fates.contains_key(&urgent[2_000]));
}

#[test]
fn p5_everything_goes_again_in_the_order_first_sent_across_lanes_4_4_0_1_4_6_0_1() {
    for restart in [false, true] {
        let mut rig = Rig::new(|_| {});
        rig.online(false);
        for lane in [0, 1, 0, 0, 1, 1, 0] {
            rig.publish_in(lane, 1 + u8::from(lane == 1), |_| {});
        }
        let first = words(&rig.sent());
        assert_eq!(first.iter().filter(|word| word.starts_with("publish2")).count(), 3);
        // One finished in the middle, and newer ones that must wait.
        rig.packet(Packet::PubAck(Ack::ok(3)));
        rig.input(Input::LinkDown(Why::Cut(String::new())));
        rig.urgent(2);
        rig.publish(1);
        if restart {
            rig.restart();
        }
        rig.pass(130_000);
        rig.online(true);
        let mut expected: Vec<_> =
            first.iter().filter(|word| *word != "publish1 3").map(|word| format!("{word} dup")).collect();
        expected.extend(["publish2 57349".to_owned(), "publish1 6".to_owned()]);
        assert_eq!(words(&rig.sent()), expected, "restart {restart}");
    }
}

#[test]
fn p5_order_first_sent_holds_over_pages_and_a_narrow_window() {
    let mut rig = Rig::new(|options| options.inflight = 3_000);
    rig.online(false);
    for number in 0..2_500 {
        rig.publish_in(usize::from(number % 3 == 1), 1, |_| {});
    }
    let first = pids(&mut rig);
    assert_eq!(first.len(), 2_500);
    rig.restart();
    rig.link_up();
    rig.accept_with(true, |properties| properties.receive_maximum = Some(7));
    let mut again = Vec::new();
    let mut open = Vec::new();
    loop {
        let sent = pids(&mut rig);
        assert!(sent.len() <= 7);
        open.extend(&sent);
        again.extend(sent);
        if open.is_empty() {
            break;
        }
        rig.packet(Packet::PubAck(Ack::ok(open.remove(0))));
    }
    assert_eq!(again, first);
}

#[test]
fn p5_shuffled_pubrecs_then_cut_pubrels_in_pubrec_order_across_lanes_4_6_0_4() {
    let mut rig = Rig::new(|_| {});
    rig.online(false);
    for lane in [0, 1, 0, 1, 0] {
        rig.publish_in(lane, 2, |_| {});
    }
    for pid in [57_347, 4, 57_346, 2] {
        rig.packet(Packet::PubRec(Ack::ok(pid)));
    }
    rig.restart();
    rig.online(true);
    let again = ["pubrel 57347", "pubrel 4", "pubrel 57346", "pubrel 2", "publish2 3 dup"];
    assert_eq!(words(&rig.sent()), again);
    for pid in [57_347, 4, 57_346, 2] {
        rig.packet(Packet::PubComp(Ack::ok(pid)));
    }
    assert_eq!(rig.fates.len(), 4);
    assert!(rig.fates.values().all(|fate| *fate == Fate::DELIVERED));
}

#[test]
fn p8_a_lost_session_issues_both_lanes_anew() {
    let mut rig = Rig::new(|_| {});
    rig.online(false);
    for lane in [0, 1, 0] {
        rig.publish_in(lane, 2, |_| {});
    }
    let first = pids(&mut rig);
    rig.cut();
    rig.online(false);
    let sent = rig.sent();
    let again: Vec<_> = sent.iter().map(|packet| matches!(packet, Packet::Publish(publish) if !publish.dup)).collect();
    assert_eq!(again, [true; 3], "{sent:?}");
    assert!(words(&sent)[0].starts_with("publish2 5") || words(&sent)[0].starts_with("publish2 6"), "urgent first");
    assert!(rig.outbox.values().all(|row| row.maybe_dup));
    rig.sends = sent;
    let anew = pids(&mut rig);
    assert!(anew.iter().all(|pid| !first.contains(pid)), "{first:?} {anew:?}");
    for pid in anew {
        rig.packet(Packet::PubRec(Ack::ok(pid)));
        rig.packet(Packet::PubComp(Ack::ok(pid)));
    }
    let twice = Fate::Delivered { maybe_twice: true, maybe_lost: false, downgraded: false };
    assert!(rig.fates.len() == 3 && rig.fates.values().all(|fate| *fate == twice), "{:?}", rig.fates);
}

#[test]
fn each_lane_has_a_span_of_its_own() {
    let mut rig = Rig::new(|_| {});
    rig.online(false);
    let stuck = rig.urgent(1);
    for _ in 0..8_000 {
        rig.urgent(0);
    }
    assert_eq!(rig.hot.lanes[1].sent_through, 7_935, "one more would wrap onto the identifier of the stuck one");
    rig.packet(Packet::PubAck(Ack::ok(57_346)));
    assert_eq!((rig.hot.lanes[1].sent_through, rig.fates.len()), (8_001, 8_001));
    assert_eq!(rig.fates[&stuck], Fate::DELIVERED);
}

#[test]
fn both_lanes_share_the_quota_of_the_broker() {
    let mut rig = Rig::new(|_| {});
    rig.link_up();
    rig.accept_with(false, |properties| properties.receive_maximum = Some(3));
    for number in 0..10 {
        rig.publish_in(number % 2, 2, |_| {});
    }
    assert_eq!(pids(&mut rig).len(), 3);
    rig.packet(Packet::PubRec(Ack::ok(57_346)));
    rig.sent();
    rig.packet(Packet::PubComp(Ack::ok(57_346)));
    assert_eq!(pids(&mut rig).len(), 1);
}

#[test]
fn expired_urgent_messages_are_never_sent() {
    let mut rig = Rig::new(|_| {});
    let at = Some(rig.now.store_ms + 5_000);
    let (urgent, normal) = (rig.publish_in(1, 1, |row| row.expires_ms = at), rig.publish(1));
    rig.pass(6_000);
    assert_eq!(rig.fates[&urgent], Fate::Expired);
    rig.online(false);
    assert_eq!(words(&rig.sent()), ["publish1 2"]);
    assert!(!rig.fates.contains_key(&normal));
}

#[test]
fn what_was_sent_meanwhile_is_not_withdrawn() {
    let mut rig = Rig::new(|options| options.inflight = 1);
    rig.online(false);
    let (sent, waiting) = (rig.publish(1), rig.publish(1));
    let size = rig.outbox[&sent].size();
    rig.input(Input::Withdraw { rows: vec![(sent, size), (waiting, size)], fate: Fate::Cancelled });
    assert_eq!((rig.fates.get(&sent), rig.fates.get(&waiting)), (None, Some(&Fate::Cancelled)));
    rig.sent();
    rig.packet(Packet::PubAck(Ack::ok(2)));
    assert_eq!(words(&rig.sent()), [""; 0]);
    assert_eq!((rig.hot.lanes[0].messages, rig.hot.lanes[0].bytes), (0, 0));
}

#[test]
fn a_message_dropped_at_once_leaves_a_hole_that_holds_nobody_up() {
    let mut rig = Rig::new(|_| {});
    rig.publish(1);
    for _ in 0..3 {
        rig.input(Input::PublishDropped { lane: 0 });
    }
    rig.publish(1);
    assert!((2..=4).all(|id| rig.fates[&id] == Fate::Dropped));
    rig.restart();
    rig.online(false);
    assert_eq!(words(&rig.sent()), ["publish1 2", "publish1 6"]);
    rig.input(Input::PublishDropped { lane: 1 });
    rig.publish_in(1, QoS::AtLeastOnce.number(), |_| {});
    assert_eq!(words(&rig.sent()), ["publish1 57347"]);
}
