//! Leaving messages for whoever drives the store: a widget, an intent, a notification's extension (P11).

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use super::check;
use super::clock::wall_ms;
use super::command::Outgoing;
use super::room::publish_error;
use super::turn::Engine;
use crate::model::error::{OpenError, PublishError};
use crate::model::event::Event;
use crate::model::message::Publish;
use crate::model::options::Options;
use crate::session::effect::Now;
use crate::store::mailbox::{MAILBOX_BYTES, MAILBOX_MESSAGES, Post, Poster, wake_path};
use crate::store::{StoreError, StoreErrorKind, Unlock};

/// Requests that one turn takes.
const TAKEN: usize = 256;
/// When to look again: if the outbox was full, or if nobody can wake us.
pub(super) const LOOK_EVERY_MS: i64 = 1_000;

/// Leaves messages in a store that another process drives, or nobody does. Blocking calls of a few milliseconds; a driver's
/// commit is waited for, for 5 s at the longest.
///
/// Each message is a row, committed and synced when [`Mailbox::post`] returns. Whoever drives the store takes the rows in
/// their order, publishes each and removes it in one transaction: exactly once into the outbox, whichever of the two is
/// killed when (P1). A running driver is woken by a byte on the socket `<store>-wake`; where there are no such sockets, or
/// the path is too long for one (about 100 bytes), it looks once a second. Without a driver the row waits for the next
/// `open`, `resume` or `sync`.
///
/// It holds a lock of SQLite's: drop it before the process is suspended.
///
/// ```
/// # use homing::{Homing, Mailbox, Options, Publish, TopicName};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("home.db");
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// # let mut options = Options::new(&path);
/// # options.connect = false;
/// # let app = Homing::open(options).await?;
/// let mailbox = Mailbox::open(&path)?; // in the widget's process
/// mailbox.post(Publish::new(TopicName::new("home/light/set")?, "on"))?;
/// # Ok(())
/// # })
/// # }
/// ```
pub struct Mailbox(Mutex<Poster>);

impl std::fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mailbox").finish_non_exhaustive()
    }
}

impl Mailbox {
    /// Opens the mailbox of an existing store; never makes a store.
    ///
    /// # Errors
    /// [`OpenError`]; nothing was changed.
    pub fn open(store: &Path) -> Result<Self, OpenError> {
        Ok(Self(Mutex::new(Poster::open(store, &Unlock::default())?)))
    }

    /// Opens the mailbox of an existing encrypted store; never makes a store.
    ///
    /// # Errors
    /// [`OpenError`]; nothing was changed.
    #[cfg(feature = "encryption")]
    pub fn open_with_key(store: &Path, key: crate::KeyProvider) -> Result<Self, OpenError> {
        Ok(Self(Mutex::new(Poster::open(store, &Unlock::new(Some(key)))?)))
    }

    /// Leaves a message. It has no id before the driver has taken it: name an idempotency key to recognise it, or to post it
    /// again safely after an error. Its time to live counts from now. At most 10,000 messages and 64 MiB wait.
    ///
    /// # Errors
    /// [`PublishError`]: what `publish` refuses is refused here (with the default `max_payload`; the driver's own holds as
    /// well), [`PublishError::MailboxFull`], [`PublishError::StorageFull`], [`PublishError::Storage`]. Nothing was left then.
    pub fn post(&self, message: Publish) -> Result<(), PublishError> {
        check::publish(message.clone(), &Options::new(""))?;
        let mut poster = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match poster.post(&message, wall_ms()).map_err(|error| publish_error(&error))? {
            Post::Done => {}
            Post::TooMany => return Err(PublishError::MailboxFull { limit: MAILBOX_MESSAGES, unit: "messages" }),
            Post::TooLarge => return Err(PublishError::MailboxFull { limit: MAILBOX_BYTES, unit: "bytes" }),
        }
        wake(&wake_path(poster.path()));
        Ok(())
    }
}

/// Nobody may be there to be woken: then the row waits.
#[cfg(unix)]
fn wake(path: &Path) {
    let woken = std::os::unix::net::UnixDatagram::unbound().and_then(|socket| {
        socket.set_nonblocking(true)?;
        socket.send_to(&[1], path)
    });
    if let Err(error) = woken {
        tracing::debug!(%error, "no driver was woken");
    }
}

#[cfg(not(unix))]
fn wake(_: &Path) {}

impl Engine {
    /// Somebody has left something, or may have.
    pub(super) fn look_into_mailbox(&mut self, at_ms: i64) {
        self.mailbox_at = Some(self.mailbox_at.map_or(at_ms, |at| at.min(at_ms)));
    }

    /// Whether this turn looks into it.
    pub(super) fn is_mailbox_due(&self, now: Now) -> bool {
        self.mailbox_at.is_some_and(|at| at <= now.mono_ms)
    }

    /// Whether requests are known to wait.
    pub(super) fn mailbox_waits(&self) -> bool {
        self.mailbox_waits
    }

    /// Publishes what was left, in order, and removes it in the same transaction.
    pub(super) fn take_mailbox(&mut self, now: Now) -> Result<(), StoreError> {
        if !self.is_mailbox_due(now) {
            return Ok(());
        }
        self.mailbox_at = None;
        let (posted, more) = match self.store.mailbox(TAKEN) {
            Err(error) if error.kind == StoreErrorKind::Busy => {
                self.look_into_mailbox(now.mono_ms + LOOK_EVERY_MS);
                return Ok(());
            }
            read => read?,
        };
        let (mut taken, mut full) = (None, false);
        for request in posted {
            let checked = request
                .message
                .ok_or_else(|| "it cannot be read".to_owned())
                .and_then(|message| check::publish(message, &self.options).map_err(|error| error.to_string()));
            let accepted = match checked {
                Ok(message) => {
                    let never = message.row.size() > self.options.outbox_limit.bytes;
                    match self.accept(aged(message, request.at_ms, now), now)? {
                        Err(PublishError::LimitReached { .. } | PublishError::StorageFull { .. }) if !never => {
                            full = true;
                            break;
                        }
                        accepted => accepted.map_err(|error| error.to_string()),
                    }
                }
                Err(problem) => Err(problem),
            };
            if let Err(problem) = accepted {
                let text = format!("a message left by another process is given up: {problem}");
                self.fx.events.push(Event::Warning { code: "mailbox", text });
            }
            taken = Some(request.mid);
        }
        if let Some(mid) = taken {
            self.store.mailbox_taken(mid)?;
        }
        self.mailbox_waits = full || more;
        if full {
            self.look_into_mailbox(now.mono_ms + LOOK_EVERY_MS);
        } else if more {
            self.look_into_mailbox(now.mono_ms);
        }
        Ok(())
    }
}

/// Its time to live began when it was left. One that is over leaves the verdict `expired` like any other.
fn aged(mut message: Outgoing, posted_ms: i64, now: Now) -> Outgoing {
    let age = (now.wall_ms - posted_ms).max(0);
    message.row.expires_ms = message.row.expires_ms.map(|ttl| ttl - age.min(ttl));
    message
}
