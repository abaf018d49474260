//! What failing, idle and blocked links cost: descriptors, processor time, memory.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use homing::link::dial::dial;
use homing::link::tls::Connector;
use homing::{BrokerUrl, CaCertificates, Fate, Homing, Options, Proxy, ProxyUrl, Publish, State, TopicName, Trust};
use homing_testkit::certificates::{Authority, Wrong};
use homing_testkit::mosquitto::Mosquitto;
use homing_testkit::way::mosquitto_with_secure_websocket;

use super::{answering, options, run};

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Processor time of this process so far.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    // utime and stime, in hundredths of a second.
    Duration::from_millis(10 * (fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()))
}

#[test]
fn five_hundred_failed_attempts_of_each_kind_leave_no_descriptor_behind() {
    run(async {
        let authority = Authority::new();
        let stranger = Mosquitto::start_tls(&Authority::named("another").server(&Wrong::default()), None, "");
        let free = homing_testkit::ports::free();
        let closing = answering(b"HTTP/1.1 403 No\r\n\r\n");
        let proxy = |scheme: &str| Proxy::Url(ProxyUrl::parse(&format!("{scheme}://127.0.0.1:{closing}")).unwrap());
        let socket = "unix:///nowhere/broker.sock".to_owned();
        for (url, proxy) in [
            (format!("mqtt://127.0.0.1:{free}"), Proxy::Direct),
            (stranger.url(), Proxy::Direct),
            (format!("ws://127.0.0.1:{closing}"), Proxy::Direct),
            (format!("wss://127.0.0.1:{closing}"), Proxy::Direct),
            (stranger.url(), proxy("http")),
            (stranger.url(), proxy("socks5h")),
            (socket, Proxy::Direct),
        ] {
            let mut options = Options::new("unused");
            options.proxy = proxy;
            options.tls.trust = Trust::Roots(CaCertificates::from_pem_file(&authority.file).unwrap());
            let broker = BrokerUrl::parse(&url).unwrap();
            let connector = Connector::new(&options.tls);
            let attempt = async || dial(&broker, &options, &connector, Duration::from_secs(10)).await.err().unwrap();
            attempt().await;
            let before = descriptors();
            for _ in 0..500 {
                attempt().await;
            }
            // The listener's own threads may hold the last one for a moment.
            let after = Instant::now() + Duration::from_secs(10);
            while descriptors() > before && Instant::now() < after {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            assert!(descriptors() <= before, "{url}: {before} before, {} after", descriptors());
        }
    });
}

#[test]
fn an_idle_link_and_one_that_fails_all_the_time_cost_next_to_nothing() {
    run(async {
        let authority = Authority::new();
        let server = authority.server(&Wrong::default());
        let (_broker, wss) = mosquitto_with_secure_websocket(&server);
        let refusing = format!("wss://127.0.0.1:{}", answering(b"HTTP/1.1 500 No\r\n\r\n"));
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let silent = format!("ws://{}", silent.local_addr().unwrap());
        for (url, online) in [(wss, true), (refusing, false), (silent, false)] {
            let folder = tempfile::tempdir().unwrap();
            let mut options = options(folder.path(), &url);
            if url.starts_with("wss") {
                options.tls.trust = Trust::Roots(CaCertificates::from_pem_file(&authority.file).unwrap());
            }
            let client = Homing::open(options).await.unwrap();
            let mut states = client.state();
            while online && !matches!(states.get(), State::Online { .. }) {
                states.changed().await.unwrap();
            }
            // What is done once it is idle, such as a checkpoint, is done.
            tokio::time::sleep(Duration::from_secs(1)).await;
            let before = cpu();
            tokio::time::sleep(Duration::from_secs(4)).await;
            let spent = cpu() - before;
            eprintln!("{url}: {spent:?} of processor time in 4 s");
            assert!(spent < Duration::from_millis(400), "{url}: {spent:?} of processor time in 4 s");
            client.close(Duration::from_secs(1)).await.unwrap();
        }
    });
}

/// Resident memory of this process, in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap();
    status.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[test]
fn a_broker_that_stops_reading_never_grows_memory() {
    run(async {
        let authority = Authority::new();
        let server = authority.server(&Wrong::default());
        let (websocket, wss) = mosquitto_with_secure_websocket(&server);
        let tls = Mosquitto::start_tls(&server, None, "");
        for (broker, url) in [(&tls, tls.url()), (&websocket, wss)] {
            let folder = tempfile::tempdir().unwrap();
            let mut options = options(folder.path(), &url);
            options.tls.trust = Trust::Roots(CaCertificates::from_pem_file(&authority.file).unwrap());
            let client = Homing::open(options).await.unwrap();
            let mut states = client.state();
            while !matches!(states.get(), State::Online { .. }) {
                states.changed().await.unwrap();
            }
            broker.freeze();
            let payload = vec![7; 256 << 10];
            let publish = async |number: u32| {
                let topic = TopicName::new(format!("way/{number}")).unwrap();
                client.publish(Publish::new(topic, payload.clone())).await.unwrap()
            };
            // What the window holds.
            let mut ids = Vec::new();
            for number in 0..60 {
                ids.push(publish(number).await);
            }
            let before = resident();
            for number in 60..300 {
                ids.push(publish(number).await);
            }
            let (grown, written) = (resident().saturating_sub(before), client.metrics().bytes_out);
            eprintln!("{url}: 60 MiB more were accepted: {grown} bytes of memory more, {written} bytes written");
            assert!(grown < 16 << 20, "{grown}");
            broker.thaw();
            for id in ids {
                assert_eq!(client.settled(id).await.unwrap(), Fate::DELIVERED);
            }
            client.close(Duration::from_secs(10)).await.unwrap();
        }
    });
}
