//! A CONNECT whose answer is not heard at one address, while the session is at another.

use super::addresses::{asked, host, rig, unreachable};
use crate::model::event::Why;
use crate::session::effect::Input;

/// A list that names two brokers as one: an empty session must not stand in for the one that we have.
#[test]
fn a_session_that_an_unheard_connect_made_at_another_broker_is_asked_for_its_subscriptions() {
    for kill in [false, true] {
        let mut rig = rig(&["mqtt://a", "mqtt://b"]);
        rig.subscribe("x");
        rig.online(false);
        rig.grant(1);
        rig.cut();
        unreachable(&mut rig);
        // b begins a session; its CONNACK is lost.
        assert_eq!(asked(&rig), "b");
        rig.link_up();
        assert_eq!(rig.row.broker.as_deref(), Some("mqtt://a:1883 ?mqtt://b:1883"), "before the CONNECT leaves");
        rig.input(Input::LinkDown(Why::Cut("cut".to_owned())));
        assert_eq!(host(&mut rig), "a");
        rig.online(true);
        rig.grant(1);
        rig.input(Input::LinkDown(Why::Cut("cut".to_owned())));
        if kill {
            rig.restart();
        }
        assert_eq!(host(&mut rig), "a");
        unreachable(&mut rig);
        assert_eq!(asked(&rig), "b");
        rig.online(true);
        assert_eq!(rig.grant(1), 1, "b's session knows nothing of x");
        assert_eq!(rig.row.broker.as_deref(), Some("mqtt://b:1883 mqtt://a:1883"), "once");
    }
}

#[test]
fn one_broker_whose_answers_are_heard_is_not_doubted() {
    let mut rig = rig(&["mqtt://a", "mqtt://b"]);
    rig.subscribe("x");
    rig.online(false);
    rig.grant(1);
    for _ in 0..3 {
        rig.cut();
        unreachable(&mut rig);
        rig.online(true);
        assert_eq!(rig.grant(1), 0);
        assert!(!rig.row.broker.as_deref().unwrap().contains('?'));
    }
}
