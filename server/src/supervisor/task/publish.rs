//! What a service's task says: the public object, put together from what was observed. Decides nothing.

use super::Task;
use super::{keep, planner, processes};
use crate::gpu::Owner;
use crate::settings::{ImageRef, fields};
use crate::supervisor::machine::Keep;
use app::model::{
    MemoryPlan, PendingChange, Phase, PhaseTime, Remnant, RuntimeKind, Service, ServiceKind, Start, State,
    Timestamp,
};

impl Task {
    /// What the next start needs; an adopted container's arguments are its own.
    pub(super) fn plan(&self) -> Option<MemoryPlan> {
        let idle = self.is_vllm()
            && !self.machine.is_up()
            && self.machine.launching().is_none()
            && !self.is_adopted();
        idle.then(|| self.planner.plan(&self.config.name, &self.config, &self.world.gpus()))?
    }

    /// The start as the page shows it.
    pub(super) fn start(&self) -> Option<Start> {
        if !self.is_vllm() {
            return None;
        }
        let (usual, learned_from) = self.usual.clone();
        let phases = if let Some(at) = self.machine.launching().filter(|_| !self.machine.is_up()) {
            vec![PhaseTime { phase: Phase::Create, at, took_ms: None }]
        } else {
            let over = self.machine.ready_since().or_else(|| self.machine.ended_at());
            match self.machine.state() {
                State::Starting { .. } => {}
                State::Running { .. } | State::Unresponsive { .. } if self.watched => {}
                State::Failed { .. } if self.machine.ready_since().is_none() && self.heard_this => {}
                _ => return None,
            }
            self.witness().phases(over.filter(|_| !matches!(self.machine.state(), State::Starting { .. })))
        };
        Some(Start { phases, usual, learned_from, silence: self.machine.silence().cloned() })
    }

    /// What the dead main process left behind, with the GPU memory that each holds.
    pub(super) fn remnants(&self) -> Vec<Remnant> {
        let mut remnants = self.machine.instance().map(|i| i.remnants.clone()).unwrap_or_default();
        if !remnants.is_empty() {
            let gpus = self.world.gpus();
            for remnant in &mut remnants {
                let held = processes(&gpus).filter(|p| p.pid == remnant.pid).filter_map(|p| p.memory_bytes);
                remnant.memory_bytes = held.reduce(|a, b| a + b);
            }
        }
        remnants
    }

    /// The product name of the device that it runs on, where it is one.
    pub(super) fn device(&self) -> Option<String> {
        let gpus = self.world.gpus();
        let mut names = planner::devices(&self.config.name, &self.config, &gpus).into_iter().map(|d| d.name);
        names.next().filter(|first| names.all(|n| n == *first))
    }

    pub(super) fn keep(&self) -> Keep {
        keep(&self.config, self.auto_start)
    }

    /// The reference that Pull fetches.
    pub(super) fn pulls(&self) -> Option<String> {
        if self.kind != RuntimeKind::Docker {
            return None;
        }
        if !self.is_adopted() && self.is_vllm() {
            return Some(self.config.image.value.to_string());
        }
        // An id names what is here; no registry knows it.
        let own = self.machine.instance().and_then(|i| i.image.clone());
        own.filter(|image| ImageRef::parse(image).is_ok() && !image.starts_with("sha256:"))
    }

    /// What the next start changes, where one was made here.
    pub(super) fn pending(&self) -> Vec<PendingChange> {
        let exists = self.machine.instance().is_some() && !self.is_adopted();
        let launched = self.launched.as_ref().filter(|_| exists && self.machine.is_up());
        launched.map_or_else(Vec::new, |launched| fields::changes(launched, &fields::values(&self.config)))
    }

    pub(super) fn publish(&self) {
        if let Some(i) = self.machine.instance() {
            let container = (self.kind == RuntimeKind::Docker).then(|| i.id.id.clone());
            let pids: Vec<u32> = i.pids.iter().copied().chain(i.remnants.iter().map(|r| r.pid)).collect();
            for pid in &pids {
                self.witness().own_process(*pid);
            }
            self.world.put_owner(Owner { service: self.config.name.clone(), container, pids });
        }
        let instance = self.machine.instance();
        let up = self.machine.is_up();
        let container = instance.and_then(|i| i.container.clone());
        let image = instance.and_then(|i| i.image.clone());
        let served = self.machine.served();
        self.world.put_service(Service {
            name: self.config.name.clone(),
            title: self.config.title.clone(),
            kind: if self.is_vllm() { ServiceKind::Vllm } else { ServiceKind::Other },
            runtime: self.kind,
            demo: self.kind == RuntimeKind::Demo,
            state: self.machine.state(),
            wish: self.machine.wish(),
            model: served.models.first().cloned(),
            models: served.models.clone(),
            adapters: served.adapters.clone(),
            version: served.version.clone(),
            max_model_len: served.max_model_len,
            uptime_s: None,
            started: instance
                .filter(|_| up && !self.machine.is_away())
                .map(|i| Timestamp::from_nanos(i.id.started_ns)),
            gpu_memory_bytes: self.machine.gpu_memory().filter(|_| up),
            image: image.or_else(|| {
                let ours = self.kind == RuntimeKind::Docker && self.is_vllm();
                ours.then(|| self.config.image.value.to_string())
            }),
            pulls: self.pulls(),
            auto_start: self.auto_start,
            auto_start_fixed: self.config.auto_start.is_some(),
            restarts: self.machine.restarts(Timestamp::now()),
            // One that could not be opened has no number yet: that of the run before is not its own.
            run: self.feed.run_numbers().0.or(self.run).filter(|_| self.unopened.is_none()),
            api_url: self.is_vllm().then(|| self.api_base()),
            container,
            remnants: self.remnants(),
            port_taken: self.machine.port_taken().cloned(),
            start: self.start(),
            plan: self.plan(),
            smoke: self.smoke.clone(),
            release: self.machine.release().cloned(),
            pending: self.pending(),
            kept_image: self.kept.clone(),
            unhealthy: self.unhealthy.clone(),
            settings_revision: self.settings_revision,
        });
    }
}
