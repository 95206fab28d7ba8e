//! Values of flags as Python would hold and print them.

use super::flags::Kind;

/// One parsed value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<String>),
    /// Printed as it is: the `repr` of an object.
    Object(String),
}

impl Value {
    /// Converts what follows a flag; the error is argparse's text after `argument --x: `.
    pub fn read(text: &str, kind: &Kind) -> Result<Self, String> {
        match kind {
            Kind::Int => {
                text.parse().map(Self::Int).map_err(|_| format!("invalid int value: {}", quoted(text)))
            }
            Kind::Float => {
                text.parse().map(Self::Float).map_err(|_| format!("invalid float value: {}", quoted(text)))
            }
            Kind::HumanInt => human_int(text)
                .map(Self::Int)
                .ok_or_else(|| format!("invalid human_readable_int_or_auto value: {}", quoted(text))),
            Kind::Choice(choices) if !choices.contains(&text) => {
                let list: Vec<String> = choices.iter().map(|choice| quoted(choice)).collect();
                Err(format!("invalid choice: {} (choose from {})", quoted(text), list.join(", ")))
            }
            Kind::Text | Kind::Choice(_) => Ok(Self::Text(text.to_owned())),
        }
    }

    /// Python's `repr`.
    pub fn repr(&self) -> String {
        match self {
            Self::Bool(true) => "True".to_owned(),
            Self::Bool(false) => "False".to_owned(),
            Self::Int(number) => number.to_string(),
            Self::Float(number) => format!("{number:?}"),
            Self::Text(text) => quoted(text),
            Self::List(items) => {
                let items: Vec<String> = items.iter().map(|item| quoted(item)).collect();
                format!("[{}]", items.join(", "))
            }
            Self::Object(text) => text.clone(),
        }
    }
}

/// A Python string literal.
pub fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('\n', "\\n");
    if escaped.contains('\'') && !escaped.contains('"') {
        format!("\"{escaped}\"")
    } else {
        format!("'{}'", escaped.replace('\'', "\\'"))
    }
}

/// vLLM's `human_readable_int_or_auto`: `1k` is 1000, `1K` is 1024, `auto` is -1.
fn human_int(text: &str) -> Option<i64> {
    if text == "auto" {
        return Some(-1);
    }
    let multiplier = match text.chars().last()? {
        'k' => 1000.0,
        'm' => 1e6,
        'g' => 1e9,
        'K' => 1024.0,
        'M' => 1_048_576.0,
        'G' => 1_073_741_824.0,
        _ => return text.parse().ok(),
    };
    let number: f64 = text.get(..text.len() - 1)?.parse().ok()?;
    let product = number * multiplier;
    #[expect(clippy::cast_possible_truncation, reason = "bounded just before")]
    (product.abs() < 1e15).then_some(product as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_may_be_written_with_a_unit() {
        assert_eq!(human_int("32k"), Some(32_000));
        assert_eq!(human_int("32K"), Some(32_768));
        assert_eq!(human_int("auto"), Some(-1));
        assert_eq!(human_int("512"), Some(512));
        assert_eq!(human_int("many"), None);
    }

    #[test]
    fn strings_are_quoted_like_python() {
        assert_eq!(quoted("a"), "'a'");
        assert_eq!(quoted("it's"), "\"it's\"");
    }
}
