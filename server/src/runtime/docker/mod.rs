//! Services that run as containers of a Docker engine. Only this room knows bollard.
//!
//! In: launches, signals, where to follow from. Out: looks, log frames, hints. `engine` is the one connection and the one
//! event stream of an address, shared by all services; `container` reads and makes containers; `logs` reads log streams; `images` lists,
//! pulls, tags and removes images, with `progress` and `credentials`.

mod about;
mod body;
mod container;
mod credentials;
mod engine;
pub mod images;
mod leftover;
mod logs;
mod places;
mod podman;
mod progress;

pub use about::{About, about};
pub use container::{SHM_BYTES, binds};
pub use engine::{Engine, EngineEvent};
pub use places::default_engine;

use super::{
    Activity, FollowEnd, FramePosition, FrameSink, Hint, InstanceId, Launch, Look, Runtime, RuntimeError,
    StopSignal,
};
use crate::runtime::Instance;
use app::model::{Candidate, FailureKind, UnreachableReason};
use bollard::models::{ContainerInspectResponse, ContainerUpdateBody, RestartPolicy, RestartPolicyNameEnum};
use bollard::query_parameters::KillContainerOptions;
use futures::future::BoxFuture;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{broadcast::error::RecvError, mpsc};
use tokio_util::sync::CancellationToken;

/// What the words of a kind of service mean, told by the room that knows them.
#[derive(Clone, Copy)]
pub struct Dialect {
    /// The port it listens on inside when nothing else is said.
    pub default_port: u16,
    /// The port that its arguments name.
    pub port_of: fn(&[String]) -> Option<u16>,
    /// The model that its arguments name.
    pub model_of: fn(&[String]) -> Option<String>,
    /// Whether an image is of this kind.
    pub is_image: fn(&str) -> bool,
}

/// Keeps what is needed to create a container again that its own `--rm` removes.
pub trait Recipes: Send + Sync + 'static {
    /// The recipe, as it was kept.
    fn get(&self) -> Option<String>;
    /// Keeps a recipe.
    fn put(&self, recipe: &str);
}

/// One service's container.
pub struct DockerRuntime {
    engine: Arc<Engine>,
    service: String,
    container: String,
    dialect: Dialect,
    recipes: Box<dyn Recipes>,
    cache_dir: Option<std::path::PathBuf>,
    /// What was seen last: what a removed container was is known from here alone.
    last: Mutex<Option<Instance>>,
    /// The container whose end was looked up in what the engine remembers.
    recalled: Mutex<Option<String>>,
    /// One start at a time.
    starting: tokio::sync::Mutex<()>,
}

/// What an instance is to its container now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LastStart {
    /// It runs.
    Runs,
    /// It was the last start, and has ended; gone counts as that, too.
    Ended,
    /// The container was started again, or is not understood.
    Another,
    /// The engine cannot be asked, or does not know.
    Unknown,
}

impl DockerRuntime {
    /// A runtime for the container of this name, which need not exist.
    pub fn new(
        engine: Arc<Engine>,
        service: String,
        container: String,
        dialect: Dialect,
        recipes: Box<dyn Recipes>,
        cache_dir: Option<std::path::PathBuf>,
    ) -> Self {
        let starting = tokio::sync::Mutex::new(());
        let (last, recalled) = (Mutex::new(None), Mutex::new(None));
        Self { engine, service, container, dialect, recipes, cache_dir, last, recalled, starting }
    }

    fn remember(&self, instance: Option<Instance>) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = instance;
    }

    /// Asks for the container of this name or id.
    async fn inspect(&self, name: &str) -> Result<ContainerInspectResponse, engine::Failed> {
        self.engine.inspect(name).await
    }

    /// Whether the container has a terminal; `None` when it is gone.
    async fn has_terminal(&self, id: &str) -> Result<Option<bool>, RuntimeError> {
        match self.inspect(id).await {
            Ok(found) => Ok(Some(found.config.and_then(|c| c.tty).unwrap_or(false))),
            Err(engine::Failed::Server { status: 404, .. }) => Ok(None),
            Err(failed) => Err(failed.into_error("logs")),
        }
    }

    fn log<'a>(&'a self, instance: &'a InstanceId, tty: bool) -> logs::Log<'a> {
        logs::Log { address: self.engine.address(), id: &instance.id, tty, mute: self.engine.is_podman() }
    }

    /// An end that nobody here saw: the engine may still know who asked for it.
    async fn recall(&self, found: &ContainerInspectResponse) {
        let ended = found.state.as_ref().is_some_and(|s| s.running == Some(false));
        let Some(id) = found.id.as_ref().filter(|_| ended) else { return };
        let first = self.recalled.lock().unwrap_or_else(PoisonError::into_inner).replace(id.clone());
        let told = self.engine.told(id);
        if first.as_ref() != Some(id) && told.died.is_none() && told.signals.is_empty() {
            self.engine.recall(id).await;
        }
    }

    async fn look_now(&self) -> Result<Look, RuntimeError> {
        match self.inspect(&self.container).await {
            Ok(found) if container::is_named(&found, &self.container) => {
                self.recall(&found).await;
                let seen = container::read(&found, &self.service, self.dialect, &self.engine)?;
                if seen.container.as_ref().is_some_and(|c| c.auto_remove)
                    && seen.activity == Activity::Running
                    && let Some(recipe) = container::recipe(&found)
                    && self.recipes.get().as_ref() != Some(&recipe)
                {
                    self.recipes.put(&recipe);
                }
                self.remember(Some(seen.clone()));
                Ok(Look::Present(Box::new(seen)))
            }
            // The engine takes the beginning of an id for a name, too: such a container is not ours.
            Ok(_) | Err(engine::Failed::Server { status: 404, .. }) => self.look_for_last().await,
            Err(failed) => Err(failed.into_error("look")),
        }
    }

    /// Nothing has the name: what was seen last may have been renamed, or be gone.
    async fn look_for_last(&self) -> Result<Look, RuntimeError> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(mut last) = last.filter(|l| l.activity != Activity::Created) else {
            return Ok(Look::Absent);
        };
        if last.activity == Activity::Running {
            match self.inspect(&last.id.id).await {
                Ok(found) => {
                    let seen = container::read(&found, &self.service, self.dialect, &self.engine)?;
                    self.remember(Some(seen.clone()));
                    return Ok(Look::Present(Box::new(seen)));
                }
                Err(engine::Failed::Server { status: 404, .. }) => {
                    container::removed(&mut last, &self.engine);
                }
                Err(failed) => return Err(failed.into_error("look")),
            }
        }
        self.remember(Some(last.clone()));
        Ok(Look::Removed(Box::new(last)))
    }

    /// The container, once one that its `--rm` is taking away is gone; at most 30 s.
    async fn inspect_when_settled(&self) -> Result<ContainerInspectResponse, engine::Failed> {
        let mut tries = 300;
        loop {
            let found = self.inspect(&self.container).await;
            tries -= 1;
            if tries == 0 || !found.as_ref().is_ok_and(container::is_leaving) {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn start_now(&self, launch: &Launch) -> Result<(), RuntimeError> {
        let _one_at_a_time = self.starting.lock().await;
        let found = self.inspect_when_settled().await;
        match found {
            Ok(found) if !container::is_named(&found, &self.container) => {
                return Err(RuntimeError::Refused(FailureKind::Refused {
                    action: "create".to_owned(),
                    detail: format!(
                        "{} is the beginning of another container's id: choose another name",
                        self.container
                    ),
                }));
            }
            Ok(found) if found.state.as_ref().and_then(|s| s.running) == Some(true) => return Ok(()),
            Ok(found) => {
                let renew = launch.renew && container::is_ours(&found, &self.service);
                if renew || container::is_outdated(&found, &self.service, launch) {
                    self.replace(launch).await?;
                }
            }
            Err(engine::Failed::Server { status: 404, .. }) => {
                self.remember(None);
                let body = match self.recipes.get().and_then(|r| container::from_recipe(&r)) {
                    Some(body) => body,
                    None => self.body(launch).await?,
                };
                self.create(body, launch).await?;
            }
            Err(failed) => return Err(failed.into_error("look")),
        }
        let started = self
            .engine
            .ask_slowly(|docker| async move { docker.start_container(&self.container, None).await })
            .await;
        match started {
            Ok(()) | Err(engine::Failed::Server { status: 304, .. }) => Ok(()),
            Err(engine::Failed::Server { message, .. }) if is_port_taken(&message) => {
                Err(RuntimeError::Refused(FailureKind::PortInUse {
                    port: launch.host_port,
                    by: app::model::PortHolder::Unknown,
                }))
            }
            Err(failed) => Err(failed.into_error("start")),
        }
    }

    async fn body(&self, launch: &Launch) -> Result<bollard::models::ContainerCreateBody, RuntimeError> {
        if let Some(missing) = &launch.missing {
            return Err(RuntimeError::Refused(missing.clone()));
        }
        let info = self
            .engine
            .ask(|docker| async move { docker.info().await })
            .await
            .map_err(|f| f.into_error("create"))?;
        if let Some(cache) = &self.cache_dir {
            // The engine would make them, too, but as root.
            for folder in container::CACHES {
                if let Err(error) = tokio::fs::create_dir_all(cache.join(folder)).await {
                    tracing::warn!(%error, folder, "a cache folder cannot be made");
                }
            }
        }
        let nvidia = info.runtimes.is_some_and(|r| r.contains_key("nvidia"));
        Ok(container::body(launch, &self.service, nvidia, self.cache_dir.as_deref()))
    }

    async fn create(
        &self,
        body: bollard::models::ContainerCreateBody,
        launch: &Launch,
    ) -> Result<(), RuntimeError> {
        let image = body.image.clone().or_else(|| launch.image.clone()).unwrap_or_default();
        let options = bollard::query_parameters::CreateContainerOptions {
            name: Some(self.container.clone()),
            ..Default::default()
        };
        let created = self
            .engine
            .ask_slowly(|docker| async move { docker.create_container(Some(options), body).await })
            .await;
        match created {
            Ok(_) => Ok(()),
            Err(engine::Failed::Server { status: 404, .. }) => {
                Err(RuntimeError::Refused(FailureKind::ImageMissing { image }))
            }
            Err(failed) => Err(failed.into_error("create")),
        }
    }

    /// Creates our own stopped container anew because its settings changed. If that fails, the old one is back as it was.
    async fn replace(&self, launch: &Launch) -> Result<(), RuntimeError> {
        let body = self.body(launch).await?;
        let aside = format!("{}-before", self.container);
        // What a replacement that was cut off left behind, if it is ours.
        let left = self.inspect(&aside).await;
        if left.is_ok_and(|found| {
            container::is_ours(&found, &self.service) && container::is_named(&found, &aside)
        }) {
            self.remove(&aside).await?;
        }
        let rename = |from: String, to: String| async move {
            let options = bollard::query_parameters::RenameContainerOptions { name: to };
            self.engine.ask(|docker| async move { docker.rename_container(&from, options).await }).await
        };
        rename(self.container.clone(), aside.clone()).await.map_err(|f| f.into_error("create"))?;
        if let Err(error) = self.create(body, launch).await {
            rename(aside, self.container.clone()).await.map_err(|f| f.into_error("create"))?;
            return Err(error);
        }
        if let Err(error) = self.remove(&aside).await {
            tracing::warn!(container = aside, %error, "the container before this one could not be removed");
        }
        Ok(())
    }

    async fn remove(&self, container: &str) -> Result<(), RuntimeError> {
        self.engine
            .ask_slowly(|docker| async move { docker.remove_container(container, None).await })
            .await
            .map_err(|f| f.into_error("remove"))
    }

    async fn signal_now(&self, instance: &InstanceId, signal: StopSignal) -> Result<(), RuntimeError> {
        let name = match signal {
            StopSignal::Terminate => "SIGTERM",
            StopSignal::Kill => "SIGKILL",
        };
        let options = KillContainerOptions { signal: name.to_owned() };
        let sent = self
            .engine
            .ask(|docker| async move { docker.kill_container(&instance.id, Some(options)).await })
            .await;
        match sent {
            // Gone, or not running: what was wanted.
            Ok(()) | Err(engine::Failed::Server { status: 404 | 409, .. }) => Ok(()),
            Err(engine::Failed::Server { message, .. }) if is_not_running(&message) => Ok(()),
            Err(failed) => Err(failed.into_error("stop")),
        }
    }

    /// Asks what has become of this instance. A log may end in order while its container goes on: an engine that is stopped
    /// but keeps containers alive.
    async fn last_start(&self, instance: &InstanceId) -> LastStart {
        match self.inspect(&instance.id).await {
            Ok(found) => match container::read(&found, &self.service, self.dialect, &self.engine) {
                Ok(now) if now.id != *instance => LastStart::Another,
                Ok(now) if now.activity == Activity::Running => LastStart::Runs,
                Ok(_) => LastStart::Ended,
                Err(_) => LastStart::Another,
            },
            Err(engine::Failed::Server { status: 404, .. }) => LastStart::Ended,
            // An error of the engine's own says nothing of the container.
            Err(engine::Failed::Server { .. } | engine::Failed::Away(_)) => LastStart::Unknown,
        }
    }

    async fn send_hints(&self, hints: mpsc::Sender<Hint>) {
        let mut events = self.engine.subscribe();
        // An engine that nobody has asked yet will say by an event how it is.
        let first = match self.engine.away() {
            None => Some(Hint::LookAgain),
            Some(UnreachableReason::NotAskedYet) => None,
            Some(reason) => Some(Hint::Away(reason)),
        };
        if let Some(hint) = first
            && hints.send(hint).await.is_err()
        {
            return;
        }
        loop {
            let hint = match events.recv().await {
                Ok(EngineEvent::Container { id, name }) => {
                    let ours = name == self.container
                        || self
                            .last
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .as_ref()
                            .is_some_and(|l| l.id.id == id);
                    if !ours {
                        continue;
                    }
                    Hint::LookAgain
                }
                Ok(EngineEvent::Image) => continue,
                Ok(EngineEvent::Up) | Err(RecvError::Lagged(_)) => Hint::LookAgain,
                Ok(EngineEvent::Away(reason)) => Hint::Away(reason),
                Err(RecvError::Closed) => return,
            };
            // Away must not be lost, and the service's task always reads: wait for room.
            if hints.send(hint).await.is_err() {
                return;
            }
        }
    }
}

fn is_port_taken(message: &str) -> bool {
    message.contains("port is already allocated") || message.contains("address already in use")
}

/// Podman's words for what Docker answers with 409: a signal for a container that does not run.
fn is_not_running(message: &str) -> bool {
    message.contains("can only kill running containers") || message.ends_with("container state improper")
}

impl Runtime for DockerRuntime {
    fn look(&self) -> BoxFuture<'_, Result<Look, RuntimeError>> {
        Box::pin(self.look_now())
    }

    fn start<'a>(&'a self, launch: &'a Launch) -> BoxFuture<'a, Result<(), RuntimeError>> {
        Box::pin(self.start_now(launch))
    }

    fn signal<'a>(
        &'a self,
        instance: &'a InstanceId,
        signal: StopSignal,
    ) -> BoxFuture<'a, Result<(), RuntimeError>> {
        Box::pin(self.signal_now(instance, signal))
    }

    fn end_remnants<'a>(&'a self, instance: &'a InstanceId) -> BoxFuture<'a, Result<(), RuntimeError>> {
        Box::pin(async move {
            // Started again meanwhile: what runs now was not meant.
            if self.last_start(instance).await != LastStart::Ended {
                return Ok(());
            }
            // A container takes its processes with it, but for those that the engine has lost; those of another machine
            // are out of reach.
            if self.engine.address().starts_with("unix://") {
                let id = instance.id.clone();
                let (found, ended) =
                    tokio::task::spawn_blocking(move || leftover::end(&id)).await.unwrap_or_default();
                tracing::info!(container = %instance.id, found, ended, "what was left of a container was ended");
                if found > ended {
                    let detail =
                        format!("{} of {found} processes may not be ended by this user", found - ended);
                    return Err(RuntimeError::Refused(FailureKind::Refused {
                        action: "stop".into(),
                        detail,
                    }));
                }
            }
            Ok(())
        })
    }

    fn follow<'a>(
        &'a self,
        instance: &'a InstanceId,
        from: FramePosition,
        sink: &'a mut dyn FrameSink,
        stop: CancellationToken,
    ) -> BoxFuture<'a, Result<FollowEnd, RuntimeError>> {
        Box::pin(async move {
            let Some(tty) = self.has_terminal(&instance.id).await? else { return Ok(FollowEnd::Complete) };
            let log = self.log(instance, tty);
            let (end, mut at) = log.read(from, logs::To::Live, sink, &stop).await?;
            if end == FollowEnd::Broken {
                return Ok(end);
            }
            match self.last_start(instance).await {
                LastStart::Runs | LastStart::Unknown => return Ok(FollowEnd::Broken),
                // It writes into the same log: its lines are not this one's.
                LastStart::Another => return Ok(FollowEnd::Complete),
                LastStart::Ended => {}
            }
            // A follower of a container that ends at once may be let go before its lines were written: what is
            // left is read from the file, until nothing more comes.
            for _ in 0..3 {
                let (end, behind) = log.read(at, logs::To::End, sink, &stop).await?;
                if end == FollowEnd::Broken {
                    return Ok(end);
                }
                if std::mem::replace(&mut at, behind) == behind {
                    break;
                }
            }
            Ok(FollowEnd::Complete)
        })
    }

    fn read<'a>(
        &'a self,
        instance: &'a InstanceId,
        from: FramePosition,
        until_ns: i64,
        sink: &'a mut dyn FrameSink,
        stop: CancellationToken,
    ) -> BoxFuture<'a, Result<FollowEnd, RuntimeError>> {
        Box::pin(async move {
            let Some(tty) = self.has_terminal(&instance.id).await? else { return Ok(FollowEnd::Complete) };
            let log = self.log(instance, tty);
            Ok(log.read(from, logs::To::Time(until_ns), sink, &stop).await?.0)
        })
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

/// Ends a container's own restart policy; nothing else of it changes.
///
/// # Errors
/// [`RuntimeError`].
pub async fn end_policy(engine: &Engine, container: &str) -> Result<(), RuntimeError> {
    let policy = RestartPolicy { name: Some(RestartPolicyNameEnum::NO), maximum_retry_count: None };
    let body = ContainerUpdateBody { restart_policy: Some(policy), ..Default::default() };
    let updated = engine.ask(|docker| async move { docker.update_container(container, body).await }).await;
    updated.map_err(|failed| match failed {
        // Not the container is missing, but the whole question.
        engine::Failed::Server { status: 404, message } if !message.contains("container") => {
            RuntimeError::Refused(FailureKind::Refused {
                action: "update".to_owned(),
                detail: "this engine cannot change a container's restart policy; create the container anew with --restart=no".to_owned(),
            })
        }
        failed => failed.into_error("update"),
    })
}

/// Names of all containers with a label, `KEY` or `KEY=VALUE`, sorted.
///
/// # Errors
/// [`RuntimeError`].
pub async fn labelled(engine: &Engine, label: &str) -> Result<Vec<String>, RuntimeError> {
    let (key, value) = label.split_once('=').map_or((label, None), |(key, value)| (key, Some(value)));
    let list = engine.containers().await.map_err(|f| f.into_error("list"))?;
    let has = |labels: &Option<HashMap<String, String>>| {
        let found = labels.as_ref().and_then(|labels| labels.get(key));
        found.is_some_and(|found| value.is_none_or(|value| value == found))
    };
    let name = |names: Option<Vec<String>>| Some(names?.first()?.trim_start_matches('/').to_owned());
    let ours = list.into_iter().filter(|container| has(&container.labels));
    let mut names: Vec<String> = ours.filter_map(|c| name(c.names)).take(100).collect();
    names.sort();
    Ok(names)
}

/// Containers of this kind's image that none of `owned` names, sorted by name.
///
/// # Errors
/// [`RuntimeError`].
pub async fn candidates(
    engine: &Engine,
    dialect: Dialect,
    owned: &[String],
) -> Result<Vec<Candidate>, RuntimeError> {
    let list = engine.containers().await.map_err(|f| f.into_error("list"))?;
    let mut candidates: Vec<Candidate> = list
        .iter()
        .filter_map(|c| container::candidate(c, dialect))
        .filter(|c| !owned.contains(&c.container))
        .take(100)
        .collect();
    candidates.sort_by(|a, b| a.container.cmp(&b.container));
    Ok(candidates)
}
