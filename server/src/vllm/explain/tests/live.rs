//! The explainer as a running service feeds it.

use crate::logs::{Cleaner, Continuation, Splitter, Text};
use crate::vllm::explain::{End, Explainer};
use crate::vllm::grammar;
use app::model::{Advice, Cause, Change, Diagnosis, Remedy, Stream};

fn fed(text: &str) -> Explainer {
    let mut explainer = Explainer::new();
    let (mut splitter, mut cleaner) = (Splitter::default(), Cleaner::default());
    let (mut before, mut n) = (Continuation::default(), 0);
    splitter.push(0, text.as_bytes(), |raw| {
        n += 1;
        let (line, _) = cleaner.clean(raw.bytes);
        let found = grammar::classify(Stream::Stderr, line, before);
        before = found.next;
        match &found.text {
            Text::Part(part) => {
                explainer.line(n, found.level, &found.source, &line[part.clone()], Stream::Stderr);
            }
            Text::Own(own) => explainer.line(n, found.level, &found.source, own, Stream::Stderr),
        }
    });
    explainer
}

const READY: &str = "INFO:     Application startup complete.\n";

fn diagnosed(text: &str, end: End) -> Diagnosis {
    fed(text).diagnose(&end)
}

#[test]
fn an_exit_that_nobody_asked_for_is_explained_by_how_it_ended() {
    let code = |code| End { code: Some(code), ..End::default() };
    let signal = |signal| End { signal: Some(signal), was_ready: true, ..End::default() };
    let found = diagnosed(READY, signal(9));
    assert_eq!((found.cause, found.facts.code), (Cause::Killed, Some(9)));
    assert_eq!(diagnosed(READY, code(137)).cause, Cause::Killed);
    assert_eq!(diagnosed("", code(143)).cause, Cause::Killed);
    assert_eq!(diagnosed(READY, signal(11)).cause, Cause::EngineDied, "nobody outside sends SIGSEGV");
    let killed = End { code: Some(137), host_oom: true, ..End::default() };
    assert_eq!(diagnosed(READY, killed).cause, Cause::HostOutOfMemory);
    let found = diagnosed("one\ntwo\n", code(1));
    assert_eq!(found.cause, Cause::Unknown);
    assert_eq!(found.evidence.iter().map(|e| e.text.as_str()).collect::<Vec<_>>(), ["one", "two"]);
    assert_eq!(found.remedies, [Remedy { advice: Advice::ReadLines, change: None }]);
}

#[test]
fn what_every_start_prints_is_no_evidence() {
    let chatter = "Triton is installed, but doesn't include CPU backend. Disabling Triton.
With `vllm serve`, you should provide the model as a positional argument or in a config file instead of via the `--model` option. The `--model` option will be removed in a future version.
/usr/lib/python3.11/multiprocessing/resource_tracker.py:254: UserWarning: resource_tracker: There appear to be 1 leaked shared_memory objects to clean up at shutdown
  warnings.warn('resource_tracker: There appear to be %d '
/opt/torch/x.py:7: FutureWarning: this will go away
(EngineCore pid=50) INFO 07-28 10:00:00 [core.py:1454] [shutdown] EngineCore: start mode=abort timeout=0s
";
    let found = diagnosed(chatter, End { code: Some(1), ..End::default() });
    assert_eq!((found.cause, found.evidence), (Cause::Unknown, Vec::new()));
    let found = diagnosed(&format!("{chatter}one\n{chatter}"), End { code: Some(1), ..End::default() });
    assert_eq!(found.evidence.iter().map(|e| e.text.as_str()).collect::<Vec<_>>(), ["one"]);
    let text = format!("{chatter}{READY}{chatter}");
    let found = diagnosed(&text, End { signal: Some(9), was_ready: true, ..End::default() });
    assert_eq!((found.cause, found.evidence), (Cause::Killed, Vec::new()));
}

#[test]
fn code_zero_can_be_a_crash() {
    let text = format!(
        "{READY}(APIServer pid=1) WARNING 11-22 12:00:00 [core_client.py:700] [shutdown] MPClient: engine core exited unexpectedly; starting cleanup\nINFO:     Shutting down\n"
    );
    let found = diagnosed(&text, End { code: Some(0), was_ready: true, ..End::default() });
    assert_eq!(found.cause, Cause::EngineDied);
    assert!(found.evidence[0].text.contains("exited unexpectedly"));
}

#[test]
fn an_error_explains_more_than_the_signal_that_followed() {
    let text = "(EngineCore pid=9) ERROR 11-22 12:00:00 [core.py:1] Traceback (most recent call last):
(EngineCore pid=9) ERROR 11-22 12:00:00 [core.py:1] ValueError: Free memory on device cuda:0 (40.0/80.0 GiB) on startup is less than desired GPU memory utilization (0.9, 72.0 GiB). Decrease GPU memory utilization or reduce GPU memory used by other processes.
";
    let found = diagnosed(text, End { signal: Some(9), ..End::default() });
    assert_eq!(found.cause, Cause::MemoryHeldByOthers);
    let share = Change::Set { variable: "GPU_MEMORY_UTILIZATION".to_owned(), value: "0.49".to_owned() };
    assert_eq!(found.remedies[1], Remedy { advice: Advice::LowerMemoryShare, change: Some(share) });
    assert_eq!(found.evidence[0].line, 2);
}

#[test]
fn the_cache_tells_which_length_and_which_share_would_do() {
    let text = "(APIServer pid=1) INFO 11-22 12:00:00 [utils.py:233] non-default args: {'model': '/m', 'gpu_memory_utilization': 0.8}
(EngineCore pid=9) INFO 11-22 12:00:00 [gpu_worker.py:1] Free memory on device cuda:0 (79.0/80.0 GiB) on startup. Desired GPU memory utilization is (0.8, 64.0 GiB).
(EngineCore pid=9) ERROR 11-22 12:00:00 [core.py:1] Traceback (most recent call last):
(EngineCore pid=9) ERROR 11-22 12:00:00 [core.py:1] ValueError: To serve at least one request with the model's max seq len (32768), 8.0 GiB KV cache is needed, which is larger than the available KV cache memory (4.0 GiB). Based on the available memory, the estimated maximum model length is 16384.
";
    let found = diagnosed(text, End { code: Some(1), ..End::default() });
    assert_eq!(found.cause, Cause::KvCacheTooSmall);
    let changes: Vec<&Change> = found.remedies.iter().filter_map(|r| r.change.as_ref()).collect();
    let length = Change::Argument { flag: "--max-model-len".to_owned(), value: Some("16384".to_owned()) };
    let share = Change::Set { variable: "GPU_MEMORY_UTILIZATION".to_owned(), value: "0.86".to_owned() };
    assert_eq!(changes, [&length, &share]);
}

#[test]
fn a_process_that_is_ours_holds_nothing_that_others_hold() {
    let text = "Traceback (most recent call last):
torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 80.00 GiB of which 1.00 GiB is free. Process 77 has 40.00 GiB memory in use. Including non-PyTorch memory, this process has 38.00 GiB memory in use. Of the allocated memory 37.00 GiB is allocated by PyTorch, and 60.94 MiB is reserved by PyTorch but unallocated.
";
    let mut explainer = fed(text);
    let end = End { code: Some(1), ..End::default() };
    assert_eq!(explainer.diagnose(&end).cause, Cause::MemoryHeldByOthers);
    explainer.own_process(77);
    assert_eq!(explainer.diagnose(&end).cause, Cause::DoesNotFit);
}

#[test]
fn what_is_held_does_not_grow_with_the_log() {
    let mut explainer = Explainer::new();
    for n in 0..200_000_u64 {
        let text =
            format!("[a{}.py:{}] ValueError: line {n} {}", n % 97, n % 89, "x".repeat((n % 300) as usize));
        explainer.line(n, app::model::Level::Error, "Worker", &text, Stream::Stdout);
    }
    assert!(format!("{explainer:?}").len() < 400_000);
}

/// Prints what a line costs; run with `--release -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn what_a_line_costs() {
    let lines = [
        (
            "info",
            app::model::Level::Info,
            "[loggers.py:123] Engine 000: Avg prompt throughput: 123.4 tokens/s, Avg generation throughput: 456.7 tokens/s, Running: 12 reqs, Waiting: 0 reqs, GPU KV cache usage: 12.3%, Prefix cache hit rate: 45.6%",
        ),
        (
            "access",
            app::model::Level::Info,
            "127.0.0.1:52018 - \"POST /v1/chat/completions HTTP/1.1\" 200 OK",
        ),
        (
            "plain",
            app::model::Level::Other,
            "some program printed a line of no level with about one hundred characters in it, as programs do it at times",
        ),
        (
            "error",
            app::model::Level::Error,
            "[serving_chat.py:200] Error in preprocessing prompt inputs: something was wrong with the request of the client",
        ),
    ];
    for (name, level, text) in lines {
        let mut explainer = Explainer::new();
        let began = std::time::Instant::now();
        let count = 400_000_u64;
        for n in 0..count {
            explainer.line(n, level, "APIServer", text, Stream::Stdout);
        }
        println!("{name}: {} ns a line", began.elapsed().as_nanos() / u128::from(count));
    }
}
