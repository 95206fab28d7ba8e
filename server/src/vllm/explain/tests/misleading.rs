//! Logs that look like another cause than theirs.

use super::{id, of, verdict, word};
use crate::vllm::explain::Outcome;
use app::model::Cause;

const UP: &str = "(APIServer pid=1) INFO 11-22 12:00:00 [api_server.py:1839] vLLM API server version 0.11.0
(APIServer pid=1) INFO 11-22 12:00:00 [utils.py:233] non-default args: {'model': '/m', 'served_model_name': ['CUDA out of memory'], 'port': 9000}
(EngineCore_DP0 pid=60) INFO 11-22 12:00:20 [gpu_model_runner.py:2602] Starting to load model /m...
(APIServer pid=1) INFO 11-22 12:01:00 [api_server.py:1912] Starting vLLM API server 0 on http://0.0.0.0:9000
(APIServer pid=1) INFO:     Started server process [1]
(APIServer pid=1) INFO:     Waiting for application startup.
(APIServer pid=1) INFO:     Application startup complete.
";

fn up(more: &str) -> String {
    format!("{UP}{more}")
}

#[test]
fn a_prompt_about_memory_proves_nothing() {
    let asked = up("(APIServer pid=1) INFO 11-22 12:02:00 [logger.py:40] Received request chatcmpl-1: prompt: 'Why torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB?', params: SamplingParams(n=1)
(APIServer pid=1) INFO:     10.0.0.7:4000 - \"POST /v1/chat/completions?x=No+CUDA+GPUs+are+available HTTP/1.1\" 200 OK
");
    assert_eq!(verdict(&of(&asked)), (Outcome::Ready, None));
    // A prompt of several lines, as some front ends print it.
    let pasted = up("INFO 11-22 12:02:00 [logger.py:40] Received request chatcmpl-1: prompt: 'What is this?
Traceback (most recent call last):
  File \"/x.py\", line 1, in <module>
torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.
OSError: [Errno 98] Address already in use
', params: SamplingParams(n=1)
");
    assert_eq!(verdict(&of(&pasted)), (Outcome::Ready, None));
    let died = format!(
        "{pasted}(APIServer pid=1) ERROR 11-22 12:03:00 [core_client.py:564] Engine core proc EngineCore_DP0 died unexpectedly, shutting down client.\n"
    );
    assert_eq!(
        verdict(&of(&died)),
        (Outcome::Failed, Some(Cause::EngineDied)),
        "the death is real, its cause is not that"
    );
}

#[test]
fn a_request_that_fails_is_not_the_servers_end() {
    let text = up("ERROR:    Exception in ASGI application
Traceback (most recent call last):
  File \"/opt/uvicorn/protocols/http/httptools_impl.py\", line 409, in run_asgi
    result = await app(
ValueError: User-specified max_model_len (9) is greater than the derived max_model_len (max_position_embeddings=8)
(APIServer pid=1) ERROR 11-22 12:02:00 [serving_chat.py:200] Error in preprocessing prompt inputs
(APIServer pid=1) ERROR 11-22 12:02:00 [serving_chat.py:200] Traceback (most recent call last):
(APIServer pid=1) ERROR 11-22 12:02:00 [serving_chat.py:200] ValueError: This model's maximum context length is 512 tokens. However, you requested 600 tokens
(APIServer pid=1) INFO:     10.0.0.7:4000 - \"POST /v1/chat/completions HTTP/1.1\" 500 Internal Server Error
");
    assert_eq!(verdict(&of(&text)), (Outcome::Ready, None));
    let stopped = format!(
        "{text}(APIServer pid=1) INFO 11-22 12:05:00 [launcher.py:110] Shutting down FastAPI HTTP server.\n(APIServer pid=1) INFO:     Application shutdown complete.\n"
    );
    assert_eq!(verdict(&of(&stopped)), (Outcome::Stopped, None));
    let died = format!(
        "{text}(EngineCore_DP0 pid=60) ERROR 11-22 12:06:00 [core.py:710] EngineCore encountered a fatal error.\n"
    );
    assert_eq!(verdict(&of(&died)), (Outcome::Failed, Some(Cause::EngineDied)));
}

#[test]
fn an_error_of_an_earlier_run_is_not_this_runs() {
    let earlier = "(APIServer pid=1) INFO 11-22 11:00:00 [api_server.py:1839] vLLM API server version 0.11.0
(APIServer pid=1) Traceback (most recent call last):
(APIServer pid=1)   File \"/usr/local/bin/vllm\", line 10, in <module>
(APIServer pid=1) OSError: [Errno 98] Address already in use
";
    let now = "(APIServer pid=1) INFO 11-22 12:00:00 [api_server.py:1839] vLLM API server version 0.11.0
(EngineCore_DP0 pid=60) INFO 11-22 12:00:20 [gpu_model_runner.py:2602] Starting to load model /m...
(EngineCore_DP0 pid=60) ERROR 11-22 12:00:30 [core.py:708] EngineCore failed to start.
(EngineCore_DP0 pid=60) ERROR 11-22 12:00:30 [core.py:708] Traceback (most recent call last):
(EngineCore_DP0 pid=60) ERROR 11-22 12:00:30 [core.py:708] KeyError: 'model.embed'
(APIServer pid=1) RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}
";
    assert_eq!(verdict(&of(&format!("{earlier}{now}"))), (Outcome::Failed, Some(Cause::Unknown)));
    assert_eq!(verdict(&of(&format!("{earlier}{UP}"))), (Outcome::Ready, None));
}

#[test]
fn the_engines_death_before_the_shutdown_is_a_failure_after_it_is_not() {
    let died = "(EngineCore_DP0 pid=60) ERROR 11-22 12:02:00 [core.py:710] EngineCore encountered a fatal error.
(EngineCore_DP0 pid=60) ERROR 11-22 12:02:00 [core.py:710] Traceback (most recent call last):
(EngineCore_DP0 pid=60) ERROR 11-22 12:02:00 [core.py:710] RuntimeError: CUDA error: unspecified launch failure
";
    let down = "(APIServer pid=1) INFO 11-22 12:02:01 [launcher.py:110] Shutting down FastAPI HTTP server.
(APIServer pid=1) INFO:     Shutting down
(APIServer pid=1) INFO:     Application shutdown complete.
";
    let found = of(&up(&format!("{died}{down}")));
    assert_eq!(verdict(&found), (Outcome::Failed, Some(Cause::EngineDied)));
    assert!(
        found.evidence.iter().any(|e| e.text.contains("unspecified launch failure")),
        "the exception is shown"
    );
    assert_eq!(verdict(&of(&up(&format!("{down}{died}")))), (Outcome::Stopped, None));
}

#[test]
fn calm_lines_that_look_like_causes_prove_nothing() {
    let text = "(EngineCore pid=60) INFO 11-22 12:00:20 [gpu_worker.py:300] Free memory on device cuda:0 (7.50/79.19 GiB) on startup. Desired GPU memory utilization is (0.9, 71.27 GiB).
(EngineCore pid=60) INFO 11-22 12:00:20 [x.py:1] No CUDA GPUs are available
(APIServer pid=1) WARNING 11-22 12:00:20 [config.py:1] User-specified max_model_len (9000) is greater than the derived max_model_len (max_position_embeddings=8192)
(APIServer pid=1) WARNING 11-22 12:00:20 [system_utils.py:255] Found ulimit of 20000. This can cause fd limit errors like `OSError: [Errno 28] No space left on device`.
";
    assert_eq!(verdict(&of(text)), (Outcome::Incomplete, None));
}

#[test]
fn a_failure_that_was_survived_is_none() {
    let text = "(APIServer pid=1) INFO 11-22 12:00:00 [api_server.py:1839] vLLM API server version 0.11.0
'[Errno -2] Name or service not known' thrown while requesting HEAD https://huggingface.co/org/x/resolve/main/config.json
Retrying in 1s [Retry 1/5].
(APIServer pid=1) ERROR 11-22 12:00:10 [config.py:1] Traceback (most recent call last):
(APIServer pid=1) ERROR 11-22 12:00:10 [config.py:1] requests.exceptions.ConnectionError: HTTPSConnectionPool(host='huggingface.co', port=443): Max retries exceeded with url: /api
(EngineCore_DP0 pid=60) INFO 11-22 12:00:20 [gpu_model_runner.py:2602] Starting to load model org/x...
";
    assert_eq!(verdict(&of(text)), (Outcome::Incomplete, None));
    let oom = format!(
        "{text}(EngineCore_DP0 pid=60) ERROR 11-22 12:00:30 [core.py:708] Traceback (most recent call last):\n(EngineCore_DP0 pid=60) ERROR 11-22 12:00:30 [core.py:708] torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.\n"
    );
    assert_eq!(verdict(&of(&oom)), (Outcome::Failed, Some(Cause::DoesNotFit)));
}

#[test]
fn a_dead_worker_alone_is_no_proof_of_the_kernels_killer() {
    let text = "(EngineCore pid=60) INFO 11-22 12:00:20 [gpu_model_runner.py:2602] Starting to load model org/x...
(EngineCore pid=60) ERROR 11-22 12:00:30 [multiproc_executor.py:300] Worker proc VllmWorker-0 died unexpectedly (exit code: -9), shutting down executor.
(APIServer pid=1) RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}
";
    let found = of(text);
    assert_eq!(verdict(&found), (Outcome::Failed, Some(Cause::EngineDied)));
    assert_eq!(found.facts.code, Some(-9));
    let ray = "ray.exceptions.RayActorError: The actor died unexpectedly before finishing this task. There are some potential root causes. (1) The process is killed by SIGKILL by OOM killer due to high memory usage.\n";
    assert_ne!(of(ray).cause, Some(Cause::HostOutOfMemory));
}

#[test]
fn what_other_services_write_is_not_this_ones() {
    let text = "Nov 22 12:00:00 host vllm[123]: INFO:     Application startup complete.
Nov 22 12:10:41 host sshd[7]: error: Bind to port 22 on 0.0.0.0 failed: Address already in use.
";
    assert_eq!(verdict(&of(text)), (Outcome::Ready, None));
}

#[test]
fn nothing_and_noise_are_incomplete() {
    for text in ["", "\n", "\n\n\n", "hello\n", "ls\ntotal 0\n", "\u{FEFF}", "\0\0\0"] {
        let found = of(text);
        assert_eq!((word(found.outcome), id(found.cause)), ("incomplete", "-".to_owned()), "{text:?}");
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 96, ..Default::default() })]

    #[test]
    fn no_bytes_break_it(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..2000)) {
        match super::explain(bytes.as_slice()) {
            Ok(explanation) => drop(explanation.to_string()),
            Err(error) => proptest::prop_assert_eq!(error.kind(), std::io::ErrorKind::InvalidData),
        }
    }

    #[test]
    fn no_mixture_of_lines_breaks_it(picks in proptest::collection::vec((0_usize..2000, 0_usize..400), 0..60)) {
        let all = std::fs::read_to_string(format!("{}/fragments.txt", super::FOLDER)).expect("the file is there");
        let lines: Vec<&str> = all.lines().collect();
        let text: String = picks
            .iter()
            .map(|(line, cut)| {
                let line = lines[line % lines.len()];
                format!("{}\n", &line[..line.floor_char_boundary(line.len().saturating_sub(*cut / 4))])
            })
            .collect();
        let found = super::of(&text);
        proptest::prop_assert!(found.evidence.len() <= 10);
        proptest::prop_assert_eq!(found.cause.is_some(), found.outcome == Outcome::Failed);
    }
}
