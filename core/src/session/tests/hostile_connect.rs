//! Hostile broker: CONNACKs of all kinds, and none.

use super::rig::{Rig, words};
use crate::model::credentials::Credentials;
use crate::model::event::{Event, State, Why};
use crate::model::options::Version;
use crate::model::reason::ReasonCode;
use crate::session::effect::Input;
use crate::wire::packet::{Ack, Auth, ConnAck, ConnAckProperties, Disconnect, Packet, Protocol};

#[test]
fn the_first_packet_is_not_a_connack_3_2_0_1() {
    for packet in [Packet::PingResp, Packet::PubAck(Ack::ok(1)), super::rig::message(1, 1, b"x")] {
        let mut rig = Rig::new(|_| {});
        rig.link_up();
        rig.packet(packet);
        rig.closed();
        assert!(!rig.open && rig.inbox.is_empty());
    }
}

#[test]
fn auth_during_connect_without_a_method_4_12_0_6() {
    let mut rig = Rig::new(|_| {});
    rig.link_up();
    rig.packet(Packet::Auth(Auth { reason: ReasonCode::ContinueAuthentication, method: None, data: None }));
    rig.closed();
    assert!(matches!(rig.last_state(), Some(State::Waiting { why: Why::Protocol(ReasonCode::ProtocolError, _), .. })));
}

#[test]
fn connack_never_or_a_byte_a_second() {
    let mut rig = Rig::new(|_| {});
    rig.link_up();
    for _ in 0..25 {
        rig.session.heard(rig.now);
        rig.pass(1_000);
    }
    rig.closed();
    assert!(matches!(rig.last_state(), Some(State::Waiting { why: Why::ConnackTimeout, .. })));
}

/// How long after a refusal the next link is asked for.
fn wait_after(reason: ReasonCode) -> i64 {
    let mut rig = Rig::new(|_| {});
    rig.link_up();
    rig.refuse(reason);
    rig.closed();
    let before = rig.now.mono_ms;
    while !rig.open {
        rig.pass(100);
        assert!(rig.now.mono_ms - before < 400_000, "{reason} is never tried again");
    }
    rig.now.mono_ms - before
}

#[test]
fn refusals_that_stop_fast_retries_and_those_that_back_off() {
    for code in [0x85, 0x86, 0x87, 0x8a, 0x8c] {
        assert!(wait_after(ReasonCode::from(code)) >= 300_000, "{code:x}");
    }
    for code in [0x80, 0x88, 0x89, 0x95, 0x97, 0x9f, 0xfe] {
        let wait = wait_after(ReasonCode::from(code));
        assert!((500..=1_100).contains(&wait), "{code:x} {wait}");
    }
}

#[test]
fn new_credentials_or_the_app_end_the_wait_of_a_refusal() {
    let mut rig = Rig::new(|_| {});
    rig.link_up();
    rig.refuse(ReasonCode::BadUserNameOrPassword);
    rig.closed();
    assert!(!rig.open);
    rig.input(Input::Connect);
    assert!(rig.open);
}

#[test]
fn a_broker_that_refuses_for_ever_is_asked_less_and_less() {
    let mut rig = Rig::new(|_| {});
    let mut links = 0;
    for _ in 0..3600 {
        if rig.open {
            links += 1;
            rig.link_up();
            rig.refuse(ReasonCode::ServerUnavailable);
            rig.closed();
        }
        rig.pass(1_000);
    }
    assert!((20..120).contains(&links), "{links} links in an hour");
}

#[test]
fn auto_falls_back_on_0x84_once_and_stays_there() {
    let mut rig = Rig::new(|_| {});
    assert_eq!(rig.link_up().protocol, Protocol::V5);
    rig.refuse(ReasonCode::UnsupportedProtocolVersion);
    rig.closed();
    assert_eq!(rig.link_up().protocol, Protocol::V4);
    rig.refuse(ReasonCode::UnsupportedProtocolVersion);
    rig.closed();
    assert!(!rig.open, "no ping-pong between versions");
    rig.restart();
    assert_eq!(rig.link_up().protocol, Protocol::V4);
}

#[test]
fn auto_does_not_fall_back_on_a_cut_and_a_chosen_version_never() {
    let mut rig = Rig::new(|_| {});
    rig.link_up();
    rig.cut();
    assert_eq!(rig.link_up().protocol, Protocol::V5);
    let mut rig = Rig::new(|options| options.version = Version::V5);
    rig.link_up();
    rig.refuse(ReasonCode::UnsupportedProtocolVersion);
    rig.closed();
    assert!(!rig.open);
    rig.pass(130_000);
    assert_eq!(rig.link_up().protocol, Protocol::V5);
}

#[test]
fn server_keep_alive_5_replaces_ours_3_2_2_21() {
    let mut rig = Rig::new(|_| {});
    rig.link_up();
    rig.accept_with(false, |properties| properties.server_keep_alive = Some(5));
    rig.pass(5_000);
    assert_eq!(words(&rig.sent()), ["pingreq"]);
    rig.pass(2_600);
    assert!(rig.close);
}

#[test]
fn session_taken_over_stops_until_the_app_asks() {
    let mut rig = Rig::new(|_| {});
    rig.online(false);
    rig.packet(Packet::Disconnect(Disconnect::new(ReasonCode::SessionTakenOver)));
    rig.closed();
    assert_eq!(rig.last_state(), Some(&State::TakenOver));
    rig.pass(3_600_000);
    assert!(!rig.open);
    rig.input(Input::Connect);
    assert!(rig.open);
}

#[test]
fn five_short_lives_are_a_probable_take_over() {
    let mut rig = Rig::new(|options| options.version = Version::V311);
    for life in 0..5 {
        rig.online(life > 0);
        rig.pass(1_000);
        rig.cut();
        let told = rig.events.iter().any(|event| matches!(event, Event::Warning { code: "probable_take_over", .. }));
        assert_eq!(told, life == 4, "life {life}");
    }
}

#[test]
fn another_server_is_named_in_an_event_and_gets_no_credentials() {
    let mut rig =
        Rig::new(|options| options.credentials = Some(Credentials::new("me", Some(b"secret".to_vec())).into()));
    rig.link_up();
    let properties =
        ConnAckProperties { server_reference: Some("evil.example".to_owned()), ..ConnAckProperties::default() };
    let ack = ConnAck { session_present: false, reason: ReasonCode::UseAnotherServer, properties };
    rig.packet(Packet::ConnAck(Box::new(ack)));
    rig.closed();
    assert!(rig.events.iter().any(|event| matches!(event, Event::Warning { code: "redirect", .. })));
    assert_eq!(rig.row.broker.as_deref(), Some("mqtt://model:1883"));
    assert!(!format!("{:?}", rig.events).contains("secret"));
}

#[test]
fn p12_nothing_that_can_be_printed_holds_a_payload_or_a_password() {
    let mut rig =
        Rig::new(|options| options.credentials = Some(Credentials::new("me", Some(b"secret".to_vec())).into()));
    let connect = rig.link_up();
    assert!(!format!("{connect:?} {:?}", rig.options).contains("secret"));
    let publish = super::rig::message(1, 1, b"hidden");
    rig.publish_row(1, |row| row.payload = bytes::Bytes::from_static(b"hidden"));
    assert!(!format!("{publish:?} {:?}", rig.outbox).contains("hidden"));
}
