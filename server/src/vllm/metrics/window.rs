//! The last half minute of counters, and what happened in it: rates, shares, latencies.

use super::histogram::Histogram;
use super::scrape::Counters;
use app::model::Timestamp;
use std::collections::VecDeque;

/// How far back the window goes, in milliseconds.
const LENGTH_MS: u64 = 30_000;
/// Texts that are closer together than this replace each other, in milliseconds: this bounds their number.
const SPACING_MS: u64 = 1_000;
/// A shorter window says nothing yet, in milliseconds: the engine counts in steps.
const SHORTEST_MS: u64 = 500;

/// Counters of one run of one engine, the oldest first.
#[derive(Clone, Debug, Default)]
pub struct Window {
    kept: VecDeque<(Timestamp, Counters)>,
}

impl Window {
    /// Forgets everything.
    pub fn clear(&mut self) {
        self.kept.clear();
    }

    /// Takes what was counted at `now`. When that cannot continue what came before, since the engine or the clock started
    /// anew, what came before goes.
    pub fn push(&mut self, now: Timestamp, counters: Counters) {
        if self.kept.back().is_some_and(|(at, last)| *at > now || counters.restarted_since(last)) {
            self.kept.clear();
        }
        self.kept.retain(|(at, _)| now.since(*at) <= LENGTH_MS);
        let mut newest = self.kept.iter().rev().map(|(at, _)| *at);
        if let (Some(last), Some(before)) = (newest.next(), newest.next())
            && last.since(before) < SPACING_MS
        {
            self.kept.pop_back();
        }
        self.kept.push_back((now, counters));
    }

    /// The window's length in seconds; `None` as long as there is nothing to compare.
    pub fn seconds(&self) -> Option<u32> {
        let ((first, _), (last, _)) = (self.kept.front()?, self.kept.back()?);
        let length = last.since(*first);
        (length >= SHORTEST_MS).then(|| u32::try_from((length + 500) / 1000).unwrap_or(u32::MAX))
    }

    /// How much `counter` grows in ten seconds.
    pub fn per_10s(&self, counter: impl Fn(&Counters) -> Option<f64>) -> Option<u32> {
        let (elapsed, old, new) = self.ends(counter)?;
        Some(((new - old) * 10_000.0 / elapsed as f64).round() as u32)
    }

    /// The growth of `part` in thousandths of that of `whole`; `None` when `whole` did not grow.
    pub fn permille(&self, pair: impl Fn(&Counters) -> Option<(f64, f64)>) -> Option<u32> {
        let (_, old, new) = self.ends(pair)?;
        let (part, whole) = (new.0 - old.0, new.1 - old.1);
        (whole > 0.0).then(|| (part * 1000.0 / whole).round().min(1000.0) as u32)
    }

    /// A quantile of what came into the window, from seconds to microseconds; `None` when nothing did.
    pub fn quantile_us(&self, histogram: impl Fn(&Counters) -> &Histogram, q: f64) -> Option<u64> {
        let reported = |counters| Some(histogram(counters)).filter(|histogram| histogram.is_reported());
        let (_, old, new) = self.ends(reported)?;
        new.quantile_since(old, q).map(|seconds| (seconds * 1e6).round() as u64)
    }

    /// Milliseconds between the first and the last text that reported it, and both values. A family may turn up later
    /// than others: engines of the old kind show it with the first request.
    fn ends<'a, T>(&'a self, value: impl Fn(&'a Counters) -> Option<T>) -> Option<(u64, T, T)> {
        let (last, newest) = self.kept.back()?;
        let new = value(newest)?;
        let (first, old) = self.kept.iter().find_map(|(at, counters)| Some((at, value(counters)?)))?;
        let elapsed = last.since(*first);
        (elapsed >= SHORTEST_MS).then_some((elapsed, old, new))
    }
}

impl Counters {
    /// Whether they cannot continue `earlier`: another process, something that went back, other buckets.
    fn restarted_since(&self, earlier: &Self) -> bool {
        let both = |of: fn(&Self) -> Option<f64>| of(earlier).zip(of(self));
        let fell = |of| both(of).is_some_and(|(old, new)| new < old);
        let restarted = |of: fn(&Self) -> &Histogram| {
            of(earlier).is_reported() && of(self).is_reported() && of(self).restarted_since(of(earlier))
        };
        both(|c| c.started).is_some_and(|(old, new)| new != old)
            || fell(|c| c.prompt_tokens)
            || fell(|c| c.generation_tokens)
            || fell(|c| c.prefix_queries)
            || fell(|c| c.prefix_hits)
            || restarted(|c| &c.ttft)
            || restarted(|c| &c.itl)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000 + ms)
    }

    fn tokens(count: u32) -> Counters {
        Counters { prompt_tokens: Some(f64::from(count)), ..Counters::default() }
    }

    fn window(texts: &[(i64, Counters)]) -> Window {
        let mut window = Window::default();
        for (ms, counters) in texts {
            window.push(at(*ms), counters.clone());
        }
        window
    }

    fn rate(window: &Window) -> Option<u32> {
        window.per_10s(|counters| counters.prompt_tokens)
    }

    #[test]
    fn one_text_has_no_rate() {
        let window = window(&[(0, tokens(100))]);
        assert_eq!((window.seconds(), rate(&window)), (None, None));
    }

    #[test]
    fn a_rate_is_the_growth_over_the_time() {
        let window = window(&[(0, tokens(100)), (5000, tokens(200))]);
        assert_eq!((window.seconds(), rate(&window)), (Some(5), Some(200)));
    }

    #[test]
    fn the_window_slides() {
        let texts: Vec<_> = (0..20_i64).map(|n| (n * 5000, tokens(if n < 10 { 0 } else { 600 }))).collect();
        assert_eq!(rate(&window(&texts[..11])), Some(200));
        assert_eq!(rate(&window(&texts[..16])), Some(200));
        assert_eq!(rate(&window(&texts[..17])), Some(0));
        assert_eq!(window(&texts).seconds(), Some(30));
        assert_eq!(window(&texts).kept.len(), 7);
    }

    #[test]
    fn what_is_older_than_the_window_is_not_compared_with() {
        let window = window(&[(0, tokens(0)), (31_000, tokens(100))]);
        assert_eq!((window.seconds(), rate(&window)), (None, None));
    }

    #[test]
    fn a_counter_that_went_back_starts_the_window_anew() {
        let mut window = window(&[(0, tokens(500)), (5000, tokens(600)), (10_000, tokens(10))]);
        assert_eq!((window.seconds(), rate(&window)), (None, None));
        window.push(at(15_000), tokens(20));
        assert_eq!((window.seconds(), rate(&window)), (Some(5), Some(20)));
    }

    #[test]
    fn another_process_starts_the_window_anew_though_it_counted_further() {
        let of = |started: f64, count| Counters { started: Some(started), ..tokens(count) };
        let window = window(&[(0, of(1.0, 5)), (5000, of(2.0, 600))]);
        assert_eq!(rate(&window), None);
    }

    #[test]
    fn other_buckets_start_the_window_anew() {
        let of = |bounds: &[f64], count| {
            let mut ttft = Histogram::default();
            for bound in bounds {
                ttft.add(*bound, 1.0);
            }
            Counters { ttft, ..tokens(count) }
        };
        let window = window(&[(0, of(&[1.0, f64::INFINITY], 1)), (5000, of(&[1.0, 2.0, f64::INFINITY], 2))]);
        assert_eq!(window.seconds(), None);
    }

    #[test]
    fn a_clock_that_went_back_starts_the_window_anew() {
        let window = window(&[(60_000, tokens(1)), (0, tokens(2)), (5000, tokens(3))]);
        assert_eq!((window.seconds(), rate(&window)), (Some(5), Some(2)));
    }

    #[test]
    fn a_counter_that_turns_up_later_is_compared_from_then_on() {
        let window = window(&[(0, Counters::default()), (5000, tokens(100)), (10_000, tokens(150))]);
        assert_eq!((window.seconds(), rate(&window)), (Some(10), Some(100)));
    }

    #[test]
    fn a_counter_that_is_gone_has_no_rate() {
        let window = window(&[(0, tokens(1)), (5000, tokens(2)), (10_000, Counters::default())]);
        assert_eq!((window.seconds(), rate(&window)), (Some(10), None));
    }

    #[test]
    fn texts_in_quick_succession_are_not_hoarded() {
        let mut window = Window::default();
        for n in 0..10_000 {
            window.push(at(n * 10), tokens(n as u32));
        }
        assert!(window.kept.len() < 40, "{}", window.kept.len());
        assert_eq!(rate(&window), Some(1000));
    }

    #[test]
    fn two_texts_at_the_same_moment_say_nothing() {
        let window = window(&[(0, tokens(1)), (0, tokens(1000)), (1, tokens(2000))]);
        assert_eq!((window.seconds(), rate(&window)), (None, None));
    }

    #[test]
    fn a_share_needs_something_to_be_a_share_of() {
        let of = |hits: f64, queries: f64| Counters {
            prefix_hits: Some(hits),
            prefix_queries: Some(queries),
            ..Counters::default()
        };
        let share =
            |texts: &[(i64, Counters)]| window(texts).permille(|c| c.prefix_hits.zip(c.prefix_queries));
        assert_eq!(share(&[(0, of(0.0, 10.0)), (5000, of(1.0, 40.0))]), Some(33));
        assert_eq!(share(&[(0, of(5.0, 10.0)), (5000, of(5.0, 10.0))]), None);
    }
}
