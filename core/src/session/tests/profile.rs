//! A broker profile in the session: limits that no CONNACK tells, the pace, and what a full memory of the broker means.

use super::rig::{Rig, words};
use crate::model::event::{Event, Fate, Gap, GapCause, State};
use crate::model::message::{IfUnsupported, QoS};
use crate::model::options::{Options, Version};
use crate::model::profile::{Aws, Profile, Tencent};
use crate::model::reason::ReasonCode;
use crate::model::topic::{TopicFilter, TopicName};
use crate::session::effect::Input;
use crate::wire::packet::{Ack, Packet};

fn tencent(options: &mut Options) {
    options.profile = Profile::Tencent(Tencent::new("ABCDE12345", "dev01", "MDEyMzQ1Njc4OWFiY2RlZg==").unwrap());
    options.version = Version::V311;
}

fn gaps(rig: &Rig) -> Vec<&Gap> {
    rig.events.iter().filter_map(|event| if let Event::Gap(gap) = event { Some(gap) } else { None }).collect()
}

/// Times of the PUBLISHes sent, from now on until so much time has passed.
fn sent_at(rig: &mut Rig, ms: i64) -> Vec<i64> {
    let (start, end) = (rig.now.mono_ms, rig.now.mono_ms + ms);
    let mut times = Vec::new();
    while rig.now.mono_ms < end {
        let sent = rig.sent();
        for packet in &sent {
            if let Packet::Publish(publish) = packet {
                times.push(rig.now.mono_ms - start);
                rig.packet(Packet::PubAck(Ack::ok(publish.pid)));
            }
        }
        rig.pass(1);
    }
    times
}

#[test]
fn what_the_service_does_not_take_is_treated_as_if_its_connack_had_said_so() {
    let mut rig = Rig::new(tencent);
    let exactly = rig.publish(2);
    let retained = rig.publish_row(1, |row| row.retain = true);
    let large = rig.publish_row(1, |row| row.payload = vec![0; (16 << 10) + 1].into());
    let long = rig.publish_row(1, |row| row.topic = TopicName::new("t".repeat(256)).unwrap());
    let parked = rig.publish_row(2, |row| row.if_unsupported = IfUnsupported::Park);
    let willing = rig.publish_row(2, |row| (row.retain, row.if_unsupported) = (true, IfUnsupported::Downgrade));
    rig.publish_row(1, |row| row.payload = vec![0; 16 << 10].into());
    rig.online(false);
    assert_eq!(rig.fates[&exactly], Fate::Refused(ReasonCode::QosNotSupported));
    assert_eq!(rig.fates[&retained], Fate::Refused(ReasonCode::RetainNotSupported));
    assert_eq!(rig.fates[&large], Fate::Refused(ReasonCode::PacketTooLarge));
    assert_eq!(rig.fates[&long], Fate::Refused(ReasonCode::TopicNameInvalid));
    assert_eq!(rig.fates[&parked], Fate::Parked(ReasonCode::QosNotSupported));
    rig.pass(100);
    let sent = rig.sent();
    assert_eq!(words(&sent).len(), 2, "{:?}", words(&sent));
    let Packet::Publish(first) = &sent[0] else { panic!("{sent:?}") };
    assert_eq!((first.qos, first.retain), (QoS::AtLeastOnce, false));
    rig.packet(Packet::PubAck(Ack::ok(first.pid)));
    assert_eq!(rig.fates[&willing], Fate::Delivered { maybe_twice: false, maybe_lost: false, downgraded: true });
}

#[test]
fn a_wish_for_qos_2_is_subscribed_to_with_what_the_service_knows_one_filter_a_packet() {
    let mut rig = Rig::new(tencent);
    rig.subscribe("ABCDE12345/dev01/a");
    rig.subscribe("ABCDE12345/dev01/b");
    rig.online(false);
    let asked: Vec<QoS> = rig
        .sends
        .iter()
        .filter_map(|packet| if let Packet::Subscribe(one) = packet { Some(one.wish.qos) } else { None })
        .collect();
    assert_eq!(asked, [QoS::AtLeastOnce, QoS::AtLeastOnce]);
}

fn aws(options: &mut Options) {
    options.profile = Profile::Aws(Aws::x509("a-ats.iot.eu-west-1.amazonaws.com").unwrap());
}

fn refused_filters(rig: &Rig) -> Vec<(&str, ReasonCode)> {
    let refused = |event| match event {
        &Event::SubscribeRefused { ref filter, reason } => Some((filter.as_str(), reason)),
        _ => None,
    };
    rig.events.iter().filter_map(refused).collect()
}

#[test]
fn topics_and_filters_that_another_broker_took_do_not_cost_the_link() {
    let mut rig = Rig::new(aws);
    let topics = ["a/b/c/d/e/f/g/h", "a/b/c/d/e/f/g/h/i", "$aws/rules/r/a/b/c/d/e/f/g/h", &"t".repeat(257)];
    let ids = topics.map(|topic| rig.publish_row(1, |row| row.topic = TopicName::new(topic).unwrap()));
    let deep = "a/b/c/d/e/f/g/h/#";
    for filter in [deep, "$share/group/a/b/c/d/e/f/g/#", "a/b"] {
        rig.subscribe(filter);
    }
    rig.online(false);
    rig.pass(100);
    assert_eq!(refused_filters(&rig), [(deep, ReasonCode::TopicFilterInvalid)]);
    let sent = words(&rig.sent());
    assert_eq!(sent.iter().filter(|word| word.starts_with("subscribe")).count(), 2, "{sent:?}");
    assert_eq!(sent.iter().filter(|word| word.starts_with("publish")).count(), 2, "{sent:?}");
    for id in [ids[1], ids[3]] {
        assert_eq!(rig.fates[&id], Fate::Refused(ReasonCode::TopicNameInvalid));
    }
    // The broker has nothing to end.
    rig.input(Input::Unsubscribe(TopicFilter::new(deep).unwrap()));
    rig.pass(100);
    assert!(rig.events.iter().any(|event| matches!(event, Event::Unsubscribed { filter } if filter.as_str() == deep)));
}

#[test]
fn a_second_at_aws_has_100_messages_and_half_a_mebibyte() {
    let mut rig = Rig::new(aws);
    rig.online(false);
    rig.sent();
    for _ in 0..200 {
        rig.publish(1);
    }
    let most = |times: &[i64]| {
        times.iter().map(|start| times.iter().filter(|at| (*start..start + 1000).contains(at)).count()).max()
    };
    let times = sent_at(&mut rig, 5_000);
    assert_eq!(times.len(), 200);
    assert!(most(&times) <= Some(100) && times[199] < 2_500, "{times:?}");
    for _ in 0..16 {
        rig.publish_row(1, |row| row.payload = vec![0; 100 << 10].into());
    }
    // 512 KiB a second: the sixth would be over.
    let times = sent_at(&mut rig, 6_000);
    assert_eq!((times.len(), most(&times)), (16, Some(4)), "{times:?}");
}

#[test]
fn no_more_than_the_service_takes_are_in_flight() {
    let mut rig = Rig::new(|options| {
        aws(options);
        options.version = Version::V311;
    });
    rig.online(false);
    rig.sent();
    for _ in 0..150 {
        rig.publish(1);
    }
    rig.pass(5_000);
    assert_eq!(rig.sent().len(), 100);
}

#[test]
fn no_second_has_more_than_30_messages_and_all_of_them_go_in_order() {
    let mut rig = Rig::new(tencent);
    rig.online(false);
    rig.sent();
    for _ in 0..100 {
        rig.publish(1);
    }
    let times = sent_at(&mut rig, 5_000);
    assert_eq!(times.len(), 100);
    let most = times.iter().map(|start| times.iter().filter(|at| (*start..start + 1000).contains(at)).count()).max();
    assert_eq!(most, Some(30));
    assert!(times[99] < 3_500, "{times:?}");
    assert!(rig.session.timeout(rig.now).is_none_or(|at| at > rig.now.mono_ms + 1_000), "an idle session wakes nobody");
}

#[test]
fn what_is_sent_again_keeps_the_rate_too_and_urgent_messages_go_first() {
    let mut rig = Rig::new(tencent);
    rig.online(false);
    for _ in 0..20 {
        rig.publish(1);
    }
    rig.pass(2_000);
    rig.cut();
    rig.online(true);
    let urgent = rig.urgent(1);
    let first = rig.sent();
    assert_eq!(words(&first).len(), 1, "{:?}", words(&first));
    rig.sends = first;
    let times = sent_at(&mut rig, 2_000);
    assert_eq!(times.len(), 21);
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= 33), "{times:?}");
    assert_eq!(rig.fates[&urgent], Fate::DELIVERED);
}

#[test]
fn a_generic_profile_sends_a_burst_at_once() {
    let mut rig = Rig::new(|_| {});
    rig.online(false);
    rig.sent();
    for _ in 0..100 {
        rig.publish(1);
    }
    assert_eq!(rig.sent().len(), 100);
}

#[test]
fn connects_keep_their_distance_whatever_asks_for_the_next() {
    let mut rig = Rig::new(|options| {
        tencent(options);
        options.retry = (std::time::Duration::from_millis(1), std::time::Duration::from_millis(2));
    });
    let ways: [fn(&mut Rig); 4] = [
        |rig| rig.input(Input::LinkDown(crate::model::event::Why::Closed)),
        |rig| {
            rig.input(Input::LinkDown(crate::model::event::Why::Closed));
            rig.input(Input::Connect);
        },
        |rig| {
            rig.input(Input::LinkDown(crate::model::event::Why::Closed));
            rig.input(Input::Network { online: true, changed: true });
        },
        |rig| rig.restart(),
    ];
    for way in ways {
        rig.link_up();
        rig.accept(true);
        // A session that is not ours, at first: ended and begun anew, at the same pace.
        while rig.close {
            let at = rig.now.mono_ms;
            rig.closed();
            rig.pass(5_000);
            assert!(!rig.open, "{} ms after the last CONNECT", rig.now.mono_ms - at);
            rig.pass(200);
            let clean = rig.link_up().clean_start;
            rig.accept(false);
            assert!(rig.close || !clean);
        }
        let connected = rig.now.mono_ms;
        way(&mut rig);
        if let Some(State::Waiting { retry_in_ms, .. }) = rig.last_state() {
            assert!(*retry_in_ms >= 5_000, "{retry_in_ms}");
        }
        rig.pass(5_000);
        assert!(!rig.open, "{} ms after the last CONNECT", rig.now.mono_ms - connected);
        rig.pass(200);
        assert!(rig.open);
    }
}

/// Away with a subscription, for less than a day, and back with the session present.
fn back(rig: &mut Rig) -> i64 {
    rig.online(false);
    rig.subscribe("ABCDE12345/dev01/#");
    rig.grant(1);
    let left = rig.now.wall_ms;
    rig.cut();
    rig.advance(3_600_000);
    rig.restart();
    rig.online(true);
    left
}

fn receive(rig: &mut Rig, count: u16) {
    for pid in 1..=count {
        rig.message(1, pid, &pid.to_be_bytes());
        rig.advance(5);
    }
}

#[test]
fn as_many_messages_as_the_service_keeps_are_a_possible_gap() {
    let mut rig = Rig::new(tencent);
    let left = back(&mut rig);
    let came = rig.now.wall_ms;
    receive(&mut rig, 149);
    assert!(gaps(&rig).is_empty());
    receive(&mut rig, 1);
    let gap = gaps(&rig).remove(0);
    assert_eq!((gap.cause, gap.from_ms, gap.to_ms), (GapCause::PossiblyDropped, left, Some(came)));
    assert_eq!((gap.filters[0].as_str(), gap.after_seq), ("ABCDE12345/dev01/#", 0));
    assert_eq!(rig.noted, std::slice::from_ref(gap));
    receive(&mut rig, 200);
    assert_eq!(gaps(&rig).len(), 1);
}

#[test]
fn what_comes_after_a_pause_was_not_kept() {
    let mut rig = Rig::new(tencent);
    back(&mut rig);
    receive(&mut rig, 149);
    rig.pass(3_000);
    receive(&mut rig, 149);
    assert!(gaps(&rig).is_empty());
}

#[test]
fn a_cut_in_the_middle_does_not_forget_what_had_come() {
    let mut rig = Rig::new(tencent);
    back(&mut rig);
    receive(&mut rig, 100);
    rig.cut();
    rig.online(true);
    receive(&mut rig, 50);
    assert_eq!(gaps(&rig).len(), 1);
}

#[test]
fn a_day_away_is_a_gap_by_itself() {
    let mut rig = Rig::new(tencent);
    rig.online(false);
    rig.subscribe("ABCDE12345/dev01/#");
    rig.grant(1);
    rig.cut();
    rig.advance(25 * 3_600_000);
    rig.restart();
    rig.online(true);
    assert_eq!(gaps(&rig).len(), 1);
    receive(&mut rig, 150);
    assert_eq!(gaps(&rig).len(), 1, "said once");
}

#[test]
fn the_services_own_broker_is_used_where_nobody_names_one() {
    let mut rig = Rig::new(|options| {
        tencent(options);
        options.broker = None;
    });
    assert_eq!(rig.row.broker.as_deref(), Some("mqtt://abcde12345.iotcloud.tencentdevices.com:1883"));
    assert!(rig.open);
    rig.link_up();
}
