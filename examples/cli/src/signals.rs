//! SIGINT, SIGTERM and a closed terminal: the first asks for an orderly end, the second ends at once.

use std::io;

use tokio::sync::watch;

/// The first signal, once it has come.
pub(crate) struct Signals(watch::Receiver<Option<u8>>);

impl Signals {
    /// From now on signals do not end the process by themselves.
    pub(crate) fn install() -> io::Result<Self> {
        let (sender, receiver) = watch::channel(None);
        let mut source = Source::new()?;
        tokio::spawn(async move {
            sender.send_replace(Some(source.next().await));
            std::process::exit(source.next().await.into());
        });
        Ok(Self(receiver))
    }

    /// Waits for the first signal; the exit status that belongs to it. Cancel-safe, and true for ever after.
    pub(crate) async fn arrived(&mut self) -> u8 {
        match self.0.wait_for(Option::is_some).await.map(|code| *code) {
            Ok(Some(code)) => code,
            // The task that watches lives as long as the runtime.
            _ => std::future::pending().await,
        }
    }
}

#[cfg(unix)]
struct Source {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Source {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> u8 {
        tokio::select! {
            Some(()) = self.interrupt.recv() => 130,
            Some(()) = self.terminate.recv() => 143,
            Some(()) = self.hangup.recv() => 143,
            else => std::future::pending().await,
        }
    }
}

#[cfg(windows)]
struct Source(tokio::signal::windows::CtrlC);

#[cfg(windows)]
impl Source {
    fn new() -> io::Result<Self> {
        tokio::signal::windows::ctrl_c().map(Self)
    }

    async fn next(&mut self) -> u8 {
        match self.0.recv().await {
            Some(()) => 130,
            None => std::future::pending().await,
        }
    }
}
