//! Bytes to and from the broker: reads and writes at the same time, so that neither side can block the other.
#![cfg_attr(not(feature = "internals"), allow(unreachable_pub, reason = "pub for tests and benches, see the feature"))]

pub mod tcp;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

/// At most so much is read before the packets in it are taken out.
const READ_CHUNK: usize = 64 << 10;
/// Above this the write buffer gives its memory back once it is empty.
const KEEP_OUTPUT: usize = 512 << 10;

/// How a link failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The other side closed in order.
    #[error("closed by the broker")]
    Eof,
    /// The other side, or something between, reset it.
    #[error("reset: {0}")]
    Reset(String),
    /// Anything else, in the system's words.
    #[error("{0}")]
    Other(String),
}

impl From<io::Error> for LinkError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Eof,
            io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::BrokenPipe => {
                Self::Reset(error.to_string())
            }
            _ => Self::Other(error.to_string()),
        }
    }
}

/// A byte stream of any kind.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// One link and its two buffers.
pub struct Link {
    stream: Box<dyn Stream>,
    input: BytesMut,
    output: BytesMut,
    bytes_in: u64,
    bytes_out: u64,
    heard: bool,
    drained: bool,
    failure: Option<LinkError>,
}

impl Link {
    /// Over a stream that is connected.
    pub fn new(stream: impl Stream + 'static) -> Self {
        Self {
            stream: Box::new(stream),
            input: BytesMut::new(),
            output: BytesMut::new(),
            bytes_in: 0,
            bytes_out: 0,
            heard: false,
            drained: false,
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
    /// link failed. Nothing is lost if it is not polled again.
    pub fn poll_io(&mut self, cx: &mut Context<'_>, reading: bool) -> Poll<()> {
        if self.failure.is_some() {
            return Poll::Ready(());
        }
        let mut ready = false;
        match self.poll_write(cx) {
            Poll::Ready(Ok(())) => ready |= self.drained,
            Poll::Ready(Err(error)) => return self.fail(error),
            Poll::Pending => {}
        }
        if reading {
            match self.poll_read(cx) {
                Poll::Ready(Ok(0)) => return self.fail(LinkError::Eof),
                Poll::Ready(Ok(_)) => ready = true,
                Poll::Ready(Err(error)) => return self.fail(error.into()),
                Poll::Pending => {}
            }
        }
        if ready { Poll::Ready(()) } else { Poll::Pending }
    }

    fn fail(&mut self, error: LinkError) -> Poll<()> {
        self.failure = Some(error);
        Poll::Ready(())
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        while !self.output.is_empty() {
            match Pin::new(&mut *self.stream).poll_write(cx, &self.output) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(LinkError::Eof)),
                Poll::Ready(Ok(count)) => {
                    self.output.advance(count);
                    self.bytes_out += count as u64;
                    self.drained = self.output.is_empty();
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
                Poll::Pending => return Poll::Pending,
            }
        }
        if self.output.capacity() > KEEP_OUTPUT {
            self.output = BytesMut::new();
        }
        Pin::new(&mut *self.stream).poll_flush(cx).map_err(LinkError::from)
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        // Grows as bytes arrive, never by what a length announces.
        self.input.reserve(READ_CHUNK);
        let start = self.input.len();
        self.input.resize(start + READ_CHUNK, 0);
        let mut buffer = ReadBuf::new(&mut self.input[start..]);
        let result = Pin::new(&mut *self.stream).poll_read(cx, &mut buffer);
        let count = buffer.filled().len();
        self.input.truncate(start + count);
        if let Poll::Ready(Ok(())) = result {
            self.bytes_in += count as u64;
            self.heard |= count > 0;
        }
        result.map(|result| result.map(|()| count))
    }

    /// Writes what the system takes at once, without waiting; the rest goes with the next `poll_io`.
    pub fn try_write(&mut self) {
        if self.failure.is_none()
            && let Poll::Ready(Err(error)) = self.poll_write(&mut Context::from_waker(Waker::noop()))
        {
            self.failure = Some(error);
        }
    }

    /// Writes what is left, says goodbye to the transport, and waits for the other side to close: closing with unread
    /// bytes would reset the link and could cost the other side our last packet. Bound it in time.
    pub async fn finish(mut self: Box<Self>) {
        let last = self.output.split();
        if self.failure.is_some()
            || self.stream.write_all(&last).await.is_err()
            || self.stream.shutdown().await.is_err()
        {
            return;
        }
        let mut rest = [0; 1024];
        while matches!(self.stream.read(&mut rest).await, Ok(count) if count > 0) {}
    }
}
