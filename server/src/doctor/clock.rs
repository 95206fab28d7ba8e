//! The clock: logs, sessions and certificates are only as good as it is.

use super::Finding;
use app::model::Timestamp;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

/// No copy of this program is older: January 2026.
const EARLIEST_MS: i64 = 1_767_225_600_000;
/// What counts as a jump while it is watched, and as time that has not come yet.
const JUMP_MS: u64 = 100;
const FUTURE: Duration = Duration::from_secs(120);
/// How long it is watched.
const WATCHED: Duration = Duration::from_millis(200);

/// What can be told of the clock.
pub fn clock(state_dir: &Path) -> Option<Finding> {
    let (before, began) = (Timestamp::now(), Instant::now());
    std::thread::sleep(WATCHED);
    let (after, really) = (Timestamp::now(), began.elapsed());
    let written = ["services.db", "services.db-wal", "lock"]
        .iter()
        .filter_map(|name| std::fs::metadata(state_dir.join(name)).ok()?.modified().ok())
        .max();
    let ahead = written.and_then(|written| written.duration_since(SystemTime::now()).ok());
    Some(judge(before, after, really, ahead))
}

/// What the clock showed before and after, how long that really took, and how far ahead of it files were written.
fn judge(before: Timestamp, after: Timestamp, really: Duration, ahead: Option<Duration>) -> Finding {
    let check = "clock";
    let advice = "Set the clock, and keep it right by NTP (`timedatectl set-ntp true`).";
    if after.millis() < EARLIEST_MS {
        return Finding::error(check, format!("it is set to {after}, long ago"), advice);
    }
    let shown = after.millis() - before.millis();
    let real = i64::try_from(really.as_millis()).unwrap_or(i64::MAX);
    if shown.abs_diff(real) > JUMP_MS {
        let what = format!("it jumps: it went {shown} ms further within {real} ms");
        return Finding::warning(check, what, advice);
    }
    if let Some(ahead) = ahead.filter(|ahead| *ahead > FUTURE) {
        let what = format!(
            "it was set back: the state folder was written {} s later than it is now",
            ahead.as_secs()
        );
        return Finding::warning(check, what, advice);
    }
    Finding::ok(check, format!("it shows {after} and goes as it should"))
}

/// What the engine's clock shows beside ours.
pub fn beside(engine: Timestamp, ours: Timestamp) -> Finding {
    let skew = engine.millis().abs_diff(ours.millis());
    if skew > 5_000 {
        Finding::warning(
            "clock",
            format!("the engine's clock and this one differ by {} s", skew / 1000),
            "Keep both right by NTP: starts and lines of logs carry the engine's time.",
        )
    } else {
        Finding::ok("clock", format!("the engine's clock agrees within {} s", skew.div_ceil(1000)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    #[test]
    fn a_clock_is_judged_by_what_it_shows() {
        let now = Timestamp::from_millis(EARLIEST_MS + 1_000_000);
        let later = |ms| now.plus_millis(ms);
        let real = Duration::from_millis(200);
        assert_eq!(judge(now, later(205), real, None).level, Level::Ok);
        assert_eq!(judge(now, later(-5_000), real, None).level, Level::Warning);
        assert_eq!(judge(now, later(60_000), real, None).level, Level::Warning);
        assert_eq!(judge(now, later(200), real, Some(Duration::from_secs(60))).level, Level::Ok);
        assert_eq!(judge(now, later(200), real, Some(Duration::from_secs(9_000))).level, Level::Warning);
        let old = Timestamp::from_millis(1_000);
        assert_eq!(judge(old, old.plus_millis(200), real, None).level, Level::Error);
        assert_eq!(beside(now, later(4_000)).level, Level::Ok);
        assert_eq!(beside(later(60_000), now).level, Level::Warning);
    }
}
