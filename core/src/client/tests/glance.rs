//! The file for widgets: what stands in it, how often, and that nothing of it is open in a pause.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;

use super::driver::{broker, connack, options, run};
use super::engine::{Bench, NOW};
use crate::client::glance::Writer;
use crate::model::message::{Publish, QoS};
use crate::model::reason::ReasonCode;
use crate::model::topic::{TopicFilter, TopicName};
use crate::session::effect::Now;
use crate::wire::packet::{Ack, Packet, PublishPacket};
use crate::{Glance, Homing, OpenError};

/// Sends each message back as QoS 0.
fn echo() -> SocketAddr {
    let (address, _) = broker(1, |_, packet| match packet {
        Packet::Connect(_) => vec![connack(ReasonCode::Success)],
        Packet::Publish(publish) => {
            let ack = Packet::PubAck(Ack::ok(publish.pid));
            vec![ack, Packet::Publish(PublishPacket { qos: QoS::AtMostOnce, pid: 0, ..publish })]
        }
        Packet::PingReq => vec![Packet::PingResp],
        _ => Vec::new(),
    });
    address
}

fn filters(texts: &[&str]) -> Vec<TopicFilter> {
    texts.iter().map(|text| TopicFilter::new(*text).unwrap()).collect()
}

async fn publish(client: &Homing, topic: &str, payload: &[u8]) {
    let message = Publish::new(TopicName::new(topic).unwrap(), payload.to_vec());
    let id = client.publish(message).await.unwrap();
    client.settled(id).await.unwrap();
}

fn read(folder: &Path) -> Option<Value> {
    let text = std::fs::read(folder.join("store.db-glance")).ok()?;
    assert!(text.len() <= 64 << 10, "{}", text.len());
    Some(serde_json::from_slice(&text).expect("replaced as a whole"))
}

/// Topics and payloads.
fn entries(file: &Value, key: &str) -> Vec<(String, Vec<u8>)> {
    let entry = |value: &Value| {
        assert!(value["at"].as_i64().unwrap() > 1_764_000_000_000);
        let payload = BASE64.decode(value["payload_base64"].as_str().unwrap()).unwrap();
        (value["topic"].as_str().unwrap().to_owned(), payload)
    };
    file[key].as_array().unwrap().iter().map(entry).collect()
}

async fn until(folder: &Path, wanted: impl Fn(&Value) -> bool) -> Value {
    let start = Instant::now();
    loop {
        let file = read(folder);
        if let Some(file) = file.filter(&wanted) {
            return file;
        }
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", read(folder));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[test]
fn a_widget_sees_last_values_alerts_and_the_connection() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let mut options = options(folder.path(), echo());
        options.glance =
            Some(Glance::new(filters(&["home/#", "home/+/temperature"])).alerts(filters(&["home/alert/+"])));
        let client = Homing::open(options).await.unwrap();
        publish(&client, "home/kitchen/temperature", b"20").await;
        publish(&client, "home/kitchen/temperature", b"21").await;
        publish(&client, "home/alert/kitchen", b"hot").await;
        publish(&client, "garden/temperature", b"5").await;
        let file = until(folder.path(), |file| file["alerts"][0].is_object()).await;
        assert_eq!(entries(&file, "alerts"), [("home/alert/kitchen".to_owned(), b"hot".to_vec())]);
        let mut last = entries(&file, "last");
        last.sort();
        let kitchen = ("home/kitchen/temperature".to_owned(), b"21".to_vec());
        assert_eq!(last, [("home/alert/kitchen".to_owned(), b"hot".to_vec()), kitchen.clone()]);
        assert_eq!((&file["connection"], &file["omitted"]), (&"connected".into(), &0.into()));

        publish(&client, "home/alert/kitchen", b"").await;
        let file = until(folder.path(), |file| file["alerts"].as_array().unwrap().is_empty()).await;
        assert_eq!(entries(&file, "last").len(), 2, "its last value is known all the same");

        client.pause(Duration::from_secs(5)).await.unwrap();
        assert_eq!(read(folder.path()).unwrap()["connection"], "disconnected");
        #[cfg(target_os = "linux")]
        assert_eq!(super::life::open_files(folder.path()), [] as [std::path::PathBuf; 0]);
        client.resume().await.unwrap();
        client.close(Duration::from_secs(5)).await.unwrap();
        assert_eq!(read(folder.path()).unwrap()["connection"], "disconnected");
    });
}

#[test]
fn p7_the_file_is_bounded_says_what_it_omits_and_is_replaced_at_most_once_a_second() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let mut options = options(folder.path(), echo());
        options.glance = Some(Glance::new(filters(&["#"])));
        let client = Homing::open(options).await.unwrap();
        let start = Instant::now();
        let mut versions = std::collections::BTreeSet::new();
        for n in 0..40 {
            publish(&client, &format!("photo/{n}"), &[n; 4_000]).await;
            versions.extend(read(folder.path()).map(|file| file["at"].as_i64().unwrap()));
        }
        // The first one is written at once.
        assert!(versions.len() as u64 <= start.elapsed().as_secs() + 2, "{versions:?} in {:?}", start.elapsed());
        publish(&client, "photo/large", &[b'x'; 70_000]).await;
        publish(&client, "note", b"small").await;
        let file = until(folder.path(), |file| entries(file, "last").iter().any(|(topic, _)| topic == "note")).await;
        let last = entries(&file, "last");
        let (shown, omitted) = (last.len(), file["omitted"].as_u64().unwrap());
        assert!((10..40).contains(&shown) && shown as u64 + omitted == 42, "{shown} shown, {omitted} omitted");
        assert!(last.contains(&("photo/39".to_owned(), vec![39; 4_000])), "the newest are shown");
        assert!(!last.iter().any(|(topic, _)| topic == "photo/0"));
    });
}

#[test]
fn filters_that_make_no_sense_are_refused() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        for wrong in [filters(&["$share/g/home"]), vec![TopicFilter::new("#").unwrap(); 65]] {
            let mut options = options(folder.path(), echo());
            options.glance = Some(Glance::new(wrong));
            let error = Homing::open(options).await.unwrap_err();
            assert!(matches!(&error, OpenError::Option { option: "glance", .. }), "{error}");
        }
    });
}

#[test]
fn a_file_that_could_not_be_written_is_tried_again_without_a_new_turn_and_leaves_nothing_behind() {
    let bench = Bench::new(|options| options.glance = Some(Glance::new(filters(&["#"]))));
    let path = bench.folder.path().join("store.db-glance");
    std::fs::create_dir(&path).unwrap();
    let mut writer = Writer::new(&bench.engine.options).unwrap();
    writer.write(7, "connected", NOW);
    assert!(!bench.folder.path().join("store.db-glance-new").exists());
    let at = writer.due(7, "connected").expect("it shows nothing yet");
    assert!(at > NOW.mono_ms);
    std::fs::remove_dir(&path).unwrap();
    writer.write(7, "connected", Now { mono_ms: at, ..NOW });
    assert_eq!((path.is_file(), writer.due(7, "connected")), (true, None));
}
