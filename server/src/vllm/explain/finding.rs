//! What a log has shown so far that may explain an end.

use super::facts::Shortage;
use super::record::Record;
use super::rules::Weight;
use app::model::{Cause, Evidence, Facts};

/// Findings that are kept; the first ones matter.
const FINDINGS: usize = 32;
/// Lines of one message that become evidence.
const LINES: usize = 6;

/// A message that proves a cause.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Which.
    pub cause: Cause,
    /// How much it proves.
    pub weight: Weight,
    /// When it came, counted in lines.
    pub order: u64,
    /// When the same came last.
    pub last: u64,
    /// The server was coming up or was up.
    pub serving: bool,
    /// It belongs to a request, not to the server.
    pub request: bool,
    /// It ends the process, ready or not.
    pub fatal: bool,
    /// From the engine or a worker.
    pub engine: bool,
    /// Its lines.
    pub evidence: Vec<Evidence>,
    /// Its numbers and names.
    pub facts: Facts,
    /// What PyTorch's allocator told.
    pub shortage: Option<Shortage>,
}

/// A line that marks what became of the run.
#[derive(Clone, Debug)]
pub struct Mark {
    /// When it came, counted in lines.
    pub order: u64,
    /// The line.
    pub evidence: Vec<Evidence>,
    /// The exit code that it names.
    pub code: Option<i64>,
}

impl Mark {
    /// From a record.
    pub fn of(record: &Record) -> Self {
        Self { order: record.order, evidence: lines(record), code: super::facts::death_code(&record.text) }
    }

    /// Keeps the earliest mark, with the code of whichever has one.
    pub fn earliest(slot: &mut Option<Self>, mut new: Self) {
        if let Some(old) = slot {
            old.code = old.code.or(new.code);
            if new.order >= old.order {
                return;
            }
            new.code = old.code;
        }
        *slot = Some(new);
    }
}

/// The lines of a record that become evidence.
pub fn lines(record: &Record) -> Vec<Evidence> {
    record.shown.iter().take(LINES).cloned().collect()
}

/// Everything that may explain an end. Bounded.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// In the order they came.
    pub all: Vec<Finding>,
    /// The first exception that no rule knows, before the server came up and after.
    pub unknown: [Option<Finding>; 2],
}

impl Findings {
    /// Keeps a finding, unless the same is known or there are enough.
    pub fn add(&mut self, finding: Finding) {
        let same = self.all.iter_mut().find(|f| {
            f.cause == finding.cause && f.serving == finding.serving && f.request == finding.request
        });
        let Some(old) = same else {
            if self.all.len() < FINDINGS {
                self.all.push(finding);
            }
            return;
        };
        let last = old.last.max(finding.last);
        // Messages are complete in another order than they begin.
        if (old.weight, finding.order) < (finding.weight, old.order) {
            let before = std::mem::replace(old, finding);
            fill(&mut old.facts, &before.facts);
        } else {
            fill(&mut old.facts, &finding.facts);
        }
        old.last = last;
    }

    /// Keeps an exception that no rule knows.
    pub fn add_unknown(&mut self, finding: Finding) {
        if let Some(slot) = self.unknown.get_mut(usize::from(finding.serving))
            && slot
                .as_ref()
                .is_none_or(|old| old.request && !finding.request || !old.engine && finding.engine)
        {
            *slot = Some(finding);
        }
    }

    /// The server is up: what came before did not end it.
    pub fn survived(&mut self) {
        self.all.retain(|f| f.serving || f.fatal);
        if let Some(slot) = self.unknown.first_mut() {
            *slot = None;
        }
    }
}

/// Takes over what is still missing.
fn fill(facts: &mut Facts, more: &Facts) {
    macro_rules! take {
        ($($field:ident),*) => { $( if facts.$field.is_none() { facts.$field.clone_from(&more.$field); } )* };
    }
    take!(
        subject,
        value,
        allowed,
        needed_bytes,
        available_bytes,
        total_bytes,
        asked_tokens,
        possible_tokens,
        port,
        pid,
        code
    );
}
