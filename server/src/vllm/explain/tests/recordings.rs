//! Recorded runs of vLLM 0.32.0, byte for byte.

use super::{FOLDER, id, word};
use crate::logs::{Cleaner, Splitter};
use crate::vllm::explain::{Explanation, explain};
use crate::vllm::phases::PhaseTracker;
use app::model::Stream;
use std::fs;
use std::io::{BufReader, Read};

/// Name, outcome, cause, phases.
const RUNS: [(&str, &str, &str, &str); 17] = [
    ("f_bad_flag", "failed", "unknown-argument", "import"),
    ("f_bad_model_path", "failed", "model-not-found", "import config"),
    ("f_bad_repo_id_online", "failed", "hub-unreachable", "import config"),
    ("f_gpu_mem_util_1.5", "failed", "invalid-value", "import config"),
    ("f_kv_cache_too_small", "failed", "kv-cache-too-small", "import config load kv-cache"),
    ("f_max_model_len_too_large", "failed", "max-length-too-large", "import config"),
    ("f_port_in_use", "failed", "port-in-use", "import config"),
    // Killed while ready: its own log cannot know that.
    ("f_sigkill_main_when_ready", "ready", "-", "import config load kv-cache api ready"),
    // One SIGTERM while the engine loads is swallowed.
    ("f_sigterm_engine_init", "ready", "-", "import config load kv-cache api ready"),
    ("start_sh_full_warm", "stopped", "-", "import config load compile kv-cache api ready"),
    ("t1_first_start", "stopped", "-", "import config load compile kv-cache api ready"),
    ("t2_pty_warmcache_logrequests", "stopped", "-", "import config load compile kv-cache api ready"),
    ("t4_debug_sigterm_inflight", "stopped", "-", "import config load kv-cache api ready"),
    ("t4_drain_shutdown_timeout_30", "stopped", "-", "import config load kv-cache api ready"),
    ("t5_devmode_apikey_module", "stopped", "-", "import config load kv-cache api ready"),
    ("t8_json_kill9_enginecore", "failed", "engine-died", "import config load kv-cache api ready"),
    ("t8_sigterm_during_load_x2_then_ready", "stopped", "-", "import config load kv-cache"),
];

fn bytes(name: &str) -> Option<Vec<u8>> {
    fs::read(format!("{FOLDER}/{name}")).ok()
}

/// Standard output, and behind it standard error.
fn one_after_the_other(name: &str) -> Vec<u8> {
    bytes(&format!("{name}.pty")).unwrap_or_else(|| {
        let mut all = bytes(&format!("{name}.stdout")).unwrap_or_default();
        all.extend(bytes(&format!("{name}.stderr")).expect("every recording has one"));
        all
    })
}

/// The lines as they came.
fn in_order(name: &str) -> Option<Vec<u8>> {
    let order = String::from_utf8(bytes(&format!("{name}.order"))?).expect("text");
    let (out, err) = (bytes(&format!("{name}.stdout"))?, bytes(&format!("{name}.stderr"))?);
    let lines = |bytes: Vec<u8>| -> Vec<Vec<u8>> {
        bytes.split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec).collect()
    };
    let mut pipes = [lines(out).into_iter(), lines(err).into_iter()];
    let mut all = Vec::new();
    for part in order.split_whitespace() {
        let (pipe, count) = part.split_at(1);
        for _ in 0..count.parse::<usize>().expect("a count") {
            all.extend(pipes[usize::from(pipe == "e")].next().expect("as many lines as counted"));
        }
    }
    assert!(pipes.iter_mut().all(|p| p.next().is_none()), "{name}: all lines are in their places");
    Some(all)
}

fn read(bytes: &[u8]) -> Explanation {
    explain(bytes).expect("memory can be read")
}

fn summary(found: &Explanation) -> (String, String) {
    let phases: Vec<&str> = found.phases.iter().map(|p| p.phase.id()).collect();
    (format!("{} {}", word(found.outcome), id(found.cause)), phases.join(" "))
}

#[test]
fn every_recording_ends_in_its_outcome_cause_and_phases() {
    for (name, outcome, cause, phases) in RUNS {
        let want = (format!("{outcome} {cause}"), phases.to_owned());
        assert_eq!(summary(&read(&one_after_the_other(name))), want, "{name}, one pipe after the other");
        if let Some(merged) = in_order(name) {
            assert_eq!(summary(&read(&merged)), want, "{name}, as it came");
        }
    }
}

/// Hands out a few bytes at a time.
struct Drops<'a> {
    rest: &'a [u8],
    sizes: std::iter::Cycle<std::slice::Iter<'a, usize>>,
}

impl Read for Drops<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let size = (*self.sizes.next().unwrap_or(&1)).min(self.rest.len()).min(into.len());
        let (now, later) = self.rest.split_at(size);
        into[..size].copy_from_slice(now);
        self.rest = later;
        Ok(size)
    }
}

#[test]
fn where_the_chunks_are_cut_changes_nothing() {
    for (name, ..) in RUNS {
        let whole = in_order(name).unwrap_or_else(|| one_after_the_other(name));
        let want = read(&whole);
        for sizes in [&[1_usize][..], &[2, 3, 5, 7, 11, 13], &[4096, 1, 777]] {
            let drops = Drops { rest: &whole, sizes: sizes.iter().cycle() };
            let found = explain(BufReader::with_capacity(8192, drops)).expect("memory can be read");
            assert_eq!(found, want, "{name} in pieces of {sizes:?}");
        }
    }
}

#[test]
fn a_start_that_is_cut_off_anywhere_is_never_called_failed() {
    let whole = in_order("t1_first_start").expect("it has two pipes");
    let asked = whole.windows(21).position(|w| w == b"[shutdown] API server").expect("it was stopped");
    for end in (0..asked).step_by(97) {
        let found = read(&whole[..end]);
        assert!(found.cause.is_none(), "cut at {end}: {found}");
        assert_ne!(word(found.outcome), "failed");
        assert_ne!(word(found.outcome), "stopped");
    }
}

#[test]
fn a_failure_that_is_cut_off_claims_no_other_cause() {
    for (name, outcome, cause, _) in RUNS {
        let whole = in_order(name).unwrap_or_else(|| one_after_the_other(name));
        for end in (0..whole.len()).step_by(211) {
            let found = id(read(&whole[..end]).cause);
            // The half of a sentence about a length still is about a value.
            let found = if found == "invalid-value" && cause == "max-length-too-large" {
                cause.to_owned()
            } else {
                found
            };
            let fair = found == "-" || found == "unknown" || outcome == "failed" && found == cause;
            assert!(fair, "{name} cut at {end}: {found}");
        }
    }
}

#[test]
fn phases_have_the_times_of_the_log() {
    let found = read(&one_after_the_other("t1_first_start"));
    let times: Vec<(Option<f64>, Option<f64>)> = found.phases.iter().map(|p| (p.at_s, p.took_s)).collect();
    let at = |s: f64| Some(s);
    let want = [
        (at(0.0), at(0.0)),
        (at(0.0), at(20.0)),
        (at(20.0), at(1.0)),
        (at(21.0), at(32.0)),
        (at(53.0), at(4.0)),
        (at(57.0), None),
        // uvicorn's lines bear no time.
        (None, None),
    ];
    assert_eq!(times, want);
    let json = read(&one_after_the_other("t8_json_kill9_enginecore"));
    assert!(json.phases.iter().all(|p| p.at_s.is_some()), "each line of a JSON log has a time");
}

#[test]
fn the_live_tracker_sees_the_same_phases() {
    for (name, _, _, phases) in RUNS {
        let whole = in_order(name).unwrap_or_else(|| one_after_the_other(name));
        let (mut splitter, mut cleaner, mut tracker) =
            (Splitter::default(), Cleaner::default(), PhaseTracker::new());
        let mut seen = vec!["import"];
        splitter.push(0, &whole, |raw| {
            let (text, _) = cleaner.clean(raw.bytes);
            if let Some((now, _)) = tracker.line(text, Stream::Stdout)
                && seen.last() != Some(&now.id())
            {
                seen.push(now.id());
            }
        });
        assert_eq!(seen.join(" "), phases, "{name}");
    }
}

#[test]
fn the_json_has_the_promised_form() {
    let found = read(&one_after_the_other("f_max_model_len_too_large"));
    let json = serde_json::to_value(&found).expect("plain data");
    assert_eq!(json["outcome"], "failed");
    assert_eq!(json["cause"], "max-length-too-large");
    assert!(json["evidence"][0]["line"].is_u64() && json["evidence"][0]["text"].is_string());
    assert_eq!(json["phases"][1]["phase"], "config");
    assert_eq!(json["phases"][1]["at_s"], 0.0);
    assert!(json["phases"][1]["took_s"].is_null());
    assert_eq!(json["remedy"]["advice"], "shorten-context");
    assert_eq!(json["remedy"]["change"]["change"], "argument");
    assert_eq!(json["remedy"]["change"]["value"], "2048");
    let ready =
        serde_json::to_value(read(&one_after_the_other("f_sigterm_engine_init"))).expect("plain data");
    assert!(ready["cause"].is_null() && ready["remedy"].is_null());
    assert_eq!(ready["evidence"].as_array().map(Vec::len), Some(0));
}
