//! `doctor` as a script sees it: well, ill, mended, missing, foreign, beside a driver.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;
use std::process::Stdio;

use homing_testkit::process::Homing;
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_homing");

fn doctor(store: &Path, flags: &[&str]) -> (Option<i32>, Value, String) {
    let line = [&["doctor"], flags].concat();
    let output = Homing::new(BINARY, store).run(&line);
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.code(), serde_json::from_str(&stdout).unwrap_or(Value::Null), format!("{stdout}{stderr}"))
}

#[test]
fn a_store_is_well_ill_and_mended() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("light.db");
    let homing = Homing::new(BINARY, &store);
    for n in 0..20 {
        homing.json(["pub", "home/light", &n.to_string(), "--wait", "accepted", "--json"]);
    }
    let (status, report, _) = doctor(&store, &["--json"]);
    assert_eq!((status, &report["ok"], &report["driven"]), (Some(0), &json!(true), &json!(false)), "{report}");
    assert!(report["sizes"]["database"].as_u64().unwrap() > 0 && report["schema_version"].is_u64());
    assert!(doctor(&store, &[]).2.contains("all is well"));

    let mut bytes = std::fs::read(&store).unwrap();
    bytes[..4096].fill(0);
    std::fs::write(&store, &bytes).unwrap();
    let (status, report, _) = doctor(&store, &["--json"]);
    assert_eq!((status, &report["findings"][0]["code"]), (Some(1), &json!("corrupt")), "{report}");
    assert!(report["findings"][0]["mend"].as_str().unwrap().contains("--repair"));
    assert_eq!(std::fs::read(&store).unwrap(), bytes, "only told to it mends");

    let (status, report, text) = doctor(&store, &["--json", "--repair"]);
    assert_eq!((status, &report["ok"]), (Some(0), &json!(true)), "{text}");
    assert_eq!(
        (&report["incidents"][0]["kind"], report["set_aside"].as_array().unwrap().len()),
        (&json!("damaged"), 1)
    );
    assert!(report["repaired"][0].as_str().unwrap().contains("set aside"), "{report}");
    assert_eq!(homing.json(["outbox", "--json"]).len(), 20);
    let aside = folder.path().join(report["set_aside"][0].as_str().unwrap());
    assert_eq!(std::fs::read(aside).unwrap(), bytes);
}

#[test]
fn a_repair_gives_the_configured_client_id_to_a_store_whose_own_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("light.db");
    let homing = Homing::new(BINARY, &store);
    homing.json(["pub", "home/light", "on", "--wait", "accepted", "--json", "--client-id", "kitchen"]);
    let length = std::fs::metadata(&store).unwrap().len();
    std::fs::write(&store, vec![0; usize::try_from(length).unwrap()]).unwrap();
    let (status, report, text) = doctor(&store, &["--json", "--repair", "--client-id", "kitchen"]);
    assert_eq!((status, &report["ok"]), (Some(0), &json!(true)), "{text}");
    assert_eq!(homing.json(["status", "--json"])[0]["client_id"], "kitchen");
    // One that can be read is not overruled.
    let (status, _, text) = doctor(&store, &["--repair", "--client-id", "cellar"]);
    assert!(status == Some(1) && text.contains("ClientIdMismatch"), "{text}");
}

#[test]
fn what_is_missing_foreign_or_driven_is_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("light.db");
    let (status, _, text) = doctor(&store, &["--json"]);
    assert!(status == Some(1) && text.contains("StoreUnavailable"), "{text}");
    assert!(!store.exists());
    std::fs::write(&store, b"a shopping list".repeat(400)).unwrap();
    for flags in [&["--json"][..], &["--repair"][..]] {
        let (status, _, text) = doctor(&store, flags);
        assert!(status == Some(1) && text.contains("NotAStore"), "{text}");
    }
    std::fs::remove_file(&store).unwrap();
    let mut driver = std::process::Command::new(BINARY)
        .arg("pipe")
        .args(["--store".as_ref(), store.as_os_str()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while doctor(&store, &["--json"]).1["driven"] != json!(true) {
        assert!(std::time::Instant::now() < until);
    }
    let (status, _, text) = doctor(&store, &["--repair"]);
    assert!(status == Some(1) && text.contains("StoreInUse"), "{text}");
    drop(driver.stdin.take());
    assert!(driver.wait().unwrap().success());
}
