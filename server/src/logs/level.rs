//! How serious a line is and who wrote it, for the formats that many programs share.
//!
//! A grammar of one program (vLLM's is in `vllm`) looks for its own words first and leaves the rest to [`classify`].

use super::json_line::JsonLine;
use super::python;
use app::model::{Level, LineKind, Stream};
use std::borrow::Cow;
use std::ops::Range;

/// Reads one line of one pipe, already without terminal control, given what the line before left behind.
pub type Grammar = for<'a> fn(Stream, &'a str, Continuation) -> Classified<'a>;

/// What a grammar makes of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Classified<'a> {
    /// How serious.
    pub level: Level,
    /// Who wrote it; empty when that is not said.
    pub source: Cow<'a, str>,
    /// The message.
    pub text: Text,
    /// What it is.
    pub kind: LineKind,
    /// What the next line of the pipe may inherit.
    pub next: Continuation,
}

/// The message of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Text {
    /// A stretch of the line, on character boundaries.
    Part(Range<usize>),
    /// Not in the line as such (JSON escapes). Not clean of control characters.
    Own(String),
}

impl Text {
    /// The whole of `line`.
    pub const fn all(line: &str) -> Self {
        Self::Part(0..line.len())
    }

    /// The end of `line` that `rest` is.
    pub const fn rest(line: &str, rest: &str) -> Self {
        Self::Part(line.len().saturating_sub(rest.len())..line.len())
    }
}

/// What a line leaves behind for the next one on the same pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Continuation {
    /// The level that an indented line inherits.
    pub level: Level,
    /// Where in a Python traceback we are.
    pub traceback: Traceback,
    /// A logger writes a traceback, each line with its own head: the line that names the exception is to come.
    pub logged: bool,
}

impl Default for Continuation {
    fn default() -> Self {
        Self::of(Level::Other)
    }
}

impl Continuation {
    /// Behind an ordinary line of this level.
    pub const fn of(level: Level) -> Self {
        Self { level, traceback: Traceback::None, logged: false }
    }
}

/// Where in a Python traceback a pipe is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traceback {
    /// In none.
    None,
    /// Among its frames: the line that names the exception is to come.
    Frames,
    /// Behind the exception's first line: its message may go on for so many lines that are not indented.
    Message(u8),
}

/// The grammar for a program that we know nothing about.
pub fn classify<'a>(_: Stream, line: &'a str, before: Continuation) -> Classified<'a> {
    if let Some(json) = JsonLine::read(line) {
        let source = json.logger();
        return json.into_classified(line, source);
    }
    if let Some(found) = prefixed(line).or_else(|| logfmt(line)) {
        return found;
    }
    let (level, next) = python::inherit(line, before);
    let kind = python::kind(line, before, next);
    Classified { level, source: Cow::Borrowed(""), text: Text::all(line), kind, next }
}

/// The level that a word names, in any case. `None` for other words.
pub fn level_word(word: &str) -> Option<Level> {
    const WORDS: [(&str, Level); 20] = [
        ("INFO", Level::Info),
        ("DEBUG", Level::Debug),
        ("WARNING", Level::Warning),
        ("ERROR", Level::Error),
        ("WARN", Level::Warning),
        ("CRITICAL", Level::Error),
        ("TRACE", Level::Debug),
        ("NOTICE", Level::Info),
        ("FATAL", Level::Error),
        ("EXCEPTION", Level::Error),
        ("SUCCESS", Level::Info),
        ("INFORMATION", Level::Info),
        ("ERR", Level::Error),
        ("CRIT", Level::Error),
        ("SEVERE", Level::Error),
        ("ALERT", Level::Error),
        ("EMERG", Level::Error),
        ("PANIC", Level::Error),
        ("VERBOSE", Level::Debug),
        ("FINE", Level::Debug),
    ];
    WORDS.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|(_, level)| *level)
}

/// A line that begins with its level, after a time or not.
fn prefixed(line: &str) -> Option<Classified<'_>> {
    let found = |level, source, rest| Classified {
        level,
        source: Cow::Borrowed(source),
        text: Text::rest(line, rest),
        kind: LineKind::None,
        next: Continuation::of(level),
    };
    match line.bytes().next()? {
        b' ' | b'\t' => return None,
        b'E' | b'W' | b'I' | b'F' | b'D' | b'[' => {
            if let Some((level, rest)) = glog(line) {
                return Some(found(level, "", rest));
            }
        }
        _ => {}
    }
    let timed = timestamp(line);
    let rest = timed.unwrap_or(line).trim_start_matches([' ', '\t']);
    if let Some(rest) = rest.strip_prefix('[') {
        return bracketed(rest).map(|(level, rest)| found(level, "", rest));
    }
    if timed.is_some()
        && let Some(rest) = rest.strip_prefix("- ").or_else(|| rest.strip_prefix("| "))
    {
        return fields(rest).map(|(level, source, rest)| found(level, source, rest));
    }
    let (word, after) = letters(rest);
    if let Some(level) = level_word(word) {
        let upper = word.bytes().all(|b| b.is_ascii_uppercase());
        return match after.bytes().next() {
            Some(b':') => {
                let message = after.get(1..)?;
                match name_before_colon(message) {
                    Some((name, message)) if upper => Some(found(level, name, message)), // Python: `WARNING:root:text`
                    _ => Some(found(level, "", message.trim_start_matches(' '))),
                }
            }
            Some(b' ' | b'\t') if upper => {
                let message = after.trim_start_matches([' ', '\t']);
                let (source, message) = target(message).filter(|_| timed.is_some()).unwrap_or(("", message));
                Some(found(level, source, message))
            }
            _ => None,
        };
    }
    // `2026-… name LEVEL text`: only behind a time, and only in capitals.
    let (name, after) = rest.split_once([' ', '\t']).filter(|_| timed.is_some())?;
    let (word, message) = letters(after.trim_start());
    let capitals =
        word.len() > 3 && word.bytes().all(|b| b.is_ascii_uppercase()) && message.starts_with([' ', ':']);
    let level = level_word(word).filter(|_| capitals)?;
    Some(found(level, name.trim_end_matches(':'), message.trim_start_matches([':', ' '])))
}

/// `INFO] text`, `123] [INFO] text`: behind an opening bracket.
fn bracketed(rest: &str) -> Option<(Level, &str)> {
    let (inside, after) = rest.split_once(']').filter(|(inside, _)| inside.len() <= 32)?;
    let after = after.trim_start_matches(' ');
    match level_word(inside.trim()) {
        Some(level) => Some((level, after)),
        None if inside.bytes().all(|b| b.is_ascii_digit()) => bracketed(after.strip_prefix('[')?),
        None => None,
    }
}

/// `name - LEVEL - text`, `LEVEL - text`, `LEVEL | place - text`: behind a time and a separator.
fn fields(rest: &str) -> Option<(Level, &str, &str)> {
    let cut = |text| -> Option<(&str, &str)> {
        let text: &str = text;
        let at = text.find(" - ").into_iter().chain(text.find(" | ")).min().filter(|at| *at <= 80)?;
        Some((text.get(..at)?.trim(), text.get(at + 3..)?))
    };
    let (first, after) = cut(rest)?;
    if let Some(level) = level_word(first) {
        return Some((level, "", after.trim_start_matches(' ')));
    }
    let (second, after) = cut(after)?;
    Some((level_word(second)?, first, after))
}

/// `E1122 12:00:00.000 …` and `[E1122 12:00:00.000 file.cc:10] …` of glog, klog and PyTorch.
fn glog(line: &str) -> Option<(Level, &str)> {
    let bare = line.strip_prefix('[').unwrap_or(line);
    let level = match bare.bytes().next()? {
        b'D' => Level::Debug,
        b'I' => Level::Info,
        b'W' => Level::Warning,
        b'E' | b'F' => Level::Error,
        _ => return None,
    };
    let rest = shaped(bare.get(1..)?, "0000 00:00:00")?;
    if bare.len() < line.len() {
        return Some((level, line)); // The time is inside the bracket with the place: all stays.
    }
    Some((level, fraction(rest).trim_start_matches(' ')))
}

/// `time="…" level=warning msg="…"`: the whole line stays the text.
fn logfmt(line: &str) -> Option<Classified<'_>> {
    let first = line.split(' ').next()?;
    if !first.contains('=') || first.starts_with(['=', '-', '"', '\'']) {
        return None;
    }
    let level = line.split(' ').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        matches!(key, "level" | "lvl" | "severity").then(|| level_word(value.trim_matches('"')))?
    })?;
    Some(Classified {
        level,
        source: Cow::Borrowed(""),
        text: Text::all(line),
        kind: LineKind::None,
        next: Continuation::of(level),
    })
}

/// What follows a date and time, or a time of day, at the start; the bracket around it, too.
fn timestamp(line: &str) -> Option<&str> {
    let inner = line.strip_prefix('[').unwrap_or(line);
    if !inner.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    const SHAPES: [&str; 5] =
        ["0000-00-00 00:00:00", "0000-00-00T00:00:00", "0000/00/00 00:00:00", "00-00 00:00:00", "00:00:00"];
    let rest = zone(fraction(SHAPES.iter().find_map(|shape| shaped(inner, shape))?));
    if inner.len() < line.len() {
        rest.strip_prefix(']')
    } else {
        rest.starts_with([' ', '\t', ':']).then_some(rest)
    }
}

/// Strips text of the given shape, where `0` stands for any digit.
pub fn shaped<'a>(text: &'a str, shape: &str) -> Option<&'a str> {
    let head = text.as_bytes().get(..shape.len())?;
    let fits =
        head.iter().zip(shape.bytes()).all(|(b, s)| if s == b'0' { b.is_ascii_digit() } else { *b == s });
    if fits { text.get(shape.len()..) } else { None }
}

/// Strips a decimal fraction of a second.
pub fn fraction(text: &str) -> &str {
    match text.strip_prefix(['.', ',']) {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_digit()) => {
            rest.trim_start_matches(|c: char| c.is_ascii_digit())
        }
        _ => text,
    }
}

fn zone(text: &str) -> &str {
    let spaced = text.strip_prefix(' ').unwrap_or(text);
    ["+00:00", "-00:00", "+0000", "-0000"]
        .iter()
        .find_map(|shape| shaped(spaced, shape))
        .or_else(|| text.strip_prefix('Z'))
        .or_else(|| text.strip_prefix(" UTC"))
        .unwrap_or(text)
}

fn letters(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().take_while(u8::is_ascii_alphabetic).count())
}

/// The logger of `WARNING:root:text`.
fn name_before_colon(text: &str) -> Option<(&str, &str)> {
    let (name, message) = text.split_once(':')?;
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    (!name.is_empty() && name.len() <= 80 && name.bytes().all(fits)).then_some((name, message))
}

/// The target of Rust's tracing: `crate::module: text`.
fn target(text: &str) -> Option<(&str, &str)> {
    let (name, message) = text.split_once(": ")?;
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':');
    (!name.is_empty() && name.len() <= 80 && name.bytes().all(fits)).then_some((name, message))
}
