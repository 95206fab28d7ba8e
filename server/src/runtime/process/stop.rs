//! Signals an instance, and nobody else.

use super::folder::InstanceFile;
use super::group::Identity;
use super::look::{lives, living};
use super::{LIMIT, blocking};
use crate::runtime::{RuntimeError, StopSignal};
use app::model::FailureKind;
use rustix::process::Signal;
use std::path::Path;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long the killed may take to be gone.
const KILLED: Duration = Duration::from_secs(5);
/// How long remnants are asked before they are killed.
const PATIENCE: Duration = Duration::from_secs(3);
const STEP: Duration = Duration::from_millis(20);

/// Sends the signal: `Terminate` to the main process, `Kill` to all until none is left.
pub(super) async fn signal(
    dir: &Path,
    run: &Path,
    file: &InstanceFile,
    signal: StopSignal,
) -> Result<(), RuntimeError> {
    match signal {
        StopSignal::Terminate if lives(file, file.main) => send(file.main, Signal::TERM),
        StopSignal::Terminate => Ok(()),
        StopSignal::Kill => until_gone(dir, run, file, Signal::KILL, KILLED).await,
    }
}

/// Ends what a dead main process left behind: asked first, then killed.
pub(super) async fn end_members(dir: &Path, run: &Path, file: &InstanceFile) -> Result<(), RuntimeError> {
    if until_gone(dir, run, file, Signal::TERM, PATIENCE).await.is_ok() {
        return Ok(());
    }
    until_gone(dir, run, file, Signal::KILL, KILLED).await
}

/// Signals each member once as it is seen (a kill again and again) until none is left.
async fn until_gone(
    dir: &Path,
    run: &Path,
    file: &InstanceFile,
    signal: Signal,
    limit: Duration,
) -> Result<(), RuntimeError> {
    let until = Instant::now() + limit;
    let mut told: Vec<Identity> = Vec::new();
    let mut refusal = None;
    loop {
        let (place, known) = (run.to_owned(), file.clone());
        let members = blocking(dir, LIMIT, move || Ok(living(&place, &known))).await?;
        if members.is_empty() {
            return Ok(());
        }
        for member in members {
            if signal == Signal::KILL || !told.contains(&member.id) {
                // One that refuses must not save the others.
                refusal = send(member.id, signal).err();
                told.push(member.id);
            }
        }
        if Instant::now() >= until {
            return Err(refusal.unwrap_or(RuntimeError::Refused(FailureKind::WontStop)));
        }
        sleep(STEP).await;
    }
}

fn send(to: Identity, signal: Signal) -> Result<(), RuntimeError> {
    match to.signal(signal) {
        Ok(_) => Ok(()),
        Err(error) => {
            let detail = format!("PID {}: {error}", to.pid);
            Err(RuntimeError::Refused(FailureKind::Refused { action: "stop".into(), detail }))
        }
    }
}
