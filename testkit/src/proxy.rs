//! A loopback forwarder in front of a broker that cuts a connection after exactly N bytes, either way, or swallows what it
//! is given.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// Where one connection is cut. None: never.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cut {
    /// After so many bytes from the client to the broker.
    pub up: Option<u64>,
    /// After so many bytes from the broker to the client.
    pub down: Option<u64>,
}

#[derive(Debug, Default)]
struct Shared {
    plan: Mutex<VecDeque<Cut>>,
    open: Mutex<Vec<TcpStream>>,
    connections: AtomicU64,
    up: AtomicU64,
    down: AtomicU64,
    swallowing: AtomicBool,
    ended: AtomicBool,
}

/// A running forwarder; it ends when dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Proxy {
    /// Forwards from a free loopback port to `target`. Connections after the plan's end are never cut.
    pub fn start(target: SocketAddr, plan: impl IntoIterator<Item = Cut>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let shared = Arc::new(Shared { plan: Mutex::new(plan.into_iter().collect()), ..Shared::default() });
        let own = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming() {
                if own.ended.load(Ordering::SeqCst) {
                    return;
                }
                if let (Ok(client), Ok(broker)) = (client, TcpStream::connect(target)) {
                    forward(&own, &client, &broker);
                }
            }
        });
        Self { address, shared }
    }

    /// Says where the next connection that has no plan yet is cut.
    pub fn plan(&self, cut: Cut) {
        self.shared.plan.lock().expect("plan").push_back(cut);
    }

    /// As `--broker` takes it.
    pub fn url(&self) -> String {
        format!("mqtt://{}", self.address)
    }

    /// Connections so far.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Bytes forwarded so far, to the broker and to the client, over all connections.
    pub fn bytes(&self) -> (u64, u64) {
        (self.shared.up.load(Ordering::SeqCst), self.shared.down.load(Ordering::SeqCst))
    }

    /// From now on what comes from either side goes nowhere, though connections stay open and new ones are accepted: a link
    /// that is half open, as behind a router that has forgotten it.
    pub fn swallow(&self) {
        self.shared.swallowing.store(true, Ordering::SeqCst);
    }

    /// Cuts every open connection now.
    pub fn cut(&self) {
        for stream in self.shared.open.lock().expect("streams").drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.cut();
        let _ = TcpStream::connect(self.address);
    }
}

fn forward(shared: &Arc<Shared>, client: &TcpStream, broker: &TcpStream) {
    let cut = shared.plan.lock().expect("plan").pop_front().unwrap_or_default();
    shared.connections.fetch_add(1, Ordering::SeqCst);
    let both = |stream: &TcpStream| stream.try_clone().expect("a second handle");
    {
        let mut open = shared.open.lock().expect("streams");
        open.retain(|stream| stream.peer_addr().is_ok());
        open.extend([both(client), both(broker)]);
    }
    let _ = client.set_nodelay(true);
    let _ = broker.set_nodelay(true);
    for (mut from, mut to, limit, up) in
        [(both(client), both(broker), cut.up, true), (both(broker), both(client), cut.down, false)]
    {
        let shared = Arc::clone(shared);
        thread::spawn(move || {
            copy(&mut from, &mut to, limit, if up { &shared.up } else { &shared.down }, &shared.swallowing);
            let _ = from.shutdown(Shutdown::Both);
            let _ = to.shutdown(Shutdown::Both);
        });
    }
}

fn copy(from: &mut TcpStream, to: &mut TcpStream, limit: Option<u64>, counter: &AtomicU64, swallowing: &AtomicBool) {
    let mut buffer = [0; 4096];
    let mut left = limit.unwrap_or(u64::MAX);
    while left > 0 {
        let room = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let Ok(count @ 1..) = from.read(&mut buffer[..room]) else { return };
        if swallowing.load(Ordering::SeqCst) {
            continue;
        }
        if to.write_all(&buffer[..count]).is_err() {
            return;
        }
        counter.fetch_add(count as u64, Ordering::SeqCst);
        left -= count as u64;
    }
}
