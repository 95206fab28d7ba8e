//! The log window: filters, search, and the lines.
//!
//! The server renders the last lines as plain rows, which stay when there is no JavaScript. In the browser a [`Feed`]
//! takes over: lines go from the wire into a compact [`store`], the filters [`narrow`] it, and a painter shows what is in
//! view, once per frame, outside the reactive graph. Only what people read beside the lines (counts, how many wait) is a
//! signal. Text of a log is only ever set as text.

#[cfg(any(feature = "hydrate", test))]
mod ansi;
#[cfg(feature = "hydrate")]
mod attach;
#[cfg(feature = "hydrate")]
mod earlier;
#[cfg(feature = "hydrate")]
mod feed;
#[cfg(any(feature = "hydrate", test))]
mod narrow;
#[cfg(feature = "hydrate")]
mod painter;
#[cfg(any(feature = "hydrate", test))]
mod parse;
mod row;
#[cfg(any(feature = "hydrate", test))]
mod store;
#[cfg(test)]
mod tests;
mod tools;
mod window;

#[cfg(feature = "hydrate")]
pub use feed::Feed;
pub use window::LogWindow;

use crate::Boot;
use crate::model::{Level, LevelCounts, LogSummary, ServiceName};
use leptos::prelude::*;

/// Why no line is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "hydrate"), allow(dead_code, reason = "the server filters nothing"))]
pub enum Empty {
    /// Lines are shown.
    No,
    /// There are none.
    NoLines,
    /// The filters leave none.
    NoMatch,
}

/// What the log window shows beside the lines; lives as long as the page.
#[derive(Clone, Copy)]
pub struct LogSignals {
    /// The run whose lines come now.
    pub run: RwSignal<Option<u64>>,
    /// Lines of that run per level.
    pub counts: RwSignal<LevelCounts>,
    /// The view stays at the newest line.
    pub following: RwSignal<bool>,
    /// Lines that came since it does not.
    pub waiting: RwSignal<u64>,
    /// Lines of the run that lie before the first one held, and whether there is room for them.
    pub earlier: RwSignal<(u64, bool)>,
    /// Whether anything is shown.
    pub empty: RwSignal<Empty>,
}

/// A service's log in this tab.
#[derive(Clone)]
pub struct Log {
    /// Whose.
    pub service: ServiceName,
    /// What is shown beside the lines.
    pub signals: LogSignals,
    #[cfg(feature = "hydrate")]
    feed: StoredValue<Feed, LocalStorage>,
}

impl Log {
    /// The log of the first view, if it has one.
    pub fn new(boot: &Boot) -> Option<Self> {
        let summary = boot.log.as_ref()?;
        let signals = LogSignals {
            run: RwSignal::new(summary.run),
            counts: RwSignal::new(summary.counts),
            following: RwSignal::new(true),
            waiting: RwSignal::new(0),
            earlier: RwSignal::new((earlier(summary, boot.tail.first().map(|line| line.seq)), true)),
            empty: RwSignal::new(if boot.tail.is_empty() { Empty::NoLines } else { Empty::No }),
        };
        Some(Self {
            service: summary.service.clone(),
            signals,
            #[cfg(feature = "hydrate")]
            feed: StoredValue::new_local(Feed::new(summary, &boot.tail, signals, boot.lang.words())),
        })
    }

    /// The feed, for the stream.
    #[cfg(feature = "hydrate")]
    pub fn feed(&self) -> Option<Feed> {
        self.feed.try_get_value()
    }

    /// Takes the rows over that the server rendered. To be called once the page is hydrated.
    #[cfg(feature = "hydrate")]
    pub fn attach(&self) {
        if attach::attach(self).is_none() {
            leptos::logging::warn!("the log window is not there");
        }
    }

    /// Passes on what a control asks for. On the server no control can be touched.
    fn ask(&self, ask: Ask) {
        #[cfg(feature = "hydrate")]
        if let Some(feed) = self.feed() {
            feed.ask(ask);
        }
        #[cfg(not(feature = "hydrate"))]
        drop(ask);
    }
}

/// What the controls of the log window ask for.
#[cfg_attr(not(feature = "hydrate"), allow(dead_code, reason = "on the server nobody answers"))]
enum Ask {
    /// Show lines of this level, or not.
    Level(Level, bool),
    /// Show only lines that contain this text.
    Search(String),
    /// Stay at the newest line from now on, or no longer.
    Follow(bool),
    /// Fetch lines that lie before the first one held.
    Earlier,
}

/// How many lines of the kept ones lie before the first of the tail.
fn earlier(summary: &LogSummary, tail: Option<u64>) -> u64 {
    match tail {
        Some(seq) if summary.first > 0 => seq.saturating_sub(summary.first),
        _ => 0,
    }
}
