//! Decides for one target what is told now, and what is only counted. Pure: the time is told.
//!
//! The same of the same service is told once in a cool-down; when that is over, one message tells how often it happened
//! meanwhile, with the last of them, and a new cool-down begins.

use super::message::{Incident, Topic};
use app::model::{ServiceName, Timestamp};
use std::collections::BTreeMap;

#[derive(Debug)]
struct Quiet {
    until: Timestamp,
    /// What was not told, and the last of it.
    swallowed: Option<(u64, Incident)>,
}

/// Whether it is still quiet. A clock that was set back makes no cool-down longer than it is.
const fn holds(until: Timestamp, now: Timestamp, cooldown_ms: u64) -> bool {
    let left = until.since(now);
    left > 0 && left <= cooldown_ms
}

/// What one target was told, and when.
#[derive(Debug)]
pub struct Gate {
    cooldown_ms: u64,
    quiet: BTreeMap<(Option<ServiceName>, Topic), Quiet>,
}

impl Gate {
    /// A target that was told nothing yet.
    pub const fn new(cooldown_ms: u64) -> Self {
        Self { cooldown_ms, quiet: BTreeMap::new() }
    }

    /// Whether this incident is told now.
    pub fn pass(&mut self, incident: &Incident, now: Timestamp) -> bool {
        if self.cooldown_ms == 0 {
            return true;
        }
        let key = (incident.service.as_ref().map(|(name, _)| name.clone()), incident.topic);
        let until = now.plus_millis(i64::try_from(self.cooldown_ms).unwrap_or(i64::MAX));
        match self.quiet.get_mut(&key) {
            Some(quiet) if holds(quiet.until, now, self.cooldown_ms) => {
                let before = quiet.swallowed.as_ref().map_or(0, |(count, _)| *count);
                quiet.swallowed = Some((before + 1, incident.clone()));
                false
            }
            _ => {
                self.quiet.insert(key, Quiet { until, swallowed: None });
                true
            }
        }
    }

    /// What was swallowed in cool-downs that are over: how often, and the last of it.
    pub fn due(&mut self, now: Timestamp) -> Vec<(u64, Incident)> {
        let mut due = Vec::new();
        let until = now.plus_millis(i64::try_from(self.cooldown_ms).unwrap_or(i64::MAX));
        let cooldown_ms = self.cooldown_ms;
        self.quiet.retain(|_, quiet| {
            if holds(quiet.until, now, cooldown_ms) {
                return true;
            }
            let Some(swallowed) = quiet.swallowed.take() else { return false };
            due.push(swallowed);
            quiet.until = until;
            true
        });
        due
    }

    /// In how many milliseconds the next cool-down with something to tell is over.
    pub fn next_ms(&self, now: Timestamp) -> Option<u64> {
        let waits = self.quiet.values().filter(|quiet| quiet.swallowed.is_some());
        waits.map(|quiet| quiet.until.since(now)).min()
    }
}
