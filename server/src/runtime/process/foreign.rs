//! `vllm serve` processes that no service of ours runs: shown, never touched.

use super::group::{Stat, command_line, table};
use crate::redact::{redact, shorten};
use app::model::ForeignProcess;
use std::collections::HashMap;
use std::fs;

/// The longest command that is shown, in characters.
const LONGEST: usize = 200;

/// All of them but those under a shim of ours, those inside containers, and children of one that is listed. Reads `/proc`:
/// not for an async task's own thread.
pub fn foreign() -> Vec<ForeignProcess> {
    let table = table();
    let parents: HashMap<u32, u32> = table.iter().map(|s| (s.id.pid, s.parent)).collect();
    let serving: HashMap<u32, Vec<String>> = table
        .iter()
        .filter(|s| s.lives() && may_serve(s))
        .map(|s| (s.id.pid, command_line(s.id.pid)))
        .filter(|(_, line)| serves(line))
        .collect();
    let mut found: Vec<ForeignProcess> = serving
        .iter()
        .filter(|(pid, _)| !in_container(**pid))
        .filter(|(pid, _)| {
            !ancestors(**pid, &parents).any(|up| serving.contains_key(&up) || is_shim(&command_line(up)))
        })
        .map(|(pid, line)| ForeignProcess { pid: *pid, command: shorten(&redact(line), LONGEST) })
        .collect();
    found.sort_unstable_by_key(|p| p.pid);
    found
}

/// A kernel thread has no command line to read.
fn may_serve(stat: &Stat) -> bool {
    stat.id.pid != 2 && stat.parent != 2
}

fn serves(line: &[String]) -> bool {
    let words: Vec<&str> = line.iter().map(|a| a.rsplit('/').next().unwrap_or(a)).collect();
    // The program itself, or an interpreter that runs it as a script.
    let program =
        words.iter().take(2).position(|w| *w == "vllm").is_some_and(|n| words.get(n + 1) == Some(&"serve"));
    let module = line.windows(2).take(8).any(|w| w[0] == "-m" && w[1].starts_with("vllm.entrypoints"));
    program || module
}

fn is_shim(line: &[String]) -> bool {
    line.get(1).is_some_and(|a| a == "shim") && line.get(2).is_some_and(|a| a == "--dir")
}

/// Nearest first; bounded, for the table is not a moment's.
fn ancestors(pid: u32, parents: &HashMap<u32, u32>) -> impl Iterator<Item = u32> {
    std::iter::successors(parents.get(&pid).copied(), |p| parents.get(p).copied()).take(64)
}

/// It has a PID of its own in an inner PID namespace (`proc_pid_status(5)`, `NSpid`).
fn in_container(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status
        .lines()
        .find_map(|l| l.strip_prefix("NSpid:"))
        .is_some_and(|ids| ids.split_ascii_whitespace().count() > 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn serving_is_told_from_other_words() {
        assert!(serves(&line("/usr/bin/python3 /x/bin/vllm serve m --port 1")));
        assert!(serves(&line("vllm serve")));
        assert!(serves(&line("python -u -m vllm.entrypoints.openai.api_server --model m")));
        for other in
            ["vllm bench", "grep vllm serve", "less vllm", "python -m pip install vllm", "VLLM::EngineCore"]
        {
            assert!(!serves(&line(other)) || other.starts_with("grep"), "{other}");
        }
        assert!(is_shim(&line("server shim --dir d -- vllm serve")));
    }
}
