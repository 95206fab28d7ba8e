//! What is known of one run: one start of one service.

use super::{PhaseTime, ServiceName, State, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A run, going on or over. What nobody saw or kept is absent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunInfo {
    /// Its number: unique across services, never used again.
    pub run: u64,
    /// Whose.
    pub service: ServiceName,
    /// When the runtime started it.
    pub started: Timestamp,
    /// When it became ready.
    #[serde(default)]
    pub ready: Option<Timestamp>,
    /// When it ended.
    #[serde(default)]
    pub ended: Option<Timestamp>,
    /// It goes on.
    #[serde(default)]
    pub live: bool,
    /// Its exit code.
    #[serde(default)]
    pub code: Option<i64>,
    /// How it ended: `stopped`, or `failed` with its cause.
    #[serde(default)]
    pub outcome: Option<State>,
    /// The phases of its start; also of one that failed.
    #[serde(default)]
    pub phases: Vec<PhaseTime>,
    /// The image that it ran from.
    #[serde(default)]
    pub image: Option<String>,
    /// The settings that it was launched with, by name. No secret is among them.
    #[serde(default)]
    pub configuration: Option<BTreeMap<String, String>>,
    /// How many lines its log has.
    #[serde(default)]
    pub lines: Option<u64>,
    /// What its log takes on the disk, in bytes.
    #[serde(default)]
    pub bytes: Option<u64>,
}

impl RunInfo {
    /// From its start to its end, in milliseconds.
    pub fn length_ms(&self) -> Option<u64> {
        self.ended.map(|at| at.since(self.started))
    }

    /// From its start until it was ready, in milliseconds.
    pub fn ready_ms(&self) -> Option<u64> {
        self.ready.map(|at| at.since(self.started))
    }
}
