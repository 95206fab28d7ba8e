//! How deliveries went, per target: for the page and for monitoring.

use super::send::Trouble;
use app::model::Timestamp;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// How deliveries to one target went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Last {
    /// The last delivery, or what came of it instead.
    pub last: Option<(Timestamp, Result<(), Trouble>)>,
    /// Messages that arrived.
    pub sent: u64,
    /// Messages that did not, after all tries.
    pub failed: u64,
    /// Messages that found the queue full.
    pub dropped: u64,
    /// Messages that wait.
    pub waiting: u64,
}

/// All targets.
#[derive(Debug, Default)]
pub struct Board(Mutex<BTreeMap<String, Last>>);

impl Board {
    /// Changes what is known of a target.
    pub fn change(&self, target: &str, change: impl FnOnce(&mut Last)) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(all.entry(target.to_owned()).or_default());
    }

    /// What is known of a target.
    pub fn of(&self, target: &str) -> Last {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(target).cloned().unwrap_or_default()
    }
}
