//! A real mosquitto on a loopback port, with a data folder that survives `stop`, `kill` and `restart`.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::certificates::Held;
use crate::{ports, tail};

/// How long a start or an orderly stop may take. Far above what is normal: it only bounds a test that hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// How the broker is configured; everything else is the same for all tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Inflight {
    /// mosquitto's own default, 20.
    #[default]
    Default,
    /// `max_inflight_messages`; 0 is unlimited.
    Max(u16),
}

/// A running, or stopped, mosquitto. Dropping it kills its process; its log is printed if the test is failing.
#[derive(Debug)]
pub struct Mosquitto {
    child: Option<Child>,
    folder: TempDir,
    port: u16,
    tls: bool,
}

impl Mosquitto {
    /// Starts a broker and waits until it accepts connections.
    pub fn start(inflight: Inflight) -> Self {
        Self::start_with(inflight, "")
    }

    /// The same, with further lines of configuration.
    pub fn start_with(inflight: Inflight, extra: &str) -> Self {
        Self::begin(tempfile::tempdir().expect("a temporary folder"), inflight, extra, false)
    }

    /// The same behind TLS. `clients`: the authority, in PEM, whose certificates clients must show.
    pub fn start_tls(server: &Held, clients: Option<&Path>, extra: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        // Copies: the broker listens before it reads them, and reads them again when it is restarted.
        let copy = |name: &str, file: &Path| {
            let copied = folder.path().join(name);
            fs::copy(file, &copied).unwrap_or_else(|problem| panic!("{}: {problem}", file.display()));
            copied.display().to_string()
        };
        let (chain, key) = (copy("chain.pem", &server.chain), copy("key.pem", &server.key));
        let mut lines = format!("certfile {chain}\nkeyfile {key}\n");
        if let Some(file) = clients {
            lines.push_str(&format!("cafile {}\nrequire_certificate true\n", copy("clients.pem", file)));
        }
        lines.push_str(extra);
        Self::begin(folder, Inflight::Default, &lines, true)
    }

    fn begin(folder: TempDir, inflight: Inflight, extra: &str, tls: bool) -> Self {
        for _ in 0..20 {
            let port = ports::free();
            fs::write(folder.path().join("mosquitto.conf"), config(folder.path(), port, inflight, extra))
                .expect("write mosquitto.conf");
            let mut child = spawn(folder.path());
            match wait_until_it_accepts(&mut child, port) {
                Ok(()) => return Self { child: Some(child), folder, port, tls },
                Err(status) => {
                    let log = tail::of_file(&folder.path().join("log"), 20);
                    assert!(log.contains("Address already in use"), "mosquitto ended with {status}:\n{log}");
                }
            }
        }
        panic!("mosquitto found none of 20 ports free");
    }

    /// The port, the same for the broker's whole life.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// As `--broker` takes it.
    pub fn url(&self) -> String {
        format!("{}://127.0.0.1:{}", if self.tls { "mqtts" } else { "mqtt" }, self.port)
    }

    /// SIGTERM: sessions and queues are saved, and the process is gone when this returns.
    pub fn stop(&mut self) {
        self.signal(Signal::TERM);
        let mut child = self.child.take().expect("mosquitto is running");
        let status = wait(&mut child, PATIENCE);
        assert!(status.is_some_and(|status| status.success()), "mosquitto did not stop in order: {status:?}");
    }

    /// SIGKILL: everything since the last `save` or `stop` is lost.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("mosquitto is running");
        child.kill().expect("SIGKILL");
        child.wait().expect("the end of mosquitto");
    }

    /// Starts it again, stopping it in order first if it runs: same port, same data.
    pub fn restart(&mut self) {
        if self.child.is_some() {
            self.stop();
        }
        let mut child = spawn(self.folder.path());
        let accepted = wait_until_it_accepts(&mut child, self.port);
        self.child = Some(child);
        if let Err(status) = accepted {
            panic!("mosquitto did not come back on port {}: {status}\n{}", self.port, self.log(20));
        }
    }

    /// SIGHUP: it reads its password file again, and ends the links of those who are no longer in it.
    pub fn reload(&self) {
        self.signal(Signal::HUP);
    }

    /// Writes a password file with one user; the broker's configuration names it before it starts.
    pub fn write_password(file: &Path, user: &str, password: &str) {
        let written =
            Command::new(program("mosquitto_passwd")).args(["-b", "-c"]).arg(file).args([user, password]).output();
        let written = written.expect("mosquitto_passwd starts");
        assert!(written.status.success(), "mosquitto_passwd: {}", String::from_utf8_lossy(&written.stderr));
    }

    /// Freezes the broker: its kernel still accepts bytes, it reads none.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Ends `freeze`.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// The last lines of its log, of all its lives.
    pub fn log(&self, lines: usize) -> String {
        tail::of_file(&self.folder.path().join("log"), lines)
    }

    /// All lines of its log, of all its lives.
    pub fn log_lines(&self) -> impl Iterator<Item = String> {
        let log = File::open(self.folder.path().join("log")).expect("mosquitto's log");
        BufReader::new(log).split(b'\n').map(|line| String::from_utf8_lossy(&line.expect("a line")).into_owned())
    }

    fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("mosquitto is running");
        kill_process(Pid::from_child(child), signal).expect("a signal to mosquitto");
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
        if thread::panicking() {
            eprintln!("--- mosquitto on port {}, end of its log\n{}\n---", self.port, self.log(60));
        }
    }
}

/// Debian puts mosquitto in /usr/sbin, Homebrew in /opt/homebrew/sbin, neither of which is always in PATH.
pub(crate) fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
        .unwrap_or_else(|| {
            panic!(
                "{name} is missing, and without it these tests prove nothing: \
                 apt-get install mosquitto mosquitto-clients tinyproxy microsocks"
            )
        })
}

fn config(folder: &Path, port: u16, inflight: Inflight, extra: &str) -> String {
    let inflight = match inflight {
        Inflight::Default => String::new(),
        Inflight::Max(count) => format!("max_inflight_messages {count}\n"),
    };
    // `user root`: started as root it would drop to a user who may not write the temporary folder; otherwise it is ignored.
    // Memory limits are raised because a broker that drops from a full queue looks like a client that loses.
    format!(
        "listener {port} 127.0.0.1\nallow_anonymous true\nuser root\n\
         persistence true\npersistence_location {}/\nautosave_interval 1800\n\
         max_queued_messages 0\nmax_queued_bytes 0\nset_tcp_nodelay true\n\
         log_dest stderr\nlog_timestamp_format %H:%M:%S\n{inflight}{extra}\n",
        folder.display()
    )
}

fn spawn(folder: &Path) -> Child {
    let log = File::options().create(true).append(true).open(folder.join("log")).expect("mosquitto's log");
    Command::new(program("mosquitto"))
        .arg("-c")
        .arg(folder.join("mosquitto.conf"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("mosquitto starts")
}

fn wait_until_it_accepts(child: &mut Child, port: u16) -> Result<(), ExitStatus> {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        let accepted = TcpStream::connect(("127.0.0.1", port)).is_ok();
        // Asked after the connection: somebody else may be listening there while ours has just ended.
        if let Some(status) = child.try_wait().expect("the state of mosquitto") {
            return Err(status);
        }
        if accepted {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(2));
    }
    panic!("mosquitto does not accept connections on port {port} after {PATIENCE:?}");
}

/// Polls, for a child cannot be waited for with a deadline otherwise.
pub(crate) fn wait(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    let end = Instant::now() + patience;
    loop {
        if let Some(status) = child.try_wait().expect("the state of a child") {
            return Some(status);
        }
        if Instant::now() >= end {
            return None;
        }
        thread::sleep(Duration::from_millis(2));
    }
}
