//! A point in time as the wire carries it: RFC 3339, UTC, milliseconds.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use std::fmt;

/// Milliseconds since 1970-01-01T00:00:00Z. Written as `2026-11-22T12:00:00.000Z`.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

const DAY_MS: i64 = 86_400_000;

impl Timestamp {
    /// From milliseconds since the Unix epoch.
    pub const fn from_millis(ms: i64) -> Self {
        Self(ms)
    }

    /// From nanoseconds since the Unix epoch, rounded down.
    pub const fn from_nanos(ns: i64) -> Self {
        Self(ns.div_euclid(1_000_000))
    }

    /// Milliseconds since the Unix epoch.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Milliseconds from `earlier` to `self`; zero when the clock went backwards.
    pub const fn since(self, earlier: Self) -> u64 {
        let d = self.0.saturating_sub(earlier.0);
        if d < 0 { 0 } else { d as u64 }
    }

    /// Milliseconds between the two, whichever is earlier. A clock that was set back leaves moments of its future behind: what
    /// holds for a while must not hold until that future comes.
    pub const fn apart(self, other: Self) -> u64 {
        self.0.abs_diff(other.0)
    }

    /// This moment shifted by `ms`.
    pub const fn plus_millis(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// The server's clock now.
    #[cfg(feature = "ssr")]
    pub fn now() -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(now.as_millis()).unwrap_or(i64::MAX))
    }

    /// Reads `YYYY-MM-DDThh:mm:ss[.fraction](Z|±hh:mm)` into nanoseconds since the Unix epoch (RFC 3339, and what the
    /// Docker engine prints). `None` for anything else.
    pub fn parse_nanos(text: &str) -> Option<i64> {
        let b = text.as_bytes();
        let num = |from: usize, to: usize| -> Option<i64> {
            let mut n = 0_i64;
            for c in b.get(from..to)? {
                n = n * 10 + i64::from(c.is_ascii_digit().then(|| c - b'0')?);
            }
            Some(n)
        };
        if b.len() < 20
            || b[4] != b'-'
            || b[7] != b'-'
            || !matches!(b[10], b'T' | b't' | b' ')
            || b[13] != b':'
            || b[16] != b':'
        {
            return None;
        }
        let (year, month, day) = (num(0, 4)?, num(5, 7)?, num(8, 10)?);
        let (hour, minute, second) = (num(11, 13)?, num(14, 16)?, num(17, 19)?);
        if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        let mut at = 19;
        let mut nanos = 0_i64;
        if b[at] == b'.' {
            at += 1;
            let mut scale = 100_000_000_i64;
            while let Some(c) = b.get(at).filter(|c| c.is_ascii_digit()) {
                nanos += i64::from(c - b'0') * scale;
                scale /= 10;
                at += 1;
            }
        }
        let offset_minutes = match b.get(at)? {
            b'Z' | b'z' if at + 1 == b.len() => 0,
            sign @ (b'+' | b'-') if at + 6 == b.len() && b[at + 3] == b':' => {
                let minutes = num(at + 1, at + 3)? * 60 + num(at + 4, at + 6)?;
                if *sign == b'-' { -minutes } else { minutes }
            }
            _ => return None,
        };
        let seconds = days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second
            - offset_minutes * 60;
        seconds.checked_mul(1_000_000_000)?.checked_add(nanos)
    }

    /// Reads RFC 3339; see [`Timestamp::parse_nanos`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::parse_nanos(text).map(Self::from_nanos)
    }
}

/// Days since 1970-01-01 of a proleptic Gregorian date (the era method: years begin in March).
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let year_of_era = y.rem_euclid(400);
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The inverse of [`days_from_civil`].
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let mp = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil_from_days(self.0.div_euclid(DAY_MS));
        let ms = self.0.rem_euclid(DAY_MS);
        let (h, m, s) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}.{:03}Z", ms % 1000)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::parse(&text)
            .ok_or_else(|| D::Error::custom("a time must be RFC 3339, such as 2026-11-22T12:00:00.000Z"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_and_reads_the_same_moment() {
        for ms in [0, 1, -1, 951_782_400_000, 1_795_348_800_123, 4_102_444_799_999] {
            let t = Timestamp::from_millis(ms);
            assert_eq!(Timestamp::parse(&t.to_string()), Some(t), "{t}");
        }
        assert_eq!(Timestamp::from_millis(951_782_400_000).to_string(), "2000-02-29T00:00:00.000Z");
    }

    #[test]
    fn reads_what_docker_prints() {
        assert_eq!(Timestamp::parse_nanos("2026-11-22T12:00:00.123456789Z"), Some(1_795_348_800_123_456_789));
        assert_eq!(
            Timestamp::parse("2026-11-22T14:00:00+02:00"),
            Some(Timestamp::from_millis(1_795_348_800_000))
        );
        assert_eq!(
            Timestamp::parse("0001-01-01T00:00:00Z").map(|t| t.millis() < 0),
            None,
            "out of range in nanoseconds"
        );
    }

    #[test]
    fn refuses_what_is_not_a_time() {
        for text in [
            "",
            "yesterday",
            "2026-13-01T00:00:00Z",
            "2026-11-22T12:00:00",
            "2026-11-22T12:00:00.Zx",
            "\u{1F600}2026-11-22T12:00:00Z",
        ] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
    }
}
