//! Lines that a terminal broke at its width, joined again.
//!
//! A log that was copied from a terminal has many lines of exactly the longest length, and what follows them begins in the
//! middle of a word. The first lines decide whether a log is such a one.

use super::envelope;
use super::shape::{Shape, shape};

/// Lines that are looked at before the first is handed on.
const LOOK_LINES: usize = 400;
/// Bytes of them.
const LOOK_BYTES: usize = 256 << 10;
/// Widths of terminals.
const WIDTHS: std::ops::RangeInclusive<usize> = 40..=320;
/// Parts of one line at most: what is longer is no message.
const PARTS: usize = 64;

/// A line of the file: its number from 1, and its text.
pub type Part = (u64, String);

/// Joins lines; hands each on as its parts.
#[derive(Debug, Default)]
pub struct Unwrapper {
    /// The lines seen so far, while it is not decided.
    held: Vec<Part>,
    bytes: usize,
    decided: bool,
    width: Option<usize>,
    /// The parts of the line that may go on.
    open: Vec<Part>,
}

impl Unwrapper {
    /// Takes the next line.
    pub fn push(&mut self, number: u64, text: &str, line: &mut impl FnMut(&[Part])) {
        let part = (number, text.to_owned());
        if self.decided {
            self.join(part, line);
            return;
        }
        self.bytes += text.len();
        self.held.push(part);
        if self.held.len() >= LOOK_LINES || self.bytes >= LOOK_BYTES {
            self.decide(line);
        }
    }

    /// The file is over.
    pub fn finish(&mut self, line: &mut impl FnMut(&[Part])) {
        if !self.decided {
            self.decide(line);
        }
        if !self.open.is_empty() {
            line(&self.open);
            self.open.clear();
        }
    }

    fn decide(&mut self, line: &mut impl FnMut(&[Part])) {
        self.decided = true;
        let held = std::mem::take(&mut self.held);
        self.width = width(&held);
        for part in held {
            self.join(part, line);
        }
    }

    fn join(&mut self, part: Part, line: &mut impl FnMut(&[Part])) {
        let Some(width) = self.width else {
            line(&[part]);
            return;
        };
        let goes_on = self.open.len() < PARTS
            && self.open.last().is_some_and(|(_, before)| before.chars().count() == width)
            && !begins(&part.1);
        if !goes_on && !self.open.is_empty() {
            line(&self.open);
            self.open.clear();
        }
        self.open.push(part);
    }
}

/// The width at which the lines were broken, if they were.
fn width(lines: &[Part]) -> Option<usize> {
    let lengths: Vec<usize> = lines.iter().map(|(_, text)| text.chars().count()).collect();
    let longest = *lengths.iter().max()?;
    if !WIDTHS.contains(&longest) {
        return None;
    }
    let full: Vec<usize> = (0..lines.len()).filter(|i| lengths.get(*i) == Some(&longest)).collect();
    let broken = full
        .iter()
        .filter(|i| lines.get(**i + 1).is_some_and(|(_, next)| !next.is_empty() && !begins(next)))
        .count();
    let texts: std::collections::HashSet<&str> =
        full.iter().filter_map(|i| lines.get(*i)).map(|(_, text)| text.as_str()).collect();
    let enough = if lines.len() < 30 { 2 } else { 4 };
    (texts.len() >= enough && broken * 2 > full.len()).then_some(longest)
}

/// A line that is the beginning of one.
fn begins(text: &str) -> bool {
    let levels = ["INFO", "WARNING", "ERROR", "DEBUG", "CRITICAL"];
    let headed = levels.iter().any(|level| {
        text.strip_prefix(level)
            .is_some_and(|rest| rest.starts_with(": ") || rest.starts_with(' ') && rest.contains(':'))
    });
    let process = text.starts_with('(')
        && text.get(..text.floor_char_boundary(80)).is_some_and(|head| head.contains(" pid="));
    headed
        || process
        || text.is_empty()
        || text.starts_with("  File \"")
        || matches!(shape(text, false), Shape::Traceback | Shape::Exception)
        || envelope::open(text).opened
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(lines: &[String]) -> Vec<String> {
        let mut out = Vec::new();
        let mut take = |parts: &[Part]| out.push(parts.iter().map(|(_, t)| t.as_str()).collect::<String>());
        let mut unwrapper = Unwrapper::default();
        for (i, line) in lines.iter().enumerate() {
            unwrapper.push(i as u64 + 1, line, &mut take);
        }
        unwrapper.finish(&mut take);
        out
    }

    #[test]
    fn what_a_terminal_broke_is_joined() {
        let whole: Vec<String> = (0..12)
            .map(|i| {
                format!(
                    "(EngineCore pid={i}) INFO 11-22 12:00:{i:02} [core.py:133] {}",
                    "word ".repeat(10 + i)
                )
            })
            .map(|line| line.trim_end().to_owned())
            .collect();
        let broken: Vec<String> = whole
            .iter()
            .flat_map(|line| {
                line.as_bytes()
                    .chunks(80)
                    .map(|c| String::from_utf8_lossy(c).into_owned())
                    .collect::<Vec<_>>()
            })
            .collect();
        assert!(broken.len() > whole.len());
        assert_eq!(joined(&broken), whole);
    }

    #[test]
    fn long_lines_that_happen_to_be_equally_long_stay_apart() {
        let lines: Vec<String> =
            (0..40).map(|i| format!("INFO 11-22 12:00:00 [a.py:1] line {i:04} {}", "x".repeat(40))).collect();
        assert_eq!(joined(&lines), lines);
    }
}
