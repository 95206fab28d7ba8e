//! A healthy start on one GPU, about 35 s. Order, sources and wording follow the recordings of 0.32.0;
//! lines that only a GPU prints follow its source and public logs. The parts are cut where a failure
//! may strike.

use super::{Step, What, api, compiled, core, line, step, worker};
use crate::log::{Level, Process};

/// Nothing is printed while Python imports: how long that takes.
pub const IMPORT_MS: u64 = 5500;

/// The first lines; the port is bound right after them.
pub const BANNER: &[Step] = &[
    api(
        0,
        "api_utils.py:347",
        "\n       {bold}█     █     █▄   ▄█{end}\n {yellow}▄▄{end} {blue}▄█{end} {bold}█     █     █ ▀▄▀ █{end}  version {bold}0.32.0{end}\n  {yellow}█{end}{blue}▄█▀{end} {bold}█     █     █     █{end}  model   {bold}{model}{end}\n   {blue}▀▀{end}  {bold}▀▀▀▀▀ ▀▀▀▀▀ ▀     ▀{end}\n",
    ),
    api(4, "api_utils.py:286", "non-default args: {non_default}"),
];

/// The demo's first line, before everything else.
pub const DEMO: &[Step] = &[api(
    0,
    "vllm-sim",
    "This is a simulated vLLM: no model is loaded, no GPU is used, and all requests are made up. What follows looks like vLLM 0.32.0.",
)];

/// The configuration is read. Failures of the configuration strike after the first, or the second line.
pub const CONFIG: &[Step] = &[
    api(900, "model.py:733", "Resolved architecture: Qwen3ForCausalLM"),
    api(5, "model.py:2152", "Using max model len {max_len}"),
    api(60, "scheduler.py:239", "Chunked prefill is enabled with max_num_batched_tokens=8192."),
    Step { when: super::When::Eager, ..line(2, Process::ApiServer, Level::Warning, "vllm.py:1703", EAGER) },
    api(
        3,
        "kernel.py:467",
        "Final IR op priority after setting platform defaults: IrOpPriorityConfig(rms_norm=['vllm_c', 'native'], fused_add_rms_norm=['vllm_c', 'native'], gelu_and_mul_sparse=['native'])",
    ),
];

const EAGER: &str = "Enforce eager set, disabling torch.compile, CUDAGraphs, and JIT kernel warmup. This is equivalent to setting -cc.mode=none -cc.cudagraph_mode=none and --kernel_config.enable_jit_warmup=False";

/// The engine process starts and looks for its device.
pub const PROCESSES: &[Step] = &[
    core(6000, "core.py:133", include_str!("../../fixtures/engine_config.txt")),
    core(
        30,
        "multiproc_executor.py:153",
        "DP group leader: node_rank=0, node_rank_within_dp=0, master_addr=127.0.0.1, mq_connect_ip=172.17.0.2 (local), world_size={tp}, local_world_size={tp}",
    ),
    worker(
        3500,
        "parallel_state.py:1906",
        "world_size={tp} rank=0 local_rank=0 distributed_init_method=tcp://127.0.0.1:41379 backend=nccl",
    ),
    worker(
        120,
        "parallel_state.py:2350",
        "rank 0 in world size {tp} is assigned as DP rank 0, PP rank 0, PCP rank 0, TP rank 0, ETP rank 0, EP rank N/A, EPLB rank N/A",
    ),
];

/// The weights are about to be read.
pub const BEFORE_WEIGHTS: &[Step] = &[
    worker(700, "gpu_model_runner.py:5040", "Starting to load model {model}..."),
    worker(
        300,
        "cuda.py:507",
        "Using FLASH_ATTN attention backend out of potential backends: ['FLASH_ATTN', 'FLASHINFER', 'TRITON_ATTN', 'FLEX_ATTENTION'].",
    ),
    worker(220, "base_loader.py:82", "Initializing model took 0.225347 seconds"),
    worker(
        10,
        "weight_utils.py:1108",
        "Filesystem type for checkpoints: EXT4. Checkpoint size: 5.52 GiB. Available RAM: 109.77 GiB.",
    ),
    worker(
        1,
        "weight_utils.py:1131",
        "Auto-prefetch is disabled because the filesystem (EXT4) is not a recognized network FS (NFS/Lustre). If you want to force prefetching, start vLLM with --safetensors-load-strategy=prefetch.",
    ),
];

/// The weights load, and the model is compiled.
pub const WEIGHTS: &[Step] = &[
    step(1, What::Shards { step_ms: 600 }),
    worker(2, "default_loader.py:501", "Loading weights took 3.04 seconds"),
    worker(150, "gpu_model_runner.py:5150", "Model loading took 5.52 GiB memory and 3.812344 seconds"),
    compiled(worker(
        600,
        "backends.py:1167",
        "[backbone] Using cache directory: /root/.cache/vllm/torch_compile_cache/0ccbde8c12/rank_0_0/backbone for vLLM's torch.compile",
    )),
    compiled(worker(2200, "backends.py:1227", "[backbone] Dynamo bytecode transform time: 2.21 s")),
    compiled(worker(
        2600,
        "backends.py:399",
        "[backbone] Cache the graph of compile range (1, 8192) for later use",
    )),
    compiled(worker(
        1800,
        "backends.py:296",
        "[backbone] Compiling a graph for compile range (1, 8192) takes 4.13 s",
    )),
    compiled(worker(250, "monitor.py:62", "[backbone] torch.compile took 7.28 s in total")),
    compiled(worker(100, "monitor.py:91", "[backbone] Initial profiling/warmup run took 0.34 s")),
    compiled(worker(
        600,
        "gpu_model_runner.py:6861",
        "Profiling CUDA graph memory: PIECEWISE=51 (largest=512), FULL=35 (largest=256)",
    )),
    compiled(worker(900, "gpu_model_runner.py:6881", "Estimated CUDA graph memory: {graphs_gib} GiB total")),
];

/// The KV cache is made and the graphs are captured.
pub const CACHE: &[Step] = &[
    worker(300, "gpu_worker.py:760", "Available KV cache memory: {kv_gib} GiB"),
    core(
        20,
        "kv_cache_utils.py:2327",
        "GPU KV cache size: {kv_tokens,} tokens, Maximum concurrency for {max_len,} tokens per request: {concurrency}x",
    ),
    compiled(step(300, What::Graphs { label: "mixed prefill-decode, PIECEWISE", count: 51, step_ms: 40 })),
    compiled(step(10, What::Graphs { label: "decode, FULL", count: 35, step_ms: 40 })),
    compiled(worker(
        20,
        "gpu_model_runner.py:6582",
        "Graph capturing finished in 4 secs, took {graphs_gib} GiB",
    )),
    worker(
        3,
        "gpu_worker.py:804",
        "Free memory on device (78.55/79.19 GiB) on startup. Desired GPU memory utilization is ({util}, {desired} GiB). Actual usage is 5.87 GiB for consumed memory (weights + non-torch), 1.4 GiB for peak activation, and {graphs_gib} GiB for CUDAGraph memory. Replace gpu_memory_utilization config with `--kv-cache-memory={kv_bytes}` ({kv_gib} GiB) to fit into requested memory, or `--kv-cache-memory={kv_full_bytes}` ({kv_full_gib} GiB) to fully utilize gpu memory. Current kv cache memory in use is {kv_gib} GiB.",
    ),
    compiled(core(
        180,
        "core.py:402",
        "init engine (profile, create kv cache, warmup model) took 13.70 s (compilation: 7.28 s)",
    )),
    Step {
        when: super::When::Eager,
        ..core(180, "core.py:402", "init engine (profile, create kv cache, warmup model) took 1.12 s")
    },
];

/// The server is made ready to listen.
pub const FRONTEND: &[Step] = &[
    api(850, "entry.py:136", "Supported tasks: ['generate']"),
    api(
        300,
        "factories.py:89",
        "Scale-out endpoints are disabled. Restart vllm serve with --enable-scale-out to enable them.",
    ),
    api(
        60,
        "hf.py:648",
        "Detected the chat template content format to be 'string'. You can set `--chat-template-content-format` to override this.",
    ),
];

/// The last lines before it listens; the routes follow the second.
pub const LISTEN: &[Step] = &[
    api(60, "entry.py:140", "Starting vLLM server on {url}"),
    api(3, "launcher.py:186", "Available routes are:"),
];

/// uvicorn's start. The server listens before the last line.
pub const UVICORN: &[Step] =
    &[step(50, What::UvicornProcess("Started")), step(0, What::Uvicorn("Waiting for application startup."))];

/// The line that says ready.
pub const READY: &[Step] = &[step(700, What::Uvicorn("Application startup complete."))];

/// The lines after `Available routes are:`.
pub fn routes() -> impl Iterator<Item = &'static str> {
    include_str!("../../fixtures/routes.txt").lines()
}
