//! Several addresses of one broker: which is tried when, whose session is found there, redirects, the pace of CONNECTs.
//! More than 400 lines: one table of links and answers that all of it shares.

use std::time::Duration;

use super::rig::{Rig, words};
use crate::model::broker_url::BrokerUrl;
use crate::model::credentials::Credentials;
use crate::model::event::{Event, GapCause, State, Why};
use crate::model::options::Options;
use crate::model::reason::ReasonCode;
use crate::session::effect::Input;
use crate::wire::packet::{ConnAck, ConnAckProperties, Disconnect, Packet};

fn list(options: &mut Options, urls: &[&str]) {
    let mut urls = urls.iter().map(|url| BrokerUrl::parse(url).unwrap());
    options.broker = urls.next();
    options.other_addresses = urls.collect();
}

fn rig(urls: &[&str]) -> Rig {
    Rig::new(|options| list(options, urls))
}

const THREE: [&str; 3] = ["mqtt://a", "mqtt://b", "mqtt://c"];

/// The host that a link is asked for now, or a dash.
fn asked(rig: &Rig) -> String {
    match rig.open {
        true => rig.session.address().unwrap().host().to_owned(),
        false => "-".to_owned(),
    }
}

fn unreachable(rig: &mut Rig) {
    assert!(std::mem::take(&mut rig.open), "no link was asked for");
    rig.input(Input::LinkDown(Why::Unreachable(format!("{} is down", rig.session.address().unwrap().host()))));
}

/// Waits for the next attempt, and says how long and where it goes.
fn next(rig: &mut Rig) -> (i64, String) {
    let before = rig.now.mono_ms;
    while !rig.open {
        rig.pass(100);
        assert!(rig.now.mono_ms - before < 400_000, "nothing is tried any more");
    }
    (rig.now.mono_ms - before, asked(rig))
}

/// The address that the next attempt goes to, however long it takes.
fn host(rig: &mut Rig) -> String {
    next(rig).1
}

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
fn the_next_address_is_tried_at_once_and_only_after_all_the_back_off_waits() {
    let mut rig = rig(&THREE);
    for round in 0..3 {
        let (wait, first) = next(&mut rig);
        assert_eq!(first, "a");
        assert!(round == 0 || wait >= 500, "{wait}");
        unreachable(&mut rig);
        assert_eq!(asked(&rig), "b");
        unreachable(&mut rig);
        assert_eq!(asked(&rig), "c");
        unreachable(&mut rig);
        assert_eq!(asked(&rig), "-", "round {round}");
    }
    match rig.last_state() {
        Some(State::Waiting { why: Why::Unreachable(text), .. }) => assert_eq!(text, "a is down; b is down; c is down"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn whatever_ends_an_attempt_the_next_address_has_its_turn() {
    let ends: [fn(&mut Rig); 5] = [
        |rig| unreachable(rig),
        |rig| {
            rig.link_up();
            rig.input(Input::LinkDown(Why::Cut("cut".to_owned())));
        },
        |rig| {
            rig.link_up();
            rig.refuse(ReasonCode::ServerUnavailable);
            rig.closed();
        },
        |rig| {
            rig.link_up();
            // Half as long as when there is no other.
            rig.pass(9_900);
            assert!(!rig.close);
            rig.pass(200);
            rig.closed();
        },
        |rig| {
            rig.link_up();
            rig.packet(Packet::PingResp);
            rig.closed();
        },
    ];
    for end in ends {
        let mut rig = rig(&THREE);
        end(&mut rig);
        assert_eq!(asked(&rig), "b");
    }
}

#[test]
fn a_round_begins_with_the_last_that_worked_also_after_a_restart_and_with_the_first_on_another_network() {
    let mut rig = rig(&THREE);
    unreachable(&mut rig);
    rig.online(false);
    assert_eq!(rig.row.broker.as_deref(), Some("mqtt://b:1883 mqtt://a:1883 mqtt://c:1883"));
    rig.cut();
    for expected in ["b", "a", "c", "b"] {
        assert_eq!(host(&mut rig), expected);
        unreachable(&mut rig);
    }
    rig.restart();
    assert_eq!(host(&mut rig), "b");
    rig.online(true);
    rig.input(Input::Network { online: true, changed: true });
    rig.cut();
    for expected in ["a", "b", "c"] {
        assert_eq!(host(&mut rig), expected);
        unreachable(&mut rig);
    }
    // A client that names no broker takes the store's.
    (rig.options.broker, rig.options.other_addresses) = (None, Vec::new());
    rig.restart();
    for expected in ["b", "a", "c"] {
        assert_eq!(host(&mut rig), expected);
        unreachable(&mut rig);
    }
}

#[test]
fn a_change_of_network_in_the_middle_of_a_round_begins_anew() {
    let mut rig = rig(&THREE);
    unreachable(&mut rig);
    assert_eq!(asked(&rig), "b");
    rig.input(Input::Network { online: true, changed: true });
    rig.open = false;
    rig.closed();
    assert_eq!(host(&mut rig), "a");
}

#[test]
fn an_address_that_refuses_us_is_left_alone_while_the_others_are_tried() {
    let mut rig = rig(&["mqtt://a", "mqtt://b"]);
    rig.link_up();
    rig.refuse(ReasonCode::NotAuthorized);
    rig.closed();
    let begin = rig.now.mono_ms;
    let mut tried = 0;
    while host(&mut rig) == "b" {
        unreachable(&mut rig);
        tried += 1;
    }
    assert!(tried > 3 && rig.now.mono_ms - begin >= 300_000, "{tried}");
    // If all refuse, the first to have done so is the next.
    for _ in 0..2 {
        rig.link_up();
        rig.refuse(ReasonCode::BadUserNameOrPassword);
        rig.closed();
    }
    let (wait, first) = next(&mut rig);
    assert!(wait >= 299_000 && first == "a", "{wait} {first}");
}

#[test]
fn links_that_do_not_last_give_the_other_address_its_turn() {
    let mut rig = rig(&["mqtt://a", "mqtt://b"]);
    let mut seen = String::new();
    for _ in 0..8 {
        seen += &host(&mut rig);
        rig.online(seen.len() > 1);
        rig.input(Input::LinkDown(Why::Closed));
    }
    assert!(seen.starts_with("aaab"), "{seen}");
}

#[test]
fn each_address_has_its_own_credentials() {
    let mut rig = Rig::new(|options| {
        list(options, &["mqtt://u:1@a", "mqtt://v:2@b", "mqtt://c"]);
        options.credentials = Some(Credentials::new("all", None).into());
    });
    for expected in ["u", "v", "all"] {
        assert_eq!(rig.link_up().credentials.unwrap().user, expected);
        rig.input(Input::LinkDown(Why::Closed));
    }
    assert_eq!(rig.row.broker.as_deref(), Some("mqtt://a:1883 mqtt://b:1883 mqtt://c:1883"));
}

#[test]
fn a_list_that_shares_an_address_is_the_same_broker_and_one_that_shares_none_another() {
    let mut rig = rig(&["mqtt://a"]);
    rig.subscribe("x");
    rig.online(false);
    rig.grant(1);
    for (urls, same) in [
        (&["mqtt://b", "mqtt://a"][..], true),
        (&["mqtt://b"], true),
        (&["mqtt://b", "mqtt://c"], true),
        (&["mqtt://d"], false),
    ] {
        let epoch = rig.row.session_epoch;
        list(&mut rig.options, urls);
        rig.restart();
        assert_eq!((rig.row.established, rig.row.session_epoch == epoch), (same, same), "{urls:?}");
    }
    assert!(rig.gaps.iter().any(|gap| gap.cause == GapCause::SessionLost));
}

#[test]
fn the_app_can_say_that_a_broker_has_moved() {
    let mut rig = rig(&["mqtt://a"]);
    rig.online(false);
    list(&mut rig.options, &["mqtt://d"]);
    rig.options.same_broker = true;
    rig.restart();
    assert!(rig.row.established && rig.row.broker.as_deref() == Some("mqtt://d:1883"));
}

#[test]
fn one_broker_by_two_addresses_keeps_its_session() {
    let mut rig = rig(&["mqtt://a", "mqtt://b"]);
    rig.online(false);
    let id = rig.publish(2);
    rig.cut();
    unreachable(&mut rig);
    assert_eq!(asked(&rig), "b");
    rig.sent();
    rig.online(true);
    assert!(words(&rig.sent()).iter().any(|word| word.contains("dup")), "resent, not issued anew");
    assert_eq!(rig.row.session_epoch, 0);
    assert!(!rig.fates.contains_key(&id));
}

/// A list that names two brokers as one: the session that is left at the first must not swallow what is published later.
#[test]
fn a_session_left_at_another_address_is_not_taken_for_ours_when_we_come_back() {
    for kill in [false, true] {
        let mut rig = rig(&["mqtt://a", "mqtt://b"]);
        rig.online(false);
        rig.cut();
        unreachable(&mut rig);
        rig.online(false);
        assert_eq!(rig.row.session_epoch, 1, "b knows nothing of it");
        assert_eq!(rig.row.broker.as_deref(), Some("mqtt://b:1883 !mqtt://a:1883"));
        if kill {
            rig.restart();
        } else {
            rig.cut();
        }
        unreachable(&mut rig);
        assert_eq!(asked(&rig), "a");
        rig.online(true);
        assert!(rig.close, "the session of an earlier epoch");
        rig.closed();
        assert!(rig.link_up().clean_start);
        rig.accept(false);
        rig.closed();
        assert!(!rig.link_up().clean_start);
        rig.accept(false);
        assert_eq!(rig.row.session_epoch, 2);
        assert_eq!(rig.row.broker.as_deref(), Some("mqtt://a:1883 !mqtt://b:1883"));
    }
}

#[test]
fn a_session_lost_where_it_was_says_nothing_of_other_addresses() {
    let mut rig = rig(&["mqtt://a", "mqtt://b"]);
    rig.online(false);
    rig.cut();
    rig.online(false);
    rig.cut();
    unreachable(&mut rig);
    rig.online(true);
    assert!(!rig.close && rig.row.session_epoch == 1);
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

#[test]
fn links_and_what_ended_them_are_counted() {
    let mut rig = rig(&["mqtt://a"]);
    rig.pass(0);
    rig.link_up();
    rig.pass(20_000);
    rig.closed();
    next(&mut rig);
    rig.online(false);
    let since = rig.now.wall_ms;
    rig.publish(1);
    rig.pass(5_000);
    rig.input(Input::LinkDown(Why::WriteTimeout));
    let metrics = *rig.session.metrics();
    assert_eq!((metrics.link_attempts, metrics.link_failures, metrics.connects), (2, 1, 1));
    assert_eq!((metrics.connack_timeouts, metrics.write_timeouts, metrics.keep_alive_timeouts), (1, 1, 0));
    assert_eq!(metrics.last_timeout_ms, Some(since + 5_000));
    assert_eq!((metrics.packets_out, metrics.packets_in), (3, 1), "two CONNECTs and a PUBLISH; a CONNACK");
    let link = metrics.link;
    assert_eq!((link.connected_since_ms, link.lasted_ms), (Some(since), Some(5_000)));
    assert_eq!((link.packets_out, link.packets_in), (2, 1));
}
