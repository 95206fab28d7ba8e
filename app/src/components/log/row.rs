//! One line as a row: what the server renders, and the shape that the painter repeats.

use crate::locales::{Words, clock_of_day};
use crate::model::{Level, Line, Timestamp};
use leptos::prelude::*;

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

/// The label of a level's filter: the word that a log uses, in every language.
pub const fn label(level: Level, words: &'static Words) -> &'static str {
    match level {
        Level::Debug => "DEBUG",
        Level::Info => "INFO",
        Level::Warning => "WARNING",
        Level::Error => "ERROR",
        Level::Other => words.other,
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

/// A line as the server renders it, and as the first render in the browser repeats it: UTC, plain text.
pub fn row(line: &Line, run: u64, words: &'static Words) -> AnyView {
    let (end, more) = cut(&line.text);
    let mut text = line.text[..end].to_owned();
    if more > 0 {
        text.push_str(&(words.more_text)(more));
    }
    view! {
        <div class=class(line.level) data-seq=format!("{run}.{}", line.seq)>
            <span class="time" title=line.time.to_string()>{time(line.time, 0)}</span>
            <span class="level">{level_word(line.level)}</span>
            <span class="source">{format!("{} ", line.source)}</span>
            <span class="text">{text}</span>
        </div>
    }
    .into_any()
}
