//! How a start goes: its phases with their times, beside what they usually take.

use super::{Phase, Timestamp};
use serde::{Deserialize, Serialize};

/// A phase that was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseTime {
    /// Which.
    pub phase: Phase,
    /// When it began.
    pub at: Timestamp,
    /// What it took, in milliseconds; absent while it goes on.
    #[serde(default)]
    pub took_ms: Option<u64>,
}

/// What a phase usually takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsualTime {
    /// Which.
    pub phase: Phase,
    /// The median of earlier starts, in milliseconds.
    pub took_ms: u64,
}

/// Nothing was heard for longer than the limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// When something was heard last.
    pub since: Timestamp,
    /// The last line, at most 300 characters; empty when there was none.
    pub last: String,
}

/// The start of the current run, or the start that failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// The phases seen, in order. A phase that a version does not print is not here.
    pub phases: Vec<PhaseTime>,
    /// What phases took in earlier starts of this model and image on this machine, in order; empty before the first.
    pub usual: Vec<UsualTime>,
    /// How many earlier starts that was learned from.
    pub learned_from: u32,
    /// It starts and has said nothing for longer than the limit. Nothing is killed for that.
    #[serde(default)]
    pub silence: Option<Silence>,
}

impl Start {
    /// What this phase usually takes, in milliseconds.
    pub fn usual(&self, phase: Phase) -> Option<u64> {
        self.usual.iter().find(|u| u.phase == phase).map(|u| u.took_ms)
    }

    /// The phase under way, with the milliseconds it has taken by `now`.
    pub fn under_way(&self, now: Timestamp) -> Option<(Phase, u64)> {
        self.phases.last().filter(|p| p.took_ms.is_none()).map(|p| (p.phase, now.since(p.at)))
    }

    /// An estimate of what is left until ready, in milliseconds: the rest of this phase and all that usually follow.
    /// Absent before anything was learned.
    pub fn left_ms(&self, now: Timestamp) -> Option<u64> {
        let (phase, spent) = self.under_way(now)?;
        (!self.usual.is_empty()).then_some(())?;
        let rest = self.usual(phase).unwrap_or(0).saturating_sub(spent);
        let later: u64 = self.usual.iter().filter(|u| u.phase > phase).map(|u| u.took_ms).sum();
        Some(rest + later)
    }

    /// The phase under way takes clearly longer than it usually does: half as long again, and 5 s at least.
    pub fn is_late(&self, now: Timestamp) -> bool {
        self.under_way(now).is_some_and(|(phase, spent)| {
            self.usual(phase).is_some_and(|usual| spent > usual + (usual / 2).max(5_000))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start() -> Start {
        let usual = |phase, took_ms| UsualTime { phase, took_ms };
        Start {
            phases: vec![
                PhaseTime { phase: Phase::Import, at: Timestamp::from_millis(0), took_ms: Some(8_000) },
                PhaseTime { phase: Phase::Load, at: Timestamp::from_millis(8_000), took_ms: None },
            ],
            usual: vec![
                usual(Phase::Import, 8_000),
                usual(Phase::Load, 20_000),
                usual(Phase::Compile, 30_000),
            ],
            learned_from: 3,
            silence: None,
        }
    }

    #[test]
    fn what_is_left_is_the_rest_of_this_phase_and_those_that_follow() {
        assert_eq!(start().left_ms(Timestamp::from_millis(13_000)), Some(45_000));
        assert_eq!(
            start().left_ms(Timestamp::from_millis(60_000)),
            Some(30_000),
            "late: the rest is not negative"
        );
        assert_eq!(Start { usual: Vec::new(), ..start() }.left_ms(Timestamp::from_millis(1)), None);
    }

    #[test]
    fn late_is_half_as_long_again() {
        assert!(!start().is_late(Timestamp::from_millis(37_000)));
        assert!(start().is_late(Timestamp::from_millis(39_000)));
        assert!(!Start { usual: Vec::new(), ..start() }.is_late(Timestamp::from_millis(900_000)));
    }
}
