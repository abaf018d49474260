//! Redirects of a broker, and the pace of CONNECTs.

use std::time::Duration;

use super::addresses::{THREE, asked, host, list, next, rig, unreachable};
use super::rig::Rig;
use crate::model::event::{Event, State, Why};
use crate::model::reason::ReasonCode;
use crate::session::effect::Input;
use crate::wire::packet::{ConnAck, ConnAckProperties, Disconnect, Packet};

fn redirect(rig: &mut Rig, reason: ReasonCode, server: &str) {
    let properties = ConnAckProperties { server_reference: Some(server.to_owned()), ..ConnAckProperties::default() };
    rig.packet(Packet::ConnAck(Box::new(ConnAck { session_present: false, reason, properties })));
    rig.closed();
}

fn warned(rig: &mut Rig, text: &str) -> bool {
    let events = std::mem::take(&mut rig.events);
    events.iter().any(|event| matches!(event, Event::Warning { code: "redirect", text: t } if t.contains(text)))
}

#[test]
fn a_redirect_to_an_address_of_ours_is_followed_for_now_and_a_move_for_the_run_4_11() {
    for (reason, after) in [(ReasonCode::UseAnotherServer, "a"), (ReasonCode::ServerMoved, "c")] {
        let mut rig = rig(&THREE);
        rig.link_up();
        redirect(&mut rig, reason, "elsewhere:1883 c:1883");
        assert_eq!(asked(&rig), "c", "at once");
        assert!(warned(&mut rig, "tried next"));
        rig.online(false);
        // The same in the middle of a link.
        rig.cut();
        assert_eq!(host(&mut rig), after);
        rig.input(Input::Network { online: true, changed: true });
        rig.open = false;
        rig.closed();
        assert_eq!(host(&mut rig), after);
    }
}

#[test]
fn a_disconnect_redirects_too_4_13() {
    let mut rig = rig(&THREE);
    rig.online(false);
    let mut disconnect = Disconnect::new(ReasonCode::UseAnotherServer);
    disconnect.server_reference = Some("b".to_owned());
    rig.packet(Packet::Disconnect(disconnect));
    rig.closed();
    assert_eq!(asked(&rig), "b");
    // It does not answer: back to where we were.
    unreachable(&mut rig);
    assert_eq!(asked(&rig), "a");
}

#[test]
fn a_foreign_server_is_told_and_not_followed_4_11() {
    for reason in [ReasonCode::UseAnotherServer, ReasonCode::ServerMoved] {
        for server in ["evil:1883", "a:1884", "b", "a"] {
            let mut rig = rig(&["mqtt://a", "mqtt://b:7"]);
            rig.link_up();
            redirect(&mut rig, reason, server);
            assert!(warned(&mut rig, "is not followed"), "{server}");
            // The other address of the broker's has its turn like after any failure.
            assert_eq!(asked(&rig), "b");
        }
    }
    let mut rig = rig(&["mqtt://a"]);
    rig.link_up();
    rig.refuse(ReasonCode::ServerMoved);
    rig.closed();
    assert!(warned(&mut rig, "names no other server") && !rig.open);
}

#[test]
fn servers_that_send_us_to_each_other_are_followed_three_times_in_a_row_4_11() {
    for online in [false, true] {
        let mut rig = rig(&["mqtt://a", "mqtt://b"]);
        let mut seen = String::new();
        while rig.open {
            seen += &asked(&rig);
            let other = if seen.ends_with('a') { "b:1883" } else { "a:1883" };
            rig.link_up();
            if online {
                rig.accept(seen.len() > 1);
                let mut disconnect = Disconnect::new(ReasonCode::UseAnotherServer);
                disconnect.server_reference = Some(other.to_owned());
                rig.packet(Packet::Disconnect(disconnect));
                rig.closed();
            } else {
                redirect(&mut rig, ReasonCode::UseAnotherServer, other);
            }
        }
        assert_eq!(seen, "abab", "online: {online}");
        assert!(warned(&mut rig, "too often in a row"));
        assert!(next(&mut rig).0 >= 400);
    }
}

fn paced(rig: &mut Rig, steps: impl Fn(&mut Rig)) -> i64 {
    rig.link_up();
    let before = rig.now.mono_ms;
    steps(rig);
    while !rig.open {
        rig.pass(100);
    }
    rig.now.mono_ms - before
}

#[test]
fn the_pace_holds_whatever_asks_for_the_next_connect() {
    let steps: [fn(&mut Rig); 5] = [
        |rig| rig.input(Input::LinkDown(Why::Closed)),
        |rig| redirect(rig, ReasonCode::ServerMoved, "b:1883"),
        // A foreign session: the next CONNECT ends it.
        |rig| {
            rig.accept(true);
            rig.closed();
        },
        |rig| {
            rig.input(Input::LinkDown(Why::Closed));
            rig.input(Input::Connect);
        },
        |rig| {
            rig.input(Input::LinkDown(Why::Closed));
            rig.input(Input::Network { online: true, changed: true });
        },
    ];
    for (at, step) in steps.into_iter().enumerate() {
        let mut rig = Rig::new(|options| {
            list(options, &["mqtt://a", "mqtt://b"]);
            options.connect_pace = Duration::from_secs(5);
        });
        let wait = paced(&mut rig, step);
        assert!((5_000..5_300).contains(&wait), "step {at}: {wait}");
        let told = rig.events.iter().any(|event| {
            matches!(event, Event::State(State::Waiting { retry_in_ms, .. }) if (4_000..=5_000).contains(retry_in_ms))
        });
        assert!(told, "step {at}");
    }
}

#[test]
fn an_address_that_was_not_reached_costs_no_pace() {
    let mut rig = Rig::new(|options| {
        list(options, &["mqtt://a", "mqtt://b"]);
        options.connect_pace = Duration::from_secs(5);
    });
    unreachable(&mut rig);
    assert_eq!(asked(&rig), "b");
}

#[test]
fn the_pace_outlives_the_process() {
    let mut rig = Rig::new(|options| options.connect_pace = Duration::from_secs(60));
    rig.online(false);
    rig.advance(20_000);
    rig.restart();
    let (wait, _) = next(&mut rig);
    assert!((40_000..40_200).contains(&wait), "{wait}");
    // A CONNECT without an answer: no later than the last commit.
    rig.hot.wall_ms = rig.now.wall_ms;
    rig.link_up();
    rig.hot.wall_ms = rig.now.wall_ms;
    rig.advance(30_000);
    rig.restart();
    let (wait, _) = next(&mut rig);
    assert!((30_000..30_200).contains(&wait), "{wait}");
    // A clock that went back: no longer than the pace.
    rig.now.wall_ms -= 1_000_000_000;
    rig.restart();
    let (wait, _) = next(&mut rig);
    assert!(wait <= 60_100, "{wait}");
}
