//! The same logs in the envelopes of others, coloured, broken by a terminal, several in one file.

use super::{fragments, id, of, word};
use crate::vllm::explain::Outcome;
use app::model::Cause;

/// Fragments of vLLM's own lines: Docker's and systemd's lines come in no envelope of a service.
fn programs_own() -> impl Iterator<Item = (String, String, String)> {
    fragments().into_iter().filter(|(_, title, text)| {
        ![
            "ocker", "ompose", "ernetes", "ystemd", "kernel", "shell", "prefix", "engine", "proxy",
            "runtime", "terminal", "toolkit", "library",
        ]
        .iter()
        .any(|w| title.contains(w))
            && !text.contains("###")
    })
}

fn each_line(text: &str, mut make: impl FnMut(usize, &str) -> String) -> String {
    text.lines().enumerate().map(|(i, line)| make(i, line) + "\n").collect()
}

fn assert_same(what: &str, make: impl Fn(usize, &str) -> String) {
    for (want, title, text) in programs_own() {
        let found = of(&each_line(&text, &make));
        assert_eq!(format!("{} {}", word(found.outcome), id(found.cause)), want, "{title}, {what}\n{found}");
    }
}

#[test]
fn composes_prefix_changes_nothing() {
    assert_same("compose", |_, line| format!("vllm-1  | {line}"));
    assert_same("old compose", |_, line| format!("my_vllm_1     | {line}"));
    assert_same("compose with times", |i, line| {
        format!("vllm-1  | 2025-11-22T12:00:{:02}.5Z {line}", i % 60)
    });
}

#[test]
fn journalds_prefix_changes_nothing() {
    assert_same("journald", |i, line| format!("Nov 22 12:00:{:02} host vllm[123]: {line}", i % 60));
    assert_same("short-iso", |i, line| {
        format!("2025-11-22T12:00:{:02}+0100 host python3[7]: {line}", i % 60)
    });
}

#[test]
fn kubernetes_and_dockers_times_change_nothing() {
    assert_same("kubectl", |i, line| format!("2025-11-22T12:00:{:02}.123456789Z {line}", i % 60));
    assert_same("CRI", |i, line| format!("2025-11-22T12:00:{:02}.1+00:00 stderr F {line}", i % 60));
    assert_same("kubectl --prefix", |_, line| format!("[pod/vllm-0/vllm] {line}"));
    assert_same("Docker's files", |i, line| {
        let log = serde_json::to_string(&format!("{line}\n")).expect("text");
        format!("{{\"log\":{log},\"stream\":\"stderr\",\"time\":\"2025-11-22T12:00:{:02}.1Z\"}}", i % 60)
    });
}

#[test]
fn colours_change_nothing() {
    let coloured = |line: &str| match line.split_once(") ") {
        Some((process, rest)) if line.starts_with('(') => format!("\x1b[0;36m{process})\x1b[0;0m {rest}"),
        _ => format!("\x1b[31m{line}\x1b[0m"),
    };
    assert_same("colours", |_, line| coloured(line));
    assert_same("colours without escape characters", |_, line| coloured(line).replace('\x1b', ""));
    assert_same("colours in caret form", |_, line| coloured(line).replace('\x1b', "^["));
}

#[test]
fn a_terminals_width_changes_nothing() {
    for width in [80, 100, 120, 173] {
        for (want, title, text) in programs_own() {
            let mut broken = String::new();
            for line in text.lines() {
                let chars: Vec<char> = line.chars().collect();
                for part in chars.chunks(width) {
                    broken.extend(part);
                    broken.push('\n');
                }
                if chars.is_empty() {
                    broken.push('\n');
                }
            }
            let found = of(&broken);
            let found_text = format!("{} {}", word(found.outcome), id(found.cause));
            assert_eq!(found_text, want, "{title}, {width} columns\n{found}\n{broken}");
        }
    }
}

#[test]
fn only_the_last_run_counts() {
    let failed = "INFO 11-22 10:00:00 [api_server.py:1043] vLLM API server version 0.8.5
INFO 11-22 10:00:20 [gpu_model_runner.py:1329] Starting to load model org/x...
ERROR 11-22 10:00:30 [core.py:396] EngineCore failed to start.
ERROR 11-22 10:00:30 [core.py:396] Traceback (most recent call last):
ERROR 11-22 10:00:30 [core.py:396] torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.
RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}
";
    let healthy = "INFO 11-22 11:00:00 [api_server.py:1043] vLLM API server version 0.8.5
INFO 11-22 11:00:20 [gpu_model_runner.py:1329] Starting to load model org/x...
INFO 11-22 11:01:20 [api_server.py:1090] Starting vLLM API server on http://0.0.0.0:8000
INFO:     Application startup complete.
";
    let flag = "usage: vllm serve [model_tag] [options]\nvllm serve: error: unrecognized arguments: --x\n";
    let killed = "vllm-1 exited with code 137\n";
    let found = of(&format!("{failed}{healthy}"));
    assert_eq!((found.outcome, found.cause), (Outcome::Ready, None));
    assert_eq!(found.phases.first().and_then(|p| p.at_s), Some(0.0), "times count from this run's beginning");
    let found = of(&format!("{healthy}{failed}"));
    assert_eq!(found.cause, Some(Cause::DoesNotFit));
    assert_eq!(found.evidence.first().map(|e| e.line), Some(9));
    assert_eq!(of(&format!("{failed}{flag}")).cause, Some(Cause::UnknownArgument));
    assert_eq!(of(&format!("{healthy}{killed}{failed}")).cause, Some(Cause::DoesNotFit));
    assert_eq!(of(&format!("{failed}{healthy}{killed}")).cause, Some(Cause::Killed));
    let begun = failed.lines().take(2).collect::<Vec<_>>().join("\n");
    let found = of(&format!("{failed}{begun}\n"));
    assert_eq!((found.outcome, found.cause), (Outcome::Incomplete, None));
    // Each restart prints its platform before the banner.
    let early = "INFO 11-22 10:59:50 [__init__.py:239] Automatically detected platform cuda.\n";
    assert_eq!(of(&format!("{failed}{early}{healthy}")).outcome, Outcome::Ready);
    assert_eq!(of(&format!("{failed}{early}")).outcome, Outcome::Incomplete);
}

#[test]
fn dockers_pull_and_composes_creation_are_phases() {
    let found = of("Unable to find image 'vllm/vllm-openai:latest' locally
latest: Pulling from vllm/vllm-openai
Status: Downloaded newer image for vllm/vllm-openai:latest
INFO 11-22 11:00:00 [__init__.py:239] Automatically detected platform cuda.
INFO 11-22 11:00:02 [api_server.py:1043] vLLM API server version 0.8.5
INFO:     Application startup complete.
");
    let phases: Vec<&str> = found.phases.iter().map(|p| p.phase.id()).collect();
    assert_eq!(phases, ["pull", "import", "config", "ready"]);
    assert_eq!(found.outcome, Outcome::Ready);
    let found = of(
        " Container vllm-1  Created\nAttaching to vllm-1\nvllm-1  | INFO 11-22 11:00:02 [api_server.py:1043] vLLM API server version 0.8.5\n",
    );
    let phases: Vec<&str> = found.phases.iter().map(|p| p.phase.id()).collect();
    assert_eq!(phases, ["create", "import", "config"]);
}
