//! MQTT's bytes in WebSocket frames (RFC 6455; MQTT 5.0, 6): a byte stream over a byte stream, on the client's side.
//!
//! Payload bytes are handed on as they come and no frame or message is ever gathered. So a broker may put as many packets as
//! it likes into one frame, or one packet into any number of frames, and a length that is only announced costs nothing. Held
//! are at most 16 KiB that were read, and one frame of at most 64 KiB, one pong and one close that could not be written yet:
//! while they wait nothing more is taken to be written.
//!
//! Frame headers are read and written by `tungstenite`. Its `WebSocket` is not used, for two reasons (0.30): it gathers whole
//! messages, so any bound on memory would refuse frames that MQTT allows [MQTT-6.0.0-3]; and it logs whole frames and the
//! request, payloads and tokens with them, at level trace (P12).

use std::io::{self, Cursor};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::Stream;

/// So much is read at once.
const READ: usize = 16 << 10;
/// The longest payload of a frame that is written.
const WRITE: usize = 64 << 10;
/// The longest payload of a control frame (RFC 6455, section 5.5).
const MAX_CONTROL: u64 = 125;

/// How the other side broke the protocol, or ended it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Text.
    #[error("a WebSocket text frame came; MQTT travels in binary frames [MQTT-6.0.0-1]")]
    Text,
    /// Anything else that RFC 6455 forbids.
    #[error("WebSocket protocol broken: {0}")]
    Protocol(&'static str),
    /// A close frame that says more than that it was time to go.
    #[error("WebSocket closed by the broker with {code}: {reason}")]
    Closed {
        /// RFC 6455, section 7.4.
        code: u16,
        /// The broker's words.
        reason: String,
    },
}

/// What the next bytes are.
enum Expects {
    Header,
    /// So many bytes of MQTT.
    Payload(u64),
    /// A control frame's payload, and its length.
    Control(Control, usize),
}

/// A stream of MQTT's bytes.
pub struct Frames<S> {
    inner: S,
    input: BytesMut,
    output: BytesMut,
    expects: Expects,
    /// A message is under way whose last frame has not begun.
    fragmented: bool,
    pong: Option<BytesMut>,
    /// We have sent, or are about to send, our close frame: nothing may follow it.
    closed: bool,
    /// Nothing more is read.
    ended: bool,
    failure: Option<FrameError>,
}

impl<S: Stream> Frames<S> {
    /// Over a stream that was upgraded; `input` was read behind the answer.
    pub fn new(inner: S, input: BytesMut) -> Self {
        Self {
            inner,
            input,
            output: BytesMut::new(),
            expects: Expects::Header,
            fragmented: false,
            pong: None,
            closed: false,
            ended: false,
            failure: None,
        }
    }

    /// Bytes of memory in its buffers.
    #[cfg(test)]
    pub fn held(&self) -> usize {
        self.input.capacity() + self.output.capacity()
    }

    /// What is below.
    #[cfg(test)]
    pub fn into_inner(self) -> S {
        self.inner
    }

    fn read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        while !self.ended && buf.remaining() > 0 {
            match self.step(buf) {
                Ok(true) => {}
                Ok(false) if buf.filled().len() > before => break,
                Ok(false) => self.ended = ready!(self.fill(cx))? == 0,
                Err(error) => {
                    self.close(if error == FrameError::Text { 1003 } else { 1002 })?;
                    self.failure = Some(error);
                    self.ended = true;
                }
            }
        }
        match self.failure.take_if(|_| buf.filled().len() == before) {
            Some(failure) => Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, failure))),
            None => Poll::Ready(Ok(())),
        }
    }

    fn fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.input.reserve(READ);
        let mut chunk = (&mut self.input).limit(READ);
        pin!(self.inner.read_buf(&mut chunk)).poll(cx)
    }

    /// Takes one thing out of what was read. False: it needs more bytes.
    fn step(&mut self, buf: &mut ReadBuf<'_>) -> Result<bool, FrameError> {
        match self.expects {
            Expects::Header => {
                let mut cursor = Cursor::new(&self.input);
                let header = FrameHeader::parse(&mut cursor).map_err(|_| FrameError::Protocol("unknown opcode"))?;
                let Some((header, length)) = header else { return Ok(false) };
                let read = cursor.position() as usize;
                self.input.advance(read);
                self.expects = self.begin(&header, length)?;
            }
            Expects::Payload(0) => self.expects = Expects::Header,
            Expects::Payload(_) if self.input.is_empty() => return Ok(false),
            Expects::Payload(left) => {
                let most = usize::try_from(left).unwrap_or(usize::MAX);
                let count = most.min(self.input.len()).min(buf.remaining());
                buf.put_slice(&self.input[..count]);
                self.input.advance(count);
                self.expects = Expects::Payload(left - count as u64);
            }
            Expects::Control(_, length) if self.input.len() < length => return Ok(false),
            Expects::Control(kind, length) => {
                let payload = self.input.split_to(length);
                self.expects = Expects::Header;
                self.control(kind, &payload)?;
            }
        }
        Ok(true)
    }

    fn begin(&mut self, header: &FrameHeader, length: u64) -> Result<Expects, FrameError> {
        let broken = |what| Err(FrameError::Protocol(what));
        if header.rsv1 || header.rsv2 || header.rsv3 {
            return broken("a reserved bit is set, and no extension was agreed on");
        }
        if header.mask.is_some() {
            return broken("a masked frame came from the server");
        }
        if i64::try_from(length).is_err() {
            return broken("a frame's length has its highest bit set");
        }
        match header.opcode {
            OpCode::Control(_) if !header.is_final => broken("a control frame is fragmented"),
            OpCode::Control(_) if length > MAX_CONTROL => broken("a control frame is longer than 125 bytes"),
            OpCode::Control(kind) => Ok(Expects::Control(kind, length as usize)),
            OpCode::Data(Data::Text) => Err(FrameError::Text),
            OpCode::Data(Data::Binary) if self.fragmented => broken("a new message came amid another"),
            OpCode::Data(Data::Continue) if !self.fragmented => broken("a continuation of nothing came"),
            OpCode::Data(Data::Binary | Data::Continue) => {
                self.fragmented = !header.is_final;
                Ok(Expects::Payload(length))
            }
            OpCode::Data(Data::Reserved(_)) => broken("unknown opcode"),
        }
    }

    fn control(&mut self, kind: Control, payload: &[u8]) -> Result<(), FrameError> {
        match kind {
            // Only the last of several need be answered (RFC 6455, section 5.5.3).
            Control::Ping if !self.closed => self.pong = Some(BytesMut::from(payload)),
            Control::Ping | Control::Pong => {}
            Control::Close => {
                let (code, reason) = match payload {
                    [] => (1000, ""),
                    [_] => return Err(FrameError::Protocol("a close frame of one byte")),
                    [high, low, reason @ ..] => {
                        let reason = std::str::from_utf8(reason);
                        let reason = reason.map_err(|_| FrameError::Protocol("a close frame is not UTF-8"))?;
                        (u16::from_be_bytes([*high, *low]), reason)
                    }
                };
                self.ended = true;
                // 1000: done; 1001: going away. Both are an orderly end.
                if !matches!(code, 1000 | 1001) {
                    let reason = reason.replace(char::is_control, " ");
                    self.failure = Some(FrameError::Closed { code, reason });
                }
                self.close(1000).map_err(|_| FrameError::Protocol("no random numbers for a mask"))?;
            }
            Control::Reserved(_) => return Err(FrameError::Protocol("unknown opcode")),
        }
        Ok(())
    }

    /// Our close frame, once.
    fn close(&mut self, code: u16) -> io::Result<()> {
        if std::mem::replace(&mut self.closed, true) {
            return Ok(());
        }
        self.pong = None;
        self.frame(OpCode::Control(Control::Close), &code.to_be_bytes())
    }

    /// Appends a frame, whole and masked (RFC 6455, section 5.3: by a number that nobody can foresee).
    fn frame(&mut self, opcode: OpCode, payload: &[u8]) -> io::Result<()> {
        let mut mask = [0; 4];
        getrandom::fill(&mut mask).map_err(|error| io::Error::other(error.to_string()))?;
        let header = FrameHeader { opcode, mask: Some(mask), ..FrameHeader::default() };
        header.format(payload.len() as u64, &mut (&mut self.output).writer()).map_err(io::Error::other)?;
        let start = self.output.len();
        self.output.extend_from_slice(payload);
        for (at, byte) in self.output[start..].iter_mut().enumerate() {
            *byte ^= mask[at % 4];
        }
        Ok(())
    }

    /// Writes what waits, and the pong behind it.
    fn drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            while !self.output.is_empty() {
                match ready!(Pin::new(&mut self.inner).poll_write(cx, &self.output))? {
                    0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    count => self.output.advance(count),
                }
            }
            match self.pong.take() {
                Some(pong) => self.frame(OpCode::Control(Control::Pong), &pong)?,
                None => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl<S: Stream> AsyncRead for Frames<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = this.read(cx, buf);
        if this.pong.is_some() || this.ended {
            // A pong, or the last word. If it cannot go now it goes with the next write; if it never can, that write says so.
            let _ = Pin::new(this).poll_flush(cx);
        }
        result
    }
}

impl<S: Stream> AsyncWrite for Frames<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.closed {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        ready!(this.drain(cx))?;
        let count = buf.len().min(WRITE);
        this.frame(OpCode::Data(Data::Binary), &buf[..count])?;
        // The frame is taken, whether or not it can go at once.
        match this.drain(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(count)),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.drain(cx))?;
        Pin::new(&mut this.inner).poll_flush(cx)
    }

    /// Our close frame, then the end of what is below: a server that ignores the frame sees the end all the same.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.close(1000)?;
        ready!(Pin::new(&mut *this).poll_flush(cx))?;
        Pin::new(&mut this.inner).poll_shutdown(cx)
    }
}
