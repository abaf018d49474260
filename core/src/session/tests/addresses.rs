//! Several addresses of one broker: which is tried when, and whose session is found there.

use super::authenticating::{answer, provided};
use super::rig::{Rig, words};
use crate::model::broker_url::BrokerUrl;
use crate::model::credentials::Credentials;
use crate::model::event::{GapCause, State, Why};
use crate::model::options::Options;
use crate::model::reason::ReasonCode;
use crate::session::effect::{Answer, Input};
use crate::wire::packet::Packet;

pub(super) fn list(options: &mut Options, urls: &[&str]) {
    let mut urls = urls.iter().map(|url| BrokerUrl::parse(url).unwrap());
    options.broker = urls.next();
    options.other_addresses = urls.collect();
}

pub(super) fn rig(urls: &[&str]) -> Rig {
    Rig::new(|options| list(options, urls))
}

pub(super) const THREE: [&str; 3] = ["mqtt://a", "mqtt://b", "mqtt://c"];

/// The host that a link is asked for now, or a dash.
pub(super) fn asked(rig: &Rig) -> String {
    match rig.open {
        true => rig.session.address().unwrap().host().to_owned(),
        false => "-".to_owned(),
    }
}

pub(super) fn unreachable(rig: &mut Rig) {
    assert!(std::mem::take(&mut rig.open), "no link was asked for");
    rig.input(Input::LinkDown(Why::Unreachable(format!("{} is down", rig.session.address().unwrap().host()))));
}

/// Waits for the next attempt, and says how long and where it goes.
pub(super) fn next(rig: &mut Rig) -> (i64, String) {
    let before = rig.now.mono_ms;
    while !rig.open {
        rig.pass(100);
        assert!(rig.now.mono_ms - before < 400_000, "nothing is tried any more");
    }
    (rig.now.mono_ms - before, asked(rig))
}

/// The address that the next attempt goes to, however long it takes.
pub(super) fn host(rig: &mut Rig) -> String {
    next(rig).1
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
    assert_eq!(rig.row.broker.as_deref(), Some("?mqtt://a:1883 ?mqtt://b:1883 ?mqtt://c:1883"));
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

#[test]
fn the_steps_that_end_a_foreign_session_go_on_though_another_address_is_down() {
    let mut rig = rig(&["mqtt://a", "mqtt://b"]);
    rig.row.client_id_random = false;
    rig.restart();
    rig.online(true);
    rig.closed();
    assert!(rig.link_up().clean_start, "ends what it found at a");
    rig.refuse(ReasonCode::QuotaExceeded);
    rig.closed();
    assert_eq!(asked(&rig), "b");
    unreachable(&mut rig);
    assert_eq!(host(&mut rig), "a");
    assert!(rig.link_up().clean_start, "the session at a is foreign still");
    rig.accept(false);
    rig.closed();
    assert!(!rig.link_up().clean_start);
    rig.accept(false);
    assert!(rig.session.is_up());
}

#[test]
fn an_address_that_was_left_behind_is_remembered_while_the_list_does_not_name_it() {
    let mut rig = rig(&["mqtt://a", "mqtt://b"]);
    rig.online(false);
    rig.cut();
    unreachable(&mut rig);
    rig.online(false);
    assert_eq!(rig.row.broker.as_deref(), Some("mqtt://b:1883 !mqtt://a:1883"));
    list(&mut rig.options, &["mqtt://b"]);
    rig.restart();
    assert_eq!(rig.row.broker.as_deref(), Some("mqtt://b:1883 -!mqtt://a:1883"));
    rig.options.broker = None;
    rig.restart();
    unreachable(&mut rig);
    assert_eq!(host(&mut rig), "b", "a is not in the list");
    list(&mut rig.options, &["mqtt://b", "mqtt://a"]);
    rig.restart();
    unreachable(&mut rig);
    assert_eq!(asked(&rig), "a");
    rig.online(true);
    assert!(rig.close, "the session of an earlier epoch");
}

#[test]
fn what_a_provider_made_for_one_host_is_not_shown_to_another() {
    let mut rig = Rig::new(|options| {
        list(options, &["mqtt://a", "mqtt://b"]);
        provided(options);
    });
    rig.link_up_as(Some(Credentials::new("for a", None)));
    rig.accept(false);
    rig.pass(5_000);
    rig.input(Input::CredentialsChanged);
    answer(&mut rig, Answer::Fresh(Ok(Box::new(Credentials::new("fresh for a", None)))));
    rig.closed();
    assert_eq!((asked(&rig).as_str(), rig.session.needs_credentials()), ("a", None));
    unreachable(&mut rig);
    assert_eq!(asked(&rig), "b");
    assert!(rig.session.needs_credentials().is_some(), "b is asked for anew");
}
