//! A home's sensors, made up but plausible. The same seed gives the same readings, so that a run can be repeated.

use homing::{Publish, QoS, TopicName};

/// Rooms beyond these are numbered.
const ROOMS: [&str; 8] = ["living", "kitchen", "bedroom", "bath", "hall", "study", "cellar", "attic"];
/// Above this a room raises its alarm, 2 °C below it the alarm ends: without the distance it would flicker.
const HOT: f64 = 28.0;

/// One reading, not yet a message.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reading {
    /// Runs through all sensors, from 0.
    pub(crate) n: u64,
    pub(crate) topic: TopicName,
    pub(crate) payload: String,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
}

impl Reading {
    pub(crate) fn to_publish(&self) -> Publish {
        Publish::new(self.topic.clone(), self.payload.clone()).qos(self.qos).retain(self.retain)
    }
}

struct Room {
    name: String,
    temperature: f64,
    humidity: f64,
    /// Pushes the temperature up or down for a while: somebody opened the oven.
    trend: f64,
    door_open: bool,
    alarm: bool,
}

/// All rooms; an endless iterator that visits sensor after sensor.
pub(crate) struct Home {
    rng: fastrand::Rng,
    rooms: Vec<Room>,
    visit: usize,
    n: u64,
    /// An alarm goes out right after the temperature that raised it.
    alarm_of: Option<usize>,
}

impl Home {
    pub(crate) fn new(rooms: usize, seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let rooms = (0..rooms.max(1))
            .map(|i| Room {
                name: ROOMS.get(i).map_or_else(|| format!("room{}", i + 1), |name| (*name).to_owned()),
                temperature: 19.0 + 4.0 * rng.f64(),
                humidity: 40.0 + 15.0 * rng.f64(),
                trend: 0.0,
                door_open: false,
                alarm: false,
            })
            .collect();
        Self { rng, rooms, visit: 0, n: 0, alarm_of: None }
    }

    /// The names, in the order of the visits.
    pub(crate) fn rooms(&self) -> impl Iterator<Item = &str> {
        self.rooms.iter().map(|room| room.name.as_str())
    }

    /// Lets a room grow hot: its alarm comes with its next temperature.
    pub(crate) fn heat(&mut self, room: usize) {
        if let Some(room) = self.rooms.get_mut(room) {
            room.temperature = HOT + 3.0;
        }
    }

    fn reading(&mut self, topic: String, value: String, unit: &str, qos: QoS, retain: bool) -> Option<Reading> {
        let n = self.n;
        self.n += 1;
        let unit = if unit.is_empty() { String::new() } else { format!(r#","unit":"{unit}""#) };
        let payload = format!(r#"{{"n":{n},"value":{value}{unit}}}"#);
        Some(Reading { n, topic: TopicName::new(topic).ok()?, payload, qos, retain })
    }
}

impl Iterator for Home {
    type Item = Reading;

    fn next(&mut self) -> Option<Reading> {
        if let Some(room) = self.alarm_of.take().and_then(|i| self.rooms.get(i)) {
            let (topic, alarm) = (format!("home/alert/{}", room.name), room.alarm);
            return self.reading(topic, alarm.to_string(), "", QoS::ExactlyOnce, true);
        }
        let at = self.visit / 5 % self.rooms.len();
        let sensor = self.visit % 5;
        self.visit += 1;
        let (step, chance, watts) = (self.rng.f64() - 0.5, self.rng.u8(0..100), self.rng.u32(5..900));
        let room = self.rooms.get_mut(at)?;
        let topic = |kind: &str| format!("home/{}/{kind}", room.name);
        match sensor {
            0 => {
                room.trend = match chance {
                    0..4 => 2.0,
                    4..30 => 0.0,
                    _ => room.trend * 0.9,
                };
                // Pulled back to 21 °C, so that a long run stays a home.
                room.temperature += step * 0.4 + room.trend + (21.0 - room.temperature) * 0.05;
                let hot = room.temperature > if room.alarm { HOT - 2.0 } else { HOT };
                let (topic, value) = (topic("temperature"), format!("{:.1}", room.temperature));
                if hot != room.alarm {
                    room.alarm = hot;
                    self.alarm_of = Some(at);
                }
                self.reading(topic, value, "°C", QoS::AtLeastOnce, false)
            }
            1 => {
                room.humidity = (room.humidity + step * 2.0).clamp(25.0, 75.0);
                let (topic, value) = (topic("humidity"), format!("{:.0}", room.humidity));
                self.reading(topic, value, "%", QoS::AtLeastOnce, false)
            }
            2 => {
                let topic = topic("motion");
                self.reading(topic, (chance < 20).to_string(), "", QoS::ExactlyOnce, false)
            }
            3 => {
                room.door_open ^= chance < 10;
                let (topic, value) = (topic("door"), room.door_open.to_string());
                self.reading(topic, value, "", QoS::ExactlyOnce, false)
            }
            _ => {
                let topic = topic("power");
                self.reading(topic, watts.to_string(), "W", QoS::AtLeastOnce, false)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_home() {
        let run = |seed| Home::new(4, seed).take(2000).collect::<Vec<_>>();
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
        assert!(run(7).iter().map(|reading| reading.n).eq(0..2000));
    }

    #[test]
    fn a_hot_room_raises_a_retained_alarm_that_ends() {
        let mut home = Home::new(2, 1);
        home.heat(1);
        let alarms: Vec<_> = home.take(1000).filter(|reading| reading.topic.as_str() == "home/alert/kitchen").collect();
        assert!(alarms.iter().all(|alarm| alarm.retain));
        assert!(alarms[0].payload.contains("true") && alarms[1].payload.contains("false"));
    }
}
