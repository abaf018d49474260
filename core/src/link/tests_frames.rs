//! MQTT's bytes in frames, against a peer that plays RFC 6455 byte by byte.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};

use super::frames::{FrameError, Frames};
use super::tests::run;

const BINARY: u8 = 0x82;
const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8A;

/// A frame as a server sends it, unmasked.
fn frame(head: u8, payload: &[u8]) -> Vec<u8> {
    let mut all = vec![head];
    match payload.len() {
        length @ 0..=125 => all.push(length as u8),
        length @ 126..=65_535 => {
            all.push(126);
            all.extend((length as u16).to_be_bytes());
        }
        length => {
            all.push(127);
            all.extend((length as u64).to_be_bytes());
        }
    }
    [all, payload.to_vec()].concat()
}

fn frames(room: usize) -> (Frames<DuplexStream>, DuplexStream) {
    let (ours, theirs) = duplex(room);
    (Frames::new(ours, BytesMut::new()), theirs)
}

/// The next frame of the client: its first byte and its payload, unmasked.
async fn heard(peer: &mut DuplexStream) -> (u8, Vec<u8>) {
    let mut head = [0; 2];
    peer.read_exact(&mut head).await.unwrap();
    assert_eq!(head[1] & 0x80, 0x80, "a client masks");
    let length = match head[1] & 0x7F {
        126 => u64::from(peer.read_u16().await.unwrap()),
        127 => peer.read_u64().await.unwrap(),
        length => u64::from(length),
    };
    let mut mask = [0; 4];
    peer.read_exact(&mut mask).await.unwrap();
    let mut payload = vec![0; length as usize];
    peer.read_exact(&mut payload).await.unwrap();
    payload.iter_mut().enumerate().for_each(|(at, byte)| *byte ^= mask[at % 4]);
    (head[0], payload)
}

/// What is read until the stream ends, and how it ends.
async fn all(frames: &mut Frames<DuplexStream>) -> (Vec<u8>, io::Result<usize>) {
    let mut read = Vec::new();
    loop {
        match frames.read_buf(&mut read).await {
            Ok(0) => return (read, Ok(0)),
            Ok(_) => {}
            Err(error) => return (read, Err(error)),
        }
    }
}

/// What is read until a frame that must not be, and its error.
async fn broken(bytes: &[u8]) -> (Vec<u8>, FrameError) {
    let (mut frames, mut peer) = frames(1 << 20);
    peer.write_all(bytes).await.unwrap();
    let (read, end) = all(&mut frames).await;
    let error = end.unwrap_err().into_inner().unwrap();
    assert_eq!(frames.read(&mut [0]).await.unwrap(), 0, "told once");
    (read, *error.downcast().unwrap())
}

#[test]
fn frames_are_split_and_joined_anywhere() {
    run(async {
        let bytes: Vec<u8> = (0..200_000_u32).map(|at| at as u8).collect();
        let mut wire = Vec::new();
        bytes[..300].chunks(1).for_each(|byte| wire.extend(frame(BINARY, byte)));
        wire.extend(frame(BINARY, b""));
        // One message of three frames, with control frames between them.
        wire.extend(frame(0x02, &bytes[300..1000]));
        wire.extend(frame(PONG, b"unasked"));
        wire.extend(frame(0x00, b""));
        wire.extend(frame(PING, b"p"));
        wire.extend(frame(0x80, &bytes[1000..70_000]));
        wire.extend(frame(BINARY, &bytes[70_000..]));
        wire.extend(frame(CLOSE, &1000_u16.to_be_bytes()));
        for room in [1, 7, 1000, 1 << 20] {
            let (mut frames, peer) = frames(room);
            let (mut from, mut to) = tokio::io::split(peer);
            let wire = wire.clone();
            let writing = tokio::spawn(async move { to.write_all(&wire).await.map(|()| to) });
            let reading = tokio::spawn(async move { from.read_to_end(&mut Vec::new()).await });
            let (read, end) = all(&mut frames).await;
            assert!(read == bytes && end.is_ok(), "{} {end:?}", read.len());
            drop(frames);
            drop(writing.await.unwrap().unwrap());
            reading.await.unwrap().unwrap();
        }
    });
}

#[test]
fn what_the_protocol_forbids_ends_it_after_what_came_before() {
    run(async {
        let cases: [(Vec<u8>, &str); 10] = [
            (vec![BINARY | 0x40, 0], "reserved bit"),
            (vec![BINARY, 0x81, 0, 0, 0, 0, 7], "masked"),
            (vec![PING & 0x7F, 0], "control frame is fragmented"),
            (frame(PING, &[0; 126]), "longer than 125"),
            (frame(0x80, b"x"), "continuation of nothing"),
            ([frame(0x02, b""), frame(0x02, b"")].concat(), "amid another"),
            (frame(0x83, b""), "opcode"),
            (frame(0x8B, b""), "opcode"),
            (frame(CLOSE, b"1"), "close frame"),
            (vec![BINARY, 127, 0x80, 0, 0, 0, 0, 0, 0, 0], "highest bit"),
        ];
        for (wire, expected) in cases {
            let (read, error) = broken(&[frame(BINARY, b"before"), wire].concat()).await;
            assert_eq!(read, b"before");
            let FrameError::Protocol(what) = error else { panic!("{error:?}") };
            assert!(what.contains(expected), "{what}");
        }
        assert_eq!(broken(&frame(TEXT, b"text")).await, (vec![], FrameError::Text));
        let closed = FrameError::Closed { code: 1008, reason: "not you".to_owned() };
        assert_eq!(broken(&frame(CLOSE, b"\x03\xF0not\nyou")).await, (vec![], closed));
    });
}

#[test]
fn a_text_frame_is_answered_with_a_close() {
    run(async {
        let (mut frames, mut peer) = frames(1000);
        peer.write_all(&frame(TEXT, b"text")).await.unwrap();
        assert!(frames.read(&mut [0]).await.is_err());
        assert_eq!(heard(&mut peer).await, (CLOSE, 1003_u16.to_be_bytes().to_vec()));
        assert_eq!(frames.write(b"x").await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    });
}

#[test]
fn pings_are_answered_between_frames_and_the_last_of_many_is_enough() {
    run(async {
        let (mut frames, mut peer) = frames(100);
        let payload = [7; 500];
        let taken = poll_fn(|cx| Pin::new(&mut frames).poll_write(cx, &payload)).await.unwrap();
        assert_eq!(taken, 500, "one frame is held");
        for number in 0..3 {
            peer.write_all(&frame(PING, &[number])).await.unwrap();
            let mut byte = [0];
            let mut buf = tokio::io::ReadBuf::new(&mut byte);
            let pending = tokio::io::AsyncRead::poll_read(
                Pin::new(&mut frames),
                &mut Context::from_waker(Waker::noop()),
                &mut buf,
            );
            assert!(pending.is_pending());
        }
        let (flushed, (first, second)) =
            tokio::join!(frames.flush(), async { (heard(&mut peer).await, heard(&mut peer).await) });
        flushed.unwrap();
        assert_eq!((first, second), ((BINARY, payload.to_vec()), (PONG, vec![2])));
    });
}

#[test]
fn a_broker_that_does_not_read_holds_back_what_is_written() {
    let (mut frames, _peer) = frames(1000);
    let bytes = vec![1; 1 << 20];
    let mut cx = Context::from_waker(Waker::noop());
    let mut taken = 0;
    while let Poll::Ready(count) = Pin::new(&mut frames).poll_write(&mut cx, &bytes) {
        taken += count.unwrap();
        assert!(taken <= 64 << 10, "more than one frame is held");
    }
    assert_eq!(taken, 64 << 10);
}

#[test]
fn a_length_that_is_only_announced_costs_nothing() {
    run(async {
        let (mut frames, mut peer) = frames(1 << 10);
        let mut wire = vec![BINARY, 127];
        wire.extend((1_u64 << 40).to_be_bytes());
        wire.extend([5; 100]);
        peer.write_all(&wire).await.unwrap();
        let mut read = [0; 100];
        frames.read_exact(&mut read).await.unwrap();
        assert_eq!(read, [5; 100], "it is there before its frame is complete");
        assert!(frames.held() <= 64 << 10, "{}", frames.held());
    });
}

#[test]
fn a_goodbye_says_close_and_what_came_before_it_arrives() {
    run(async {
        let (mut frames, mut peer) = frames(1 << 20);
        frames.write_all(b"last").await.unwrap();
        frames.shutdown().await.unwrap();
        assert_eq!(heard(&mut peer).await, (BINARY, b"last".to_vec()));
        assert_eq!(heard(&mut peer).await, (CLOSE, 1000_u16.to_be_bytes().to_vec()));
        assert_eq!(peer.read(&mut [0]).await.unwrap(), 0);
        peer.write_all(&[frame(BINARY, b"crossed"), frame(CLOSE, b"")].concat()).await.unwrap();
        let (read, end) = all(&mut frames).await;
        assert!(read == b"crossed" && end.is_ok());
    });
}

#[test]
fn the_brokers_close_is_answered_and_ends_the_stream() {
    run(async {
        let (mut frames, mut peer) = frames(1000);
        peer.write_all(&[frame(BINARY, b"x"), frame(CLOSE, &1001_u16.to_be_bytes()), frame(BINARY, b"late")].concat())
            .await
            .unwrap();
        let (read, end) = all(&mut frames).await;
        assert!(read == b"x" && end.is_ok(), "{read:?} {end:?}");
        assert_eq!(heard(&mut peer).await.0, CLOSE);
    });
}

#[test]
fn a_stream_cut_in_a_frame_ends() {
    run(async {
        let (mut frames, mut peer) = frames(1000);
        peer.write_all(&frame(BINARY, b"whole")[..4]).await.unwrap();
        drop(peer);
        let (read, end) = all(&mut frames).await;
        assert!(read == b"wh" && end.is_ok());
    });
}
