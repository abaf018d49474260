//! The link over real loopback sockets. What a peer does is settled by its reads and writes, never by waiting a while.

use std::future::{Future, poll_fn};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use socket2::SockRef;

use super::{KEEP_OUTPUT, Link, LinkError};

/// Runs a test, and fails it if it hangs.
pub(super) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(30), test).await.expect("the test hangs") });
}

/// A link and the blocking socket at its other end, with small buffers in the system so that they fill soon.
async fn pair() -> (Link, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    SockRef::from(&listener).set_recv_buffer_size(16 << 10).unwrap();
    let stream = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    SockRef::from(&stream).set_send_buffer_size(16 << 10).unwrap();
    (Link::new(stream), listener.accept().unwrap().0)
}

/// Polls once, without a runtime's help: writes and reads what is possible at once.
fn now(link: &mut Link) -> Poll<()> {
    link.poll_io(&mut Context::from_waker(Waker::noop()), true)
}

/// Waits until the link has something to tell.
async fn io(link: &mut Link) {
    poll_fn(|cx| link.poll_io(cx, true)).await;
}

/// Reads until so many bytes stand in the read buffer.
async fn read(link: &mut Link, wanted: usize) {
    while link.input().len() < wanted {
        assert_eq!(link.failure(), None);
        io(link).await;
        link.take_drained();
    }
}

/// Writes until nothing is left.
async fn write(link: &mut Link) {
    while link.unsent() > 0 {
        assert_eq!(link.failure(), None);
        io(link).await;
    }
}

/// How the link ends.
async fn end(link: &mut Link) -> LinkError {
    while link.failure().is_none() {
        io(link).await;
        link.take_drained();
    }
    link.failure().cloned().unwrap()
}

#[test]
fn bytes_come_and_go_and_are_counted() {
    run(async {
        let (mut link, mut peer) = pair().await;
        link.output().extend_from_slice(b"hello");
        assert_eq!((link.unsent(), link.counters()), (5, (0, 0)));
        peer.write_all(b"world").unwrap();
        read(&mut link, 5).await;
        let mut heard = [0; 5];
        peer.read_exact(&mut heard).unwrap();
        assert_eq!((&heard, &link.input()[..]), (b"hello", &b"world"[..]));
        assert_eq!((link.unsent(), link.counters()), (0, (5, 5)));
        assert!(link.take_heard() && !link.take_heard());
    });
}

#[test]
fn a_peer_that_does_not_read_does_not_stop_reading() {
    run(async {
        let (mut link, mut peer) = pair().await;
        link.output().resize(8 << 20, 7);
        for _ in 0..20 {
            peer.write_all(&[1; 1000]).unwrap();
            read(&mut link, 1000).await;
            link.input().clear();
        }
        assert!(link.unsent() > 1 << 20, "the peer has read nothing");
        assert_eq!(link.counters().0, 20_000);
    });
}

#[test]
fn both_sides_full_is_no_deadlock() {
    run(async {
        const EACH: usize = 4 << 20;
        let (mut link, peer) = pair().await;
        let mut writing = peer.try_clone().unwrap();
        // The peer reads nothing before it has written everything.
        let other = std::thread::spawn(move || {
            writing.write_all(&vec![1; EACH]).unwrap();
            let mut all = Vec::new();
            (&writing).take(EACH as u64).read_to_end(&mut all).unwrap();
            all.len()
        });
        link.output().resize(EACH, 2);
        while link.counters().0 < EACH as u64 {
            assert_eq!(link.failure(), None);
            io(&mut link).await;
            link.take_drained();
            link.input().clear();
        }
        write(&mut link).await;
        assert_eq!(other.join().unwrap(), EACH);
    });
}

#[test]
fn it_is_told_once_that_the_write_buffer_ran_empty() {
    run(async {
        let (mut link, peer) = pair().await;
        link.output().resize(4 << 20, 7);
        assert_eq!((now(&mut link), link.take_drained()), (Poll::Pending, false));
        let reading = std::thread::spawn(move || (&peer).take(4 << 20).read_to_end(&mut Vec::new()).map(|_| peer));
        io(&mut link).await;
        assert_eq!((link.unsent(), link.take_drained(), link.take_drained()), (0, true, false));
        let _peer = reading.join().unwrap().unwrap();
        assert_eq!(now(&mut link), Poll::Pending, "not told again");
    });
}

#[test]
fn it_is_known_since_when_the_peer_takes_nothing() {
    run(async {
        let (mut link, peer) = pair().await;
        link.output().extend_from_slice(b"taken");
        write(&mut link).await;
        assert_eq!(link.stalled_since(), None);
        link.output().resize(8 << 20, 7);
        assert_eq!(now(&mut link), Poll::Pending);
        let since = link.stalled_since().unwrap();
        assert_eq!((now(&mut link), link.stalled_since()), (Poll::Pending, Some(since)));
        // Slow is not dead: each byte that is taken begins the time anew.
        let unsent = link.unsent();
        let mut taken = 0;
        while link.unsent() == unsent {
            taken += (&peer).read(&mut [0; 4096]).unwrap();
            let soon = tokio::time::timeout(Duration::from_millis(10), io(&mut link));
            assert!(soon.await.is_err() && taken < 8 << 20);
        }
        assert!(link.stalled_since().unwrap() > since);
        let reading =
            std::thread::spawn(move || (&peer).take((8 << 20) + 5 - taken as u64).read_to_end(&mut Vec::new()));
        write(&mut link).await;
        assert_eq!(link.stalled_since(), None);
        reading.join().unwrap().unwrap();
    });
}

#[test]
fn without_reading_it_still_writes() {
    run(async {
        let (mut link, mut peer) = pair().await;
        peer.write_all(b"unread").unwrap();
        link.output().extend_from_slice(b"out");
        poll_fn(|cx| link.poll_io(cx, false)).await;
        assert_eq!((link.unsent(), link.input().len(), link.take_drained()), (0, 0, true));
        assert_eq!(link.poll_io(&mut Context::from_waker(Waker::noop()), false), Poll::Pending);
        read(&mut link, 6).await;
    });
}

#[test]
fn what_the_system_takes_is_written_without_waiting() {
    run(async {
        let (mut link, mut peer) = pair().await;
        link.output().extend_from_slice(b"at once");
        link.try_write();
        assert_eq!((link.unsent(), link.failure()), (0, None));
        let mut heard = [0; 7];
        peer.read_exact(&mut heard).unwrap();
    });
}

#[test]
fn a_cancelled_call_loses_nothing() {
    run(async {
        let (mut link, mut peer) = pair().await;
        let mut received = Vec::new();
        for round in 0..100u8 {
            link.output().extend_from_slice(&[round; 100]);
            peer.write_all(&[round; 100]).unwrap();
            let _ = (now(&mut link), now(&mut link));
            received.extend_from_slice(&link.input().split());
        }
        while received.len() < 10_000 {
            io(&mut link).await;
            link.take_drained();
            received.extend_from_slice(&link.input().split());
        }
        write(&mut link).await;
        let mut heard = vec![0; 10_000];
        peer.read_exact(&mut heard).unwrap();
        let wanted: Vec<u8> = (0..100u8).flat_map(|round| [round; 100]).collect();
        assert!(received == wanted && heard == wanted);
    });
}

#[test]
fn an_orderly_close_and_a_reset_are_told_apart() {
    run(async {
        let (mut link, mut peer) = pair().await;
        peer.write_all(b"last words").unwrap();
        drop(peer);
        read(&mut link, 10).await;
        assert_eq!(end(&mut link).await, LinkError::Eof);

        let (mut link, peer) = pair().await;
        SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
        drop(peer);
        assert!(matches!(end(&mut link).await, LinkError::Reset(text) if text.contains("reset")));

        // Unsent bytes make the write notice the reset first.
        let (mut link, peer) = pair().await;
        link.output().resize(8 << 20, 7);
        assert_eq!(now(&mut link), Poll::Pending);
        SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
        drop(peer);
        assert!(matches!(end(&mut link).await, LinkError::Reset(_)));
    });
}

#[test]
fn the_last_packet_is_read_though_writing_has_become_impossible() {
    run(async {
        let (stream, mut peer) = tokio::io::duplex(1024);
        let mut link = Link::new(WriteFails(stream));
        tokio::io::AsyncWriteExt::write_all(&mut peer, b"\xe0\x01\x8e").await.unwrap();
        drop(peer);
        link.output().extend_from_slice(b"unsent");
        let end = end(&mut link).await;
        assert_eq!(&link.input()[..], b"\xe0\x01\x8e");
        assert_eq!(end, LinkError::Eof, "a broken pipe after an orderly close is no reset");
    });
}

/// A stream whose writing side is gone.
struct WriteFails(tokio::io::DuplexStream);

impl tokio::io::AsyncRead for WriteFails {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        pin!(&mut self.0).poll_read(cx, buffer)
    }
}

impl tokio::io::AsyncWrite for WriteFails {
    fn poll_write(self: std::pin::Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<std::io::Result<usize>> {
        Poll::Ready(Err(std::io::ErrorKind::BrokenPipe.into()))
    }
    fn poll_flush(self: std::pin::Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: std::pin::Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[test]
fn the_write_buffer_gives_its_memory_back_after_a_burst() {
    run(async {
        let (mut link, peer) = pair().await;
        let reading = std::thread::spawn(move || {
            (&peer).take(4 << 20).read_to_end(&mut Vec::new()).unwrap();
            peer
        });
        link.output().resize(4 << 20, 7);
        write(&mut link).await;
        let _peer = reading.join().unwrap();
        assert!(!link.output().try_reclaim(2 * KEEP_OUTPUT), "the memory is still held");
    });
}

#[test]
fn small_messages_that_are_held_share_their_memory() {
    run(async {
        let (mut link, mut peer) = pair().await;
        let mut held = Vec::new();
        for _ in 0..500 {
            peer.write_all(&[1; 100]).unwrap();
            read(&mut link, 100).await;
            held.push(link.input().split_to(100).freeze());
        }
        let mut places: Vec<usize> = held.iter().map(|frame| frame.as_ptr() as usize).collect();
        places.sort_unstable();
        let runs = 1 + places.windows(2).filter(|pair| pair[1] - pair[0] != 100).count();
        assert!(runs <= 2, "500 messages of 100 bytes stand in {runs} allocations");
    });
}

#[test]
fn the_read_buffer_is_used_again_and_grows_only_with_what_arrives() {
    run(async {
        let (mut link, mut peer) = pair().await;
        for _ in 0..100 {
            peer.write_all(&[1; 10_000]).unwrap();
            read(&mut link, 10_000).await;
            link.input().clear();
        }
        assert!(link.input().capacity() <= 128 << 10);
        let writing = std::thread::spawn(move || {
            peer.write_all(&vec![1; 1 << 20]).unwrap();
            peer
        });
        let mut before = 0;
        while link.input().len() < 1 << 20 {
            io(&mut link).await;
            let now = link.input().len();
            assert!(now - before <= 64 << 10 && link.input().capacity() <= 2 * now + (128 << 10));
            before = now;
        }
        drop(writing.join().unwrap());
    });
}

#[test]
fn close_delivers_the_last_packet_though_bytes_are_unread() {
    run(async {
        let (mut link, mut peer) = pair().await;
        peer.write_all(&[1; 50_000]).unwrap();
        link.output().extend_from_slice(b"\xe0\x00");
        let other = std::thread::spawn(move || {
            let mut all = Vec::new();
            peer.read_to_end(&mut all).map(|_| all)
        });
        Box::new(link).finish().await;
        assert_eq!(other.join().unwrap().unwrap(), b"\xe0\x00");
    });
}
