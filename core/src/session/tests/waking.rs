//! Sleep, hints of the platform, and the end of a catch-up.

use super::rig::{Rig, words};
use crate::model::event::{State, Why};
use crate::model::reason::ReasonCode;
use crate::session::effect::Input;
use crate::wire::packet::{Ack, Packet};

fn network(online: bool, changed: bool) -> Input {
    Input::Network { online, changed }
}

#[test]
fn after_sleep_nothing_leaves_before_the_link_is_known_to_live() {
    let mut rig = Rig::new(|_| {});
    rig.online(false);
    rig.sent();
    rig.advance(3_600_000);
    rig.input(Input::Woke);
    rig.publish(1);
    rig.message(1, 7, b"x");
    rig.subscribe("a");
    assert_eq!(words(&rig.sent()), ["pingreq"]);
    rig.advance(40);
    rig.packet(Packet::PingResp);
    let sent = words(&rig.sent());
    assert_eq!(sent[..2], ["puback 7", "subscribe a"]);
    assert!(sent[2].starts_with("publish1"), "{sent:?}");
}

#[test]
fn a_link_that_died_in_sleep_is_given_up_after_three_seconds_and_made_anew_at_once() {
    let mut rig = Rig::new(|_| {});
    rig.online(false);
    rig.advance(3_600_000);
    rig.input(Input::Woke);
    let id = rig.publish(0);
    rig.pass(2_999);
    assert!(!rig.close, "not yet");
    rig.pass(1);
    rig.closed();
    assert!(!rig.fates.contains_key(&id), "QoS 0 was not given to a dead link");
    assert!(rig.open, "at once");
    rig.online(true);
    assert_eq!(rig.sent().len(), 1);
    assert!(rig.fates.contains_key(&id));
}

#[test]
fn a_check_works_without_keep_alive_too() {
    let mut rig = Rig::new(|options| options.keep_alive = std::time::Duration::ZERO);
    rig.online(false);
    rig.input(Input::Woke);
    rig.pass(3_000);
    assert!(rig.close);
}

#[test]
fn a_broker_that_sends_on_and_on_is_not_kept_in_memory() {
    let mut rig = Rig::new(|options| options.receive_maximum = 65_535);
    rig.online(false);
    rig.sent();
    rig.input(Input::Woke);
    for n in 0..5_000_u32 {
        rig.message(1, (n % 60_000) as u16 + 1, b"x");
    }
    assert!(rig.sent().len() > 4_096);
}

#[test]
fn offline_holds_attempts_and_online_wakes_them() {
    let mut rig = Rig::new(|_| {});
    rig.input(Input::LinkDown(Why::Unreachable("no".to_owned())));
    rig.open = false;
    rig.input(network(false, false));
    assert_eq!(rig.last_state(), Some(&State::Offline(Why::NoNetwork)));
    rig.pass(3_600_000);
    assert!(!rig.open, "held");
    rig.input(network(true, false));
    assert!(rig.open, "at once");
}

#[test]
fn what_the_app_asks_for_is_done_whatever_the_hint() {
    let mut rig = Rig::new(|options| options.connect = false);
    rig.input(network(false, false));
    rig.input(Input::Connect);
    assert!(rig.open);
}

#[test]
fn an_attempt_over_the_old_network_is_made_anew() {
    let mut rig = Rig::new(|_| {});
    assert!(rig.open);
    rig.open = false;
    rig.advance(5_000);
    rig.input(network(true, true));
    rig.closed();
    assert!(rig.open);
}

#[test]
fn hints_that_flap_make_no_tight_loop() {
    let mut rig = Rig::new(|_| {});
    rig.open = false;
    rig.input(Input::LinkDown(Why::Unreachable("no".to_owned())));
    let mut attempts = 0;
    for n in 0..1_000 {
        rig.input(network(n % 2 == 0, true));
        rig.pass(10);
        if std::mem::take(&mut rig.open) {
            attempts += 1;
            rig.input(Input::LinkDown(Why::Unreachable("no".to_owned())));
        }
        if std::mem::take(&mut rig.close) {
            rig.input(Input::LinkDown(Why::Asked));
        }
    }
    assert!((5..=11).contains(&attempts), "{attempts} in 10 s");
}

#[test]
fn hints_that_flap_on_a_link_are_one_ping_a_second() {
    let mut rig = Rig::new(|_| {});
    rig.online(false);
    rig.sent();
    for n in 0..1_000 {
        rig.input(network(n % 2 == 0, true));
        rig.pass(10);
        if words(&rig.sent()).contains(&"pingreq".to_owned()) {
            rig.packet(Packet::PingResp);
        }
    }
    let pings = (0..5).map(|_| rig.sent().len()).sum::<usize>();
    assert_eq!(pings, 0);
    assert!(!rig.close, "it lives");
}

#[test]
fn refused_credentials_are_not_tried_again_for_a_hint() {
    let mut rig = Rig::new(|_| {});
    rig.link_up();
    rig.refuse(ReasonCode::NotAuthorized);
    rig.closed();
    rig.input(network(false, false));
    rig.input(network(true, false));
    rig.pass(200_000);
    assert!(!rig.open);
    assert!(matches!(rig.last_state(), Some(State::Waiting { retry_in_ms: 290_000..=300_000, .. })));
}

#[test]
fn drained_is_silence_behind_a_pingresp_once_all_is_settled() {
    let mut rig = Rig::new(|_| {});
    rig.subscribe("down");
    let id = rig.publish(1);
    rig.session.watch_drain(true);
    rig.link_up();
    rig.accept(false);
    assert!(!rig.session.is_drained(rig.now));
    let Some(Packet::Publish(publish)) = rig.sends.iter().find(|packet| matches!(packet, Packet::Publish(_))) else {
        panic!("{:?}", rig.sends)
    };
    let pid = publish.pid;
    assert_eq!(rig.grant(2), 1);
    assert!(rig.sent().is_empty(), "the outbox is not empty yet");
    rig.packet(Packet::PubAck(Ack::ok(pid)));
    assert!(rig.fates.contains_key(&id));
    assert_eq!(words(&rig.sent()), ["pingreq"]);
    rig.advance(200);
    rig.packet(Packet::PingResp);
    rig.advance(700);
    rig.message(2, 1, b"x");
    rig.advance(799);
    assert!(!rig.session.is_drained(rig.now), "four round trips of 200 ms");
    rig.advance(1);
    assert!(rig.session.is_drained(rig.now));
    rig.publish(1);
    assert!(!rig.session.is_drained(rig.now), "something waits again");
}

#[test]
fn a_link_that_breaks_begins_the_look_anew() {
    let mut rig = Rig::new(|_| {});
    rig.session.watch_drain(true);
    rig.online(false);
    assert_eq!(words(&rig.sent()), ["pingreq"]);
    rig.packet(Packet::PingResp);
    rig.cut();
    rig.pass(10_000);
    assert!(!rig.session.is_drained(rig.now));
    rig.online(true);
    assert_eq!(words(&rig.sent()), ["pingreq"]);
    rig.packet(Packet::PingResp);
    rig.pass(500);
    assert!(rig.session.is_drained(rig.now));
}
