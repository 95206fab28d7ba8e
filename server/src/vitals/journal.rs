//! The dashboard's own log: on standard error, as text or JSON, at a level that can be changed while it runs.

use std::fmt;
use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;

/// The levels, from the most quiet on.
pub const LEVELS: [(&str, Level); 5] = [
    ("error", Level::ERROR),
    ("warn", Level::WARN),
    ("info", Level::INFO),
    ("debug", Level::DEBUG),
    ("trace", Level::TRACE),
];

/// What is allowed, in words.
pub const ALLOWED: &str = "allowed are error, warn, info, debug and trace";

/// Reads a level.
pub fn level(text: &str) -> Option<Level> {
    LEVELS.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, level)| *level)
}

/// What a line looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One object a line, for programs.
    Json,
}

impl Format {
    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }

    /// Reads a format.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "text" => Some(Self::Text),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}

type Change = Box<dyn Fn(Level) -> bool + Send + Sync>;

/// The log's level, while it runs.
pub struct Journal {
    level: Mutex<Level>,
    change: Change,
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Journal({})", self.level())
    }
}

impl Journal {
    /// A log that nobody writes: for a dashboard without a terminal, such as a test's.
    pub fn silent() -> Self {
        Self { level: Mutex::new(Level::INFO), change: Box::new(|_| true) }
    }

    /// Begins to write on standard error. Once in a process: a second log is not begun.
    pub fn begin(level: Level, format: Format) -> Self {
        let (filter, handle) = reload::Layer::new(LevelFilter::from_level(level));
        let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false);
        let registry = tracing_subscriber::registry().with(filter);
        match format {
            Format::Text => registry.with(lines.with_ansi(std::io::stderr().is_terminal())).init(),
            Format::Json => registry.with(lines.json().flatten_event(true)).init(),
        }
        let change: Change = Box::new(move |level| handle.reload(LevelFilter::from_level(level)).is_ok());
        Self { level: Mutex::new(level), change }
    }

    /// The level in force, by its name.
    pub fn level(&self) -> &'static str {
        let now = *self.level.lock().unwrap_or_else(PoisonError::into_inner);
        LEVELS.iter().find(|(_, level)| *level == now).map_or("info", |(name, _)| name)
    }

    /// Changes the level; false when it stays what it was.
    pub fn set_level(&self, new: Level) -> bool {
        let mut level = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = (self.change)(new);
        if changed {
            *level = new;
        }
        changed
    }
}
