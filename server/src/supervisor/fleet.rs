//! All services: their tasks, and the picture of the world that viewers are shown.

use super::images::{ImageError, Images};
use super::task::{Handle, Mail, Task};
use super::world::World;
use crate::gpu::Paths;
use crate::history::{History, Keeper};
use crate::install;
use crate::logs::Feed;
use crate::runtime::docker::{self, DockerRuntime, Engine, EngineEvent, Recipes};
use crate::runtime::process::{Mode, ProcessRuntime, ProcessSettings};
use crate::runtime::systemd::{Bus, SystemdRuntime, UnitName};
use crate::runtime::{Runtime, RuntimeError};
use crate::settings::edit::{self, EditError};
use crate::settings::fields;
use crate::settings::{Config, ContainerName, Kind, RuntimeChoice, ServiceConfig, Sourced, Sources};
use crate::store::{Store, StoreTrouble, Taken};
use crate::vllm::http::Http;
use crate::vllm::launch::{DIALECT, PLAIN};
use crate::vllm::metrics::requests_under_way;
use app::api::ApiError;
use app::model::{
    BootStatus, Change, ContainerFacts, FailureKind, ImageVerb, KeptImage, Origin, PullFailure, RuntimeKind,
    Service, ServiceName, State, Timestamp, UnreachableReason, Verb, Verdict,
};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long the engine may take to say whether requests run.
const OBJECTION_LIMIT: Duration = Duration::from_secs(1);

/// Tables of models: when each was computed, and for which GPUs.
pub(super) type Tables = BTreeMap<ServiceName, (Instant, Arc<Vec<app::model::Gpu>>, Table)>;

/// How often it is looked which logs are too old or too much.
const TIDY_EVERY: Duration = Duration::from_secs(60);

/// How long a service's task may take to end; its last lines have three seconds of their own.
const TASK_LIMIT: Duration = Duration::from_secs(2);
/// How long the end of all of them may take together.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(14);
/// How often the store is tried while somebody asks whether it can be written.
const STORE_AGAIN: Duration = Duration::from_secs(1);
/// How long that may take.
const STORE_LIMIT: Duration = Duration::from_secs(3);

/// How long the first page waits for the list of images.
const FIRST_IMAGES: Duration = Duration::from_millis(500);

/// Rows of the table of models, and what could not be read.
pub(super) type Table = (Vec<crate::vllm::models::Row>, Vec<String>);

/// One service under care.
pub(super) struct Post {
    pub(super) config: ServiceConfig,
    pub(super) kind: RuntimeKind,
    pub(super) handle: Handle,
    stop: CancellationToken,
    task: JoinHandle<()>,
    keeper: Keeper,
    demo: Option<Arc<ProcessRuntime>>,
    /// The unit, where it is one of systemd.
    unit: Option<Arc<SystemdRuntime>>,
}

impl Post {
    /// Ends its task, and behind it the keeper of its log: what the task still said is written, too.
    async fn end(self) {
        if let Some(demo) = self.demo {
            demo.shutdown().await;
        }
        if tokio::time::timeout(TASK_LIMIT, self.task).await.is_err() {
            tracing::warn!(service = %self.config.name, "its task did not end in time");
        }
        self.keeper.finish().await;
    }
}

/// All services.
pub struct Fleet {
    posts: Mutex<BTreeMap<ServiceName, Post>>,
    pub(super) world: Arc<World>,
    pub(super) store: Arc<Store>,
    history: Arc<History>,
    engine: Arc<Engine>,
    images: Arc<Images>,
    state_dir: PathBuf,
    /// Where settings are read again from after a change.
    sources: Sources,
    config_file: PathBuf,
    /// Folders that the page may hand to containers, as the file listed them when the dashboard started.
    folders: Vec<PathBuf>,
    /// Held while settings are compared and written.
    saving: Mutex<()>,
    /// Held while a service is moved from one image to another.
    moving: tokio::sync::Mutex<()>,
    /// Services that are listed by a label.
    patterns: Mutex<Vec<ServiceConfig>>,
    /// The bus of systemd; no connection is made before a unit is asked for.
    bus: Bus,
    /// How many services are configured.
    services: usize,
    /// The tables of models as they were computed last.
    tables: Mutex<Tables>,
    stop: CancellationToken,
    /// Every service was looked at once.
    settled: AtomicBool,
    /// When the store was tried last, and whether it could be written.
    writes: tokio::sync::Mutex<Option<(Instant, bool)>>,
}

/// What keeps a `--rm` container's recipe in the store.
struct StoredRecipe {
    store: Arc<Store>,
    service: ServiceName,
    container: String,
}

impl Recipes for StoredRecipe {
    fn get(&self) -> Option<String> {
        self.store.recipe(&self.service, &self.container)
    }

    fn put(&self, recipe: &str) {
        self.store.set_recipe(&self.service, &self.container, recipe);
    }
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| {
        use std::os::unix::fs::PermissionsExt;
        std::fs::metadata(dir.join(program)).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
    })
}

impl Fleet {
    /// Takes all configured services under care.
    pub fn start(config: &Config, sources: Sources, store: Arc<Store>, stop: CancellationToken) -> Arc<Self> {
        let (address, found) = match &config.dashboard.docker_host.value {
            Some(address) => (address.clone(), true),
            None => docker::default_engine(),
        };
        let state_dir = config.dashboard.state_dir.value.clone();
        let (engine, world) = (Engine::new(address), World::new(state_dir.display().to_string()));
        let history = History::with_raw(
            state_dir.join("logs"),
            ["processes", "demo"].map(|folder| state_dir.join(folder)).to_vec(),
            config.dashboard.logs.bounds(),
        );
        let images = Images::new(engine.clone(), store.clone(), world.clone(), stop.clone());
        let fleet = Arc::new(Self {
            posts: Mutex::default(),
            world,
            store,
            history,
            engine,
            images,
            state_dir,
            sources,
            config_file: config.dashboard.config.value.clone(),
            folders: config.dashboard.folders.clone(),
            saving: Mutex::new(()),
            moving: tokio::sync::Mutex::new(()),
            patterns: Mutex::default(),
            bus: config.dashboard.systemd_bus.value.clone(),
            services: config.services.len(),
            tables: Mutex::default(),
            stop,
            settled: AtomicBool::new(false),
            writes: tokio::sync::Mutex::default(),
        });
        edit::clear_leftovers(&fleet.config_file);
        let mut services = config.services.clone();
        for (service, container) in fleet.store.adoptions() {
            fleet.apply_adoption(&mut services, &service, &container);
        }
        let mut docker_used = false;
        for service in services {
            if service.label.is_some() {
                // A pattern, not a service: its containers become services when they are found.
                docker_used = true;
                fleet.patterns().push(service);
                continue;
            }
            let kind = fleet.choose(&service, found);
            docker_used |= kind == RuntimeKind::Docker;
            fleet.care_for(service, kind, None);
        }
        if docker_used || found {
            tokio::spawn(fleet.engine.clone().run(fleet.stop.clone()));
            tokio::spawn(fleet.clone().find_candidates());
            tokio::spawn(fleet.images.clone().run());
            if config.dashboard.check_images.value {
                tokio::spawn(fleet.images.clone().check_now_and_then());
            }
        }
        tokio::spawn(fleet.clone().find_foreign());
        for name in
            fleet.posts().values().filter(|p| p.config.kind == Kind::Vllm).map(|p| p.config.name.clone())
        {
            // The first page finds its table computed.
            let fleet = fleet.clone();
            tokio::spawn(async move { fleet.models_for(&name).await.map(drop) });
        }
        let paths = Paths { nvml_library: config.dashboard.nvml_library.value.clone(), ..Paths::default() };
        tokio::spawn(crate::gpu::watch(fleet.world.clone(), paths, fleet.stop.clone()));
        tokio::spawn(super::counters::watch(fleet.world.clone(), fleet.stop.clone()));
        tokio::spawn(fleet.clone().look_after_history());
        tokio::spawn(super::upkeep::look_after(fleet.store.clone(), fleet.world.clone(), fleet.stop.clone()));
        fleet
    }

    /// What everybody sees.
    pub fn world(&self) -> &Arc<World> {
        &self.world
    }

    pub(super) fn posts(&self) -> MutexGuard<'_, BTreeMap<ServiceName, Post>> {
        self.posts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn apply_adoption(&self, services: &mut Vec<ServiceConfig>, service: &str, container: &str) {
        let (Ok(name), Ok(container)) = (ServiceName::parse(service), ContainerName::parse(container)) else {
            return;
        };
        if services.iter().any(|s| s.name != name && s.container.value == container) {
            return;
        }
        let adopted = Sourced { value: container, origin: Origin::Adopted };
        if let Some(existing) = services.iter_mut().find(|s| s.name == name) {
            if existing.kind == Kind::Vllm && !existing.container.is_explicit() {
                existing.container = adopted;
            }
        } else if let Some(template) = vllm_template(services.iter()) {
            services.push(adopted_service(&template, name, adopted));
        }
    }

    fn choose(&self, service: &ServiceConfig, engine_found: bool) -> RuntimeKind {
        match service.kind {
            Kind::Vllm => {}
            Kind::Container => return RuntimeKind::Docker,
            Kind::Process { .. } => return RuntimeKind::Process,
            Kind::Systemd { .. } => return RuntimeKind::Systemd,
        }
        match service.runtime.value {
            RuntimeChoice::Docker => RuntimeKind::Docker,
            RuntimeChoice::Process => RuntimeKind::Process,
            RuntimeChoice::Demo => RuntimeKind::Demo,
            RuntimeChoice::Auto => {
                let fact = |key: &str| self.store.fact(key).is_some();
                if engine_found || fact("used-docker") || service.container.origin == Origin::Adopted {
                    RuntimeKind::Docker
                } else if on_path("vllm") || fact("used-process") {
                    RuntimeKind::Process
                } else {
                    RuntimeKind::Demo
                }
            }
        }
    }

    fn care_for(self: &Arc<Self>, config: ServiceConfig, kind: RuntimeKind, feed: Option<Arc<Feed>>) {
        self.world.expect(&config.name);
        let stop = self.stop.child_token();
        let (mut demo, mut unit) = (None, None);
        let runtime: Arc<dyn Runtime> = match kind {
            RuntimeKind::Docker => {
                let container = config.container.value.to_string();
                let recipes = StoredRecipe {
                    store: self.store.clone(),
                    service: config.name.clone(),
                    container: container.clone(),
                };
                let dialect = if config.kind == Kind::Vllm { DIALECT } else { PLAIN };
                Arc::new(DockerRuntime::new(
                    self.engine.clone(),
                    config.name.to_string(),
                    container,
                    dialect,
                    Box::new(recipes),
                    self.cache_dir(),
                ))
            }
            RuntimeKind::Process | RuntimeKind::Demo => {
                let (folder, mode) =
                    if kind == RuntimeKind::Demo { ("demo", Mode::Demo) } else { ("processes", Mode::Own) };
                let settings = ProcessSettings {
                    service: config.name.clone(),
                    dir: self.state_dir.join(folder).join(config.name.as_str()),
                    exe: std::env::current_exe().unwrap_or_else(|_| PathBuf::from("/proc/self/exe")),
                    mode,
                    log_bytes: self.history.raw_limit(self.services),
                };
                let runtime = Arc::new(ProcessRuntime::new(settings));
                demo = (kind == RuntimeKind::Demo).then(|| runtime.clone());
                runtime
            }
            RuntimeKind::Systemd => {
                let Kind::Systemd { unit: name } = &config.kind else { return };
                let Ok(name) = UnitName::parse(name) else { return };
                let runtime = Arc::new(SystemdRuntime::new(self.bus.clone(), name));
                unit = Some(runtime.clone());
                runtime
            }
        };
        let (task, handle, inbox) = Task::new(
            config.clone(),
            kind,
            runtime,
            self.store.clone(),
            self.world.clone(),
            stop.clone(),
            feed,
        );
        let (store, name) = (self.store.clone(), config.name.clone());
        let saved = move |mark: &crate::logs::Mark| store.set_log_mark(&name, mark);
        let keeper = Keeper::spawn(self.history.clone(), config.name.clone(), handle.feed.clone(), saved);
        let task = tokio::spawn(task.run(inbox));
        if let Some(unit) = &unit {
            let (world, stop) = (self.world.clone(), stop.clone());
            tokio::spawn(tell_enablement(unit.clone(), handle.mail.clone(), world, stop));
        }
        self.posts()
            .insert(config.name.clone(), Post { config, kind, handle, stop, task, keeper, demo, unit });
    }

    /// Waits until every state is known, at most this long: then the first page can tell the truth.
    pub async fn settle(&self, limit: Duration) {
        let waits: Vec<_> = self.posts().values().map(|p| p.handle.settled.clone()).collect();
        let all = async {
            for mut settled in waits {
                // A task that ended will not settle: nothing to wait for.
                let _ = settled.wait_for(|s| *s).await;
            }
        };
        if tokio::time::timeout(limit, all).await.is_err() {
            tracing::info!("not every service has answered yet; the page says so");
        }
        if self.engine.away().is_none() {
            self.images.first_read(FIRST_IMAGES).await;
        }
    }

    /// Every service that was there at the beginning was looked at.
    pub fn is_settled(&self) -> bool {
        // What was settled once stays so: a service that is adopted later is no reason to be taken out of service.
        if !self.settled.load(Ordering::Relaxed) && self.posts().values().all(|p| *p.handle.settled.borrow())
        {
            self.settled.store(true, Ordering::Relaxed);
        }
        self.settled.load(Ordering::Relaxed)
    }

    /// Whether the store can be written. It is tried at most once a second, however often this is asked.
    pub async fn store_writes(&self) -> bool {
        let mut known = self.writes.lock().await;
        if let Some((_, writes)) = known.filter(|(tried, _)| tried.elapsed() < STORE_AGAIN) {
            return writes;
        }
        let store = self.store.clone();
        let work = tokio::task::spawn_blocking(move || store.can_write());
        // One that hangs holds its thread: what is known then is that it cannot be written.
        let writes = matches!(tokio::time::timeout(STORE_LIMIT, work).await, Ok(Ok(true)));
        *known = Some((Instant::now(), writes));
        writes
    }

    /// Whether the engine answers; nothing where none is used.
    pub fn engine_answers(&self) -> Option<bool> {
        match self.engine.away() {
            Some(UnreachableReason::NotAskedYet) => None,
            away => Some(away.is_none()),
        }
    }

    /// What is wrong with the store, as far as that is known.
    pub fn store_trouble(&self) -> Option<StoreTrouble> {
        self.store.wrong()
    }

    /// How often the store failed.
    pub fn store_errors(&self) -> u64 {
        self.store.errors()
    }

    /// The logs of all services.
    pub fn feeds(&self) -> Vec<(ServiceName, Arc<Feed>)> {
        self.posts().iter().map(|(name, post)| (name.clone(), post.handle.feed.clone())).collect()
    }

    /// Ends all tasks, and the demo with them; services go on. All at the same time, and within a limit: what hangs is left
    /// behind and said.
    pub async fn shut_down(&self) {
        self.stop.cancel();
        let posts = std::mem::take(&mut *self.posts());
        let names: Vec<String> = posts.keys().map(ToString::to_string).collect();
        let ends = futures::future::join_all(posts.into_values().map(Post::end));
        if tokio::time::timeout(SHUTDOWN_LIMIT, ends).await.is_err() {
            tracing::error!(services = names.join(", "), "not everything could be ended in time");
        }
        if self.store.waiting() > 0 && !self.store_writes().await {
            tracing::error!(writes = self.store.waiting(), "the store could not be written: this is lost");
        }
    }

    /// Where settings are read from, and the file that the page writes.
    pub(super) fn sources(&self) -> (&Sources, &std::path::Path) {
        (&self.sources, &self.config_file)
    }

    /// Folders that the owner lets into containers.
    pub(super) fn let_in(&self) -> Vec<PathBuf> {
        self.folders.clone()
    }

    pub(super) fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The engine cannot be asked.
    pub fn engine_away(&self) -> bool {
        self.engine.away().is_some()
    }

    fn patterns(&self) -> MutexGuard<'_, Vec<ServiceConfig>> {
        self.patterns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn saving(&self) -> MutexGuard<'_, ()> {
        self.saving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The user's cache folder, where containers can see folders of this machine at all.
    pub(super) fn cache_dir(&self) -> Option<PathBuf> {
        // Folders of this machine can be mounted only by an engine of this machine.
        let here = self.engine.address().starts_with("unix://");
        std::env::var_os("HOME").filter(|_| here).map(|home| PathBuf::from(home).join(".cache"))
    }

    /// The engine's images.
    pub fn images(&self) -> &Arc<Images> {
        &self.images
    }

    /// When a run was started.
    pub fn started(&self, run: u64) -> Option<app::model::Timestamp> {
        self.store.started(run)
    }

    /// The runs of all services.
    pub fn history(&self) -> &Arc<History> {
        &self.history
    }

    /// Deletes runs that are too old or too much, and shows what keeps logs from being written.
    async fn look_after_history(self: Arc<Self>) {
        let mut trouble = self.history.trouble();
        let mut next = tokio::time::interval(TIDY_EVERY);
        loop {
            tokio::select! {
                _ = next.tick() => {
                    let history = self.history.clone();
                    let tidied = tokio::task::spawn_blocking(move || history.tidy(std::time::SystemTime::now()));
                    for (service, run) in tidied.await.unwrap_or_default() {
                        tracing::info!(service, run, "an old log was deleted");
                        self.store.forget_run(run);
                    }
                }
                changed = trouble.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let now = trouble.borrow_and_update().clone();
                    self.world.put_trouble(false, now);
                }
                () = self.stop.cancelled() => return,
            }
        }
    }

    /// The log of a service.
    pub fn feed(&self, service: &ServiceName) -> Option<Arc<crate::logs::Feed>> {
        self.posts().get(service).map(|p| p.handle.feed.clone())
    }

    async fn find_candidates(self: Arc<Self>) {
        let mut events = self.engine.subscribe();
        loop {
            if self.engine.away().is_none() {
                let owned: Vec<String> = self
                    .posts()
                    .values()
                    .filter(|p| p.kind == RuntimeKind::Docker)
                    .map(|p| p.config.container.value.to_string())
                    .collect();
                if let Ok(found) = docker::candidates(&self.engine, DIALECT, &owned).await {
                    self.world.put_found(Some(found), None);
                }
                self.follow_labels().await;
            }
            tokio::select! {
                event = events.recv() => if matches!(event, Ok(EngineEvent::Away(_))) {
                    self.world.put_found(Some(Vec::new()), None);
                },
                () = self.stop.cancelled() => return,
            }
            // A burst of events is answered once.
            tokio::time::sleep(Duration::from_millis(100)).await;
            events = events.resubscribe();
        }
    }

    /// Makes a service of each container that carries a listed label, and lets go of those that are gone.
    async fn follow_labels(self: &Arc<Self>) {
        let patterns = self.patterns().clone();
        for pattern in patterns {
            let label = pattern.label.clone().unwrap_or_default();
            let Ok(found) = docker::labelled(&self.engine, &label).await else { continue };
            for container in &found {
                let Ok(container) = ContainerName::parse(container) else { continue };
                let taken = self.posts().values().any(|p| p.config.container.value == container);
                let name = service_name_for(container.as_str());
                let Some(name) = name.filter(|_| !taken) else { continue };
                if self.posts().contains_key(&name) {
                    tracing::warn!(%container, service = %name, "another service has its name: it is not shown");
                    continue;
                }
                let config = ServiceConfig {
                    name,
                    title: container.to_string(),
                    container: Sourced { value: container, origin: Origin::File },
                    label: None,
                    group: Some(label.clone()),
                    ..pattern.clone()
                };
                self.care_for(config, RuntimeKind::Docker, None);
            }
            let gone: Vec<ServiceName> = self
                .posts()
                .values()
                .filter(|p| p.config.group.as_ref() == Some(&label))
                .filter(|p| !found.iter().any(|f| *f == p.config.container.value.to_string()))
                .map(|p| p.config.name.clone())
                .collect();
            for name in gone {
                let post = self.posts().remove(&name);
                if let Some(post) = post {
                    post.stop.cancel();
                    // It may still be about to say what it was.
                    if tokio::time::timeout(Duration::from_secs(2), post.task).await.is_err() {
                        tracing::warn!(service = %name, "its task did not end in time");
                    }
                    post.keeper.finish().await;
                }
                self.world.remove_service(&name);
            }
        }
    }

    /// Looks for foreign processes while somebody looks at the page.
    async fn find_foreign(self: Arc<Self>) {
        loop {
            tokio::select! {
                () = self.world.wait_for_viewers() => {}
                () = self.stop.cancelled() => return,
            }
            let looked =
                tokio::task::spawn_blocking(|| (crate::runtime::process::foreign(), boot_status())).await;
            if let Ok((found, boot)) = looked {
                self.world.put_found(None, Some(found));
                self.world.put_boot(boot);
            }
            tokio::select! {
                () = tokio::time::sleep(Duration::from_secs(10)) => {}
                () = self.stop.cancelled() => return,
            }
        }
    }

    pub(super) async fn adopt_into(self: Arc<Self>, config: ServiceConfig, old: Option<Post>) {
        let feed = old.as_ref().map(|old| old.handle.feed.clone());
        if let Some(old) = old {
            old.stop.cancel();
            if let Some(demo) = &old.demo {
                demo.shutdown().await;
            }
            let _ = old.task.await;
            // Two must not write one run.
            old.keeper.finish().await;
        }
        self.care_for(config, RuntimeKind::Docker, feed);
    }
}

fn refused(error: RuntimeError) -> ApiError {
    match error {
        RuntimeError::Away(_) => ApiError::Unreachable,
        RuntimeError::Refused(FailureKind::Refused { detail, .. }) => ApiError::Refused { detail },
        RuntimeError::Refused(other) => ApiError::Refused { detail: format!("{other:?}") },
    }
}

/// Tells a unit's task whether systemd starts it at boot: at once, and while somebody looks.
async fn tell_enablement(
    unit: Arc<SystemdRuntime>,
    mail: tokio::sync::mpsc::Sender<Mail>,
    world: Arc<World>,
    stop: CancellationToken,
) {
    let mut told = None;
    loop {
        if let Ok(state) = unit.unit_file_state().await {
            let on = state.auto_start().unwrap_or(false);
            if told.replace(on) != Some(on) && mail.send(Mail::AutoStart(on)).await.is_err() {
                return;
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(Duration::from_secs(10)) => {}
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = world.wait_for_viewers() => {}
        }
    }
}

/// Whether the dashboard itself is started with the machine, as files tell.
fn boot_status() -> BootStatus {
    let variable = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
    let config = variable("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(variable("HOME")?).join(".config")));
    let user = variable("USER").or_else(|| variable("LOGNAME"));
    match install::boot_status(std::path::Path::new("/"), config.as_deref(), user.as_deref()) {
        install::BootStatus::Installed { .. } => BootStatus::Installed,
        install::BootStatus::NotEnabled => BootStatus::NotEnabled,
        install::BootStatus::NotInstalled => BootStatus::NotInstalled,
        install::BootStatus::InContainer | install::BootStatus::Unknown => BootStatus::Unknown,
    }
}

/// The name under which a service's image of before is kept.
fn kept_tag(service: &ServiceName) -> String {
    // Names of services are lower case already, as the engine wants it; it takes no two separators in a row.
    let plain: String =
        service.as_str().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let parts: Vec<&str> = plain.split('-').filter(|p| !p.is_empty()).collect();
    format!("services-kept/{}:before", parts.join("-"))
}

/// What a service of vLLM begins with where none is listed: the first one, or the defaults.
pub(super) fn vllm_template<'a>(
    mut services: impl Iterator<Item = &'a ServiceConfig>,
) -> Option<ServiceConfig> {
    let first = services.find(|s| s.kind == Kind::Vllm).cloned();
    first.or_else(|| Sources::default().load_text("").ok()?.services.into_iter().next())
}

/// A service for an adopted container: the settings of the main one, with its own name and container.
pub(super) fn adopted_service(
    template: &ServiceConfig,
    name: ServiceName,
    container: Sourced<ContainerName>,
) -> ServiceConfig {
    let default = |origin: &mut Origin| *origin = Origin::Default;
    let mut service = template.clone();
    service.title = container.value.to_string();
    service.name = name;
    service.container = container;
    // The container is asked at the port that it publishes.
    default(&mut service.api_url.origin);
    service.api_key.value = None;
    service.hf_token.value = None;
    service.auto_start = None;
    service.label = None;
    service.group = None;
    service
}

/// A service's name for a container's.
pub(super) fn service_name_for(container: &str) -> Option<ServiceName> {
    let lower: String = container
        .to_ascii_lowercase()
        .chars()
        .take(63)
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    ServiceName::parse(lower.trim_matches('-')).ok()
}

impl Fleet {
    /// Gives a service's object its uptime.
    pub fn dated(service: &Service, now: Timestamp) -> Service {
        Service { uptime_s: service.started.map(|s| now.since(s) / 1000), ..service.clone() }
    }

    /// Puts a letter into the mailbox of a service's task.
    pub(super) fn send(&self, service: &ServiceName, mail: Mail) -> Result<(), ApiError> {
        let mailbox = self.posts().get(service).map(|p| p.handle.mail.clone());
        let mailbox = mailbox.ok_or_else(|| ApiError::UnknownService { name: service.to_string() })?;
        mailbox.try_send(mail).map_err(|_| ApiError::Busy)
    }

    /// Hands a command to a service. Taken is taken: should this dashboard end before it is done, the next one does it.
    pub(super) fn take(&self, service: &ServiceName, taken: Taken) -> Result<(), ApiError> {
        let before = self.store.pending(service, taken.at);
        self.store.set_pending(service, taken);
        self.send(service, Mail::Command(taken)).inspect_err(|_| match before {
            Some(before) => self.store.set_pending(service, before),
            None => self.store.carried_out(service, taken),
        })
    }

    /// Another service of ours that runs has the port: the start could only fail.
    fn port_clash(&self, now: &Service) -> Result<(), ApiError> {
        let port =
            |s: &Service| s.api_url.as_deref()?.rsplit_once(':')?.1.split('/').next()?.parse::<u16>().ok();
        let Some(own) = port(now).filter(|_| now.started.is_none()) else { return Ok(()) };
        let others = self.world.services();
        let holder =
            others.iter().find(|s| s.name != now.name && s.started.is_some() && port(s) == Some(own));
        holder.map_or(Ok(()), |s| Err(ApiError::PortClash { port: own, with: s.title.clone() }))
    }

    /// What speaks against a command.
    pub(super) async fn objection(&self, service: &ServiceName, verb: Verb) -> Result<(), ApiError> {
        let now = self.known(service)?;
        if verb != Verb::Start && now.state.serves() {
            let base = now.api_url.as_deref().unwrap_or_default();
            let answer = Http::default().get(base, "/metrics", None, OBJECTION_LIMIT).await;
            let requests = answer.ok().and_then(|(_, body)| requests_under_way(&body)).unwrap_or(0);
            if requests > 0 {
                return Err(ApiError::RequestsRunning { service: service.to_string(), verb, requests });
            }
        }
        if verb == Verb::Start || verb == Verb::Restart {
            self.port_clash(&now)?;
        }
        let starts = verb != Verb::Stop && !matches!(now.state, State::Stopping { .. });
        let plan = now.plan.as_ref().filter(|_| starts);
        let Some((plan, device)) = plan.and_then(|plan| Some((plan, plan.device.as_ref()?))) else {
            return Ok(());
        };
        let short = |short_bytes, needed_bytes, available_bytes, held_by_others| {
            let service = service.to_string();
            ApiError::WillNotFit { service, verb, short_bytes, needed_bytes, available_bytes, held_by_others }
        };
        match plan.verdict {
            Verdict::DoesNotFit { short_bytes, .. } => {
                let needed = plan.weights_bytes + plan.overhead_bytes;
                Err(short(short_bytes, needed, device.budget_bytes, false))
            }
            Verdict::HeldByOthers { short_bytes } => {
                Err(short(short_bytes, device.budget_bytes, device.free_bytes, true))
            }
            Verdict::Fits | Verdict::FitsShorter { .. } | Verdict::NoGpu => Ok(()),
        }
    }

    /// Makes the change of one remedy of the failure that is shown now.
    pub(super) fn apply_remedy(
        &self,
        service: &ServiceName,
        cause: &str,
        remedy: usize,
        value: &str,
        who: &str,
    ) -> Result<(), ApiError> {
        let now = self.known(service)?;
        let State::Failed { failure } = &now.state else { return Err(ApiError::Stale) };
        let change = failure
            .diagnosis
            .as_ref()
            .filter(|d| d.cause.id() == cause)
            .and_then(|d| d.remedies.get(remedy)?.change.clone())
            .filter(|change| change.value().unwrap_or_default() == value)
            .ok_or(ApiError::Stale)?;
        if let Some(container) = now.container.as_ref().filter(|c| c.adopted) {
            return Err(ApiError::NotOurs { container: container.name.clone() });
        }
        let _saving = self.saving();
        let (now, kind) = self.config_of(service)?;
        let file = |detail: String| ApiError::File { detail };
        let refused = |error: EditError| match error {
            EditError::ReadOnly(name) => ApiError::ReadOnly { name },
            other => file(other.to_string()),
        };
        let before = edit::text(&self.config_file).map_err(refused)?;
        let after = edit::changed(&before, &now, &change).map_err(refused)?;
        // What the file would say is read before it says so.
        let config = self.sources.load_text(&after).map_err(|error| file(error.to_string()))?;
        if let Some(next) = config.services.iter().find(|s| s.name == now.name) {
            let contained = kind == RuntimeKind::Docker;
            // What a log proposes may do no more than what the form may.
            if !fields::objections(&now, next, &self.let_in(), contained).is_empty() {
                let (Change::Set { variable: name, .. }
                | Change::Argument { flag: name, .. }
                | Change::DropArgument { flag: name }) = change;
                return Err(ApiError::InFile { name });
            }
        }
        edit::write(&self.config_file, &before, &after).map_err(refused)?;
        let new = self.refreshed(service, config)?;
        let values = fields::values;
        self.store.note_settings(service, who, &values(&now), &values(&new), &[]);
        Ok(())
    }

    /// Does something about a service's image.
    pub(super) async fn image(
        &self,
        service: &ServiceName,
        verb: ImageVerb,
        confirmed: bool,
    ) -> Result<(), ApiError> {
        // One move at a time: what is kept may not be kept twice.
        let _moving = self.moving.lock().await;
        let now = self.known(service)?;
        if matches!(now.state, State::Unreachable { .. }) && verb != ImageVerb::Cancel {
            return Err(ApiError::Unreachable);
        }
        if matches!(verb, ImageVerb::Renew | ImageVerb::Back) && !confirmed {
            self.objection(service, Verb::Restart).await.map_err(|error| match error {
                ApiError::RequestsRunning { service, requests, .. } => {
                    ApiError::ImageRequestsRunning { service, action: verb, requests }
                }
                other => other,
            })?;
        }
        let reference = now.pulls.clone().ok_or(ApiError::NoImage)?;
        let failed = |error: ImageError| match error {
            ImageError::Failed(PullFailure::EngineAway) => ApiError::Unreachable,
            ImageError::Failed(PullFailure::Other { detail }) => ApiError::Image { detail },
            other => ApiError::Image { detail: other.to_string() },
        };
        match verb {
            ImageVerb::Pull => {
                if self.engine.away().is_some() {
                    return Err(ApiError::Unreachable);
                }
                self.images.pull(&reference).map_err(failed)
            }
            ImageVerb::Cancel => {
                self.images.cancel(&reference);
                Ok(())
            }
            ImageVerb::Check => {
                self.images.check(&reference);
                Ok(())
            }
            ImageVerb::Renew => {
                let container = self.own_container(&now)?;
                let images = self.world.images();
                let local = images.iter().find(|i| i.reference == reference).and_then(|i| i.local.as_ref());
                if container.image_id.as_ref() == local.map(|l| &l.id) {
                    return Err(ApiError::Stale);
                }
                if let Some(old) = container.image_id.clone() {
                    self.keep_image(service, &old, &reference).await.map_err(failed)?;
                }
                self.take(service, Taken { renew: true, ..Taken::now(Verb::Restart) })
            }
            ImageVerb::Back => {
                let container = self.own_container(&now)?;
                let kept = self.store.kept_image(service).ok_or(ApiError::Stale)?;
                if container.image_id.as_ref() == Some(&kept.id) {
                    return Err(ApiError::Stale);
                }
                // The reference means the image before again; the one that it meant is kept in its place.
                self.images.tag(&kept.id, &kept.reference).await.map_err(failed)?;
                if let Some(newer) = container.image_id.clone() {
                    self.keep_image(service, &newer, &kept.reference).await.map_err(failed)?;
                }
                self.take(service, Taken { renew: true, ..Taken::now(Verb::Restart) })
            }
            ImageVerb::Forget => {
                let kept = self.store.kept_image(service).ok_or(ApiError::Stale)?;
                self.images.untag(&kept_tag(service), &kept.id).await.map_err(failed)?;
                self.store.set_kept_image(service, None);
                self.send(service, Mail::Refresh)
            }
        }
    }

    /// Gives an image a name of ours, so that nothing takes it for unused while somebody may want it back.
    async fn keep_image(&self, service: &ServiceName, id: &str, reference: &str) -> Result<(), ImageError> {
        let tag = kept_tag(service);
        self.images.tag(id, &tag).await?;
        let kept = KeptImage { id: id.to_owned(), reference: reference.to_owned(), since: Timestamp::now() };
        self.store.set_kept_image(service, Some(&kept));
        self.send(service, Mail::Refresh).map_err(|_| ImageError::Busy)
    }

    fn own_container<'a>(&self, now: &'a Service) -> Result<&'a ContainerFacts, ApiError> {
        match now.container.as_ref() {
            None => Err(ApiError::Stale),
            Some(c) if c.adopted => Err(ApiError::NotOurs { container: c.name.clone() }),
            Some(c) => Ok(c),
        }
    }

    /// Turns the switch that keeps a service running.
    pub(super) async fn auto_start(
        &self,
        service: &ServiceName,
        on: bool,
        take: bool,
    ) -> Result<(), ApiError> {
        let now = self.known(service)?;
        if now.auto_start_fixed && !take {
            return Err(ApiError::InFile { name: "auto_start".to_owned() });
        }
        let unit = self.posts().get(service).and_then(|p| p.unit.clone());
        if let Some(unit) = unit {
            unit.set_enabled(on).await.map_err(refused)?;
            return self.send(service, Mail::AutoStart(on));
        }
        if take && let Some(container) = &now.container {
            docker::end_policy(&self.engine, &container.id).await.map_err(refused)?;
        }
        if !now.auto_start_fixed {
            if !self.store.set_auto_start(service, on) {
                return Err(ApiError::File { detail: "the state folder cannot be written".to_owned() });
            }
            self.send(service, Mail::AutoStart(on))?;
        }
        Ok(())
    }

    pub(super) fn known(&self, service: &ServiceName) -> Result<Arc<Service>, ApiError> {
        self.world.service(service).ok_or_else(|| ApiError::UnknownService { name: service.to_string() })
    }
}
