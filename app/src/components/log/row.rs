//! One line as a row: what the server's rows and the painter's have in common.

use crate::locales::{clock, clock_of_day};
use crate::model::{Level, LineKind, Timestamp};

/// Characters of a line that a row shows; the rest is in the full log.
pub const MAX_CHARS: usize = 4000;

/// The class of a row, by level.
pub const fn class(level: Level) -> &'static str {
    match level {
        Level::Debug => "row debug",
        Level::Info => "row info",
        Level::Warning => "row warning",
        Level::Error => "row error",
        Level::Other => "row other",
    }
}

/// The word of a level in a row, with the space that parts it from the next column when it is copied.
pub const fn level_word(level: Level) -> &'static str {
    match level {
        Level::Debug => "DEBUG ",
        Level::Info => "INFO ",
        Level::Warning => "WARNING ",
        Level::Error => "ERROR ",
        Level::Other => " ",
    }
}

/// The time of day of a row.
pub fn time(time: Timestamp, offset_minutes: i32) -> String {
    let mut text = clock_of_day(time.millis(), offset_minutes);
    text.push(' ');
    text
}

/// How much of a text a row shows: the bytes, and how many characters follow them.
pub fn cut(text: &str) -> (usize, u64) {
    if text.len() <= MAX_CHARS {
        return (text.len(), 0);
    }
    let end = text.char_indices().nth(MAX_CHARS).map_or(text.len(), |(at, _)| at);
    (end, text[end..].chars().count() as u64)
}

/// Where the whole of a line is, as text.
pub fn whole(service: &str, run: u64, seq: u64) -> String {
    crate::at(format!("/api/services/{service}/logs?run={run}&around={seq}&limit=1&format=text"))
}

/// A time since a run's start.
pub fn since(time: Timestamp, start: Timestamp) -> String {
    let mut text = clock(time.since(start) / 1000);
    text.push(' ');
    text
}

/// Lines of these kinds fold where they follow each other.
pub const fn folds(kind: LineKind) -> bool {
    matches!(kind, LineKind::Trace | LineKind::Banner | LineKind::Route | LineKind::Stats | LineKind::Bar)
}
