//! The broker sends us to another server [4.11]: always told, followed only to an address that the app has named. A host that
//! only the broker names is never contacted, so it never sees credentials.

use super::Session;
use super::addresses::Redirect;
use super::effect::Effects;
use crate::model::event::Event;
use crate::model::reason::ReasonCode;

/// A longer name is not shown whole.
const SHOWN: usize = 255;

impl Session {
    /// What a CONNACK or DISCONNECT says of another server, if it does.
    pub(super) fn redirected(&mut self, reason: ReasonCode, reference: Option<&str>, fx: &mut Effects) {
        let moved = reason == ReasonCode::ServerMoved;
        let sent_on = moved || reason == ReasonCode::UseAnotherServer;
        let text = match reference {
            None if !sent_on => return,
            None => format!("{reason}: the broker names no other server"),
            Some(server) => {
                let followed = match sent_on {
                    true => self.conn.addresses.redirect(server, moved),
                    false => Redirect::Foreign,
                };
                let what = match followed {
                    Redirect::Followed => "it is one of the broker's addresses and is tried next",
                    Redirect::Foreign => "it is none of the broker's addresses in the options, and is not followed",
                    Redirect::TooMany => "it has sent us on too often in a row, and is not followed now",
                };
                let server: String = server.chars().filter(|c| !c.is_control()).take(SHOWN).collect();
                format!("{reason}: the broker names another server: {server}; {what}")
            }
        };
        fx.events.push(Event::Warning { code: "redirect", text });
    }
}
