//! What is told: an incident, and the message that a target's language makes of it.

use app::locales::Lang;
use app::model::{Diagnosis, Failure, LogTrouble, Remnant, Restarts, ServiceName, Timestamp};
use serde::{Deserialize, Serialize};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Good to know.
    Info,
    /// It may become worse.
    Warning,
    /// Somebody has to do something.
    Error,
}

impl Severity {
    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Info, Self::Warning, Self::Error].into_iter().find(|severity| severity.as_str() == text)
    }
}

/// What kinds of incidents there are. A closed set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Topic {
    /// A service failed.
    Failed,
    /// It failed so often that it is not started again.
    CrashLoop,
    /// It runs and does not answer.
    Unresponsive,
    /// It answers again.
    Recovered,
    /// GPU memory did not come back after a stop.
    MemoryHeld,
    /// The disk is nearly full.
    DiskLow,
    /// Logs cannot be written.
    LogsNotWritten,
    /// Somebody wants to know whether messages arrive.
    Test,
}

impl Topic {
    /// Its word, the same for ever.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::CrashLoop => "crash-loop",
            Self::Unresponsive => "unresponsive",
            Self::Recovered => "recovered",
            Self::MemoryHeld => "memory-held",
            Self::DiskLow => "disk-low",
            Self::LogsNotWritten => "logs-not-written",
            Self::Test => "test",
        }
    }
}

/// What there is to say of an incident.
#[derive(Clone, Debug, PartialEq)]
pub enum Detail {
    /// Nothing beside the topic.
    Plain,
    /// A failure, and what becomes of it.
    Failure {
        /// How.
        failure: Box<Failure>,
        /// What becomes of it.
        restarts: Option<Restarts>,
        /// Nobody watched.
        while_away: bool,
    },
    /// Who holds memory.
    Held(Vec<Remnant>),
    /// Free and all bytes, and where.
    Disk(u64, u64, String),
    /// What keeps logs from being written.
    Logs(LogTrouble),
}

/// Something that is worth telling.
#[derive(Clone, Debug, PartialEq)]
pub struct Incident {
    /// What kind.
    pub topic: Topic,
    /// How bad.
    pub severity: Severity,
    /// Of which service: its name and its title.
    pub service: Option<(ServiceName, String)>,
    /// When.
    pub at: Timestamp,
    /// What there is to say.
    pub detail: Detail,
}

/// The words of an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// What kind.
    pub topic: Topic,
    /// How bad.
    pub severity: Severity,
    /// The service's name.
    pub service: Option<String>,
    /// One line.
    pub headline: String,
    /// Some sentences; no lines of a log.
    pub text: String,
    /// The cause's id, as in docs/FAILURES.md.
    pub cause: Option<String>,
    /// When it happened.
    pub at: Timestamp,
    /// Where to look.
    pub link: Option<String>,
    /// How often the same happened that was not told.
    pub more: u64,
}

impl Incident {
    /// A test.
    pub fn test() -> Self {
        Self {
            topic: Topic::Test,
            severity: Severity::Info,
            service: None,
            at: Timestamp::now(),
            detail: Detail::Plain,
        }
    }

    fn diagnosis(&self) -> Option<&Diagnosis> {
        match &self.detail {
            Detail::Failure { failure, .. } => failure.diagnosis.as_ref(),
            _ => None,
        }
    }

    /// What it says in a language. `base` is the page's address; `more` how often it was not told within `minutes`, and
    /// `state` what is the case by now.
    pub fn message(
        &self,
        lang: Lang,
        base: Option<&str>,
        more: Option<(u64, u64, Option<String>)>,
    ) -> Message {
        let (words, page) = (lang.notify_words(), lang.words());
        let title = self.service.as_ref().map_or("Services", |(_, title)| title.as_str());
        let headline = match self.topic {
            Topic::Failed => (words.failed)(title),
            Topic::CrashLoop => (words.crash_loop)(title),
            Topic::Unresponsive => (words.unresponsive)(title),
            Topic::Recovered => (words.recovered)(title),
            Topic::MemoryHeld => (words.memory_held)(title),
            Topic::DiskLow => words.disk_low.to_owned(),
            Topic::LogsNotWritten if matches!(&self.detail, Detail::Logs(trouble) if trouble.store) => {
                words.store_not_written.to_owned()
            }
            Topic::LogsNotWritten => words.logs_not_written.to_owned(),
            Topic::Test => words.test.to_owned(),
        };
        let mut said: Vec<String> = Vec::new();
        match &self.detail {
            Detail::Plain => said.push(
                match self.topic {
                    Topic::Unresponsive => words.unresponsive_text,
                    Topic::Recovered => words.recovered_text,
                    Topic::Test => words.test_text,
                    _ => "",
                }
                .to_owned(),
            ),
            Detail::Failure { failure, restarts, while_away } => {
                said.push((page.failure)(&failure.kind).what);
                let proved = failure.diagnosis.as_ref().filter(|d| d.cause != app::model::Cause::Unknown);
                said.extend(proved.map(page.cause));
                if *while_away {
                    said.push(words.while_away.to_owned());
                }
                if let Some(restarts) = restarts {
                    if let Some(next) = restarts.next {
                        said.push((words.again_in)(next.since(self.at).div_ceil(1000)));
                    } else if self.topic == Topic::CrashLoop {
                        said.push((words.gives_up)(restarts.failures, restarts.window_s / 60));
                    }
                }
            }
            Detail::Held(by) => said.push((page.memory_held)(by)),
            Detail::Disk(free, size, folder) => said.push((words.disk_low_text)(*free, *size, folder)),
            Detail::Logs(trouble) => said.push((page.log_trouble)(trouble)),
        }
        let count = more.as_ref().map_or(0, |(count, ..)| *count);
        if let Some((count, minutes, state)) = more {
            said.push((words.more)(count, minutes));
            said.extend(state.map(|state| (words.now)(&state)));
        }
        said.retain(|sentence| !sentence.is_empty());
        let place = self.service.as_ref().map_or_else(String::new, |(name, _)| format!("services/{name}"));
        Message {
            topic: self.topic,
            severity: self.severity,
            service: self.service.as_ref().map(|(name, _)| name.to_string()),
            headline,
            text: said.join(" "),
            cause: self.diagnosis().map(|diagnosis| diagnosis.cause.id().to_owned()),
            at: self.at,
            link: base.map(|base| format!("{}/{place}", base.trim_end_matches('/'))),
            more: count,
        }
    }
}
