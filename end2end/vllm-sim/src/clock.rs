//! Dates as vLLM prints them, in UTC (the image holds no time zones), and identifiers that look random.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Time since the Unix epoch; zero if the clock stands before it.
pub fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// `MM-DD HH:MM:SS` of now, vLLM's log date.
pub fn log_date() -> String {
    format_log_date(since_epoch().as_secs())
}

fn format_log_date(unix_seconds: u64) -> String {
    let (month, day) = month_and_day(unix_seconds / 86_400);
    let second = unix_seconds % 86_400;
    format!("{month:02}-{day:02} {:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60)
}

/// Howard Hinnant's `civil_from_days`, for dates after 1970.
fn month_and_day(days_since_1970: u64) -> (u64, u64) {
    let z = days_since_1970 + 719_468;
    let day_of_era = z % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (month, day)
}

/// A number that differs from call to call and from process to process (splitmix64).
pub fn arbitrary() -> u64 {
    static STATE: AtomicU64 = AtomicU64::new(0);
    if STATE.load(Ordering::Relaxed) == 0 {
        let nanos = u64::try_from(since_epoch().as_nanos() & u128::from(u64::MAX)).unwrap_or(1);
        STATE.store(nanos ^ (u64::from(std::process::id()) << 32), Ordering::Relaxed);
    }
    let mut z = STATE.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(format_log_date(1_795_350_433), "11-22 12:27:13");
        assert_eq!(format_log_date(951_782_399), "02-28 23:59:59");
        assert_eq!(format_log_date(951_782_400), "02-29 00:00:00");
        assert_eq!(format_log_date(1_735_689_599), "12-31 23:59:59");
    }
}
