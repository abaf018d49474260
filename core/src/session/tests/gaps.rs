//! Gaps: what may be missing after an absence, and which gap an answer closes.

use super::rig::{Rig, words};
use crate::model::event::{Event, Gap, GapCause};
use crate::model::message::QoS;
use crate::model::options::{Options, Version};
use crate::model::topic::TopicName;
use crate::session::effect::Input;
use crate::wire::Skipped;

const DAY_MS: i64 = 24 * 3_600_000;

fn away(change: impl FnOnce(&mut Options), granted_s: Option<u32>, ms: i64) -> (Rig, i64) {
    let mut rig = Rig::new(change);
    rig.link_up();
    rig.accept_with(false, |properties| properties.session_expiry = granted_s);
    rig.subscribe("home/#");
    rig.subscribe("garden/#");
    rig.grant(1);
    rig.grant(1);
    let left = rig.now.wall_ms;
    rig.cut();
    rig.advance(ms);
    rig.restart();
    rig.online(true);
    (rig, left)
}

fn told(rig: &Rig) -> Vec<&Gap> {
    rig.events.iter().filter_map(|event| if let Event::Gap(gap) = event { Some(gap) } else { None }).collect()
}

#[test]
fn an_absence_longer_than_the_session_expiry_is_a_gap_though_the_session_is_present() {
    for (version, granted) in [(Version::V5, Some(3_600)), (Version::V311, None)] {
        let (rig, left) = away(
            |options| {
                options.version = version;
                options.session_expiry = std::time::Duration::from_secs(3_600);
            },
            granted,
            2 * 3_600_000,
        );
        let gaps = told(&rig);
        assert_eq!(gaps.len(), 1, "{version:?}");
        let texts: Vec<_> = gaps[0].filters.iter().map(|filter| filter.as_str()).collect();
        assert_eq!((texts, gaps[0].cause), (vec!["garden/#", "home/#"], GapCause::PossiblyDropped));
        assert_eq!((gaps[0].from_ms, gaps[0].to_ms), (left, Some(rig.now.wall_ms)), "closed at once");
        assert_eq!(rig.noted, [gaps[0].clone()]);
    }
}

#[test]
fn a_shorter_absence_or_a_session_that_never_ends_is_none() {
    assert!(told(&away(|_| {}, Some(3_600), 3_400_000).0).is_empty());
    assert!(told(&away(|_| {}, Some(u32::MAX), 900 * DAY_MS).0).is_empty());
}

#[test]
fn what_the_broker_is_known_to_keep_counts_if_it_is_less() {
    let keeps = |options: &mut Options| options.broker_keeps = Some(std::time::Duration::from_secs(600));
    assert!(told(&away(keeps, Some(u32::MAX), 400_000).0).is_empty());
    assert_eq!(told(&away(keeps, Some(u32::MAX), 700_000).0).len(), 1);
}

#[test]
fn a_message_that_was_read_through_leaves_a_gap_with_its_size() {
    let mut rig = Rig::new(|options| options.version = Version::V311);
    rig.online(false);
    rig.sent();
    let topic = TopicName::new("home/film").unwrap();
    rig.input(Input::Skipped(Skipped { topic, qos: QoS::AtLeastOnce, pid: 7, bytes: 70_000_000 }));
    assert_eq!(words(&rig.sent()), ["puback 7"]);
    let gap = told(&rig).remove(0);
    assert_eq!((gap.cause, gap.bytes, gap.to_ms), (GapCause::TooLarge, Some(70_000_000), Some(rig.now.wall_ms)));
    assert_eq!((gap.filters[0].as_str(), &rig.noted), ("home/film", &vec![gap.clone()]));
}
