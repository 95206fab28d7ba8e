//! What is worth telling of what changes: the one place where changes of services become events.
//!
//! In: each object of a service as it replaces the one before. Out: counts for monitoring, and events for whoever listens,
//! in a queue with a bound: what does not fit is counted, and nobody waits.

use crate::vitals::Counter;
use app::model::{
    Diagnosis, Failure, LogTrouble, Release, Remnant, Restarts, Service, ServiceName, State, Timestamp,
    UnreachableReason,
};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use tokio::sync::mpsc;

/// Events that may wait.
const QUEUE: usize = 256;

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Happening {
    /// It failed while the dashboard watched.
    Failed {
        /// How.
        failure: Box<Failure>,
        /// What becomes of it, where it is kept running.
        restarts: Option<Restarts>,
    },
    /// It had failed when the dashboard first looked.
    FoundFailed {
        /// How.
        failure: Box<Failure>,
    },
    /// The dashboard looked for the first time, and it had not failed.
    FoundWell,
    /// Why it failed is known by now.
    Diagnosed {
        /// When it failed.
        at: Timestamp,
        /// Why.
        diagnosis: Box<Diagnosis>,
    },
    /// It runs and does not answer.
    Unresponsive {
        /// Since when.
        since: Timestamp,
    },
    /// It answers.
    Running,
    /// GPU memory did not come back after a stop.
    MemoryHeld {
        /// Who holds it.
        by: Vec<Remnant>,
    },
    /// It is not looked after any more.
    Gone,
    /// Logs cannot be written.
    LogsNotWritten {
        /// Why.
        trouble: LogTrouble,
    },
}

/// One event.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Of which service; none for those of the dashboard itself.
    pub service: Option<(ServiceName, String)>,
    /// When it was noticed.
    pub at: Timestamp,
    /// What.
    pub what: Happening,
}

/// What was counted of one service since the dashboard began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Failures.
    pub failures: u64,
    /// Starts that nobody asked for, after a failure.
    pub restarts: u64,
}

/// What is known of one service.
#[derive(Debug, Default)]
struct Known {
    tally: Tally,
    /// The failure that was seen last: an engine that goes away and comes back shows the same one again.
    failed: Option<Timestamp>,
}

/// Counts and events.
#[derive(Debug)]
pub struct Events {
    known: Mutex<BTreeMap<ServiceName, Known>>,
    queue: mpsc::Sender<Event>,
    /// The other end, until somebody listens: what happens before that waits for him.
    end: Mutex<Option<mpsc::Receiver<Event>>>,
    lost: Counter,
}

impl Default for Events {
    fn default() -> Self {
        let (queue, end) = mpsc::channel(QUEUE);
        Self { known: Mutex::default(), queue, end: Mutex::new(Some(end)), lost: Counter::default() }
    }
}

fn not_asked(state: &State) -> bool {
    matches!(state, State::Unreachable { reason: UnreachableReason::NotAskedYet })
}

impl Known {
    /// What the change from one object to the next means.
    fn see(&mut self, old: Option<&Service>, new: &Service) -> Vec<Happening> {
        let mut seen = Vec::new();
        let before = old.map(|old| &old.state).filter(|state| !not_asked(state));
        match (before, &new.state) {
            (None, State::Failed { failure }) => {
                self.failed = Some(failure.at);
                seen.push(Happening::FoundFailed { failure: failure.clone() });
            }
            (None, state) if !not_asked(state) => seen.push(Happening::FoundWell),
            (_, State::Failed { failure }) if self.failed != Some(failure.at) => {
                self.failed = Some(failure.at);
                self.tally.failures += 1;
                seen.push(Happening::Failed { failure: failure.clone(), restarts: new.restarts.clone() });
            }
            (Some(State::Failed { failure: told }), State::Failed { failure }) => {
                if let Some(diagnosis) =
                    failure.diagnosis.as_ref().filter(|_| told.diagnosis != failure.diagnosis)
                {
                    let diagnosis = Box::new(diagnosis.clone());
                    seen.push(Happening::Diagnosed { at: failure.at, diagnosis });
                }
            }
            (Some(State::Failed { .. }), State::Starting { .. })
                if old.and_then(|old| old.restarts.as_ref()).is_some_and(|r| r.next.is_some()) =>
            {
                self.tally.restarts += 1;
            }
            (Some(before), State::Unresponsive { since })
                if !matches!(before, State::Unresponsive { .. }) =>
            {
                seen.push(Happening::Unresponsive { since: *since });
            }
            (Some(before), State::Running { .. }) if !matches!(before, State::Running { .. }) => {
                seen.push(Happening::Running);
            }
            _ => {}
        }
        if let Some(Release::Held { by, .. }) = &new.release
            && !matches!(old.and_then(|old| old.release.as_ref()), Some(Release::Held { .. }))
        {
            seen.push(Happening::MemoryHeld { by: by.clone() });
        }
        seen
    }
}

impl Events {
    /// All events since the beginning. There is one listener; where there is none, nothing is kept.
    pub fn listen(&self) -> Option<mpsc::Receiver<Event>> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// A service's object took the place of another.
    pub(super) fn changed(&self, old: Option<&Service>, new: &Service) {
        let seen = {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if !known.contains_key(&new.name) {
                known.insert(new.name.clone(), Known::default());
            }
            known.get_mut(&new.name).map(|known| known.see(old, new)).unwrap_or_default()
        };
        for what in seen {
            self.tell(Some((new.name.clone(), new.title.clone())), what);
        }
    }

    /// A service is not looked after any more.
    pub(super) fn gone(&self, service: &ServiceName) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(service);
        self.tell(Some((service.clone(), service.to_string())), Happening::Gone);
    }

    /// Logs cannot be written.
    pub(super) fn logs_not_written(&self, trouble: &LogTrouble) {
        self.tell(None, Happening::LogsNotWritten { trouble: trouble.clone() });
    }

    fn tell(&self, service: Option<(ServiceName, String)>, what: Happening) {
        let told = self.queue.try_send(Event { service, at: Timestamp::now(), what });
        if matches!(told, Err(mpsc::error::TrySendError::Full(_))) {
            self.lost.count();
        }
    }

    /// What was counted of a service.
    pub fn tally(&self, service: &ServiceName) -> Tally {
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(service)
            .map_or_else(Tally::default, |known| known.tally)
    }

    /// Events that found the queue full.
    pub fn lost(&self) -> u64 {
        self.lost.get()
    }
}
