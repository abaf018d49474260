//! Tencent IoT Hub over the whole way; what a scripted broker sees packet by packet stands in `profiles.rs`.

use homing_testkit::service::tencent::IotHub;

use super::*;

const SECRET: &str = "MDEyMzQ1Njc4OWFiY2RlZg==";
const CONFIG: &str = "profile = 'tencent'\n[tencent]\nproduct_id = 'ABCDE12345'\ndevice_name = 'dev:0-1'\n\
                      secret = 'MDEyMzQ1Njc4OWFiY2RlZg=='\n";

fn hub(config: &str, hash: &'static str) -> Stage {
    Stage::new(IotHub { product: "ABCDE12345", device: "dev:0-1", secret: SECRET, hash }, config).plain()
}

#[test]
fn both_hashes_open_it_and_nothing_secret_is_said() {
    for (hash, config) in [("sha256", CONFIG.to_owned()), ("sha1", format!("{CONFIG}hmac = 'sha1'\n"))] {
        let stage = hub(&config, hash);
        let publish = ["pub", "ABCDE12345/dev:0-1/data", "x"];
        stage.keeps_secret(&[SECRET, "hmacsha", ";12010126;"], &publish);
        stage.service.is_content();
    }
}

#[test]
fn a_full_memory_of_the_service_is_a_possible_gap() {
    let stage = hub(CONFIG, "sha256");
    let filter = "ABCDE12345/dev:0-1/control";
    let mut pipe = stage.homing.pipe([filter, "--auto-done"]);
    pipe.subscribed(filter, PATIENCE);
    pipe.close_stdin();
    assert!(pipe.finish(PATIENCE).1.success());
    for number in 0..150 {
        stage.service.deliver(filter, &number.to_string());
    }
    let mut pipe = stage.homing.pipe([filter, "--auto-done"]);
    let mut heard = 0;
    let why = pipe.until(PATIENCE, "gap", |event| match event {
        Event::Gap { why, .. } => Some(why.clone()),
        Event::Message(_) => {
            heard += 1;
            None
        }
        _ => None,
    });
    assert_eq!(why, "possibly_dropped");
    assert!(heard <= 150, "{heard}");
    stage.service.is_content();
}

#[test]
fn the_pace_holds_over_a_cut() {
    let stage = hub(CONFIG, "sha256");
    let mut pipe = stage.homing.pipe([""; 0]);
    pipe.connected(PATIENCE);
    pipe.publish_numbers("ABCDE12345/dev:0-1/data", 0..70, 1);
    stage.service.until("messages", PATIENCE, |seen| seen.published.len() > 20);
    stage.service.cut();
    delivered(&mut pipe, 70);
    // What goes beyond 30 a second, or comes 5 s too early, is a fault.
    stage.service.is_content();
}
