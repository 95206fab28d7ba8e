//! Reads the Prometheus text format, line by line, without copying.
//!
//! Format 0.0.4 and OpenMetrics, as far as both are lines of `name{labels} value`; types, help, timestamps and exemplars
//! say nothing that we need. Sources: <https://prometheus.io/docs/instrumenting/exposition_formats/> and
//! <https://prometheus.io/docs/specs/om/open_metrics_spec/>. A line that is not understood is passed over.

use std::borrow::Cow;

/// A longer line is passed over; vLLM's longest is about 1 KiB.
const LINE_LIMIT: usize = 64 * 1024;

/// What one line says of a family, beside its name.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// What stands between the braces.
    labels: &'a [u8],
    /// The value, which may be infinite or not a number.
    pub value: f64,
}

/// Passes each sample on whose name `wanted` knows, in the order of the text. Of other lines only the name is read.
pub fn read<'a, F>(body: &'a [u8], wanted: impl Fn(&[u8]) -> Option<F>, mut take: impl FnMut(F, Sample<'a>)) {
    for line in body.split(|byte| *byte == b'\n') {
        let line = line.trim_ascii();
        if line.len() > LINE_LIMIT || line.first() == Some(&b'#') {
            continue;
        }
        let end = line.iter().position(|byte| matches!(byte, b'{' | b' ' | b'\t')).unwrap_or(line.len());
        let (name, rest) = line.split_at(end);
        if let Some(family) = wanted(name)
            && let Some(sample) = Sample::parse(rest)
        {
            take(family, sample);
        }
    }
}

impl<'a> Sample<'a> {
    /// What follows the name.
    fn parse(rest: &'a [u8]) -> Option<Self> {
        let rest = rest.trim_ascii_start();
        let (labels, rest) = match rest.strip_prefix(b"{") {
            Some(inner) => {
                let (labels, rest) = inner.split_at(end_of_labels(inner)?);
                (labels, rest.get(1..)?)
            }
            None => ([].as_slice(), rest),
        };
        let mut words = rest.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty());
        let value = number(words.next()?)?;
        // A timestamp or an exemplar may follow; anything else was two lines that were torn into one.
        match words.next() {
            None => {}
            Some(word) if word.starts_with(b"#") || number(word).is_some() => {}
            Some(_) => return None,
        }
        Some(Self { labels, value })
    }

    /// A label's value as it stands in the text, escapes not undone. The first one wins.
    pub fn raw_label(&self, name: &str) -> Option<&'a [u8]> {
        Labels(self.labels).find(|(label, _)| *label == name.as_bytes()).map(|(_, value)| value)
    }

    /// A label's value. Bytes that are not UTF-8 become U+FFFD.
    pub fn label(&self, name: &str) -> Option<Cow<'a, str>> {
        let raw = self.raw_label(name)?;
        if !raw.contains(&b'\\') {
            return Some(String::from_utf8_lossy(raw));
        }
        let mut plain = Vec::with_capacity(raw.len());
        let mut bytes = raw.iter();
        while let Some(byte) = bytes.next() {
            match (byte, bytes.as_slice().first()) {
                (b'\\', Some(b'n')) => plain.push(b'\n'),
                (b'\\', Some(escaped @ (b'\\' | b'"'))) => plain.push(*escaped),
                _ => {
                    plain.push(*byte);
                    continue;
                }
            }
            bytes.next();
        }
        Some(Cow::Owned(String::from_utf8_lossy(&plain).into_owned()))
    }
}

/// A number as it stands in a value or in `le`: also `+Inf`, `-Inf`, `NaN`.
pub fn number(text: &[u8]) -> Option<f64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Where the brace closes that is not inside quotes.
fn end_of_labels(inner: &[u8]) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    inner.iter().position(|byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'}' => return !quoted,
            _ => {}
        }
        false
    })
}

/// Names and raw values of labels; ends at the first thing that is not one.
struct Labels<'a>(&'a [u8]);

impl<'a> Iterator for Labels<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let equals = self.0.iter().position(|byte| *byte == b'=')?;
        let (name, rest) = self.0.split_at(equals);
        let rest = rest.get(1..)?.trim_ascii_start().strip_prefix(b"\"")?;
        let mut escaped = false;
        let end = rest.iter().position(|byte| {
            let closes = *byte == b'"' && !escaped;
            escaped = *byte == b'\\' && !escaped;
            closes
        })?;
        let (value, rest) = rest.split_at(end);
        let rest = rest.get(1..)?.trim_ascii_start();
        self.0 = rest.strip_prefix(b",").unwrap_or(rest);
        Some((name.trim_ascii(), value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Name, value, and the label `l` of every sample.
    fn all(body: &[u8]) -> Vec<(String, f64, Option<String>)> {
        let mut seen = Vec::new();
        let name = |name: &[u8]| (!name.is_empty()).then(|| String::from_utf8_lossy(name).into_owned());
        read(body, name, |name, sample| {
            seen.push((name, sample.value, sample.label("l").map(Cow::into_owned)));
        });
        seen
    }

    fn one(line: &str) -> Option<(f64, Option<String>)> {
        let mut seen = all(line.as_bytes());
        assert!(seen.len() < 2, "one line is one sample");
        seen.pop().map(|(_, value, label)| (value, label))
    }

    fn label(line: &str) -> String {
        one(line).and_then(|(_, label)| label).expect("the label l")
    }

    #[test]
    fn a_name_labels_and_a_value_are_read() {
        let body = b"# HELP a What it is.\n# TYPE a gauge\na 1\n\nb{l=\"x\",m=\"y\"} 2.5\n";
        assert_eq!(all(body), [("a".into(), 1.0, None), ("b".into(), 2.5, Some("x".into()))]);
    }

    #[test]
    fn the_last_line_needs_no_end_and_a_carriage_return_is_blank() {
        assert_eq!(all(b"a 1\r\nb 2"), [("a".into(), 1.0, None), ("b".into(), 2.0, None)]);
    }

    #[test]
    fn numbers_come_in_all_their_spellings() {
        for (text, value) in [
            ("1.79535052441e+09", 1_795_350_524.41),
            ("5e-324", 5e-324),
            ("-0.5", -0.5),
            (".5", 0.5),
            ("+Inf", f64::INFINITY),
            ("-Inf", f64::NEG_INFINITY),
            ("Inf", f64::INFINITY),
        ] {
            assert_eq!(one(&format!("a {text}")), Some((value, None)), "{text}");
        }
        assert!(one("a NaN").is_some_and(|(value, _)| value.is_nan()));
    }

    #[test]
    fn blanks_may_stand_between_all_parts() {
        assert_eq!(one(" \ta\t { l = \"x\" , m=\"y\", } \t 3  "), Some((3.0, Some("x".into()))));
        assert_eq!(one("a{ m = \"y\" ,l\t=\t\"x\"}3"), Some((3.0, Some("x".into()))));
    }

    #[test]
    fn escapes_in_labels_are_undone() {
        assert_eq!(label(r#"a{l="say \"hi\", C:\\dir\nnext"} 1"#), "say \"hi\", C:\\dir\nnext");
        assert_eq!(label(r#"a{l="\\"} 1"#), "\\");
        assert_eq!(label(r#"a{l="\x\"} 1"} 1"#), r#"\x"} 1"#, "an unknown escape stays");
    }

    #[test]
    fn braces_commas_and_hashes_in_quotes_end_nothing() {
        assert_eq!(label(r##"a{m="}{,=# 7",l="}"} 1"##), "}");
    }

    #[test]
    fn a_timestamp_and_an_exemplar_are_passed_over() {
        assert_eq!(one("a 1 1795350524410"), Some((1.0, None)));
        assert_eq!(one("a_bucket{l=\"0.1\"} 8 # {trace_id=\"x\"} 0.07 1.5"), Some((8.0, Some("0.1".into()))));
        assert_eq!(one("a 8 1.5 # {} 0.07"), Some((8.0, None)));
    }

    #[test]
    fn what_is_not_a_sample_is_passed_over() {
        for line in [
            "",
            "a",
            "a ",
            "a{",
            "a{l=\"x\" 1",
            "a{l=\"x} 1",
            "a{l=\"x\"}",
            "a b",
            "a 0x10",
            "a 1_000",
            "a 1 a 2",
            "# a 1",
            "#EOF",
            "{} 1",
            "<html>",
        ] {
            assert_eq!(one(line), None, "{line}");
        }
        assert_eq!(one("a{l=x} 1"), Some((1.0, None)), "labels are only read when asked for");
    }

    #[test]
    fn bytes_that_are_not_text_spoil_only_themselves() {
        let body = b"\xff\xfe 1\na{l=\"\xff\"} 1\nb \xff\nc 3\n";
        let seen = all(body);
        assert_eq!(seen.len(), 3);
        assert_eq!(seen[1], ("a".into(), 1.0, Some("\u{fffd}".into())));
        assert_eq!(seen[2], ("c".into(), 3.0, None));
    }

    #[test]
    fn a_line_without_end_is_passed_over() {
        let mut body = b"a{l=\"".to_vec();
        body.resize(LINE_LIMIT + 1, b'x');
        body.extend_from_slice(b"\"} 1\nb 2\n");
        assert_eq!(all(&body), [("b".into(), 2.0, None)]);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(value in any::<f64>(), text in any::<String>()) {
            let written = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let line = format!("a{{k=\"1\",l=\"{written}\"}} {value}\n");
            let (read, label) = one(&line).expect("a sample");
            prop_assert!(read == value || (read.is_nan() && value.is_nan()));
            prop_assert_eq!(label, Some(text));
        }

        #[test]
        fn no_bytes_make_it_panic(body in prop::collection::vec(any::<u8>(), 0..400)) {
            all(&body);
        }

        #[test]
        fn no_line_like_thing_makes_it_panic(body in "([al{}=\",\\\\ #\t\n.0-9e+Inf-]|vllm:|le=\"){0,120}") {
            all(body.as_bytes());
        }
    }
}
