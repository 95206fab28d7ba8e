//! What the dashboard knows of itself: counters that anybody may add to, its own figures from the kernel, and the text that
//! monitoring reads.
//!
//! In: counts from wherever something happens. Out: numbers. `text` writes the Prometheus format, `process` reads what the
//! kernel says of this process, `requests` counts answers by route, `journal` is the dashboard's own log. Everything here is
//! bounded: labels are names of services, patterns of routes and words of ours, never what a request says.

pub mod journal;
mod process;
mod requests;
mod text;

pub use process::Process;
pub use requests::{BOUNDS_MS, Requests, RouteCount};
pub use text::{Kind, Text};

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn count(&self) {
        self.add(1);
    }

    /// So many more.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// How many by now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The dashboard's own figures.
#[derive(Debug)]
pub struct Vitals {
    began: Instant,
    /// Answers by route.
    pub requests: Requests,
    streams: AtomicU64,
}

impl Default for Vitals {
    fn default() -> Self {
        Self { began: Instant::now(), requests: Requests::default(), streams: AtomicU64::new(0) }
    }
}

impl Vitals {
    /// For how long it runs, in seconds.
    pub fn uptime_s(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    /// Counts a stream as open until what is returned is dropped.
    pub fn open_stream(self: &Arc<Self>) -> OpenStream {
        self.streams.fetch_add(1, Ordering::Relaxed);
        OpenStream(self.clone())
    }

    /// Streams that are open.
    pub fn streams(&self) -> u64 {
        self.streams.load(Ordering::Relaxed)
    }
}

/// A stream that is open.
#[derive(Debug)]
pub struct OpenStream(Arc<Vitals>);

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Ordering::Relaxed);
    }
}
