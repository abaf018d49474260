//! Enhanced authentication: the exchange during CONNECT, re-authentication amid traffic, and brokers that get it wrong.

use std::sync::Arc;

use super::rig::{Rig, words};
use crate::model::credentials::{
    AuthData, BoxFuture, Credentials, CredentialsError, CredentialsEvent, CredentialsProvider, CredentialsRequest,
    CredentialsSource, WhyAsked,
};
use crate::model::event::{Event, State, Why};
use crate::model::options::{Options, Version};
use crate::model::reason::ReasonCode;
use crate::session::effect::{Answer, Input, Question};
use crate::wire::packet::{Ack, Auth, ConnAck, ConnAckProperties, Disconnect, Packet};

const METHOD: &str = "M";

/// The tests answer in its place.
struct Nobody;

impl CredentialsProvider for Nobody {
    fn credentials(&self, _: CredentialsRequest) -> BoxFuture<'_, Result<Credentials, CredentialsError>> {
        Box::pin(std::future::ready(Err(CredentialsError::Unavailable("never asked"))))
    }
}

pub(super) fn provided(options: &mut Options) {
    options.credentials = Some(CredentialsSource::Provider(Arc::new(Nobody)));
}

pub(super) fn enhanced(data: &str) -> Credentials {
    Credentials::enhanced(METHOD, Some(AuthData::new(data)))
}

fn auth(reason: ReasonCode, data: &str) -> Packet {
    Packet::Auth(Auth { reason, method: Some(METHOD.to_owned()), data: Some(AuthData::new(data)) })
}

fn more(data: &str) -> Packet {
    auth(ReasonCode::ContinueAuthentication, data)
}

fn connack(method: Option<&str>) -> Packet {
    let properties =
        ConnAckProperties { authentication_method: method.map(str::to_owned), ..ConnAckProperties::default() };
    Packet::ConnAck(Box::new(ConnAck { session_present: false, reason: ReasonCode::Success, properties }))
}

/// CONNECT with a method has been sent.
fn connecting() -> Rig {
    let mut rig = Rig::new(provided);
    rig.link_up_as(Some(enhanced("first")));
    rig
}

pub(super) fn answer(rig: &mut Rig, answer: Answer) {
    rig.input(Input::Answered(answer));
}

/// Online by the method; nothing asked, nothing sent.
fn online() -> Rig {
    let mut rig = connecting();
    rig.packet(connack(Some(METHOD)));
    answer(&mut rig, Answer::Proof(Ok(())));
    assert!(rig.session.is_up());
    rig.asked.clear();
    rig.sent();
    rig
}

/// Re-authentication was begun.
fn renewing() -> Rig {
    let mut rig = online();
    rig.pass(5_000);
    rig.sent();
    rig.input(Input::CredentialsChanged);
    assert!(matches!(rig.asked[..], [Question::Fresh(WhyAsked::Expired)]));
    answer(&mut rig, Answer::Fresh(Ok(Box::new(enhanced("second")))));
    assert_eq!(words(&rig.sent()), ["auth 19 second"]);
    rig.asked.clear();
    rig
}

fn refused_with(mut rig: Rig, code: &str) {
    assert_eq!(words(&rig.sent()), [format!("disconnect {code}")]);
    rig.closed();
    assert!(!rig.open && !rig.session.is_up());
}

#[test]
fn an_exchange_during_connect_is_the_providers_and_so_is_the_last_word() {
    let mut rig = connecting();
    for round in 1..=3 {
        rig.packet(more("challenge"));
        match &rig.asked[..] {
            [Question::Step(challenge)] => {
                assert_eq!((challenge.round, challenge.method.as_str()), (round, METHOD));
                assert_eq!(challenge.data, Some(AuthData::new("challenge")));
            }
            other => panic!("{other:?}"),
        }
        rig.asked.clear();
        answer(&mut rig, Answer::Step(Ok(Some(AuthData::new("proof")))));
        assert_eq!(words(&rig.sent()), ["auth 18 proof"]);
    }
    rig.publish(2);
    // What comes right behind the CONNACK waits for the provider's word, as everything of ours does.
    rig.turn(vec![Input::Packet(connack(Some(METHOD))), Input::Packet(super::rig::message(1, 7, b"early"))]);
    assert!(rig.session.holds_connack() && rig.inbox.is_empty() && rig.sent().is_empty());
    assert!(matches!(rig.asked[..], [Question::Proof(_)]));
    answer(&mut rig, Answer::Proof(Ok(())));
    assert!(rig.session.is_up());
    assert_eq!(rig.inbox.len(), 1);
    let sent = words(&rig.sent());
    assert!(sent[0].starts_with("publish2") && sent[1] == "puback 7", "{sent:?}");
}

#[test]
fn a_broker_that_does_not_prove_itself_gets_nothing() {
    let mut rig = connecting();
    rig.publish(1);
    rig.packet(connack(Some(METHOD)));
    let error = CredentialsError::BrokerNotTrusted("wrong signature");
    answer(&mut rig, Answer::Proof(Err(error)));
    assert_eq!(words(&rig.sent()), ["disconnect 83"]);
    rig.closed();
    assert!(matches!(rig.last_state(), Some(State::Waiting { why: Why::Credentials(e), .. }) if *e == error));
    assert!(rig.events.contains(&Event::Credentials(CredentialsEvent::Failed(error))));
    assert!(!rig.row.established, "nothing of that CONNACK counts");
}

#[test]
fn auth_of_another_method_without_one_or_with_another_reason_is_0x82() {
    let wrong = [
        Auth { reason: ReasonCode::ContinueAuthentication, method: Some("N".to_owned()), data: None },
        Auth { reason: ReasonCode::ContinueAuthentication, method: None, data: None },
        Auth { reason: ReasonCode::Success, method: Some(METHOD.to_owned()), data: None },
        Auth { reason: ReasonCode::ReAuthenticate, method: Some(METHOD.to_owned()), data: None },
    ];
    for auth in wrong {
        let mut rig = connecting();
        rig.packet(Packet::Auth(auth.clone()));
        assert!(rig.asked.is_empty());
        refused_with(rig, "82");
        let mut rig = online();
        rig.packet(Packet::Auth(auth));
        refused_with(rig, "82");
    }
    // Nobody has asked for one.
    let mut rig = online();
    rig.packet(more("x"));
    refused_with(rig, "82");
    let mut rig = connecting();
    rig.packet(more("x"));
    rig.packet(more("y"));
    refused_with(rig, "82");
}

#[test]
fn a_connack_of_another_method_or_of_one_nobody_named_is_0x82_mqtt_4_12_0_5_and_6() {
    for method in [None, Some("N")] {
        let mut rig = connecting();
        rig.packet(connack(method));
        refused_with(rig, "82");
    }
    let mut rig = Rig::new(|_| {});
    rig.link_up();
    rig.packet(connack(Some(METHOD)));
    refused_with(rig, "82");
}

#[test]
fn ten_rounds_and_no_more() {
    let mut rig = connecting();
    for _ in 0..10 {
        rig.packet(more("again"));
        answer(&mut rig, Answer::Step(Ok(None)));
    }
    rig.sent();
    rig.packet(more("again"));
    refused_with(rig, "83");
}

#[test]
fn a_step_that_never_comes_ends_the_attempt() {
    let mut rig = connecting();
    rig.pass(15_000);
    rig.packet(more("challenge"));
    rig.pass(19_000);
    assert!(!rig.close, "each step has its time");
    answer(&mut rig, Answer::Step(Ok(None)));
    rig.pass(19_000);
    assert!(!rig.close);
    rig.pass(1_001);
    rig.closed();
    assert!(matches!(rig.last_state(), Some(State::Waiting { why: Why::ConnackTimeout, .. })));
    // And the provider's answer to a link that is gone is nobody's.
    rig.sent();
    answer(&mut rig, Answer::Step(Ok(Some(AuthData::new("late")))));
    assert!(rig.sent().is_empty());
}

#[test]
fn static_credentials_know_no_second_step() {
    let mut rig = Rig::new(|options| options.credentials = Some(enhanced("first").into()));
    let connect = rig.link_up();
    assert_eq!(connect.credentials.as_ref().and_then(Credentials::method), Some(METHOD));
    rig.packet(more("challenge"));
    assert_eq!(words(&rig.sent()), ["disconnect 83"]);
    rig.closed();
    let why = Why::Credentials(CredentialsError::NoExchange);
    assert!(matches!(rig.last_state(), Some(State::Waiting { why: w, retry_in_ms: 300_000 }) if *w == why));
    // One step is enough for a token.
    let mut rig = Rig::new(|options| options.credentials = Some(enhanced("token").into()));
    rig.link_up();
    rig.packet(connack(Some(METHOD)));
    assert!(rig.session.is_up() && rig.asked.is_empty());
}

#[test]
fn a_broker_that_knows_no_mqtt_5_does_not_lock_a_method_out_for_good() {
    let mut rig = connecting();
    rig.refuse(ReasonCode::UnsupportedProtocolVersion);
    rig.closed();
    assert_eq!(rig.row.protocol, None, "3.1.1 has no methods");
}

#[test]
fn a_method_is_not_dropped_in_silence_on_a_3_1_1_link() {
    let mut rig = Rig::new(|options| {
        provided(options);
        options.version = Version::V311;
    });
    rig.open = false;
    rig.input(Input::LinkUp(Some(Box::new(enhanced("token")))));
    assert!(rig.sent().is_empty(), "no CONNECT without its proof");
    rig.closed();
    let why = Why::Credentials(CredentialsError::NeedsMqtt5);
    assert!(matches!(rig.last_state(), Some(State::Waiting { why: w, retry_in_ms: 300_000 }) if *w == why));
}

#[test]
fn re_authentication_amid_qos_2_traffic_that_goes_on() {
    let mut rig = renewing();
    let id = rig.publish(2);
    let Packet::Publish(publish) = &rig.sent()[0] else { panic!("no PUBLISH") };
    let pid = publish.pid;
    rig.message(2, 9, b"in");
    assert_eq!(words(&rig.sent()), ["pubrec 9"]);
    rig.packet(more("challenge"));
    rig.packet(Packet::PubRec(Ack::ok(pid)));
    rig.packet(Packet::PubRel(Ack::ok(9)));
    assert_eq!(words(&rig.sent())[..2], [format!("pubrel {pid}"), "pubcomp 9".to_owned()]);
    answer(&mut rig, Answer::Step(Ok(Some(AuthData::new("proof")))));
    rig.packet(Packet::PubComp(Ack::ok(pid)));
    assert_eq!(words(&rig.sent())[0], "auth 18 proof");
    rig.packet(auth(ReasonCode::Success, "signature"));
    assert!(matches!(rig.asked.last(), Some(Question::Proof(c)) if c.data == Some(AuthData::new("signature"))));
    answer(&mut rig, Answer::Proof(Ok(())));
    assert!(rig.fates.contains_key(&id) && rig.session.is_up());
    assert!(rig.events.contains(&Event::Credentials(CredentialsEvent::Refreshed { in_place: true })));
    // It is over: the next AUTH is one that nobody asked for.
    rig.packet(auth(ReasonCode::Success, ""));
    refused_with(rig, "82");
}

#[test]
fn a_re_authentication_that_fails_is_refused_credentials_and_qos_2_resumes() {
    let mut rig = renewing();
    let id = rig.publish(2);
    let Packet::Publish(publish) = &rig.sent()[0] else { panic!("no PUBLISH") };
    let pid = publish.pid;
    rig.packet(Packet::PubRec(Ack::ok(pid)));
    rig.packet(Packet::Disconnect(Disconnect::new(ReasonCode::NotAuthorized)));
    rig.closed();
    let refused = |event: &Event| {
        matches!(
            event,
            Event::Credentials(CredentialsEvent::Refused { reason: ReasonCode::NotAuthorized, retry_in_ms: 300_000 })
        )
    };
    assert!(rig.events.iter().any(refused));
    assert_eq!(rig.session.needs_credentials(), Some(WhyAsked::Refused(ReasonCode::NotAuthorized)));
    rig.pass(299_000);
    assert!(!rig.open);
    rig.pass(1_001);
    rig.link_up_as(Some(enhanced("third")));
    let properties =
        ConnAckProperties { authentication_method: Some(METHOD.to_owned()), ..ConnAckProperties::default() };
    let ack = ConnAck { session_present: true, reason: ReasonCode::Success, properties };
    rig.packet(Packet::ConnAck(Box::new(ack)));
    answer(&mut rig, Answer::Proof(Ok(())));
    assert_eq!(words(&rig.sent())[0], format!("pubrel {pid}"), "no second PUBLISH");
    rig.packet(Packet::PubComp(Ack::ok(pid)));
    assert!(rig.fates.contains_key(&id));
}

#[test]
fn a_broker_that_never_answers_a_re_authentication_loses_the_link() {
    let mut rig = renewing();
    rig.pass(20_001);
    rig.closed();
    let why = Why::Credentials(CredentialsError::NoAnswer);
    assert!(matches!(rig.last_state(), Some(State::Waiting { why: w, .. }) if *w == why));
}
