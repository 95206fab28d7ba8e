//! Follows one run line by line, and says what ended it.

use super::course::{Marks, Stage};
use super::finding::Findings;
use super::known::Known;
use super::numbers::squeeze;
use super::record::{EVIDENCE_CHARS, Kind, Record, Shown};
use super::rules;
use super::shape::{self, Shape, shape};
use crate::logs::{Continuation, Text};
use crate::vllm::grammar;
use app::model::{Evidence, Level, Stream};

/// Channels that are followed at once: processes and places that print messages of several lines.
const CHANNELS: usize = 12;
/// The last lines that are kept for an end that nothing explains.
const TAIL: usize = 6;
/// A request's traceback may go on for so many lines.
const REQUEST_LINES: u32 = 400;
/// Lines of one message; what comes behind is not looked at.
const MESSAGE_LINES: usize = 600;
/// A line shorter than this was not wrapped.
const WRAPPED: usize = 60;

/// A process or place that prints, and the message that it may still be printing.
#[derive(Clone, Debug, Default)]
struct Channel {
    key: u64,
    used: u64,
    /// Among the frames of a traceback.
    frames: bool,
    /// That traceback belongs to a request.
    request: bool,
    open: bool,
    record: Record,
}

/// Feeds on the lines of one run as they come. Holds some tens of KiB, however long the run is.
#[derive(Clone, Debug, Default)]
pub struct Explainer {
    pub(super) count: u64,
    pub(super) stage: Stage,
    pub(super) marks: Marks,
    pub(super) findings: Findings,
    pub(super) known: Known,
    pub(super) tail: Vec<Evidence>,
    /// The slot of the tail that is overwritten next.
    next: usize,
    /// The last lines that say something, beside those of levels INFO and DEBUG.
    pub(super) useful: Vec<Evidence>,
    channels: Vec<Channel>,
    /// The channel that took the line read last.
    last: Option<usize>,
    /// Raw lines on this pipe belong to a request that was logged.
    pub(super) quoting: Option<Stream>,
    /// So many lines may still belong to a request's traceback.
    request: u32,
    pub(super) squeezed: String,
}

impl Explainer {
    /// Before the first line.
    pub fn new() -> Self {
        Self::default()
    }

    /// Names a process of this service: memory that it holds is not held by others.
    pub fn own_process(&mut self, pid: u32) {
        self.known.own(pid);
    }

    /// One finished line: `n` its number, `level`, `source` and `text` as the grammar gave them.
    pub fn line(&mut self, n: u64, level: Level, source: &str, text: &str, stream: Stream) {
        self.feed(level, source, text, stream, &[(n, text)]);
    }

    /// The same, where what is shown as evidence is not the text.
    pub(super) fn feed(&mut self, level: Level, source: &str, text: &str, stream: Stream, shown: Shown<'_>) {
        if text.contains('\n') {
            let n = shown.first().map_or(0, |(n, _)| *n);
            for part in text.lines().take(MESSAGE_LINES) {
                self.one(level, source, part, stream, &[(n, part)]);
            }
        } else {
            self.one(level, source, text, stream, shown);
        }
    }

    fn one(&mut self, level: Level, source: &str, text: &str, stream: Stream, shown: Shown<'_>) {
        if level != Level::Info
            && text.starts_with('(')
            && let Some((name, rest)) = shape::spaced_process(text)
        {
            let found = grammar::classify(stream, rest, Continuation::default());
            let level = if found.level == Level::Other { level } else { found.level };
            match &found.text {
                Text::Part(part) => {
                    self.one(level, name, rest.get(part.clone()).unwrap_or(rest), stream, shown);
                }
                Text::Own(own) => self.one(level, name, own, stream, shown),
            }
            return;
        }
        self.count += 1;
        self.request = self.request.saturating_sub(1);
        let (place, message) = shape::place(text);
        self.remember(message, shown);
        // An indented line without a header took its level from the line before, which may be another process's.
        let inherited = place.is_empty() && message.starts_with([' ', '\t']);
        let level = if inherited && source != "uvicorn" { Level::Other } else { level };
        if matches!(level, Level::Info | Level::Debug) {
            self.last = None;
            self.calm(message, stream, shown);
        } else {
            let headed = !place.is_empty() || matches!(source, "uvicorn");
            if headed {
                self.quoting = None;
            } else if self.quoting == Some(stream) && source.is_empty() {
                return;
            }
            self.serious(level, source, place, message, stream, shown);
        }
    }

    /// Keeps the line among the last ones.
    fn remember(&mut self, message: &str, shown: Shown<'_>) {
        let Some((n, text)) = shown.first() else { return };
        if message.trim().is_empty() {
            return;
        }
        let end = text.floor_char_boundary(EVIDENCE_CHARS);
        let text = text.get(..end).unwrap_or_default();
        if self.tail.len() < TAIL {
            self.tail.push(Evidence { line: *n, text: text.to_owned() });
        } else if let Some(slot) = self.tail.get_mut(self.next) {
            slot.line = *n;
            slot.text.clear();
            slot.text.push_str(text);
        }
        self.next = (self.next + 1) % TAIL;
    }

    /// Any other line.
    fn serious(
        &mut self,
        level: Level,
        source: &str,
        place: &str,
        message: &str,
        stream: Stream,
        shown: Shown<'_>,
    ) {
        let key = key(source, place, stream);
        let before = self.last;
        let at = self.channel(key);
        let Some(channel) = self.channels.get_mut(at) else { return };
        let form = shape(message, channel.frames);
        self.last = Some(at);
        match form {
            Shape::Blank => return,
            Shape::Traceback => {
                let request = self.request > 0 && place.is_empty();
                self.close(at);
                if let Some(channel) = self.channels.get_mut(at) {
                    channel.frames = true;
                    channel.request = request;
                }
                return;
            }
            Shape::Frame => {
                self.close(at);
                if let Some(channel) = self.channels.get_mut(at) {
                    channel.frames = true;
                }
                return;
            }
            Shape::Indented if channel.frames || message.trim_start().starts_with(['^', '~']) => return,
            Shape::Indented if channel.open && channel.record.kind == Kind::Exception => {
                channel.record.append(message, shown);
                return;
            }
            // Tables of Kubernetes and Docker are indented; what follows a traceback that began earlier is, too.
            Shape::Indented if !headed(source, place) && fatal(message) => {}
            Shape::Indented => {
                if channel.open {
                    channel.record.append(message, shown);
                } else if !headed(source, place)
                    && !message.starts_with("  ")
                    && let Some(wrapped) = before.and_then(|i| self.channels.get_mut(i))
                    && wrapped.open
                    && wrapped.record.last_len >= WRAPPED
                {
                    wrapped.record.append(message, shown);
                    self.last = before;
                }
                return;
            }
            Shape::Exception | Shape::Text => {}
        }
        if form == Shape::Text && source.is_empty() && place.is_empty() {
            // Unheaded text goes on with the message before it: its own, or one that a terminal wrapped.
            let carries = |c: &Channel| c.open && (c.key == key || c.record.last_len >= WRAPPED);
            let target =
                [Some(at), before].into_iter().flatten().find(|i| self.channels.get(*i).is_some_and(carries));
            if let Some(i) = target
                && goes_on(message, level)
                && let Some(channel) = self.channels.get_mut(i)
                && channel.record.append(message, shown)
            {
                self.last = Some(i);
                self.keep_useful(shown);
                return;
            }
        } else if form == Shape::Text
            && channel.open
            && channel.record.kind == Kind::Exception
            && goes_on(message, level)
            && channel.record.append(message, shown)
        {
            return;
        }
        self.close(at);
        if unharmed(message) {
            self.request = REQUEST_LINES;
            return;
        }
        let engine = engine(source, place);
        let Some(channel) = self.channels.get_mut(at) else { return };
        let kind = match form {
            Shape::Exception if level != Level::Warning => Kind::Exception,
            _ => Record::level_kind(level),
        };
        let kind = if kind == Kind::Error && !headed(source, place) { Kind::Plain } else { kind };
        channel.open = true;
        channel.record.open(kind, message, shown);
        channel.record.traced = std::mem::take(&mut channel.frames);
        channel.record.engine = engine;
        channel.record.headed = !place.is_empty();
        channel.record.order = self.count;
        channel.record.serving = self.stage == Stage::Serving;
        if !shape::useless(message, level) {
            self.keep_useful(shown);
        }
    }

    fn keep_useful(&mut self, shown: Shown<'_>) {
        for (line, text) in shown {
            if self.useful.len() >= TAIL {
                self.useful.remove(0);
            }
            self.useful.push(Evidence { line: *line, text: super::record::clip(text) });
        }
    }

    /// The slot of a channel: its own, a new one, or the one that was silent longest.
    fn channel(&mut self, key: u64) -> usize {
        let now = self.count;
        let found = self.channels.iter().position(|c| c.key == key);
        let at = found.unwrap_or_else(|| {
            if self.channels.len() < CHANNELS {
                self.channels.push(Channel { key, ..Channel::default() });
                return self.channels.len() - 1;
            }
            let oldest = self.channels.iter().enumerate().min_by_key(|(_, c)| c.used).map_or(0, |(i, _)| i);
            self.close(oldest);
            if let Some(channel) = self.channels.get_mut(oldest) {
                (channel.key, channel.frames, channel.request) = (key, false, false);
            }
            oldest
        });
        if let Some(channel) = self.channels.get_mut(at) {
            channel.used = now;
        }
        at
    }

    pub(super) fn close_all(&mut self) {
        for at in 0..self.channels.len() {
            self.close(at);
        }
    }

    /// A message is complete: what does it say?
    fn close(&mut self, at: usize) {
        let Some(channel) = self.channels.get_mut(at).filter(|c| c.open) else { return };
        channel.open = false;
        let request = channel.request;
        channel.request = false;
        // Taken out, so that it can be looked at while findings are kept; its buffers go back.
        let record = std::mem::take(&mut channel.record);
        self.judge(&record, request);
        if let Some(channel) = self.channels.get_mut(at) {
            channel.record = record;
        }
    }
}

const fn headed(source: &str, place: &str) -> bool {
    !place.is_empty() || !source.is_empty()
}

/// What announces a traceback that the server survives: of a request, of a destructor, of a forgotten task.
fn unharmed(message: &str) -> bool {
    ["Exception in ASGI application", "Exception ignored in", "Task exception was never retrieved"]
        .iter()
        .any(|words| message.starts_with(words))
}

/// Whether a line by itself says that a process ended.
fn fatal(message: &str) -> bool {
    let mut squeezed = String::new();
    squeeze(message, &mut squeezed);
    rules::first(&squeezed, true).is_some_and(|rule| rule.fatal)
}

/// Text that may go on with a message, and is not the beginning of something else.
fn goes_on(text: &str, level: Level) -> bool {
    let starts = |words: &[&str]| words.iter().any(|w| text.starts_with(w));
    !(starts(&[
        "[",
        "Process ",
        "usage:",
        "(",
        "The above exception",
        "During handling",
        "Killed",
        "terminate called",
        "INFO",
        "ERROR",
        "WARNING",
        "DEBUG",
        "Loading ",
        "Capturing ",
        "Segmentation",
        "Aborted",
        "docker:",
        "Error response",
        "Started ",
        "Retrying in",
        "######",
    ]) || shape::useless(text, level)
        || text.contains(": error: ")
        || super::exits::ends_process(text).is_some())
}

/// Whether a line comes from the engine or one of its workers.
fn engine(source: &str, place: &str) -> bool {
    let has = |words: &[&str], text: &str| words.iter().any(|w| text.contains(w));
    has(&["Engine", "Worker", "worker", "RayWorker"], source)
        || has(&["core.py", "worker", "executor", "engine.py", "model_runner", "async_llm_engine"], place)
}

/// FNV-1a over what tells channels apart.
fn key(source: &str, place: &str, stream: Stream) -> u64 {
    let bytes = source.bytes().chain([0, stream as u8]).chain(place.bytes());
    bytes.fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}
