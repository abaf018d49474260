//! A byte stream of the app's own making: whatever goes wrong in it, a panic included, costs a link and nothing else.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Stream;
use crate::model::broker_url::BrokerUrl;
use crate::model::transport::Transport;

/// Asks the app for a stream.
pub(super) async fn connect(transport: &dyn Transport, broker: &BrokerUrl) -> io::Result<Box<dyn Stream>> {
    let mut connecting = None;
    let ask = |cx: &mut Context<'_>| {
        guarded(|| connecting.get_or_insert_with(|| transport.connect(broker)).as_mut().poll(cx))
    };
    Ok(Box::new(AppStream(Some(std::future::poll_fn(ask).await?))))
}

/// Empty only while it is dropped.
struct AppStream(Option<Box<dyn Stream>>);

impl AppStream {
    fn call<T>(&mut self, call: impl FnOnce(Pin<&mut Box<dyn Stream>>) -> Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match &mut self.0 {
            Some(stream) => guarded(|| call(Pin::new(stream))),
            None => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

impl Drop for AppStream {
    /// A stream that has panicked may do so once more when it goes.
    fn drop(&mut self) {
        let stream = self.0.take();
        drop(catch_unwind(AssertUnwindSafe(|| drop(stream))));
    }
}

fn guarded<T>(call: impl FnOnce() -> Poll<io::Result<T>>) -> Poll<io::Result<T>> {
    // What the panic said is not repeated: it may quote anything (P12).
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|_| Poll::Ready(Err(io::Error::other("it panicked"))))
}

impl AsyncRead for AppStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.call(|stream| stream.poll_read(cx, buf))
    }
}

impl AsyncWrite for AppStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.call(|stream| stream.poll_write(cx, bytes)) {
            Poll::Ready(Ok(count)) if count > bytes.len() => {
                Poll::Ready(Err(io::Error::other("it says that it wrote more than it was given")))
            }
            other => other,
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.call(|stream| stream.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.call(|stream| stream.poll_shutdown(cx))
    }
}
