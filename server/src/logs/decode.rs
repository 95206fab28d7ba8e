//! A stored line's JSON, taken apart again. It reads what [`super::encode`] writes and nothing else.

use app::model::{Level, Line, LineKind, Stream, Timestamp};
use std::borrow::Cow;

/// A stored line's parts; source and text still quoted and escaped.
pub struct Fields<'a> {
    /// RFC 3339.
    pub time: &'a str,
    /// Who wrote it, quoted.
    pub source: &'a str,
    text: &'a str,
    /// What follows the text, up to the closing bracket.
    rest: &'a str,
}

impl<'a> Fields<'a> {
    /// `[seq,"time","stream","level","source","text"…`
    pub fn of(json: &'a str) -> Option<Self> {
        let (_, rest) = json.split_once(",\"")?;
        let (time, rest) = rest.split_once("\",\"")?;
        let (_, rest) = rest.split_once("\",\"")?;
        let (_, rest) = rest.split_once("\",")?;
        let (source, rest) = rest.split_at_checked(quoted(rest)?)?;
        let rest = rest.strip_prefix(',')?;
        let (text, rest) = rest.split_at_checked(quoted(rest)?)?;
        Some(Self { time, source, text, rest: rest.strip_suffix(']')? })
    }

    /// The text.
    pub fn text(&self) -> Cow<'a, str> {
        unescaped(self.text)
    }

    /// Spans as JSON, empty where there are none, and the kind.
    fn extras(&self) -> (&'a str, LineKind) {
        let rest = self.rest.strip_prefix(',').unwrap_or_default();
        let (spans, kind) = rest
            .strip_suffix('"')
            .and_then(|rest| rest.rsplit_once(",\""))
            .map_or((rest, LineKind::None), |(spans, kind)| (spans, kind.parse().unwrap_or_default()));
        (if spans == "[]" { "" } else { spans }, kind)
    }
}

/// Bytes of a line that viewers get at once; all of it is in the log.
pub const SHOWN_BYTES: usize = 8 << 10;

/// A stored line as viewers get it, where it is longer than that: cut, with its length behind it, and of a kind that says so.
pub fn shown(json: &str) -> Option<String> {
    if json.len() <= SHOWN_BYTES {
        return None;
    }
    let mut line: Line = serde_json::from_str(json).ok()?;
    line.cut(SHOWN_BYTES).then(|| serde_json::to_string(&line).ok())?
}

/// Where the JSON string that `json` begins with is over, its quotes included.
fn quoted(json: &str) -> Option<usize> {
    let bytes = json.as_bytes();
    let mut at = 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes.get(at) == Some(&b'"') {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// What a quoted JSON string says.
pub fn unescaped(quoted: &str) -> Cow<'_, str> {
    if memchr::memchr(b'\\', quoted.as_bytes()).is_some() {
        return Cow::Owned(serde_json::from_str(quoted).unwrap_or_default());
    }
    Cow::Borrowed(quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default())
}

/// A line without its number.
#[derive(Clone, Copy, Debug)]
pub struct LineParts<'a> {
    /// When the runtime saw it, in milliseconds since the Unix epoch.
    pub ms: i64,
    /// How serious.
    pub level: Level,
    /// Which pipe.
    pub stream: Stream,
    /// What it is.
    pub kind: LineKind,
    /// Who wrote it.
    pub source: &'a str,
    /// The text.
    pub text: &'a str,
    /// Styles as JSON; empty where there are none.
    pub spans: &'a str,
}

/// Takes many lines apart; remembers the last second that it read.
#[derive(Debug, Default)]
pub struct Decoder {
    second: String,
    second_ms: i64,
}

impl Decoder {
    /// Hands over the parts of a stored line. `None` for what is not one.
    pub fn read<T>(
        &mut self,
        level: Level,
        stream: Stream,
        json: &str,
        take: impl FnOnce(LineParts<'_>) -> T,
    ) -> Option<T> {
        let fields = Fields::of(json)?;
        let (spans, kind) = fields.extras();
        let (source, text) = (unescaped(fields.source), fields.text());
        let ms = self.time(fields.time)?;
        Some(take(LineParts { ms, level, stream, kind, source: &source, text: &text, spans }))
    }

    fn time(&mut self, time: &str) -> Option<i64> {
        let (second, fraction) = time.rsplit_once('.')?;
        if second != self.second {
            let start = Timestamp::parse_nanos(&format!("{second}Z"))?;
            self.second_ms = Timestamp::from_nanos(start).millis();
            second.clone_into(&mut self.second);
        }
        Some(self.second_ms + fraction.strip_suffix('Z')?.parse::<i64>().ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::encode::{Encoder, LineView};
    use super::*;
    use app::model::Span;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            ns in 0..4_000_000_000_000_000_000_i64, kind in 0..9_usize, level in 0..5_usize, stderr: bool,
            source in "\\PC{0,9}", text in prop_oneof!["\\PC{0,40}", "[\\[\\]\",\\\\a-c]{0,20}"], styled: bool,
        ) {
            let (kind, level) = (LineKind::ALL[kind], Level::ALL[level]);
            let stream = if stderr { Stream::Stderr } else { Stream::Stdout };
            let view = LineView { run: 1, seq: Some(7), time_ns: ns, stream, level, source: &source, text: &text, kind };
            let mut json = String::new();
            Encoder::default().line(&mut json, &view, &[], &(0..0));
            if styled {
                let mut line: Line = serde_json::from_str(&json).expect("a line");
                line.spans = vec![Span(0, 1, "bold red".into())];
                json = serde_json::to_string(&line).expect("plain data");
            }
            let same = Decoder::default().read(level, stream, &json, |parts| {
                (parts.ms, parts.kind, parts.source.to_owned(), parts.text.to_owned(), parts.spans.to_owned())
            });
            let again = Decoder::default().read(level, stream, &json, |parts| {
                let mut out = String::new();
                super::super::encode::push_stored(&mut out, 7, &parts);
                out
            });
            prop_assert_eq!(again.as_ref(), Some(&json));
            let spans = if styled { r#"[[0,1,"bold red"]]"# } else { "" };
            let ms = Timestamp::from_nanos(ns).millis();
            prop_assert_eq!(same, Some((ms, kind, source, text, spans.to_owned())));
        }

        #[test]
        fn other_text_is_refused_or_read_and_nothing_worse(text in "\\PC{0,60}", wild in "[\\[\\]\",\\\\0-9a-c]{0,60}") {
            for json in [text, wild] {
                let _ = Decoder::default().read(Level::Info, Stream::Stdout, &json, |parts| parts.ms);
            }
        }
    }
}
