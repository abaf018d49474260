//! `history --plot`: numbers over time, drawn with Braille dots.

use std::collections::BTreeMap;

use homing::{Message, TopicFilter, TopicName};
use textplots::{Chart, Plot, Shape};

use crate::exit::{Exit, Failure};
use crate::output::{Out, time};

/// Width and height in dots; two dots are a column, four a line.
const SIZE: (u32, u32) = (140, 48);
/// So many topics are drawn, one chart each.
const TOPICS: usize = 8;
/// So many points a topic; beyond it every second one goes.
const POINTS: usize = 20_000;

/// One topic's numbers. Memory is bounded: once full, half of the points go and only every second one is taken from then on.
struct Series {
    points: Vec<(i64, f64)>,
    every: u64,
    seen: u64,
}

impl Series {
    fn new() -> Self {
        Self { points: Vec::new(), every: 1, seen: 0 }
    }

    fn add(&mut self, at_ms: i64, value: f64) {
        if self.seen.is_multiple_of(self.every) {
            self.points.push((at_ms, value));
        }
        self.seen += 1;
        if self.points.len() >= POINTS {
            self.points = self.points.iter().copied().step_by(2).collect();
            self.every *= 2;
        }
    }
}

/// Draws what `read` hands over.
pub(super) fn plot(
    filter: &TopicFilter,
    read: impl FnOnce(&mut dyn FnMut(&Message) -> Result<(), Failure>) -> Result<(), Failure>,
) -> Result<Exit, Failure> {
    let mut all: BTreeMap<TopicName, Series> = BTreeMap::new();
    let (mut messages, mut numbers, mut left_out) = (0_u64, 0_u64, false);
    read(&mut |message| {
        messages += 1;
        let Some(value) = number(&message.payload) else { return Ok(()) };
        numbers += 1;
        if all.len() >= TOPICS && !all.contains_key(&message.topic) {
            left_out = true;
            return Ok(());
        }
        all.entry(message.topic.clone()).or_insert_with(Series::new).add(message.received_ms, value);
        Ok(())
    })?;
    if all.is_empty() {
        let text = match messages {
            0 => format!("nothing to plot: no message on {filter}"),
            _ => format!("nothing to plot: {messages} messages on {filter}, and no payload of them is a number"),
        };
        return Err(Failure::failed(text));
    }
    let mut out = Out::default();
    for (topic, series) in &all {
        out.text(chart(topic, &series.points))?;
    }
    if left_out {
        out.text(format_args!("more than {TOPICS} topics hold numbers: these are the first {TOPICS}"))?;
    }
    if numbers < messages {
        out.text(format_args!("{} of {messages} messages hold no number and are not drawn", messages - numbers))?;
    }
    out.flush()?;
    Ok(Exit::Done)
}

/// A payload that is one number, as text.
fn number(payload: &[u8]) -> Option<f64> {
    std::str::from_utf8(payload).ok()?.trim().parse().ok().filter(|number: &f64| number.is_finite())
}

/// Title, chart, and the two ends of the time.
fn chart(topic: &TopicName, points: &[(i64, f64)]) -> String {
    let (first, last) = (points.iter().map(|point| point.0).min(), points.iter().map(|point| point.0).max());
    let (first, last) = (first.unwrap_or(0), last.unwrap_or(0));
    let low = points.iter().map(|point| point.1).fold(f64::INFINITY, f64::min);
    let high = points.iter().map(|point| point.1).fold(f64::NEG_INFINITY, f64::max);
    let seconds = |at: i64| (at - last) as f32 / 1_000.0;
    let line: Vec<(f32, f32)> = points.iter().map(|(at, value)| (seconds(*at), *value as f32)).collect();
    // A chart needs some width and height, also for one point or a value that never changes.
    let from = seconds(first).min(-1.0);
    let margin = if high > low { 0.0 } else { (high.abs() * 0.1).max(1.0) };
    let range = ((low - margin) as f32, (high + margin) as f32);
    let shape = Shape::Lines(&line);
    let mut chart = Chart::new_with_y_range(SIZE.0, SIZE.1, from, 0.0, range.0, range.1);
    let chart = chart.lineplot(&shape);
    chart.borders();
    chart.axis();
    chart.figures();
    format!(
        "{}: {} numbers, {low} to {high}; {} to {} (seconds before the last)\n{chart}",
        topic.as_str().escape_debug(),
        points.len(),
        time(first),
        time(last)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_payloads_of_one_number() {
        assert_eq!(number(b" 21.5\n"), Some(21.5));
        assert_eq!(number(b"-3e2"), Some(-300.0));
        for text in [&b"on"[..], b"", b"21 C", b"NaN", b"inf", b"\xff"] {
            assert_eq!(number(text), None);
        }
    }

    #[test]
    fn a_series_is_bounded_and_still_covers_all_of_the_time() {
        let mut series = Series::new();
        for n in 0..100_000 {
            series.add(n, n as f64);
        }
        assert!(series.points.len() < POINTS && series.points.len() >= POINTS / 4, "{}", series.points.len());
        assert_eq!(series.points[0].0, 0);
        assert!(series.points.last().unwrap().0 > 99_900 - 32);
        assert!(series.points.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn one_point_and_a_flat_line_are_drawn_too() {
        let topic = TopicName::new("home/t").unwrap();
        for points in [&[(1_000, 5.0)][..], &[(1_000, 5.0), (9_000, 5.0)]] {
            let text = chart(&topic, points);
            assert!(text.starts_with("home/t: ") && text.lines().count() > 10, "{text}");
        }
    }
}
