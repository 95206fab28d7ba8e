//! The task of one service: owns its machine, carries out its effects, publishes its state. The only writer of that state.

use super::fleet::World;
use super::follow::Follower;
use super::machine::{Effect, Limits, Machine, Observation, Recalled, Timer};
use crate::logs::Feed;
use crate::runtime::{Hint, Launch, Look, Runtime, RuntimeError};
use crate::settings::ServiceConfig;
use crate::store::{RunRow, Store};
use crate::vllm::http::Http;
use crate::vllm::probe::{holder, probe};
use crate::vllm::{launch::launch, phases::PhaseTracker};
use app::model::{
    FailureKind, Phase, PhaseProgress, PortHolder, RuntimeKind, Service, ServiceKind, State, Timestamp,
    UnreachableReason, Verb, Wish,
};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How often the list of models is asked for while it is known.
const MODELS_EVERY: Duration = Duration::from_secs(60);

/// What reaches a service's task.
#[derive(Debug)]
pub enum Mail {
    /// A user asked.
    Command(Verb),
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
    tracker: Arc<Mutex<PhaseTracker>>,
    timers: HashMap<Timer, Instant>,
    jobs: JoinSet<()>,
    /// A look is under way; whether another is wanted after it.
    looking: Option<bool>,
    /// Counts launches that ended: a look from before is stale.
    epoch: u64,
    run: Option<u64>,
    follower: Option<Follower>,
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
        let tracker = Arc::new(Mutex::new(PhaseTracker::new()));
        let (phase_out, phases) = watch::channel(None);
        // A service that moves to another container keeps its log, and the log its viewers.
        let feed = feed.unwrap_or_else(|| {
            Arc::new(Feed::new(crate::vllm::grammar::classify, crate::logs::Limits::default()))
        });
        {
            let tracker = tracker.clone();
            // The latest phase wins: a watch holds one value however fast the log comes.
            feed.observe(Box::new(move |line| {
                let mut tracker = tracker.lock().unwrap_or_else(PoisonError::into_inner);
                let change = match line.seq {
                    Some(_) => tracker.line(line.text, line.stream),
                    None => tracker.progress(line.text),
                };
                if change.is_some() {
                    // Nobody listens only when the task is gone.
                    let _ = phase_out.send(change);
                }
            }));
        }
        let wish = store.wish(&config.name).unwrap_or(Wish::Stopped);
        let handle = Handle { mail: mail.clone(), feed: feed.clone(), settled: settled_seen };
        let task = Self {
            machine: Machine::new(Limits::default(), wish),
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
            tracker,
            timers: HashMap::new(),
            jobs: JoinSet::new(),
            looking: None,
            epoch: 0,
            run: None,
            follower: None,
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
                Some(_) = self.jobs.join_next(), if !self.jobs.is_empty() => None,
            };
            if let Some(observation) = observation {
                self.observe(observation);
            }
        }
        self.follower = None;
        self.jobs.shutdown().await;
    }

    fn open(&mut self, mail: Mail) -> Option<Observation> {
        match mail {
            Mail::Command(verb) => Some(Observation::Command(verb)),
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
                self.machine.instance().is_some_and(|i| i.id == id).then(|| {
                    self.feed.close_run();
                    Observation::Evidence(id, self.feed.evidence(10))
                })
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

    fn observe(&mut self, observation: Observation) {
        let stopping = self.machine.is_stopping();
        let (wish, ready, outcome) =
            (self.machine.wish(), self.machine.ready_since(), self.machine.outcome());
        let failed_before = matches!(self.machine.state(), State::Failed { .. });
        let effects = self.machine.next(observation, Timestamp::now());
        for effect in effects {
            self.carry_out(effect);
        }
        if self.machine.is_stopping() != stopping {
            let instance = self.machine.instance().filter(|_| !stopping).map(|i| i.id.key());
            self.store.set_fact(&self.stopping_key(), instance.as_deref().unwrap_or_default());
        }
        if self.machine.wish() != wish {
            self.store.set_wish(&self.config.name, self.machine.wish());
        }
        if let Some(run) = self.run {
            if let Some(at) = self.machine.ready_since().filter(|at| ready != Some(*at)) {
                self.store.set_ready(run, at);
            }
            if !failed_before
                && matches!(self.machine.state(), State::Failed { .. })
                && !self.machine.is_up()
                && let Some(id) = self.machine.instance().map(|i| i.id.clone())
            {
                let lines = self.feed.evidence(10);
                self.machine.next(Observation::Evidence(id, lines), Timestamp::now());
            }
            if let Some(now) = self.machine.outcome().filter(|now| outcome.as_ref() != Some(now)) {
                self.store.set_outcome(run, &now);
            }
        }
        self.publish();
        if !*self.settled.borrow() && !self.machine.is_waiting() && (!self.machine.is_up() || self.probed) {
            self.settled.send_replace(true);
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Launch => self.launch(),
            Effect::Look => self.look(),
            Effect::Probe => self.probe(),
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

    fn forget_phases(&self) {
        *self.tracker.lock().unwrap_or_else(PoisonError::into_inner) = PhaseTracker::new();
    }

    fn launch(&mut self) {
        self.forget_phases();
        let launch: Launch = launch(&self.config, self.kind);
        let (runtime, http) = (self.runtime.clone(), self.http.clone());
        let base = self.api_base();
        self.job(async move {
            if launch.missing.is_none()
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

    fn probe(&mut self) {
        if self.probing {
            return;
        }
        self.probing = true;
        let (http, base) = (self.http.clone(), self.api_base());
        let key = self.config.api_key.value.clone();
        let ask_models = self.machine.models().is_empty()
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
        self.follower = None;
        self.feed.close_run();
        self.forget_phases();
        let key = instance.id.key();
        let started = Timestamp::from_nanos(instance.id.started_ns);
        let row = self.store.run_of(&self.config.name, &key).or_else(|| {
            let run = self.store.open_run(&self.config.name, &key, started, instance.log_from_ns)?;
            Some(RunRow {
                run,
                log_from_ns: instance.log_from_ns,
                first_frame_ns: None,
                ready_since: None,
                outcome: None,
            })
        });
        let Some(row) = row else {
            tracing::error!(service = %self.config.name, "no run could be opened: its log is not shown");
            return;
        };
        self.run = Some(row.run);
        self.feed.open_run(row.run, started);
        self.follower = Some(Follower::spawn(
            self.config.name.clone(),
            instance.id.clone(),
            &row,
            started,
            self.runtime.clone(),
            self.feed.clone(),
            self.store.clone(),
            self.mail.clone(),
        ));
    }

    fn publish(&self) {
        let instance = self.machine.instance();
        let up = self.machine.is_up();
        let container = instance.and_then(|i| i.container.clone());
        let image = instance.and_then(|i| i.image.clone());
        self.world.put_service(Service {
            name: self.config.name.clone(),
            title: self.config.title.clone(),
            kind: ServiceKind::Vllm,
            runtime: self.kind,
            demo: self.kind == RuntimeKind::Demo,
            state: self.machine.state(),
            wish: self.machine.wish(),
            model: self.machine.models().first().cloned(),
            models: self.machine.models().to_vec(),
            max_model_len: self.machine.max_model_len(),
            uptime_s: None,
            started: instance
                .filter(|_| up && !self.machine.is_away())
                .map(|i| Timestamp::from_nanos(i.id.started_ns)),
            gpu_memory_bytes: None,
            image: image
                .or_else(|| (self.kind == RuntimeKind::Docker).then(|| self.config.image.value.to_string())),
            auto_start: container
                .as_ref()
                .is_some_and(|c| matches!(c.restart_policy.as_str(), "always" | "unless-stopped")),
            run: self.feed.run_numbers().0.or(self.run),
            api_url: Some(self.api_base()),
            container,
            remnants: instance.map(|i| i.remnants.clone()).unwrap_or_default(),
            port_taken: self.machine.port_taken().cloned(),
        });
    }
}
