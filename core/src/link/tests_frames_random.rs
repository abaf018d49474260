//! Frames in any shape, cut anywhere, against an encoder and a decoder that were written from RFC 6455 and share no code with
//! `frames.rs`.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::BytesMut;
use proptest::collection::vec;
use proptest::prelude::*;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::frames::{FrameError, Frames};
use super::tests::run;

/// What a peer sends at once; nothing means that the reader has to wait once.
#[derive(Debug, Default)]
struct Script {
    chunks: VecDeque<Vec<u8>>,
    /// How many bytes each write takes, in turn; 0: it has to wait once.
    room: Vec<usize>,
    writes: usize,
    written: Vec<u8>,
}

impl AsyncRead for Script {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Some(mut chunk) = self.chunks.pop_front() else { return Poll::Ready(Ok(())) };
        if chunk.is_empty() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let rest = chunk.split_off(chunk.len().min(buf.remaining()));
        buf.put_slice(&chunk);
        if !rest.is_empty() {
            self.chunks.push_front(rest);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Script {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let room = match self.room.len() {
            0 => usize::MAX,
            rooms => self.room[self.writes % rooms],
        };
        self.writes += 1;
        if room == 0 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let count = room.min(bytes.len());
        self.written.extend(&bytes[..count]);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// One frame of a server.
#[derive(Debug, Clone)]
struct Sent {
    last: bool,
    opcode: u8,
    payload: Vec<u8>,
    /// Length in 16 or 64 bits though fewer would do: forbidden to senders, and harmless.
    wide: u8,
}

fn encoded(frames: &[Sent]) -> Vec<u8> {
    let mut wire = Vec::new();
    for Sent { last, opcode, payload, wide } in frames {
        wire.push(u8::from(*last) << 7 | opcode);
        let length = payload.len();
        if *wide == 0 && length < 126 {
            wire.push(length as u8);
        } else if *wide < 2 && length < 65_536 {
            wire.push(126);
            wire.extend([(length >> 8) as u8, length as u8]);
        } else {
            wire.push(127);
            (0..8).rev().for_each(|at| wire.push((length as u64 >> (8 * at)) as u8));
        }
        wire.extend(payload);
    }
    wire
}

/// The frames of a client: opcode and payload of each, all of them final and masked.
fn decoded(mut wire: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while let [first, second, ..] = *wire {
        assert_eq!((first & 0xF0, second & 0x80), (0x80, 0x80), "final, no reserved bit, masked");
        let (length, head) = match second & 0x7F {
            126 => (usize::from(wire[2]) << 8 | usize::from(wire[3]), 4),
            127 => (wire[2..10].iter().fold(0, |all, byte| all << 8 | usize::from(*byte)), 10),
            short => (usize::from(short), 2),
        };
        assert!(first & 8 == 0 || length <= 125, "a long control frame");
        let (mask, rest) = wire[head..].split_at(4);
        frames.push((first & 0xF, (0..length).map(|at| rest[at] ^ mask[at % 4]).collect()));
        wire = &rest[length..];
    }
    assert!(wire.is_empty(), "a frame that is cut");
    frames
}

/// A message of several frames, with control frames before each.
fn message() -> impl Strategy<Value = Vec<Sent>> {
    let control = (prop_oneof![Just(9_u8), Just(10)], vec(any::<u8>(), 0..=125), 0..3_u8)
        .prop_map(|(opcode, payload, wide)| Sent { last: true, opcode, payload, wide });
    let size = prop_oneof![4 => 0..20_usize, 3 => 120..130_usize, 1 => 65_530..65_540_usize, 1 => 16_380..16_390_usize];
    let part = (vec(control, 0..3), size, any::<u8>(), 0..3_u8);
    vec(part, 1..5).prop_map(|parts| {
        let count = parts.len();
        let mut frames = Vec::new();
        for (at, (controls, size, seed, wide)) in parts.into_iter().enumerate() {
            frames.extend(controls);
            let payload = (0..size).map(|at| (at as u8).wrapping_mul(31).wrapping_add(seed)).collect();
            frames.push(Sent { last: at + 1 == count, opcode: if at == 0 { 2 } else { 0 }, payload, wide });
        }
        frames
    })
}

/// Cut into chunks of these sizes, over and over; a size of 0 is a wait.
fn cut(wire: &[u8], sizes: &[usize]) -> VecDeque<Vec<u8>> {
    let (mut chunks, mut at) = (VecDeque::new(), 0);
    for size in sizes.iter().cycle() {
        if at == wire.len() {
            break;
        }
        let end = (at + size).min(wire.len());
        chunks.push_back(wire[at..end].to_vec());
        at = end;
    }
    chunks
}

/// All that is read in pieces of these sizes, and how it ends.
async fn read(frames: &mut Frames<Script>, pieces: &[usize]) -> (Vec<u8>, io::Result<()>) {
    let mut all = Vec::new();
    for piece in pieces.iter().cycle() {
        let mut buffer = vec![0; *piece];
        match frames.read(&mut buffer).await {
            Ok(0) => return (all, Ok(())),
            Ok(count) => all.extend(&buffer[..count]),
            Err(error) => return (all, Err(error)),
        }
        assert!(frames.held() <= 256 << 10, "{} bytes are held", frames.held());
    }
    unreachable!("the pieces never end")
}

fn sizes(largest: usize) -> impl Strategy<Value = Vec<usize>> {
    // At least one that moves on.
    (vec(0..largest, 0..6), 1..largest).prop_map(|(mut sizes, least)| {
        sizes.push(least);
        sizes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn whatever_the_frames_and_the_cuts_the_bytes_are_the_same(
        messages in vec(message(), 0..6),
        cuts in prop_oneof![sizes(4), sizes(200), sizes(40_000)],
        pieces in vec(1..30_000_usize, 1..5),
        room in prop_oneof![sizes(4), sizes(200)],
        glued in 0..300_usize,
        said in vec(vec(any::<u8>(), 1..400), 0..4),
    ) {
        run(async {
            let mut sent: Vec<Sent> = messages.into_iter().flatten().collect();
            sent.push(Sent { last: true, opcode: 8, payload: vec![3, 232], wide: 0 });
            let expected: Vec<u8> =
                sent.iter().filter(|frame| frame.opcode < 8).flat_map(|frame| frame.payload.clone()).collect();
            let pings: Vec<Vec<u8>> =
                sent.iter().filter(|frame| frame.opcode == 9).map(|frame| frame.payload.clone()).collect();
            let wire = encoded(&sent);
            // The first bytes may have come with the server's answer.
            let (early, late) = wire.split_at(glued.min(wire.len()));
            let script = Script { chunks: cut(late, &cuts), room, ..Script::default() };
            let mut frames = Frames::new(script, BytesMut::from(early));
            for bytes in &said {
                frames.write_all(bytes).await.unwrap();
            }
            let (all, end) = read(&mut frames, &pieces).await;
            assert!(all == expected, "{} of {} bytes", all.len(), expected.len());
            end.unwrap();
            frames.flush().await.unwrap();
            let heard = decoded(&frames.into_inner().written);
            let of = |kind: u8| heard.iter().filter(move |(opcode, _)| *opcode == kind).map(|(_, payload)| payload);
            assert!(of(2).flatten().eq(said.iter().flatten()), "what was written");
            // Pongs in order, some left out, the last one not unless the close came first.
            let mut left = pings.iter();
            assert!(of(10).all(|pong| left.any(|ping| ping == pong)), "a pong of nothing");
            assert_eq!(heard.last(), Some(&(8, vec![3, 232])), "our close is the last word");
            assert_eq!(of(8).count(), 1);
        });
    }

    #[test]
    fn garbage_never_panics_and_is_answered_by_at_most_one_close(
        bytes in vec(any::<u8>(), 0..3000),
        // Most of it would end at the first byte otherwise.
        good in any::<bool>(),
        cuts in sizes(500),
    ) {
        run(async {
            let mut wire = Vec::new();
            if good {
                wire.extend(encoded(&[Sent { last: false, opcode: 2, payload: vec![7; 300], wide: 1 }]));
            }
            wire.extend(&bytes);
            let mut frames =
                Frames::new(Script { chunks: cut(&wire, &cuts), ..Script::default() }, BytesMut::new());
            let (all, end) = read(&mut frames, &[1000]).await;
            assert!(all.len() <= wire.len());
            if let Err(error) = end {
                let error = error.into_inner().unwrap();
                assert!(error.downcast_ref::<FrameError>().is_some(), "{error}");
            }
            let _ = frames.flush().await;
            let heard = decoded(&frames.into_inner().written);
            let closes = heard.iter().filter(|(opcode, _)| *opcode == 8).count();
            assert!(closes <= 1 && heard.iter().all(|(opcode, _)| matches!(opcode, 8 | 10)), "{heard:?}");
            assert!(closes == 0 || heard.last().unwrap().0 == 8, "nothing after a close");
        });
    }
}

#[test]
fn a_cut_at_every_single_byte_changes_nothing() {
    run(async {
        let sent = [
            Sent { last: false, opcode: 2, payload: vec![1; 126], wide: 0 },
            Sent { last: true, opcode: 9, payload: vec![2; 125], wide: 2 },
            Sent { last: true, opcode: 0, payload: vec![3; 7], wide: 2 },
            Sent { last: true, opcode: 8, payload: vec![3, 240, b'n', b'o'], wide: 0 },
        ];
        let wire = encoded(&sent);
        for at in 0..=wire.len() {
            let chunks = [&wire[..at], &[], &wire[at..]].map(<[u8]>::to_vec).into();
            let mut frames = Frames::new(Script { chunks, ..Script::default() }, BytesMut::new());
            let (all, end) = read(&mut frames, &[64]).await;
            assert_eq!(all, [vec![1; 126], vec![3; 7]].concat(), "cut at {at}");
            let error = end.unwrap_err().into_inner().unwrap();
            let closed = FrameError::Closed { code: 1008, reason: "no".to_owned() };
            assert_eq!(error.downcast_ref(), Some(&closed), "cut at {at}");
        }
    });
}
