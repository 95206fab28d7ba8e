//! Starts a service: a folder for this start, a shim in it, and its answer.

use super::folder::{
    LAUNCH, LaunchFile, SHIM_ERR, START_LOCK, make_private, open_private, run_path, runs, write,
};
use super::group::Identity;
use super::look::{away, look};
use super::shim::Answer;
use super::stop::end_members;
use super::{LIMIT, Mode, ProcessRuntime, ProcessSettings, blocking};
use crate::runtime::{Launch, RuntimeError};
use app::model::FailureKind;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Stdio};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::time::{Instant, sleep, timeout};

/// How long the shim may take to answer.
const ANSWER: Duration = Duration::from_secs(10);
/// How long another start may hold the lock, and the shim before may take to end what its command left behind.
const TURN: Duration = Duration::from_secs(15);
const STEP: Duration = Duration::from_millis(50);
/// The longest answer, in bytes.
const LONGEST: u64 = 16 * 1024;

/// Variables of the dashboard that are nobody else's; so is everything that begins with [`OWN_PREFIXES`].
const OWN: [&str; 16] = [
    "VLLM_API_URL",
    "VLLM_MODEL_NAME",
    "VLLM_MODEL",
    "VLLM_RUNTIME",
    "VLLM_IMAGE",
    "VLLM_CONTAINER",
    "VLLM_API_KEY",
    "VLLM_SMOKE_TEST",
    "VLLM_START_SILENCE_S",
    "GPU_MEMORY_UTILIZATION",
    // systemd's words to the dashboard's own unit.
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    "LISTEN_PID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
];
const OWN_PREFIXES: [&str; 2] = ["SERVICES_", "LEPTOS_"];

/// Starts the service unless it runs.
pub(super) async fn start(runtime: &ProcessRuntime, launch: &Launch) -> Result<(), RuntimeError> {
    let settings = &runtime.settings;
    let dir = settings.dir.clone();
    if let Some(missing) = &launch.missing {
        return Err(RuntimeError::Refused(missing.clone()));
    }
    let Some(program) = launch.program.clone() else { return Err(refused("the launch names no program")) };
    let _turn = timeout(TURN, runtime.starting.lock())
        .await
        .map_err(|_| refused("another start is still under way"))?;
    let _lock = lock(&dir).await?;
    let Some(newest) = ready(&dir).await? else { return Ok(()) };

    let shim = prepare(settings, launch, &program, newest + 1).await?;
    let Shim { run, child, stdin, stdout } = shim;
    runtime.adopt(child);
    let answer = timeout(ANSWER, read_answer(stdout)).await;
    match answer {
        Ok(Some(Answer::Started)) => {
            tracing::info!(service = %settings.service, program, "started");
            if settings.mode == Mode::Demo {
                runtime.hold(stdin);
            }
            Ok(())
        }
        Ok(other) => {
            let _ = blocking(&dir, LIMIT, move || fs::remove_dir_all(&run).map_err(|e| away(&run, &e))).await;
            match other {
                // Somebody else's start came first.
                Some(Answer::Busy) => match ready(&dir).await? {
                    None => Ok(()),
                    Some(_) => Err(refused("another shim of this service is in the way")),
                },
                Some(Answer::Missing) => {
                    Err(RuntimeError::Refused(FailureKind::CommandMissing { command: program }))
                }
                Some(Answer::Refused { detail }) => Err(refused(&detail)),
                Some(Answer::Started) | None => Err(refused("the shim ended without an answer")),
            }
        }
        // It may still come up; then it will be seen.
        Err(_) => Err(refused(&format!("the shim did not answer within {} s", ANSWER.as_secs()))),
    }
}

fn refused(detail: &str) -> RuntimeError {
    RuntimeError::Refused(FailureKind::Refused { action: "start".into(), detail: detail.into() })
}

/// Waits for the right to start something here; other dashboards on the same folder included.
async fn lock(dir: &Path) -> Result<File, RuntimeError> {
    let at = dir.to_owned();
    let file = blocking(dir, LIMIT, move || {
        make_private(&at).map_err(|e| away(&at, &e))?;
        open_private(&at.join(START_LOCK)).map_err(|e| away(&at, &e))
    })
    .await?;
    let until = Instant::now() + TURN;
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(Errno::WOULDBLOCK | Errno::INTR) if Instant::now() < until => sleep(STEP).await,
            Err(error) => return Err(refused(&format!("{START_LOCK}: {error}"))),
        }
    }
}

/// The number of the newest start once nothing of it is left; `None` when it runs.
async fn ready(dir: &Path) -> Result<Option<u64>, RuntimeError> {
    let until = Instant::now() + TURN;
    loop {
        let at = dir.to_owned();
        let (newest, seen) = blocking(dir, LIMIT, move || {
            let newest = runs(&at).map_err(|e| away(&at, &e))?.last().map_or(0, |(n, _)| *n);
            Ok((newest, look(&at)?))
        })
        .await?;
        let Some(seen) = seen else { return Ok(Some(newest)) };
        if seen.runs() {
            return Ok(None);
        }
        if !seen.shim_lives {
            if !seen.members.is_empty() {
                // Its shim was killed: nobody else will end them, and they hold what the new start needs.
                end_members(dir, &seen.run, &seen.file).await?;
            }
            return Ok(Some(newest));
        }
        if Instant::now() >= until {
            return Err(RuntimeError::Refused(FailureKind::WontStop));
        }
        // The shim is ending what its command left behind.
        sleep(STEP).await;
    }
}

struct Shim {
    run: PathBuf,
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: pipe::Receiver,
}

/// Makes the folder of this start, removes those before the last one, and starts the shim.
async fn prepare(
    settings: &ProcessSettings,
    launch: &Launch,
    program: &str,
    number: u64,
) -> Result<Shim, RuntimeError> {
    let (settings, launch, program) = (settings.clone(), launch.clone(), program.to_owned());
    let dir = settings.dir.clone();
    let (run, mut child) = blocking(&dir.clone(), LIMIT, move || {
        let failed = |at: &Path, e: std::io::Error| refused(&format!("{}: {e}", at.display()));
        tidy(&dir).map_err(|e| failed(&dir, e))?;
        let run = run_path(&dir, number);
        make_private(&run).map_err(|e| failed(&run, e))?;
        write(&run, LAUNCH, &LaunchFile { host_port: launch.host_port }).map_err(|e| failed(&run, e))?;
        let child = spawn(&settings, &launch, &program, &run).map_err(|e| refused(&format!("shim: {e}")))?;
        Ok((run, child))
    })
    .await?;
    let stdin = child.stdin.take();
    let stdout = child.stdout.take().ok_or_else(|| refused("the shim has no output"))?;
    let stdout = pipe::Receiver::from_owned_fd(stdout.into()).map_err(|e| refused(&format!("shim: {e}")))?;
    Ok(Shim { run, child, stdin, stdout })
}

/// Removes all starts but the last one that became an instance.
fn tidy(dir: &Path) -> std::io::Result<()> {
    let all = runs(dir)?;
    let kept = all.iter().rev().find(|(_, run)| run.join(super::folder::INSTANCE).exists()).map(|(n, _)| *n);
    for (number, run) in all {
        if Some(number) != kept {
            fs::remove_dir_all(run)?;
        }
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "the one place where a shim is started")]
fn spawn(settings: &ProcessSettings, launch: &Launch, program: &str, run: &Path) -> std::io::Result<Child> {
    let mut command = std::process::Command::new(&settings.exe);
    command.arg("shim").arg("--dir").arg(run);
    let demo = settings.mode == Mode::Demo;
    if demo {
        command.arg("--die-with-parent");
    }
    command.arg("--log-bytes").arg(settings.log_bytes.to_string());
    command.arg("--").arg(program).args(&launch.args).args(&launch.extras);
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_own(name)) {
        command.env_remove(name);
    }
    command.envs(&launch.env);
    match launch.gpus.as_slice() {
        [one] if one == "all" => command.env_remove("CUDA_VISIBLE_DEVICES"),
        // Empty: none.
        these => command.env("CUDA_VISIBLE_DEVICES", these.join(",")),
    };
    command
        .stdin(if demo { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(open_private(&run.join(SHIM_ERR))?)
        .spawn()
}

fn is_own(name: &OsStr) -> bool {
    name.to_str().is_some_and(|n| OWN.contains(&n) || OWN_PREFIXES.iter().any(|p| n.starts_with(p)))
}

/// The shim's one line; `None` when it ended without.
async fn read_answer(stdout: pipe::Receiver) -> Option<Answer> {
    let mut text = String::new();
    stdout.take(LONGEST).read_to_string(&mut text).await.ok()?;
    serde_json::from_str(text.trim()).ok()
}

/// Reaps a shim when it ends; while it lives this costs nothing.
pub(super) async fn reap(mut child: Child) {
    if let Some(who) = Identity::of(child.id()) {
        super::notify::ended(who).await;
    }
    loop {
        match child.try_wait() {
            Ok(None) => sleep(STEP).await,
            Ok(Some(_)) => return,
            Err(error) => return tracing::warn!(%error, "a shim could not be reaped"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_variables_are_told_from_the_engines() {
        for own in
            ["SERVICES_ADDR", "VLLM_API_KEY", "VLLM_MODEL", "GPU_MEMORY_UTILIZATION", "LEPTOS_SITE_ROOT"]
        {
            assert!(is_own(OsStr::new(own)), "{own}");
        }
        for other in
            ["VLLM_LOGGING_LEVEL", "VLLM_MODEL_REDIRECT_PATH", "CUDA_VISIBLE_DEVICES", "HF_TOKEN", "PATH"]
        {
            assert!(!is_own(OsStr::new(other)), "{other}");
        }
    }
}
