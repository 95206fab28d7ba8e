//! Kept running: when a service that nobody stopped is started without being asked, and when no more.

use super::{Effect, Machine, Timer};
use app::model::{Failure, FailureKind, Restarts, Timestamp, Wish};

/// Whether it is kept running: started with the dashboard, and again after a failure, within a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// It is.
    pub on: bool,
    /// With so many failures within the window it stays failed.
    pub budget: u32,
    /// The window, in milliseconds.
    pub window: u64,
}

impl Default for Keep {
    fn default() -> Self {
        Self { on: false, budget: 3, window: 600_000 }
    }
}

/// What outlives a dashboard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// When it failed, as far as that still counts.
    pub failures: Vec<Timestamp>,
    /// Failures in a row without having been ready: they count however long each of them took.
    pub unready: u32,
    /// Somebody stopped it, here or in a terminal: it stays stopped.
    pub by_hand: bool,
}

fn after(moment: Timestamp, ms: u64) -> Timestamp {
    moment.plus_millis(i64::try_from(ms).unwrap_or(i64::MAX))
}

impl Machine {
    /// What a later dashboard must know.
    pub const fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Restarts after failures, where there are any.
    pub fn restarts(&self, now: Timestamp) -> Option<Restarts> {
        let counted = |at: &&Timestamp| now.apart(**at) < self.keep.window;
        let oldest = self.memory.failures.iter().find(counted);
        let failures = self.failures(now).max(self.memory.unready);
        (self.keeps() && failures > 0).then(|| Restarts {
            failures,
            budget: self.keep.budget,
            window_s: self.keep.window / 1000,
            next: self.retry,
            resets: oldest.map(|at| after(*at, self.keep.window)),
        })
    }

    /// It is kept running by us: an engine with a policy of its own restarts it without being asked.
    pub(super) fn keeps(&self) -> bool {
        let container = self.instance.as_ref().and_then(|i| i.container.as_ref());
        self.keep.on && container.is_none_or(|c| matches!(c.restart_policy.as_str(), "no" | ""))
    }

    /// Failures within the window.
    fn failures(&self, now: Timestamp) -> u32 {
        let failures = self.memory.failures.iter().filter(|at| now.apart(**at) < self.keep.window).count();
        u32::try_from(failures).unwrap_or(u32::MAX)
    }

    /// Nobody stopped it, and the budget of the window is not spent.
    pub(super) fn should_run(&self, now: Timestamp) -> bool {
        self.keeps() && !self.memory.by_hand && self.failures(now) < self.keep.budget
    }

    /// It failed: it is started again after a while, each time a longer one, as long as the budget lasts.
    pub(super) fn fail(&mut self, failure: Failure, now: Timestamp, effects: &mut Vec<Effect>) {
        let again = match &failure.kind {
            FailureKind::ImageMissing { .. }
            | FailureKind::ModelNotSet
            | FailureKind::CommandMissing { .. }
            | FailureKind::WontStop => false,
            kind => {
                kind.is_end() || matches!(kind, FailureKind::PortInUse { .. } | FailureKind::Refused { .. })
            }
        };
        self.failure = Some(failure);
        self.wish = Wish::Stopped;
        if !again || !self.keeps() || self.memory.by_hand {
            return;
        }
        self.memory.failures.retain(|at| now.apart(*at) < self.keep.window);
        self.memory.failures.push(now);
        // A start that takes longer than the window to fail would never spend it.
        self.memory.unready =
            if self.ready_since.is_some() { 0 } else { self.memory.unready.saturating_add(1) };
        if self.should_run(now) && self.memory.unready < self.keep.budget {
            let nth = u32::try_from(self.memory.failures.len()).unwrap_or(u32::MAX);
            let wait = (self.limits.retry << nth.saturating_sub(1).min(16)).min(self.limits.retry_max);
            self.wish = Wish::Running;
            self.retry = Some(after(now, wait));
            effects.push(Effect::Arm(Timer::Retry, wait));
        }
    }

    /// What waits to be tried again is not, any more.
    pub(super) fn no_retry(&mut self, effects: &mut Vec<Effect>) {
        if self.retry.take().is_some() {
            effects.push(Effect::Disarm(Timer::Retry));
        }
    }

    /// It is kept running, and does not run: nobody needs to ask.
    pub(super) fn launch_by_itself(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        if !self.is_up() && self.launching.is_none() && self.releasing.is_none() {
            self.retry = None;
            self.wish = Wish::Running;
            self.launch(now, effects);
        }
    }
}
