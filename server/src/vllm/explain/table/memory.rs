//! The device's memory and the KV cache.

use crate::vllm::explain::facts::{cpu_kv, free_memory, kv_length, oom, profiling};
use crate::vllm::explain::rules::{Rule, proves};
use app::model::Cause::{DoesNotFit, KvCacheTooSmall, MemoryHeldByOthers};

pub const RULES: [Rule; 28] = [
    // vLLM v1/worker/utils.py: the check at the start. What is not free then is held by others.
    proves(MemoryHeldByOthers, &["free memory on device", "is less than desired"]).plain().with(free_memory),
    proves(MemoryHeldByOthers, &["free memory on device", "less than the engine's budget"])
        .plain()
        .with(free_memory),
    proves(MemoryHeldByOthers, &["free memory on device", "less than"]).plain().with(free_memory),
    proves(MemoryHeldByOthers, &["error in memory profiling", "initial free memory"]).with(profiling),
    // v1/worker/cpu_worker.py.
    proves(KvCacheTooSmall, &["available memory on node", "less than requested memory for kv (-"]).plain(),
    proves(DoesNotFit, &["available memory on node", "less than requested memory for kv"])
        .plain()
        .with(cpu_kv),
    proves(DoesNotFit, &["available memory on node", "less than"]).plain().with(cpu_kv),
    // v1/core/kv_cache_utils.py and the older worker/worker.py.
    proves(KvCacheTooSmall, &["to serve at least one request with the model", "kv cache is needed"])
        .plain()
        .with(kv_length),
    proves(KvCacheTooSmall, &["larger than the available kv cache memory"]).plain().with(kv_length),
    proves(KvCacheTooSmall, &["is larger than the maximum number of tokens that can be stored in kv cache"])
        .plain()
        .with(kv_length),
    proves(KvCacheTooSmall, &["larger than the maximum number of tokens that can be"])
        .plain()
        .with(kv_length),
    proves(KvCacheTooSmall, &["no available memory for the cache blocks"]).plain(),
    proves(KvCacheTooSmall, &["not enough memory for", "blocks of kv cache"]).plain(),
    proves(KvCacheTooSmall, &["not enough kv cache"]),
    // PyTorch c10/cuda/CUDACachingAllocator.cpp, and what vLLM puts around it.
    proves(DoesNotFit, &["failed to load model", "not enough gpu memory"]).plain().with(oom),
    proves(DoesNotFit, &["out of memory occurred when warming up"]).with(oom),
    proves(DoesNotFit, &["cuda out of memory"]).plain().with(oom),
    proves(DoesNotFit, &["hip out of memory"]).plain().with(oom),
    proves(DoesNotFit, &["xpu out of memory"]).plain().with(oom),
    proves(DoesNotFit, &["npu out of memory"]).plain().with(oom),
    proves(DoesNotFit, &["cuda error: out of memory"]).plain(),
    proves(DoesNotFit, &["hip error: out of memory"]).plain(),
    proves(DoesNotFit, &["cuda failure", "'out of memory'"]).plain(),
    proves(DoesNotFit, &["torch.outofmemoryerror"]).plain().with(oom),
    proves(DoesNotFit, &["torch.cuda.outofmemoryerror"]).plain().with(oom),
    proves(DoesNotFit, &["cublas_status_alloc_failed"]),
    proves(DoesNotFit, &["cudaerrormemoryallocation"]),
    proves(DoesNotFit, &["cuda_error_out_of_memory"]),
];
