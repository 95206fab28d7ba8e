//! Runs a check's command: in a process group of its own, for a limited time, with a bounded part of its output kept.

use super::Why;
use futures::FutureExt;
use futures::future::FusedFuture;
use rustix::process::{Pid, Signal, kill_process_group};
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};

/// How much of what it prints is kept.
const KEPT: usize = 300;
/// How long its output may stay open once it has ended: a child that it left behind may hold it.
const AFTER: Duration = Duration::from_millis(100);
/// The variables that it gets of ours: what a program needs to find its way. None of the dashboard's own, some are secrets.
const VARIABLES: [&str; 6] = ["PATH", "HOME", "USER", "LANG", "TZ", "XDG_RUNTIME_DIR"];

/// Kills the group when it is dropped before its leader was reaped: the number is the group's for so long.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // Gone already is what is wanted.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Runs the command.
pub(super) async fn run(words: &[String], limit: Duration) -> Result<(), Why> {
    let Some((program, arguments)) = words.split_first() else {
        return Err(Why::NotRun { program: String::new(), detail: "no program is named".to_owned() });
    };
    let not_run = |error: std::io::Error| Why::NotRun { program: program.clone(), detail: error.to_string() };
    #[expect(
        clippy::disallowed_methods,
        reason = "a check may be a command: words from the settings, no shell"
    )]
    let mut command = tokio::process::Command::new(program);
    let variables = VARIABLES.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
    let mut child = command
        .args(arguments)
        .env_clear()
        .envs(variables)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(not_run)?;
    let mut group = Group(child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?)));
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (mut said, mut complained) = (Vec::new(), Vec::new());
    let waited = {
        let both = async { tokio::join!(keep(stdout, &mut said), keep(stderr, &mut complained)) };
        let mut reading = std::pin::pin!(both.fuse());
        let ending = async {
            // Its output may end before it does, and the other way round.
            loop {
                tokio::select! {
                    status = child.wait() => return status,
                    _ = &mut reading, if !reading.is_terminated() => {}
                }
            }
        };
        let waited = tokio::time::timeout(limit, ending).await;
        if matches!(waited, Ok(Ok(_))) && !reading.is_terminated() {
            let _ = tokio::time::timeout(AFTER, reading).await;
        }
        waited
    };
    let status = match waited {
        Ok(Ok(status)) => {
            group.0 = None;
            status
        }
        Ok(Err(error)) => return Err(not_run(error)),
        Err(_) => {
            drop(group);
            let _ = tokio::time::timeout(AFTER, child.wait()).await;
            return Err(Why::Timeout { seconds: limit.as_secs() });
        }
    };
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(()),
        (Some(code), _) => {
            complained.extend_from_slice(&said);
            let text = String::from_utf8_lossy(&complained);
            Err(Why::Exited { code, said: text.trim().chars().take(KEPT).collect() })
        }
        (None, signal) => Err(Why::Killed { signal: signal.unwrap_or(0) }),
    }
}

/// Keeps the beginning of a pipe; the rest is read and dropped, so that nobody waits for room.
async fn keep(pipe: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut pipe) = pipe else { return };
    let mut piece = [0u8; 4096];
    while let Ok(count @ 1..) = pipe.read(&mut piece).await {
        let room = KEPT.saturating_sub(kept.len());
        kept.extend_from_slice(piece.get(..count.min(room)).unwrap_or_default());
    }
}
