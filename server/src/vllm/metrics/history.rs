//! A quarter of an hour of readings, one point for every five seconds.

use app::model::{History, Reading, Timestamp};
use std::collections::VecDeque;

/// Seconds between two points.
const STEP_S: u32 = 5;
const STEP_MS: i64 = STEP_S as i64 * 1000;
/// Points in a quarter of an hour.
const POINTS: usize = 180;

/// The points, the oldest first, and the clock's place.
#[derive(Clone, Debug, Default)]
pub struct Past {
    points: VecDeque<Option<Point>>,
    /// The step of the last point, counted from the Unix epoch.
    step: i64,
    /// When the last reading was taken; absent when one was missed since.
    read: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Point {
    running: Option<u32>,
    waiting: Option<u32>,
    kv_cache_permille: Option<u32>,
    prompt_tokens_per_10s: Option<u32>,
    generation_tokens_per_10s: Option<u32>,
    ttft_p95_ms: Option<u32>,
}

impl Past {
    /// Takes a reading at the time that it bears. The last one of a step counts.
    pub fn push(&mut self, reading: &Reading) {
        let now = reading.at;
        let on_time = self.on_time(now);
        let point = Some(Point {
            running: reading.running,
            waiting: reading.waiting,
            kv_cache_permille: reading.kv_cache_permille,
            prompt_tokens_per_10s: reading.prompt_tokens_per_10s,
            generation_tokens_per_10s: reading.generation_tokens_per_10s,
            ttft_p95_ms: reading.ttft_p95_us.map(|us| u32::try_from((us + 500) / 1000).unwrap_or(u32::MAX)),
        });
        let ahead = self.go_to(step_of(now));
        if let Some(last) = self.points.back_mut() {
            *last = point;
        }
        // Read every five seconds, but not to the millisecond, a step may fall between two readings: that is no gap.
        if ahead == 2
            && on_time
            && let Some(between) = self.points.len().checked_sub(2).and_then(|at| self.points.get_mut(at))
        {
            *between = point;
        }
        self.read = Some(now);
    }

    /// Nothing could be read: there will be a gap, however soon the next reading comes.
    pub fn missed(&mut self) {
        self.read = None;
    }

    /// All points up to `now`, as many in each series; the last one is the step that `now` is in, or the one before when
    /// the next reading is not due yet.
    pub fn until(&self, now: Timestamp) -> History {
        let mut to_now = self.clone();
        let due = step_of(now);
        if !(due == self.step.saturating_add(1) && self.on_time(now)) {
            to_now.go_to(due);
        }
        // What was before the first reading need not be told.
        let first = to_now.points.iter().position(Option::is_some).unwrap_or(to_now.points.len());
        let series = |of: fn(&Point) -> Option<u32>| {
            to_now.points.iter().skip(first).map(|point| point.as_ref().and_then(of)).collect()
        };
        History {
            step_s: STEP_S,
            running: series(|point| point.running),
            waiting: series(|point| point.waiting),
            kv_cache_permille: series(|point| point.kv_cache_permille),
            prompt_tokens_per_10s: series(|point| point.prompt_tokens_per_10s),
            generation_tokens_per_10s: series(|point| point.generation_tokens_per_10s),
            ttft_p95_ms: series(|point| point.ttft_p95_ms),
        }
    }

    /// Whether the last reading is less than two steps old.
    fn on_time(&self, now: Timestamp) -> bool {
        self.read.is_some_and(|read| now >= read && now.since(read) < 2 * STEP_MS as u64)
    }

    /// Makes `step` the last one, with nothing read in those between; says how far ahead it was.
    fn go_to(&mut self, step: i64) -> i64 {
        let ahead = step.saturating_sub(self.step);
        match ahead {
            // A clock that is put right by a little stays where it is.
            -1..=0 if !self.points.is_empty() => return 0,
            1..=180 if !self.points.is_empty() => self.points.extend((0..ahead).map(|_| None)),
            // Longer ago than anything is kept, or in a future that is taken back.
            _ => {
                self.points.clear();
                self.points.push_back(None);
            }
        }
        self.points.drain(..self.points.len().saturating_sub(POINTS));
        self.step = step;
        ahead
    }
}

fn step_of(at: Timestamp) -> i64 {
    at.millis().div_euclid(STEP_MS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000 + ms)
    }

    fn reading(at: Timestamp, running: u32) -> Reading {
        Reading {
            at,
            window_s: None,
            running: Some(running),
            waiting: None,
            kv_cache_permille: None,
            prompt_tokens_per_10s: None,
            generation_tokens_per_10s: None,
            ttft_p50_us: None,
            ttft_p95_us: Some(57_667),
            itl_p50_us: None,
            itl_p95_us: None,
            prefix_hits_permille: None,
            preemptions: None,
            ended: Vec::new(),
        }
    }

    fn past(readings: &[(i64, u32)]) -> Past {
        let mut past = Past::default();
        for (ms, running) in readings {
            past.push(&reading(at(*ms), *running));
        }
        past
    }

    fn running(past: &Past, ms: i64) -> Vec<Option<u32>> {
        past.until(at(ms)).running
    }

    #[test]
    fn each_step_has_a_point() {
        let past = past(&[(0, 1), (5000, 2), (10_000, 3)]);
        assert_eq!(running(&past, 10_000), [Some(1), Some(2), Some(3)]);
        let history = past.until(at(10_000));
        assert_eq!(history.step_s, 5);
        assert_eq!(history.waiting, [None, None, None]);
        assert_eq!(history.ttft_p95_ms, [Some(58), Some(58), Some(58)]);
    }

    #[test]
    fn nothing_read_is_nothing_told() {
        assert_eq!(running(&Past::default(), 0), []);
    }

    #[test]
    fn the_last_reading_of_a_step_counts() {
        assert_eq!(running(&past(&[(0, 1), (2000, 2), (4000, 3), (6000, 4)]), 6000), [Some(3), Some(4)]);
    }

    #[test]
    fn steps_without_a_reading_are_gaps() {
        let past = past(&[(0, 1), (20_000, 2)]);
        assert_eq!(running(&past, 20_000), [Some(1), None, None, None, Some(2)]);
        assert_eq!(running(&past, 35_000), [Some(1), None, None, None, Some(2), None, None, None]);
    }

    #[test]
    fn a_reading_that_comes_a_little_late_leaves_no_gap() {
        let past = past(&[(4990, 1), (10_010, 2), (14_990, 3), (15_000, 4)]);
        assert_eq!(running(&past, 15_000), [Some(1), Some(2), Some(3), Some(4)]);
    }

    #[test]
    fn a_reading_that_is_not_due_yet_is_no_gap() {
        let past = past(&[(0, 1), (4900, 2)]);
        assert_eq!(running(&past, 5100), [Some(2)]);
        assert_eq!(running(&past, 10_000), [Some(2), None, None]);
    }

    #[test]
    fn what_was_missed_is_a_gap_however_soon_the_next_comes() {
        let mut past = past(&[(4990, 1)]);
        past.missed();
        assert_eq!(running(&past, 5000), [Some(1), None]);
        past.push(&reading(at(10_010), 2));
        assert_eq!(running(&past, 10_010), [Some(1), None, Some(2)]);
    }

    #[test]
    fn a_quarter_of_an_hour_is_kept() {
        let readings: Vec<_> = (0..1000).map(|n| (i64::from(n) * 5000, n)).collect();
        let kept = running(&past(&readings), 999 * 5000);
        assert_eq!(kept.len(), 180);
        assert_eq!((kept[0], kept[179]), (Some(820), Some(999)));
    }

    #[test]
    fn a_gap_longer_than_the_history_clears_it() {
        let past = past(&[(0, 1), (5000, 2), (2_000_000, 3)]);
        assert_eq!(running(&past, 2_000_000), [Some(3)]);
        assert_eq!(running(&past, 4_000_000), []);
    }

    #[test]
    fn a_clock_that_goes_back_begins_anew_or_stays_where_it_was() {
        assert_eq!(running(&past(&[(100_000, 1), (105_000, 2), (0, 3)]), 0), [Some(3)]);
        assert_eq!(running(&past(&[(100_000, 1), (105_000, 2), (104_900, 3)]), 104_950), [Some(1), Some(3)]);
        assert_eq!(running(&past(&[(100_000, 1)]), 0), []);
    }

    proptest! {
        #[test]
        fn whatever_the_clock_does_all_series_are_as_long_and_none_too_long(
            steps in prop::collection::vec((prop_oneof![0..2_000_000_i64, any::<i64>()], any::<bool>()), 0..50),
            now in prop_oneof![0..2_000_000_i64, any::<i64>()],
        ) {
            let mut past = Past::default();
            for (ms, missed) in steps {
                if missed { past.missed() } else { past.push(&reading(Timestamp::from_millis(ms), 1)) }
            }
            let history = past.until(Timestamp::from_millis(now));
            prop_assert!(history.running.len() <= POINTS);
            for series in [
                &history.waiting, &history.kv_cache_permille, &history.prompt_tokens_per_10s,
                &history.generation_tokens_per_10s, &history.ttft_p95_ms,
            ] {
                prop_assert_eq!(series.len(), history.running.len());
            }
        }
    }
}
