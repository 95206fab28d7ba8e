//! Words in messages as they were written.

/// Names longer than this are no names.
const NAME: usize = 300;

/// A name, if it is one.
pub fn clip(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.chars().take(NAME).collect())
}

/// The first word in quotes of any kind.
pub fn quoted(text: &str) -> Option<&str> {
    let start = text.find(['\'', '`', '"', '\u{2018}', '\u{201C}'])?;
    let mark = text.get(start..)?.chars().next()?;
    let close = match mark {
        '\u{2018}' => '\u{2019}',
        '\u{201C}' => '\u{201D}',
        mark => mark,
    };
    let rest = text.get(start + mark.len_utf8()..)?;
    rest.get(..rest.find(close)?)
}

/// What follows the exception's name: `ValueError: text`.
pub fn body(text: &str) -> &str {
    text.split_once("Error: ").or_else(|| text.split_once("Exception: ")).map_or(text, |(_, rest)| rest)
}
