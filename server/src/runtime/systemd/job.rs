//! Starting a unit: a start job is queued, and what becomes of it is waited for.

use super::bus::{Failed, refused};
use super::unit::{Active, Facts, MainEnd};
use super::watch::{Change, Changes};
use super::{RuntimeError, SystemdRuntime};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use zbus::zvariant::OwnedObjectPath;

/// How long a job may be waited for. What takes longer (`Type=notify`, a long `ExecStartPre=`) is on its way all the same.
const LIMIT: Duration = Duration::from_secs(60);
/// How often, while a job is waited for, it is asked whether the unit is on its way already.
const STEP: Duration = Duration::from_secs(1);

impl SystemdRuntime {
    /// Starts the unit; does nothing when it runs already. Ready when its processes run or its start is under way; an
    /// instance that ended by itself meanwhile is for the next look to tell.
    pub(super) async fn start_now(&self) -> Result<(), RuntimeError> {
        let _one_at_a_time = self.starting.lock().await;
        let error = |failed: Failed| failed.into_error("start");
        // Before the job is queued, so that its end is not missed.
        let mut changes = Changes::open(&self.bus, &self.unit).await.map_err(error)?;
        let (before, _) = self.facts().await.map_err(error)?;
        if before.active == Active::Up && before.job.is_none() {
            return Ok(());
        }
        if before.active == Active::Failed {
            // Else systemd's own limit of starts, which is meant for loops, would refuse the person who asks. Where this
            // is not allowed, starting is not either, and says so.
            let _ = self.bus.manager::<_, ()>("ResetFailedUnit", &self.unit.as_str()).await;
        }
        let queued: OwnedObjectPath =
            self.bus.manager("StartUnit", &(self.unit.as_str(), "replace")).await.map_err(error)?;
        let end = Instant::now() + LIMIT;
        let result = loop {
            let step = (Instant::now() + STEP).min(end);
            match timeout_at(step, changes.next()).await {
                Ok(Some(Change::JobRemoved(job, result))) if job == queued.as_str() => break Some(result),
                Ok(Some(Change::Gone) | None) => break None,
                Ok(Some(_)) => continue,
                Err(_) => {}
            }
            let (now, _) = self.facts().await.map_err(error)?;
            if now.active == Active::Up && now.invocation != before.invocation {
                return Ok(());
            }
            if Instant::now() >= end {
                return Err(refused(
                    "start",
                    format!("its start job has waited for {} s; systemd goes on with it", LIMIT.as_secs()),
                ));
            }
        };
        match result.as_deref() {
            Some("done") => Ok(()),
            // The bus broke: whether it was started is for the next look to tell.
            None => Err(RuntimeError::Away(self.bus.why_away().await)),
            Some(word) => {
                let (after, _) = self.facts().await.map_err(error)?;
                if ran(&before, &after) { Ok(()) } else { Err(refused("start", detail(word, &after))) }
            }
        }
    }
}

/// A process of this start ran and ended by itself: its log and its exit code say more than the job's result.
fn ran(before: &Facts, after: &Facts) -> bool {
    // 200 to 243 are systemd's own words for a program that it could not run: `systemd.exec(5)`.
    let own_words = matches!(after.main_end, MainEnd::Exited(200..=243));
    after.invocation != before.invocation && after.main_end != MainEnd::None && !own_words
}

/// systemd's words, with what they mean.
fn detail(word: &str, after: &Facts) -> String {
    let meaning = match word {
        "timeout" => "it did not become ready in its own time limit",
        "dependency" => "another unit that it needs could not be started",
        "canceled" => "its start was replaced by another job",
        "assert" => "one of its Assert…= conditions does not hold",
        "skipped" => "one of its conditions does not hold",
        "unsupported" => "this machine cannot run this kind of unit",
        "failed" => "it could not be started",
        _ => "it was not started",
    };
    let mut text = format!("{word}: {meaning}");
    if !matches!(after.result.as_str(), "" | "success") {
        text.push_str(&format!(" (result {})", after.result));
    }
    if let MainEnd::Exited(status @ 200..=243) = after.main_end {
        text.push_str(&format!("; systemd could not run its program: status {status}, see systemd.exec(5)"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::systemd::unit::Load;

    fn facts(invocation: &str, main_end: MainEnd, result: &str) -> Facts {
        Facts {
            load: Load::There,
            active: Active::Failed,
            invocation: invocation.into(),
            main_pid: 0,
            main_start_us: 0,
            main_exit_us: 0,
            main_end,
            begun_us: 0,
            changed_us: 0,
            result: result.into(),
            restarts_after_success: false,
            job: None,
        }
    }

    #[test]
    fn a_program_that_ran_and_failed_tells_its_own_story() {
        let before = facts("a", MainEnd::None, "success");
        assert!(ran(&before, &facts("b", MainEnd::Exited(3), "exit-code")));
        assert!(!ran(&before, &facts("b", MainEnd::Exited(203), "exit-code")));
        assert!(!ran(&before, &facts("b", MainEnd::None, "timeout")));
        assert!(!ran(&before, &facts("a", MainEnd::Exited(3), "exit-code")), "that was the start before");
    }

    #[test]
    fn a_refusal_carries_systemds_word_its_meaning_and_the_result() {
        assert_eq!(
            detail("dependency", &facts("", MainEnd::None, "success")),
            "dependency: another unit that it needs could not be started"
        );
        let could_not_run = detail("failed", &facts("b", MainEnd::Exited(203), "exit-code"));
        assert!(
            could_not_run.contains("result exit-code") && could_not_run.contains("203"),
            "{could_not_run}"
        );
    }
}
