//! How a shell, Compose, systemd or Kubernetes says that a process ended.

use super::judge::Exit;
use super::numbers::{after, integer};

/// Longer lines are no such notes.
const LONGEST: usize = 400;

/// What a line says about the end of the main process; `None` for other lines.
pub fn ends_process(text: &str) -> Option<Exit> {
    let hint = ["xit", "illed", "fault", "Aborted", "Bus error", "rc="].iter().any(|w| text.contains(w));
    if !hint || text.len() > LONGEST {
        return None;
    }
    shell(text.trim()).or_else(|| supervisor(text))
}

/// `Killed`, `./run.sh: line 28:     7 Killed                  vllm serve`, `Segmentation fault (core dumped)`.
fn shell(text: &str) -> Option<Exit> {
    const WORDS: [(&str, i32); 6] = [
        ("Killed", 9),
        ("Segmentation fault", 11),
        ("Bus error", 7),
        ("Aborted", 6),
        ("Illegal instruction", 4),
        ("Terminated", 15),
    ];
    let signal = |signal: i32| Exit { signal: Some(signal), ..Exit::default() };
    for (word, number) in WORDS {
        let alone =
            text.strip_prefix(word).is_some_and(|rest| rest.is_empty() || rest.starts_with(" (core dumped)"));
        let job = text.split_once(": line ").is_some_and(|(_, rest)| {
            let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
            let Some(rest) = rest.strip_prefix(':') else { return false };
            let rest = rest.trim_start_matches([' ', '\t']).trim_start_matches(|c: char| c.is_ascii_digit());
            rest.trim_start().starts_with(word)
        });
        if alone || job {
            return Some(signal(number));
        }
    }
    None
}

/// `vllm-1 exited with code 137`, `Main process exited, code=killed, status=9/KILL`, `Exit Code: 137`, `EXITED rc=-9`.
fn supervisor(text: &str) -> Option<Exit> {
    if let Some(rest) = after(text, "process exited, code=") {
        let (number, _) = after(rest, "status=").and_then(integer)?;
        let number = i32::try_from(number).ok()?;
        return Some(if rest.starts_with("exited") {
            Exit::of(i64::from(number))
        } else {
            Exit { signal: Some(number), ..Exit::default() }
        });
    }
    let small = text.to_ascii_lowercase();
    // A worker that died is not the server.
    if small.contains("worker") || small.contains("enginecore") || small.contains("engine core") {
        return None;
    }
    for anchor in [
        "exited with code ",
        "exited with exit code ",
        "terminated with exit code ",
        "exited rc=",
        "exit code: ",
        "exit status ",
        "exited (",
    ] {
        if let Some(rest) = after(&small, anchor) {
            let rest = rest.trim_start();
            let (rest, sign) = rest.strip_prefix('-').map_or((rest, 1), |r| (r, -1));
            let (code, tail) = integer(rest)?;
            if tail.starts_with(|c: char| c.is_ascii_alphanumeric()) {
                return None;
            }
            return Some(Exit::of(sign * i64::try_from(code).ok()?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_in_the_words_of_many_are_read() {
        let signal = |signal| Some(Exit { signal: Some(signal), ..Exit::default() });
        let code = |code| Some(Exit { code: Some(code), ..Exit::default() });
        for (text, want) in [
            ("Killed", signal(9)),
            ("./entrypoint.sh: line 28:     7 Killed                  vllm serve \"$@\"", signal(9)),
            ("bash: line 1:  4242 Segmentation fault      (core dumped) vllm serve x", signal(11)),
            ("Aborted (core dumped)", signal(6)),
            ("vllm-1 exited with code 137", signal(9)),
            ("vllm-1 exited with code 0", code(0)),
            ("vllm.service: Main process exited, code=killed, status=9/KILL", signal(9)),
            ("vllm.service: Main process exited, code=exited, status=1/FAILURE", code(1)),
            ("command terminated with exit code 137", signal(9)),
            ("      Exit Code:    143", signal(15)),
            ("###### EXITED rc=-9 after 0.12s", signal(9)),
            ("###### EXITED rc=1", code(1)),
            ("Worker proc VllmWorker-0 died unexpectedly (exit code: -9), shutting down executor.", None),
            ("Parent process exited, terminating worker queues", None),
            ("Killed by the scheduler", None),
            ("raise SystemExit(1)", None),
        ] {
            assert_eq!(ends_process(text), want, "{text}");
        }
    }
}
