//! Adds up weights, working memory and cache, and compares them with a device, as vLLM does at its start.
//!
//! vLLM first wants its share to be free (0.32, `v1/worker/utils.py`, `request_memory`), then takes weights and the measured
//! working memory from it, and gives the rest to the cache (`v1/worker/gpu_worker.py`, `determine_available_memory`); a cache that
//! cannot hold one request of the longest length is refused (`v1/core/kv_cache_utils.py`).

use super::cache::{Cache, Layout};
use super::flags::{Flags, Length};
use super::overhead::{self, Batch};
use super::shape::{Dtype, ModelConfig};
use super::weights::{Weights, scaled, thousandth_bytes};
use super::{Ask, Device, ModelFacts};
use app::model::{MemoryPlan, PlanDevice, Verdict};

/// What the driver keeps of a device's memory for itself: NVML counts it, CUDA does not. 0.42 to 0.46 GiB on RTX 3090, 4090, 5090
/// and H100 (`docs/MEMORY.md`).
const DRIVER_BYTES: u64 = 460 << 20;
/// What a process holds of a device before vLLM looks at how much is free: the CUDA context.
const CONTEXT_BYTES: u64 = 512 << 20;
/// The largest share that is proposed.
const LARGEST_SHARE: u64 = 95;
/// Requests shorter than this are of no use: a share is proposed for no less.
const SHORT_REQUEST: u64 = 2048;

/// Plans a start. `devices` are those that the service may use.
pub fn plan(facts: &ModelFacts, ask: &Ask, devices: &[Device]) -> MemoryPlan {
    let flags = ask.flags();
    let parallel = Parallel::of(&flags);
    let chosen = || {
        devices.iter().filter(|d| d.total > 0).take(usize::try_from(parallel.devices()).unwrap_or(usize::MAX))
    };
    let tightest = chosen().min_by_key(|d| d.free);
    let wanted = match flags.max_model_len {
        Some(Length::Tokens(tokens)) => tokens,
        Some(Length::Auto) | None => facts.config.max_tokens,
    };
    let need = Need::of(facts, &flags, parallel, tightest, wanted, ask.version);
    let plan = MemoryPlan {
        model: facts.model.clone(),
        source: facts.source,
        weights_bytes: need.weights,
        overhead_bytes: need.overhead,
        kv_bytes_per_token: need.cache.bytes_per_token,
        kv_bytes: None,
        context_tokens: wanted,
        cache_tokens: None,
        concurrency_percent: None,
        devices: u32::try_from(parallel.devices()).unwrap_or(u32::MAX),
        device: None,
        verdict: Verdict::NoGpu,
    };
    match tightest {
        Some(device) => on_device(plan, device, &need, &flags, flags.share.unwrap_or(ask.share)),
        None => plan,
    }
}

/// How a model is shared out.
#[derive(Clone, Copy)]
struct Parallel {
    tensor: u64,
    pipeline: u64,
}

impl Parallel {
    fn of(flags: &Flags) -> Self {
        Self {
            tensor: flags.tensor_parallel.unwrap_or(1).max(1),
            pipeline: flags.pipeline_parallel.unwrap_or(1).max(1),
        }
    }

    const fn devices(self) -> u64 {
        self.tensor.saturating_mul(self.pipeline)
    }
}

/// What one device has to hold.
struct Need {
    weights: u64,
    overhead: u64,
    cache: Cache,
}

impl Need {
    fn of(
        facts: &ModelFacts,
        flags: &Flags,
        parallel: Parallel,
        device: Option<&Device>,
        length: u64,
        version: Option<overhead::Version>,
    ) -> Self {
        let dtype = flags.dtype.unwrap_or(Dtype::Half);
        let (total, name) = device.map_or((0, ""), |d| (usable(d.total), d.name.as_str()));
        let batch = Batch::of(flags, total, name, length, version);
        let layout = Layout {
            dtype: flags.kv_cache_dtype.as_deref(),
            model_dtype: dtype,
            tensor_parallel: parallel.tensor,
            pipeline_parallel: parallel.pipeline,
            block_tokens: flags.block_size,
            in_flight: batch.in_flight(version),
            one_kind: flags.one_kind_of_cache,
        };
        Self {
            weights: weights_on_a_device(&facts.config, facts.weights, flags, dtype, parallel)
                .saturating_sub(flags.cpu_offload_bytes),
            overhead: overhead::bytes(&facts.config, flags, batch, parallel.tensor, total, version),
            cache: Cache::of(&facts.config, &layout),
        }
    }

    const fn without_cache(&self) -> u64 {
        self.weights.saturating_add(self.overhead)
    }

    fn with_a_request_of(&self, tokens: u64) -> u64 {
        self.without_cache().saturating_add(self.cache.bytes_of(tokens))
    }

    /// The smallest share with which it would start, in percent, and none above [`LARGEST_SHARE`].
    fn share_percent(&self, usable: u64, wanted: u64) -> Option<u32> {
        [wanted, wanted.min(SHORT_REQUEST)].into_iter().find_map(|tokens| {
            let percent =
                (u128::from(self.with_a_request_of(tokens)) * 100).div_ceil(u128::from(usable.max(1)));
            u32::try_from(percent).ok().filter(|percent| u64::from(*percent) <= LARGEST_SHARE)
        })
    }
}

/// The embedding lies on the first stage and the output layer on the last; the layers are shared out evenly, and each stage is
/// split among the devices of a tensor parallel group.
fn weights_on_a_device(
    config: &ModelConfig,
    weights: Weights,
    flags: &Flags,
    dtype: Dtype,
    parallel: Parallel,
) -> u64 {
    let all = weights.bytes(dtype);
    let parameters = config.parameters();
    let embedding = parameters.embedding.saturating_mul(dtype.bytes()).min(all);
    let head = parameters.head.saturating_mul(dtype.bytes()).min(all - embedding);
    let mut inner = all - embedding - head;
    // Quantized while it is loaded: a checkpoint that is quantized already stays as it is.
    if let (None, Some(each)) =
        (&config.quantization, flags.quantization.as_deref().and_then(thousandth_bytes))
    {
        inner = scaled(inner / dtype.bytes(), each);
    }
    let edges = match parallel.pipeline {
        1 => embedding.saturating_add(head),
        _ => embedding.max(if config.tied { embedding } else { head }),
    };
    let rotary = config.latent.map_or(config.head_dim, |latent| latent.rope);
    // Sine and cosine of each position; every device has its own.
    let positions = if config.heads == 0 {
        0
    } else {
        config.max_tokens.saturating_mul(rotary).saturating_mul(dtype.bytes())
    };
    ((inner / parallel.pipeline).saturating_add(edges) / parallel.tensor).saturating_add(positions)
}

fn on_device(plan: MemoryPlan, device: &Device, need: &Need, flags: &Flags, share: f64) -> MemoryPlan {
    let usable_bytes = usable(device.total);
    let share = if share > 0.0 { share.min(1.0) } else { 0.0 };
    let budget = (usable_bytes as f64 * share).ceil() as u64;
    // A cache of a stated size is taken whatever the share leaves.
    let left = flags.kv_cache_bytes.unwrap_or_else(|| budget.saturating_sub(need.without_cache()));
    let blocks = need.cache.blocks(left);
    let wanted = plan.context_tokens;
    let longest = blocks.map_or(wanted, |blocks| need.cache.longest(blocks, wanted));
    let context_tokens = if flags.max_model_len == Some(Length::Auto) { longest.min(wanted) } else { wanted };

    let taken = need.without_cache().saturating_add(flags.kv_cache_bytes.unwrap_or(0));
    let limit = if flags.kv_cache_bytes.is_some() { usable_bytes } else { budget };
    let least = if flags.kv_cache_bytes.is_some() { taken } else { need.with_a_request_of(wanted.min(1)) };
    let must_be_free =
        budget.max(if flags.kv_cache_bytes.is_some() { taken } else { 0 }).saturating_add(CONTEXT_BYTES);
    let free = device.free.min(device.total).saturating_sub(driver(device.total));
    let verdict = if least > limit || (longest == 0 && wanted > 0) {
        Verdict::DoesNotFit {
            short_bytes: least.saturating_sub(limit).max(need.with_a_request_of(1).saturating_sub(limit)),
            share_percent: need.share_percent(usable_bytes, wanted),
        }
    } else if longest < context_tokens {
        Verdict::FitsShorter { longest_tokens: longest }
    } else if must_be_free > free {
        Verdict::HeldByOthers { short_bytes: must_be_free - free }
    } else {
        Verdict::Fits
    };
    MemoryPlan {
        kv_bytes: Some(left),
        context_tokens,
        cache_tokens: blocks.map(|blocks| need.cache.tokens(blocks, context_tokens)),
        concurrency_percent: blocks.map(|blocks| need.cache.concurrency(blocks, context_tokens)),
        device: Some(PlanDevice {
            index: device.index,
            name: device.name.clone(),
            total_bytes: device.total,
            free_bytes: device.free,
            budget_bytes: budget,
            holders: device.holders.clone(),
        }),
        verdict,
        ..plan
    }
}

/// What CUDA sees of a device.
fn usable(total: u64) -> u64 {
    total - driver(total)
}

/// What the driver keeps; less on a device that is smaller than any real one.
fn driver(total: u64) -> u64 {
    DRIVER_BYTES.min(total / 20)
}
