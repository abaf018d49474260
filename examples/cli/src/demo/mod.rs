//! `homing demo`: a house, a phone and a broker as separate processes; the phone is killed again and again, and at the
//! end everything is counted.

mod count;
mod device;
mod house;
mod network;
mod tell;

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use clap::ValueEnum;
use homing::Reader;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;
use tokio::time::{sleep, timeout};

use crate::args::{Common, DemoArgs};
use crate::exit::{Exit, Failure};
use crate::sensors::Home;
use crate::signals::Signals;
use count::{Evidence, Outcome};
use device::{Device, PATIENCE, own_command};
use house::Sensors;
use network::Network;
use tell::Teller;

const ROOMS: usize = 4;

/// How long and how much.
struct Scale {
    kills: u64,
    /// Readings that arrive before anything happens.
    live: u64,
    per_tick: u64,
    away: Duration,
    /// Messages each way around a kill.
    burst: u64,
    /// After so many seconds no further kill.
    enough: f64,
}

const FULL: Scale =
    Scale { kills: 10, live: 500, per_tick: 5, away: Duration::from_millis(1500), burst: 300, enough: 35.0 };
const FAST: Scale =
    Scale { kills: 3, live: 200, per_tick: 4, away: Duration::from_millis(500), burst: 200, enough: 7.0 };

pub(crate) async fn run(common: Common, args: DemoArgs) -> Result<Exit, Failure> {
    let mut signals = Signals::install()?;
    let folder = tempfile::Builder::new().prefix("homing-demo-").tempdir()?;
    let teller = Teller::new(args.json);
    let mut cast =
        Cast { broker: None, house: Device::new("house", folder.path()), phone: Device::new("phone", folder.path()) };
    let scale = if args.fast { &FAST } else { &FULL };
    let played = tokio::select! {
        played = play(&common, scale, folder.path(), &teller, &mut cast) => played,
        code = signals.arrived() => Ok(Exit::Signal(code)),
    };
    // However it ended: the folder can go only when nobody writes to it any more.
    cast.phone.kill().await;
    cast.house.kill().await;
    if let Some(mut broker) = cast.broker {
        let _ = broker.kill().await;
    }
    if played.is_err() {
        show_logs(folder.path());
    }
    played
}

/// The child processes.
struct Cast {
    broker: Option<Child>,
    house: Device,
    phone: Device,
}

async fn play(
    common: &Common,
    scale: &Scale,
    folder: &Path,
    teller: &Teller,
    cast: &mut Cast,
) -> Result<Exit, Failure> {
    teller.doing("starting broker, house and phone");
    let address = start_broker(folder, &mut cast.broker).await?;
    let broker = cast.broker.as_ref().and_then(Child::id).unwrap_or_default();
    let network = Network::start(address).await?;
    let mut rng = fastrand::Rng::new();
    let (house, phone) = (&mut cast.house, &mut cast.phone);
    house.configure(address, with_flags(common, "command/#"));
    phone.configure(network.address(), with_flags(common, "home/#"));
    house.start()?;
    let stdin = house.take_stdin().ok_or_else(|| Failure::failed("the house has no stdin"))?;
    phone.start()?;
    // Before the first message: what is published before a subscription is nobody's loss.
    house.until("the house subscribes", |heard| heard.subscribed).await?;
    phone.until("the phone subscribes", |heard| heard.subscribed).await?;
    let sensors = Sensors::start(stdin, Home::new(ROOMS, rng.u64(..)), scale.per_tick);
    let mut story = Story { house, phone, sensors, network, scale, teller, rng, commands: 0, kills: 0 };
    story.live(broker).await?;
    story.cut().await?;
    loop {
        // A slow machine gets fewer kills, not a longer demo. The last one comes while the network is cut too.
        let last = story.kills + 1 >= scale.kills || teller.seconds() > scale.enough;
        story.kill(last).await?;
        if last {
            return story.end().await;
        }
    }
}

struct Story<'a> {
    house: &'a mut Device,
    phone: &'a mut Device,
    sensors: Sensors,
    network: Network,
    scale: &'a Scale,
    teller: &'a Teller,
    rng: fastrand::Rng,
    /// Commands given so far: they are numbered from 0.
    commands: u64,
    kills: u64,
}

impl Story<'_> {
    async fn live(&mut self, broker: u32) -> Result<(), Failure> {
        let (house, phone) = (self.house.pid(), self.phone.pid());
        let text =
            format!("three processes: broker {broker}, house {house}, phone {phone}; the house's sensors report");
        self.teller.say("started", &text)?;
        self.teller.doing("the phone receives live");
        let live = self.scale.live;
        self.command(20).await?;
        self.phone.until("live readings", |heard| heard.numbers.len() as u64 >= live && heard.delivered >= 20).await?;
        self.teller.say("live", &format!("{live} readings have arrived live, and 20 commands went out"))
    }

    async fn cut(&mut self) -> Result<(), Failure> {
        self.network.cut();
        self.phone.until("the phone notices the cut", |heard| !heard.connected).await?;
        let (before, alarms) = (self.sensors.made(), self.phone.heard(|heard| heard.alarms));
        self.command(20).await?;
        let given = self.commands as usize;
        self.phone.until("commands accepted offline", |heard| heard.accepted.len() >= given).await?;
        let text = "the phone's network is cut; 20 commands given offline are safe on its disk";
        self.teller.say("cut", text)?;
        self.sensors.heat(0);
        self.teller.doing("the house goes on without the phone");
        sleep(self.scale.away).await;
        let target = self.sensors.made();
        let text = format!("meanwhile the house made {} readings, and it got hot: an alarm waits", target - before);
        self.teller.say("away", &text)?;
        self.network.restore();
        self.teller.doing("the phone catches up");
        self.phone.send("{\"op\":\"connect\"}\n").await?;
        self.phone
            .until("the phone catches up", |heard| {
                heard.connected && heard.complete >= target && heard.alarms > alarms && heard.delivered >= given as u64
            })
            .await?;
        self.teller.say("back", "the network is back: readings, alarm and commands have all arrived")
    }

    /// SIGKILL in the middle of bursts both ways; the house goes on; the phone is started again and catches up.
    async fn kill(&mut self, offline: bool) -> Result<(), Failure> {
        self.kills += 1;
        let kill = self.kills;
        let burst = self.scale.burst;
        let (accepted, delivered) = self.phone.heard(|heard| (heard.accepted.len(), heard.delivered));
        let received = self.phone.heard(|heard| heard.numbers.len());
        if offline {
            self.network.cut();
        }
        self.sensors.burst(burst);
        self.command(burst).await?;
        // In the middle, and every time elsewhere.
        let some = self.rng.u64(1..burst / 2);
        // Once before the first command is with the broker, once in the middle of the handshakes.
        let handshakes = kill.is_multiple_of(2) && !offline;
        self.phone
            .until("messages both ways", |heard| {
                let out = match handshakes {
                    true => heard.delivered >= delivered + some,
                    false => heard.accepted.len() > accepted,
                };
                out && (offline || heard.numbers.len() as u64 >= received as u64 + some)
            })
            .await?;
        self.phone.kill().await;
        let outbox = Reader::open(&self.phone.store())?.status()?.outbox;
        let coming = self.sensors.made().saturating_sub(self.phone.heard(|heard| heard.numbers.len()) as u64);
        let text = format!(
            "SIGKILL {kill}{}: {} commands unfinished on the phone's disk, {coming} readings not yet there",
            if offline { ", without network" } else { "" },
            outbox.waiting + outbox.in_flight,
        );
        self.teller.say("killed", &text)?;
        self.teller.doing("the house goes on without the phone");
        sleep(self.scale.away.mul_f64(self.rng.f64())).await;
        self.network.restore();
        self.phone.start()?;
        if kill % 3 == 2 && !offline {
            // Killed again while it catches up: the next round begins at once.
            let received = self.phone.heard(|heard| heard.numbers.len());
            return self.phone.until("the phone comes back", |heard| heard.numbers.len() > received).await;
        }
        self.teller.doing("the phone catches up");
        let target = self.sensors.made();
        self.phone.until("the phone catches up", |heard| heard.connected && heard.complete >= target).await?;
        let text = format!("started again: all {target} readings are there");
        self.teller.say("caught_up", &text)
    }

    async fn end(self) -> Result<Exit, Failure> {
        self.teller.doing("the last messages arrive, then everything is counted");
        let (house_stdin, qualities) = self.sensors.stop().await?;
        let made = qualities.len() as u64;
        let late = [
            self.house.until("the house's verdicts", |heard| heard.delivered >= made).await,
            self.phone.until("the last readings", |heard| heard.complete >= made).await,
        ];
        // Commands whose acceptance was never reported may exist all the same; the store knows.
        self.phone.send("{\"op\":\"flush\",\"deadline\":\"10s\"}\n").await?;
        let accepted = self.phone.heard(|heard| heard.accepted.clone());
        let arrived = self.house.until("the last commands", |heard| accepted.is_subset(&heard.numbers)).await;
        self.phone.stop().await?;
        drop(house_stdin);
        self.house.stop().await?;
        for failure in late.into_iter().chain([arrived]).filter_map(Result::err) {
            // What did not come in time is not the end of the story: the count says what is lost.
            let text = match failure {
                Failure::Failed(text) | Failure::Usage(text) => text,
                Failure::StdoutClosed => continue,
            };
            self.teller.say("late", &text)?;
        }
        let mut outcome = Outcome::count(&Evidence {
            phone: &self.phone.store(),
            house: &self.house.store(),
            readings: &self.house.heard(|heard| heard.accepted.clone()),
            qualities: &qualities,
            commands: &accepted,
        })?;
        outcome.kills = self.kills;
        outcome.shown_again = self.phone.heard(|heard| heard.shown_again);
        outcome.seconds = self.teller.seconds();
        self.teller.result(&outcome)?;
        Ok(if outcome.passed() { Exit::Done } else { Exit::Failed })
    }

    /// The phone's user switches lights.
    async fn command(&mut self, count: u64) -> Result<(), Failure> {
        let rooms: Vec<String> = Home::new(ROOMS, 0).rooms().map(str::to_owned).collect();
        let mut lines = String::new();
        for number in self.commands..self.commands + count {
            let room = &rooms[number as usize % ROOMS];
            let payload = json!({"n": number, "light": if number % 2 == 0 { "on" } else { "off" }}).to_string();
            let topic = format!("command/{room}/light");
            let line =
                json!({"op": "publish", "ref": number.to_string(), "topic": topic, "payload": payload, "qos": 2});
            lines.push_str(&format!("{line}\n"));
        }
        self.commands += count;
        self.phone.send(&lines).await
    }
}

/// The flags of `homing demo` that make sense for its devices.
fn with_flags(common: &Common, filter: &str) -> Vec<String> {
    let name = |value: Option<clap::builder::PossibleValue>| value.map(|value| value.get_name().to_owned());
    let flags = [
        ("--mqtt", common.mqtt.and_then(|mqtt| name(mqtt.to_possible_value()))),
        ("--durability", common.durability.and_then(|level| name(level.to_possible_value()))),
    ];
    let given = flags.into_iter().filter_map(|(flag, value)| Some([flag.to_owned(), value?]));
    given.flatten().chain([filter.to_owned()]).collect()
}

async fn start_broker(folder: &Path, slot: &mut Option<Child>) -> Result<SocketAddr, Failure> {
    let child = own_command(folder, "broker")?
        .args(["broker", "--listen", "127.0.0.1:0", "--json", "--until-stdin-ends"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let stdout = slot.insert(child).stdout.take().ok_or_else(|| Failure::failed("a child without stdout"))?;
    let line = timeout(PATIENCE, BufReader::new(stdout).lines().next_line()).await??.unwrap_or_default();
    let address = serde_json::from_str::<Value>(&line).ok().and_then(|said| said["address"].as_str()?.parse().ok());
    address.ok_or_else(|| Failure::failed("the broker did not start"))
}

/// The end of what each child said on its stderr.
fn show_logs(folder: &Path) {
    for name in ["broker", "house", "phone"] {
        let Ok(log) = std::fs::read_to_string(folder.join(format!("{name}.log"))) else { continue };
        let lines: Vec<&str> = log.lines().collect();
        for line in &lines[lines.len().saturating_sub(5)..] {
            use std::io::Write;
            let _ = writeln!(anstream::stderr(), "{name}: {line}");
        }
    }
}
