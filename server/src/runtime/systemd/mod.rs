//! Services that are systemd units, of the machine or of one user. Only this room knows zbus.
//!
//! In: the name of a unit that systemd has, signals, where to follow from. Out: looks, log frames, hints. The unit's own
//! file says what runs and how: a launch's arguments are not used. `bus` is the one connection; `unit` understands
//! properties; `job` starts; `watch` is what the bus tells by itself; `follow` reads the log, with `journal`; `enablement`
//! is the unit's own auto-start.

mod bus;
mod enablement;
mod follow;
mod job;
pub mod journal;
mod name;
mod unit;
mod watch;

pub use bus::{Bus, BusError, Scope};
pub use enablement::UnitFileState;
pub use name::{UnitName, UnitNameError};

use super::{
    Activity, Ended, FollowEnd, FramePosition, FrameSink, Hint, Instance, InstanceId, Launch, Look, Runtime,
    RuntimeError, StopSignal,
};
use app::model::{Remnant, Timestamp, UnreachableReason};
use bus::{Failed, SERVICE_INTERFACE, UNIT_INTERFACE};
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use journal::Journal;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use unit::{Active, Facts, Load};
use watch::{Change, Changes};
use zbus::zvariant::{OwnedObjectPath, OwnedValue, Value};

/// The kernel's number of the signal that cannot be caught.
const SIGKILL: i32 = 9;
/// How many processes of a unit are listed.
const PROCESSES: usize = 4096;
/// How often a silent manager is asked whether it lives.
const PING: Duration = Duration::from_secs(10);
/// How long the watcher waits before it asks again, at first and at most.
const WAIT: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(2));
/// How many questions about jobs may be under way at once.
const JOBS: usize = 8;

/// One service that is a unit.
pub struct SystemdRuntime {
    bus: Bus,
    unit: UnitName,
    journal: Journal,
    memory: Mutex<Memory>,
    /// One start at a time.
    starting: tokio::sync::Mutex<()>,
}

/// What systemd forgets: a unit that ended in order and that nothing refers to is unloaded, with all that was known of it.
#[derive(Default)]
struct Memory {
    /// What was seen last.
    last: Option<Instance>,
    /// The start for which a stop job was seen.
    stop_seen: Option<String>,
    /// The last start would have been followed by another had it ended by itself.
    restarts: bool,
    /// The start of which the journal was asked whether a stop was asked for.
    journal_asked: Option<String>,
    /// The connection on which the unit was asked to be kept loaded.
    kept_on: Option<String>,
}

impl SystemdRuntime {
    /// A runtime for this unit, which need not exist.
    pub fn new(bus: Bus, unit: UnitName) -> Self {
        let journal = Journal { program: PathBuf::from("journalctl"), scope: bus.scope() };
        let (memory, starting) = (Mutex::default(), tokio::sync::Mutex::new(()));
        Self { bus, unit, journal, memory, starting }
    }

    /// The same, with another program in place of `journalctl`.
    #[must_use]
    pub fn with_journalctl(mut self, program: PathBuf) -> Self {
        self.journal.program = program;
        self
    }

    /// The unit's name.
    pub const fn unit(&self) -> &UnitName {
        &self.unit
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The unit's properties, and its object.
    async fn facts(&self) -> Result<(Facts, String), Failed> {
        let path: OwnedObjectPath = self.bus.manager("LoadUnit", &self.unit.as_str()).await?;
        let unit = self.bus.properties(path.as_str(), UNIT_INTERFACE).await?;
        let service = self.bus.properties(path.as_str(), SERVICE_INTERFACE).await?;
        Ok((Facts::read(&unit, &service), path.as_str().to_owned()))
    }

    async fn look_now(&self) -> Result<Look, RuntimeError> {
        let (facts, path) = self.facts().await.map_err(|f| f.into_error("look"))?;
        if let Some(job) = &facts.job {
            self.note_job(job).await;
        }
        self.keep_loaded().await;
        let gone = facts.load == Load::NotFound && matches!(facts.active, Active::Inactive | Active::Failed);
        let Some(id) = facts.id() else {
            return Ok(self.without_a_start(&facts, gone));
        };
        let id = self.one_name(id);
        let activity = self.activity(&facts, &id).await;
        let mut seen = self.instance(id, activity);
        let processes = self.processes(&path, &facts).await;
        if matches!(seen.activity, Activity::Ended(_)) {
            seen.remnants =
                processes.into_iter().map(|(pid, name)| Remnant { pid, name, memory_bytes: None }).collect();
        } else {
            seen.pids = processes.into_iter().map(|(pid, _)| pid).collect();
        }
        let mut memory = self.memory();
        memory.restarts = facts.restarts_after_success;
        memory.last = Some(seen.clone());
        drop(memory);
        Ok(if gone { Look::Removed(Box::new(seen)) } else { Look::Present(Box::new(seen)) })
    }

    /// What the unit does. An end in order looks the same whether it was asked for or not: where no stop was seen, the
    /// journal may have seen one. It is asked once for each start.
    async fn activity(&self, facts: &Facts, id: &InstanceId) -> Activity {
        let stop_seen = self.memory().stop_seen.as_ref() == Some(&id.id);
        let activity = facts.activity(stop_seen);
        let unsure = matches!(&activity, Activity::Ended(e) if !e.asked_outside && facts.result == "success");
        if !unsure || self.memory().journal_asked.replace(id.id.clone()).as_ref() == Some(&id.id) {
            return activity;
        }
        if !self.journal.knows_of_a_stop(&id.id).await {
            return activity;
        }
        self.memory().stop_seen = Some(id.id.clone());
        facts.activity(true)
    }

    /// systemd knows of no start: there was none, or it has forgotten it.
    fn without_a_start(&self, facts: &Facts, gone: bool) -> Look {
        let mut memory = self.memory();
        let stop_seen = memory.stop_seen.take();
        let restarts = memory.restarts;
        let last = memory.last.as_mut().filter(|last| last.id.started_ns != 0);
        let Some(last) = last else {
            let never = InstanceId { id: self.unit.to_string(), started_ns: 0 };
            let seen = self.instance(never, facts.activity(false));
            return if gone { Look::Absent } else { Look::Present(Box::new(seen)) };
        };
        if last.activity == Activity::Running {
            // Units that failed are not forgotten: this one ended in order.
            let asked_outside = restarts || stop_seen.as_ref() == Some(&last.id.id);
            let at = Timestamp::now();
            last.activity =
                Activity::Ended(Ended { code: 0, oom: false, asked_outside, perhaps_asked: false, at });
            last.pids.clear();
        }
        let last = Box::new(last.clone());
        if gone { Look::Removed(last) } else { Look::Present(last) }
    }

    /// The name under which this start was seen first.
    fn one_name(&self, id: InstanceId) -> InstanceId {
        let memory = self.memory();
        memory.last.as_ref().filter(|last| last.id.id == id.id).map_or(id, |last| last.id.clone())
    }

    fn instance(&self, id: InstanceId, activity: Activity) -> Instance {
        Instance {
            id,
            activity,
            api_url: None,
            image: None,
            container: None,
            // The journal is asked for this start alone: its part has no beginning that could be missed.
            log_from_ns: 0,
            pids: Vec::new(),
            remnants: Vec::new(),
        }
    }

    /// PIDs and names of what runs in the unit's control group.
    async fn processes(&self, path: &str, facts: &Facts) -> Vec<(u32, String)> {
        let listed: Result<Vec<(String, u32, String)>, Failed> =
            self.bus.call(path, SERVICE_INTERFACE, "GetProcesses", &()).await;
        match listed {
            Ok(list) => {
                list.into_iter().take(PROCESSES).map(|(_, pid, line)| (pid, program(&line))).collect()
            }
            // The main one is known in any case.
            Err(_) if facts.main_pid != 0 => vec![(facts.main_pid, String::new())],
            Err(_) => Vec::new(),
        }
    }

    /// Asks systemd to keep what it knows of the unit for as long as this connection lasts. It may not be allowed: then the
    /// last look is what is known.
    async fn keep_loaded(&self) {
        let Ok(connection) = self.bus.connection().await else { return };
        let name = connection.unique_name().map(ToString::to_string);
        if self.memory().kept_on == name {
            return;
        }
        match self.bus.manager::<_, ()>("RefUnit", &self.unit.as_str()).await {
            Err(Failed::Away(_)) => {}
            Ok(()) | Err(Failed::Error { .. }) => self.memory().kept_on = name,
        }
    }

    /// Remembers that a stop was asked for, if that is what this job does.
    async fn note_job(&self, job: &str) {
        let kind: Result<OwnedValue, Failed> = self
            .bus
            .call(job, "org.freedesktop.DBus.Properties", "Get", &("org.freedesktop.systemd1.Job", "JobType"))
            .await;
        if kind.is_ok_and(|kind| matches!(&*kind, Value::Str(kind) if kind.as_str() == "stop")) {
            let mut memory = self.memory();
            memory.stop_seen = memory.last.as_ref().map(|last| last.id.id.clone());
        }
    }

    /// Whether this very start still runs; `None` when another one does, or none.
    async fn still_runs(&self, instance: &InstanceId) -> Result<bool, Failed> {
        let (facts, _) = self.facts().await?;
        Ok(facts.invocation == instance.id && facts.active == Active::Up)
    }

    async fn signal_now(&self, instance: &InstanceId, signal: StopSignal) -> Result<(), RuntimeError> {
        let (facts, _) = self.facts().await.map_err(|f| f.into_error("stop"))?;
        let ours = facts.invocation == instance.id && matches!(facts.active, Active::Up | Active::Waits);
        if !ours {
            return Ok(());
        }
        // The unit's own stop logic runs, and nothing starts it again, not even after a kill.
        let stopped: Result<OwnedObjectPath, Failed> =
            self.bus.manager("StopUnit", &(self.unit.as_str(), "replace")).await;
        gone_is_fine(stopped.map(drop), "stop")?;
        self.memory().stop_seen = Some(facts.invocation);
        if signal == StopSignal::Kill { self.kill_all().await } else { Ok(()) }
    }

    async fn kill_all(&self) -> Result<(), RuntimeError> {
        let killed = self.bus.manager::<_, ()>("KillUnit", &(self.unit.as_str(), "all", SIGKILL)).await;
        gone_is_fine(killed, "stop")
    }

    async fn end_remnants_now(&self, instance: &InstanceId) -> Result<(), RuntimeError> {
        let (facts, _) = self.facts().await.map_err(|f| f.into_error("stop"))?;
        // Started again meanwhile: what runs now was not meant.
        if facts.invocation != instance.id || facts.active == Active::Up {
            return Ok(());
        }
        self.kill_all().await
    }

    /// Sends hints; comes back when the bus or systemd is away, and says why, as far as it knows. Why the connection ended
    /// is for the caller to ask: the questions under way here may hold what that needs until they are dropped.
    async fn listen(&self, hints: &mpsc::Sender<Hint>, wait: &mut Duration) -> Option<UnreachableReason> {
        let mut changes = match Changes::open(&self.bus, &self.unit).await {
            Ok(changes) => changes,
            Err(Failed::Away(reason)) => return Some(reason),
            Err(Failed::Error { message, .. }) => {
                return Some(UnreachableReason::Garbage { detail: message });
            }
        };
        *wait = WAIT.0;
        // One hint that waits there says as much as ten. Nothing may be waited for beside the streams.
        let look_again = || {
            if hints.capacity() == hints.max_capacity() {
                let _ = hints.try_send(Hint::LookAgain);
            }
        };
        look_again();
        let mut asked = FuturesUnordered::new();
        let mut ping = tokio::time::interval(PING);
        ping.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut silence = None;
        loop {
            tokio::select! {
                change = changes.next() => match change {
                    Some(Change::Gone) | None => return None,
                    Some(change) => {
                        if let Change::JobNew(job) = change && asked.len() < JOBS {
                            asked.push(async move { self.note_job(&job).await });
                        }
                        look_again();
                    }
                },
                Some(()) = asked.next() => {}
                _ = ping.tick(), if silence.is_none() => silence = Some(Box::pin(self.silence())),
                reason = async { match silence.as_mut() { Some(s) => s.await, None => std::future::pending().await } } => {
                    silence = None;
                    if reason.is_some() {
                        return reason;
                    }
                }
            }
        }
    }

    /// Asks whether the manager lives; why not, if so.
    async fn silence(&self) -> Option<UnreachableReason> {
        let path = bus::MANAGER;
        match self.bus.call::<_, ()>(path, "org.freedesktop.DBus.Peer", "Ping", &()).await {
            Err(Failed::Away(reason)) => Some(reason),
            // Whatever it answers, it answers.
            Ok(()) | Err(Failed::Error { .. }) => None,
        }
    }

    async fn send_hints(&self, hints: mpsc::Sender<Hint>) {
        let mut wait = WAIT.0;
        let mut away = None;
        loop {
            let reason = match self.listen(&hints, &mut wait).await {
                Some(reason) => reason,
                None => self.bus.why_away().await,
            };
            // Away must not be lost, and the service's task always reads: wait for room.
            if away.as_ref() != Some(&reason) || wait == WAIT.0 {
                tracing::warn!(unit = %self.unit, ?reason, "systemd cannot be asked");
                away = Some(reason.clone());
                if hints.send(Hint::Away(reason)).await.is_err() {
                    return;
                }
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(WAIT.1);
        }
    }
}

/// A unit that systemd does not have loaded, or that has no process, has ended.
fn gone_is_fine(answer: Result<(), Failed>, action: &str) -> Result<(), RuntimeError> {
    match answer {
        Ok(()) => Ok(()),
        Err(Failed::Error { name, .. })
            if matches!(
                name.as_str(),
                "org.freedesktop.systemd1.NoSuchUnit"
                    | "org.freedesktop.systemd1.NoSuchProcess"
                    | "org.freedesktop.DBus.Error.UnixProcessIdUnknown"
            ) =>
        {
            Ok(())
        }
        Err(failed) => Err(failed.into_error(action)),
    }
}

/// The program's name, from a command line as systemd writes it.
fn program(line: &str) -> String {
    let first = line.split_whitespace().next().unwrap_or_default().trim_matches('"');
    first.rsplit('/').next().unwrap_or_default().chars().take(64).collect()
}

impl Runtime for SystemdRuntime {
    fn look(&self) -> BoxFuture<'_, Result<Look, RuntimeError>> {
        Box::pin(self.look_now())
    }

    fn start<'a>(&'a self, _launch: &'a Launch) -> BoxFuture<'a, Result<(), RuntimeError>> {
        Box::pin(self.start_now())
    }

    fn signal<'a>(
        &'a self,
        instance: &'a InstanceId,
        signal: StopSignal,
    ) -> BoxFuture<'a, Result<(), RuntimeError>> {
        Box::pin(self.signal_now(instance, signal))
    }

    fn end_remnants<'a>(&'a self, instance: &'a InstanceId) -> BoxFuture<'a, Result<(), RuntimeError>> {
        Box::pin(self.end_remnants_now(instance))
    }

    fn follow<'a>(
        &'a self,
        instance: &'a InstanceId,
        from: FramePosition,
        sink: &'a mut dyn FrameSink,
        stop: CancellationToken,
    ) -> BoxFuture<'a, Result<FollowEnd, RuntimeError>> {
        Box::pin(self.follow_now(instance, from, sink, stop))
    }

    fn watch<'a>(&'a self, hints: mpsc::Sender<Hint>, stop: CancellationToken) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            tokio::select! {
                () = self.send_hints(hints) => {}
                () = stop.cancelled() => {}
            }
        })
    }
}
