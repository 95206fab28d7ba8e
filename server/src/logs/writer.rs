//! The one that writes a log: frames → lines → stored JSON.

use super::ansi::Cleaner;
use super::encode::{Encoder, LineView};
use super::feed::Limits;
use super::level::{Continuation, Grammar, Text};
use super::ring::Chunk;
use super::split::{RawLine, Splitter};
use crate::runtime::FramePosition;
use app::model::{Level, LineKind, Stream};

/// Hears of every line and progress text as it comes.
pub type Observer = Box<dyn FnMut(LineView<'_>) + Send>;

/// Longest source and progress text.
const SOURCE_LIMIT: usize = 80;
const PROGRESS_LIMIT: usize = 1000;

/// Both pipes of one run, from bytes to stored lines.
pub struct Writer {
    /// One per pipe.
    pub splitters: [Splitter; 2],
    /// What makes lines of what they find.
    pub lines: LineMaker,
    /// Behind the last frame.
    pub position: FramePosition,
    /// The time of the run's first frame.
    pub first_frame_ns: Option<i64>,
    /// The progress texts that viewers were told.
    pub shown: [String; 2],
    /// Something was stored since viewers were told.
    pub dirty: bool,
    /// The last place between two frames at which no line had begun: from there the log can be read on.
    pub mark: Option<(u64, FramePosition)>,
}

impl Writer {
    /// A writer without a run.
    pub fn new(grammar: Grammar, limits: &Limits) -> Self {
        Self {
            splitters: [Splitter::new(limits.line_bytes), Splitter::new(limits.line_bytes)],
            lines: LineMaker::new(grammar),
            position: FramePosition::default(),
            first_frame_ns: None,
            shown: Default::default(),
            dirty: false,
            mark: None,
        }
    }

    /// Begins a run; what was unfinished has been flushed before.
    pub fn begin(&mut self, run: u64) {
        self.lines.begin(run);
        self.position = FramePosition::default();
        self.first_frame_ns = None;
        self.mark = None;
    }

    /// Goes on behind this line of the run that was begun: what comes next was written behind that frame.
    pub fn go_on(&mut self, seq: u64, position: FramePosition) {
        self.lines.staged = Chunk::starting_at(seq + 1);
        self.position = position;
    }

    /// Remembers this place, if no line has begun.
    pub fn note_mark(&mut self) {
        if self.splitters.iter().all(Splitter::is_idle) && self.lines.staged.end() > 1 {
            self.mark = Some((self.lines.staged.end() - 1, self.position));
        }
    }

    /// Counts the frame whose bytes come now.
    pub fn advance(&mut self, time_ns: i64) {
        let nth = if self.position.time_ns == time_ns { self.position.nth.saturating_add(1) } else { 1 };
        self.position = FramePosition { time_ns, nth };
        self.first_frame_ns.get_or_insert(time_ns);
    }

    /// The pipe's progress text where it is another one than viewers know.
    pub fn changed_progress(&mut self, stream: Stream) -> Option<&str> {
        let raw = self.splitters[stream as usize].progress().unwrap_or_default();
        let text = self.lines.progress_text(raw);
        let shown = &mut self.shown[stream as usize];
        if text == shown {
            return None;
        }
        text.clone_into(shown);
        if !text.is_empty() {
            self.lines.observe_progress(self.position.time_ns, stream, shown);
        }
        Some(shown)
    }
}

/// Cleans, classifies, numbers and encodes.
pub struct LineMaker {
    grammar: Grammar,
    cleaner: Cleaner,
    /// For texts that a grammar unwrapped, and for progress.
    second: Cleaner,
    encoder: Encoder,
    before: [Continuation; 2],
    run: Option<u64>,
    /// Lines on their way into the ring.
    pub staged: Chunk,
    /// Who hears of them.
    pub observer: Option<Observer>,
}

impl LineMaker {
    fn new(grammar: Grammar) -> Self {
        Self {
            grammar,
            cleaner: Cleaner::default(),
            second: Cleaner::default(),
            encoder: Encoder::default(),
            before: [Continuation::default(); 2],
            run: None,
            staged: Chunk::starting_at(1),
            observer: None,
        }
    }

    fn begin(&mut self, run: u64) {
        self.run = Some(run);
        self.before = [Continuation::default(); 2];
        self.staged = Chunk::starting_at(1);
    }

    /// The run that is being written.
    pub const fn run(&self) -> Option<u64> {
        self.run
    }

    /// Makes a line of the bytes and stages it.
    pub fn take(&mut self, stream: Stream, raw: RawLine<'_>) {
        let Some(run) = self.run else { return };
        let (clean, parts) = self.cleaner.clean(raw.bytes);
        let before = &mut self.before[stream as usize];
        let found = (self.grammar)(stream, clean, *before);
        *before = found.next;
        let own;
        let (text, parts, within) = match found.text {
            Text::Part(part) => (clean.get(part.clone()).unwrap_or(clean), parts, part),
            Text::Own(text) => {
                own = text;
                let (text, parts) = self.second.clean(own.as_bytes());
                (text, parts, 0..text.len())
            }
        };
        let mut source = found.source.as_ref();
        if source.len() > SOURCE_LIMIT || source.chars().any(char::is_control) {
            source = "";
        }
        let seq = Some(self.staged.end());
        let line = LineView {
            run,
            seq,
            time_ns: raw.time_ns,
            stream,
            level: found.level,
            source,
            text,
            kind: found.kind,
        };
        let encoder = &mut self.encoder;
        self.staged.push(found.level, stream, |out| encoder.line(out, &line, parts, &within));
        if let Some(observer) = &mut self.observer {
            observer(line);
        }
    }

    fn progress_text<'a>(&'a mut self, raw: &'a [u8]) -> &'a str {
        let (text, _) = self.second.clean(raw.get(..PROGRESS_LIMIT).unwrap_or(raw));
        text.trim_end_matches(char::REPLACEMENT_CHARACTER)
    }

    fn observe_progress(&mut self, time_ns: i64, stream: Stream, text: &str) {
        if let (Some(run), Some(observer)) = (self.run, &mut self.observer) {
            observer(LineView {
                run,
                seq: None,
                time_ns,
                stream,
                level: Level::Other,
                source: "",
                text,
                kind: LineKind::None,
            });
        }
    }
}
