//! Changing settings: what a form comes to, saving it, the way back, and what a pasted command or a model fills in.
//!
//! In: texts by the names of fields. Out: a candidate that was read as the file would be, or all that is wrong with it. The
//! file is written at once or not at all, and only if it is still what the form was made from; then all settings are read
//! again and handed to the service's task.

use super::fleet::Fleet;
use super::planner;
use super::task::Mail;
use crate::runtime::docker;
use crate::settings::edit;
use crate::settings::fields::{self, Candidate, REST, Values, Wanted, Wrong};
use crate::settings::{Config, Gpus, ServiceConfig};
use crate::store::Earlier;
use crate::vllm::cli::{self, Pasted};
use crate::vllm::http::Http;
use crate::vllm::launch::launch;
use crate::vllm::models::{self, Inputs, Measured, Own, Planned, Row, hub};
use crate::vllm::plan::{Ask, model_facts, plan};
use crate::vllm::probe::holder;
use app::api::ApiError;
use app::model::{
    Gpu, MemoryPlan, PendingChange, PortHolder, RunInfo, RuntimeKind, ServiceKind, ServiceName,
};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long reading a model's files may take.
const FILES: Duration = Duration::from_secs(5);
/// How long a table of models is good for a page.
const TABLE_FRESH: Duration = Duration::from_millis(50);
/// How long a page may wait for a newer one.
const QUICK_TABLE: Duration = Duration::from_millis(60);
/// How long the first page may wait for it.
const FIRST_TABLE: Duration = Duration::from_millis(500);
/// How long a task may take to read its mail.
const TAKEN: Duration = Duration::from_millis(500);
/// How long finding out who listens on a port may take.
const PORT: Duration = Duration::from_millis(700);

/// Why nothing was saved.
#[derive(Debug)]
pub enum NotSaved {
    /// The settings are others than those that the form was made from.
    Conflict(Vec<PendingChange>),
    /// These fields.
    Wrong(Vec<Wrong>),
    /// All of it.
    Refused(ApiError),
}

impl From<ApiError> for NotSaved {
    fn from(error: ApiError) -> Self {
        Self::Refused(error)
    }
}

/// What a form comes to, beside the candidate itself.
#[derive(Debug, Default)]
pub struct Outlook {
    /// The command.
    pub command: String,
    /// The memory plan.
    pub plan: Option<MemoryPlan>,
    /// Another service that is set to the same port.
    pub port_of: Option<(u16, String)>,
    /// Who listens on the port now, if it is not this service.
    pub port_held: Option<(u16, PortHolder)>,
    /// GPUs that are named and not here.
    pub no_such_gpus: Vec<String>,
    /// GPUs that are chosen.
    pub gpus: Vec<Gpu>,
    /// (index, other service, percent together)
    pub shared: Vec<(u32, String, u32)>,
}

impl Fleet {
    /// The settings of a vLLM service.
    pub fn config_of(&self, service: &ServiceName) -> Result<(ServiceConfig, RuntimeKind), ApiError> {
        let posts = self.posts();
        let post =
            posts.get(service).ok_or_else(|| ApiError::UnknownService { name: service.to_string() })?;
        Ok((post.config.clone(), post.kind))
    }

    fn candidate(&self, now: &ServiceConfig, wanted: &Wanted) -> Result<Candidate, Vec<Wrong>> {
        let (sources, file) = self.sources();
        let contained = self.posts().get(&now.name).is_none_or(|p| p.kind == RuntimeKind::Docker);
        fields::candidate(sources, file, now, &self.let_in(), contained, wanted)
    }

    /// What wanted settings come to; nothing is written.
    pub async fn look_at(
        self: &Arc<Self>,
        service: &ServiceName,
        wanted: &Wanted,
    ) -> Result<Result<Outlook, Vec<Wrong>>, ApiError> {
        let (now, kind) = self.config_of(service)?;
        let candidate = match self.candidate(&now, wanted) {
            Ok(candidate) => candidate,
            Err(wrong) => return Ok(Err(wrong)),
        };
        let it = &candidate.service;
        let mut outlook = Outlook { command: self.command_of(it, kind), ..Outlook::default() };
        outlook.plan = self.plan_of(it).await;
        let port = it.api_url.value.port();
        let others = candidate.config.services.iter().filter(|s| s.name != *service);
        let same_port =
            |s: &&ServiceConfig| s.kind == crate::settings::Kind::Vllm && s.api_url.value.port() == port;
        outlook.port_of = others.clone().find(same_port).map(|s| (port, s.title.clone()));
        if port != now.api_url.value.port() && outlook.port_of.is_none() {
            let base = format!("http://127.0.0.1:{port}");
            let held = tokio::time::timeout(PORT, holder(&Http::default(), &base)).await;
            outlook.port_held = held.ok().flatten().map(|by| (port, by));
        }
        let gpus = self.world().gpus();
        if let (Gpus::These(list), false) = (&it.gpus.value, gpus.is_empty()) {
            for one in list {
                match gpus.iter().find(|g| *one == g.index.to_string() || *one == g.uuid) {
                    Some(gpu) => outlook.gpus.push(gpu.clone()),
                    None if one.starts_with("MIG-") => {}
                    None => outlook.no_such_gpus.push(one.clone()),
                }
            }
        }
        for gpu in &outlook.gpus {
            for other in others.clone() {
                let uses = matches!(&other.gpus.value, Gpus::These(list) if list.iter().any(|o| *o == gpu.index.to_string() || *o == gpu.uuid))
                    || other.gpus.value == Gpus::All;
                let runs = self.world().service(&other.name).is_some_and(|s| s.state.serves());
                let share = |c: &ServiceConfig| {
                    c.gpu_memory_utilization.value.to_string().parse::<f64>().unwrap_or(0.0)
                };
                let percent = ((share(it) + share(other)) * 100.0).round();
                if uses && runs && other.kind == crate::settings::Kind::Vllm && percent > 100.0 {
                    outlook.shared.push((gpu.index, other.title.clone(), percent as u32));
                }
            }
        }
        Ok(Ok(outlook))
    }

    /// The exact command that a start comes to.
    pub fn command_of(&self, config: &ServiceConfig, kind: RuntimeKind) -> String {
        let launch = launch(config, kind, None);
        let cache = self.cache_dir();
        let shown = cli::Shown {
            container: config.container.value.to_string(),
            image: config.image.value.to_string(),
            args: crate::redact::redact(launch.args.iter().chain(&launch.extras)),
            env_names: launch.env.keys().cloned().collect(),
            gpus: launch.gpus.clone(),
            host_port: launch.host_port,
            inner_port: launch.inner_port,
            binds: docker::binds(&launch, cache.as_deref()),
            shm_bytes: docker::SHM_BYTES.unsigned_abs(),
        };
        let words = match kind {
            RuntimeKind::Docker => cli::docker_run(&shown),
            RuntimeKind::Process | RuntimeKind::Systemd | RuntimeKind::Demo => cli::vllm_serve(&shown),
        };
        cli::lines(&words)
    }

    async fn plan_of(&self, config: &ServiceConfig) -> Option<MemoryPlan> {
        let ask = planner::ask(config, None)?;
        let devices = planner::devices(&config.name, config, &self.world().gpus());
        let read = tokio::task::spawn_blocking(move || Some(plan(&model_facts(&ask).ok()?, &ask, &devices)));
        tokio::time::timeout(FILES, read).await.ok()?.ok()?
    }

    /// Saves settings, where blocking on the disk is allowed.
    ///
    /// # Errors
    /// [`NotSaved`].
    pub async fn save_elsewhere(
        self: &Arc<Self>,
        service: &ServiceName,
        who: &str,
        base: Option<Values>,
        wanted: Wanted,
    ) -> Result<bool, NotSaved> {
        let (this, service, who) = (self.clone(), service.clone(), who.to_owned());
        let saving = tokio::task::spawn_blocking(move || this.save(&service, &who, base.as_ref(), &wanted));
        saving.await.unwrap_or(Err(NotSaved::Refused(ApiError::Busy)))
    }

    /// Saves settings. `base` is what the form was made from. True when something was changed.
    ///
    /// # Errors
    /// [`NotSaved`].
    fn save(
        &self,
        service: &ServiceName,
        who: &str,
        base: Option<&Values>,
        wanted: &Wanted,
    ) -> Result<bool, NotSaved> {
        // One at a time: what is compared may not change before it is written.
        let _saving = self.saving();
        let file = |detail: String| ApiError::File { detail };
        // The file counts as it is now, whoever wrote it.
        let (sources, path) = self.sources();
        let fresh = sources.load().map_err(|error| file(error.to_string()))?;
        let now = self.refreshed(service, fresh)?;
        if let Some(base) = base.filter(|base| **base != fields::values(&now)) {
            return Err(NotSaved::Conflict(fields::changes(base, &fields::values(&now))));
        }
        let candidate = self.candidate(&now, wanted).map_err(NotSaved::Wrong)?;
        if candidate.before == candidate.after {
            return Ok(false);
        }
        edit::write(path, &candidate.before, &candidate.after).map_err(|error| file(error.to_string()))?;
        let secrets: Vec<String> = wanted.secrets.keys().cloned().collect();
        self.store.note_settings(
            service,
            who,
            &fields::values(&now),
            &fields::values(&candidate.service),
            &secrets,
        );
        self.refreshed(service, candidate.config)?;
        Ok(true)
    }

    /// How often a service's settings have changed.
    pub fn revision_of(&self, service: &ServiceName) -> Option<u32> {
        self.world().service(service).map(|s| s.settings_revision)
    }

    /// Waits until a service's task has taken settings that were handed to it, for a moment at most.
    pub async fn taken(&self, service: &ServiceName, before: Option<u32>) {
        let mut world = self.world().subscribe();
        let changed = async { while self.revision_of(service) == before && world.changed().await.is_ok() {} };
        // At the limit the page shows what was; the stream brings the rest.
        let _ = tokio::time::timeout(TAKEN, changed).await;
    }

    /// Hands settings that were read anew to the task of a service; what it then has.
    pub(super) fn refreshed(&self, service: &ServiceName, config: Config) -> Result<ServiceConfig, ApiError> {
        let unknown = || ApiError::UnknownService { name: service.to_string() };
        let mut new = config.services.into_iter().find(|s| s.name == *service).ok_or_else(unknown)?;
        let mut posts = self.posts();
        let post = posts.get_mut(service).ok_or_else(unknown)?;
        // Where and what it runs as is settled while the dashboard runs.
        new.kind = post.config.kind.clone();
        new.runtime = post.config.runtime.clone();
        new.container = post.config.container.clone();
        (new.label, new.group) = (post.config.label.clone(), post.config.group.clone());
        if post.config != new {
            let mail = Mail::Configure(Box::new(new.clone()));
            post.handle.mail.try_send(mail).map_err(|_| ApiError::Busy)?;
            post.config = new.clone();
        }
        Ok(new)
    }

    /// Earlier settings of a service, the latest first.
    pub fn earlier(&self, service: &ServiceName) -> Vec<Earlier> {
        self.store.earlier_settings(service)
    }

    /// Runs of a service, the newest first, only those before the one of that number where one is given.
    pub fn runs(&self, service: &ServiceName, limit: usize, before: Option<u64>) -> Vec<RunInfo> {
        self.store.runs(service, limit, before)
    }

    /// One run.
    pub fn run(&self, run: u64) -> Option<RunInfo> {
        self.store.run(run)
    }

    /// What a pasted command makes of the settings in force.
    pub fn filled(&self, service: &ServiceName, pasted: &Pasted) -> Result<Wanted, ApiError> {
        let (now, _) = self.config_of(service)?;
        let mut wanted = Wanted { values: fields::values(&now), ..Wanted::default() };
        let values = &mut wanted.values;
        let mut set = |name: &str, value: Option<String>| match value.filter(|v| !v.is_empty()) {
            Some(value) => drop(values.insert(name.to_owned(), value)),
            None => drop(values.remove(name)),
        };
        // What a command does not say is what vLLM itself would take; what has a default here keeps it.
        set("VLLM_MODEL", pasted.model.clone());
        set("--max-model-len", pasted.typed.max_model_len.clone());
        set("--quantization", pasted.typed.quantization.clone());
        set("--tensor-parallel-size", pasted.typed.tensor_parallel_size.clone());
        set("--dtype", pasted.typed.dtype.clone());
        set("--lora-modules", Some(cli::quote(&pasted.typed.lora_modules)));
        set(REST, Some(cli::quote(&pasted.rest)));
        let url = pasted.host_port.map(|port| now.api_url.value.with_port(port).to_string());
        for (name, value) in [
            ("VLLM_MODEL_NAME", pasted.model_name.clone()),
            ("VLLM_IMAGE", pasted.image.clone()),
            ("CUDA_VISIBLE_DEVICES", pasted.gpus.clone()),
            ("GPU_MEMORY_UTILIZATION", pasted.share.clone()),
            ("VLLM_API_URL", url),
        ] {
            if value.is_some() {
                set(name, value);
            }
        }
        for (name, secret) in [("HF_TOKEN", &pasted.hf_token), ("VLLM_API_KEY", &pasted.api_key)] {
            if let Some(secret) = secret {
                let change = fields::SecretChange::Set(secret.reveal().to_owned());
                wanted.secrets.insert(name.to_owned(), change);
            }
        }
        Ok(wanted)
    }

    /// What a row of the table makes of the settings in force.
    pub fn used(&self, service: &ServiceName, row: &Row) -> Result<Wanted, ApiError> {
        let (now, _) = self.config_of(service)?;
        let usable = row.usable.as_ref().ok_or(ApiError::Stale)?;
        let mut wanted = Wanted { values: fields::values(&now), ..Wanted::default() };
        for (variable, value) in &usable.set {
            wanted.values.insert(variable.name().to_owned(), value.clone());
        }
        let (typed, rest) = cli::split(&usable.args);
        let words = |list: &[String]| Some(cli::quote(list)).filter(|t| !t.is_empty());
        for (name, value) in [
            ("--max-model-len", typed.max_model_len),
            ("--quantization", typed.quantization),
            ("--tensor-parallel-size", typed.tensor_parallel_size),
            ("--dtype", typed.dtype),
            ("--lora-modules", words(&typed.lora_modules)),
            (REST, words(&rest)),
        ] {
            match value {
                Some(value) => drop(wanted.values.insert(name.to_owned(), value)),
                None => drop(wanted.values.remove(name)),
            }
        }
        Ok(wanted)
    }

    /// The table of models for a service's devices and share, and what could not be read. Reads files: within a limit.
    pub async fn models_for(&self, service: &ServiceName) -> Result<(Vec<Row>, Vec<String>), ApiError> {
        let (now, _) = self.config_of(service)?;
        let gpus = self.world().gpus();
        let devices = planner::devices(service, &now, &gpus);
        let own: Vec<Own> = self
            .posts()
            .values()
            .filter(|p| p.config.kind == crate::settings::Kind::Vllm)
            .filter_map(|p| {
                let (service, args) = (p.config.title.clone(), p.config.args.value.clone());
                Some(Own { service, model: p.config.model.value.clone()?, args })
            })
            .collect();
        let measured: Vec<Measured> = self.store.measured();
        let read = tokio::task::spawn_blocking(move || {
            let caches = planner::hub_caches_of(&now);
            let listing = hub::list(&caches);
            let share = now.gpu_memory_utilization.value.to_string().parse().unwrap_or(0.5);
            let inputs = Inputs {
                recipes: models::recipes(),
                own: &own,
                cached: &listing.models,
                devices: &devices,
                measured: &measured,
                has_token: now.hf_token.value.is_some(),
            };
            let plan_one = |wanted: &models::Wanted<'_>| {
                let ask = Ask {
                    model: wanted.model.to_owned(),
                    args: wanted.args.to_vec(),
                    share,
                    caches: caches.clone(),
                    ..Ask::default()
                };
                let facts = model_facts(&ask).ok()?;
                Some(Planned::new(&facts, plan(&facts, &ask, &devices)))
            };
            let rows = models::rows(&inputs, &plan_one);
            (rows, listing.troubles.iter().map(ToString::to_string).collect())
        });
        match tokio::time::timeout(FILES, read).await {
            Ok(Ok(table)) => {
                let mut tables = self.tables();
                tables.insert(service.clone(), (Instant::now(), gpus, table.clone()));
                Ok(table)
            }
            _ => Err(ApiError::Busy),
        }
    }

    /// The table for a page that is rendered at once: as it was a moment ago, or computed if that takes no longer than a disk
    /// that answers; of one that does not the last table is shown, while it is computed behind it.
    pub async fn models_at_once(
        self: &Arc<Self>,
        service: &ServiceName,
    ) -> Result<(Vec<Row>, Vec<String>), ApiError> {
        let gpus = self.world().gpus();
        let known = self.tables().get(service).cloned();
        let (limit, last) = match known {
            Some((at, of, table)) if at.elapsed() < TABLE_FRESH && Arc::ptr_eq(&of, &gpus) => {
                return Ok(table);
            }
            Some((_, _, table)) => {
                // One at a time: a disk that hangs is not asked by every page.
                self.tables().insert(service.clone(), (Instant::now(), gpus, table.clone()));
                (QUICK_TABLE, Some(table))
            }
            None => (FIRST_TABLE, None),
        };
        let (this, name) = (self.clone(), service.clone());
        let computing = tokio::spawn(async move { this.models_for(&name).await });
        match tokio::time::timeout(limit, computing).await {
            Ok(Ok(table)) => table,
            _ => last.ok_or(ApiError::Busy),
        }
    }

    /// Deletes a model of the Hugging Face cache that no service is set to or runs. Bytes that are free again.
    pub async fn delete_model(&self, service: &ServiceName, repo: &str) -> Result<u64, String> {
        let (now, _) = self.config_of(service).map_err(|e| e.to_string())?;
        let used: Vec<String> = self
            .posts()
            .values()
            .flat_map(|p| {
                // Adapters, draft models and tokenizers stand among the arguments.
                p.config.model.value.clone().into_iter().chain(p.config.args.value.clone())
            })
            // What adopted containers and processes of others were started with.
            .chain(self.world().services().iter().filter_map(|s| s.container.as_ref()?.model.clone()))
            .chain(self.world().host().foreign.iter().map(|p| p.command.clone()))
            .chain(self.store.launched_values())
            .collect();
        let repo = repo.to_owned();
        let deletion = tokio::task::spawn_blocking(move || {
            hub::delete(&planner::hub_caches_of(&now), &repo, &|name| {
                used.iter().any(|text| hub::mentions(text, name))
            })
        });
        match deletion.await {
            Ok(Ok(freed)) => Ok(freed.bytes),
            Ok(Err(error)) => Err(error.to_string()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// The service that the page's forms speak of where none is named: the first of vLLM.
    pub fn first_vllm(&self) -> Option<ServiceName> {
        self.world().services().iter().find(|s| s.kind == ServiceKind::Vllm).map(|s| s.name.clone())
    }
}
