//! The app says that there are other credentials: at every moment, and the provider is told so.

use super::addresses::list;
use super::authenticating::{answer, provided};
use super::rig::Rig;
use crate::model::credentials::{Credentials, CredentialsError, WhyAsked};
use crate::model::event::Why;
use crate::model::reason::ReasonCode;
use crate::session::effect::{Answer, Input, Question};

fn cut(rig: &mut Rig) {
    rig.input(Input::LinkDown(Why::Cut("cut".to_owned())));
}

#[test]
fn said_between_two_links_the_provider_is_told_that_the_last_ones_are_old() {
    let moments: [fn(&mut Rig); 5] = [
        // On a link that ends before it is asked about.
        |rig| {
            rig.pass(1_000);
            rig.input(Input::CredentialsChanged);
            assert!(rig.asked.is_empty());
            cut(rig);
        },
        |rig| {
            cut(rig);
            rig.input(Input::CredentialsChanged);
        },
        // While an attempt is under way that comes to nothing.
        |rig| {
            cut(rig);
            rig.pass(1_001);
            assert!(std::mem::take(&mut rig.open));
            rig.input(Input::CredentialsChanged);
            rig.input(Input::LinkDown(Why::Unreachable("no route".to_owned())));
        },
        |rig| {
            cut(rig);
            rig.pass(1_001);
            rig.link_up_as(Some(Credentials::new("old", None)));
            rig.input(Input::CredentialsChanged);
            cut(rig);
        },
        |rig| {
            rig.input(Input::Network { online: true, changed: true });
            rig.pass(3_000);
            assert!(rig.close, "the check found it dead");
            rig.input(Input::CredentialsChanged);
            rig.closed();
        },
    ];
    for (n, moment) in moments.into_iter().enumerate() {
        let mut rig = Rig::new(provided);
        rig.link_up_as(Some(Credentials::new("old", None)));
        rig.accept(false);
        moment(&mut rig);
        rig.pass(4_001);
        assert!(rig.open, "{n}");
        assert_eq!(rig.session.needs_credentials(), Some(WhyAsked::Expired), "{n}");
    }
}

#[test]
fn a_refusal_tells_more_and_before_the_first_question_there_are_no_last_ones() {
    let mut rig = Rig::new(provided);
    rig.link_up_as(Some(Credentials::new("old", None)));
    rig.refuse(ReasonCode::BadUserNameOrPassword);
    rig.closed();
    rig.input(Input::CredentialsChanged);
    rig.pass(1_001);
    assert!(rig.open);
    assert_eq!(rig.session.needs_credentials(), Some(WhyAsked::Refused(ReasonCode::BadUserNameOrPassword)));
    let mut rig = Rig::new(|options| {
        provided(options);
        options.connect = false;
    });
    rig.input(Input::CredentialsChanged);
    rig.input(Input::Connect);
    assert_eq!(rig.session.needs_credentials(), Some(WhyAsked::First));
}

#[test]
fn said_while_the_provider_says_signed_out_it_is_asked_again() {
    let mut rig = Rig::new(provided);
    rig.link_up_as(Some(Credentials::new("old", None)));
    rig.accept(false);
    rig.pass(5_000);
    rig.input(Input::CredentialsChanged);
    assert!(matches!(rig.asked[..], [Question::Fresh(WhyAsked::Expired)]));
    // Somebody signs in before the provider has said that nobody has.
    rig.input(Input::CredentialsChanged);
    rig.asked.clear();
    answer(&mut rig, Answer::Fresh(Err(CredentialsError::SignedOut("no user"))));
    rig.pass(4_999);
    assert!(rig.asked.is_empty());
    rig.pass(2);
    assert!(matches!(rig.asked[..], [Question::Fresh(WhyAsked::Expired)]), "{:?}", rig.asked);
}

#[test]
fn the_providers_refused_address_is_tried_though_the_last_one_tried_has_its_own() {
    let mut rig = Rig::new(|options| {
        list(options, &["mqtt://a", "mqtt://u:1@b"]);
        provided(options);
    });
    for _ in 0..2 {
        rig.link_up_as(Some(Credentials::new("old", None)));
        rig.refuse(ReasonCode::NotAuthorized);
        rig.closed();
    }
    rig.pass(10_000);
    assert!(!rig.open, "both have refused us");
    rig.input(Input::CredentialsChanged);
    rig.pass(1_001);
    assert!(rig.open);
    assert_eq!(rig.session.address().map(|url| url.host()), Some("a"));
}
