//! Lines that belong together: a message and what follows it on the same channel.

use app::model::{Evidence, Level};

/// Lines of one message that are looked at.
const LINES: usize = 14;
/// Bytes of one message that are looked at: the longest decisive ones have about 1,500.
const BYTES: usize = 6000;
/// Characters of a line that evidence keeps.
pub const EVIDENCE_CHARS: usize = 1000;

/// A line as it can be shown, by parts where a terminal wrapped it.
pub type Shown<'a> = &'a [(u64, &'a str)];

/// What opened a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// The line of a traceback that names the exception.
    Exception,
    /// A line of level ERROR.
    Error,
    /// A line of level WARNING.
    Warning,
    /// A plain line.
    #[default]
    Plain,
}

/// A message that may go on.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// What it is.
    pub kind: Kind,
    /// It is the end of a traceback.
    pub traced: bool,
    /// It bears a level of its own.
    pub headed: bool,
    /// It comes from the engine or a worker, not from the server in front.
    pub engine: bool,
    /// When it began, counted in lines.
    pub order: u64,
    /// The server was coming up or was up then.
    pub serving: bool,
    /// The message, lines joined by a space.
    pub text: String,
    /// Where its first line ends.
    pub first: usize,
    /// Its lines, as they can be shown.
    pub shown: Vec<Evidence>,
    /// The length of the line read last.
    pub last_len: usize,
    lines: usize,
}

impl Record {
    /// Begins anew; keeps its buffers.
    pub fn open(&mut self, kind: Kind, text: &str, shown: Shown<'_>) {
        self.kind = kind;
        self.text.clear();
        self.shown.clear();
        self.lines = 0;
        self.append(text, shown);
        self.first = self.text.len();
    }

    /// Adds a line; false when it is full.
    pub fn append(&mut self, text: &str, shown: Shown<'_>) -> bool {
        if self.lines >= LINES || self.text.len() >= BYTES {
            return false;
        }
        if !self.text.is_empty() {
            self.text.push(' ');
        }
        let room = text.floor_char_boundary(BYTES.saturating_sub(self.text.len()));
        self.text.push_str(text.get(..room).unwrap_or_default());
        self.last_len = shown.last().map_or(0, |(_, line)| line.len());
        self.lines += 1;
        for (line, text) in shown {
            if self.shown.len() < LINES
                && !text.trim().is_empty()
                && !text.contains("For further information visit")
            {
                self.shown.push(Evidence { line: *line, text: clip(text) });
            }
        }
        true
    }

    /// The level that the line had.
    pub const fn level_kind(level: Level) -> Kind {
        match level {
            Level::Error => Kind::Error,
            Level::Warning => Kind::Warning,
            _ => Kind::Plain,
        }
    }
}

/// A line, not longer than evidence may be.
pub fn clip(text: &str) -> String {
    let text = text.trim_end();
    match text.char_indices().nth(EVIDENCE_CHARS) {
        Some((at, _)) => text.get(..at).unwrap_or_default().to_owned(),
        None => text.to_owned(),
    }
}
