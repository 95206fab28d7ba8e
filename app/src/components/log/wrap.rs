//! A long line as several rows, and a JSON line as its lines. Pure: characters and columns, no pixels.

use super::row;
use crate::wire::Scan;

/// Columns that a part of a line has at least, however narrow the view is.
const LEAST: usize = 16;
/// A JSON text beyond this is not laid out.
const MOST_JSON: usize = 256 << 10;

/// How many columns there are, and how many of them a line's text does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wrap {
    /// Columns of the view.
    pub columns: usize,
    /// Columns of the time and the level.
    pub head: usize,
    /// Columns that the source has at least.
    pub source: usize,
    /// Columns that are left free before the parts behind the first.
    pub indent: usize,
}

impl Wrap {
    /// How many rows a line takes.
    pub fn parts(self, text: &str, source: &str) -> u16 {
        let (first, rest) = self.widths(source);
        if text.len() <= first {
            return 1;
        }
        if text.is_ascii() {
            let more = text.len().min(row::MAX_CHARS).saturating_sub(first).div_ceil(rest);
            return u16::try_from(1 + more).unwrap_or(u16::MAX);
        }
        u16::try_from(self.ends(text, source).count()).unwrap_or(u16::MAX)
    }

    /// Which bytes of a line's text one of its rows shows.
    pub fn range(self, text: &str, source: &str, part: u16) -> (usize, usize) {
        let mut ends = self.ends(text, source);
        let from = match usize::from(part).checked_sub(1) {
            None => 0,
            Some(before) => ends.nth(before).unwrap_or(text.len()),
        };
        (from, ends.next().unwrap_or(from))
    }

    /// Where the rows end: at least one.
    fn ends(self, text: &str, source: &str) -> impl Iterator<Item = usize> {
        let (first, rest) = self.widths(source);
        let (mut room, mut from) = (first, Some(0));
        let text = &text[..row::cut(text).0];
        std::iter::from_fn(move || {
            let start = from?;
            let (mut used, mut end) = (0, text.len());
            for (offset, c) in text[start..].char_indices() {
                used += width(c);
                if used > room && offset > 0 {
                    end = start + offset;
                    break;
                }
            }
            room = rest;
            from = (end < text.len()).then_some(end);
            Some(end)
        })
    }

    fn widths(self, source: &str) -> (usize, usize) {
        let before = self.head + self.source.max(source.chars().count() + 1);
        (self.columns.saturating_sub(before).max(LEAST), self.columns.saturating_sub(self.indent).max(LEAST))
    }
}

/// Columns that a character takes in a fixed-width font.
const fn width(c: char) -> usize {
    match c as u32 {
        0x300..=0x36f | 0x200b..=0x200f => 0,
        0x1100..=0x115f
        | 0x2e80..=0xa4cf
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xfe30..=0xfe4f
        | 0xff00..=0xff60
        | 0xffe0..=0xffe6
        | 0x1f300..=0x1faff
        | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

/// The lines of a JSON object or list, indented; `None` for anything else. Only white space between values changes: numbers
/// and strings stay as they were written.
pub fn pretty(text: &str) -> Option<Vec<String>> {
    let text = text.trim();
    let paired =
        (text.starts_with('{') && text.ends_with('}')) || (text.starts_with('[') && text.ends_with(']'));
    if !paired || !(3..=MOST_JSON).contains(&text.len()) {
        return None;
    }
    let mut scan = Scan::new(text);
    scan.skip()?;
    if !scan.at_end() {
        return None;
    }
    let (mut lines, mut line, mut depth) = (Vec::new(), String::new(), 0);
    let (mut quoted, mut escaped, mut opened) = (false, false, false);
    for c in text.chars() {
        if quoted {
            line.push(c);
            quoted = c != '"' || escaped;
            escaped = c == '\\' && !escaped;
            continue;
        }
        if c.is_ascii_whitespace() {
            continue;
        }
        let closes = matches!(c, '}' | ']');
        if opened && !closes {
            // Only now is it known that there is something in it.
            depth += 1;
            turn(&mut lines, &mut line, depth);
        } else if closes && !opened {
            depth -= 1;
            turn(&mut lines, &mut line, depth);
        }
        opened = matches!(c, '{' | '[');
        quoted = c == '"';
        line.push(c);
        match c {
            ':' => line.push(' '),
            ',' => turn(&mut lines, &mut line, depth),
            _ => {}
        }
    }
    lines.push(line);
    Some(lines)
}

fn turn(lines: &mut Vec<String>, line: &mut String, depth: usize) {
    lines.push(std::mem::replace(line, "  ".repeat(depth)));
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDE: Wrap = Wrap { columns: 60, head: 17, source: 15, indent: 32 };

    fn rows(wrap: Wrap, text: &str, source: &str) -> Vec<String> {
        (0..wrap.parts(text, source))
            .map(|part| {
                let (from, to) = wrap.range(text, source, part);
                text[from..to].to_owned()
            })
            .collect()
    }

    #[test]
    fn a_line_is_cut_by_the_columns_that_fit_and_nothing_is_lost() {
        assert_eq!(rows(WIDE, "", "x"), [""]);
        assert_eq!(rows(WIDE, &"a".repeat(28), "x"), ["a".repeat(28)]);
        assert_eq!(rows(WIDE, &"a".repeat(29), "x"), ["a".repeat(28), "a".to_owned()]);
        let long = "0123456789".repeat(9);
        let cut = rows(WIDE, &long, "x");
        assert_eq!(cut.iter().map(String::len).collect::<Vec<_>>(), [28, 28, 28, 6]);
        assert_eq!(cut.concat(), long);
        let by_source = rows(WIDE, &long, &"s".repeat(20));
        assert_eq!((by_source[0].len(), by_source.concat()), (22, long));
    }

    #[test]
    fn wide_characters_take_two_columns_and_a_narrow_view_still_shows_something() {
        assert_eq!(rows(WIDE, &"漢".repeat(15), ""), ["漢".repeat(14), "漢".to_owned()]);
        let narrow = Wrap { columns: 4, ..WIDE };
        assert_eq!(rows(narrow, &"ж".repeat(20), ""), ["ж".repeat(16), "ж".repeat(4)]);
    }

    #[test]
    fn the_count_of_rows_is_that_of_the_cuts() {
        for length in [0, 1, 27, 28, 29, 56, 57, 3999, 4000, 4001, 9000] {
            for unit in ["a", "é", "漢"] {
                let text = unit.repeat(length);
                let end = row::cut(&text).0;
                assert_eq!(rows(WIDE, &text, "APIServer").concat(), text[..end], "{unit} {length}");
            }
        }
    }

    #[test]
    fn json_is_laid_out_and_stays_the_same() {
        let text =
            r#"{"a":1e400,"b":[],"c":{"d":"x,\"{y}\\"},"e":[12345678901234567890,null , {}],"f":"é: ["}"#;
        let lines = pretty(text).expect("an object");
        assert_eq!(
            lines,
            [
                "{",
                "  \"a\": 1e400,",
                "  \"b\": [],",
                "  \"c\": {",
                "    \"d\": \"x,\\\"{y}\\\\\"",
                "  },",
                "  \"e\": [",
                "    12345678901234567890,",
                "    null,",
                "    {}",
                "  ],",
                "  \"f\": \"é: [\"",
                "}"
            ]
        );
    }

    #[test]
    fn what_is_not_json_is_not_laid_out() {
        for text in
            ["", "{}", "[core.py:12] ready]", "{'a': 1}", "{\"a\":}", "[1] [2]", "plain", "{\"a\":1}}", "]["]
        {
            assert_eq!(pretty(text), None, "{text}");
        }
        let deep = "[".repeat(5000) + &"]".repeat(5000);
        assert_eq!(pretty(&deep), None, "deeper than anything that means something");
    }
}
