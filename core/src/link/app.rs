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
    Ok(Box::new(AppStream(std::future::poll_fn(ask).await?)))
}

struct AppStream(Box<dyn Stream>);

fn guarded<T>(call: impl FnOnce() -> Poll<io::Result<T>>) -> Poll<io::Result<T>> {
    // What the panic said is not repeated: it may quote anything (P12).
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|_| Poll::Ready(Err(io::Error::other("it panicked"))))
}

impl AsyncRead for AppStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        guarded(|| Pin::new(&mut self.0).poll_read(cx, buf))
    }
}

impl AsyncWrite for AppStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match guarded(|| Pin::new(&mut self.0).poll_write(cx, bytes)) {
            Poll::Ready(Ok(count)) if count > bytes.len() => {
                Poll::Ready(Err(io::Error::other("it says that it wrote more than it was given")))
            }
            other => other,
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        guarded(|| Pin::new(&mut self.0).poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        guarded(|| Pin::new(&mut self.0).poll_shutdown(cx))
    }
}
