//! A broker that keeps nothing: it acknowledges at once and forgets, so that a benchmark measures the client alone.
//!
//! `null-broker [--listen 127.0.0.1:0] [--feed N] [--qos 0-2] [--payload BYTES]` prints its port, then serves until it is
//! stopped. With `--feed` whoever subscribes gets N numbered messages (16 hex digits, then filler). It speaks MQTT 3.1.1
//! and 5 to a client that is well-behaved, and checks nothing.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};

/// What is sent to a subscriber.
#[derive(Clone, Copy)]
struct Feed {
    count: u64,
    qos: u8,
    payload: usize,
}

fn main() -> io::Result<()> {
    let mut listen = "127.0.0.1:0".to_owned();
    let mut feed = Feed { count: 0, qos: 1, payload: 100 };
    let mut args = std::env::args().skip(1);
    while let Some(name) = args.next() {
        let value = args.next().ok_or_else(|| bad(format!("{name} needs a value")))?;
        let number = || value.parse::<u64>().map_err(|_| bad(format!("{name} needs a number, not {value}")));
        match name.as_str() {
            "--listen" => listen = value,
            "--feed" => feed.count = number()?,
            "--qos" => feed.qos = number()?.min(2) as u8,
            "--payload" => feed.payload = (number()? as usize).max(16),
            _ => return Err(bad(format!("unknown argument {name}; known: --listen --feed --qos --payload"))),
        }
    }
    let listener = TcpListener::bind(listen)?;
    writeln!(io::stdout(), "{}", listener.local_addr()?.port())?;
    for stream in listener.incoming() {
        let stream = stream?;
        // A client that is killed ends its connection only.
        std::thread::spawn(move || Connection::new(feed).serve(stream));
    }
    Ok(())
}

fn bad(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

struct Connection {
    feed: Feed,
    v5: bool,
    receive_maximum: u64,
    /// The topic that is fed, once somebody has subscribed.
    topic: Option<String>,
    fed: u64,
    finished: u64,
    out: Vec<u8>,
}

impl Connection {
    fn new(feed: Feed) -> Self {
        Self { feed, v5: false, receive_maximum: 65_535, topic: None, fed: 0, finished: 0, out: Vec::new() }
    }

    /// One read, all its answers, one write: the client sees the batches that a busy broker would make.
    fn serve(mut self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut buffer = vec![0; 1 << 18];
        let mut held = 0;
        loop {
            let read = stream.read(&mut buffer[held..])?;
            if read == 0 {
                return Ok(());
            }
            held += read;
            let mut at = 0;
            while let Some((body, end)) = frame(&buffer[at..held]) {
                if !self.packet(buffer[at], &buffer[at + body..at + end]) {
                    return Ok(());
                }
                at += end;
            }
            buffer.copy_within(at..held, 0);
            held -= at;
            if held == buffer.len() {
                buffer.resize(held * 2, 0);
            }
            loop {
                let more = self.publish();
                stream.write_all(&self.out)?;
                self.out.clear();
                if !more {
                    break;
                }
            }
        }
    }

    /// Answers one packet; false: the client has said goodbye.
    fn packet(&mut self, first: u8, body: &[u8]) -> bool {
        match first >> 4 {
            1 => self.connect(body),
            3 => {
                let topic = usize::from(u16::from_be_bytes([body[0], body[1]]));
                match first >> 1 & 3 {
                    0 => {}
                    qos => self.ack(if qos == 1 { 0x40 } else { 0x50 }, &body[2 + topic..]),
                }
            }
            5 => self.ack(0x62, body),
            6 => self.ack(0x70, body),
            4 | 7 => self.finished += 1,
            8 => self.subscribe(body),
            10 => match self.v5 {
                true => self.out.extend([0xb0, 4, body[0], body[1], 0, 0]),
                false => self.ack(0xb0, body),
            },
            12 => self.out.extend([0xd0, 0]),
            14 => return false,
            _ => {}
        }
        true
    }

    /// `body` begins with the packet identifier.
    fn ack(&mut self, first: u8, body: &[u8]) {
        self.out.extend([first, 2, body[0], body[1]]);
    }

    /// Remembers version and receive maximum. Without properties of our own the client may have 65,535 in flight.
    fn connect(&mut self, body: &[u8]) {
        self.v5 = body[6] == 5;
        let mut at = 11;
        while self.v5 && at < 11 + usize::from(body[10]) {
            at += match body[at] {
                0x21 => {
                    self.receive_maximum = u64::from(u16::from_be_bytes([body[at + 1], body[at + 2]]));
                    3
                }
                0x11 | 0x27 => 5,
                0x22 => 3,
                0x17 | 0x19 => 2,
                _ => break,
            };
        }
        match self.v5 {
            true => self.out.extend([0x20, 3, 0, 0, 0]),
            false => self.out.extend([0x20, 2, 0, 0]),
        }
    }

    /// Grants what is asked and begins to feed; one filter a packet is all that is read.
    fn subscribe(&mut self, body: &[u8]) {
        let filter = 2 + if self.v5 { 1 + usize::from(body[2]) } else { 0 };
        let length = usize::from(u16::from_be_bytes([body[filter], body[filter + 1]]));
        let text = &body[filter + 2..filter + 2 + length];
        let granted = body[filter + 2 + length] & 3;
        match self.v5 {
            true => self.out.extend([0x90, 4, body[0], body[1], 0, granted]),
            false => self.out.extend([0x90, 3, body[0], body[1], granted]),
        }
        self.feed.qos = self.feed.qos.min(granted);
        self.topic.get_or_insert_with(|| String::from_utf8_lossy(text).replace(['+', '#'], "feed"));
    }

    /// Fills the buffer with messages as far as the window goes; true if there is more to write at once.
    fn publish(&mut self) -> bool {
        let Some(topic) = &self.topic else { return false };
        let Feed { count, qos, payload } = self.feed;
        while self.fed < count {
            if qos > 0 && self.fed - self.finished >= self.receive_maximum {
                return false;
            }
            if self.out.len() > 1 << 17 {
                return true;
            }
            self.out.push(0x30 | qos << 1);
            let mut length = 2 + topic.len() + if qos > 0 { 2 } else { 0 } + usize::from(self.v5) + payload;
            while length > 127 {
                self.out.push(length as u8 | 0x80);
                length >>= 7;
            }
            self.out.push(length as u8);
            self.out.extend((topic.len() as u16).to_be_bytes());
            self.out.extend(topic.as_bytes());
            if qos > 0 {
                self.out.extend((1 + (self.fed % 65_535) as u16).to_be_bytes());
            }
            if self.v5 {
                self.out.push(0);
            }
            // Writing to a Vec cannot fail.
            let _ = write!(self.out, "{:016x}", self.fed);
            self.out.resize(self.out.len() + payload - 16, b'.');
            self.fed += 1;
        }
        false
    }
}

/// The body's begin and end of the first whole packet.
fn frame(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut length = 0;
    for (i, byte) in bytes.iter().enumerate().skip(1).take(4) {
        length |= usize::from(byte & 0x7f) << (7 * (i - 1));
        if byte & 0x80 == 0 {
            return (bytes.len() > i + length).then_some((i + 1, i + 1 + length));
        }
    }
    None
}
