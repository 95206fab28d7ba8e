//! Bytes of one line → text without terminal control.
//!
//! Colours and weights (SGR) become styled stretches; every other escape sequence goes, a hyperlink's target included.
//! Control characters and the invisible ones that reorder text are shown as pictures or code points; invalid UTF-8 becomes
//! U+FFFD. What comes out has no control character but TAB. Nothing carries over to the next line.

use super::style::{Style, StyledPart};
use std::fmt::Write;

/// Stretches kept per line; more styles than this are noise.
const PART_LIMIT: usize = 1000;

const ESC: u8 = 0x1B;
const BEL: u8 = 0x07;

/// Cleans lines; keeps its buffers from line to line.
#[derive(Debug, Default)]
pub struct Cleaner {
    text: String,
    parts: Vec<StyledPart>,
    style: Style,
    /// Where the current style began.
    since: usize,
}

impl Cleaner {
    /// The text and its styled stretches. An ordinary line is not copied.
    pub fn clean<'a>(&'a mut self, bytes: &'a [u8]) -> (&'a str, &'a [StyledPart]) {
        if let Some(text) = plain(bytes) {
            return (text, &[]);
        }
        self.text.clear();
        self.text.shrink_to(64 << 10);
        self.parts.clear();
        self.style = Style::default();
        self.since = 0;
        self.read(bytes);
        self.set_style(Style::default());
        (&self.text, &self.parts)
    }

    fn read(&mut self, bytes: &[u8]) {
        let mut unterminated = Unterminated::default();
        let mut rest = bytes;
        while !rest.is_empty() {
            let run = rest.iter().take_while(|b| !is_control(**b)).count();
            let (text, tail) = rest.split_at(run);
            self.push_lossy(text);
            rest = match tail.first() {
                None => return,
                Some(&ESC) => self.escape(tail.get(1..).unwrap_or_default(), &mut unterminated),
                Some(&byte) => {
                    self.push_char(char::from(byte));
                    tail.get(1..).unwrap_or_default()
                }
            };
        }
    }

    /// Reads what follows an ESC and returns what follows the sequence.
    fn escape<'b>(&mut self, rest: &'b [u8], unterminated: &mut Unterminated) -> &'b [u8] {
        let after = |n: usize| rest.get(n..).unwrap_or_default();
        match rest.first() {
            Some(b'[') => self.csi(after(1)),
            Some(kind @ (b']' | b'P' | b'X' | b'^' | b'_')) => {
                if let Some(end) = unterminated.find(*kind == b']', after(1)) {
                    return after(1 + end);
                }
                self.push_char('\u{1B}'); // Its end is missing: hide nothing.
                rest
            }
            Some(0x20..=0x7E) => {
                let between = rest.iter().take_while(|b| matches!(b, 0x20..=0x2F)).count();
                match rest.get(between) {
                    Some(0x30..=0x7E) => after(between + 1),
                    _ => after(between),
                }
            }
            _ => {
                self.push_char('\u{1B}');
                rest
            }
        }
    }

    /// Reads a control sequence behind `ESC [`.
    fn csi<'b>(&mut self, rest: &'b [u8]) -> &'b [u8] {
        let params = rest.iter().take_while(|b| matches!(b, 0x30..=0x3F)).count();
        let between = rest.iter().skip(params).take_while(|b| matches!(b, 0x20..=0x2F)).count();
        let end = params + between;
        match rest.get(end) {
            Some(b'm') if between == 0 => {
                let mut style = self.style;
                style.apply(rest.get(..params).unwrap_or_default());
                self.set_style(style);
                rest.get(end + 1..).unwrap_or_default()
            }
            Some(0x40..=0x7E) => rest.get(end + 1..).unwrap_or_default(),
            _ => rest.get(end..).unwrap_or_default(),
        }
    }

    fn set_style(&mut self, style: Style) {
        if style == self.style {
            return;
        }
        let end = self.text.len();
        if self.style != Style::default() && end > self.since {
            let room = self.parts.len() < PART_LIMIT;
            match self.parts.last_mut() {
                Some(last) if last.end == self.since && last.style == self.style => last.end = end,
                _ if room => self.parts.push(StyledPart { start: self.since, end, style: self.style }),
                _ => {}
            }
        }
        self.style = style;
        self.since = end;
    }

    fn push_lossy(&mut self, bytes: &[u8]) {
        for chunk in bytes.utf8_chunks() {
            let mut text = chunk.valid();
            while let Some((at, hidden)) = text.char_indices().find(|(_, c)| is_hidden(*c)) {
                self.text.push_str(text.get(..at).unwrap_or_default());
                self.push_char(hidden);
                text = text.get(at + hidden.len_utf8()..).unwrap_or_default();
            }
            self.text.push_str(text);
            if !chunk.invalid().is_empty() {
                self.text.push(char::REPLACEMENT_CHARACTER);
            }
        }
    }

    /// A character that must be seen: C0 and DEL have pictures, the others show their code point.
    fn push_char(&mut self, c: char) {
        match u32::from(c) {
            n @ 0..=0x1F => self.text.push(char::from_u32(0x2400 + n).unwrap_or(char::REPLACEMENT_CHARACTER)),
            0x7F => self.text.push('\u{2421}'),
            n => {
                let _ = write!(self.text, "‹U+{n:04X}›"); // Writing to a String cannot fail.
            }
        }
    }
}

/// Whether a search for an end failed: then it would fail again, and a line full of beginnings would take for ever.
#[derive(Default)]
struct Unterminated {
    osc: bool,
    other: bool,
}

impl Unterminated {
    /// Where the string sequence is over, its terminator included. Only OSC may end with BEL.
    fn find(&mut self, osc: bool, bytes: &[u8]) -> Option<usize> {
        let missing = if osc { &mut self.osc } else { &mut self.other };
        if *missing {
            return None;
        }
        let found = (0..bytes.len()).find_map(|i| match (bytes.get(i)?, bytes.get(i + 1)) {
            (&BEL, _) if osc => Some(i + 1),
            (&ESC, Some(b'\\')) | (0xC2, Some(0x9C)) => Some(i + 2),
            _ => None,
        });
        *missing = found.is_none();
        found
    }
}

/// The line itself where there is nothing to clean.
fn plain(bytes: &[u8]) -> Option<&str> {
    let (mut control, mut high) = (false, false);
    for block in bytes.chunks(64) {
        for byte in block {
            control |= is_control(*byte);
            high |= *byte >= 0x80;
        }
        if control {
            return None;
        }
    }
    let text = std::str::from_utf8(bytes).ok()?;
    (!high || !text.chars().any(is_hidden)).then_some(text)
}

const fn is_control(byte: u8) -> bool {
    (byte < 0x20 && byte != b'\t') || byte == 0x7F
}

/// Not ASCII and invisible or reordering: C1, line and paragraph separators, bidirectional controls.
const fn is_hidden(c: char) -> bool {
    matches!(c, '\u{80}'..='\u{9F}' | '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cleaned(bytes: &[u8]) -> (String, Vec<(String, String)>) {
        let mut cleaner = Cleaner::default();
        let (text, parts) = cleaner.clean(bytes);
        let parts = parts
            .iter()
            .map(|p| {
                let mut classes = String::new();
                p.style.classes(&mut classes);
                (text[p.start..p.end].to_owned(), classes)
            })
            .collect();
        (text.to_owned(), parts)
    }

    fn text(bytes: impl AsRef<[u8]>) -> String {
        cleaned(bytes.as_ref()).0
    }

    #[test]
    fn a_coloured_vllm_line_keeps_its_words_and_its_colours() {
        let line = b"\x1b[0;36m(APIServer pid=15575)\x1b[0;0m \x1b[33mWARNING\x1b[0m \x1b[90m11-22 12:28:54\x1b[0m  \x1b[1m0.32.0\x1b[0m";
        let (text, parts) = cleaned(line);
        assert_eq!(text, "(APIServer pid=15575) WARNING 11-22 12:28:54  0.32.0");
        let want = [
            ("(APIServer pid=15575)", "cyan"),
            ("WARNING", "yellow"),
            ("11-22 12:28:54", "bright-black"),
            ("0.32.0", "bold"),
        ];
        assert_eq!(parts, want.map(|(a, b)| (a.to_owned(), b.to_owned())));
    }

    #[test]
    fn every_other_sequence_goes() {
        assert_eq!(text("a\x1b[2Kb\x1b[1;1Hc\x1b[?25ld\x1b(Be\x1b7f\x1b=g"), "abcdefg");
        assert_eq!(text("\x1b]0;title\x07a\x1b]8;;https://example.org\x1b\\link\x1b]8;;\x1b\\b"), "alinkb");
        assert_eq!(text("a\x1bPq...\x1b\\b\x1b_x\u{9c}c"), "abc");
        assert_eq!(text("cut \x1b[38;5"), "cut ");
    }

    #[test]
    fn what_has_no_end_hides_nothing() {
        assert_eq!(text("\x1b]0;rm -rf"), "␛]0;rm -rf");
        assert_eq!(text("\x1bPx\x07y"), "␛Px␇y");
        assert_eq!(text("x\x1b"), "x␛");
        assert_eq!(text("\x1b[31\x00x"), "␀x");
    }

    #[test]
    fn what_is_invisible_is_shown() {
        assert_eq!(text("a\tb\x00\x08\x7f"), "a\tb␀␈␡");
        assert_eq!(
            text("a\u{202e}b\u{2066}\u{200f}\u{61c}\u{85}\u{2028}"),
            "a‹U+202E›b‹U+2066›‹U+200F›‹U+061C›‹U+0085›‹U+2028›"
        );
        assert_eq!(text(b"caf\xe9 \xff\xfe ok \xe2\x82"), "caf\u{fffd} \u{fffd}\u{fffd} ok \u{fffd}");
        assert_eq!(text("héllo █▄ 😀"), "héllo █▄ 😀");
    }

    #[test]
    fn a_line_full_of_beginnings_is_read_in_one_pass() {
        let line = b"\x1b]".repeat(200_000);
        assert_eq!(text(&line).chars().count(), 400_000);
    }

    fn pieces() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            prop::sample::select(vec![
                "\x1b",
                "\x1b[",
                "\x1b]8;;",
                "\x1b\\",
                "\x07",
                "31;1m",
                "38;2;9;9;9m",
                "\u{9c}",
                "\u{202e}",
                "é",
                "\t",
                "x"
            ])
            .prop_map(|s| s.as_bytes().to_vec()),
            prop::collection::vec(any::<u8>(), 0..6),
        ];
        prop::collection::vec(piece, 0..60).prop_map(|p| p.concat())
    }

    proptest! {
        #[test]
        fn nothing_panics_and_nothing_controls_a_terminal(bytes in pieces()) {
            let mut cleaner = Cleaner::default();
            let (text, parts) = cleaner.clean(&bytes);
            prop_assert!(text.chars().all(|c| c == '\t' || (!c.is_control() && !is_hidden(c))));
            let mut end = 0;
            for part in parts {
                prop_assert!(part.start >= end && part.end > part.start);
                prop_assert!(text.get(part.start..part.end).is_some());
                end = part.end;
            }
            let once = text.to_owned();
            prop_assert_eq!(cleaner.clean(once.as_bytes()).0, once.as_str(), "clean text stays as it is");
        }
    }
}
