//! Numbers in messages: lengths, and sizes of memory.
//!
//! What is read here is squeezed: small letters without any white space, so that a line that a terminal wrapped reads the same.

use std::iter::once;

const KIB: f64 = 1024.0;

/// What follows the first `anchor`.
pub fn after<'a>(text: &'a str, anchor: &str) -> Option<&'a str> {
    text.find(anchor).and_then(|at| text.get(at + anchor.len()..))
}

/// What stands between the first `from` and the next `to`.
pub fn between<'a>(text: &'a str, from: &str, to: &str) -> Option<&'a str> {
    let rest = after(text, from)?;
    rest.get(..rest.find(to)?)
}

/// A whole number at the start, with or without commas between thousands, and what follows it.
pub fn integer(text: &str) -> Option<(u64, &str)> {
    let mut value: u64 = 0;
    let mut rest = text;
    let head = rest.bytes().take_while(u8::is_ascii_digit).count();
    if head == 0 || head > 18 {
        return None;
    }
    value = value.checked_add(rest.get(..head)?.parse().ok()?)?;
    rest = rest.get(head..)?;
    while head <= 3
        && let Some(group) = rest.strip_prefix(',').and_then(|r| r.get(..3))
        && group.bytes().all(|b| b.is_ascii_digit())
        && !rest.as_bytes().get(4).is_some_and(u8::is_ascii_digit)
    {
        value = value.checked_mul(1000)?.checked_add(group.parse().ok()?)?;
        rest = rest.get(4..)?;
    }
    Some((value, rest))
}

/// A decimal number at the start, and what follows it.
pub fn decimal(text: &str) -> Option<(f64, &str)> {
    let sign = usize::from(text.starts_with('-'));
    let digits = |from: usize| {
        text.get(from..).map_or(0, |t| t.bytes().take_while(|b| b.is_ascii_digit() || *b == b',').count())
    };
    let whole = digits(sign);
    if whole == 0 {
        return None;
    }
    let mut end = sign + whole;
    if text.get(end..).is_some_and(|t| t.starts_with('.')) {
        let part = text.get(end + 1..).map_or(0, |t| t.bytes().take_while(u8::is_ascii_digit).count());
        if part > 0 {
            end += 1 + part;
        }
    }
    let value: f64 = text.get(..end)?.replace(',', "").parse().ok()?;
    Some((value, text.get(end..)?))
}

/// A size of memory at the start, in bytes, and what follows it. A negative one is none.
///
/// PyTorch and vLLM divide by 1024 whichever unit they print (`vllm/utils`: `GiB_bytes`, older releases call it GB).
pub fn size(text: &str) -> Option<(u64, &str)> {
    const UNITS: [(&str, f64); 10] = [
        ("gib", KIB * KIB * KIB),
        ("gb", KIB * KIB * KIB),
        ("mib", KIB * KIB),
        ("mb", KIB * KIB),
        ("kib", KIB),
        ("kb", KIB),
        ("tib", KIB * KIB * KIB * KIB),
        ("tb", KIB * KIB * KIB * KIB),
        ("bytes", 1.0),
        ("b", 1.0),
    ];
    let (value, rest) = decimal(text)?;
    let (unit, factor) = UNITS.iter().find(|(unit, _)| rest.starts_with(unit))?;
    let bytes = (value * factor).round();
    // Beyond 8 EiB nothing is a memory.
    let bytes = if bytes <= 0.0 {
        0
    } else if bytes < 9e18 {
        bytes as u64
    } else {
        return None;
    };
    Some((bytes, rest.get(unit.len()..)?))
}

/// `a/b GiB`: two numbers with one unit.
pub fn size_pair(text: &str) -> Option<(u64, u64, &str)> {
    let (first, rest) = decimal(text)?;
    let unit_of = rest.strip_prefix('/').or_else(|| {
        let (_, rest) = size(text)?;
        rest.strip_prefix('/')
    })?;
    let (second, rest) = size(unit_of)?;
    let second_number = decimal(unit_of)?.0;
    let factor = if second_number > 0.0 { second as f64 / second_number } else { KIB * KIB * KIB };
    let first = (first * factor).max(0.0).round();
    (first < 9e18).then_some((first as u64, second, rest))
}

/// The whole number behind the anchor.
pub fn integer_after(text: &str, anchor: &str) -> Option<u64> {
    integer(after(text, anchor)?).map(|(n, _)| n)
}

/// The size behind the anchor.
pub fn size_after(text: &str, anchor: &str) -> Option<u64> {
    size(after(text, anchor)?).map(|(n, _)| n)
}

/// `text` in small letters, without white space.
pub fn squeeze(text: &str, into: &mut String) {
    into.clear();
    if text.is_ascii() {
        into.extend(
            text.bytes().filter(|b| !b.is_ascii_whitespace()).map(|b| char::from(b.to_ascii_lowercase())),
        );
        return;
    }
    // Curly quotes come from web pages that logs were copied from.
    into.extend(text.chars().filter(|c| !c.is_whitespace()).flat_map(|c| {
        once(match c {
            '\u{2018}' | '\u{2019}' => '\'',
            '\u{201C}' | '\u{201D}' => '"',
            c => c.to_ascii_lowercase(),
        })
    }));
}

/// How many single edits make one word of the other; stops counting beyond `limit`.
pub fn distance(left: &str, right: &str, limit: usize) -> usize {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    if left.len().abs_diff(right.len()) > limit {
        return limit + 1;
    }
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.iter().enumerate() {
        let mut diagonal = i;
        let mut before = i + 1;
        if let Some(first) = row.first_mut() {
            *first = before;
        }
        for (j, b) in right.iter().enumerate() {
            let above = row.get(j + 1).copied().unwrap_or(usize::MAX);
            let cell = (diagonal + usize::from(a != b)).min(before + 1).min(above.saturating_add(1));
            diagonal = above;
            before = cell;
            if let Some(slot) = row.get_mut(j + 1) {
                *slot = cell;
            }
        }
    }
    row.last().copied().unwrap_or(limit + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn numbers_are_read_with_thousands_and_units() {
        assert_eq!(integer("131,072tokens"), Some((131_072, "tokens")));
        assert_eq!(integer("100000),(4.26"), Some((100_000, "),(4.26")));
        assert_eq!(integer("2,097,152 x"), Some((2_097_152, " x")));
        assert_eq!(integer("1,2"), Some((1, ",2")));
        assert_eq!(integer("x"), None);
        assert_eq!(size("79.19gib."), Some(((79.19 * GIB as f64).round() as u64, ".")));
        assert_eq!(size("2gbx"), Some((2 * GIB, "x")));
        assert_eq!(size("512.00mib"), Some((GIB / 2, "")));
        assert_eq!(size("-1.5gib"), Some((0, "")));
        assert_eq!(size("17179869184.00gib"), None, "more than memory can be");
        assert_eq!(size_pair("11.5/23gib)on"), Some(((11.5 * GIB as f64) as u64, 23 * GIB, ")on")));
        assert_eq!(size_pair("11.5gib/23gib)"), Some(((11.5 * GIB as f64) as u64, 23 * GIB, ")")));
    }

    #[test]
    fn edits_are_counted_up_to_a_limit() {
        assert_eq!(distance("--max-model-lenn", "--max-model-len", 3), 1);
        assert_eq!(distance("--max-model", "--max-model-len", 3), 4);
        assert_eq!(distance("abc", "abc", 3), 0);
        assert_eq!(distance("acb", "abc", 3), 2);
    }

    proptest::proptest! {
        #[test]
        fn no_text_breaks_them(text in "[0-9,.\\-gmkibté/ ]{0,30}") {
            let _ = (integer(&text), decimal(&text), size(&text), size_pair(&text));
        }
    }
}
