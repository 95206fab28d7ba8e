//! The memory plan of one service that does not run: its model's figures, kept for a while, against the GPUs as they are.
//!
//! In: settings, the GPUs. Out: a plan. Files are read where blocking is allowed; everything else is arithmetic.

use crate::settings::{Gpus, ServiceConfig};
use crate::vllm::plan::{Ask, Device, ModelFacts, model_facts, plan};
use app::model::{Gpu, MemoryPlan, ServiceName};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a model's figures are good: files may come while somebody looks.
const FRESH: Duration = Duration::from_secs(60);

/// What is known of the model.
#[derive(Debug, Default)]
pub struct Planner {
    ask: Option<Ask>,
    facts: Option<Arc<ModelFacts>>,
    read: Option<Instant>,
    reading: bool,
}

/// A model's figures as they were read; `None` where there is no plan without the model's files.
#[derive(Clone, Debug)]
pub struct Figures(Ask, Option<Arc<ModelFacts>>);

impl Planner {
    /// What must be read first, if anything: hand it to [`read`] where blocking is allowed, and the result to
    /// [`Planner::learned`].
    pub fn needs(&mut self, config: &ServiceConfig, version: Option<&str>) -> Option<Ask> {
        let ask = ask(config, version);
        if self.ask.as_ref() != ask.as_ref() {
            *self = Self { ask: ask.clone(), reading: self.reading, ..Self::default() };
        }
        let fresh = self.read.is_some_and(|at| at.elapsed() < FRESH);
        let wanted = ask.filter(|_| !fresh && !self.reading)?;
        self.reading = true;
        Some(wanted)
    }

    /// Takes what was read; what was asked for settings of before is dropped.
    pub fn learned(&mut self, figures: Figures) {
        self.reading = false;
        if self.ask.as_ref() == Some(&figures.0) {
            self.facts = figures.1;
            self.read = Some(Instant::now());
        }
    }

    /// The plan for these GPUs.
    pub fn plan(&self, service: &ServiceName, config: &ServiceConfig, gpus: &[Gpu]) -> Option<MemoryPlan> {
        let (ask, facts) = (self.ask.as_ref()?, self.facts.as_ref()?);
        Some(plan(facts, ask, &devices(service, config, gpus)))
    }
}

/// Reads a model's figures. Blocks.
pub fn read(ask: Ask) -> Figures {
    let facts = model_facts(&ask)
        .inspect_err(|error| tracing::debug!(model = %ask.model, %error, "there is no memory plan"))
        .ok()
        .map(Arc::new);
    Figures(ask, facts)
}

pub fn ask(config: &ServiceConfig, version: Option<&str>) -> Option<Ask> {
    let version = version.and_then(|v| {
        let mut numbers = v.trim_start_matches('v').split('.').map(str::parse);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    });
    Some(Ask {
        model: config.model.value.clone()?,
        revision: None,
        args: config.args.value.clone(),
        share: config.gpu_memory_utilization.value.to_string().parse().ok()?,
        caches: hub_caches_of(config),
        version,
    })
}

/// Where the Hugging Face client keeps models, as its own variables say.
pub fn hub_caches() -> Vec<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let mut caches = Vec::new();
    caches.extend(folder("HF_HUB_CACHE"));
    caches.extend(folder("HF_HOME").map(|home| home.join("hub")));
    caches.extend(folder("HOME").map(|home| home.join(".cache/huggingface/hub")));
    caches
}

/// The same, with the cache that the service is set to before them.
pub fn hub_caches_of(config: &ServiceConfig) -> Vec<PathBuf> {
    let mut caches: Vec<PathBuf> = config.hf_home.value.iter().map(|home| home.join("hub")).collect();
    for cache in hub_caches() {
        if !caches.contains(&cache) {
            caches.push(cache);
        }
    }
    caches
}

/// The devices that the settings choose, of those that are there. NVIDIA's come first where both kinds are.
pub fn devices(service: &ServiceName, config: &ServiceConfig, gpus: &[Gpu]) -> Vec<Device> {
    let nvidia = gpus.iter().any(|g| g.uuid.starts_with("GPU-"));
    let kind = gpus.iter().filter(|g| !nvidia || g.uuid.starts_with("GPU-"));
    let chosen = kind.filter(|gpu| match &config.gpus.value {
        Gpus::All => true,
        Gpus::None => false,
        Gpus::These(list) => list.iter().any(|one| *one == gpu.index.to_string() || *one == gpu.uuid),
    });
    // What this very service still holds is given back before it starts.
    let own = |gpu: &Gpu| -> u64 {
        let mine = gpu.processes.iter().flatten().filter(|p| p.service.as_ref() == Some(service));
        mine.filter_map(|p| p.memory_bytes).sum()
    };
    let device = |gpu: &Gpu| Device {
        index: gpu.index,
        name: gpu.name.clone(),
        total: gpu.memory_total_bytes,
        free: (gpu.memory_total_bytes + own(gpu))
            .saturating_sub(gpu.memory_used_bytes)
            .min(gpu.memory_total_bytes),
        holders: gpu
            .processes
            .iter()
            .flatten()
            .filter(|p| p.service.as_ref() != Some(service))
            .cloned()
            .collect(),
    };
    chosen.map(device).collect()
}
