//! Writes words as a POSIX shell reads them, for people to copy. In: words. Out: a line, or lines that read back the same.

use super::docker;
use super::reading::is_number;

/// The words as one command. A line break within a word stays one, in quotes.
pub fn quote(words: &[String]) -> String {
    words.iter().map(|w| quoted(w)).collect::<Vec<_>>().join(" ")
}

/// The same, for reading: each flag (and a container's image) begins a line.
pub fn lines(words: &[String]) -> String {
    let image = docker::image_at(words);
    let mut out = String::new();
    for (at, word) in words.iter().enumerate() {
        let flag = word.len() > 1 && word.starts_with('-') && !is_number(word);
        if at > 0 {
            out.push_str(if flag || image == Some(at) { " \\\n  " } else { " " });
        }
        out.push_str(&quoted(word));
    }
    out
}

fn quoted(word: &str) -> String {
    let plain = |c: char| {
        c.is_ascii_alphanumeric() || matches!(c, '_' | '@' | '%' | '+' | '=' | ':' | ',' | '.' | '/' | '-')
    };
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}
