//! The driver's ear for the mailbox: a datagram socket beside the store, made under the driver's lock.

use std::path::PathBuf;
use std::task::{Context, Poll};

/// Bound while the store is driven; gone with it.
pub(super) struct Wake {
    #[cfg(unix)]
    socket: tokio::net::UnixDatagram,
    #[cfg(unix)]
    path: PathBuf,
}

#[cfg(unix)]
impl Wake {
    /// None: no socket can stand there (the path may be too long); then somebody has to look.
    pub(super) fn bind(path: PathBuf) -> Option<Self> {
        // Left behind by a driver that was killed: we hold the lock, so nobody listens there.
        drop(std::fs::remove_file(&path));
        match tokio::net::UnixDatagram::bind(&path) {
            Ok(socket) => Some(Self { socket, path }),
            Err(error) => {
                tracing::debug!(%error, "no socket for the mailbox: it is looked into once a second");
                None
            }
        }
    }

    /// Ready when somebody has left something since the last time.
    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut woken = false;
        let mut byte = [0; 8];
        loop {
            let mut buffer = tokio::io::ReadBuf::new(&mut byte);
            match self.socket.poll_recv(cx, &mut buffer) {
                Poll::Ready(Ok(())) => woken = true,
                _ if woken => return Poll::Ready(()),
                // An ear that fails is deaf, not loud: what is left then waits for the next open, resume or sync.
                Poll::Ready(Err(_)) | Poll::Pending => return Poll::Pending,
            }
        }
    }
}

#[cfg(unix)]
impl Drop for Wake {
    fn drop(&mut self) {
        // A driver that is killed leaves it behind just so.
        drop(std::fs::remove_file(&self.path));
    }
}

#[cfg(not(unix))]
impl Wake {
    pub(super) fn bind(_: PathBuf) -> Option<Self> {
        None
    }

    pub(super) fn poll(&self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}
