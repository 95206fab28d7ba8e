//! All services: their tasks, and the picture of the world that viewers are shown.

use super::task::{Handle, Mail, Task};
use crate::gpu::{Owner, Paths};
use crate::logs::Feed;
use crate::runtime::Runtime;
use crate::runtime::docker::{self, DockerRuntime, Engine, EngineEvent, Recipes};
use crate::runtime::process::{Mode, ProcessRuntime, ProcessSettings};
use crate::settings::edit::{self, EditError};
use crate::settings::{Config, ContainerName, RuntimeChoice, ServiceConfig, Sourced, Sources};
use crate::store::Store;
use crate::vllm::http::Http;
use crate::vllm::launch::DIALECT;
use crate::vllm::metrics::requests_under_way;
use app::api::{ApiError, Caller, Control};
use app::model::{
    Candidate, ForeignProcess, Gpu, GpuStatus, Host, Line, LogSummary, Origin, RuntimeKind, Service,
    ServiceMetrics, ServiceName, Setting, Snapshot, State, Timestamp, Verb, Verdict, Wish,
};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// What is known of everything. Tasks write their part; viewers compare what they showed last with what is here now.
pub struct World {
    services: RwLock<Vec<Arc<Service>>>,
    gpus: watch::Sender<Arc<Vec<Gpu>>>,
    metrics: RwLock<Vec<Arc<ServiceMetrics>>>,
    owners: Mutex<Vec<Owner>>,
    host: RwLock<Arc<Host>>,
    changed: watch::Sender<u64>,
    viewers: AtomicUsize,
    looked_at: tokio::sync::Notify,
}

impl World {
    fn new(state_dir: String) -> Arc<Self> {
        let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let host =
            Host { name, gpu: GpuStatus::NoDriver, candidates: Vec::new(), foreign: Vec::new(), state_dir };
        Arc::new(Self {
            services: RwLock::default(),
            gpus: watch::Sender::default(),
            metrics: RwLock::default(),
            owners: Mutex::default(),
            host: RwLock::new(Arc::new(host)),
            changed: watch::Sender::new(0),
            viewers: AtomicUsize::new(0),
            looked_at: tokio::sync::Notify::new(),
        })
    }

    fn tell(&self) {
        self.changed.send_modify(|n| *n += 1);
    }

    /// Changes whenever something here does.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// All services, in the order of the page.
    pub fn services(&self) -> Vec<Arc<Service>> {
        self.services.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// One service.
    pub fn service(&self, name: &ServiceName) -> Option<Arc<Service>> {
        self.services.read().unwrap_or_else(PoisonError::into_inner).iter().find(|s| s.name == *name).cloned()
    }

    /// All GPUs.
    pub fn gpus(&self) -> Arc<Vec<Gpu>> {
        self.gpus.borrow().clone()
    }

    /// Changes with every reading of the GPUs that differs from the one before.
    pub fn watch_gpus(&self) -> watch::Receiver<Arc<Vec<Gpu>>> {
        self.gpus.subscribe()
    }

    /// To whom processes belong.
    pub fn owners(&self) -> Vec<Owner> {
        self.owners.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Says which processes, or which container's, belong to a service.
    pub fn put_owner(&self, owner: Owner) {
        let mut owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
        match owners.iter_mut().find(|o| o.service == owner.service) {
            Some(old) => *old = owner,
            None => owners.push(owner),
        }
    }

    /// What services have counted.
    pub fn metrics(&self) -> Vec<Arc<ServiceMetrics>> {
        self.metrics.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts what a service has counted.
    pub fn put_metrics(&self, new: ServiceMetrics) {
        let mut metrics = self.metrics.write().unwrap_or_else(PoisonError::into_inner);
        match metrics.iter_mut().find(|m| m.service == new.service) {
            Some(old) if **old == new => return,
            Some(old) => *old = Arc::new(new),
            None => metrics.push(Arc::new(new)),
        }
        drop(metrics);
        self.tell();
    }

    /// The machine.
    pub fn host(&self) -> Arc<Host> {
        self.host.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts a service's new object in its place. Nothing happens when it is the same.
    pub fn put_service(&self, service: Service) {
        let mut services = self.services.write().unwrap_or_else(PoisonError::into_inner);
        match services.iter_mut().find(|s| s.name == service.name) {
            Some(old) if **old == service => return,
            Some(old) => *old = Arc::new(service),
            None => services.push(Arc::new(service)),
        }
        drop(services);
        self.tell();
    }

    /// Puts what the GPUs show.
    pub fn put_gpus(&self, gpus: Vec<Gpu>, status: GpuStatus) {
        let mut news = self.gpus.send_if_modified(|old| {
            let differs = **old != gpus;
            if differs {
                *old = Arc::new(gpus);
            }
            differs
        });
        news |= self.change_host(|host| host.gpu = status);
        if news {
            self.tell();
        }
    }

    fn put_found(&self, candidates: Option<Vec<Candidate>>, foreign: Option<Vec<ForeignProcess>>) {
        let news = self.change_host(|host| {
            if let Some(candidates) = candidates {
                host.candidates = candidates;
            }
            if let Some(foreign) = foreign {
                host.foreign = foreign;
            }
        });
        if news {
            self.tell();
        }
    }

    fn change_host(&self, change: impl FnOnce(&mut Host)) -> bool {
        let mut host = self.host.write().unwrap_or_else(PoisonError::into_inner);
        let mut new = Host::clone(&host);
        change(&mut new);
        let news = new != **host;
        if news {
            *host = Arc::new(new);
        }
        news
    }

    /// Remembers that something real was managed here: never again a silent demo.
    pub fn managed(&self, store: &Store, kind: RuntimeKind) {
        let key = if kind == RuntimeKind::Docker { "used-docker" } else { "used-process" };
        if store.fact(key).is_none() {
            store.set_fact(key, "1");
        }
    }

    /// Somebody looks, until the seat is dropped.
    pub fn take_seat(self: &Arc<Self>) -> Seat {
        self.viewers.fetch_add(1, Ordering::Relaxed);
        self.looked_at.notify_waiters();
        Seat(self.clone())
    }

    /// How many look.
    pub fn viewers(&self) -> usize {
        self.viewers.load(Ordering::Relaxed)
    }

    /// Waits until somebody looks.
    pub async fn wait_for_viewers(&self) {
        loop {
            let looked_at = self.looked_at.notified();
            if self.viewers() > 0 {
                return;
            }
            looked_at.await;
        }
    }
}

/// One viewer of the world.
pub struct Seat(Arc<World>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.viewers.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How long the engine may take to say whether requests run.
const OBJECTION_LIMIT: Duration = Duration::from_secs(1);

/// One service under care.
struct Post {
    config: ServiceConfig,
    kind: RuntimeKind,
    handle: Handle,
    stop: CancellationToken,
    task: JoinHandle<()>,
    demo: Option<Arc<ProcessRuntime>>,
}

/// All services.
pub struct Fleet {
    posts: Mutex<BTreeMap<ServiceName, Post>>,
    world: Arc<World>,
    store: Arc<Store>,
    engine: Arc<Engine>,
    state_dir: PathBuf,
    /// Where settings are read again from after a change.
    sources: Sources,
    config_file: PathBuf,
    stop: CancellationToken,
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

/// Where an engine usually listens, for whom no address was given.
fn default_engine() -> (String, bool) {
    let mut places = vec!["/var/run/docker.sock".to_owned()];
    if let Some(dir) = std::env::var_os("XDG_RUNTIME_DIR").and_then(|d| d.into_string().ok()) {
        places.push(format!("{dir}/docker.sock"));
    }
    let found = places.iter().find(|p| std::fs::metadata(p).is_ok());
    let address = format!("unix://{}", found.unwrap_or(&places[0]));
    (address, found.is_some())
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
            None => default_engine(),
        };
        let state_dir = config.dashboard.state_dir.value.clone();
        let fleet = Arc::new(Self {
            posts: Mutex::default(),
            world: World::new(state_dir.display().to_string()),
            store,
            engine: Engine::new(address),
            state_dir,
            sources,
            config_file: config.dashboard.config.value.clone(),
            stop,
        });
        let mut services = config.services.clone();
        for (service, container) in fleet.store.adoptions() {
            fleet.apply_adoption(&mut services, &service, &container);
        }
        let mut docker_used = false;
        for service in services {
            let kind = fleet.choose(&service, found);
            docker_used |= kind == RuntimeKind::Docker;
            fleet.care_for(service, kind, None);
        }
        if docker_used || found {
            tokio::spawn(fleet.engine.clone().run(fleet.stop.clone()));
            tokio::spawn(fleet.clone().find_candidates());
        }
        tokio::spawn(fleet.clone().find_foreign());
        let paths = Paths { nvml_library: config.dashboard.nvml_library.value.clone(), ..Paths::default() };
        tokio::spawn(crate::gpu::watch(fleet.world.clone(), paths, fleet.stop.clone()));
        tokio::spawn(super::counters::watch(fleet.world.clone(), fleet.stop.clone()));
        fleet
    }

    /// What everybody sees.
    pub fn world(&self) -> &Arc<World> {
        &self.world
    }

    fn posts(&self) -> MutexGuard<'_, BTreeMap<ServiceName, Post>> {
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
            if !existing.container.is_explicit() {
                existing.container = adopted;
            }
        } else if let Some(template) = services.first() {
            services.push(adopted_service(template, name, adopted));
        }
    }

    fn choose(&self, service: &ServiceConfig, engine_found: bool) -> RuntimeKind {
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
        let stop = self.stop.child_token();
        let mut demo = None;
        let runtime: Arc<dyn Runtime> = match kind {
            RuntimeKind::Docker => {
                let container = config.container.value.to_string();
                let recipes = StoredRecipe {
                    store: self.store.clone(),
                    service: config.name.clone(),
                    container: container.clone(),
                };
                // Folders of this machine can be mounted only by an engine of this machine.
                let here = self.engine.address().starts_with("unix://");
                let cache =
                    std::env::var_os("HOME").filter(|_| here).map(|home| PathBuf::from(home).join(".cache"));
                Arc::new(DockerRuntime::new(
                    self.engine.clone(),
                    config.name.to_string(),
                    container,
                    DIALECT,
                    Box::new(recipes),
                    cache,
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
                };
                let runtime = Arc::new(ProcessRuntime::new(settings));
                demo = (kind == RuntimeKind::Demo).then(|| runtime.clone());
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
        let task = tokio::spawn(task.run(inbox));
        self.posts().insert(config.name.clone(), Post { config, kind, handle, stop, task, demo });
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
    }

    /// Ends all tasks, and the demo with them; services go on.
    pub async fn shut_down(&self) {
        self.stop.cancel();
        let posts = std::mem::take(&mut *self.posts());
        for post in posts.into_values() {
            if let Some(demo) = post.demo {
                demo.shutdown().await;
            }
            if tokio::time::timeout(Duration::from_secs(2), post.task).await.is_err() {
                tracing::warn!(service = %post.config.name, "its task did not end in time");
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

    /// Looks for foreign processes while somebody looks at the page.
    async fn find_foreign(self: Arc<Self>) {
        loop {
            tokio::select! {
                () = self.world.wait_for_viewers() => {}
                () = self.stop.cancelled() => return,
            }
            let found = tokio::task::spawn_blocking(crate::runtime::process::foreign).await;
            if let Ok(found) = found {
                self.world.put_found(None, Some(found));
            }
            tokio::select! {
                () = tokio::time::sleep(Duration::from_secs(10)) => {}
                () = self.stop.cancelled() => return,
            }
        }
    }

    async fn adopt_into(self: Arc<Self>, config: ServiceConfig, old: Option<Post>) {
        let feed = old.as_ref().map(|old| old.handle.feed.clone());
        if let Some(old) = old {
            old.stop.cancel();
            if let Some(demo) = &old.demo {
                demo.shutdown().await;
            }
            let _ = old.task.await;
        }
        self.care_for(config, RuntimeKind::Docker, feed);
    }
}

/// A service for an adopted container: the settings of the main one, with its own name and container.
fn adopted_service(
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
    service
}

/// A service's name for a container's.
fn service_name_for(container: &str) -> Option<ServiceName> {
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
    fn send(&self, service: &ServiceName, mail: Mail) -> Result<(), ApiError> {
        let mailbox = self.posts().get(service).map(|p| p.handle.mail.clone());
        let mailbox = mailbox.ok_or_else(|| ApiError::UnknownService { name: service.to_string() })?;
        mailbox.try_send(mail).map_err(|_| ApiError::Busy)
    }

    /// What speaks against a command.
    async fn objection(&self, service: &ServiceName, verb: Verb) -> Result<(), ApiError> {
        let now = self.known(service)?;
        if verb != Verb::Start && now.state.serves() {
            let base = now.api_url.as_deref().unwrap_or_default();
            let answer = Http::default().get(base, "/metrics", None, OBJECTION_LIMIT).await;
            let requests = answer.ok().and_then(|(_, body)| requests_under_way(&body)).unwrap_or(0);
            if requests > 0 {
                return Err(ApiError::RequestsRunning { service: service.to_string(), verb, requests });
            }
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
    fn apply_remedy(
        &self,
        service: &ServiceName,
        cause: &str,
        remedy: usize,
        value: &str,
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
        let mut posts = self.posts();
        let unknown = || ApiError::UnknownService { name: service.to_string() };
        let post = posts.get_mut(service).ok_or_else(unknown)?;
        edit::apply(&self.config_file, &post.config, &change).map_err(|error| match error {
            EditError::ReadOnly(name) => ApiError::ReadOnly { name },
            other => ApiError::File { detail: other.to_string() },
        })?;
        let reread = self.sources.load().map_err(|error| ApiError::File { detail: error.to_string() })?;
        let mut config = reread.services.into_iter().find(|s| s.name == *service).ok_or_else(unknown)?;
        if post.config.container.origin == Origin::Adopted && !config.container.is_explicit() {
            config.container = post.config.container.clone();
        }
        post.config = config.clone();
        post.handle.mail.try_send(Mail::Configure(Box::new(config))).map_err(|_| ApiError::Busy)
    }

    fn known(&self, service: &ServiceName) -> Result<Arc<Service>, ApiError> {
        self.world.service(service).ok_or_else(|| ApiError::UnknownService { name: service.to_string() })
    }
}

/// The server's side of what the page asks. Shared, because adopting starts tasks.
pub struct FleetControl(pub Arc<Fleet>);

impl Control for FleetControl {
    fn snapshot(&self, _: &Caller, logs: Option<&ServiceName>) -> Snapshot {
        let now = Timestamp::now();
        let fleet = &self.0;
        Snapshot {
            server_version: env!("CARGO_PKG_VERSION").to_owned(),
            now,
            services: fleet.world.services().iter().map(|s| Fleet::dated(s, now)).collect(),
            gpus: fleet.world.gpus().to_vec(),
            images: Vec::new(),
            metrics: fleet.world.metrics().iter().map(|m| ServiceMetrics::clone(m)).collect(),
            host: Host::clone(&fleet.world.host()),
            logs: logs.and_then(|name| fleet.feed(name).map(|feed| feed.summary(name))),
        }
    }

    fn settings(&self, _: &Caller, service: &ServiceName) -> Result<Vec<Setting>, ApiError> {
        let posts = self.0.posts();
        posts
            .get(service)
            .map(|p| p.config.report())
            .ok_or_else(|| ApiError::UnknownService { name: service.to_string() })
    }

    fn log_tail(
        &self,
        _: &Caller,
        service: &ServiceName,
        count: usize,
    ) -> Result<(LogSummary, Vec<Line>), ApiError> {
        let feed =
            self.0.feed(service).ok_or_else(|| ApiError::UnknownService { name: service.to_string() })?;
        let tail = feed.tail(count);
        let mut summary = feed.summary(service);
        // Lines may have come in between: the view goes on behind the last line that it shows.
        summary.last = tail.last().map_or(summary.last, |l| l.seq);
        Ok((summary, tail))
    }

    fn command(&self, _: &Caller, service: &ServiceName, verb: Verb) -> Result<Service, ApiError> {
        let now = self.0.known(service)?;
        if matches!(now.state, State::Unreachable { .. }) {
            return Err(ApiError::Unreachable);
        }
        self.0.send(service, Mail::Command(verb))?;
        let wish = if verb == Verb::Stop { Wish::Stopped } else { Wish::Running };
        Ok(Service { wish, ..Fleet::dated(&now, Timestamp::now()) })
    }

    fn objection<'a>(
        &'a self,
        _: &'a Caller,
        service: &'a ServiceName,
        verb: Verb,
    ) -> Pin<Box<dyn Future<Output = Result<(), ApiError>> + Send + 'a>> {
        Box::pin(self.0.objection(service, verb))
    }

    fn apply_remedy(
        &self,
        caller: &Caller,
        service: &ServiceName,
        cause: &str,
        remedy: usize,
        value: &str,
    ) -> Result<(), ApiError> {
        self.0.apply_remedy(service, cause, remedy, value)?;
        self.command(caller, service, Verb::Start).map(drop)
    }

    fn smoke_test(&self, _: &Caller, service: &ServiceName) -> Result<(), ApiError> {
        let now = self.0.known(service)?;
        if !now.state.serves() {
            return Err(ApiError::Stale);
        }
        self.0.send(service, Mail::Smoke)
    }

    fn adopt(&self, _: &Caller, container: &str) -> Result<ServiceName, ApiError> {
        let fleet = &self.0;
        let container = ContainerName::parse(container).map_err(|allowed| ApiError::BadName {
            detail: format!(
                "{:?} is not a container's name: {allowed}",
                container.chars().take(80).collect::<String>()
            ),
        })?;
        let unknown = || ApiError::NotACandidate { container: container.to_string() };
        if !fleet.world.host().candidates.iter().any(|c| c.container == container.as_str()) {
            return Err(unknown());
        }
        let adopted = Sourced { value: container.clone(), origin: Origin::Adopted };
        let mut posts = fleet.posts();
        if posts.values().any(|p| p.kind == RuntimeKind::Docker && p.config.container.value == container) {
            return Err(unknown());
        }
        // A service that has nothing yet takes it; otherwise it becomes a service of its own.
        let empty = posts
            .values()
            .find(|p| {
                let idle = fleet
                    .world
                    .service(&p.config.name)
                    .is_some_and(|s| s.container.is_none() && matches!(s.state, State::Stopped { .. }));
                let docker = matches!(p.config.runtime.value, RuntimeChoice::Auto | RuntimeChoice::Docker);
                !p.config.container.is_explicit() && docker && (idle || p.kind == RuntimeKind::Demo)
            })
            .map(|p| p.config.name.clone());
        let config = match empty.as_ref().and_then(|name| posts.get(name)) {
            Some(post) => ServiceConfig { container: adopted, ..post.config.clone() },
            None => {
                let template = posts.values().next().map(|p| p.config.clone()).ok_or_else(unknown)?;
                let name = service_name_for(container.as_str())
                    .filter(|n| !posts.contains_key(n))
                    .ok_or_else(unknown)?;
                adopted_service(&template, name, adopted)
            }
        };
        let name = config.name.clone();
        if !fleet.store.set_adopted(&name, container.as_str()) {
            return Err(ApiError::Transport {
                detail: "the adoption could not be written to the state folder".to_owned(),
            });
        }
        let old = posts.remove(&name);
        // It is offered no more: a second click finds nothing to adopt.
        let others = fleet
            .world
            .host()
            .candidates
            .iter()
            .filter(|c| c.container != container.as_str())
            .cloned()
            .collect();
        fleet.world.put_found(Some(others), None);
        drop(posts);
        tokio::spawn(fleet.clone().adopt_into(config, old));
        Ok(name)
    }
}
