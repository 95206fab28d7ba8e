//! The rules of a service's life as one pure function: [`Machine::next`] takes an observation and the time, changes the
//! machine and says what to do. No clock, no I/O, no task.
//!
//! The public state is derived by [`Machine::state`] from what was observed, so that it cannot contradict it.

mod keep;

pub use keep::{Keep, Memory};

use crate::runtime::{Activity, Ended, Instance, InstanceId, Look, RuntimeError, StopSignal, is_final};
use crate::vllm::probe::{Probe, Served};
use app::model::{
    Diagnosis, Failure, FailureKind, Phase, PhaseProgress, PortHolder, Release, Silence, State, StoppedNote,
    Timestamp, UnreachableReason, Verb, Wish,
};

/// Time limits of the rules, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From the first SIGTERM to the second: vLLM swallows the first while it loads.
    pub term_again: u64,
    /// From the first SIGTERM to SIGKILL.
    pub grace: u64,
    /// From SIGKILL to giving up.
    pub give_up: u64,
    /// Between probes while it starts: from this …
    pub probe_start: u64,
    /// … doubling up to this.
    pub probe_start_max: u64,
    /// Between probes while it answers.
    pub probe_running: u64,
    /// Between looks at a runtime that cannot be asked.
    pub look_again: u64,
    /// How many probes in a row must fail before it counts as unresponsive.
    pub probe_failures: u32,
    /// A start that says nothing for longer is called silent.
    pub silence: u64,
    /// Between looks at a silent start.
    pub silence_again: u64,
    /// From a failure to the next try: this, doubling …
    pub retry: u64,
    /// … up to this.
    pub retry_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            term_again: 3_000,
            grace: 30_000,
            give_up: 10_000,
            probe_start: 250,
            probe_start_max: 2_000,
            probe_running: 5_000,
            look_again: 2_000,
            probe_failures: 3,
            silence: 300_000,
            silence_again: 2_000,
            retry: 2_000,
            retry_max: 60_000,
        }
    }
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Observation {
    /// A user asked.
    Command(Verb),
    /// Whether it is kept running was changed.
    Keep(Keep),
    /// What the runtime showed, and what is remembered of that very instance.
    Looked(Look, Recalled),
    /// The runtime cannot be asked.
    Away(UnreachableReason),
    /// A launch ended.
    Launched(Result<(), RuntimeError>),
    /// A signal was sent, or not.
    Signalled(StopSignal, Result<(), RuntimeError>),
    /// The API was asked.
    Probed(Probe),
    /// The log tells of a phase.
    Phase(Phase, Option<PhaseProgress>),
    /// Why this instance ended, or why there is none.
    Diagnosed(Option<InstanceId>, Box<Diagnosis>),
    /// When the log of this instance said something last, and what.
    Heard(InstanceId, Timestamp, String),
    /// GPU memory that its processes hold, in bytes, where that can be read.
    GpuMemory(Option<u64>),
    /// What became of its GPU memory after a stop; `None` where that cannot be told.
    Released(Option<Release>),
    /// A timer of ours ran out.
    Timer(Timer),
}

/// What an earlier or this dashboard remembers of one instance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recalled {
    /// How it ended.
    pub known: Option<State>,
    /// When it became ready.
    pub ready_since: Option<Timestamp>,
    /// It was being stopped.
    pub stopping: bool,
}

/// Timers of the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Timer {
    /// Send SIGTERM again.
    TermAgain,
    /// Send SIGKILL.
    Kill,
    /// Stop waiting for the end.
    GiveUp,
    /// Ask the API.
    Probe,
    /// Look at a runtime that could not be asked.
    Look,
    /// Ask when a start was heard last.
    Silence,
    /// Start again after a failure.
    Retry,
}

/// Something to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Create it if needed and start it.
    Launch,
    /// Look at the runtime.
    Look,
    /// Send a signal to this instance.
    Signal(InstanceId, StopSignal),
    /// End what this instance left behind.
    EndRemnants(InstanceId),
    /// Follow this instance's log; its run is a new one unless it is known.
    Follow(Box<Instance>),
    /// Ask the API now.
    Probe,
    /// Say when the log was heard last.
    Listen,
    /// Wait, within a limit, until its GPU memory is back.
    AwaitRelease,
    /// Set a timer, in milliseconds; replaces the one of the same name.
    Arm(Timer, u64),
    /// Clear a timer.
    Disarm(Timer),
}

/// A stop that was asked for here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct StopAsked {
    since: Timestamp,
}

/// All that is known of one service.
#[derive(Clone, Debug, PartialEq)]
pub struct Machine {
    limits: Limits,
    wish: Wish,
    /// The runtime was asked at least once.
    asked: bool,
    /// It has answered at least once.
    seen_once: bool,
    away: Option<UnreachableReason>,
    instance: Option<Instance>,
    launching: Option<Timestamp>,
    /// A launch was ordered and has not ended; another one waits for that end.
    launch_out: bool,
    launch_again: bool,
    stop: Option<StopAsked>,
    phase: Option<(Phase, Option<PhaseProgress>)>,
    ready_since: Option<Timestamp>,
    /// Probes that failed in a row since it was ready, and when the first did.
    silent: Option<(Timestamp, u32)>,
    probe_wait: u64,
    failure: Option<Failure>,
    note: Option<StoppedNote>,
    /// It ended at this moment, where that is known.
    ended_at: Option<Timestamp>,
    served: Served,
    port_taken: Option<PortHolder>,
    silence: Option<Silence>,
    gpu_memory: Option<u64>,
    /// It has ended, and its GPU memory is waited for; the stop was asked for at this moment.
    releasing: Option<Timestamp>,
    release: Option<Release>,
    keep: Keep,
    memory: Memory,
    /// When it is started again after a failure.
    retry: Option<Timestamp>,
}

impl Machine {
    /// A service that nobody has looked at yet.
    pub fn new(limits: Limits, wish: Wish, keep: Keep, memory: Memory) -> Self {
        Self {
            keep,
            memory,
            retry: None,
            limits,
            wish,
            asked: false,
            seen_once: false,
            away: None,
            instance: None,
            launching: None,
            launch_out: false,
            launch_again: false,
            stop: None,
            phase: None,
            ready_since: None,
            silent: None,
            probe_wait: limits.probe_start,
            failure: None,
            note: None,
            ended_at: None,
            served: Served::default(),
            port_taken: None,
            silence: None,
            gpu_memory: None,
            releasing: None,
            release: None,
        }
    }

    /// The wish.
    pub const fn wish(&self) -> Wish {
        self.wish
    }

    /// A stop that was asked for here is under way.
    pub const fn is_stopping(&self) -> bool {
        self.stop.is_some()
    }

    /// Nothing that was asked for is still to be done.
    pub const fn is_at_rest(&self) -> bool {
        let launching = self.launching.is_some() || self.launch_out || self.launch_again;
        !launching && self.stop.is_none() && self.releasing.is_none()
    }

    /// The instance that was seen last.
    pub const fn instance(&self) -> Option<&Instance> {
        self.instance.as_ref()
    }

    /// When the instance became ready.
    pub const fn ready_since(&self) -> Option<Timestamp> {
        self.ready_since
    }

    /// What is served; empty while it does not answer.
    pub const fn served(&self) -> &Served {
        &self.served
    }

    /// The start says nothing.
    pub const fn silence(&self) -> Option<&Silence> {
        self.silence.as_ref()
    }

    /// GPU memory that its processes hold, in bytes.
    pub const fn gpu_memory(&self) -> Option<u64> {
        self.gpu_memory
    }

    /// What became of its GPU memory after the last stop.
    pub const fn release(&self) -> Option<&Release> {
        self.release.as_ref()
    }

    /// When a launch that is under way was asked for.
    pub const fn launching(&self) -> Option<Timestamp> {
        self.launching
    }

    /// When the instance ended, where that is known.
    pub const fn ended_at(&self) -> Option<Timestamp> {
        self.ended_at
    }

    /// What failed, whatever else is the case.
    pub const fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// It ended while nobody watched, and nothing but its log can say why.
    pub const fn is_unjudged(&self) -> bool {
        matches!(self.note, Some(StoppedNote::EndedWhileAway { .. })) && self.failure.is_none()
    }

    /// What else answers at the service's address.
    pub const fn port_taken(&self) -> Option<&PortHolder> {
        self.port_taken.as_ref()
    }

    /// The instance runs.
    pub fn is_up(&self) -> bool {
        self.instance.as_ref().is_some_and(|i| i.activity == Activity::Running)
    }

    /// The runtime cannot be asked.
    pub const fn is_away(&self) -> bool {
        self.away.is_some() || !self.asked
    }

    /// Nobody has looked yet.
    pub const fn is_waiting(&self) -> bool {
        !self.asked
    }

    /// The public state.
    pub fn state(&self) -> State {
        if let Some(reason) = &self.away {
            return State::Unreachable { reason: reason.clone() };
        }
        if !self.asked {
            return State::Unreachable { reason: UnreachableReason::NotAskedYet };
        }
        let up = self.instance.as_ref().filter(|i| i.activity == Activity::Running);
        if let Some(stop) = self.stop.filter(|_| up.is_some() || self.launching.is_some()) {
            return State::Stopping { since: stop.since };
        }
        if let Some(since) = self.releasing.filter(|_| up.is_none()) {
            return State::Stopping { since };
        }
        if let Some(failure) = self.failure.as_ref().filter(|f| up.is_none() || was_not_stopped(&f.kind)) {
            return State::Failed { failure: Box::new(failure.clone()) };
        }
        if let Some(instance) = up {
            return match (self.ready_since, self.silent) {
                (Some(_), Some((since, failed))) if failed >= self.limits.probe_failures => {
                    State::Unresponsive { since }
                }
                (Some(since), _) => State::Running { since },
                (None, _) => {
                    let (phase, progress) = self.phase.unwrap_or((Phase::Import, None));
                    State::Starting { phase, since: Timestamp::from_nanos(instance.id.started_ns), progress }
                }
            };
        }
        if let Some(since) = self.launching {
            return State::Starting { phase: Phase::Create, since, progress: None };
        }
        State::Stopped { since: self.ended_at, note: self.note.clone() }
    }

    /// What an earlier or this dashboard should remember of an ended instance.
    pub fn outcome(&self) -> Option<State> {
        let ended = self.instance.as_ref().is_some_and(|i| matches!(i.activity, Activity::Ended(_)));
        let settled = ended && self.away.is_none() && self.launching.is_none();
        // It has ended as it was asked to, whatever becomes of its memory.
        let released = || State::Stopped { since: self.ended_at, note: self.note.clone() };
        settled.then(|| if self.releasing.is_some() { released() } else { self.state() })
    }

    /// Takes one observation.
    pub fn next(&mut self, observation: Observation, now: Timestamp) -> Vec<Effect> {
        let mut effects = Vec::new();
        match observation {
            Observation::Command(verb) => self.command(verb, now, &mut effects),
            Observation::Keep(keep) => {
                self.keep = keep;
                if !self.keeps() && self.retry.is_some() {
                    self.wish = Wish::Stopped;
                    self.no_retry(&mut effects);
                }
            }
            Observation::Looked(look, recalled) => self.looked(look, recalled, now, &mut effects),
            Observation::Away(reason) => {
                self.asked = true;
                self.away = Some(reason);
                effects.push(Effect::Disarm(Timer::Probe));
                // One question that failed is no news of the runtime's return: ask again until it answers.
                effects.push(Effect::Arm(Timer::Look, self.limits.look_again));
            }
            Observation::Launched(result) => self.launched(result, now, &mut effects),
            Observation::Signalled(_, Err(RuntimeError::Away(reason))) => {
                return self.next(Observation::Away(reason), now);
            }
            Observation::Signalled(_, Err(RuntimeError::Refused(kind))) => {
                // What may not be stopped goes on: that is said at once, and not waited for. An engine's own error may come
                // of an end that takes long.
                if self.is_up() && is_final(&kind) {
                    self.stop = None;
                }
                self.failure = Some(Failure { kind, at: now, diagnosis: None });
                effects.push(Effect::Look);
            }
            Observation::Signalled(_, Ok(())) => effects.push(Effect::Look),
            Observation::Probed(probe) => self.probed(probe, now, &mut effects),
            Observation::Phase(phase, progress) => {
                if self.is_up() && self.ready_since.is_none() {
                    self.phase = Some((phase, progress));
                    if phase == Phase::Ready {
                        self.probe_wait = self.limits.probe_start;
                        effects.push(Effect::Probe);
                    }
                }
            }
            Observation::Diagnosed(id, diagnosis) => self.diagnosed(id.as_ref(), *diagnosis, now),
            Observation::Heard(id, at, last) => self.heard(&id, at, last, now, &mut effects),
            Observation::GpuMemory(bytes) => {
                self.gpu_memory = bytes;
                if let Some(Release::Held { freed_bytes, by }) = &self.release
                    && bytes == Some(0)
                {
                    let rest: u64 = by.iter().filter_map(|r| r.memory_bytes).sum();
                    self.release = Some(Release::Back { freed_bytes: freed_bytes + rest });
                }
            }
            Observation::Released(release) => {
                if self.releasing.take().is_some() {
                    self.release = release;
                    if self.wish == Wish::Running {
                        self.launch(now, &mut effects);
                    }
                }
            }
            Observation::Timer(timer) => self.timer(timer, now, &mut effects),
        }
        effects
    }

    fn diagnosed(&mut self, id: Option<&InstanceId>, diagnosis: Diagnosis, now: Timestamp) {
        let this = id.is_none_or(|id| self.instance.as_ref().is_some_and(|i| i.id == *id));
        if !this {
            return;
        }
        if let (Some(StoppedNote::EndedWhileAway { code }), None) = (&self.note, &self.failure) {
            let code = *code;
            // Nobody watched, but its log says that it failed.
            self.note = None;
            let kind = FailureKind::Exited { code, was_ready: self.ready_since.is_some() };
            self.failure = Some(Failure { kind, at: self.ended_at.unwrap_or(now), diagnosis: None });
        }
        if let Some(failure) = &mut self.failure {
            failure.diagnosis = Some(diagnosis);
        }
    }

    fn heard(
        &mut self,
        id: &InstanceId,
        at: Timestamp,
        last: String,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let this = self.is_up() && self.instance.as_ref().is_some_and(|i| i.id == *id);
        if !this || self.ready_since.is_some() || self.stop.is_some() {
            return;
        }
        let quiet = now.since(at);
        let silent = quiet >= self.limits.silence;
        self.silence = silent.then_some(Silence { since: at, last });
        let wait = if silent { self.limits.silence_again } else { self.limits.silence - quiet };
        effects.push(Effect::Arm(Timer::Silence, wait));
    }

    fn command(&mut self, verb: Verb, now: Timestamp, effects: &mut Vec<Effect>) {
        if self.is_away() {
            return;
        }
        self.no_retry(effects);
        self.memory.by_hand = verb == Verb::Stop;
        // Whoever asks has seen what happened: the budget is a new one.
        self.memory.failures.clear();
        self.memory.unready = 0;
        match verb {
            Verb::Start => {
                self.wish = Wish::Running;
                if self.releasing.is_some() {
                    // It starts as soon as its memory is back.
                } else if self.launching.is_some() {
                    // The launch that a Stop was going to undo is wanted after all.
                    self.stop = None;
                } else if !self.is_up() {
                    self.launch(now, effects);
                } else if self.stop.is_none()
                    && self.failure.take_if(|failure| was_not_stopped(&failure.kind)).is_some()
                {
                    // What could not be stopped is wanted: it runs, and is asked how it is again.
                    effects.push(Effect::Probe);
                }
            }
            Verb::Stop => {
                self.wish = Wish::Stopped;
                if self.is_up() {
                    self.begin_stop(now, effects);
                } else if self.launching.is_some() {
                    self.stop = Some(StopAsked { since: now });
                } else if self.releasing.is_none() {
                    self.failure = None;
                    let held = matches!(self.release, Some(Release::Held { .. }));
                    if let Some(i) = self.instance.as_ref().filter(|i| held || !i.remnants.is_empty()) {
                        effects.push(Effect::EndRemnants(i.id.clone()));
                    }
                }
            }
            Verb::Restart => {
                self.wish = Wish::Running;
                if self.is_up() {
                    self.begin_stop(now, effects);
                } else if self.launching.is_none() && self.releasing.is_none() {
                    self.launch(now, effects);
                }
            }
        }
    }

    fn launch(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        self.failure = None;
        self.note = None;
        self.stop = None;
        self.release = None;
        self.launching = Some(now);
        if self.launch_out {
            // What the launch before brought ended before the launch itself did.
            self.launch_again = true;
        } else {
            self.launch_out = true;
            effects.push(Effect::Launch);
        }
    }

    fn begin_stop(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        let Some(instance) = self.instance.as_ref().filter(|i| i.activity == Activity::Running) else {
            return;
        };
        if self.stop.is_some() && self.failure.is_none() {
            return;
        }
        self.failure = None;
        self.silence = None;
        self.stop = Some(StopAsked { since: now });
        effects.push(Effect::Signal(instance.id.clone(), StopSignal::Terminate));
        effects.push(Effect::Disarm(Timer::Probe));
        effects.push(Effect::Arm(Timer::TermAgain, self.limits.term_again));
        effects.push(Effect::Arm(Timer::Kill, self.limits.grace));
    }

    fn launched(&mut self, result: Result<(), RuntimeError>, now: Timestamp, effects: &mut Vec<Effect>) {
        self.launch_out = false;
        if std::mem::take(&mut self.launch_again) && self.launching.is_some() && self.wish == Wish::Running {
            self.launch(now, effects);
            return;
        }
        match result {
            Ok(()) => effects.push(Effect::Look),
            Err(error) => {
                self.launching = None;
                self.stop = None;
                match error {
                    RuntimeError::Away(reason) => {
                        let owed = self.wish == Wish::Running;
                        effects.extend(self.next(Observation::Away(reason), now));
                        if owed {
                            // It is still wanted when the runtime is back.
                            self.retry = Some(now);
                            effects.push(Effect::Arm(Timer::Retry, self.limits.look_again));
                        }
                    }
                    RuntimeError::Refused(kind) => {
                        if let FailureKind::PortInUse { by, .. } = &kind {
                            self.port_taken = Some(by.clone());
                        }
                        self.fail(Failure { kind, at: now, diagnosis: None }, now, effects);
                        effects.push(Effect::Look);
                    }
                }
            }
        }
    }

    fn looked(&mut self, look: Look, recalled: Recalled, now: Timestamp, effects: &mut Vec<Effect>) {
        let first = !std::mem::replace(&mut self.seen_once, true);
        self.asked = true;
        let was_away = self.away.take().is_some();
        let (seen, removed) = match look {
            Look::Absent => (None, false),
            Look::Present(instance) => (Some(*instance), false),
            Look::Removed(instance) => (Some(*instance), true),
        };
        let Some(seen) = seen else {
            self.absent(first, now, effects);
            return;
        };
        let same = self.instance.as_ref().is_some_and(|i| i.id == seen.id);
        let was_up = same && self.is_up();
        let activity = seen.activity.clone();
        if !same {
            self.forget_run();
            self.ready_since = recalled.ready_since;
            if activity != Activity::Created {
                effects.push(Effect::Follow(Box::new(seen.clone())));
            }
        }
        self.instance = Some(seen);
        match activity {
            Activity::Created => {
                self.launch_came_to_nothing(now, effects);
                if self.launching.is_none() && self.failure.is_none() {
                    self.note = Some(StoppedNote::NeverStarted);
                }
                if first && self.should_run(now) {
                    self.launch_by_itself(now, effects);
                }
            }
            // An earlier dashboard was stopping it: that goes on.
            Activity::Running if first && recalled.stopping => self.begin_stop(now, effects),
            Activity::Running => self.seen_running(same, was_away, now, effects),
            Activity::Ended(ended) => {
                let news = was_up || !same;
                let watched = !first && !was_away;
                if news && !first && (watched || self.stop.is_some() || ended.asked_outside) {
                    self.judge(&ended, removed, now, effects);
                } else if news {
                    self.run_is_over(effects);
                    self.restore(&ended, recalled.known);
                    if self.should_run(now) {
                        self.launch_by_itself(now, effects);
                    }
                } else {
                    self.launch_came_to_nothing(now, effects);
                    if removed && self.failure.is_none() {
                        self.note = Some(StoppedNote::Removed);
                    }
                }
            }
        }
    }

    fn seen_running(&mut self, same: bool, was_away: bool, now: Timestamp, effects: &mut Vec<Effect>) {
        if !same {
            self.ended_at = None;
            self.note = None;
            self.releasing = None;
            self.release = None;
            if self.stop.is_none() {
                // Whoever started it, here or in a terminal, wants it to run: the last wish wins.
                self.wish = Wish::Running;
                self.memory.by_hand = false;
                self.no_retry(effects);
                self.failure = None;
            } else if self.launching.is_some() {
                // Stop was pressed while the launch was under way.
                self.launching = None;
                self.stop = None;
                self.begin_stop(now, effects);
                return;
            }
        }
        self.launching = None;
        if was_away && self.stop.take().is_some() {
            // Timers may have run out while the engine could not be asked: the stop begins again.
            self.begin_stop(now, effects);
        } else if self.stop.is_none() && (!same || was_away) {
            self.probe_wait = self.limits.probe_start;
            effects.push(Effect::Probe);
            if self.ready_since.is_none() {
                effects.push(Effect::Arm(Timer::Silence, self.limits.silence));
            }
        }
    }

    /// Nothing is there (any more).
    fn absent(&mut self, first: bool, now: Timestamp, effects: &mut Vec<Effect>) {
        if self.launch_out && self.stop.is_none() {
            return;
        }
        self.launch_came_to_nothing(now, effects);
        let was_up = self.is_up();
        let had = self.instance.take().is_some();
        if had || first {
            self.forget_run();
            self.disarm(effects);
        }
        if was_up {
            self.ended_at = Some(now);
            if self.stop.take().is_none() {
                // Taken away from outside: as good as stopped by hand.
                self.wish = Wish::Stopped;
                self.memory.by_hand = true;
            } else if self.wish == Wish::Running {
                self.launch(now, effects);
                return;
            }
        }
        if first && self.should_run(now) {
            self.launch_by_itself(now, effects);
            return;
        }
        if self.failure.is_none() {
            self.note = Some(if had {
                StoppedNote::Removed
            } else {
                self.note.take().unwrap_or(StoppedNote::NotCreated)
            });
        }
    }

    /// A launch ended well, and nothing runs: what it brought was gone before anybody could look.
    fn launch_came_to_nothing(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        if self.launching.is_none() || self.launch_out || self.is_up() {
            return;
        }
        self.launching = None;
        if self.stop.take().is_none() {
            self.wish = Wish::Stopped;
            if self.failure.is_none() {
                let kind = FailureKind::Exited { code: -1, was_ready: false };
                self.fail(Failure { kind, at: now, diagnosis: None }, now, effects);
            }
        }
    }

    fn forget_run(&mut self) {
        self.phase = None;
        self.ready_since = None;
        self.silent = None;
        self.served = Served::default();
        self.silence = None;
        self.port_taken = None;
        self.probe_wait = self.limits.probe_start;
    }

    fn disarm(&self, effects: &mut Vec<Effect>) {
        effects.extend(
            [Timer::TermAgain, Timer::Kill, Timer::GiveUp, Timer::Probe, Timer::Silence].map(Effect::Disarm),
        );
    }

    /// Nothing is to be expected of this run any more.
    fn run_is_over(&mut self, effects: &mut Vec<Effect>) {
        self.disarm(effects);
        self.launching = None;
        self.served = Served::default();
        self.silent = None;
        self.silence = None;
    }

    /// It ended while we watched: who asked decides, never the exit code.
    fn judge(&mut self, ended: &Ended, removed: bool, now: Timestamp, effects: &mut Vec<Effect>) {
        self.run_is_over(effects);
        self.ended_at = Some(ended.at);
        self.failure = None;
        self.note = removed.then_some(StoppedNote::Removed);
        if let Some(stop) = self.stop.take() {
            if self.gpu_memory.is_some_and(|bytes| bytes > 0) {
                self.releasing = Some(stop.since);
                effects.push(Effect::AwaitRelease);
            } else if self.wish == Wish::Running {
                self.launch(now, effects);
            }
            return;
        }
        if (ended.asked_outside || ended.perhaps_asked) && !ended.oom {
            self.wish = Wish::Stopped;
            self.memory.by_hand = true;
            self.note = Some(if removed { StoppedNote::Removed } else { StoppedNote::StoppedOutside });
            return;
        }
        self.fail(Failure { kind: self.failure_of(ended), at: ended.at, diagnosis: None }, now, effects);
    }

    fn failure_of(&self, ended: &Ended) -> FailureKind {
        match ended.code {
            _ if ended.oom => FailureKind::OutOfMemory,
            code @ 129..=159 => FailureKind::Killed { signal: i32::try_from(code - 128).unwrap_or_default() },
            code => FailureKind::Exited { code, was_ready: self.ready_since.is_some() },
        }
    }

    /// It had ended before we came.
    fn restore(&mut self, ended: &Ended, known: Option<State>) {
        self.ended_at = Some(ended.at);
        self.wish = Wish::Stopped;
        self.memory.by_hand |= ended.asked_outside && !ended.oom;
        match known {
            Some(State::Failed { failure }) => self.failure = Some(*failure),
            Some(State::Stopped { note, .. }) => self.note = note,
            _ if ended.asked_outside && !ended.oom => self.note = Some(StoppedNote::StoppedOutside),
            // Codes of ordinary ends: nothing says that it failed.
            _ if !ended.oom && matches!(ended.code, 0 | 130 | 137 | 143) => {
                self.note = Some(StoppedNote::EndedWhileAway { code: ended.code });
            }
            _ => {
                if self.keeps() {
                    self.memory.failures.push(ended.at);
                }
                self.failure = Some(Failure { kind: self.failure_of(ended), at: ended.at, diagnosis: None });
            }
        }
    }

    fn probed(&mut self, probe: Probe, now: Timestamp, effects: &mut Vec<Effect>) {
        if !self.is_up() || self.away.is_some() || self.stop.is_some() {
            return;
        }
        match probe {
            Probe::Ready(served) => {
                self.ready_since.get_or_insert(now);
                self.silent = None;
                self.port_taken = None;
                self.silence = None;
                if let Some(served) = served {
                    self.served = served;
                }
                effects.push(Effect::Arm(Timer::Probe, self.limits.probe_running));
            }
            other => {
                if let Probe::Other(holder) = other {
                    self.port_taken = Some(holder);
                }
                if self.ready_since.is_some() {
                    let (since, failed) = self.silent.unwrap_or((now, 0));
                    self.silent = Some((since, failed.saturating_add(1)));
                    effects.push(Effect::Arm(Timer::Probe, self.limits.probe_start_max));
                } else {
                    effects.push(Effect::Arm(Timer::Probe, self.probe_wait));
                    self.probe_wait = (self.probe_wait * 2).min(self.limits.probe_start_max);
                }
            }
        }
    }

    fn timer(&mut self, timer: Timer, now: Timestamp, effects: &mut Vec<Effect>) {
        if timer == Timer::Look {
            if self.away.is_some() {
                effects.push(Effect::Look);
            }
            return;
        }
        if timer == Timer::Retry {
            if self.retry.is_some() && self.away.is_some() {
                effects.push(Effect::Arm(Timer::Retry, self.limits.look_again));
            } else if self.retry.is_some() {
                self.launch_by_itself(now, effects);
            }
            return;
        }
        if timer == Timer::Silence {
            if self.is_up() && self.ready_since.is_none() && self.stop.is_none() {
                effects.push(Effect::Listen);
            }
            return;
        }
        if timer == Timer::Probe {
            if self.is_up() && self.away.is_none() && self.stop.is_none() {
                effects.push(Effect::Probe);
            }
            return;
        }
        let Some(id) =
            self.instance.as_ref().filter(|i| i.activity == Activity::Running).map(|i| i.id.clone())
        else {
            return;
        };
        // While the runtime is away nothing can be done; the stop begins again when it is back.
        if self.stop.is_none() || self.away.is_some() {
            return;
        }
        match timer {
            Timer::TermAgain => effects.push(Effect::Signal(id, StopSignal::Terminate)),
            Timer::Kill => {
                effects.push(Effect::Signal(id, StopSignal::Kill));
                effects.push(Effect::Arm(Timer::GiveUp, self.limits.give_up));
            }
            Timer::GiveUp => {
                self.stop = None;
                self.failure = Some(Failure { kind: FailureKind::WontStop, at: now, diagnosis: None });
                effects.push(Effect::Look);
            }
            Timer::Probe | Timer::Look | Timer::Silence | Timer::Retry => {}
        }
    }
}

/// A stop that came to nothing: it runs on, and that is said.
fn was_not_stopped(kind: &FailureKind) -> bool {
    match kind {
        FailureKind::WontStop => true,
        FailureKind::Refused { action, .. } => action == "stop",
        _ => false,
    }
}
