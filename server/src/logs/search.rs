//! Looking at stored lines outside of the live stream: the last ones, found ones, all of them as plain text.

use super::feed::Feed;
use super::ring::{Chunk, Stored};
use app::model::{Level, Line, Stream, Timestamp};
use std::borrow::Cow;
use std::fmt::Write;
use std::ops::ControlFlow;
use std::sync::Arc;

/// Which lines of a run to select.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// The run; the current one when `None`.
    pub run: Option<u64>,
    /// Only lines behind this one, the earliest first; without it the latest lines are selected.
    pub after: Option<u64>,
    /// Only lines before this one.
    pub before: Option<u64>,
    /// The lines around this one, half of the limit before it. Wins over `after` and `before`.
    pub around: Option<u64>,
    /// Only these levels; all when empty.
    pub levels: Vec<Level>,
    /// Only lines of this pipe.
    pub stream: Option<Stream>,
    /// Only lines whose text or source contains this, in any case; all when empty.
    pub query: String,
    /// At most so many lines.
    pub limit: usize,
}

/// Selected lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selected {
    /// The run that was searched; `None` when it is not at hand.
    pub run: Option<u64>,
    /// One JSON array per line, in order, each with a line end.
    pub json_lines: String,
    /// How many lines.
    pub count: usize,
    /// The last one's number.
    pub last: Option<u64>,
    /// There are more than the limit allowed.
    pub more: bool,
}

/// Longest line of a failure's evidence, in characters.
const EVIDENCE_CHARS: usize = 500;

impl Feed {
    /// The current run's last `n` lines, in order.
    pub fn tail(&self, n: usize) -> Vec<Line> {
        let mut lines = Vec::new();
        self.backwards(None, |line| {
            if lines.len() == n {
                return ControlFlow::Break(());
            }
            lines.extend(serde_json::from_str::<Line>(line.json));
            ControlFlow::Continue(())
        });
        lines.reverse();
        lines
    }

    /// The current run's last `n` lines that may say why it failed: those of level error and those of standard error
    /// without a level, but neither the frames of a traceback nor bars; the last lines of any kind when there are none. In
    /// order, each cut to 500 characters.
    pub fn evidence(&self, n: usize) -> Vec<String> {
        let (mut telling, mut any) = (Vec::new(), Vec::new());
        self.backwards(None, |line| {
            if telling.len() >= n {
                return ControlFlow::Break(());
            }
            let tells =
                line.level == Level::Error || (line.level == Level::Other && line.stream == Stream::Stderr);
            if tells || any.len() < n {
                let text = Fields::of(line.json).map(|f| f.text()).unwrap_or_default();
                let cut = || text.chars().take(EVIDENCE_CHARS).collect();
                if tells && !is_frame(&text) && !is_bar(&text) {
                    telling.push(cut());
                }
                if any.len() < n && !text.trim().is_empty() {
                    any.push(cut());
                }
            }
            ControlFlow::Continue(())
        });
        let mut lines = if telling.is_empty() { any } else { telling };
        lines.reverse();
        lines
    }

    /// Lines of one run by place, level and text. Reads all of the run: not for an async task's own thread.
    pub fn select(&self, wanted: &Selection) -> Selected {
        if let Some(line) = wanted.around {
            let (before, behind) = (wanted.limit / 2, wanted.limit - wanted.limit / 2);
            let half = |after, before, limit| {
                self.select(&Selection { after, before, limit, around: None, ..wanted.clone() })
            };
            let mut found = half(None, Some(line), before);
            let rest = half(Some(line.saturating_sub(1)), None, behind);
            found.json_lines.push_str(&rest.json_lines);
            return Selected {
                count: found.count + rest.count,
                last: rest.last.or(found.last),
                more: found.more || rest.more,
                ..found
            };
        }
        let after = wanted.after.unwrap_or(0);
        let Some((run, chunks)) = self.chunks(wanted.run, after) else { return Selected::default() };
        let before = wanted.before.unwrap_or(u64::MAX);
        let needle = Needle::new(&wanted.query);
        let fits = |line: &Stored<'_>| {
            line.seq > after
                && line.seq < before
                && (wanted.levels.is_empty() || wanted.levels.contains(&line.level))
                && wanted.stream.is_none_or(|stream| stream == line.stream)
                && needle.is_in(line.json)
        };
        let lines = chunks.iter().flat_map(|chunk| chunk.lines());
        let mut found: Vec<Stored<'_>> = if wanted.after.is_some() {
            lines.filter(fits).take(wanted.limit.saturating_add(1)).collect()
        } else {
            let mut found: Vec<_> = lines.rev().filter(fits).take(wanted.limit.saturating_add(1)).collect();
            found.reverse();
            found
        };
        let more = found.len() > wanted.limit;
        if more {
            if wanted.after.is_some() {
                found.pop();
            } else {
                found.remove(0);
            }
        }
        let mut json_lines = String::with_capacity(found.iter().map(|line| line.json.len() + 1).sum());
        for line in &found {
            json_lines.push_str(line.json);
            json_lines.push('\n');
        }
        Selected {
            run: Some(run),
            json_lines,
            count: found.len(),
            last: found.last().map(|line| line.seq),
            more,
        }
    }

    /// The first line of a run that was written at this time or later.
    pub fn line_at(&self, run: Option<u64>, time: Timestamp) -> Option<u64> {
        let (_, chunks) = self.chunks(run, 0)?;
        // Times of one form and one zone sort as their texts do.
        let time = time.to_string();
        chunks.iter().flat_map(|chunk| chunk.lines()).find_map(|line| {
            let later = Fields::of(line.json).is_some_and(|fields| fields.time >= time.as_str());
            later.then_some(line.seq)
        })
    }

    /// A run's lines as plain text, a piece at a time; the current run's for `None`.
    pub fn raw(self: &Arc<Self>, run: Option<u64>) -> RawText {
        let run = run.or_else(|| self.run_numbers().0);
        RawText { feed: Arc::clone(self), run, after: 0 }
    }

    fn backwards(&self, run: Option<u64>, mut visit: impl FnMut(Stored<'_>) -> ControlFlow<()>) {
        let Some((_, chunks)) = self.chunks(run, 0) else { return };
        let _ = chunks.iter().rev().try_for_each(|chunk| chunk.lines().rev().try_for_each(&mut visit));
    }
}

/// An empty line, or one of a Python traceback that says where and not what; behind a logger's `[file.py:12] `, too.
fn is_frame(text: &str) -> bool {
    let message = match text.split_once("] ") {
        Some((place, message)) if place.starts_with('[') && place.len() <= 80 => message,
        _ => text,
    };
    message.trim().is_empty()
        || message.starts_with("  File \"")
        || message.starts_with("    ")
        || message.starts_with("Traceback (most recent call last)")
}

/// A step of a tqdm bar.
fn is_bar(text: &str) -> bool {
    text.ends_with("it/s]") || text.ends_with("s/it]")
}

/// Yields pieces of a run's plain text, of some dozen kilobytes each. Holds no lines itself: what goes meanwhile is counted.
pub struct RawText {
    feed: Arc<Feed>,
    run: Option<u64>,
    after: u64,
}

impl Iterator for RawText {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        let chunk = self.feed.chunk(self.run?, self.after)?;
        let mut out = String::with_capacity(super::ring::CHUNK_BYTES);
        if chunk.first() > self.after + 1 {
            let _ =
                writeln!(out, "[{} lines before this are no longer kept]", chunk.first() - 1 - self.after);
        }
        self.append(&mut out, &chunk);
        self.after = chunk.end() - 1;
        Some(out)
    }
}

impl RawText {
    fn append(&self, out: &mut String, chunk: &Chunk) {
        for line in chunk.lines().filter(|line| line.seq > self.after) {
            let Some(fields) = Fields::of(line.json) else { continue };
            out.push_str(fields.time);
            if line.level != Level::Other {
                out.push(' ');
                line.level.as_str().chars().for_each(|c| out.push(c.to_ascii_uppercase()));
            }
            if fields.source != "\"\"" {
                let _ = write!(out, " ({})", unescaped(fields.source));
            }
            out.push(' ');
            out.push_str(&fields.text());
            out.push('\n');
        }
    }
}

/// The parts of a stored line that are looked at, source and text still quoted and escaped.
struct Fields<'a> {
    time: &'a str,
    source: &'a str,
    text: &'a str,
}

impl<'a> Fields<'a> {
    /// `[seq,"time","stream","level","source","text"…`
    fn of(json: &'a str) -> Option<Self> {
        let (_, rest) = json.split_once(",\"")?;
        let (time, rest) = rest.split_once("\",\"")?;
        let (_, rest) = rest.split_once("\",\"")?;
        let (_, rest) = rest.split_once("\",")?;
        let (source, rest) = rest.split_at_checked(quoted(rest)?)?;
        let rest = rest.strip_prefix(',')?;
        Some(Self { time, source, text: rest.get(..quoted(rest)?)? })
    }

    fn text(&self) -> Cow<'a, str> {
        unescaped(self.text)
    }
}

/// How long the JSON string at the start is, quotes included.
fn quoted(json: &str) -> Option<usize> {
    let mut escaped = false;
    json.bytes().enumerate().skip(1).find_map(|(at, byte)| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends.then_some(at + 1)
    })
}

fn unescaped(quoted: &str) -> Cow<'_, str> {
    if quoted.contains('\\') {
        return Cow::Owned(serde_json::from_str(quoted).unwrap_or_default());
    }
    Cow::Borrowed(quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default())
}

/// A plain text to look for, in any case.
struct Needle {
    lower: String,
    ascii: bool,
}

impl Needle {
    fn new(query: &str) -> Self {
        Self { lower: query.to_lowercase(), ascii: query.is_ascii() }
    }

    fn is_in(&self, json: &str) -> bool {
        if self.lower.is_empty() {
            return true;
        }
        let Some(fields) = Fields::of(json) else { return false };
        [fields.text, fields.source].into_iter().any(|quoted| {
            let text = unescaped(quoted);
            if self.ascii {
                contains_ascii(text.as_bytes(), self.lower.as_bytes())
            } else {
                text.to_lowercase().contains(&self.lower)
            }
        })
    }
}

/// Whether `text` contains the lower-case `needle` in any case. Looks for its first byte first.
fn contains_ascii(text: &[u8], needle: &[u8]) -> bool {
    let Some((head, tail)) = needle.split_first() else { return true };
    let upper = head.to_ascii_uppercase();
    text.iter().enumerate().any(|(at, byte)| {
        (byte == head || *byte == upper)
            && text.get(at + 1..at + 1 + tail.len()).is_some_and(|rest| rest.eq_ignore_ascii_case(tail))
    })
}
