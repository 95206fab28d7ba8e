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

/// Bytes as MiB: one decimal below ten, none above.
pub fn mib(bytes: u64, point: char) -> String {
    let tenths = bytes.saturating_mul(10) >> 20;
    if tenths < 100 { format!("{}{point}{}", tenths / 10, tenths % 10) } else { (tenths / 10).to_string() }
}

/// Some bytes of a whole in one unit: `1.2 of 3.4 GiB`, `12 of 96 MiB`.
pub fn bytes_of(done: u64, total: u64, point: char, units: [&str; 2], of: &str) -> String {
    if total >= 1 << 30 {
        format!("{} {of} {} {}", gib_tenths(done, point), gib_tenths(total, point), units[1])
    } else {
        format!("{} {of} {} {}", mib(done, point), mib(total, point), units[0])
    }
}

/// The digits of an id that people compare.
pub fn short_id(id: &str) -> String {
    id.strip_prefix("sha256:").unwrap_or(id).chars().take(12).collect()
}

/// A duration of seconds as `1:02:03`.
pub fn clock(seconds: u64) -> String {
    format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// Tenths as a number with one decimal below a hundred: `0.4`, `57.1`, `312`.
pub fn tenths(tenths: u32, point: char) -> String {
    match tenths {
        0..1000 if !tenths.is_multiple_of(10) => format!("{}{point}{}", tenths / 10, tenths % 10),
        _ => group(u64::from(tenths / 10), "\u{202f}", 5),
    }
}

/// A latency: `0.8 ms`, `35 ms`, `1.2 s`.
pub fn span_us(us: u64, point: char, milli: &str, second: &str) -> String {
    match us {
        0..10_000 => format!("{}{point}{} {milli}", us / 1000, us % 1000 / 100),
        10_000..1_000_000 => format!("{} {milli}", us / 1000),
        _ => format!("{}{point}{} {second}", us / 1_000_000, us % 1_000_000 / 100_000),
    }
}

/// A short duration: `0.4 s`, `8 s`, `1:05`, `1:02:03`.
pub fn span(ms: u64, point: char, second: &str) -> String {
    match ms {
        0..10_000 if ms % 1000 >= 50 => format!("{}{point}{} {second}", ms / 1000, ms % 1000 / 100),
        0..60_000 => format!("{} {second}", ms / 1000),
        60_000..3_600_000 => format!("{}:{:02}", ms / 60_000, ms / 1000 % 60),
        _ => clock(ms / 1000),
    }
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
        let spans = [
            (0, "0 s"),
            (40, "0 s"),
            (400, "0.4 s"),
            (8_000, "8 s"),
            (9_960, "9.9 s"),
            (59_999, "59 s"),
            (65_000, "1:05"),
            (3_723_000, "1:02:03"),
        ];
        for (ms, text) in spans {
            assert_eq!(span(ms, '.', "s"), text);
        }
        assert_eq!(
            [4, 40, 571, 3129, 1_234_560].map(|n| tenths(n, '.')),
            ["0.4", "4", "57.1", "312", "123\u{202f}456"]
        );
        let latencies = [800, 35_000, 999_999, 1_250_000].map(|us| span_us(us, '.', "ms", "s"));
        assert_eq!(latencies, ["0.8 ms", "35 ms", "999 ms", "1.2 s"]);
        assert_eq!(clock_of_day(0, 0), "00:00:00");
        assert_eq!(clock_of_day(-1, 0), "23:59:59");
        assert_eq!(clock_of_day(1_795_348_800_000, 180), "15:00:00");
        assert_eq!(clock_of_day(1_795_348_800_000, -210), "08:30:00");
    }
}
