//! A broker that does exactly what a test says, however hostile: packets, raw bytes, silence, an orderly close or a reset.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use homing::internals::message::QoS;
use homing::internals::reason::ReasonCode;
use homing::internals::topic::TopicName;
use homing::wire::packet::{
    Ack, ConnAck, ConnAckProperties, Connect, Disconnect, Packet, Protocol, PublishPacket, SubAck, Subscribe,
};
use homing::wire::{Decoder, encode};

/// How long anything may take that must come. Above the client's waits between its first attempts to connect.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A listening socket.
#[derive(Debug)]
pub struct ScriptBroker {
    listener: TcpListener,
}

/// Why there is no packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoPacket {
    /// Nothing came in time.
    TimedOut,
    /// The client closed the connection, in order or not.
    Closed,
}

impl ScriptBroker {
    /// On a free loopback port.
    pub fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a listener that can be asked");
        Self { listener }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("its address")
    }

    /// As `--broker` takes it.
    pub fn url(&self) -> String {
        format!("mqtt://{}", self.address())
    }

    /// The next connection, if one comes in time.
    pub fn try_accept(&self, patience: Duration) -> Option<Peer> {
        let end = Instant::now() + patience;
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => return Some(Peer::new(stream)),
                Err(problem) if problem.kind() == ErrorKind::WouldBlock => {}
                Err(problem) => panic!("accept: {problem}"),
            }
            if Instant::now() >= end {
                return None;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// The next connection.
    pub fn accept(&self) -> Peer {
        self.try_accept(PATIENCE).unwrap_or_else(|| panic!("no connection within {PATIENCE:?}"))
    }

    /// The next connection, its CONNECT answered: accepted, with this session present flag and no properties.
    pub fn greet(&self, session_present: bool) -> Peer {
        self.greet_with(session_present, ConnAckProperties::default())
    }

    /// The same with properties.
    pub fn greet_with(&self, session_present: bool, properties: ConnAckProperties) -> Peer {
        let mut peer = self.accept();
        peer.connect();
        peer.send(&connack(session_present, ReasonCode::Success, properties));
        peer
    }
}

/// One connection, seen from the broker.
#[derive(Debug)]
pub struct Peer {
    stream: TcpStream,
    decoder: Decoder,
    protocol: Protocol,
    buffer: BytesMut,
}

impl Peer {
    fn new(stream: TcpStream) -> Self {
        stream.set_nonblocking(false).expect("a blocking stream");
        stream.set_nodelay(true).expect("no delay");
        let protocol = Protocol::V5;
        Self { stream, decoder: Decoder::new(protocol, u32::MAX), protocol, buffer: BytesMut::new() }
    }

    /// The CONNECT that a connection begins with; its version holds for what follows.
    pub fn connect(&mut self) -> Connect {
        match self.packet() {
            Packet::Connect(connect) => {
                self.protocol = connect.protocol;
                *connect
            }
            other => panic!("not a CONNECT: {other:?}"),
        }
    }

    /// Where the connection comes from.
    pub fn from(&self) -> SocketAddr {
        self.stream.peer_addr().expect("a connection")
    }

    /// From now on in this version: for whoever reads the CONNECT by itself.
    pub fn speaks(&mut self, protocol: Protocol) {
        self.protocol = protocol;
    }

    /// The next packet.
    pub fn packet(&mut self) -> Packet {
        self.try_packet(PATIENCE).unwrap_or_else(|why| panic!("no packet: {why:?}"))
    }

    /// The next packet, if one comes in time.
    pub fn try_packet(&mut self, patience: Duration) -> Result<Packet, NoPacket> {
        let end = Instant::now() + patience;
        let mut bytes = [0; 4096];
        loop {
            match self.decoder.decode(&mut self.buffer) {
                Ok(Some(packet)) => return Ok(packet),
                Ok(None) => {}
                Err(problem) => panic!("the client sent what is no packet: {problem}"),
            }
            // A timeout of zero would mean none.
            let left = end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            self.stream.set_read_timeout(Some(left)).expect("a read timeout");
            match self.stream.read(&mut bytes) {
                Ok(0) => return Err(NoPacket::Closed),
                Ok(count) => self.buffer.extend_from_slice(&bytes[..count]),
                Err(problem) => match problem.kind() {
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => return Err(NoPacket::TimedOut),
                    ErrorKind::Interrupted => {}
                    _ => return Err(NoPacket::Closed),
                },
            }
        }
    }

    /// The next packet, which must be a PUBLISH.
    pub fn publish(&mut self) -> PublishPacket {
        match self.packet() {
            Packet::Publish(publish) => publish,
            other => panic!("not a PUBLISH: {other:?}"),
        }
    }

    /// The next packet, which must be a SUBSCRIBE.
    pub fn subscribe(&mut self) -> Subscribe {
        match self.packet() {
            Packet::Subscribe(subscribe) => subscribe,
            other => panic!("not a SUBSCRIBE: {other:?}"),
        }
    }

    /// Grants the SUBSCRIBE that comes next, with the QoS that it asks for.
    pub fn grant(&mut self) -> Subscribe {
        let subscribe = self.subscribe();
        let granted = ReasonCode::from(subscribe.wish.qos.number());
        self.send(&Packet::SubAck(SubAck { pid: subscribe.pid, reasons: vec![granted] }));
        subscribe
    }

    /// Waits until the client has closed, closes too, as brokers do, and returns what it sent before.
    pub fn closed(&mut self) -> Vec<Packet> {
        let mut packets = Vec::new();
        loop {
            match self.try_packet(PATIENCE) {
                Ok(packet) => packets.push(packet),
                Err(NoPacket::Closed) => {
                    let _ = self.stream.shutdown(Shutdown::Both);
                    return packets;
                }
                Err(NoPacket::TimedOut) => panic!("the client keeps the connection; it sent {packets:?}"),
            }
        }
    }

    /// Waits until the client has closed, and returns the reason of the DISCONNECT that it sent last. None: it sent none.
    pub fn closed_with(&mut self) -> Option<ReasonCode> {
        match self.closed().pop() {
            Some(Packet::Disconnect(Disconnect { reason, .. })) => Some(reason),
            _ => None,
        }
    }

    /// Sends a packet.
    pub fn send(&mut self, packet: &Packet) {
        let mut bytes = BytesMut::new();
        encode(packet, self.protocol, &mut bytes).expect("a packet that can be written");
        self.raw(&bytes);
    }

    /// Sends bytes as they are. That the client has gone meanwhile shows at the next read.
    pub fn raw(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Closes in order: FIN, after everything sent.
    pub fn close(self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// Closes with a reset, dropping what the client has not read yet.
    pub fn reset(self) {
        rustix::net::sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO)).expect("SO_LINGER");
    }
}

/// CONNACK.
pub fn connack(session_present: bool, reason: ReasonCode, properties: ConnAckProperties) -> Packet {
    Packet::ConnAck(Box::new(ConnAck { session_present, reason, properties }))
}

/// PUBLISH to the client, not retained, without properties; the packet identifier 0 stands for QoS 0.
pub fn publish(topic: &str, payload: &str, qos: QoS, pid: u16, dup: bool) -> Packet {
    let topic = TopicName::new(topic).expect("a topic");
    let payload = Bytes::copy_from_slice(payload.as_bytes());
    Packet::Publish(PublishPacket { dup, qos, retain: false, topic, pid, payload, props: None })
}

/// PUBACK, success.
pub const fn puback(pid: u16) -> Packet {
    Packet::PubAck(Ack::ok(pid))
}

/// PUBREC, success.
pub const fn pubrec(pid: u16) -> Packet {
    Packet::PubRec(Ack::ok(pid))
}

/// PUBREL, success.
pub const fn pubrel(pid: u16) -> Packet {
    Packet::PubRel(Ack::ok(pid))
}

/// PUBCOMP, success.
pub const fn pubcomp(pid: u16) -> Packet {
    Packet::PubComp(Ack::ok(pid))
}
