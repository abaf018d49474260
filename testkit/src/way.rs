//! What may stand between a client and its broker: a WebSocket listener or a Unix socket of mosquitto's own, and real
//! proxies, tinyproxy for HTTP CONNECT and microsocks for SOCKS 5.

use std::fs::{self, File};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::certificates::Held;
use crate::mosquitto::{Inflight, Mosquitto, program};
use crate::{ports, tail};

const PATIENCE: Duration = Duration::from_secs(30);

/// A mosquitto that listens for WebSockets too, and their URL. Both ports stay the same over restarts.
pub fn mosquitto_with_websocket() -> (Mosquitto, String) {
    let (broker, port) = websocket("");
    (broker, format!("ws://127.0.0.1:{port}/mqtt"))
}

/// The same with TLS. The files of `server` must outlive it.
pub fn mosquitto_with_secure_websocket(server: &Held) -> (Mosquitto, String) {
    let (broker, port) = websocket(&format!("certfile {}\nkeyfile {}\n", server.chain.display(), server.key.display()));
    (broker, format!("wss://127.0.0.1:{port}/mqtt"))
}

/// The same, for clients with a certificate of this authority (PEM) only.
pub fn mosquitto_with_mutual_websocket(server: &Held, clients: &Path) -> (Mosquitto, String) {
    let (chain, key) = (server.chain.display(), server.key.display());
    let (broker, port) = websocket(&format!(
        "certfile {chain}\nkeyfile {key}\ncafile {}\nrequire_certificate true\nuse_identity_as_username true\n",
        clients.display()
    ));
    (broker, format!("wss://127.0.0.1:{port}/mqtt"))
}

fn websocket(tls: &str) -> (Mosquitto, u16) {
    let port = ports::free();
    let extra = format!("listener {port} 127.0.0.1\nprotocol websockets\n{tls}");
    let broker = Mosquitto::start_with(Inflight::Default, &extra);
    let end = Instant::now() + PATIENCE;
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < end, "mosquitto has no WebSocket listener:\n{}", broker.log(20));
        thread::sleep(Duration::from_millis(2));
    }
    (broker, port)
}

/// A mosquitto that listens at a Unix socket in this folder too, and its URL.
pub fn mosquitto_with_socket(folder: &Path) -> (Mosquitto, String) {
    let path = folder.join("broker.sock");
    let broker = Mosquitto::start_with(Inflight::Default, &format!("listener 0 {}\n", path.display()));
    let end = Instant::now() + PATIENCE;
    while !path.exists() {
        assert!(Instant::now() < end, "mosquitto has no socket:\n{}", broker.log(20));
        thread::sleep(Duration::from_millis(2));
    }
    (broker, format!("unix://{}", path.display()))
}

/// A running proxy. Dropping it kills its process; its log is printed if the test is failing.
#[derive(Debug)]
pub struct RealProxy {
    child: Child,
    folder: TempDir,
    scheme: &'static str,
    port: u16,
}

impl RealProxy {
    /// tinyproxy; it lets everybody through, or whoever has the user name and password, to this port or to any.
    pub fn http(login: Option<(&str, &str)>, only_to: Option<u16>) -> Self {
        let login = login.map_or_else(String::new, |(user, password)| format!("BasicAuth {user} {password}\n"));
        let only = only_to.map_or_else(String::new, |port| format!("ConnectPort {port}\n"));
        Self::start("http", |folder, port| {
            let file = folder.join("tinyproxy.conf");
            let config = format!(
                "Port {port}\nListen 127.0.0.1\nTimeout 600\nMaxClients 100\nAllow 127.0.0.1\nLogLevel Connect\n{login}{only}"
            );
            fs::write(&file, config).expect("write tinyproxy.conf");
            let mut command = Command::new(program("tinyproxy"));
            command.arg("-d").arg("-c").arg(file);
            command
        })
    }

    /// microsocks; the scheme says who resolves names.
    pub fn socks(scheme: &'static str, login: Option<(&str, &str)>) -> Self {
        Self::start(scheme, |_, port| {
            let mut command = Command::new(program("microsocks"));
            command.args(["-i", "127.0.0.1", "-p", &port.to_string()]);
            if let Some((user, password)) = login {
                command.args(["-u", user, "-P", password]);
            }
            command
        })
    }

    fn start(scheme: &'static str, command: impl Fn(&Path, u16) -> Command) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let port = ports::free();
        let log = File::create(folder.path().join("log")).expect("the proxy's log");
        let mut command = command(folder.path(), port);
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a second handle")).stderr(log);
        let child = command.spawn().expect("the proxy starts");
        let mut proxy = Self { child, folder, scheme, port };
        let end = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = proxy.child.try_wait().expect("the state of the proxy");
            assert!(ended.is_none() && Instant::now() < end, "{command:?} does not listen: {ended:?}");
            thread::sleep(Duration::from_millis(2));
        }
        proxy
    }

    /// As `--proxy` takes it, without or with credentials.
    pub fn url(&self, login: Option<(&str, &str)>) -> String {
        let login = login.map_or_else(String::new, |(user, password)| format!("{user}:{password}@"));
        format!("{}://{login}127.0.0.1:{}", self.scheme, self.port)
    }

    /// What it logged.
    pub fn log(&self) -> String {
        tail::of_file(&self.log_file(), 1000)
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("log")
    }
}

impl Drop for RealProxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("--- {} proxy, end of its log\n{}\n---", self.scheme, tail::of_file(&self.log_file(), 60));
        }
    }
}
