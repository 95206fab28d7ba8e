//! Makes incidents of events. Pure: the time is told, the store's memory is handed in.
//!
//! A failure is held back for a moment: why it failed is known only when its log was read to the end. What failed while no
//! dashboard ran is told once, by what an earlier one remembered.

use super::message::{Detail, Incident, Severity, Topic};
use crate::history::scarce;
use crate::supervisor::{Event, Happening};
use app::model::{Cause, Failure, Restarts, ServiceName, Timestamp};
use std::collections::BTreeMap;

/// How long a failure waits for its cause.
const CAUSE_MS: u64 = 3_000;

/// A failure that waits for its cause.
#[derive(Clone, Debug, PartialEq)]
struct Pending {
    title: String,
    failure: Box<Failure>,
    restarts: Option<Restarts>,
    seen: Timestamp,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Known {
    pending: Option<Pending>,
    /// It was told to have failed, or not to answer.
    down: bool,
}

/// What has happened so far.
#[derive(Debug, Default)]
pub struct Story {
    known: BTreeMap<ServiceName, Known>,
}

/// What comes of an event.
#[derive(Debug, Default, PartialEq)]
pub struct Told {
    /// What is worth telling.
    pub incidents: Vec<Incident>,
    /// What must be remembered of the service: the failure that was seen last.
    pub remember: Option<(ServiceName, String)>,
}

fn mark(at: Timestamp) -> String {
    at.millis().to_string()
}

/// What is remembered of a service that has never failed.
const NEVER: &str = "never";

impl Story {
    /// Takes an event. `remembered` is what an earlier dashboard remembered of its service.
    pub fn take(&mut self, event: Event, remembered: Option<&str>) -> Told {
        let mut told = Told::default();
        let Some((name, title)) = event.service else {
            if let Happening::LogsNotWritten { trouble } = event.what {
                told.incidents.push(Incident {
                    topic: Topic::LogsNotWritten,
                    severity: Severity::Error,
                    service: None,
                    at: trouble.since,
                    detail: Detail::Logs(trouble),
                });
            }
            return told;
        };
        if event.what == Happening::Gone {
            told.incidents.extend(self.known.remove(&name).and_then(|mut known| known.flush(&name)));
            return told;
        }
        let known = self.known.entry(name.clone()).or_default();
        let plain = |topic, severity, detail| Incident {
            topic,
            severity,
            service: Some((name.clone(), title.clone())),
            at: event.at,
            detail,
        };
        match event.what {
            Happening::Failed { failure, restarts } => {
                told.incidents.extend(known.flush(&name));
                told.remember = Some((name.clone(), mark(failure.at)));
                let explained = failure.diagnosis.as_ref().is_some_and(|d| d.cause != Cause::Unknown);
                let over = explained || !failure.kind.is_end();
                known.pending = Some(Pending { title, failure, restarts, seen: event.at });
                if over {
                    told.incidents.extend(known.flush(&name));
                }
            }
            Happening::FoundFailed { failure } => {
                let now = mark(failure.at);
                if remembered != Some(&now) {
                    told.remember = Some((name.clone(), now));
                }
                // Nothing remembered: this dashboard is the first, and whatever it finds is old.
                if remembered.is_some_and(|known| known != mark(failure.at)) {
                    known.down = true;
                    let detail = Detail::Failure { failure, restarts: None, while_away: true };
                    told.incidents.push(plain(Topic::Failed, Severity::Error, detail));
                }
            }
            Happening::FoundWell => {
                if remembered.is_none() {
                    told.remember = Some((name.clone(), NEVER.to_owned()));
                }
            }
            Happening::Diagnosed { at, diagnosis } => {
                if let Some(pending) = known.pending.as_mut().filter(|p| p.failure.at == at) {
                    let proved = diagnosis.cause != Cause::Unknown;
                    pending.failure.diagnosis = Some(*diagnosis);
                    if proved {
                        told.incidents.extend(known.flush(&name));
                    }
                }
            }
            Happening::Unresponsive { since } => {
                known.down = true;
                let told_now = plain(Topic::Unresponsive, Severity::Warning, Detail::Plain);
                told.incidents.push(Incident { at: since, ..told_now });
            }
            Happening::Running => {
                told.incidents.extend(known.flush(&name));
                if std::mem::take(&mut known.down) {
                    told.incidents.push(plain(Topic::Recovered, Severity::Info, Detail::Plain));
                }
            }
            Happening::MemoryHeld { by } => {
                told.incidents.push(plain(Topic::MemoryHeld, Severity::Warning, Detail::Held(by)));
            }
            Happening::Gone | Happening::LogsNotWritten { .. } => {}
        }
        told
    }

    /// What waited for long enough.
    pub fn due(&mut self, now: Timestamp) -> Vec<Incident> {
        let late = |known: &Known| known.pending.as_ref().is_some_and(|p| now.apart(p.seen) >= CAUSE_MS);
        let due = self.known.iter_mut().filter(|(_, known)| late(known));
        due.filter_map(|(name, known)| known.flush(name)).collect()
    }

    /// All that waits: there is nothing more to wait for.
    pub fn end(&mut self) -> Vec<Incident> {
        self.known.iter_mut().filter_map(|(name, known)| known.flush(name)).collect()
    }

    /// In how many milliseconds the next is due.
    pub fn next_ms(&self, now: Timestamp) -> Option<u64> {
        let waits = self.known.values().filter_map(|known| known.pending.as_ref());
        waits.map(|pending| CAUSE_MS.saturating_sub(now.apart(pending.seen))).min()
    }
}

impl Known {
    /// The failure that waits, as it is known by now.
    fn flush(&mut self, name: &ServiceName) -> Option<Incident> {
        let Pending { title, failure, restarts, .. } = self.pending.take()?;
        self.down = true;
        let spent = restarts.as_ref().is_some_and(|r| r.next.is_none() && r.failures >= r.budget);
        let again = restarts.as_ref().is_some_and(|r| r.next.is_some());
        let (topic, severity) = match (spent, again) {
            (true, _) => (Topic::CrashLoop, Severity::Error),
            (_, true) => (Topic::Failed, Severity::Warning),
            _ => (Topic::Failed, Severity::Error),
        };
        let at = failure.at;
        let detail = Detail::Failure { failure, restarts, while_away: false };
        Some(Incident { topic, severity, service: Some((name.clone(), title)), at, detail })
    }
}

/// Whether the disk is nearly full.
#[derive(Debug, Default)]
pub struct Disk {
    /// How bad it was when it was told.
    told: Option<Severity>,
}

impl Disk {
    /// Takes a look at the disk: free and all bytes, and what Services itself leaves free.
    pub fn look(&mut self, free: u64, size: u64, floor: u64, folder: &str) -> Option<Incident> {
        let low = scarce(size).max(floor);
        let severity = if free < floor {
            Severity::Error
        } else if free < low {
            Severity::Warning
        } else {
            // A disk around the limit is told once, not each minute.
            if free > low + low / 4 {
                self.told = None;
            }
            return None;
        };
        if self.told.is_some_and(|told| told >= severity) {
            return None;
        }
        self.told = Some(severity);
        let detail = Detail::Disk(free, size, folder.to_owned());
        Some(Incident { topic: Topic::DiskLow, severity, service: None, at: Timestamp::now(), detail })
    }
}
