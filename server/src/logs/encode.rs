//! Lines as the JSON arrays of the wire, written by hand: this runs for every line, viewers or not.

use super::decode::LineParts;
use super::style::StyledPart;
use app::model::{Level, LineKind, Stream, Timestamp};
use std::ops::Range;

/// What is written of a line.
#[derive(Clone, Copy, Debug)]
pub struct LineView<'a> {
    /// The run.
    pub run: u64,
    /// Its number; `None` for a progress text, which has none.
    pub seq: Option<u64>,
    /// When the runtime saw it, in nanoseconds since the Unix epoch.
    pub time_ns: i64,
    /// Which pipe.
    pub stream: Stream,
    /// How serious.
    pub level: Level,
    /// Who wrote it; may be empty.
    pub source: &'a str,
    /// The text.
    pub text: &'a str,
    /// What it is.
    pub kind: LineKind,
}

/// Writes lines; remembers the last second it formatted.
#[derive(Debug, Default)]
pub struct Encoder {
    second: i64,
    /// `2026-11-22T12:00:00`; empty before the first line.
    prefix: String,
    classes: String,
}

impl Encoder {
    /// Appends `[seq,"time","stream","level","source","text"]`, behind the text the spans that fall into `within`, and the
    /// kind where the line has one.
    pub fn line(
        &mut self,
        out: &mut String,
        line: &LineView<'_>,
        parts: &[StyledPart],
        within: &Range<usize>,
    ) {
        out.push('[');
        push_number(out, line.seq.unwrap_or_default());
        out.push_str(",\"");
        self.push_time(out, line.time_ns);
        for field in [line.stream.as_str(), line.level.as_str()] {
            out.push_str("\",\"");
            out.push_str(field);
        }
        out.push_str("\",");
        push_json(out, line.source);
        out.push(',');
        push_json(out, line.text);
        let styled = self.push_spans(out, parts, within);
        if line.kind != LineKind::None {
            out.push_str(if styled { ",\"" } else { ",[],\"" });
            out.push_str(line.kind.as_str());
            out.push('"');
        }
        out.push(']');
    }

    /// RFC 3339 with milliseconds.
    fn push_time(&mut self, out: &mut String, time_ns: i64) {
        let ms = Timestamp::from_nanos(time_ns).millis();
        let second = ms.div_euclid(1000);
        if second != self.second || self.prefix.is_empty() {
            self.second = second;
            self.prefix = Timestamp::from_millis(second * 1000).to_string();
            self.prefix.truncate(self.prefix.len().saturating_sub(".000Z".len()));
        }
        let fraction = ms.rem_euclid(1000);
        out.push_str(&self.prefix);
        out.push('.');
        for divisor in [100, 10, 1] {
            out.push(char::from(b'0' + u8::try_from(fraction / divisor % 10).unwrap_or_default()));
        }
        out.push('Z');
    }

    fn push_spans(&mut self, out: &mut String, parts: &[StyledPart], within: &Range<usize>) -> bool {
        let mut before = ",[[";
        for part in parts {
            let (start, end) = (part.start.max(within.start), part.end.min(within.end));
            if start >= end {
                continue;
            }
            out.push_str(before);
            before = ",[";
            push_number(out, (start - within.start) as u64);
            out.push(',');
            push_number(out, (end - within.start) as u64);
            self.classes.clear();
            part.style.classes(&mut self.classes);
            out.push_str(",\"");
            out.push_str(&self.classes);
            out.push_str("\"]");
        }
        let styled = before == ",[";
        if styled {
            out.push(']');
        }
        styled
    }
}

/// Appends the JSON array of a line that was stored and taken apart, as it was.
pub fn push_stored(out: &mut String, seq: u64, line: &LineParts<'_>) {
    out.push('[');
    push_number(out, seq);
    out.push_str(",\"");
    out.push_str(&Timestamp::from_millis(line.ms).to_string());
    for field in [line.stream.as_str(), line.level.as_str()] {
        out.push_str("\",\"");
        out.push_str(field);
    }
    out.push_str("\",");
    push_json(out, line.source);
    out.push(',');
    push_json(out, line.text);
    if !line.spans.is_empty() {
        out.push(',');
        out.push_str(line.spans);
    }
    if line.kind != LineKind::None {
        out.push_str(if line.spans.is_empty() { ",[],\"" } else { ",\"" });
        out.push_str(line.kind.as_str());
        out.push('"');
    }
    out.push(']');
}

/// Appends a number in decimal.
pub fn push_number(out: &mut String, mut number: u64) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        if let Some(slot) = digits.get_mut(at) {
            *slot = b'0' + (number % 10) as u8;
        }
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.push_str(std::str::from_utf8(digits.get(at..).unwrap_or_default()).unwrap_or_default());
}

/// Appends a JSON string, quotes included, byte for byte as `serde_json` writes it.
pub fn push_json(out: &mut String, text: &str) {
    out.push('"');
    let bytes = text.as_bytes();
    let mut from = 0;
    while let Some(at) = find_escape(bytes, from) {
        out.push_str(text.get(from..at).unwrap_or_default());
        match bytes.get(at).copied().unwrap_or_default() {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            0x08 => out.push_str("\\b"),
            0x0C => out.push_str("\\f"),
            control => {
                out.push_str("\\u00");
                for nibble in [control >> 4, control & 0xF] {
                    out.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
                }
            }
        }
        from = at + 1;
    }
    out.push_str(text.get(from..).unwrap_or_default());
    out.push('"');
}

fn find_escape(bytes: &[u8], from: usize) -> Option<usize> {
    let needs = |b: &u8| *b < 0x20 || *b == b'"' || *b == b'\\';
    let mut at = from;
    for block in bytes.get(from..)?.chunks_exact(32) {
        if block.iter().fold(false, |hit, b| hit | needs(b)) {
            break;
        }
        at += 32;
    }
    bytes.get(at..)?.iter().position(needs).map(|found| at + found)
}

#[cfg(test)]
mod tests {
    use super::super::style::Style;
    use super::*;
    use app::model::{Line, Span};
    use proptest::prelude::*;

    #[test]
    fn a_line_reads_back_with_the_spans_of_its_stretch() {
        let mut red = Style::default();
        red.apply(b"1;31");
        let parts =
            [StyledPart { start: 0, end: 4, style: red }, StyledPart { start: 8, end: 12, style: red }];
        for (kind, styled) in LineKind::ALL.into_iter().flat_map(|kind| [(kind, false), (kind, true)]) {
            let view = LineView {
                run: 1,
                seq: Some(42),
                time_ns: 1_795_348_800_123_456_789,
                stream: Stream::Stderr,
                level: Level::Error,
                source: "APIServer",
                text: "llo \"w\"",
                kind,
            };
            let mut json = String::new();
            let parts = if styled { parts.as_slice() } else { &[] };
            Encoder::default().line(&mut json, &view, parts, &(2..10));
            let line: Line = serde_json::from_str(&json).expect("a line");
            let spans = vec![Span(0, 2, "bold red".into()), Span(6, 8, "bold red".into())];
            let want = Line {
                seq: 42,
                time: Timestamp::from_nanos(view.time_ns),
                stream: Stream::Stderr,
                level: Level::Error,
                source: "APIServer".into(),
                text: "llo \"w\"".into(),
                spans: if styled { spans } else { Vec::new() },
                kind,
            };
            assert_eq!(line, want);
            assert_eq!(json, serde_json::to_string(&want).expect("plain data"));
        }
    }

    proptest! {
        #[test]
        fn strings_are_written_as_serde_json_writes_them(text in prop_oneof![any::<String>(), "[\\x00-\\x7f]{0,80}", "[a-z\"\\\\é]{30,80}"]) {
            let mut out = String::new();
            push_json(&mut out, &text);
            prop_assert_eq!(out, serde_json::to_string(&text).expect("plain data"));
        }

        #[test]
        fn numbers_and_times_are_written_as_display_writes_them(number: u64, times in prop::collection::vec(any::<i64>(), 1..5)) {
            let mut out = String::new();
            push_number(&mut out, number);
            prop_assert_eq!(out, number.to_string());
            let mut encoder = Encoder::default();
            for time in times {
                let mut out = String::new();
                encoder.push_time(&mut out, time);
                prop_assert_eq!(out, Timestamp::from_nanos(time).to_string());
            }
        }
    }
}
