//! A commit that fails, or a panic: the session is rebuilt from its rows, and what the broker was promised goes on.

use std::time::Duration;

use super::addresses::{asked, list, next, unreachable};
use super::authenticating::provided;
use super::rig::Rig;
use crate::model::credentials::{Credentials, WhyAsked};
use crate::model::event::{State, Why};
use crate::model::reason::ReasonCode;
use crate::session::effect::Input;
use crate::wire::packet::{Disconnect, Packet};

/// The memory of the session goes, the process goes on.
fn fail(rig: &mut Rig) {
    let (metrics, outlived) = (*rig.session.metrics(), rig.session.outlived());
    rig.rebuild(|session| session.go_on(metrics, outlived));
}

fn pause(rig: &mut Rig) {
    let (metrics, outlived) = (*rig.session.metrics(), rig.session.outlived().after_pause(true));
    rig.rebuild(|session| session.go_on(metrics, outlived));
}

#[test]
fn a_broker_that_refused_us_is_left_alone_for_the_rest_of_the_five_minutes() {
    let mut rig = Rig::new(provided);
    rig.link_up_as(Some(Credentials::new("old", None)));
    rig.refuse(ReasonCode::NotAuthorized);
    rig.closed();
    rig.pass(100_000);
    for _ in 0..5 {
        rig.events.clear();
        fail(&mut rig);
        let left = (300_000 - 100_000_i64).unsigned_abs();
        let why = Why::Broker(ReasonCode::NotAuthorized);
        assert_eq!(rig.last_state(), Some(&State::Waiting { retry_in_ms: left, why }), "the app is told again");
    }
    rig.pass(199_999);
    assert!(!rig.open);
    rig.pass(2);
    assert!(rig.open);
    assert_eq!(rig.session.needs_credentials(), Some(WhyAsked::Refused(ReasonCode::NotAuthorized)));
}

#[test]
fn an_address_that_refused_us_is_left_alone_while_others_are_tried() {
    let mut rig = Rig::new(|options| list(options, &["mqtt://a", "mqtt://b"]));
    rig.link_up();
    rig.refuse(ReasonCode::Banned);
    rig.closed();
    for _ in 0..5 {
        assert_eq!(next(&mut rig).1, "b");
        unreachable(&mut rig);
        fail(&mut rig);
        assert_eq!(asked(&rig), "-", "the back-off goes on");
    }
}

#[test]
fn another_client_keeps_the_session_that_it_has_taken_over() {
    let mut rig = Rig::new(|_| {});
    rig.online(false);
    rig.packet(Packet::Disconnect(Disconnect::new(ReasonCode::SessionTakenOver)));
    rig.closed();
    rig.events.clear();
    fail(&mut rig);
    assert_eq!(rig.last_state(), Some(&State::TakenOver));
    rig.pass(600_000);
    assert!(!rig.open);
    rig.input(Input::Connect);
    assert!(rig.open);
}

#[test]
fn no_network_stays_no_network() {
    let mut rig = Rig::new(|_| {});
    unreachable(&mut rig);
    rig.input(Input::Network { online: false, changed: false });
    fail(&mut rig);
    assert_eq!(rig.last_state(), Some(&State::Offline(Why::NoNetwork)));
    rig.pass(600_000);
    assert!(!rig.open);
    rig.input(Input::Network { online: true, changed: false });
    rig.pass(1_001);
    assert!(rig.open);
}

#[test]
fn links_that_failed_commits_end_are_neither_a_tight_loop_nor_long_away() {
    let mut rig = Rig::new(|_| {});
    let (begin, mut links, mut last) = (rig.now.mono_ms, 0, 0);
    while rig.now.mono_ms - begin < 600_000 {
        if rig.open {
            let now = rig.now.mono_ms;
            let waited = now - std::mem::replace(&mut last, now);
            assert!(links == 0 || (500..=4_100).contains(&waited), "{waited}");
            links += 1;
            rig.online(links > 1);
            fail(&mut rig);
            assert!(!rig.open);
        }
        rig.pass(100);
    }
    assert!(links > 100, "{links} in ten minutes");
}

#[test]
fn the_pace_goes_on_also_through_a_pause_and_for_a_connect_that_was_refused() {
    for again in [fail, pause] {
        let mut rig = Rig::new(|options| {
            options.connect_pace = Duration::from_secs(60);
            options.retry = (Duration::from_millis(1), Duration::from_millis(2));
        });
        rig.link_up();
        rig.refuse(ReasonCode::ServerBusy);
        rig.closed();
        rig.pass(20_000);
        again(&mut rig);
        rig.pass(39_999);
        assert!(!rig.open);
        rig.pass(2);
        assert!(rig.open);
    }
}

#[test]
fn to_resume_after_a_pause_is_to_ask() {
    let mut rig = Rig::new(provided);
    rig.link_up_as(Some(Credentials::new("old", None)));
    rig.refuse(ReasonCode::NotAuthorized);
    rig.closed();
    pause(&mut rig);
    assert!(rig.open);
    assert_eq!(rig.session.needs_credentials(), Some(WhyAsked::Refused(ReasonCode::NotAuthorized)));
}
