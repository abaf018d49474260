//! An app's own streams and trust that fail, panic and lie.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use homing::{
    BrokerUrl, ByteStream, Connecting, Event, Fate, Homing, Options, Publish, QoS, ServerTrust, State, TopicName,
    Transport, Trust,
};
use homing_testkit::certificates::{Authority, Wrong};
use homing_testkit::mosquitto::{Inflight, Mosquitto};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{options, run};

/// What an app's own stream does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Fails,
    PanicsAtOnce,
    PanicsLater,
    PanicsInRead,
    PanicsInWrite,
    WritesNothing,
    WritesTooMuch,
    EndsAtOnce,
}

const FAULTS: [(Fault, &str); 8] = [
    (Fault::Fails, "the app's own words"),
    (Fault::PanicsAtOnce, "app's transport: it panicked"),
    (Fault::PanicsLater, "app's transport: it panicked"),
    (Fault::PanicsInRead, "it panicked"),
    (Fault::PanicsInWrite, "it panicked"),
    (Fault::WritesNothing, "write zero"),
    (Fault::WritesTooMuch, "more than it was given"),
    (Fault::EndsAtOnce, "closed by the broker"),
];

/// At its first attempt it does that, later it is in order, a byte at a time.
struct Clumsy {
    fault: Fault,
    port: u16,
    attempts: AtomicU32,
}

struct Clumsily {
    stream: tokio::net::TcpStream,
    fault: Option<Fault>,
}

impl Transport for Clumsy {
    fn connect<'a>(&'a self, _broker: &'a BrokerUrl) -> Connecting<'a> {
        let first = self.attempts.fetch_add(1, Ordering::SeqCst) == 0;
        let fault = first.then_some(self.fault);
        assert!(fault != Some(Fault::PanicsAtOnce), "sesame");
        Box::pin(async move {
            let stream = tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await?;
            assert!(fault != Some(Fault::PanicsLater), "sesame");
            match fault {
                Some(Fault::Fails) => Err(io::Error::other("the app's own words")),
                _ => Ok(Box::new(Clumsily { stream, fault }) as Box<dyn ByteStream>),
            }
        })
    }
}

impl AsyncRead for Clumsily {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        assert!(self.fault != Some(Fault::PanicsInRead), "sesame");
        if self.fault == Some(Fault::EndsAtOnce) {
            return Poll::Ready(Ok(()));
        }
        let mut one = buf.take(1);
        let read = Pin::new(&mut self.stream).poll_read(cx, &mut one);
        let count = one.filled().len();
        // The byte is there: `one` is the front of what is not filled yet.
        let byte = one.filled().first().copied();
        if count == 1 {
            buf.put_slice(&[byte.unwrap()]);
        }
        read
    }
}

impl AsyncWrite for Clumsily {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.fault {
            Some(Fault::PanicsInWrite) => panic!("sesame"),
            Some(Fault::WritesNothing) => Poll::Ready(Ok(0)),
            Some(Fault::WritesTooMuch) => Poll::Ready(Ok(bytes.len() + 1)),
            _ => Pin::new(&mut self.stream).poll_write(cx, &bytes[..bytes.len().min(1)]),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A message is accepted, delivered by a later attempt, and nothing is said to be a bug of ours. Returns why it waited.
async fn delivered_at_last(mut options: Options) -> String {
    options.retry = (Duration::from_millis(300), Duration::from_secs(1));
    let client = Homing::open(options).await.unwrap();
    let mut events = client.events();
    let message = Publish::new(TopicName::new("home/light").unwrap(), "on").qos(QoS::ExactlyOnce);
    let id = client.publish(message).await.unwrap();
    assert_eq!(client.settled(id).await.unwrap(), Fate::DELIVERED);
    let mut reason = String::new();
    client.close(Duration::from_secs(10)).await.unwrap();
    while let Some(event) = events.next().await {
        match event {
            Event::State(State::Waiting { why, .. }) => reason = why.to_string(),
            Event::Warning { code, text } => panic!("{code}: {text}"),
            _ => {}
        }
    }
    reason
}

#[test]
fn a_clumsy_stream_of_the_apps_costs_an_attempt_and_nothing_else() {
    let broker = Mosquitto::start(Inflight::Default);
    run(async {
        for (fault, words) in FAULTS {
            let folder = tempfile::tempdir().unwrap();
            let mut options = options(folder.path(), "mqtt://nowhere.invalid");
            let transport = Arc::new(Clumsy { fault, port: broker.port(), attempts: AtomicU32::new(0) });
            options.transport = Some(Arc::clone(&transport) as Arc<dyn Transport>);
            let told = delivered_at_last(options).await;
            assert!(told.contains(words) && !told.contains("sesame"), "{fault:?}: {told}");
            assert_eq!(transport.attempts.load(Ordering::SeqCst), 2, "{fault:?}");
        }
    });
}

struct Panics(AtomicU32);

impl ServerTrust for Panics {
    fn check(&self, _chain: &[&[u8]], _host: &str) -> Result<(), String> {
        assert!(self.0.fetch_add(1, Ordering::SeqCst) > 0, "sesame");
        Ok(())
    }
}

#[test]
fn an_app_that_panics_over_a_servers_certificate_has_not_trusted_it() {
    run(async {
        let broker = Mosquitto::start_tls(&Authority::new().server(&Wrong::default()), None, "");
        let folder = tempfile::tempdir().unwrap();
        let mut options = options(folder.path(), &broker.url());
        options.tls.trust = Trust::Custom(Arc::new(Panics(AtomicU32::new(0))));
        let told = delivered_at_last(options).await;
        assert_eq!(told, "TLS: the server is not trusted: the app's check panicked");
    });
}
