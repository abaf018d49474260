//! Bad input through the real binary: the exit status, what is wrong, where it stands, how to mend it; never a secret, never
//! anything stored.
#![cfg(unix)]
#![allow(clippy::unwrap_used, missing_docs)]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use homing_testkit::certificates::{Authority, Held, Wrong};

const BINARY: &str = env!("CARGO_BIN_EXE_homing");
/// Stands in everything below that is secret.
const SECRET: &str = "s3same";

struct Room {
    folder: tempfile::TempDir,
}

impl Room {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn file(&self, name: &str, text: impl AsRef<[u8]>) -> String {
        fs::write(self.path(name), text).unwrap();
        self.path(name).display().to_string()
    }

    fn run(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
        let mut command = Command::new(BINARY);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("HOMING_")) {
            command.env_remove(name);
        }
        command.args(arguments).arg("--store").arg(self.path("store.db")).envs(variables.iter().copied());
        command.stdin(Stdio::null()).output().unwrap()
    }

    /// What a `pub` with these flags and variables says; it ends with this status, in time, and stores nothing.
    fn refused(&self, status: i32, flags: &[&str], variables: &[(&str, &str)]) -> String {
        let start = Instant::now();
        let output = self.run(&[&["pub", "home/light", "on", "--wait", "accepted", "-vvv"], flags].concat(), variables);
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert_eq!(output.status.code(), Some(status), "{flags:?} {variables:?}: {said}");
        assert!(start.elapsed() < Duration::from_secs(10), "{flags:?}: {:?}", start.elapsed());
        assert!(!said.contains(SECRET) && !said.contains("PRIVATE KEY"), "{said}");
        assert!(!self.path("store.db").exists(), "{flags:?} {variables:?}: {said}");
        said
    }

    fn config(&self, text: &str) -> String {
        let file = self.file("homing.toml", text);
        self.refused(2, &["--config", &file], &[])
    }
}

fn client(authority: &Authority, days: Option<(i64, i64)>) -> Held {
    authority.client("phone", &Wrong { days, ..Wrong::default() })
}

fn path(file: &Path) -> String {
    file.display().to_string()
}

#[test]
fn a_key_file_that_is_none_is_refused_in_time_and_named() {
    let room = Room::new();
    let held = client(&Authority::new(), None);
    fs::create_dir(room.path("folder")).unwrap();
    File::create(room.path("huge")).unwrap().set_len(1 << 30).unwrap();
    assert!(Command::new("mkfifo").arg(room.path("pipe")).status().unwrap().success());
    room.file("empty", "");
    room.file("binary", [0xff, 0xfe, 0, 1]);
    for (name, words) in [
        ("folder", "cannot be read: Is a directory"),
        ("missing", "cannot be read: No such file"),
        ("huge", "cannot be read: it is longer than 4 MiB"),
        ("pipe", "cannot be read: it is a pipe, and nobody writes into it"),
        ("empty", "is it PEM"),
        ("binary", "is it PEM"),
    ] {
        let file = path(&room.path(name));
        let chain = path(&held.chain);
        for flags in [
            &["--tls-ca", file.as_str()][..],
            &["--tls-cert", &chain, "--tls-key", &file],
            &["--tls-cert", &file, "--tls-key", &chain],
        ] {
            let said = room.refused(2, &[&["--broker", "mqtts://localhost:1"], flags].concat(), &[]);
            assert!(said.contains(&format!("{file} ")) && said.contains(words), "{words}: {said}");
        }
    }
    for (name, words) in [("folder", "Is a directory"), ("huge", "longer than 1 MiB"), ("binary", "UTF-8")] {
        let file = path(&room.path(name));
        let said = room.refused(2, &[], &[("HOMING_CONFIG", &file)]);
        assert!(said.contains(&file) && said.contains(words), "{said}");
    }
}

#[test]
fn a_key_comes_through_a_pipe_that_no_disk_has_seen() {
    let room = Room::new();
    let held = client(&Authority::new(), None);
    let line = "exec \"$0\" pub a b --wait accepted --store \"$1\" --broker mqtts://localhost:1 --tls-cert \"$2\" \
                --tls-key <(cat \"$3\")";
    let mut command = Command::new("bash");
    command.args(["-c", line, BINARY]).arg(room.path("store.db")).arg(&held.chain).arg(&held.key);
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_block_is_counted_as_people_count() {
    let room = Room::new();
    let held = client(&Authority::new(), None);
    let good = fs::read_to_string(&held.chain).unwrap();
    let other = "-----BEGIN DH PARAMETERS-----\nMAYCAQUCAQI=\n-----END DH PARAMETERS-----\n";
    let file = room.file("ca.pem", format!("{other}{good}{}", good.replacen("MII", "AII", 1)));
    let said = room.refused(2, &["--broker", "mqtts://localhost:1", "--tls-ca", &file], &[]);
    assert!(said.contains("ca.pem: the certificate in PEM block 3 is not valid: what it holds is not"), "{said}");
    let file = room.file("cut.pem", format!("{good}{}", &good[..100]));
    let said = room.refused(2, &["--broker", "mqtts://localhost:1", "--tls-ca", &file], &[]);
    assert!(said.contains("cut.pem: PEM block 2 does not parse: its -----END line is missing"), "{said}");
}

#[test]
fn an_expired_client_certificate_is_warned_of_by_every_command_that_connects() {
    let room = Room::new();
    let held = client(&Authority::new(), Some((-9, -1)));
    let flags = ["--tls-cert", &path(&held.chain), "--tls-key", &path(&held.key), "--broker", "mqtts://127.0.0.1:1"];
    for command in
        [&["pub", "a", "b"][..], &["sub", "a", "--idle-exit", "1s"], &["sync", "--deadline", "1s"], &["pipe"]]
    {
        let output = room.run(&[command, &flags].concat(), &[]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("client certificate has expired"), "{command:?}: {said}");
    }
}

#[test]
fn the_place_of_a_mistake_is_named_by_file_and_key_and_its_value_is_not_repeated() {
    let room = Room::new();
    for (text, words) in [
        (format!("broker = 'mqtt://h'\npassword = {SECRET}\n"), "homing.toml: line 2 is not valid TOML"),
        (format!("user = 'a'\nuser = '{SECRET}'\n"), "homing.toml: line 2 is not valid TOML, or gives a key"),
        (format!("broker = 'mqtt://u:{SECRET}@h:99999'\n"), "homing.toml: broker: the broker's URL has a port"),
        (format!("broker = 'mqtt://u:{SECRET}@'\n"), "homing.toml: broker: the broker's URL names no host"),
        (format!("proxy = 'ftp://u:{SECRET}@p:1'\n"), "homing.toml: proxy: "),
        (format!("profile = '{SECRET}'\n"), "homing.toml: profile: must be generic or tencent or aws or azure"),
        (format!("durability = '{SECRET}'\n"), "homing.toml: durability: must be power-loss or process-kill"),
        (format!("password = '{SECRET}'\n"), "homing.toml: password without user"),
        ("tls_ca = 'x'\n".to_owned(), "homing.toml: tls_ca: is not a key"),
        ("tls-pin = ['AAAA']\n".to_owned(), "homing.toml: tls-pin: a pin is the SHA-256"),
        (format!("[azure]\nkey = ['{SECRET}']\n"), "homing.toml: azure: key must be text"),
        (format!("[azure]\nsecret = '{SECRET}'\n"), "homing.toml: azure: secret is not a key; keys are service, hub, "),
        (format!("azure = '{SECRET}'\n"), "homing.toml: azure: must be a table: write [azure]"),
        (
            format!("profile = 'azure'\n[azure]\nhub = 'h'\ndevice_id = 'd'\nkey = '{SECRET}?'\n"),
            "azure profile: key is not base64",
        ),
        ("profile = 'azure'\n[azure]\nhub = 'h'\n".to_owned(), "azure profile: device_id is missing"),
        (format!("[websocket-headers]\nAuthorization = ' {SECRET}'\n"), "homing.toml: websocket-headers: "),
    ] {
        let said = room.config(&text);
        assert!(said.contains(words), "{words}: {said}");
    }
}

#[test]
fn a_broker_that_a_flag_names_does_not_get_the_files_password() {
    let room = Room::new();
    let file = room.file("homing.toml", format!("broker = 'mqtts://a.example'\nuser = 'u'\npassword = '{SECRET}'\n"));
    let said = room.refused(2, &["--config", &file, "--broker", "mqtt://b.example"], &[]);
    assert!(said.contains("for the brokers in it, and mqtt://b.example:1883 is none of them"), "{said}");
    let said = room.refused(2, &["--config", &file], &[("HOMING_BROKER", "mqtt://b.example")]);
    assert!(said.contains("user and password in") && said.contains("homing.toml"), "{said}");
}

#[test]
fn a_flag_goes_before_its_variable_and_both_before_the_file_and_an_empty_variable_is_none() {
    let room = Room::new();
    let bad = |name: &str| path(&room.path(name));
    let file = room.file("homing.toml", format!("broker = 'mqtts://localhost:1'\ntls-ca = '{}'\n", bad("file.pem")));
    let with = |flags: &[&str], variable: &str| {
        room.refused(2, &[&["--config", &file], flags].concat(), &[("HOMING_TLS_CA", variable)])
    };
    assert!(with(&["--tls-ca", &bad("flag.pem")], &bad("variable.pem")).contains("flag.pem cannot be read"));
    assert!(with(&[], &bad("variable.pem")).contains("variable.pem cannot be read"));
    assert!(with(&[], "").contains("file.pem cannot be read"));
    // A service's fields too.
    let file =
        room.file("homing.toml", "profile = 'tencent'\n[tencent]\nproduct_id = 'P'\ndevice_name = 'd'\nhmac = 'x'\n");
    let with = |variables: &[(&str, &str)]| room.refused(2, &["--config", &file], variables);
    assert!(with(&[("HOMING_TENCENT_SECRET", "")]).contains("tencent profile: secret is missing"));
    assert!(with(&[("HOMING_TENCENT_SECRET", "MDEy")]).contains("hmac must be sha256 or sha1"));
    let variables = [("HOMING_TENCENT_SECRET", "MDEy"), ("HOMING_TENCENT_HMAC", "sha1"), ("HOMING_PROFILE", "aws")];
    assert!(with(&variables).contains("aws profile: endpoint is missing"));
    let empty: Vec<(&str, &str)> = [
        "HOMING_BROKER",
        "HOMING_PROXY",
        "HOMING_CLIENT_ID",
        "HOMING_MQTT",
        "HOMING_KEEP_ALIVE",
        "HOMING_TLS_CA",
        "HOMING_TLS_CERT",
        "HOMING_TLS_KEY",
        "HOMING_TLS_PIN",
        "HOMING_PROFILE",
        "HOMING_CONFIG",
        "HOMING_INFLIGHT",
    ]
    .map(|name| (name, ""))
    .to_vec();
    let output = room.run(&["pub", "a", "b", "--wait", "accepted"], &empty);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_password_in_the_url_is_nowhere_to_be_seen() {
    let room = Room::new();
    let broker = [("HOMING_BROKER", &*format!("mqtt://u:{SECRET}@127.0.0.1:1"))];
    for command in [
        &["pub", "a", "b", "--wait", "accepted", "-vvv"][..],
        &["sync", "--deadline", "1s", "-vvv"],
        &["status", "-vvv"],
        &["status", "--json"],
        &["doctor"],
        &["doctor", "--json"],
        &["export", "--json"],
        &["pub", "--help"],
        &["--help"],
    ] {
        let output = room.run(command, &broker);
        let said = [output.stdout, output.stderr].concat();
        assert!(!String::from_utf8_lossy(&said).contains(SECRET), "{}", String::from_utf8_lossy(&said));
    }
    for file in fs::read_dir(room.folder.path()).unwrap().map(|file| file.unwrap().path()) {
        let bytes = fs::read(&file).unwrap();
        assert!(!bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes()), "{file:?}");
    }
}

#[test]
fn help_says_how_to_give_a_password() {
    let said = String::from_utf8(Room::new().run(&["--help"], &[]).stdout).unwrap();
    for words in ["HOMING_BROKER=mqtts://", "--config homing.toml", "list of processes", "--tls-key <("] {
        assert!(said.contains(words), "{words}: {said}");
    }
}
