//! Credentials that expire, are refused, or cannot be had: what is asked, when, and how often.

use std::time::{Duration, UNIX_EPOCH};

use super::authenticating::{answer, enhanced, provided};
use super::rig::{Rig, words};
use crate::model::credentials::{Credentials, CredentialsError, CredentialsEvent, WhyAsked};
use crate::model::event::{Event, State, Why};
use crate::model::reason::ReasonCode;
use crate::session::effect::{Answer, Input, Question};
use crate::wire::packet::{Ack, Disconnect, Packet};

/// A token that is good for so long from the rig's time on.
fn token(rig: &Rig, seconds: u64) -> Credentials {
    let now = Duration::from_millis(rig.now.wall_ms as u64);
    Credentials::new("token", None).until(UNIX_EPOCH + now + Duration::from_secs(seconds))
}

fn online(seconds: u64) -> Rig {
    let mut rig = Rig::new(|options| {
        provided(options);
        options.keep_alive = Duration::ZERO;
    });
    let credentials = token(&rig, seconds);
    rig.link_up_as(Some(credentials));
    rig.accept(false);
    rig.sent();
    rig
}

fn refreshed(in_place: bool) -> Event {
    Event::Credentials(CredentialsEvent::Refreshed { in_place })
}

#[test]
fn others_are_asked_for_a_tenth_or_a_minute_before_the_end_and_taken_in_use_by_a_new_link() {
    for (life, at) in [(100, 90), (3600, 3540), (20, 18)] {
        let mut rig = online(life);
        rig.pass(at * 1000 - 1);
        assert!(rig.asked.is_empty(), "{life}");
        rig.pass(1);
        assert!(matches!(rig.asked[..], [Question::Fresh(WhyAsked::Expired)]), "{life}: {:?}", rig.asked);
        let fresh = token(&rig, life);
        answer(&mut rig, Answer::Fresh(Ok(Box::new(fresh))));
        assert_eq!(words(&rig.sent()), ["disconnect 00"]);
        rig.closed();
        assert!(rig.open, "at once");
        assert_eq!(rig.session.needs_credentials(), None, "they are there already");
        let connect = rig.link_up();
        assert!(connect.credentials.is_some() && !connect.clean_start);
        assert!(!rig.events.contains(&refreshed(false)), "not yet");
        rig.accept(true);
        assert!(rig.events.contains(&refreshed(false)));
    }
}

#[test]
fn a_new_link_waits_for_a_quiet_moment_but_not_for_ever() {
    let mut rig = online(600);
    let id = rig.publish(1);
    let Packet::Publish(publish) = &rig.sent()[0] else { panic!("no PUBLISH") };
    let pid = publish.pid;
    rig.pass(540_000);
    let fresh = token(&rig, 600);
    answer(&mut rig, Answer::Fresh(Ok(Box::new(fresh))));
    rig.pass(10_000);
    assert!(!rig.close && !rig.fates.contains_key(&id));
    rig.packet(Packet::PubAck(Ack::ok(pid)));
    assert!(rig.close, "quiet");
    // A message that is never acknowledged does not hold it beyond half of what is left.
    let mut rig = online(600);
    rig.publish(2);
    rig.pass(540_000);
    let fresh = token(&rig, 600);
    answer(&mut rig, Answer::Fresh(Ok(Box::new(fresh))));
    rig.pass(29_999);
    assert!(!rig.close);
    rig.pass(1);
    rig.closed();
    rig.link_up();
    rig.accept(true);
    assert!(words(&rig.sent())[0].ends_with("dup"), "what was in flight resumes");
}

#[test]
fn those_with_the_links_method_are_taken_in_use_in_place_and_others_by_a_new_link() {
    let until = |rig: &Rig, data: &str| enhanced(data).until(token(rig, 100).expires_at.unwrap());
    let mut rig = Rig::new(|options| {
        provided(options);
        options.keep_alive = Duration::ZERO;
    });
    let first = until(&rig, "first");
    rig.link_up_as(Some(first));
    rig.accept_with(false, |properties| properties.authentication_method = Some("M".to_owned()));
    answer(&mut rig, Answer::Proof(Ok(())));
    for _ in 0..3 {
        rig.asked.clear();
        rig.pass(90_000);
        assert!(matches!(rig.asked[..], [Question::Fresh(WhyAsked::Expired)]), "{:?}", rig.asked);
        let next = until(&rig, "next");
        answer(&mut rig, Answer::Fresh(Ok(Box::new(next))));
        assert_eq!(words(&rig.sent()), ["auth 19 next"]);
        let success =
            crate::wire::packet::Auth { reason: ReasonCode::Success, method: Some("M".to_owned()), data: None };
        rig.packet(Packet::Auth(success));
        answer(&mut rig, Answer::Proof(Ok(())));
    }
    assert_eq!(rig.events.iter().filter(|event| **event == refreshed(true)).count(), 3);
    rig.asked.clear();
    rig.pass(90_000);
    let other = token(&rig, 100);
    answer(&mut rig, Answer::Fresh(Ok(Box::new(other))));
    assert_eq!(words(&rig.sent()), ["disconnect 00"]);
}

#[test]
fn a_provider_that_has_none_is_asked_again_and_the_link_stands() {
    let mut rig = online(100);
    rig.pass(90_000);
    for _ in 0..20 {
        answer(&mut rig, Answer::Fresh(Err(CredentialsError::Unavailable("no network"))));
        assert!(rig.session.is_up() && !rig.close);
        rig.pass(60_000);
    }
    let asked = rig.asked.len();
    assert!((15..=21).contains(&asked), "{asked} in 20 minutes");
    let failed = Event::Credentials(CredentialsEvent::Failed(CredentialsError::Unavailable("no network")));
    assert!(rig.events.contains(&failed));
}

#[test]
fn the_reasons_to_ask() {
    let mut rig = Rig::new(|options| {
        provided(options);
        options.keep_alive = Duration::ZERO;
    });
    assert_eq!(rig.session.needs_credentials(), Some(WhyAsked::First));
    rig.input(Input::LinkDown(Why::Unreachable("no route".to_owned())));
    assert_eq!(rig.session.needs_credentials(), Some(WhyAsked::First), "none was sent yet");
    rig.pass(130_000);
    let first = token(&rig, 600);
    rig.link_up_as(Some(first));
    rig.accept(false);
    rig.cut();
    assert_eq!(rig.session.needs_credentials(), Some(WhyAsked::Reconnect));
    let second = token(&rig, 600);
    rig.link_up_as(Some(second));
    rig.refuse(ReasonCode::BadUserNameOrPassword);
    rig.closed();
    rig.pass(300_001);
    assert_eq!(rig.session.needs_credentials(), Some(WhyAsked::Refused(ReasonCode::BadUserNameOrPassword)));
    let third = token(&rig, 100);
    rig.link_up_as(Some(third));
    rig.accept(true);
    rig.pass(95_000);
    rig.cut();
    assert_eq!(rig.session.needs_credentials(), Some(WhyAsked::Expired));
}

#[test]
fn a_token_that_the_broker_ends_at_its_expiry_is_replaced_soon_and_refused_again_waits() {
    let mut rig = online(100);
    rig.pass(90_000);
    answer(&mut rig, Answer::Fresh(Err(CredentialsError::Unavailable("no network"))));
    rig.pass(10_000);
    rig.packet(Packet::Disconnect(Disconnect::new(ReasonCode::NotAuthorized)));
    rig.closed();
    rig.pass(1_001);
    assert!(rig.open, "the next ones are worth a try");
    assert_eq!(rig.session.needs_credentials(), Some(WhyAsked::Refused(ReasonCode::NotAuthorized)));
    let next = token(&rig, 100);
    rig.link_up_as(Some(next));
    rig.refuse(ReasonCode::NotAuthorized);
    rig.closed();
    rig.pass(299_000);
    assert!(!rig.open);
    rig.pass(1_001);
    assert!(rig.open);
}

#[test]
fn the_apps_word_ends_the_wait_of_a_refusal_but_not_every_pace() {
    let mut rig = Rig::new(provided);
    let mut tries = 0;
    for _ in 0..1_000 {
        if rig.open {
            tries += 1;
            let next = token(&rig, 600);
            rig.link_up_as(Some(next));
            rig.refuse(ReasonCode::BadUserNameOrPassword);
            rig.closed();
        }
        rig.input(Input::CredentialsChanged);
        rig.pass(10);
    }
    assert!((5..=11).contains(&tries), "{tries} in 10 s");
    // Said while an attempt is under way, it counts for the next.
    rig.pass(1_000);
    rig.input(Input::CredentialsChanged);
    let next = token(&rig, 600);
    rig.link_up_as(Some(next));
    rig.input(Input::CredentialsChanged);
    rig.refuse(ReasonCode::BadUserNameOrPassword);
    rig.closed();
    rig.pass(1_001);
    assert!(rig.open);
}

#[test]
fn the_apps_word_on_a_link_is_no_tight_loop_and_static_ones_do_not_change() {
    let mut rig = online(3600);
    let mut asked = 0;
    for _ in 0..1_000 {
        rig.input(Input::CredentialsChanged);
        if !std::mem::take(&mut rig.asked).is_empty() {
            asked += 1;
            answer(&mut rig, Answer::Fresh(Err(CredentialsError::Unavailable("no network"))));
        }
        rig.pass(10);
    }
    assert!((1..=3).contains(&asked), "{asked} in 10 s");
    let mut rig = Rig::new(|options| options.credentials = Some(Credentials::new("me", None).into()));
    rig.link_up();
    rig.refuse(ReasonCode::NotAuthorized);
    rig.closed();
    rig.input(Input::CredentialsChanged);
    rig.pass(200_000);
    assert!(!rig.open);
}

/// An hour in which everything goes wrong: how many CONNECTs, and how many questions, it takes.
fn hour(life_s: u64, mut end: impl FnMut(&mut Rig, u32)) -> (u32, u32) {
    let mut rig = Rig::new(provided);
    let (mut connects, mut questions) = (0, 0);
    for _ in 0..7_200 {
        if rig.open {
            questions += u32::from(rig.session.needs_credentials().is_some());
            connects += 1;
            let next = token(&rig, life_s);
            rig.link_up_as(Some(next));
            end(&mut rig, connects);
            if rig.close {
                rig.closed();
            }
        }
        for _ in std::mem::take(&mut rig.asked) {
            questions += 1;
            let next = token(&rig, life_s);
            answer(&mut rig, Answer::Fresh(Ok(Box::new(next))));
        }
        if rig.close {
            rig.closed();
        }
        rig.pass(500);
        rig.events.clear();
        rig.sent();
    }
    (connects, questions)
}

#[test]
fn no_hour_is_a_tight_loop() {
    let (connects, questions) = hour(600, |rig, _| rig.refuse(ReasonCode::NotAuthorized));
    assert!(connects <= 13 && questions <= connects, "refused: {connects}, {questions}");
    let (connects, questions) = hour(1, |rig, connects| rig.accept(connects > 1));
    assert!(connects <= 721 && questions <= connects, "a token of one second: {connects}, {questions}");
    let (connects, questions) = hour(1, |rig, connects| {
        rig.accept(connects > 1);
        rig.packet(Packet::Disconnect(Disconnect::new(ReasonCode::NotAuthorized)));
    });
    assert!(connects <= 13 && questions <= connects, "thrown out at once: {connects}, {questions}");
    let (connects, questions) = hour(600, |rig, _| {
        rig.input(Input::LinkDown(Why::Credentials(CredentialsError::Unavailable("no network"))));
    });
    assert!(connects <= 120 && questions <= connects, "no credentials: {connects}, {questions}");
}

#[test]
fn a_provider_that_is_signed_out_waits_for_the_apps_word() {
    let mut rig = Rig::new(provided);
    let error = CredentialsError::SignedOut("no user");
    rig.input(Input::LinkDown(Why::Credentials(error)));
    assert!(matches!(
        rig.last_state(),
        Some(State::Waiting { why: Why::Credentials(e), retry_in_ms: 300_000 }) if *e == error
    ));
    rig.open = false;
    rig.pass(200_000);
    assert!(!rig.open);
    rig.input(Input::CredentialsChanged);
    assert!(rig.open);
}

#[test]
fn a_clock_that_is_put_right_ends_the_wait_of_a_refusal_once() {
    let refused = || {
        let mut rig = Rig::new(provided);
        let signed = token(&rig, 600);
        rig.link_up_as(Some(signed));
        rig.refuse(ReasonCode::NotAuthorized);
        rig.closed();
        rig.pass(10_000);
        rig
    };
    for step in [56 * 365 * 86_400_000, 60_000, -60_000] {
        let mut rig = refused();
        rig.now.wall_ms += step;
        rig.input(Input::Tick);
        assert!(rig.open, "{step}");
        let signed = token(&rig, 600);
        rig.link_up_as(Some(signed));
        rig.refuse(ReasonCode::NotAuthorized);
        rig.closed();
        rig.pass(250_000);
        assert!(!rig.open, "it is right now, and refused all the same");
    }
    let mut rig = refused();
    rig.now.wall_ms += 59_000;
    rig.pass(250_000);
    assert!(!rig.open, "a clock that drifts says nothing");
    // Static credentials are the same by any clock.
    let mut rig = Rig::new(|options| options.credentials = Some(Credentials::new("me", None).into()));
    rig.link_up();
    rig.refuse(ReasonCode::NotAuthorized);
    rig.closed();
    rig.now.wall_ms += 86_400_000;
    rig.pass(200_000);
    assert!(!rig.open);
}
