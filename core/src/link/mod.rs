//! Bytes to and from the broker: reads and writes at the same time, so that neither side can block the other.
#![cfg_attr(not(feature = "internals"), allow(unreachable_pub, reason = "pub for tests and benches, see the feature"))]

mod app;
pub mod dial;
mod environment;
pub mod frames;
pub mod http;
pub mod proxy;
pub mod stranger;
pub mod tcp;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_frames;
#[cfg(test)]
mod tests_frames_random;
#[cfg(test)]
mod tests_heads;
#[cfg(test)]
mod tests_proxy;
#[cfg(test)]
mod tests_seeded;
#[cfg(test)]
mod tests_websocket;
pub mod tls;
pub mod websocket;

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, BufMut, BytesMut};
use http::AnswerError;
use proxy::ProxyError;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;
use websocket::WebSocketError;

use crate::model::proxy::ProxyUrl;
use crate::model::tls::TlsFailure;

/// At most so much is read before the packets in it are taken out.
const READ_CHUNK: usize = 64 << 10;
/// Less room than this at the end of the read buffer is not worth a system call.
const READ_LEAST: usize = 8 << 10;
/// A write buffer that held more than this gives its memory back once it is empty.
const KEEP_OUTPUT: usize = 512 << 10;

pub use crate::model::transport::ByteStream as Stream;
pub use environment::system_proxy;

/// How a link failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The other side closed in order.
    #[error("closed by the broker")]
    Eof,
    /// The other side, or something between, reset it.
    #[error("reset: {0}")]
    Reset(String),
    /// TLS could not be had, or the server ended it.
    #[error("TLS: {0}")]
    Tls(TlsFailure),
    /// The way through a proxy.
    #[error("proxy {proxy}: {error}")]
    Proxy {
        /// Which; shown without credentials.
        proxy: Box<ProxyUrl>,
        /// What it did.
        error: ProxyError,
    },
    /// The WebSocket upgrade.
    #[error(transparent)]
    WebSocket(WebSocketError),
    /// Anything else, in the system's words.
    #[error("{0}")]
    Other(String),
}

impl LinkError {
    /// Whether trying again with the same credentials for the broker is useless, and may lock an account.
    pub const fn refuses_credentials(&self) -> bool {
        matches!(self, Self::WebSocket(WebSocketError::Refused { status: 401 | 403, .. }))
    }

    /// The same of those for the proxy.
    pub const fn refuses_proxy_credentials(&self) -> bool {
        matches!(self, Self::Proxy { error: ProxyError::Credentials { .. }, .. })
    }
}

impl From<WebSocketError> for LinkError {
    fn from(error: WebSocketError) -> Self {
        match error {
            // Told the same as without WebSocket.
            WebSocketError::Answer(AnswerError::Tls(failure)) => Self::Tls(failure),
            error => Self::WebSocket(error),
        }
    }
}

impl From<io::Error> for LinkError {
    fn from(error: io::Error) -> Self {
        if let Some(failure) = error.get_ref().and_then(|inner| inner.downcast_ref::<TlsFailure>()) {
            return Self::Tls(failure.clone());
        }
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Eof,
            io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::BrokenPipe => {
                Self::Reset(error.to_string())
            }
            _ => Self::Other(error.to_string()),
        }
    }
}

/// One link and its two buffers.
pub struct Link {
    stream: Box<dyn Stream>,
    input: BytesMut,
    output: BytesMut,
    /// The most that stood in `output` since it was empty: its capacity does not tell, for it shrinks with what is taken.
    peak: usize,
    bytes_in: u64,
    bytes_out: u64,
    heard: bool,
    drained: bool,
    /// Since when the other side has taken no byte although there are some.
    stalled_since: Option<Instant>,
    write_failure: Option<io::Error>,
    failure: Option<LinkError>,
}

impl Link {
    /// Over a stream that is connected.
    pub fn new(stream: impl Stream + 'static) -> Self {
        Self {
            stream: Box::new(stream),
            input: BytesMut::new(),
            output: BytesMut::new(),
            peak: 0,
            bytes_in: 0,
            bytes_out: 0,
            heard: false,
            drained: false,
            stalled_since: None,
            write_failure: None,
            failure: None,
        }
    }

    /// What was read and not yet taken out.
    pub fn input(&mut self) -> &mut BytesMut {
        &mut self.input
    }

    /// What is to be written; append only.
    pub fn output(&mut self) -> &mut BytesMut {
        &mut self.output
    }

    /// Bytes that are not written yet.
    pub fn unsent(&self) -> usize {
        self.output.len()
    }

    /// Since when the other side has taken no byte although some wait; None: it takes them.
    pub fn stalled_since(&self) -> Option<Instant> {
        self.stalled_since
    }

    /// Bytes read and written since the link was made.
    pub fn counters(&self) -> (u64, u64) {
        (self.bytes_in, self.bytes_out)
    }

    /// Whether bytes came since this was last asked.
    pub fn take_heard(&mut self) -> bool {
        std::mem::take(&mut self.heard)
    }

    /// Whether the write buffer ran empty since this was last asked.
    pub fn take_drained(&mut self) -> bool {
        std::mem::take(&mut self.drained)
    }

    /// How the link failed, if it did. What was read before is still in `input`.
    pub fn failure(&self) -> Option<&LinkError> {
        self.failure.as_ref()
    }

    /// Writes and, if wanted, reads as far as it goes. Ready when bytes were read, the write buffer ran empty, or the
    /// link failed. Nothing is lost if it is not polled again. A link that cannot be written to is read to its end before it
    /// counts as failed: the broker's last packet says why it closed.
    pub fn poll_io(&mut self, cx: &mut Context<'_>, reading: bool) -> Poll<()> {
        if self.failure.is_some() {
            return Poll::Ready(());
        }
        self.write(cx);
        let mut ready = self.drained;
        if reading || self.write_failure.is_some() {
            match self.poll_read(cx) {
                Poll::Ready(Ok(0)) => return self.fail(None),
                Poll::Ready(Ok(_)) => ready = true,
                Poll::Ready(Err(error)) => return self.fail(Some(error)),
                Poll::Pending if self.write_failure.is_some() => {
                    let error = self.write_failure.take();
                    return self.fail(error);
                }
                Poll::Pending => {}
            }
        }
        if ready { Poll::Ready(()) } else { Poll::Pending }
    }

    /// None: the other side closed in order, unless our last write was told something else. A pipe that is broken after an
    /// orderly close says nothing new; but the news of a reset are given once only, and the write may have got them.
    fn fail(&mut self, error: Option<io::Error>) -> Poll<()> {
        let written = self.write_failure.take().filter(|error| error.kind() != io::ErrorKind::BrokenPipe);
        self.failure = Some(error.or(written).map_or(LinkError::Eof, LinkError::from));
        Poll::Ready(())
    }

    fn write(&mut self, cx: &mut Context<'_>) {
        if self.write_failure.is_none()
            && let Poll::Ready(Err(error)) = self.poll_write(cx)
        {
            self.write_failure = Some(error);
        }
        if self.write_failure.is_some() {
            // Answers to what is still read would pile up.
            self.output = BytesMut::new();
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.peak = self.peak.max(self.output.len());
        while !self.output.is_empty() {
            let Poll::Ready(written) = Pin::new(&mut *self.stream).poll_write(cx, &self.output) else {
                self.stalled_since.get_or_insert_with(Instant::now);
                return Poll::Pending;
            };
            self.stalled_since = None;
            match written? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => {
                    self.output.advance(count);
                    self.bytes_out += count as u64;
                    self.drained = self.output.is_empty();
                }
            }
        }
        if self.peak > KEEP_OUTPUT {
            self.output = BytesMut::new();
        }
        self.peak = 0;
        Pin::new(&mut *self.stream).poll_flush(cx)
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        // Payloads that are still held share the buffer's allocation, so it cannot be used again from the front. Then what is
        // left of it is filled before another is made: otherwise each small message that is held would cost 64 KiB. It grows
        // as bytes arrive, never by what a length announces.
        let room = self.input.capacity() - self.input.len();
        if room < READ_CHUNK && !self.input.try_reclaim(READ_CHUNK) && room < READ_LEAST {
            self.input.reserve(READ_CHUNK);
        }
        let mut chunk = (&mut self.input).limit(READ_CHUNK);
        let count = ready!(pin!(self.stream.read_buf(&mut chunk)).poll(cx))?;
        self.bytes_in += count as u64;
        self.heard |= count > 0;
        Poll::Ready(Ok(count))
    }

    /// Writes what the system takes at once, without waiting; the rest goes with the next `poll_io`.
    pub fn try_write(&mut self) {
        if self.failure.is_none() {
            self.write(&mut Context::from_waker(Waker::noop()));
        }
    }

    /// Writes what is left, says goodbye to the transport, and waits for the other side to close: closing with unread
    /// bytes would reset the link and could cost the other side our last packet. Bound it in time.
    pub async fn finish(mut self: Box<Self>) {
        let last = self.output.split();
        let failed = self.failure.is_some() || self.write_failure.is_some();
        if failed || self.stream.write_all(&last).await.is_err() || self.stream.shutdown().await.is_err() {
            return;
        }
        let mut rest = [0; 1024];
        while matches!(self.stream.read(&mut rest).await, Ok(count) if count > 0) {}
    }
}
