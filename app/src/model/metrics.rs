//! What a vLLM server counts, as it is now and over the last quarter of an hour.
//!
//! Whole numbers only: rates per ten seconds, shares in thousandths, latencies in microseconds. Absent means that the
//! server did not report it, never zero.

use super::{ServiceName, Timestamp};
use serde::{Deserialize, Serialize};

/// One reading. Rates and latencies are over the window that ends with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// When it was read.
    pub at: Timestamp,
    /// The window of rates and latencies, in seconds; absent for the first reading of an engine.
    pub window_s: Option<u32>,
    /// Requests that run.
    pub running: Option<u32>,
    /// Requests that wait.
    pub waiting: Option<u32>,
    /// KV cache in use, in thousandths.
    pub kv_cache_permille: Option<u32>,
    /// Prompt tokens worked through per ten seconds.
    pub prompt_tokens_per_10s: Option<u32>,
    /// Tokens generated per ten seconds.
    pub generation_tokens_per_10s: Option<u32>,
    /// Time to first token, half of the requests in the window were faster.
    pub ttft_p50_us: Option<u64>,
    /// Time to first token, 95 of 100 were faster.
    pub ttft_p95_us: Option<u64>,
    /// Time from one token to the next, half were faster.
    pub itl_p50_us: Option<u64>,
    /// Time from one token to the next, 95 of 100 were faster.
    pub itl_p95_us: Option<u64>,
    /// Prompt tokens found in the prefix cache within the window, in thousandths of those looked up.
    pub prefix_hits_permille: Option<u32>,
    /// Preemptions since the engine started.
    pub preemptions: Option<u64>,
    /// Requests that ended since the engine started, by reason (`stop`, `length`, `abort`, `error`), and HTTP answers
    /// that were errors (`4xx`, `5xx`).
    pub ended: Vec<Ended>,
}

/// How many requests ended in one way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// The reason, in the engine's words.
    pub reason: String,
    /// How many.
    pub count: u64,
}

/// Seconds between two points of a history.
pub const STEP_S: u32 = 5;

/// The last quarter of an hour, one point for each step; absent points were not read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// Seconds between two points.
    pub step_s: u32,
    /// Requests that ran.
    pub running: Vec<Option<u32>>,
    /// Requests that waited.
    pub waiting: Vec<Option<u32>>,
    /// KV cache in use, in thousandths.
    pub kv_cache_permille: Vec<Option<u32>>,
    /// Prompt tokens per ten seconds.
    pub prompt_tokens_per_10s: Vec<Option<u32>>,
    /// Generated tokens per ten seconds.
    pub generation_tokens_per_10s: Vec<Option<u32>>,
    /// Time to first token, p95, in milliseconds.
    pub ttft_p95_ms: Vec<Option<u32>>,
}

/// Event `metrics`, and part of the snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceMetrics {
    /// Whose.
    pub service: ServiceName,
    /// The latest reading; absent while it does not serve or reports nothing.
    pub latest: Option<Reading>,
    /// What came before; all of it in a snapshot, absent in an event, to which the latest reading is the next point.
    #[serde(default)]
    pub history: Option<History>,
}

impl ServiceMetrics {
    /// Takes an event: its latest reading is the next point of the history that is held, after as many gaps as steps were
    /// missed.
    pub fn go_on(&mut self, event: Self) {
        let before = self.latest.as_ref().map(|r| r.at);
        if event.history.is_some() {
            self.history = event.history;
        } else if let Some(reading) = &event.latest {
            let history =
                self.history.get_or_insert_with(|| History { step_s: STEP_S, ..History::default() });
            let step = u64::from(history.step_s.max(1)) * 1000;
            // Half a step early or late is the same step.
            let steps = before.map_or(1, |before| (reading.at.since(before) + step / 2) / step);
            history.push(Some(reading), steps);
        } else if let Some(history) = &mut self.history {
            history.push(None, 1);
        }
        self.latest = event.latest;
    }
}

impl History {
    /// As many points as a quarter of an hour has.
    fn limit(&self) -> usize {
        usize::try_from(900 / self.step_s.max(1)).unwrap_or(180)
    }

    /// Adds a point this many steps behind the last; a gap where nothing was read.
    fn push(&mut self, reading: Option<&Reading>, steps: u64) {
        let limit = self.limit();
        let gaps = usize::try_from(steps).unwrap_or(limit).min(limit).saturating_sub(1);
        let ttft = reading.and_then(|r| u32::try_from(r.ttft_p95_us? / 1000).ok());
        let series = [
            (&mut self.running, reading.and_then(|r| r.running)),
            (&mut self.waiting, reading.and_then(|r| r.waiting)),
            (&mut self.kv_cache_permille, reading.and_then(|r| r.kv_cache_permille)),
            (&mut self.prompt_tokens_per_10s, reading.and_then(|r| r.prompt_tokens_per_10s)),
            (&mut self.generation_tokens_per_10s, reading.and_then(|r| r.generation_tokens_per_10s)),
            (&mut self.ttft_p95_ms, ttft),
        ];
        for (points, value) in series {
            if steps == 0 {
                points.pop();
            }
            points.extend(std::iter::repeat_n(None, gaps));
            points.push(value);
            let over = points.len().saturating_sub(limit);
            points.drain(..over);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(at_ms: i64, running: u32) -> ServiceMetrics {
        let latest = Reading {
            at: Timestamp::from_millis(at_ms),
            window_s: None,
            running: Some(running),
            waiting: None,
            kv_cache_permille: None,
            prompt_tokens_per_10s: None,
            generation_tokens_per_10s: None,
            ttft_p50_us: None,
            ttft_p95_us: Some(61_700),
            itl_p50_us: None,
            itl_p95_us: None,
            prefix_hits_permille: None,
            preemptions: None,
            ended: Vec::new(),
        };
        ServiceMetrics {
            service: ServiceName::parse("vllm").expect("a name"),
            latest: Some(latest),
            history: None,
        }
    }

    #[test]
    fn events_become_points_and_missed_steps_gaps() {
        let mut held = event(0, 1);
        held.history = Some(History { step_s: 5, running: vec![Some(1)], ..History::default() });
        for (at, running) in [(5_100, 2), (20_000, 3), (20_900, 4)] {
            held.go_on(event(at, running));
        }
        let history = held.history.as_ref().expect("held");
        assert_eq!(history.running, [Some(1), Some(2), None, None, Some(4)]);
        assert_eq!(history.ttft_p95_ms.last(), Some(&Some(61)));
    }

    #[test]
    fn a_service_that_began_to_serve_under_our_eyes_has_a_history_from_then_on() {
        let mut held = ServiceMetrics { latest: None, ..event(0, 1) };
        held.go_on(event(0, 1));
        held.go_on(event(5_000, 2));
        assert_eq!(held.history.expect("begun").running, [Some(1), Some(2)]);
    }

    #[test]
    fn a_time_without_readings_is_a_gap() {
        let mut held = event(0, 1);
        held.history = Some(History { step_s: 5, running: vec![Some(1)], ..History::default() });
        held.go_on(ServiceMetrics { latest: None, ..event(5_000, 0) });
        held.go_on(event(10_000, 2));
        assert_eq!(held.history.expect("held").running, [Some(1), None, Some(2)]);
    }

    #[test]
    fn no_more_than_a_quarter_of_an_hour_is_held() {
        let mut held = event(0, 1);
        held.history = Some(History { step_s: 5, ..History::default() });
        for n in 1..400 {
            held.go_on(event(n * 5_000, 7));
        }
        held.go_on(event(i64::MAX, 8));
        held.go_on(event(0, 9));
        assert_eq!(held.history.expect("held").running.len(), 180);
    }
}
