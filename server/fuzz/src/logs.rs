//! From bytes to lines.
#![allow(dead_code, unused_imports, reason = "the rest of the room is left out")]

#[path = "../../src/logs/ansi.rs"]
mod ansi;
#[path = "../../src/logs/json_line.rs"]
mod json_line;
#[path = "../../src/logs/level.rs"]
mod level;
#[path = "../../src/logs/python.rs"]
mod python;
#[path = "../../src/logs/split.rs"]
mod split;
#[path = "../../src/logs/style.rs"]
mod style;

pub use ansi::Cleaner;
pub use json_line::JsonLine;
pub use level::{
    Classified, Continuation, Text, Traceback, classify as classify_common, fraction, level_word, shaped,
};
pub use split::{LINE_LIMIT, Splitter};
