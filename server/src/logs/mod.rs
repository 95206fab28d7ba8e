//! Logs: what a service writes, from bytes to what a viewer gets.
//!
//! In: frames of raw bytes from a runtime, and a grammar that reads one line (a program's own words live elsewhere). Out:
//! numbered lines of the wire's form, in batches to any number of cursors, and found again by level and text. `split` makes
//! lines of bytes, `ansi` and `style` take terminal control out of them, `level`, `json_line` and `python` tell how serious
//! they are, `encode` writes their JSON, `ring` keeps it within bounds; `writer` does all this once per line, `cursor` says
//! what a viewer gets next, `shared` makes that once for all of them, `feed` joins these, `search` looks back. This room reads no clock, opens no file, knows no
//! runtime and no HTTP.

mod ansi;
mod cursor;
mod encode;
mod feed;
mod json_line;
mod level;
mod python;
mod ring;
mod search;
mod shared;
mod split;
mod style;
mod writer;

#[cfg(test)]
mod tests;

pub use ansi::Cleaner;
pub use cursor::{Batch, Cursor, Take};
pub use encode::LineView;
pub use feed::{Feed, Limits};
pub use json_line::JsonLine;
pub use level::{
    Classified, Continuation, Grammar, Text, Traceback, classify as classify_common, fraction, level_word,
    shaped,
};
pub use search::{RawText, Selected, Selection};
pub use split::{LINE_LIMIT, Splitter};
pub use writer::Observer;
