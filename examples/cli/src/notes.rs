//! What a person at the terminal should know while a command runs: said on stderr.

use std::io::Write;

use homing::{CredentialsEvent, Event, State};

/// Says each trouble once, not at every attempt.
#[derive(Default)]
pub(crate) struct Notes {
    trouble: Option<String>,
    online: bool,
}

impl Notes {
    pub(crate) fn event(&mut self, event: &Event) {
        if let Event::State(state) = event {
            self.online = matches!(state, State::Online { .. });
        }
        match event {
            Event::Warning { code, text } => warn(&format!("{code}: {text}")),
            Event::SubscribeRefused { filter, reason } => {
                warn(&format!("the broker refused to subscribe to {filter}: {reason}"));
            }
            Event::SessionLost { .. } => warn("the broker had lost the session; everything waiting is issued anew"),
            Event::State(State::Waiting { why, .. }) => {
                self.once(format!("not connected, trying on: {why}"));
            }
            // Without a link the state says it.
            Event::Credentials(CredentialsEvent::Failed(error)) if self.online => {
                self.once(format!("no new credentials yet: {error}"));
            }
            Event::Skipped { consumer, skipped } => warn(&format!(
                "consumer {consumer} was moved over {} messages, {} to {}",
                skipped.messages,
                skipped.from.seq(),
                skipped.through.seq()
            )),
            Event::State(State::Online { .. }) => self.trouble = None,
            _ => {}
        }
    }

    fn once(&mut self, trouble: String) {
        if self.trouble.as_ref() != Some(&trouble) {
            warn(&trouble);
            self.trouble = Some(trouble);
        }
    }
}

fn warn(text: &str) {
    // Without a stderr there is nobody to tell.
    let _ = writeln!(anstream::stderr(), "\x1b[1;33mwarning:\x1b[0m {}", text.escape_debug());
}
