//! Logs: what a service writes, from bytes to what a viewer gets.
//!
//! In: frames of raw bytes from a runtime, and a grammar that reads one line (a program's own words live elsewhere). Out:
//! numbered lines of the wire's form, in batches to any number of cursors. `split` makes
//! lines of bytes, `ansi` and `style` take terminal control out of them, `level`, `json_line` and `python` tell how serious
//! they are, `encode` writes their JSON, `ring` keeps it within bounds, `decode` takes it apart again; `writer` does all this
//! once per line, `cursor` says what a viewer gets next, `shared` makes that once for all of them, `feed` joins these, `recent`
//! looks back. This room reads no clock, opens no file, knows no
//! runtime and no HTTP.

mod ansi;
mod cursor;
mod decode;
mod encode;
mod feed;
mod json_line;
mod level;
mod python;
mod recent;
mod ring;
mod shared;
mod split;
mod style;
mod writer;

#[cfg(test)]
mod tests;

pub use ansi::Cleaner;
pub use cursor::{Batch, Cursor, GapNote, Take};
pub use decode::{Decoder, LineParts, shown};
pub use encode::{LineView, push_stored};
pub use feed::{Feed, Limits, Mark, Recorded};
pub use json_line::JsonLine;
pub use level::{
    Classified, Continuation, Grammar, Text, Traceback, classify as classify_common, fraction, level_word,
    shaped,
};
pub use python::logged as in_logged_traceback;
pub use ring::Chunk;
pub use split::{LINE_LIMIT, Splitter};
pub use writer::Observer;
