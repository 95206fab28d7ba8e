//! Puts the table together: recipes, the owner's own models, what lies in the caches. Pure.
//!
//! In: [`Inputs`], and somebody who plans memory. Out: [`Row`]s, each model with the same arguments once: recipes in their order, then
//! the owner's, then the rest of the caches by name.

mod figures;
#[cfg(test)]
mod tests;

use super::hub::{Cached, Kind};
use super::recipes::{Access, Recipe};
use super::row::{Disk, Figure, Licence, Row, Token, Use, Variable};
use super::speed::read_permille;
use crate::vllm::plan::{Device, ModelFacts};
use app::model::{MemoryPlan, Timestamp, Verdict};
use std::time::SystemTime;

/// Everything that the table is made of.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// The list of this room: [`super::recipes()`].
    pub recipes: &'a [Recipe],
    /// The owner's services.
    pub own: &'a [Own],
    /// What lies in the caches: [`super::hub::list`].
    pub cached: &'a [Cached],
    /// The devices that the settings choose.
    pub devices: &'a [Device],
    /// Speeds that were measured here.
    pub measured: &'a [Measured],
    /// Whether a token for Hugging Face is set.
    pub has_token: bool,
}

/// A model that the owner serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Own {
    /// The service.
    pub service: String,
    /// The weights: an identifier or a folder.
    pub model: String,
    /// The further arguments of `vllm serve`.
    pub args: Vec<String>,
}

/// A speed that was measured on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measured {
    /// The weights: an identifier or a folder, not the name that they are served as.
    pub model: String,
    /// The device's product name.
    pub gpu: String,
    /// When.
    pub at: Timestamp,
    /// Tokens that one request got in ten seconds.
    pub tokens_per_10s: u64,
}

/// What a memory plan is wanted for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The weights: an identifier or a folder.
    pub model: &'a str,
    /// The further arguments of `vllm serve`.
    pub args: &'a [String],
}

/// A memory plan with what else its model's figures tell.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    /// The plan.
    pub plan: MemoryPlan,
    /// How much of the weights a token reads, in thousandths.
    pub read_permille: u32,
    /// Parameters.
    pub parameters: Option<u64>,
    /// How the weights are quantized.
    pub quantization: Option<String>,
}

impl Planned {
    /// From a model's figures and the plan that they made.
    pub fn new(facts: &ModelFacts, plan: MemoryPlan) -> Self {
        Self {
            plan,
            read_permille: read_permille(facts),
            parameters: Some(facts.config.parameters().all()).filter(|n| *n > 0),
            quantization: facts.config.quantization.clone(),
        }
    }
}

/// Puts the rows together. `plan` is asked once for each of them; `None` where a model's figures are not known.
pub fn rows(inputs: &Inputs<'_>, plan: &dyn Fn(&Wanted<'_>) -> Option<Planned>) -> Vec<Row> {
    let drafts = drafts(inputs);
    drafts.into_iter().map(|draft| draft.row(inputs, plan)).collect()
}

/// A row before its figures.
struct Draft<'a> {
    model: &'a str,
    args: Vec<String>,
    recipe: Option<&'a Recipe>,
    services: Vec<String>,
    cached: Vec<&'a Cached>,
}

impl Draft<'_> {
    fn is_of(&self, model: &str) -> bool {
        // Hugging Face does not tell capitals apart.
        self.model.eq_ignore_ascii_case(model)
    }
}

fn drafts<'a>(inputs: &Inputs<'a>) -> Vec<Draft<'a>> {
    let strings = |args: &[&str]| args.iter().map(|&arg| arg.to_owned()).collect();
    let mut drafts: Vec<Draft<'a>> = inputs
        .recipes
        .iter()
        .map(|recipe| Draft {
            model: recipe.model,
            args: strings(recipe.args),
            recipe: Some(recipe),
            services: Vec::new(),
            cached: Vec::new(),
        })
        .collect();
    for own in inputs.own {
        match drafts.iter_mut().find(|draft| draft.is_of(&own.model) && draft.args == own.args) {
            Some(draft) => draft.services.push(own.service.clone()),
            None => drafts.push(Draft {
                model: &own.model,
                args: own.args.clone(),
                recipe: None,
                services: vec![own.service.clone()],
                cached: Vec::new(),
            }),
        }
    }
    for cached in inputs.cached {
        let mut known = false;
        for draft in drafts.iter_mut().filter(|draft| draft.is_of(cached.repo.as_str())) {
            draft.cached.push(cached);
            known = true;
        }
        if !known {
            drafts.push(Draft {
                model: cached.repo.as_str(),
                args: Vec::new(),
                recipe: None,
                services: Vec::new(),
                cached: vec![cached],
            });
        }
    }
    drafts
}

/// What a start of this row would load.
struct Load {
    model: String,
    args: Vec<String>,
}

impl Draft<'_> {
    fn row(self, inputs: &Inputs<'_>, plan: &dyn Fn(&Wanted<'_>) -> Option<Planned>) -> Row {
        let adapter = self.cached.iter().find_map(|cached| match &cached.kind {
            Kind::Adapter { base, rank } => Some((base.clone(), *rank)),
            Kind::Model { .. } | Kind::Unknown => None,
        });
        let load = self.load(adapter.as_ref());
        let planned = load.as_ref().and_then(|load| plan(&Wanted { model: &load.model, args: &load.args }));
        let memory = planned.as_ref().map(|planned| &planned.plan);
        let published = self.recipe.and_then(|recipe| recipe.published);
        let disk = disk(&self.cached);
        let speed = load.as_ref().and_then(|load| {
            figures::measured(inputs, self.model)
                .or_else(|| figures::estimated(inputs.devices, planned.as_ref()?, &load.args))
        });
        Row {
            title: self.recipe.map_or(self.model, |recipe| recipe.title).to_owned(),
            recipe: self.recipe.map(|recipe| recipe.id.to_owned()),
            parameters: self
                .recipe
                .map(|recipe| recipe.parameters)
                .or_else(|| planned.as_ref().and_then(|planned| planned.parameters)),
            active_parameters: self.recipe.and_then(|recipe| recipe.active_parameters),
            quantization: self
                .recipe
                .map(|recipe| recipe.quantization.to_owned())
                .or_else(|| planned.as_ref().and_then(|planned| planned.quantization.clone())),
            vram: memory.map(figures::vram),
            published_vram: published.map(|published| Figure::published(published.vram_bytes)),
            context_tokens: memory.map(|memory| memory.context_tokens),
            speed,
            published_speed: published.map(|published| Figure::published(published.speed)),
            fit: figures::fit(memory, load.is_none()),
            licence: self.recipe.map(|recipe| Licence {
                id: recipe.licence.to_owned(),
                address: recipe.licence_address.to_owned(),
            }),
            token: self.token(disk, inputs.has_token),
            usable: load.and_then(|load| usable(load, memory, self.recipe)),
            adapter_of: adapter.and_then(|(base, _)| base),
            model: self.model.to_owned(),
            services: self.services,
            disk,
        }
    }

    /// `None` for an adapter whose base is not named.
    fn load(&self, adapter: Option<&(Option<String>, Option<u32>)>) -> Option<Load> {
        let Some((base, rank)) = adapter else {
            return Some(Load { model: self.model.to_owned(), args: self.args.clone() });
        };
        let name = self.model.rsplit('/').next().unwrap_or(self.model);
        let mut args = self.args.clone();
        args.extend(["--enable-lora".to_owned(), "--max-lora-rank".to_owned()]);
        args.push(served_rank(rank.unwrap_or(16)).to_string());
        args.extend(["--lora-modules".to_owned(), format!("{name}={}", self.model)]);
        Some(Load { model: base.clone()?, args })
    }

    fn token(&self, disk: Option<Disk>, has_token: bool) -> Token {
        if disk.is_some_and(|disk| disk.complete) || self.model.starts_with(['/', '.', '~']) {
            return Token::NotNeeded;
        }
        match self.recipe.map(|recipe| recipe.access) {
            Some(Access::Open) => Token::NotNeeded,
            Some(Access::Gated) if has_token => Token::NotNeeded,
            Some(Access::Gated) => Token::Needed,
            None => Token::Unknown,
        }
    }
}

/// The ranks that vLLM can be told (`config/lora.py`, `MaxLoRARanks`: <https://docs.vllm.ai/en/v0.14.0/api/vllm/config/lora/>).
fn served_rank(rank: u32) -> u32 {
    [8, 16, 32, 64, 128, 256, 320].into_iter().find(|served| *served >= rank).unwrap_or(512)
}

/// What Use would set; `None` where the plan says that a start must fail.
fn usable(load: Load, memory: Option<&MemoryPlan>, recipe: Option<&Recipe>) -> Option<Use> {
    let mut set = vec![(Variable::Model, load.model)];
    let mut args = load.args;
    match memory.map(|memory| &memory.verdict) {
        Some(Verdict::DoesNotFit { share_percent: None, .. }) => return None,
        Some(Verdict::DoesNotFit { share_percent: Some(percent), .. }) => {
            set.push((Variable::GpuMemoryUtilization, format!("{}.{:02}", percent / 100, percent % 100)));
        }
        Some(Verdict::FitsShorter { longest_tokens }) => {
            // The last one wins, in vLLM and in the plan; whole blocks of 16 tokens.
            let tokens = (longest_tokens / 16 * 16).max(1);
            args.extend(["--max-model-len".to_owned(), tokens.to_string()]);
        }
        Some(Verdict::Fits | Verdict::HeldByOthers { .. } | Verdict::NoGpu) | None => {}
    }
    Some(Use { set, args, suggested_name: recipe.map(|recipe| recipe.served_name.to_owned()) })
}

/// The same model in several caches is one model on the disk, whole if any of them is.
fn disk(cached: &[&Cached]) -> Option<Disk> {
    cached.iter().fold(None, |sum: Option<Disk>, one| {
        let last_used = one.last_used.map(timestamp);
        let sum = sum.unwrap_or(Disk { bytes: 0, bytes_incomplete: 0, complete: false, last_used: None });
        Some(Disk {
            bytes: sum.bytes.saturating_add(one.bytes),
            bytes_incomplete: sum.bytes_incomplete.saturating_add(one.bytes_incomplete),
            complete: sum.complete || one.complete,
            last_used: sum.last_used.max(last_used),
        })
    })
}

fn timestamp(at: SystemTime) -> Timestamp {
    let millis = |d: std::time::Duration| i64::try_from(d.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millis(match at.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => millis(after),
        Err(before) => -millis(before.duration()),
    })
}
