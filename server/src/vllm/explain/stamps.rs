//! Times that stand in logs, in seconds from some fixed moment of their own clock.

use crate::logs::shaped;

const DAY: f64 = 86_400.0;

/// Days from 1970-01-01 in the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let shifted = (month + 9) % 12;
    let of_year = (153 * shifted + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn number(text: &str, from: usize, to: usize) -> Option<i64> {
    text.get(from..to)?.trim_start().parse().ok()
}

/// `12:00:00`, with a fraction or without: seconds and what follows.
fn clock(text: &str) -> Option<(f64, &str)> {
    shaped(text, "00:00:00")?;
    let seconds = number(text, 0, 2)? * 3600 + number(text, 3, 5)? * 60 + number(text, 6, 8)?;
    let rest = text.get(8..)?;
    let Some(digits) = rest.strip_prefix(['.', ',']) else { return Some((seconds as f64, rest)) };
    let count = digits.bytes().take_while(u8::is_ascii_digit).count();
    if count == 0 || count > 12 {
        return Some((seconds as f64, rest));
    }
    let part: f64 = digits.get(..count)?.parse().ok()?;
    Some((seconds as f64 + part / 10_f64.powi(count as i32), digits.get(count..)?))
}

/// `Z`, ` UTC`, `+01:00`, `-0500`: seconds east of UTC, and what follows.
fn zone(text: &str) -> (f64, &str) {
    if let Some(rest) = text.strip_prefix('Z').or_else(|| text.strip_prefix(" UTC")) {
        return (0.0, rest);
    }
    let spaced = text.strip_prefix(' ').unwrap_or(text);
    let sign = match spaced.bytes().next() {
        Some(b'+') => 1.0,
        Some(b'-') => -1.0,
        _ => return (0.0, text),
    };
    let digits = spaced.get(1..).unwrap_or_default();
    for (shape, minutes) in [("00:00", 3), ("0000", 2)] {
        if let Some(rest) = shaped(digits, shape)
            && let (Some(h), Some(m)) = (number(digits, 0, 2), number(digits, minutes, minutes + 2))
        {
            return (sign * (h * 3600 + m * 60) as f64, rest);
        }
    }
    (0.0, text)
}

/// `2025-11-22T12:00:00.123Z`, `2025-11-22 12:00:00,123`, `2025/11/22 12:00:00 +0100`: the time and what follows.
pub fn iso(text: &str) -> Option<(f64, &str)> {
    let dated = ["0000-00-00T", "0000-00-00 ", "0000/00/00 "].iter().find_map(|shape| shaped(text, shape))?;
    let (seconds, rest) = clock(dated)?;
    let (east, rest) = zone(rest);
    let (year, month, day) = (number(text, 0, 4)?, number(text, 5, 7)?, number(text, 8, 10)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    Some((days(year, month, day) as f64 * DAY + seconds - east, rest))
}

/// `Nov 22 12:00:00`, as syslog and journald print it: no year. The time and what follows.
pub fn syslog(text: &str) -> Option<(f64, &str)> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = MONTHS.iter().position(|m| text.starts_with(m))? as i64 + 1;
    let day = number(text, 4, 6)?;
    if text.get(3..4) != Some(" ") || text.get(6..7) != Some(" ") {
        return None;
    }
    let (seconds, rest) = clock(text.get(7..)?)?;
    // Any leap year: only differences count.
    Some((days(2024, month, day) as f64 * DAY + seconds, rest))
}

/// vLLM's own `INFO 11-22 12:27:13`: no year. The time is the first such stamp behind a level word near the line's start.
pub fn own(text: &str) -> Option<f64> {
    let head = text.get(..text.floor_char_boundary(160)).unwrap_or(text);
    for level in ["INFO ", "WARNING ", "ERROR ", "DEBUG ", "CRITICAL "] {
        if let Some(at) = head.find(level) {
            let rest = text.get(at + level.len()..)?.trim_start();
            if let Some(dated) = shaped(rest, "00-00 ") {
                let (seconds, _) = clock(dated)?;
                let (month, day) = (number(rest, 0, 2)?, number(rest, 3, 5)?);
                return (1..=12).contains(&month).then(|| days(2024, month, day) as f64 * DAY + seconds);
            }
            if let Some((time, _)) = iso(rest) {
                return Some(time);
            }
        }
    }
    None
}

/// The time field of a JSON log line.
pub fn json(text: &str) -> Option<f64> {
    for key in ["\"asctime\"", "\"timestamp\"", "\"@timestamp\"", "\"time\"", "\"ts\""] {
        if let Some(at) = text.find(key) {
            let rest = text.get(at + key.len()..)?.trim_start_matches([' ', ':']);
            if let Some(quoted) = rest.strip_prefix('"')
                && let Some((time, _)) = iso(quoted)
            {
                return Some(time);
            }
            let digits = rest.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
            let seconds: f64 = rest.get(..digits)?.parse().ok()?;
            return Some(if seconds > 1e14 {
                seconds / 1e6
            } else if seconds > 1e11 {
                seconds / 1e3
            } else {
                seconds
            });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_all_forms_are_read() {
        let noon = 1_763_812_800.0; // 2025-11-22T12:00:00Z
        for (text, want, rest) in [
            ("2025-11-22T12:00:00Z x", noon, " x"),
            ("2025-11-22T12:00:00.500000000Z x", noon + 0.5, " x"),
            ("2025-11-22 12:00:00,250 - x", noon + 0.25, " - x"),
            ("2025-11-22T13:00:00+01:00 x", noon, " x"),
            ("2025-11-22T07:00:00-0500 x", noon, " x"),
            ("2025/11/22 12:00:00 x", noon, " x"),
        ] {
            assert_eq!(iso(text), Some((want, rest)), "{text}");
        }
        let (a, rest) = syslog("Nov 22 12:00:00 host x").expect("a time");
        assert_eq!(rest, " host x");
        let (b, _) = syslog("Nov  2 12:00:00 host x").expect("a time");
        assert_eq!(a - b, 20.0 * DAY);
        assert_eq!(own("(EngineCore pid=1) INFO 11-22 12:00:01 [a.py:1] x"), Some(a + 1.0));
        assert_eq!(own("INFO:     Started server process"), None);
        assert_eq!(json(r#"{"asctime": "2025-11-22 12:00:00,500", "message": "x"}"#), Some(noon + 0.5));
    }

    proptest::proptest! {
        #[test]
        fn no_text_breaks_them(text in "[0-9TZ:., +\\-/JanNov]{0,40}|(INFO )?[0-9:\\- é]{0,30}") {
            let _ = (iso(&text), syslog(&text), own(&text), json(&text));
        }
    }
}
