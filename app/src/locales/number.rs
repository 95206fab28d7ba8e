//! Numbers and times as text. Integers only: float formatting would weigh more than all the words.

/// `number` with `separator` between groups of three digits, where it has at least `from` digits.
pub fn group(number: u64, separator: &str, from: usize) -> String {
    let digits = number.to_string();
    if digits.len() < from {
        return digits;
    }
    let mut out = String::with_capacity(digits.len() + digits.len() / 3 * separator.len());
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push_str(separator);
        }
        out.push(digit);
    }
    out
}

/// Bytes as GiB with one decimal, rounded half up.
pub fn gib_tenths(bytes: u64, point: char) -> String {
    let mib = (bytes >> 20) + (bytes >> 19 & 1);
    let tenths = (mib * 10 + 512) >> 10;
    format!("{}{point}{}", tenths / 10, tenths % 10)
}

/// A duration of seconds as `1:02:03`.
pub fn clock(seconds: u64) -> String {
    format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// The time of day as `HH:MM:SS`, of milliseconds since the epoch shifted by `offset_minutes` east of UTC.
pub fn clock_of_day(millis: i64, offset_minutes: i32) -> String {
    let seconds = (millis.div_euclid(1000) + i64::from(offset_minutes) * 60).rem_euclid(86_400);
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped_where_there_are_enough() {
        let cases = [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (12_345, "12,345"),
            (100_000, "100,000"),
            (1_234_567, "1,234,567"),
        ];
        for (number, text) in cases {
            assert_eq!(group(number, ",", 4), text);
        }
        assert_eq!(group(1000, "\u{202f}", 5), "1000");
        assert_eq!(group(u64::MAX, "\u{202f}", 5).matches('\u{202f}').count(), 6);
    }

    #[test]
    fn bytes_become_gib_with_one_decimal() {
        assert_eq!(gib_tenths(0, '.'), "0.0");
        assert_eq!(gib_tenths(1 << 30, '.'), "1.0");
        assert_eq!(gib_tenths((1 << 30) * 3 / 2, ','), "1,5");
        assert_eq!(gib_tenths(24 * (1 << 30) - 1, '.'), "24.0");
        assert_eq!(gib_tenths(u64::MAX, '.'), "17179869184.0");
    }

    #[test]
    fn durations_and_times_of_day_have_fixed_width_parts() {
        assert_eq!(clock(0), "0:00:00");
        assert_eq!(clock(3723), "1:02:03");
        assert_eq!(clock(360_000), "100:00:00");
        assert_eq!(clock_of_day(0, 0), "00:00:00");
        assert_eq!(clock_of_day(-1, 0), "23:59:59");
        assert_eq!(clock_of_day(1_795_348_800_000, 180), "15:00:00");
        assert_eq!(clock_of_day(1_795_348_800_000, -210), "08:30:00");
    }
}
