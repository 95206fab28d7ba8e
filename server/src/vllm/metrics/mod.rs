//! What a vLLM server counts: texts of its `/metrics` in, readings and a quarter of an hour of history out.
//!
//! `text` reads the Prometheus format, `names` knows vLLM's, `scrape` puts one text together, `window` compares the texts of
//! the last half minute, `history` keeps what the charts show. No I/O and no clock of its own: whoever asks the server says
//! when. Memory is bounded, whatever the server sends: some 20 KB for a server that is read every five seconds. What the
//! server does not report is absent, never zero.

mod histogram;
mod history;
mod names;
mod scrape;
#[cfg(test)]
mod tests;
mod text;
mod window;

use app::model::{History, Reading, Timestamp};
use history::Past;
use scrape::Scrape;
use window::Window;

/// The metrics of one service.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    window: Window,
    past: Past,
    latest: Option<Reading>,
}

impl Metrics {
    /// Takes the text that was read at `now`, and says what it means together with those of the last half minute. `None`,
    /// and as if [`missed`](Self::missed), when nothing of vLLM's was in it.
    ///
    /// A server that started anew is noticed by its counters; rates and latencies begin again with it.
    pub fn scraped(&mut self, now: Timestamp, body: &[u8]) -> Option<Reading> {
        let Some(scrape) = Scrape::parse(body) else {
            self.missed();
            return None;
        };
        self.window.push(now, scrape.counters);
        let window = &self.window;
        let hits = window.permille(|counters| counters.prefix_hits.zip(counters.prefix_queries));
        let reading = Reading {
            at: now,
            window_s: window.seconds(),
            running: scrape.running.map(count),
            waiting: scrape.waiting.map(count),
            kv_cache_permille: scrape.kv_use.map(permille),
            prompt_tokens_per_10s: window.per_10s(|counters| counters.prompt_tokens),
            generation_tokens_per_10s: window.per_10s(|counters| counters.generation_tokens),
            ttft_p50_us: window.quantile_us(|counters| &counters.ttft, 0.50),
            ttft_p95_us: window.quantile_us(|counters| &counters.ttft, 0.95),
            itl_p50_us: window.quantile_us(|counters| &counters.itl, 0.50),
            itl_p95_us: window.quantile_us(|counters| &counters.itl, 0.95),
            prefix_hits_permille: hits.or(scrape.hit_rate.map(permille)),
            preemptions: scrape.preemptions.map(|preemptions| preemptions.round() as u64),
            ended: scrape.ended,
        };
        self.past.push(&reading);
        self.latest = Some(reading.clone());
        Some(reading)
    }

    /// The server gave no text: there is no latest reading, and a gap in the history.
    pub fn missed(&mut self) {
        self.latest = None;
        self.past.missed();
    }

    /// Another run began: its counters have nothing to do with those before. The history stays, with a gap.
    pub fn reset(&mut self) {
        self.window.clear();
        self.missed();
    }

    /// What was read last, if nothing was missed since.
    pub fn latest(&self) -> Option<&Reading> {
        self.latest.as_ref()
    }

    /// The last quarter of an hour up to `now`, from the first reading in it on.
    pub fn history(&self, now: Timestamp) -> History {
        self.past.until(now)
    }
}

/// Requests that run or wait, from one text; `None` when it tells neither.
pub fn requests_under_way(body: &[u8]) -> Option<u32> {
    let scrape = Scrape::parse(body)?;
    if scrape.running.is_none() && scrape.waiting.is_none() {
        return None;
    }
    Some(count(scrape.running.unwrap_or_default() + scrape.waiting.unwrap_or_default()))
}

/// A whole number; what does not fit is the largest one.
fn count(value: f64) -> u32 {
    value.round() as u32
}

/// A share of one, in thousandths.
fn permille(share: f64) -> u32 {
    (share * 1000.0).round().min(1000.0) as u32
}
