//! The phone's network: a TCP forwarder that can be cut. Real sockets, so that bytes on their way are really lost.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

pub(super) struct Network {
    address: SocketAddr,
    up: watch::Sender<bool>,
    /// Ends with the network.
    _serving: JoinSet<()>,
}

impl Network {
    pub(super) async fn start(broker: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (up, watching) = watch::channel(true);
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, broker, watching));
        Ok(Self { address, up, _serving: serving })
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends the connections at once; new ones end as soon as they are made.
    pub(super) fn cut(&self) {
        self.up.send_replace(false);
    }

    pub(super) fn restore(&self) {
        self.up.send_replace(true);
    }
}

async fn serve(listener: TcpListener, broker: SocketAddr, up: watch::Receiver<bool>) {
    let mut links = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((phone, _)) = accepted {
                    links.spawn(forward(phone, broker, up.clone()));
                }
            }
            Some(_) = links.join_next() => {}
        }
    }
}

async fn forward(mut phone: TcpStream, broker: SocketAddr, mut up: watch::Receiver<bool>) {
    let forwarding = async {
        let mut broker = TcpStream::connect(broker).await?;
        copy_bidirectional(&mut phone, &mut broker).await
    };
    // Whichever way it ends, both sockets are dropped, and each side sees its connection end.
    tokio::select! {
        biased;
        _ = up.wait_for(|up| !up) => {}
        _ = forwarding => {}
    }
}
