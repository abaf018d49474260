//! Hostile broker: the link closed on one given PUBLISH, always. And networks that only look like it.

use super::rig::{Rig, words};
use crate::model::event::{Event, Fate, Why};
use crate::model::options::Version;
use crate::model::reason::ReasonCode;
use crate::session::effect::Input;
use crate::wire::packet::{Ack, Disconnect, Packet};

const POISON: Fate = Fate::Parked(ReasonCode::ImplementationSpecificError);

fn old() -> Rig {
    Rig::new(|options| options.version = Version::V311)
}

/// Three links without an acknowledgement: from now on one at a time.
fn careful(rig: &mut Rig) {
    for _ in 0..3 {
        rig.online(rig.row.established);
        rig.eof();
    }
}

/// One careful link: PINGREQ, then one PUBLISH, of which this is the word.
fn alone(rig: &mut Rig) -> String {
    rig.online(true);
    assert_eq!(words(&rig.sent()), ["pingreq"], "nothing before the answer");
    rig.packet(Packet::PingResp);
    let mut sent = words(&rig.sent());
    assert_eq!(sent.len(), 1, "{sent:?}");
    sent.remove(0)
}

#[test]
fn link_closed_on_one_given_publish_always() {
    for restarts in [false, true] {
        let mut rig = old();
        let (poison, other) = (rig.publish(1), rig.publish(2));
        careful(&mut rig);
        for strikes in 1..=3 {
            assert_eq!(alone(&mut rig), "publish1 2 dup");
            rig.eof();
            if strikes < 3 {
                assert_eq!((rig.row.suspect_id, rig.row.strikes), (Some(poison), strikes));
            }
            if restarts {
                rig.restart();
            }
        }
        assert_eq!(rig.fates[&poison], POISON, "restarts {restarts}");
        assert!(rig.events.iter().any(|event| matches!(event, Event::Warning { code: "poison", .. })));
        assert_eq!((rig.row.suspect_id, rig.row.strikes), (None, 0));
        let next = match restarts {
            // What counts links lives in memory: nobody is suspected, so all is as at the start.
            true => {
                rig.online(true);
                words(&rig.sent()).remove(0)
            }
            false => alone(&mut rig),
        };
        assert_eq!(next, "publish2 3 dup");
        rig.packet(Packet::PubRec(Ack::ok(3)));
        rig.packet(Packet::PubComp(Ack::ok(3)));
        assert_eq!(rig.fates[&other], Fate::DELIVERED);
        // It stays where it is, whatever later brokers announce.
        rig.cut();
        rig.online(true);
        assert_eq!((words(&rig.sent()).len(), rig.hot.parked_messages), (0, 1));
    }
}

#[test]
fn a_bad_network_never_parks_a_message() {
    type End = fn(&mut Rig);
    let ends: [(&str, End); 4] = [
        ("reset", |rig| rig.cut()),
        ("late", |rig| {
            rig.advance(5_001);
            rig.eof();
        }),
        ("time-out", |rig| {
            rig.pass(200_000);
            assert!(rig.close);
            rig.closed();
            rig.pass(130_000);
        }),
        ("another reason", |rig| {
            rig.packet(Packet::Disconnect(Disconnect::new(ReasonCode::ServerShuttingDown)));
            rig.closed();
            rig.pass(130_000);
        }),
    ];
    for (name, end) in ends {
        let mut rig = old();
        rig.publish(1);
        careful(&mut rig);
        for _ in 0..2 {
            alone(&mut rig);
            rig.eof();
        }
        assert_eq!(rig.row.strikes, 2);
        alone(&mut rig);
        end(&mut rig);
        assert_eq!((rig.row.strikes, rig.fates.len()), (0, 0), "{name}: three links running it must be");
        alone(&mut rig);
        rig.eof();
        assert_eq!((rig.row.strikes, rig.fates.len()), (1, 0), "{name}");
    }
}

#[test]
fn the_first_acknowledgement_ends_the_care() {
    let mut rig = old();
    for _ in 0..5 {
        rig.publish(1);
    }
    careful(&mut rig);
    alone(&mut rig);
    rig.eof();
    alone(&mut rig);
    rig.packet(Packet::PubAck(Ack::ok(2)));
    assert_eq!(words(&rig.sent()).len(), 4, "the others go as ever");
    assert_eq!((rig.row.suspect_id, rig.row.strikes), (None, 0));
    rig.cut();
    rig.online(true);
    assert_eq!(words(&rig.sent()).len(), 4);
}

#[test]
fn with_care_qos_0_is_proven_by_a_ping_and_nothing_overtakes() {
    let mut rig = old();
    rig.publish(1);
    careful(&mut rig);
    let stuck = alone(&mut rig);
    rig.urgent(1);
    rig.publish(0);
    assert_eq!((stuck.as_str(), words(&rig.sent()).len()), ("publish1 2 dup", 0), "one at a time");
    rig.packet(Packet::PubAck(Ack::ok(2)));
    assert_eq!(words(&rig.sent()), ["publish1 57346", "publish"]);

    let mut rig = old();
    for _ in 0..3 {
        rig.online(rig.row.established);
        rig.publish(1);
        rig.packet(Packet::Disconnect(Disconnect::new(ReasonCode::ServerBusy)));
        rig.closed();
        rig.pass(130_000);
    }
    assert!(rig.outbox.len() == 3 && rig.fates.is_empty());
}

#[test]
fn links_on_which_nothing_was_sent_count_for_nothing() {
    let mut rig = old();
    careful(&mut rig);
    rig.publish(1);
    rig.online(true);
    assert_eq!(words(&rig.sent()), ["publish1 2"]);
}

#[test]
fn a_v5_broker_that_names_the_packet_strikes_as_well() {
    let mut rig = Rig::new(|_| {});
    let poison = rig.publish(1);
    careful(&mut rig);
    for _ in 0..3 {
        alone(&mut rig);
        rig.packet(Packet::Disconnect(Disconnect::new(ReasonCode::NotAuthorized)));
        rig.closed();
        rig.pass(400_000);
    }
    assert_eq!(rig.fates[&poison], POISON);
}

#[test]
fn wrong_acknowledgement_row_kept_disconnect_0x82_one_strike_4_3_3() {
    let mut rig = Rig::new(|_| {});
    let id = rig.publish(2);
    for strikes in 1..=3 {
        rig.online(rig.row.established);
        assert_eq!(words(&rig.sent()).len(), 1);
        rig.packet(Packet::PubAck(Ack::ok(2)));
        assert_eq!(words(&rig.sent()), ["disconnect 82"]);
        if strikes < 3 {
            assert_eq!((rig.row.suspect_id, rig.row.strikes, rig.outbox.len()), (Some(id), strikes, 1));
        }
        rig.closed();
        rig.pass(130_000);
    }
    assert_eq!(rig.fates[&id], POISON, "three strikes");
}

#[test]
fn an_unfinished_release_is_never_parked() {
    let mut rig = Rig::new(|_| {});
    rig.online(false);
    rig.publish(2);
    rig.packet(Packet::PubRec(Ack::ok(2)));
    for _ in 0..4 {
        rig.packet(Packet::PubAck(Ack::ok(2)));
        rig.closed();
        rig.pass(130_000);
        rig.online(true);
    }
    assert_eq!((rig.row.suspect_id, rig.parked.len(), rig.outbox.len()), (None, 0, 1));
    rig.input(Input::LinkDown(Why::Closed));
}

#[test]
fn links_on_which_only_qos_0_went_out_make_nobody_careful() {
    // Nothing acknowledges QoS 0, and nothing of it is sent again: such a link says nothing of what is to come.
    let mut rig = old();
    for _ in 0..5 {
        rig.online(rig.row.established);
        rig.publish(0);
        rig.cut();
    }
    rig.online(true);
    for _ in 0..3 {
        rig.publish(0);
    }
    assert_eq!(words(&rig.sent()), ["publish", "publish", "publish"]);
}
