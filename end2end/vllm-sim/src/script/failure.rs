//! The failures before readiness: the lines each prints. All of them exit with 1.

use super::{Player, tracebacks};
use crate::fault::Fault;
use crate::log::{Level, Process, Stream};

/// How an engine process fails: what its worker printed, or where EngineCore itself failed.
struct EngineFailure {
    /// The traceback of the worker, if it is the worker that failed.
    worker: Option<&'static str>,
    /// The last line of the traceback: the cause.
    error: String,
    /// What the very last line holds in its braces.
    failed: &'static str,
}

const WORKER_GONE: &str = "Exception: WorkerProc initialization failed due to an exception in a background process. See stack trace for root cause.";
const CUDA_OOM: &str = "CUDA out of memory. Tried to allocate 1.16 GiB. GPU 0 has a total capacity of 79.19 GiB of which 778.88 MiB is free. Including non-PyTorch memory, this process has 78.41 GiB memory in use. Of the allocated memory 77.69 GiB is allocated by PyTorch, and 231.94 MiB is reserved by PyTorch but unallocated. If reserved but unallocated memory is large try setting PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True to avoid fragmentation.  See documentation for Memory Management  (https://pytorch.org/docs/stable/notes/cuda.html#environment-variables)";
const LOAD_OOM: &str = "Failed to load model - not enough GPU memory. Try lowering --gpu-memory-utilization to free memory for weights, increasing --tensor-parallel-size, or using --quantization. See https://docs.vllm.ai/en/latest/configuration/conserving_memory/ for more tips.";
const NO_CACHE: &str = "ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization` when initializing the engine (this flag also controls CPU memory reservation on the CPU backend, despite its name). See https://docs.vllm.ai/en/latest/configuration/conserving_memory/ for more details.";
const CACHE_SHORT: &str = "ValueError: To serve at least one request with the model's max seq len ({max_len}), {kv_needed_gib} GiB KV cache is needed, which is larger than the available KV cache memory ({kv_gib} GiB). Based on the available memory, the estimated maximum model length is {kv_tokens}. Try increasing `gpu_memory_utilization` (this flag also controls CPU memory reservation on the CPU backend, despite its name) or decreasing `max_model_len` when initializing the engine. See https://docs.vllm.ai/en/latest/configuration/conserving_memory/ for more details.";
const CACHE_OVER_RAM: &str = "ValueError: Available memory on node 0 (15.04/18.09 GiB) on startup is less than requested memory for kv (4000.0 GiB).";
const HELD: &str = "ValueError: Free memory on device cuda:0 (11.87/79.19 GiB) on startup is less than desired GPU memory utilization ({util}, {desired} GiB). Decrease GPU memory utilization or reduce GPU memory used by other processes.";
const OLD_DRIVER: &str = "RuntimeError: The NVIDIA driver on your system is too old (found version 12020). Please update your GPU driver by downloading and installing a new version from the URL: http://www.nvidia.com/Download/index.aspx Alternatively, go to: https://pytorch.org to install a PyTorch version that has been compiled with your version of the CUDA driver.";
const CORRUPT: &str = "safetensors_rust.SafetensorError: Error while deserializing header: incomplete metadata, file not fully covered";

impl Player {
    /// Prints the lines of a failure that strikes before readiness.
    pub async fn fail(&self, fault: Fault) {
        match fault {
            Fault::BadModelPath => self.traceback(&["serve", "client", "bad_model_path"]),
            Fault::PortInUse => self.traceback(&["serve", "port_in_use"]),
            Fault::BadPortRange => self.bind_error("OverflowError: bind(): port must be 0-65535."),
            Fault::BadRepoId => self.repository_unreachable().await,
            Fault::GatedModel => {
                self.traceback(&["gated_cause"]);
                self.stderr("");
                self.traceback(&["serve", "client", "engine_client", "gated"]);
            }
            Fault::GpuMemUtil => self.out_of_range(),
            Fault::MaxModelLen => self.traceback(&["serve", "client", "engine_client", "max_model_len"]),
            Fault::BadArch => self.traceback(&["serve", "client", "engine_client", "bad_arch"]),
            Fault::NoGpu => self.traceback(&["serve", "client", "engine_client", "no_gpu"]),
            Fault::LoraPathMissing => self.traceback(&["serve", "client", "lora_path_missing"]),
            _ => return self.engine_failure(fault).await,
        }
        self.wait(2600).await;
    }

    /// The port cannot be bound, for the reason in Python's words.
    pub async fn cannot_bind(&self, error: &str) {
        self.bind_error(error);
        self.wait(2600).await;
    }

    fn bind_error(&self, error: &str) {
        let text = tracebacks::joined(&["serve", "port_in_use"]);
        self.stderr(&text.replace("OSError: [Errno 98] Address already in use", error));
    }

    fn stderr(&self, text: &str) {
        self.log.plain(Stream::Stderr, &self.vars.fill(text));
    }

    fn traceback(&self, pieces: &[&str]) {
        self.stderr(&tracebacks::joined(pieces));
    }

    /// pydantic has two words for a share outside of 0 to 1.
    fn out_of_range(&self) {
        let mut text = tracebacks::joined(&["serve", "client", "engine_client", "gpu_mem_util"]);
        let util: f64 = self.vars.fill("{util}").parse().unwrap_or(1.5);
        if util <= 0.0 {
            text = text
                .replace("less than or equal to 1 [type=less_than_equal", "greater than 0 [type=greater_than")
                .replace("/v/less_than_equal", "/v/greater_than");
        } else if util <= 1.0 {
            text = text.replace("{util}", "1.5");
        }
        self.stderr(&text);
    }

    async fn repository_unreachable(&self) {
        let mut pauses = [1000, 2000, 4000, 8000, 8000].into_iter();
        for line in tracebacks::piece("bad_repo_id_retries").lines() {
            self.stderr(line);
            if line.starts_with("Retrying")
                && let Some(pause) = pauses.next()
            {
                self.wait(pause).await;
            }
        }
        self.traceback(&["bad_repo_id_cause"]);
        self.stderr("");
        self.traceback(&["serve", "client", "engine_client", "bad_repo_id"]);
    }

    /// EngineCore or its worker fails; the cause is printed long before the last line.
    async fn engine_failure(&self, fault: Fault) {
        let by_worker = |piece, error: &str| EngineFailure {
            worker: Some(tracebacks::piece(piece)),
            error: self.vars.fill(error),
            failed: "{'EngineCore': 1}",
        };
        let by_core =
            |error: &str| EngineFailure { worker: None, error: self.vars.fill(error), failed: "{}" };
        let failure = match fault {
            Fault::GpuMemoryHeld => by_worker("worker_device", HELD),
            Fault::DriverTooOld => by_worker("worker_cuda", OLD_DRIVER),
            Fault::CudaOom => {
                let text = format!("{LOAD_OOM} (original error: {CUDA_OOM})");
                self.log.vllm(Process::Worker, Level::Error, "gpu_model_runner.py:5141", &text);
                by_worker("worker_load", &format!("torch.OutOfMemoryError: {CUDA_OOM}"))
            }
            Fault::CorruptWeights => by_worker("worker_load", CORRUPT),
            Fault::KvCacheSpaceOom => by_core(CACHE_OVER_RAM),
            _ if self.vars.cache_tokens > 0 && self.vars.max_model_len > self.vars.cache_tokens => {
                by_core(CACHE_SHORT)
            }
            _ => by_core(NO_CACHE),
        };
        self.engine_fails(&failure).await;
    }

    async fn engine_fails(&self, failure: &EngineFailure) {
        let (piece, error) = match failure.worker {
            Some(traceback) => {
                let text = format!(
                    "WorkerProc failed to start.\nTraceback (most recent call last):\n{traceback}\n{}",
                    failure.error
                );
                self.log.vllm(Process::Worker, Level::Error, "multiproc_executor.py:953", &text);
                self.wait(900).await;
                ("executor_init", WORKER_GONE)
            }
            None => ("kv_cache_init", failure.error.as_str()),
        };
        let way = tracebacks::joined(&["core_init", piece]);
        self.log.vllm(
            Process::EngineCore,
            Level::Error,
            "core.py:1510",
            &format!("EngineCore failed to start.\nTraceback (most recent call last):\n{way}\n{error}"),
        );
        if failure.worker.is_none() {
            self.wait(3000).await;
            self.worker_died("None");
        }
        self.stderr(&format!("{}\n{way}\n{error}", tracebacks::piece("process_engine_core")));
        self.initialization_failed(failure.failed).await;
    }

    fn worker_died(&self, code: &str) {
        let text = format!(
            "Worker proc VllmWorker-0 died unexpectedly (exit code: {code}), shutting down executor."
        );
        self.log.vllm(Process::EngineCore, Level::Error, "multiproc_executor.py:315", &text);
        let text = "[shutdown] Executor: waiting for worker exit count=1";
        self.log.vllm(Process::EngineCore, Level::Info, "multiproc_executor.py:479", text);
    }

    /// The main process gives up: the last lines of every start that fails in the engine.
    async fn initialization_failed(&self, failed: &str) {
        self.wait(2300).await;
        self.traceback(&["serve", "client", "engine_client", "engine_start"]);
        self.stderr(&format!(
            "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {failed}"
        ));
        self.wait(2500).await;
        self.stderr("/usr/lib/python3.11/multiprocessing/resource_tracker.py:254: UserWarning: resource_tracker: There appear to be 1 leaked shared_memory objects to clean up at shutdown\n  warnings.warn('resource_tracker: There appear to be %d '");
    }

    /// EngineCore or Worker was killed while loading.
    pub async fn killed_while_loading(&self, worker: bool) {
        if worker {
            self.worker_died("-9");
            self.initialization_failed("{}").await;
        } else {
            self.initialization_failed("{'EngineCore': -9}").await;
        }
    }
}
