//! The handle's side of a life on a phone: catch up in the background, let go for suspension, hear of the network.

use std::time::Duration;

use super::Homing;
use super::command::Command;
use crate::model::error::{Error, OpenError};
use crate::model::life::{Network, Resumed, SyncReport};

const SHORTEST_SYNC: Duration = Duration::from_millis(1);

impl Homing {
    /// One bounded catch-up, as a phone does in the background: connects if it is not connected, sends the outbox and what
    /// lies in the mailbox, receives until the broker has nothing more, and disconnects in order, keeping the session, unless
    /// the app wanted to be connected before.
    ///
    /// Drained means: every SUBACK is in, the outbox is empty (what is parked does not count), nothing is withheld, and no
    /// PUBLISH came for 500 ms or four round trips, whichever is longer, after a PINGRESP; MQTT has no mark for the end of a
    /// queue. The deadline holds for everything, DNS and TCP included, and the last 2 s of it (a quarter of a deadline below
    /// 8 s) are kept for the goodbye and the commit. It ends early when nothing will be tried before the deadline: no broker
    /// is known, the broker has refused us, another client has the session.
    ///
    /// Safe to be killed at any point: what was reported as received is stored, what was not sent waits (P1 to P4). Asking
    /// counts as the app's wish to connect: it ends a take-over and overrules [`Network::offline`]. Dropping the future ends
    /// the catch-up with the next turn.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a deadline below 1 ms, [`Error::Paused`], [`Error::Closed`], [`Error::Storage`] if the store
    /// fails until the deadline. That the broker was not reached is no error: see [`SyncReport::connected`].
    pub async fn sync(&self, deadline: Duration) -> Result<SyncReport, Error> {
        if deadline < SHORTEST_SYNC {
            return Err(Error::Invalid { what: "deadline", problem: "at least 1 ms".to_owned() });
        }
        self.ask(Error::Closed, |answer| Command::Sync { deadline, answer }).await
    }

    /// Lets go of everything for suspension: DISCONNECT if connected (the session is kept), at most for `deadline` (zero: the
    /// link is just dropped), then the write-ahead log is emptied and every file of the store is closed, the driver's lock
    /// included. When it returns no lock is held and no socket is open: iOS kills an app that is suspended with a lock in a
    /// shared container. Another process may drive the store meanwhile.
    ///
    /// Until [`Homing::resume`] the state is [`State::Paused`](crate::State::Paused), and whatever is asked gets `Paused`;
    /// [`Consumer::next`](crate::Consumer::next) waits on. Waits under way (`settled`, `flush`, `sync`) end with `Paused`;
    /// ask again later. A [`Reader`](crate::Reader) that the app opened itself is the app's
    /// to drop. A kill while paused, or on the way there, loses nothing. Pausing twice is one pause.
    ///
    /// # Errors
    /// [`Error::Storage`] if the last commit failed: it is paused all the same and nothing accepted is lost.
    /// [`Error::Closed`].
    pub async fn pause(&self, deadline: Duration) -> Result<(), Error> {
        self.ask(Error::Closed, |answer| Command::Pause { deadline, answer }).await
    }

    /// Takes the store again after [`Homing::pause`], rebuilds the session from its rows, whoever has driven it meanwhile, and
    /// connects again if the app wanted to be connected. Does nothing if it is not paused.
    ///
    /// # Errors
    /// [`OpenError::StoreInUse`] while another process drives the store, and the others of opening: it stays paused and may be
    /// tried again. [`OpenError::Closed`].
    pub async fn resume(&self) -> Result<Resumed, OpenError> {
        self.ask(OpenError::Closed, |answer| Command::Resume { answer }).await
    }

    /// Tells what the platform says of the network; only the newest counts. Offline: no attempts until it is online, `connect`
    /// or `sync` is called; the state says [`Why::NoNetwork`](crate::Why::NoNetwork). Online again, or another network: an
    /// attempt at once, with the waits begun anew. A link that stands is asked with a PINGREQ, and given up if there is no
    /// answer within 3 s. However fast hints come, attempts and checks are a second apart; a broker that refused us is not
    /// asked sooner for a hint.
    pub fn network_changed(&self, network: Network) {
        self.network.send_replace(Some(network));
    }
}
