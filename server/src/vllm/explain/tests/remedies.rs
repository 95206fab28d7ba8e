//! What is offered, and what a parenthesis on the page says.

use super::{Explanation, fragments, of};
use app::model::{Advice, Change};

fn fragment(title: &str) -> Explanation {
    let all = fragments();
    let (_, _, text) = all.iter().find(|(_, t, _)| t == title).expect("it is there");
    of(text)
}

/// Subject, value and what is allowed.
fn told(title: &str) -> (String, String, String) {
    let facts = fragment(title).facts;
    let text = |fact: Option<String>| fact.unwrap_or_default();
    (text(facts.subject), text(facts.value), text(facts.allowed))
}

fn ways(title: &str) -> Vec<(Advice, Option<Change>)> {
    fragment(title).remedies.into_iter().map(|way| (way.advice, way.change)).collect()
}

fn argument(flag: &str, value: Option<&str>) -> Option<Change> {
    Some(Change::Argument { flag: flag.to_owned(), value: value.map(str::to_owned) })
}

#[test]
fn a_value_that_is_not_allowed_is_told_in_short_phrases() {
    let levels = "one of DEBUG, INFO, WARNING, ERROR, CRITICAL";
    for (title, subject, value, allowed) in [
        ("argparse, choice", "--dtype", "int8", "one of auto, bfloat16, float, float16, float32, half"),
        ("batched tokens", "--max-num-batched-tokens", "2048", "at least max_model_len (4096)"),
        ("share of memory, pydantic 0.8", "--gpu-memory-utilization", "1.5", "less than 1.0"),
        (
            "tool parser",
            "--tool-call-parser",
            "qwen",
            "one of granite, hermes, jamba, llama3_json, mistral, pythonic",
        ),
        ("config.json is no JSON", "config.json", "", "valid JSON"),
        ("format of the weights, vLLM 0.32", "--load-format", "gguf", ""),
        ("level of the log", "VLLM_LOGGING_LEVEL", "NONSENSE", levels),
        ("Ray is not there", "--distributed-executor-backend", "ray", "Ray is not installed"),
        ("fewer NUMA nodes than workers", "--tensor-parallel-size", "2", "at most 1"),
        (
            "several fields, one of them given",
            "--max-num-seqs",
            "0",
            "Input should be greater than or equal to 1",
        ),
        ("a number in the environment that is none", "", "lots", "a whole number"),
    ] {
        let want = (subject.to_owned(), value.to_owned(), allowed.to_owned());
        assert_eq!(told(title), want, "{title}");
    }
}

#[test]
fn more_workers_than_nodes_are_blamed_on_what_was_given() {
    let line = |args: &str| {
        format!(
            "(APIServer pid=5) INFO 11-22 17:08:29 [api_utils.py:286] non-default args: {{{args}}}
Traceback (most recent call last):
AssertionError: Not enough allowed NUMA nodes to bind threads of 4 local CPUWorkers. Allowed NUMA nodes are [0, 1]. Please try to bind threads manually or decrease DP/TP/PP.
"
        )
    };
    let found = of(&line("'model': '/m', 'pipeline_parallel_size': 4"));
    assert_eq!(found.facts.subject.as_deref(), Some("--pipeline-parallel-size"));
    assert_eq!(found.facts.allowed.as_deref(), Some("at most 2"));
    assert_eq!(found.remedy.and_then(|way| way.change), None);
    assert_eq!(of(&line("'model': '/m'")).facts.subject, None);
}

#[test]
fn foreign_code_is_never_allowed_by_a_click() {
    for title in ["trust in the model's code", "trust, pydantic, vLLM 0.10"] {
        assert_eq!(told(title).0, "--trust-remote-code");
        assert_eq!(ways(title), [(Advice::CorrectValue, None)], "{title}");
    }
    for (_, title, text) in fragments() {
        for way in of(&text).remedies {
            assert!(!format!("{:?}", way.change).contains("trust"), "{title}");
        }
    }
}

#[test]
fn a_folder_needs_no_token() {
    assert_eq!(told("no weights in the folder").0, "/models/half");
    assert_eq!(ways("no weights in the folder"), [(Advice::CheckModel, None)]);
}

#[test]
fn damaged_and_missing_files_are_named() {
    let title = "a part of the weights is missing, vLLM 0.32";
    assert_eq!(told(title).0, "/models/half/model-00002-of-00002.safetensors");
    assert_eq!(ways(title), [(Advice::DownloadAgain, None)]);
    assert_eq!(ways("config.json is no JSON")[0], (Advice::DownloadAgain, None));
}

#[test]
fn adapters_are_switched_on_by_their_flag() {
    let want = [(Advice::CheckAdapter, argument("--enable-lora", None))];
    assert_eq!(ways("adapters are not switched on"), want);
}

#[test]
fn on_a_cpu_a_share_or_a_cache_that_fits_comes_first() {
    let share = Change::Set { variable: "GPU_MEMORY_UTILIZATION".to_owned(), value: "0.84".to_owned() };
    let found = ways("CPU, more than is free at the start, vLLM 0.32");
    assert_eq!(found[0], (Advice::LowerMemoryShare, Some(share)));
    let found = ways("CPU, a cache that was asked for is larger than what is free");
    let cache = argument("--kv-cache-memory-bytes", Some("8589934592"));
    assert_eq!(found[0], (Advice::LowerMemoryShare, cache));
    let found = ways("vLLM 0.32, CPU build");
    assert_eq!(found[0], (Advice::LowerMemoryShare, None), "by what it was set is not told");
    let found = ways("CPU, the share is smaller than the weights");
    assert_eq!(found[0].0, Advice::RaiseMemoryShare);
}

#[test]
fn an_engine_that_ended_without_a_word_is_shown_by_the_line_that_says_so() {
    for (title, code) in [
        ("the engine was ended while it loaded, without a word, vLLM 0.32", None),
        ("a worker was ended while it loaded, vLLM 0.32", Some(1)),
        ("the engine was ended by a signal while it started", Some(-9)),
    ] {
        let found = fragment(title);
        assert_eq!(found.facts.code, code, "{title}");
        assert_eq!(found.evidence.len(), 1, "{title}");
        assert!(found.evidence[0].text.contains("Failed core proc(s)"), "{title}");
    }
}
