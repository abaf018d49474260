//! Links that come and go: back-off, keep alive, whose session it is.

use super::rig::{Rig, words};
use crate::model::broker_url::BrokerUrl;
use crate::model::event::{State, Why};
use crate::model::options::Version;
use crate::model::reason::ReasonCode;
use crate::session::effect::Input;
use crate::wire::packet::{Disconnect, Packet};

#[test]
fn a_second_end_of_the_same_link_does_not_skip_the_wait() {
    let mut rig = Rig::new(|_| {});
    rig.link_up();
    rig.refuse(ReasonCode::NotAuthorized);
    rig.input(Input::LinkDown(Why::Cut("eof".to_owned())));
    rig.input(Input::LinkDown(Why::Asked));
    assert!(!rig.open, "0x87 stops fast retries");
    rig.pass(290_000);
    assert!(!rig.open);
    rig.pass(20_000);
    assert!(rig.open);
}

#[test]
fn a_link_that_only_the_driver_closed_is_not_tried_again_at_once() {
    let mut rig = Rig::new(|_| {});
    rig.online(false);
    rig.input(Input::LinkDown(Why::Asked));
    assert!(!rig.open, "no pause between two links");
}

#[test]
fn the_time_before_the_first_input_can_be_asked_for() {
    let rig = Rig::new(|_| {});
    let session = rig.fresh();
    let at = session.timeout(rig.now).unwrap();
    assert!(at.checked_sub(rig.now.mono_ms).is_some_and(|wait| wait <= 0), "{at}");
}

fn online_with_keep_alive(seconds: u16) -> Rig {
    let mut rig = Rig::new(|_| {});
    rig.link_up();
    rig.accept_with(false, |properties| properties.server_keep_alive = Some(seconds));
    rig.sent();
    rig
}

#[test]
fn a_link_that_dies_after_a_message_behind_an_unanswered_ping_is_noticed_in_time() {
    let mut rig = online_with_keep_alive(10);
    rig.pass(10_000);
    assert_eq!(words(&rig.sent()), ["pingreq"]);
    rig.advance(1_000);
    rig.message(0, 0, b"still here");
    rig.pass(14_900);
    assert!(!rig.close);
    rig.pass(200);
    assert!(rig.close, "dead for more than one and a half keep alives");
}

#[test]
fn pings_go_on_while_one_is_unanswered_and_messages_come() {
    let mut rig = online_with_keep_alive(10);
    let mut pings = 0;
    for _ in 0..25 {
        rig.pass(1_000);
        rig.message(0, 0, b"x");
        pings += words(&rig.sent()).iter().filter(|word| *word == "pingreq").count();
    }
    assert!(!rig.close);
    assert_eq!(pings, 2, "the broker waits for a packet every keep alive [3.1.2-20]");
    rig.pass(30_000);
    assert!(rig.close, "silence");
}

#[test]
fn a_missing_pingresp_while_messages_flow_ends_the_link_after_three_keep_alives() {
    let mut rig = online_with_keep_alive(10);
    for second in 0..60 {
        rig.pass(1_000);
        if rig.close {
            assert!((39..=42).contains(&second), "{second}");
            return;
        }
        rig.message(0, 0, b"x");
    }
    panic!("never noticed");
}

#[test]
fn a_silent_link_is_dead_after_one_and_a_half_keep_alives() {
    let mut rig = online_with_keep_alive(10);
    rig.pass(14_900);
    assert!(!rig.close);
    rig.pass(200);
    assert!(rig.close);
    rig.closed();
    assert!(matches!(rig.last_state(), Some(State::Waiting { why: Why::KeepAlive, .. })));
}

#[test]
fn no_keep_alive_no_pings() {
    let mut rig = online_with_keep_alive(0);
    rig.pass(3_600_000);
    assert!(!rig.close && rig.sent().is_empty());
}

fn with_random_id() -> Rig {
    let mut rig = Rig::new(|_| {});
    rig.row.client_id_random = true;
    rig.restart();
    rig
}

#[test]
fn a_random_client_id_may_find_its_own_unanswered_session() {
    let mut rig = with_random_id();
    rig.link_up();
    rig.cut();
    rig.online(true);
    assert!(matches!(rig.last_state(), Some(State::Online { .. })));
}

#[test]
fn a_random_client_id_back_at_an_earlier_broker_does_not_adopt_what_it_left_there() {
    let mut rig = with_random_id();
    rig.online(false);
    rig.publish(2);
    rig.options.broker = Some(BrokerUrl::parse("mqtt://other").unwrap());
    rig.restart();
    rig.online(false);
    rig.options.broker = Some(BrokerUrl::parse("mqtt://model").unwrap());
    rig.restart();
    rig.online(true);
    assert!(rig.close, "its packet identifiers there are those of a session given up");
    rig.closed();
    assert!(rig.link_up().clean_start);
}

#[test]
fn another_protocol_at_the_same_broker_does_not_adopt_the_session() {
    let mut rig = with_random_id();
    rig.online(false);
    rig.options.version = Version::V311;
    rig.restart();
    rig.online(true);
    assert!(rig.close);
}

#[test]
fn a_foreign_session_is_ended_in_three_links_each_of_which_may_be_killed() {
    for killed in 0..3 {
        let mut rig = Rig::new(|_| {});
        for step in 0..3 {
            let connect = rig.link_up();
            assert_eq!(connect.clean_start, step == 1, "step {step}");
            assert_eq!(connect.session_expiry == 0, step == 1);
            if step == killed {
                // Before the CONNACK: the next run begins anew, and finds what it finds.
                rig.restart();
                break;
            }
            rig.accept(step == 0);
            if step < 2 {
                assert_eq!(words(&rig.sent()), ["disconnect 00"]);
                rig.closed();
            }
        }
        assert!(!rig.row.established);
        rig.online(false);
        assert!(rig.row.established, "killed in step {killed}");
    }
}

#[test]
fn a_broker_that_always_has_a_foreign_session_is_not_asked_in_a_tight_loop() {
    let mut rig = Rig::new(|_| {});
    let mut links = 0;
    let end = rig.now.mono_ms + 60_000;
    while rig.now.mono_ms < end {
        if rig.open {
            links += 1;
            let clean = rig.link_up().clean_start;
            rig.accept(!clean);
            rig.closed();
        }
        rig.pass(100);
    }
    assert!(links < 40, "{links} links in a minute");
}

#[test]
fn a_fallback_within_the_dance_ends_in_a_session_of_ours() {
    for step in 0..3 {
        let mut rig = Rig::new(|_| {});
        for link in 0..3 {
            rig.link_up();
            if link == step {
                rig.refuse(ReasonCode::UnsupportedProtocolVersion);
                rig.closed();
                rig.link_up();
            }
            rig.accept(link == 0);
            if link < 2 {
                rig.closed();
            }
        }
        assert!(rig.row.established && rig.row.protocol == Some(4), "fallback in step {step}");
    }
}

#[test]
fn disconnect_in_every_phase_ends_offline_and_connect_begins_anew() {
    for phase in 0..5 {
        let mut rig = Rig::new(|_| {});
        if phase >= 1 {
            rig.open = false;
        }
        if phase >= 2 {
            rig.open = true;
            rig.link_up();
        }
        if phase >= 3 {
            rig.accept(false);
        }
        if phase >= 4 {
            rig.packet(Packet::Disconnect(Disconnect::new(ReasonCode::ServerBusy)));
        }
        rig.input(Input::Disconnect { with_will: false });
        rig.closed();
        assert_eq!(rig.last_state(), Some(&State::Offline(Why::Asked)), "phase {phase}");
        rig.open = false;
        rig.pass(600_000);
        assert!(!rig.open, "phase {phase}");
        rig.input(Input::Connect);
        assert!(rig.open, "phase {phase}");
    }
}
