//! Which phase of its start a vLLM is in, told by its log.
//!
//! Before it is ready vLLM answers nothing at all, so the log is the only witness. Its wordings change with every release:
//! they are matched loosely, old ones are kept, and a line that nobody knows means nothing.

use app::model::{Phase, PhaseProgress, Stream};

/// How much of a line is looked at: markers stand at its start, configurations follow them.
const HEAD: usize = 240;

/// Pieces of lines that mark a phase, from vLLM 0.6 to 0.32. The first that a line contains decides.
const MARKERS: [(&str, Phase); 52] = [
    // Lines that print settings come first: what they quote means nothing.
    ("non-default args: ", Phase::Config),
    ("args: Namespace(", Phase::Config),
    ("LLM engine (v", Phase::Config),
    ("vLLM API server version", Phase::Config),
    ("vLLM server version", Phase::Config),
    ("Resolved architecture: ", Phase::Config),
    ("Using max model len", Phase::Config),
    ("distributed_init_method=", Phase::Config),
    ("in world size ", Phase::Config),
    ("Downloading Model from ", Phase::Download),
    ("Starting to load model", Phase::Load),
    ("Time spent downloading weights", Phase::Load),
    ("Initializing model took", Phase::Load),
    ("Filesystem type for checkpoints", Phase::Load),
    ("checkpoint shards", Phase::Load),
    ("Loading weights took", Phase::Load),
    ("Model loading took", Phase::Load),
    ("Loading model weights took", Phase::Load),
    ("for vLLM's torch.compile", Phase::Compile),
    ("Starting torch.compile", Phase::Compile),
    ("Dynamo bytecode transform time", Phase::Compile),
    ("Cache the graph of ", Phase::Compile),
    ("Compiling a graph for", Phase::Compile),
    ("Directly load the compiled graph", Phase::Compile),
    ("Directly load AOT compilation", Phase::Compile),
    ("torch.compile took", Phase::Compile),
    ("torch.compile takes", Phase::Compile),
    ("Warming up model for the compilation", Phase::Compile),
    ("saved AOT compiled function", Phase::Compile),
    ("Available KV cache memory", Phase::KvCache),
    ("GiB for KV cache", Phase::KvCache),
    ("KV cache size: ", Phase::KvCache),
    ("Maximum concurrency for ", Phase::KvCache),
    ("Memory profiling takes", Phase::KvCache),
    ("Memory profiling results", Phase::KvCache),
    ("# GPU blocks: ", Phase::KvCache),
    ("# cuda blocks: ", Phase::KvCache),
    ("Overriding num_gpu_blocks", Phase::KvCache),
    // These two measure; the capture comes later.
    ("Profiling CUDA graph memory", Phase::KvCache),
    ("Estimated CUDA graph memory", Phase::KvCache),
    ("Capturing CUDA graph", Phase::Graphs),
    ("Capturing the model for CUDA graphs", Phase::Graphs),
    ("Graph capturing finished", Phase::Graphs),
    ("init engine (profile", Phase::Api),
    ("Supported tasks: ", Phase::Api),
    ("Supported_tasks: ", Phase::Api),
    ("Starting vLLM API server", Phase::Api),
    ("Starting vLLM server", Phase::Api),
    ("Available routes are", Phase::Api),
    ("Started server process [", Phase::Api),
    ("Waiting for application startup", Phase::Api),
    ("Application startup complete", Phase::Ready),
];

/// Follows one start. Begins at [`Phase::Import`], ends at [`Phase::Ready`], never goes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhaseTracker {
    phase: Phase,
    progress: Option<PhaseProgress>,
    /// What the weights weigh, in bytes.
    checkpoint: Option<u64>,
}

impl Default for PhaseTracker {
    fn default() -> Self {
        Self::new()
    }
}

impl PhaseTracker {
    /// Before the first line.
    pub const fn new() -> Self {
        Self { phase: Phase::Import, progress: None, checkpoint: None }
    }

    /// The phase and how far it is.
    pub const fn now(&self) -> (Phase, Option<PhaseProgress>) {
        (self.phase, self.progress)
    }

    /// Takes a line's text; returns phase and progress when either changed.
    pub fn line(&mut self, text: &str, _: Stream) -> Option<(Phase, Option<PhaseProgress>)> {
        if self.phase == Phase::Ready {
            return None;
        }
        let head = text.get(..text.floor_char_boundary(HEAD)).unwrap_or(text);
        let marker = MARKERS.iter().find(|(words, _)| head.contains(words));
        let phase = match marker {
            Some((_, phase)) => *phase,
            None if weights_bar(head) => Phase::Download,
            None => return None,
        };
        let mut progress =
            if matches!(phase, Phase::Load | Phase::Download | Phase::Graphs) { steps(text) } else { None };
        if phase == Phase::Load {
            self.checkpoint = self.checkpoint.or_else(|| checkpoint(text));
            if let Some(progress) = &mut progress {
                progress.bytes = self.checkpoint;
            }
        }
        self.advance(phase, progress)
    }

    /// Takes the text of a bar that is being redrawn.
    pub fn progress(&mut self, text: &str) -> Option<(Phase, Option<PhaseProgress>)> {
        self.line(text, Stream::Stderr)
    }

    fn advance(
        &mut self,
        phase: Phase,
        progress: Option<PhaseProgress>,
    ) -> Option<(Phase, Option<PhaseProgress>)> {
        if phase < self.phase {
            return None;
        }
        let next = if phase == self.phase { progress.or(self.progress) } else { progress };
        if phase == self.phase && next == self.progress {
            return None;
        }
        (self.phase, self.progress) = (phase, next);
        Some((phase, next))
    }
}

/// `Checkpoint size: 22.74 GiB.` in bytes (vLLM since 0.19, `weight_utils.py`). By digits: a figure that is not one is none.
fn checkpoint(text: &str) -> Option<u64> {
    let (figure, rest) = text.split_once("Checkpoint size: ")?.1.split_once(' ')?;
    let (whole, part) = figure.split_once('.').unwrap_or((figure, "0"));
    let hundredths: u64 = format!("{part:0<2}").get(..2)?.parse().ok()?;
    let unit: u64 = match rest.get(..3)? {
        "GiB" => 1 << 30,
        "MiB" => 1 << 20,
        "KiB" => 1 << 10,
        _ => return None,
    };
    let all = whole.parse::<u64>().ok()?.checked_mul(100)?.checked_add(hundredths)?;
    // A size that rounds to nothing says nothing.
    Some(all.checked_mul(unit)? / 100).filter(|bytes| *bytes > 0)
}

/// A bar of the hub's client over files of weights: `Fetching 5 files: …`, `model-00001-of-00005.safetensors: …`.
fn weights_bar(head: &str) -> bool {
    let file = [".safetensors:", ".bin:", ".gguf:", ".pt:"].iter().any(|end| head.contains(end));
    (head.contains("Fetching ") && head.contains(" files:") || file) && head.contains("%|")
}

/// The `n/m` of a tqdm bar: the last one that ` [` follows.
fn steps(text: &str) -> Option<PhaseProgress> {
    text.rmatch_indices('/').find_map(|(at, _)| {
        let (before, after) = (text.get(..at)?, text.get(at + 1..)?);
        let digits = |c: &char| c.is_ascii_digit();
        let done_at = before.len() - before.chars().rev().take_while(digits).count();
        let total_to = after.chars().take_while(digits).count();
        let (done, total) = (before.get(done_at..)?.parse().ok()?, after.get(..total_to)?.parse().ok()?);
        (after.get(total_to..)?.starts_with(" [") && done <= total && total > 0).then_some(PhaseProgress {
            done,
            total,
            bytes: None,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use Phase::{Api, Compile, Config, Download, Graphs, KvCache, Load, Ready};

    const fn of(done: u32, total: u32) -> Option<PhaseProgress> {
        Some(PhaseProgress { done, total, bytes: None })
    }

    fn changes(lines: &[&str]) -> Vec<(Phase, Option<PhaseProgress>)> {
        let mut tracker = PhaseTracker::new();
        lines.iter().filter_map(|line| tracker.line(line, Stream::Stdout)).collect()
    }

    /// vLLM 0.32.0 on a CPU, cold, as recorded.
    #[test]
    fn a_recorded_start_goes_through_its_phases_in_order() {
        let lines = [
            "Triton is installed, but doesn't include CPU backend. Disabling Triton.",
            "[api_utils.py:347]  ▄▄ ▄█ █     █     █ ▀▄▀ █  version 0.32.0",
            "[api_utils.py:286] non-default args: {'model_tag': '/models/tiny', 'port': 11434, 'served_model_name': ['Starting to load model']}",
            "[model.py:733] Resolved architecture: Qwen2ForCausalLM",
            "[core.py:133] Initializing a V1 LLM engine (v0.32.0) with config: model='/models/tiny', speculative_config=None",
            "[parallel_state.py:1906] world_size=1 rank=0 local_rank=0 distributed_init_method=file:///run/vllm/x backend=gloo",
            "[cpu_model_runner.py:68] Starting to load model /models/tiny...",
            "[base_loader.py:82] Initializing model took 0.225347 seconds",
            "[weight_utils.py:1108] Filesystem type for checkpoints: EXT4. Checkpoint size: 0.00 GiB. Available RAM: 21.24 GiB.",
            "Loading safetensors checkpoint shards:   0% Completed | 0/5 [00:00<?, ?it/s]",
            "Loading safetensors checkpoint shards:  40% Completed | 2/5 [00:00<00:00, 393.50it/s]",
            "Loading safetensors checkpoint shards: 100% Completed | 5/5 [00:00<00:00, 393.50it/s]",
            "",
            "[default_loader.py:501] Loading weights took 0.00 seconds",
            "[utils.py:347] Using LBHNC KV cache layout.",
            "[cpu_model_runner.py:87] Warming up model for the compilation...",
            "[decorators.py:743] [backbone] saved AOT compiled function to /home/vllm/.cache/vllm/model",
            "[cpu_model_runner.py:91] Warming up done.",
            "[cpu_worker.py:260] Explicitly set (1.0/13.21) GiB for KV cache on node 0.",
            "[kv_cache_utils.py:2327] CPU KV cache size: 2,097,152 tokens, Maximum concurrency for 512 tokens per request: 4096.00x",
            "[core.py:402] init engine (profile, create kv cache, warmup model) took 35.18 s",
            "[vllm.py:1727] Inductor compilation was disabled by user settings",
            "[entry.py:136] Supported tasks: ['generate']",
            "Started server process [13642]",
            "Waiting for application startup.",
            "Application startup complete.",
            "127.0.0.1:52018 - \"GET /health HTTP/1.1\" 200 OK",
            "[cpu_model_runner.py:68] Starting to load model again",
        ];
        let want = [
            (Config, None),
            (Load, None),
            (Load, of(0, 5)),
            (Load, of(2, 5)),
            (Load, of(5, 5)),
            (Compile, None),
            (KvCache, None),
            (Api, None),
            (Ready, None),
        ];
        assert_eq!(changes(&lines), want);
    }

    /// vLLM 0.8 to 0.11 on a GPU, from the wordings of its releases.
    #[test]
    fn an_older_start_on_a_gpu_does_too() {
        let lines = [
            "[api_server.py:1043] vLLM API server version 0.8.5",
            "[api_server.py:1044] args: Namespace(host='0.0.0.0', port=8000, model='x')",
            "Fetching 4 files:  25%|██▌       | 1/4 [00:10<00:30, 10.0s/it]",
            "[gpu_model_runner.py:1329] Starting to load model x...",
            "Loading safetensors checkpoint shards:  50% Completed | 2/4 [00:01<00:01,  1.60it/s]",
            "[gpu_model_runner.py:1347] Model loading took 14.2 GiB and 3.1 seconds",
            "[backends.py:420] Using cache directory: /root/.cache/vllm for vLLM's torch.compile",
            "[monitor.py:33] torch.compile takes 54.73 s in total",
            "[kv_cache_utils.py:634] GPU KV cache size: 188,640 tokens",
            "[kv_cache_utils.py:637] Maximum concurrency for 131,072 tokens per request: 1.44x",
            "Capturing CUDA graph shapes:  49%|████▉     | 33/67 [00:11<00:11,  2.96it/s]",
            "Capturing CUDA graph shapes: 100%|██████████| 67/67 [00:22<00:00,  2.96it/s]",
            "[gpu_model_runner.py:1686] Graph capturing finished in 23 secs, took 0.52 GiB",
            "[core.py:159] init engine (profile, create kv cache, warmup model) took 82.78 seconds",
            "[api_server.py:1090] Starting vLLM API server on http://0.0.0.0:8000",
            "Application startup complete.",
        ];
        let want = [
            (Config, None),
            (Download, of(1, 4)),
            (Load, None),
            (Load, of(2, 4)),
            (Compile, None),
            (KvCache, None),
            (Graphs, of(33, 67)),
            (Graphs, of(67, 67)),
            (Api, None),
            (Ready, None),
        ];
        assert_eq!(changes(&lines), want);
    }

    #[test]
    fn what_the_weights_weigh_is_told_with_their_steps() {
        let mut tracker = PhaseTracker::new();
        let size = "[weight_utils.py:1108] Filesystem type for checkpoints: EXT4. Checkpoint size: 22.74 GiB. Available RAM: 109.77 GiB.";
        tracker.line(size, Stream::Stdout);
        let bar = "Loading safetensors checkpoint shards:  40% Completed | 2/5 [00:00<00:00, 393.50it/s]";
        let bytes = 2_274 * (1_u64 << 30) / 100;
        let want = PhaseProgress { done: 2, total: 5, bytes: Some(bytes) };
        assert_eq!(tracker.line(bar, Stream::Stderr), Some((Load, Some(want))));
        for odd in [
            "Checkpoint size: x GiB",
            "Checkpoint size: 1",
            "Checkpoint size: 99999999999999999999 GiB",
            "Checkpoint size: 1.é GiB",
        ] {
            assert_eq!(checkpoint(odd), None, "{odd}");
        }
        assert_eq!(checkpoint("Checkpoint size: 5 MiB."), Some(5 << 20));
    }

    #[test]
    fn measuring_graph_memory_is_not_yet_capturing() {
        let lines = [
            "[gpu_model_runner.py:6582] Profiling CUDA graph memory: PIECEWISE=51 (largest=512)",
            "[gpu_worker.py:700] Estimated CUDA graph memory: 0.44 GiB total",
            "[gpu_worker.py:760] Available KV cache memory: 37.99 GiB",
        ];
        assert_eq!(changes(&lines), [(KvCache, None)]);
    }

    #[test]
    fn a_bar_that_is_redrawn_counts_as_it_goes() {
        let mut tracker = PhaseTracker::new();
        let bar = |n| {
            format!(
                "Capturing CUDA graphs (mixed prefill-decode, PIECEWISE):  {n}%|█▉| {n}/51 [00:01<00:04, 8.1it/s]"
            )
        };
        assert_eq!(tracker.progress(&bar(0)), Some((Graphs, of(0, 51))));
        assert_eq!(tracker.progress(&bar(7)), Some((Graphs, of(7, 51))));
        assert_eq!(tracker.progress(&bar(7)), None, "nothing new");
        assert_eq!(tracker.progress("Capturing CUDA graphs (decode, FULL):   0%|"), None, "half a bar");
        assert_eq!(tracker.now(), (Graphs, of(7, 51)));
    }

    proptest::proptest! {
        #[test]
        fn no_order_of_lines_goes_back(picks in proptest::collection::vec(0..MARKERS.len(), 0..40)) {
            let mut tracker = PhaseTracker::new();
            let mut before = Phase::Import;
            for pick in picks {
                tracker.line(&format!("[a.py:1] {} 1/2 [", MARKERS[pick].0), Stream::Stderr);
                proptest::prop_assert!(tracker.now().0 >= before);
                before = tracker.now().0;
            }
        }
    }
}
