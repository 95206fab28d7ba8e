//! The task of one service: owns its machine, carries out its effects, publishes its state. The only writer of that state.

mod publish;

use super::follow::Follower;
use super::machine::{Effect, Keep, Limits, Machine, Observation, Recalled, Timer};
use super::planner::{self, Figures, Planner};
use super::world::World;
use crate::health::{self, Outcome};
use crate::logs::Feed;
use crate::runtime::{Activity, Hint, InstanceId, Launch, Look, Runtime, RuntimeError};
use crate::settings::fields::{self, Values};
use crate::settings::{Kind, ServiceConfig};
use crate::store::{RunEnd, RunRow, Store, Taken};
use crate::vllm::explain::Explainer;
use crate::vllm::http::Http;
use crate::vllm::launch::{QUIET, launch, other};
use crate::vllm::probe::{Probe, holder, probe};
use crate::vllm::smoke::smoke;
use crate::vllm::{verdict, witness::Witness};
use app::model::{
    Cause, FailureKind, Gpu, GpuProcess, KeptImage, Phase, PhaseProgress, PhaseTime, PortHolder, Release,
    Remnant, RuntimeKind, ServiceName, Smoke, Timestamp, UnreachableReason, UsualTime, Verb, Wish,
};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How often the list of models is asked for while it is known.
const MODELS_EVERY: Duration = Duration::from_secs(60);

/// An instance that is first seen so soon after its start was seen from its beginning.
const FROM_THE_BEGINNING_MS: u64 = 10_000;

/// How long GPU memory may take to come back after a stop.
const RELEASE_LIMIT: Duration = Duration::from_secs(10);

/// What reaches a service's task.
#[derive(Debug)]
pub enum Mail {
    /// A user asked.
    Command(Taken),
    /// The settings were changed; they apply at the next start.
    Configure(Box<ServiceConfig>),
    /// Its own health check ended.
    Checked(Outcome),
    /// The switch that keeps it running was turned.
    AutoStart(bool),
    /// Show anew what the store knows of it.
    Refresh,
    /// A model's figures were read.
    Figures(Figures),
    /// A short completion is wanted as a test.
    Smoke,
    /// The test has an answer.
    Smoked(crate::runtime::InstanceId, Smoke),
    /// A job of ours has a result.
    Result(Observation),
    /// A look ended; the number says which launches it had seen.
    Looked(u64, Result<Look, RuntimeError>),
    /// The log of this instance was read to its end.
    LogComplete(crate::runtime::InstanceId),
}

/// The way to a service's task.
#[derive(Clone)]
pub struct Handle {
    /// Its mailbox.
    pub mail: mpsc::Sender<Mail>,
    /// Its log.
    pub feed: Arc<Feed>,
    /// True once its state is known.
    pub settled: watch::Receiver<bool>,
}

/// What a task is made of.
pub struct Task {
    config: ServiceConfig,
    kind: RuntimeKind,
    runtime: Arc<dyn Runtime>,
    store: Arc<Store>,
    world: Arc<World>,
    http: Http,
    machine: Machine,
    feed: Arc<Feed>,
    mail: mpsc::Sender<Mail>,
    settled: watch::Sender<bool>,
    phases: watch::Receiver<Option<(Phase, Option<PhaseProgress>)>>,
    witness: Arc<Mutex<Witness>>,
    /// When the launch under way, or the one that brought this instance, was asked for.
    launch_asked: Option<Timestamp>,
    /// This instance's log was read to its end.
    log_complete: bool,
    /// The end was judged by the whole log: that is done once.
    judged: bool,
    /// What the witness heard belongs to the instance or launch that is shown.
    heard_this: bool,
    /// A dashboard saw this instance from its beginning, so that its times can be trusted.
    watched: bool,
    smoke: Option<Smoke>,
    planner: Planner,
    /// What phases usually take, and of how many starts that was learned.
    usual: (Vec<UsualTime>, u32),
    timers: HashMap<Timer, Instant>,
    jobs: JoinSet<()>,
    /// A look is under way; whether another is wanted after it.
    looking: Option<bool>,
    /// Counts launches that ended: a look from before is stale.
    epoch: u64,
    run: Option<u64>,
    /// What the store was told of this run's end and of its start.
    noted: (Option<RunEnd>, Vec<PhaseTime>),
    follower: Option<Follower>,
    /// Whose run could not be opened: the store could not be written.
    unopened: Option<InstanceId>,
    /// A command that an earlier dashboard took and did not carry out.
    resume: Option<Taken>,
    /// A command is being carried out.
    commanded: Option<Taken>,
    /// The switch.
    auto_start: bool,
    /// Why its own health check failed last.
    unhealthy: Option<String>,
    /// The next launch takes the image that its reference means then.
    renew: bool,
    /// The image from before the last change of image.
    kept: Option<KeptImage>,
    /// The settings that it was launched with last, without secrets.
    launched: Option<Values>,
    settings_revision: u32,
    /// The engine's version as it is remembered, and where.
    version: Option<(String, Option<String>)>,
    probing: bool,
    probed: bool,
    /// When `/v1/models` was asked last: its answer changes only with adapters.
    models_asked: Option<Instant>,
    stop: CancellationToken,
}

impl Task {
    /// Makes the task of a service and the way to it. It runs when [`Task::run`] is awaited.
    pub fn new(
        config: ServiceConfig,
        kind: RuntimeKind,
        runtime: Arc<dyn Runtime>,
        store: Arc<Store>,
        world: Arc<World>,
        stop: CancellationToken,
        feed: Option<Arc<Feed>>,
    ) -> (Self, Handle, mpsc::Receiver<Mail>) {
        let (mail, inbox) = mpsc::channel(64);
        let (settled, settled_seen) = watch::channel(false);
        let witness = Arc::new(Mutex::new(Witness::new(Timestamp::now(), None)));
        let (phase_out, phases) = watch::channel(None);
        // A service that moves to another container keeps its log, and the log its viewers.
        let feed = feed.unwrap_or_else(|| {
            Arc::new(Feed::new(crate::vllm::grammar::classify, crate::logs::Limits::default()))
        });
        {
            let witness = witness.clone();
            // The latest phase wins: a watch holds one value however fast the log comes.
            feed.observe(Box::new(move |line| {
                let change = witness.lock().unwrap_or_else(PoisonError::into_inner).hear(&line);
                if change.is_some() {
                    // Nobody listens only when the task is gone.
                    let _ = phase_out.send(change);
                }
            }));
        }
        let wish = store.wish(&config.name).unwrap_or(Wish::Stopped);
        let auto_start = config.auto_start.unwrap_or_else(|| store.auto_start(&config.name));
        let kept = store.kept_image(&config.name);
        let resume = store.pending(&config.name, Timestamp::now());
        let launched = store.launched(&config.name);
        let memory = store.memory(&config.name);
        let handle = Handle { mail: mail.clone(), feed: feed.clone(), settled: settled_seen };
        let task = Self {
            machine: Machine::new(
                Limits { silence: config.start_silence.value * 1000, ..Limits::default() },
                wish,
                keep(&config, auto_start),
                memory,
            ),
            auto_start,
            unhealthy: None,
            renew: false,
            kept,
            launched,
            settings_revision: 0,
            config,
            kind,
            runtime,
            store,
            world,
            http: Http::default(),
            feed,
            mail,
            settled,
            phases,
            witness,
            launch_asked: None,
            log_complete: false,
            judged: false,
            heard_this: false,
            watched: false,
            smoke: None,
            planner: Planner::default(),
            usual: (Vec::new(), 0),
            timers: HashMap::new(),
            jobs: JoinSet::new(),
            looking: None,
            epoch: 0,
            run: None,
            noted: (None, Vec::new()),
            follower: None,
            unopened: None,
            resume,
            commanded: None,
            version: None,
            probing: false,
            probed: false,
            models_asked: None,
            stop,
        };
        (task, handle, inbox)
    }

    /// Runs until the dashboard stops. The service goes on.
    pub async fn run(mut self, mut inbox: mpsc::Receiver<Mail>) {
        let (hint_out, mut hints) = mpsc::channel(8);
        {
            let (runtime, stop) = (self.runtime.clone(), self.stop.clone());
            self.jobs.spawn(async move { runtime.watch(hint_out, stop).await });
        }
        let mut gpus = self.world.watch_gpus();
        let mut store = self.store.trouble();
        self.publish();
        loop {
            let timer = self.timers.iter().min_by_key(|(_, at)| **at).map(|(timer, at)| (*timer, *at));
            let observation = tokio::select! {
                () = self.stop.cancelled() => break,
                Some(mail) = inbox.recv() => self.open(mail),
                Some(hint) = hints.recv() => match hint {
                    Hint::LookAgain => { self.look(); None }
                    Hint::Away(reason) => Some(Observation::Away(reason)),
                },
                Ok(()) = self.phases.changed() => {
                    let phase = *self.phases.borrow_and_update();
                    phase.map(|(phase, progress)| Observation::Phase(phase, progress))
                }
                () = tokio::time::sleep_until(timer.map_or_else(Instant::now, |t| t.1)), if timer.is_some() => {
                    timer.map(|(timer, _)| { self.timers.remove(&timer); Observation::Timer(timer) })
                }
                Ok(()) = gpus.changed() => {
                    let held = held_by(&gpus.borrow_and_update(), &self.config.name);
                    self.read_figures();
                    if held == self.machine.gpu_memory() {
                        // Who else holds memory may have changed.
                        self.publish();
                        None
                    } else {
                        Some(Observation::GpuMemory(held))
                    }
                }
                Ok(()) = store.changed(), if self.unopened.is_some() => {
                    if store.borrow_and_update().is_none() {
                        self.follow_late();
                        self.publish();
                    }
                    None
                }
                Some(_) = self.jobs.join_next(), if !self.jobs.is_empty() => None,
            };
            if let Some(observation) = observation {
                self.observe(observation);
                self.resume();
            }
        }
        self.follower = None;
        self.jobs.shutdown().await;
    }

    /// Carries out what an earlier dashboard took and did not live to do, once it is seen how things are.
    fn resume(&mut self) {
        let Some(taken) = self.resume.take_if(|_| !self.machine.is_away()) else { return };
        let verb = taken.verb;
        let since = self.machine.instance().filter(|_| self.machine.is_up()).map(|i| i.id.started_ns);
        let done =
            verb == Verb::Restart && since.is_some_and(|started| Timestamp::from_nanos(started) >= taken.at);
        if done {
            self.store.carried_out(&self.config.name, taken);
            return;
        }
        tracing::info!(service = %self.config.name, ?verb, "what was asked for before the dashboard ended is done now");
        let command = self.begin(taken);
        self.observe(command);
    }

    /// Begins to carry out a command.
    fn begin(&mut self, taken: Taken) -> Observation {
        self.commanded = Some(taken);
        if taken.renew {
            // A runtime that cannot be asked takes no command: nothing is owed to it later.
            self.renew = !self.machine.is_away();
        }
        Observation::Command(taken.verb)
    }

    fn open(&mut self, mail: Mail) -> Option<Observation> {
        match mail {
            Mail::Command(taken) => {
                self.resume = None;
                Some(self.begin(taken))
            }
            Mail::Smoke => {
                self.smoke();
                None
            }
            Mail::Smoked(id, smoke) => {
                if self.machine.instance().is_some_and(|i| i.id == id) {
                    if let (Smoke::Passed { tokens_per_10s: Some(rate), .. }, Some(model), Some(gpu)) =
                        (&smoke, self.launched.as_ref().and_then(|l| l.get("VLLM_MODEL")), self.device())
                    {
                        self.store.set_measured(model, &gpu, (*rate).into());
                    }
                    self.smoke = Some(smoke);
                    self.publish();
                }
                None
            }
            Mail::Figures(figures) => {
                self.planner.learned(figures);
                self.read_figures();
                self.publish();
                None
            }
            Mail::Checked(outcome) => {
                (self.probing, self.probed) = (false, true);
                match outcome {
                    Outcome::Healthy => {
                        self.unhealthy = None;
                        Some(Observation::Probed(Probe::Ready(None)))
                    }
                    Outcome::Unhealthy { why } => {
                        self.unhealthy = Some(why.to_string());
                        Some(Observation::Probed(Probe::Silent))
                    }
                }
            }
            Mail::AutoStart(on) => {
                self.auto_start = on;
                Some(Observation::Keep(self.keep()))
            }
            Mail::Refresh => {
                self.kept = self.store.kept_image(&self.config.name);
                self.publish();
                None
            }
            Mail::Configure(config) => {
                self.config = *config;
                self.settings_revision = self.settings_revision.wrapping_add(1);
                let stored = || self.store.auto_start(&self.config.name);
                self.auto_start = self.config.auto_start.unwrap_or_else(stored);
                self.read_figures();
                Some(Observation::Keep(self.keep()))
            }
            Mail::Result(observation) => {
                match &observation {
                    Observation::Launched(_) => self.epoch += 1,
                    Observation::Probed(_) => {
                        self.probing = false;
                        self.probed = true;
                    }
                    _ => {}
                }
                Some(observation)
            }
            Mail::Looked(epoch, result) => {
                let again = self.looking.take() == Some(true);
                if again || epoch != self.epoch {
                    self.look();
                }
                if epoch != self.epoch {
                    return None;
                }
                match result {
                    Ok(look) => Some(self.recall(look)),
                    Err(RuntimeError::Away(reason)) => Some(Observation::Away(reason)),
                    Err(RuntimeError::Refused(kind)) => {
                        Some(Observation::Away(UnreachableReason::Garbage { detail: format!("{kind:?}") }))
                    }
                }
            }
            Mail::LogComplete(id) => {
                // A late word of an instance before this one must not close this one's run.
                if self.machine.instance().is_none_or(|i| i.id != id) {
                    return None;
                }
                self.feed.close_run();
                self.log_complete = true;
                let verdict = self.judge();
                if verdict.is_none() {
                    self.remember_run();
                }
                verdict
            }
        }
    }

    /// Adds what is remembered of this very instance.
    fn recall(&self, look: Look) -> Observation {
        let row = match &look {
            Look::Present(i) | Look::Removed(i) if i.id.started_ns != 0 => {
                self.store.run_of(&self.config.name, &i.id.key())
            }
            _ => None,
        };
        if !matches!(look, Look::Absent) && self.kind != RuntimeKind::Demo {
            self.world.managed(&self.store, self.kind);
        }
        let stopping = match &look {
            Look::Present(i) => self.store.fact(&self.stopping_key()).is_some_and(|key| key == i.id.key()),
            _ => false,
        };
        let (known, ready_since) = row.map_or((None, None), |row| (row.outcome, row.ready_since));
        Observation::Looked(look, Recalled { known, ready_since, stopping })
    }

    /// Where a stop under way is remembered: a new dashboard goes on with it.
    fn stopping_key(&self) -> String {
        format!("stopping/{}", self.config.name)
    }

    /// Opens the run that could not be opened, if it can be now.
    fn follow_late(&mut self) {
        let Some(id) = self.unopened.take() else { return };
        if let Some(instance) = self.machine.instance().filter(|instance| instance.id == id).cloned() {
            self.follow(&instance);
            let Some(run) = self.run else { return };
            if let Some(at) = self.machine.ready_since() {
                self.store.set_ready(run, at);
            }
            if let Some(outcome) = self.machine.outcome() {
                self.store.set_outcome(run, &outcome);
            }
        }
    }

    fn observe(&mut self, observation: Observation) {
        self.follow_late();
        let stopping = self.machine.is_stopping();
        let memory = self.machine.memory().clone();
        let (wish, ready, outcome) =
            (self.machine.wish(), self.machine.ready_since(), self.machine.outcome());
        let probed = matches!(observation, Observation::Probed(_));
        let effects = self.machine.next(observation, Timestamp::now());
        for effect in effects {
            self.carry_out(effect);
        }
        if let Some(verdict) = self.judge() {
            self.machine.next(verdict, Timestamp::now());
        }
        if let Some(done) = self.commanded.take_if(|_| self.machine.is_at_rest()) {
            self.store.carried_out(&self.config.name, done);
        }
        if self.machine.is_stopping() != stopping {
            let instance = self.machine.instance().filter(|_| !stopping).map(|i| i.id.key());
            self.store.set_fact(&self.stopping_key(), instance.as_deref().unwrap_or_default());
        }
        if *self.machine.memory() != memory {
            self.store.set_memory(&self.config.name, self.machine.memory());
        }
        if self.machine.wish() != wish {
            self.store.set_wish(&self.config.name, self.machine.wish());
        }
        let mut smoke_now = false;
        if let Some(run) = self.run {
            if let Some(at) = self.machine.ready_since().filter(|at| ready != Some(*at)) {
                self.store.set_ready(run, at);
                if let Some(launched) = self.launched.as_ref().filter(|_| !self.is_adopted() && probed) {
                    self.store.settings_ready(&self.config.name, launched, at);
                }
                if probed && self.watched && self.is_vllm() {
                    let phases = self.witness().phases(Some(at));
                    self.store.learn_start(&self.start_key(), run, &phases);
                    smoke_now = self.config.smoke_test.value;
                }
            }
            if let Some(now) = self.machine.outcome().filter(|now| outcome.as_ref() != Some(now)) {
                self.store.set_outcome(run, &now);
            }
        }
        self.remember_run();
        if let Some(version) = self.machine.served().version.clone()
            && self.known_version().as_ref() != Some(&version)
        {
            self.remember_version(version);
        }
        self.read_figures();
        self.publish();
        if smoke_now {
            self.smoke();
        }
        if !*self.settled.borrow() && !self.machine.is_waiting() && (!self.machine.is_up() || self.probed) {
            self.settled.send_replace(true);
        }
    }

    /// Tells the store how the start of this run went, once it became ready or came to nothing, and how the run ended.
    fn remember_run(&mut self) {
        let Some(run) = self.run else { return };
        if let Some(over) = self.machine.ready_since().or_else(|| self.machine.ended_at())
            && self.is_vllm()
            && self.heard_this
            && self.watched
        {
            let seen = self.witness().phases(Some(over));
            // The log may be behind: more will be told. A dashboard that reads it anew knows less than the one before.
            if seen.len() > self.noted.1.len() {
                self.store.set_phases(run, &seen);
                self.noted.1 = seen;
            }
        }
        let Some(state) = self.machine.outcome() else { return };
        let Some(Activity::Ended(ended)) = self.machine.instance().map(|i| &i.activity) else { return };
        // The first look at an end knows best when it was.
        let at = self.noted.0.as_ref().and_then(|told| told.at).unwrap_or(ended.at);
        let end = RunEnd { at: Some(at), code: u32::try_from(ended.code).ok().map(i64::from), state };
        if self.noted.0.as_ref() != Some(&end) {
            self.store.set_end(run, &end);
            self.noted.0 = Some(end);
        }
    }

    /// Why it failed, as far as that is known by now: at once by what the log has told, again when it was read to its end.
    fn judge(&mut self) -> Option<Observation> {
        if !self.is_vllm() {
            // Its log is not ours to understand.
            return None;
        }
        let instance = self.machine.instance();
        let adopted = self.is_adopted();
        let id = instance.map(|i| i.id.clone());
        let ended = instance.is_some_and(|i| matches!(i.activity, Activity::Ended(_)));
        let witness = self.witness();
        // A launch that came to nothing has no log; that of the run before explains nothing.
        let silent = Explainer::new();
        let log = if self.heard_this { witness.explainer() } else { &silent };
        let whole = ended && self.log_complete && !self.judged;
        let found = match self.machine.failure() {
            Some(failure) if failure.diagnosis.is_none() || (whole && failure.kind.is_end()) => {
                verdict::of(&failure.kind, log, &self.config, adopted)?
            }
            // Nobody watched its end: only a log that proves a failure makes it one.
            None if self.machine.is_unjudged() && whole => {
                let kind = FailureKind::Exited { code: -1, was_ready: self.machine.ready_since().is_some() };
                let found = verdict::of(&kind, log, &self.config, adopted)?;
                log.failed().then_some(found)?
            }
            _ => return None,
        };
        drop(witness);
        self.judged |= whole;
        let known = self.machine.failure().and_then(|f| f.diagnosis.as_ref());
        // What was proved once is not unproved by a log that has lost its beginning meanwhile.
        let worse = found.cause == Cause::Unknown && known.is_some_and(|k| k.cause != Cause::Unknown);
        if known == Some(&found) || worse {
            return None;
        }
        if found.cause == Cause::UnknownArgument && found.facts.subject.as_deref() == Some(QUIET) {
            // Another version than the one that is remembered: it is asked anew.
            self.remember_version(String::new());
        }
        Some(Observation::Diagnosed(id, Box::new(found)))
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Launch => self.launch(),
            Effect::Look => self.look(),
            Effect::Probe => self.probe(),
            Effect::Listen => self.listen(),
            Effect::AwaitRelease => self.await_release(),
            Effect::Arm(timer, ms) => {
                self.timers.insert(timer, Instant::now() + Duration::from_millis(ms));
            }
            Effect::Disarm(timer) => {
                self.timers.remove(&timer);
            }
            Effect::Signal(id, signal) => {
                let runtime = self.runtime.clone();
                self.job(async move { Observation::Signalled(signal, runtime.signal(&id, signal).await) });
            }
            Effect::EndRemnants(id) => {
                let runtime = self.runtime.clone();
                self.job(async move {
                    Observation::Signalled(crate::runtime::StopSignal::Kill, runtime.end_remnants(&id).await)
                });
            }
            Effect::Follow(instance) => self.follow(&instance),
        }
    }

    /// Runs a job that ends with an observation.
    fn job(&mut self, work: impl Future<Output = Observation> + Send + 'static) {
        let mail = self.mail.clone();
        self.jobs.spawn(async move {
            let observation = work.await;
            // The mailbox is closed only when the task is gone, and with it whoever would want this.
            let _ = mail.send(Mail::Result(observation)).await;
        });
    }

    /// Asks for a short completion, one at a time.
    fn smoke(&mut self) {
        let Some(id) = self.machine.instance().map(|i| i.id.clone()) else { return };
        let first = self.machine.served().models.first();
        let model = first.unwrap_or(&self.config.model_name.value).clone();
        if matches!(self.smoke, Some(Smoke::Running { .. })) {
            return;
        }
        self.smoke = Some(Smoke::Running { since: Timestamp::now() });
        self.publish();
        let (http, base, mail) = (self.http.clone(), self.api_base(), self.mail.clone());
        let key = self.config.api_key.value.clone();
        self.jobs.spawn(async move {
            let smoke = smoke(&http, &base, key.as_ref().map(|k| k.reveal()), &model).await;
            // Only a task that is gone does not take its mail.
            let _ = mail.send(Mail::Smoked(id, smoke)).await;
        });
    }

    /// Reads what is known of the model, where a plan is wanted and its figures are not fresh.
    fn read_figures(&mut self) {
        if self.machine.is_up() || self.is_adopted() || !self.is_vllm() {
            return;
        }
        let version = self.known_version();
        if let Some(ask) = self.planner.needs(&self.config, version.as_deref()) {
            let mail = self.mail.clone();
            self.jobs.spawn(async move {
                if let Ok(figures) = tokio::task::spawn_blocking(move || planner::read(ask)).await {
                    // Only a task that is gone does not take its mail.
                    let _ = mail.send(Mail::Figures(figures)).await;
                }
            });
        }
    }

    fn is_vllm(&self) -> bool {
        self.config.kind == Kind::Vllm
    }

    fn is_adopted(&self) -> bool {
        self.machine.instance().and_then(|i| i.container.as_ref()).is_some_and(|c| c.adopted)
    }

    /// Waits until the GPUs show no memory of this service any more, and names who holds what is left.
    fn await_release(&mut self) {
        let (world, name) = (self.world.clone(), self.config.name.clone());
        let before = self.machine.gpu_memory().unwrap_or(0);
        self.job(async move {
            // The GPUs are read only while somebody looks: this does.
            let _seat = world.take_seat();
            let mut gpus = world.watch_gpus();
            let devices: Vec<String> = gpus
                .borrow()
                .iter()
                .filter(|g| held_by(std::slice::from_ref(g), &name).is_some_and(|held| held > 0))
                .map(|g| g.uuid.clone())
                .collect();
            // A device that cannot be read tells nothing, least of all that the memory is back.
            let held = |gpus: &[Gpu]| {
                devices.iter().try_fold(0, |sum, uuid| {
                    let gpu = gpus.iter().find(|g| g.uuid == *uuid)?;
                    Some(sum + held_by(std::slice::from_ref(gpu), &name)?)
                })
            };
            let wait = async {
                while held(&gpus.borrow_and_update()) != Some(0) {
                    if gpus.changed().await.is_err() {
                        break;
                    }
                }
            };
            // At the limit what is seen then is said.
            let _ = tokio::time::timeout(RELEASE_LIMIT, wait).await;
            let gpus = world.gpus();
            Observation::Released(held(&gpus).map(|held| {
                let freed_bytes = before.saturating_sub(held);
                if held == 0 {
                    Release::Back { freed_bytes }
                } else {
                    Release::Held { freed_bytes, by: holders(&gpus, &name) }
                }
            }))
        });
    }

    fn listen(&mut self) {
        let Some(id) = self.machine.instance().map(|i| i.id.clone()) else { return };
        let started = Timestamp::from_nanos(id.started_ns);
        let (at, last) = {
            let witness = self.witness();
            let (at, last) = witness.last();
            (at.map_or(started, |at| at.max(started)), last.to_owned())
        };
        self.job(async move { Observation::Heard(id, at, last) });
    }

    fn look(&mut self) {
        if let Some(again) = &mut self.looking {
            *again = true;
            return;
        }
        self.looking = Some(false);
        let (runtime, mail, epoch) = (self.runtime.clone(), self.mail.clone(), self.epoch);
        self.jobs.spawn(async move {
            let result = runtime.look().await;
            let _ = mail.send(Mail::Looked(epoch, result)).await;
        });
    }

    fn witness(&self) -> MutexGuard<'_, Witness> {
        self.witness.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the times of a start depend on: the image or program, and the model. An adopted container's command never
    /// changes, so its name stands for its model.
    fn start_key(&self) -> String {
        let container = self.machine.instance().and_then(|i| i.container.as_ref());
        let (what, model) = match container {
            Some(c) if c.adopted => ("container", c.name.as_str()),
            _ => ("model", self.config.model.value.as_deref().unwrap_or_default()),
        };
        format!("{:?} {} {what} {model}", self.kind, self.engine())
    }

    /// What runs the engine: the image, or the program.
    fn engine(&self) -> String {
        match self.kind {
            RuntimeKind::Docker => self
                .machine
                .instance()
                .and_then(|i| i.image.clone())
                .unwrap_or_else(|| self.config.image.value.to_string()),
            RuntimeKind::Process | RuntimeKind::Systemd => "vllm".to_owned(),
            RuntimeKind::Demo => "demo".to_owned(),
        }
    }

    fn launch(&mut self) {
        self.launch_asked = Some(Timestamp::now());
        self.heard_this = false;
        self.usual = self.store.usual_start(&self.start_key());
        let version = self.known_version();
        let mut launch: Launch = match self.config.kind {
            Kind::Vllm => launch(&self.config, self.kind, version.as_deref()),
            _ => other(&self.config),
        };
        launch.renew = std::mem::take(&mut self.renew);
        let vllm = self.is_vllm();
        if vllm {
            let values = fields::values(&self.config);
            self.store.set_launched(&self.config.name, &values);
            self.launched = Some(values);
        }
        let (runtime, http) = (self.runtime.clone(), self.http.clone());
        let base = self.api_base();
        self.job(async move {
            if vllm
                && launch.missing.is_none()
                && let Some(by) = holder(&http, &base).await
            {
                let port = launch.host_port;
                return Observation::Launched(Err(RuntimeError::Refused(FailureKind::PortInUse {
                    port,
                    by,
                })));
            }
            let result = match runtime.start(&launch).await {
                // The runtime knows only that the port is taken; HTTP may tell by whom.
                Err(RuntimeError::Refused(FailureKind::PortInUse { port, by: PortHolder::Unknown })) => {
                    let by = holder(&http, &format!("http://127.0.0.1:{port}"))
                        .await
                        .unwrap_or(PortHolder::Unknown);
                    Err(RuntimeError::Refused(FailureKind::PortInUse { port, by }))
                }
                other => other,
            };
            Observation::Launched(result)
        });
    }

    /// Where the API is asked: at the port that the container really publishes, unless the address was set explicitly.
    fn api_base(&self) -> String {
        let published = self
            .machine
            .instance()
            .and_then(|i| i.api_url.clone())
            .filter(|_| !self.config.api_url.is_explicit());
        published.unwrap_or_else(|| self.config.api_url.value.to_string())
    }

    /// Where the engine's version is remembered: what it understands is known at its next start.
    fn version_key(&self) -> String {
        format!("engine-version/{}", self.engine())
    }

    /// The engine's version, as its last start told it; the store is asked once for each engine.
    fn known_version(&mut self) -> Option<String> {
        let key = self.version_key();
        if self.version.as_ref().is_none_or(|(of, _)| *of != key) {
            let stored = self.store.fact(&key);
            self.version = Some((key, stored));
        }
        self.version.as_ref().and_then(|(_, version)| version.clone())
    }

    fn remember_version(&mut self, version: String) {
        let key = self.version_key();
        self.store.set_fact(&key, &version);
        self.version = Some((key, Some(version)));
    }

    fn probe(&mut self) {
        if self.probing {
            return;
        }
        self.probing = true;
        if !self.is_vllm() {
            let (check, mail) = (self.config.health.clone(), self.mail.clone());
            self.jobs.spawn(async move {
                let outcome = match &check {
                    Some(check) => health::run(check).await,
                    // Without a check of its own it runs when it is up.
                    None => Outcome::Healthy,
                };
                // Only a task that is gone does not take its mail.
                let _ = mail.send(Mail::Checked(outcome)).await;
            });
            return;
        }
        let (http, base) = (self.http.clone(), self.api_base());
        let key = self.config.api_key.value.clone();
        let ask_models = self.machine.served().models.is_empty()
            || self.models_asked.is_none_or(|at| at.elapsed() > MODELS_EVERY);
        if ask_models {
            self.models_asked = Some(Instant::now());
        }
        self.job(async move {
            Observation::Probed(probe(&http, &base, key.as_ref().map(|k| k.reveal()), ask_models).await)
        });
    }

    /// Opens the run of this instance, or goes on with it, and follows its log.
    fn follow(&mut self, instance: &crate::runtime::Instance) {
        let before = self.follower.take();
        let key = instance.id.key();
        let started = Timestamp::from_nanos(instance.id.started_ns);
        self.log_complete = false;
        self.judged = false;
        self.heard_this = true;
        self.smoke = None;
        let asked = self.launch_asked.take();
        let known = self.store.run_of(&self.config.name, &key);
        self.watched =
            asked.is_some() || known.is_some() || Timestamp::now().since(started) < FROM_THE_BEGINNING_MS;
        *self.witness() = Witness::new(started, asked);
        self.usual = self.store.usual_start(&self.start_key());
        let row = known.or_else(|| {
            let run = self.store.open_run(&self.config.name, &key, started, instance.log_from_ns)?;
            // An adopted container has settings of its own.
            let launched = self.launched.as_ref().filter(|_| !self.is_adopted());
            self.store.set_launch(run, instance.image.as_deref(), launched);
            Some(RunRow {
                run,
                log_from_ns: instance.log_from_ns,
                first_frame_ns: None,
                ready_since: None,
                outcome: None,
            })
        });
        // What is seen of this one must not be told of the run before.
        self.run = row.as_ref().map(|row| row.run);
        self.unopened = row.is_none().then(|| instance.id.clone());
        let Some(row) = row else {
            self.launch_asked = asked;
            tracing::error!(service = %self.config.name, "no run could be opened: its log is shown when the store can be written");
            return;
        };
        self.noted = (None, self.store.run(row.run).map(|known| known.phases).unwrap_or_default());
        // The rest of the run before may come first.
        self.witness().hear_from(row.run);
        self.follower = Some(Follower::spawn(
            self.config.name.clone(),
            instance.id.clone(),
            &row,
            started,
            self.runtime.clone(),
            self.feed.clone(),
            self.store.clone(),
            self.mail.clone(),
            before,
        ));
    }
}

fn keep(config: &ServiceConfig, on: bool) -> Keep {
    // systemd starts and restarts its units itself: the switch is the unit's own enablement.
    let on = on && !matches!(config.kind, Kind::Systemd { .. });
    Keep { on, budget: config.restart_budget, window: config.restart_window_s.saturating_mul(1000) }
}

fn processes(gpus: &[Gpu]) -> impl Iterator<Item = &GpuProcess> {
    gpus.iter().flat_map(|gpu| gpu.processes.iter().flatten())
}

/// GPU memory that a service holds over all devices, in bytes; `None` where no device tells of processes.
fn held_by(gpus: &[Gpu], service: &ServiceName) -> Option<u64> {
    gpus.iter().any(|gpu| gpu.processes.is_some()).then(|| {
        processes(gpus).filter(|p| p.service.as_ref() == Some(service)).filter_map(|p| p.memory_bytes).sum()
    })
}

fn holders(gpus: &[Gpu], service: &ServiceName) -> Vec<Remnant> {
    let mine = processes(gpus).filter(|p| p.service.as_ref() == Some(service));
    mine.map(|p| Remnant {
        pid: p.pid,
        name: p.name.clone().unwrap_or_default(),
        memory_bytes: p.memory_bytes,
    })
    .take(16)
    .collect()
}
