//! Makes incidents of events. Pure: the time is told, the store's memory is handed in.
//!
//! A failure is held back for a moment: why it failed is known only when its log was read to the end. What failed while no
//! dashboard ran is told once, by what an earlier one remembered. That something answers again is held back, too: what fails
//! at once again has not recovered.

use super::message::{Detail, Incident, Severity, Topic};
use crate::history::scarce;
use crate::supervisor::{Event, Happening};
use app::model::{Cause, Failure, Restarts, ServiceName, Timestamp};
use std::collections::BTreeMap;

/// How long a failure waits for its cause.
const CAUSE_MS: u64 = 3_000;
/// How long something answers before it counts as recovered.
const STEADY_MS: u64 = 3_000;

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
    /// It answers again since then: its title, and when that was seen.
    up: Option<(String, Timestamp)>,
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
        if matches!(
            event.what,
            Happening::Failed { .. } | Happening::FoundFailed { .. } | Happening::Unresponsive { .. }
        ) {
            known.up = None;
        }
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
                if known.down && known.up.is_none() {
                    known.up = Some((title, event.at));
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
        let mut due = Vec::new();
        for (name, known) in &mut self.known {
            if known.pending.as_ref().is_some_and(|p| now.apart(p.seen) >= CAUSE_MS) {
                due.extend(known.flush(name));
            }
            if known.up.as_ref().is_some_and(|(_, at)| now.apart(*at) >= STEADY_MS) {
                due.extend(known.recover(name));
            }
        }
        due
    }

    /// All that waits: there is nothing more to wait for.
    pub fn end(&mut self) -> Vec<Incident> {
        self.known
            .iter_mut()
            .flat_map(|(name, known)| known.flush(name).into_iter().chain(known.recover(name)))
            .collect()
    }

    /// In how many milliseconds the next is due.
    pub fn next_ms(&self, now: Timestamp) -> Option<u64> {
        let cause = |p: &Pending| CAUSE_MS.saturating_sub(now.apart(p.seen));
        let steady = |(_, at): &(String, Timestamp)| STEADY_MS.saturating_sub(now.apart(*at));
        let waits = |known: &Known| {
            let cause = known.pending.as_ref().map(cause);
            cause.into_iter().chain(known.up.as_ref().map(steady)).min()
        };
        self.known.values().filter_map(waits).min()
    }
}

impl Known {
    /// That it answers again, where that was waited for.
    fn recover(&mut self, name: &ServiceName) -> Option<Incident> {
        let (title, at) = self.up.take()?;
        self.down = false;
        let service = Some((name.clone(), title));
        Some(Incident {
            topic: Topic::Recovered,
            severity: Severity::Info,
            service,
            at,
            detail: Detail::Plain,
        })
    }

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
