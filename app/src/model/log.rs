//! Log lines on the wire.

use super::{ServiceName, Timestamp};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// How serious a line is. CRITICAL and FATAL count as `Error`; a line without a level is `Other`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Level {
    /// Details for developers (TRACE, too).
    Debug = 0,
    /// The ordinary course of things.
    Info = 1,
    /// Worth a look.
    Warning = 2,
    /// Something failed.
    Error = 3,
    /// The line carries no level.
    Other = 4,
}

impl Level {
    /// All levels, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::Debug, Self::Info, Self::Warning, Self::Error, Self::Other];

    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Other => "other",
        }
    }
}

impl FromStr for Level {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|l| l.as_str() == text).ok_or(())
    }
}

/// What a line is, beside how serious: what the page folds, hides or groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum LineKind {
    /// Nothing of what follows.
    #[default]
    None = 0,
    /// A line of a traceback, up to the one that names the exception.
    Trace = 1,
    /// An access line of a health or metrics probe.
    Probe = 2,
    /// The start banner.
    Banner = 3,
    /// The listing of routes.
    Route = 4,
    /// The periodic line of throughput.
    Stats = 5,
    /// A step of a progress bar.
    Bar = 6,
    /// Any other access line of the web server.
    Access = 7,
    /// What is said about one request: received, added, finished, aborted.
    Request = 8,
    /// A line of any kind of which only the beginning is here ([`Line::cut`]).
    Cut = 9,
}

impl LineKind {
    /// All kinds, in the order of their numbers.
    pub const ALL: [Self; 10] = [
        Self::None,
        Self::Trace,
        Self::Probe,
        Self::Banner,
        Self::Route,
        Self::Stats,
        Self::Bar,
        Self::Access,
        Self::Request,
        Self::Cut,
    ];

    /// The word on the wire; a line of kind `None` has none there.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Trace => "trace",
            Self::Probe => "probe",
            Self::Banner => "banner",
            Self::Route => "route",
            Self::Stats => "stats",
            Self::Bar => "bar",
            Self::Access => "access",
            Self::Request => "request",
            Self::Cut => "cut",
        }
    }
}

impl FromStr for LineKind {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|k| k.as_str() == text).ok_or(())
    }
}

/// Which pipe a line came from. A terminal has one: `Stdout`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// A stretch of a line's text that had an ANSI style: byte offsets into the UTF-8 text and a closed set of class words
/// (`bold dim italic underline inverse strike black red green yellow blue magenta cyan white bright-black … bright-white
/// on-black … on-bright-white`), separated by spaces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span(pub u32, pub u32, pub String);

/// One log line. On the wire an array: `[seq, time, stream, level, source, text]`, after it spans and the kind where there
/// are any; a line with a kind and no spans has `[]` before it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "LineParts")]
pub struct Line {
    /// Counts from 1 within a run, assigned once.
    pub seq: u64,
    /// When the runtime saw it.
    pub time: Timestamp,
    /// Which pipe.
    pub stream: Stream,
    /// How serious.
    pub level: Level,
    /// Who wrote it (`APIServer`, `EngineCore`, `uvicorn`…); empty when that is not said.
    pub source: String,
    /// The text without the parts that the other fields carry, control characters made visible.
    pub text: String,
    /// ANSI styles.
    pub spans: Vec<Span>,
    /// What it is.
    pub kind: LineKind,
}

impl Line {
    /// Cuts a text that is longer than so many bytes, and puts its whole length behind it. Says whether it did.
    pub fn cut(&mut self, limit: usize) -> bool {
        let whole = self.text.len();
        if whole <= limit {
            return false;
        }
        let end = self.text.floor_char_boundary(limit);
        self.text.truncate(end);
        self.text.push_str(&format!(" {CUT}{whole}"));
        let end = u32::try_from(end).unwrap_or(u32::MAX);
        self.spans.retain(|span| span.0 < end);
        for span in &mut self.spans {
            span.1 = span.1.min(end);
        }
        self.kind = LineKind::Cut;
        true
    }
}

/// What stands before the length of a line that was cut.
const CUT: &str = "… ";

/// The bytes of the whole line, from the text of one that was cut.
pub fn whole_bytes(text: &str) -> Option<u64> {
    text.rsplit_once(CUT)?.1.parse().ok()
}

#[derive(Deserialize)]
struct LineParts(
    u64,
    Timestamp,
    Stream,
    Level,
    String,
    String,
    #[serde(default)] Vec<Span>,
    #[serde(default)] LineKind,
);

impl From<LineParts> for Line {
    fn from(LineParts(seq, time, stream, level, source, text, spans, kind): LineParts) -> Self {
        Self { seq, time, stream, level, source, text, spans, kind }
    }
}

impl Serialize for Line {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let base = (self.seq, self.time, self.stream, self.level, &self.source, &self.text);
        if self.kind != LineKind::None {
            (base.0, base.1, base.2, base.3, base.4, base.5, &self.spans, self.kind).serialize(serializer)
        } else if self.spans.is_empty() {
            base.serialize(serializer)
        } else {
            (base.0, base.1, base.2, base.3, base.4, base.5, &self.spans).serialize(serializer)
        }
    }
}

/// Event `lines`: lines of one run, in order, without holes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lines {
    /// The run.
    pub run: u64,
    /// The lines.
    pub lines: Vec<Line>,
}

/// Event `gap`: lines that this viewer does not get.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The run.
    pub run: u64,
    /// The last line before the gap.
    pub after: u64,
    /// How many are missing; absent when that cannot be known.
    pub count: Option<u64>,
}

/// Event `progress`: a line that is being redrawn (a bar). The latest wins; an empty text ends it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The run.
    pub run: u64,
    /// Which pipe draws it.
    pub stream: Stream,
    /// What it shows now.
    pub text: String,
}

/// Event `run`: a new run began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunOpened {
    /// The service.
    pub service: ServiceName,
    /// The new run.
    pub run: u64,
    /// When the runtime started it.
    pub started: Timestamp,
    /// The run before.
    pub previous: Option<u64>,
}

/// What of a service's log is at hand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogSummary {
    /// The service.
    pub service: ServiceName,
    /// The current or last run; absent when there was none.
    pub run: Option<u64>,
    /// The first line that is kept; 0 when there is none.
    pub first: u64,
    /// The last line; 0 when there is none.
    pub last: u64,
    /// How many lines of each level the run has had, lines that are no longer kept included.
    #[serde(default)]
    pub counts: LevelCounts,
}

/// Lines per level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LevelCounts {
    /// Of level DEBUG.
    pub debug: u64,
    /// Of level INFO.
    pub info: u64,
    /// Of level WARNING.
    pub warning: u64,
    /// Of level ERROR and above.
    pub error: u64,
    /// Without a level.
    pub other: u64,
}

impl LevelCounts {
    /// The count of one level.
    pub const fn of(&self, level: Level) -> u64 {
        match level {
            Level::Debug => self.debug,
            Level::Info => self.info,
            Level::Warning => self.warning,
            Level::Error => self.error,
            Level::Other => self.other,
        }
    }

    /// Counts one more line.
    pub const fn add(&mut self, level: Level) {
        self.add_many(level, 1);
    }

    /// Counts lines of one level.
    pub const fn add_many(&mut self, level: Level, lines: u64) {
        let slot = match level {
            Level::Debug => &mut self.debug,
            Level::Info => &mut self.info,
            Level::Warning => &mut self.warning,
            Level::Error => &mut self.error,
            Level::Other => &mut self.other,
        };
        *slot += lines;
    }
}

/// A place in a service's log: `RUN.SEQ`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogPosition {
    /// The run.
    pub run: u64,
    /// The line.
    pub seq: u64,
}

impl FromStr for LogPosition {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let (run, seq) = text.split_once('.').ok_or(())?;
        Ok(Self { run: run.parse().map_err(drop)?, seq: seq.parse().map_err(drop)? })
    }
}

impl fmt::Display for LogPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.run, self.seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_an_array_and_spans_follow_the_text() {
        let mut line = Line {
            seq: 4202,
            time: Timestamp::from_millis(0),
            stream: Stream::Stdout,
            level: Level::Info,
            source: "APIServer".into(),
            text: "héllo".into(),
            spans: Vec::new(),
            kind: LineKind::None,
        };
        let json = serde_json::to_string(&line).expect("plain data");
        assert_eq!(json, r#"[4202,"1970-01-01T00:00:00.000Z","stdout","info","APIServer","héllo"]"#);
        assert_eq!(serde_json::from_str::<Line>(&json).expect("reads back"), line);
        line.spans.push(Span(0, 3, "red bold".into()));
        let json = serde_json::to_string(&line).expect("plain data");
        assert!(json.ends_with(r#","héllo",[[0,3,"red bold"]]]"#), "{json}");
        assert_eq!(serde_json::from_str::<Line>(&json).expect("reads back"), line);
    }

    #[test]
    fn a_kind_follows_the_spans_and_only_where_there_is_one() {
        for kind in LineKind::ALL {
            let line = Line {
                seq: 1,
                time: Timestamp::from_millis(0),
                stream: Stream::Stderr,
                level: Level::Other,
                source: String::new(),
                text: "x".into(),
                spans: Vec::new(),
                kind,
            };
            let json = serde_json::to_string(&line).expect("plain data");
            let end = if kind == LineKind::None {
                r#""x"]"#.to_owned()
            } else {
                format!(r#""x",[],"{}"]"#, kind.as_str())
            };
            assert!(json.ends_with(&end), "{json}");
            assert_eq!(serde_json::from_str::<Line>(&json).expect("reads back"), line);
            assert_eq!(kind.as_str().parse(), Ok(kind));
        }
    }

    #[test]
    fn a_long_line_is_cut_with_its_length_behind_it() {
        let mut line = Line {
            seq: 1,
            time: Timestamp::from_millis(0),
            stream: Stream::Stdout,
            level: Level::Info,
            source: String::new(),
            text: "é".repeat(10),
            spans: vec![Span(0, 4, "red".into()), Span(6, 20, "bold".into()), Span(8, 9, "dim".into())],
            kind: LineKind::Request,
        };
        let whole = line.clone();
        assert!(!line.cut(20));
        assert_eq!(line, whole);
        assert!(line.cut(7));
        assert_eq!((line.text.as_str(), line.kind), ("ééé … 20", LineKind::Cut));
        assert_eq!(line.spans, [Span(0, 4, "red".into())]);
        assert_eq!(whole_bytes(&line.text), Some(20));
        assert_eq!(whole_bytes("plain"), None);
    }

    #[test]
    fn positions_are_run_dot_seq() {
        assert_eq!("17.4203".parse(), Ok(LogPosition { run: 17, seq: 4203 }));
        for bad in ["", "17", "17.", ".3", "a.b", "-1.2", "1.2.3"] {
            assert!(bad.parse::<LogPosition>().is_err(), "{bad}");
        }
    }
}
