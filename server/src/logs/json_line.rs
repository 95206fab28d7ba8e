//! Log lines that are JSON objects.

use super::level::{Classified, Continuation, Text, level_word};
use app::model::{Level, LineKind};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// The fields of a JSON log line that loggers agree on.
#[derive(Debug, Default)]
pub struct JsonLine<'a> {
    level: Option<Level>,
    message: Option<Cow<'a, str>>,
    logger: Option<Cow<'a, str>>,
    process: Option<Cow<'a, str>>,
    exception: Option<Cow<'a, str>>,
}

impl<'a> JsonLine<'a> {
    /// Reads a line; `None` when it is not a JSON object or none that a logger wrote.
    pub fn read(line: &'a str) -> Option<Self> {
        if !line.starts_with('{') || !line.ends_with('}') {
            return None;
        }
        let read: Self = serde_json::from_str(line).ok()?;
        (read.level.is_some() || (read.message.is_some() && read.logger.is_some())).then_some(read)
    }

    /// The logger's name; empty when the line has none.
    pub fn logger(&self) -> Cow<'a, str> {
        self.logger.clone().unwrap_or_default()
    }

    /// The process that the program named, under the key that it uses for that (`…process_name`).
    pub fn process(&self) -> Option<Cow<'a, str>> {
        self.process.clone()
    }

    /// The line as the log keeps it. Without a message the whole object is the text.
    pub fn into_classified(self, line: &'a str, source: Cow<'a, str>) -> Classified<'a> {
        let level = self.level.unwrap_or(Level::Other);
        let text = match (self.message, self.exception) {
            (Some(message), Some(exception)) => Text::Own(format!("{message}\n{exception}")),
            (Some(Cow::Borrowed(message)), None) => {
                let start = (message.as_ptr() as usize).saturating_sub(line.as_ptr() as usize);
                Text::Part(start..start + message.len())
            }
            (Some(Cow::Owned(message)), None) => Text::Own(message),
            (None, _) => Text::all(line),
        };
        Classified { level, source, text, kind: LineKind::None, next: Continuation::of(level) }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for JsonLine<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = JsonLine<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<JsonLine<'de>, A::Error> {
                let mut line = JsonLine::default();
                while let Some(Plain(Some(key))) = map.next_key::<Plain<'de>>()? {
                    let Plain(value) = map.next_value()?;
                    let Some(value) = value.filter(|v| !v.is_empty()) else { continue };
                    match key.as_ref() {
                        "level" | "levelname" | "severity" | "lvl" | "log.level" => {
                            line.level =
                                line.level.or_else(|| level_word(&value).or_else(|| level_number(&value)));
                        }
                        "message" | "msg" => line.message = Some(value),
                        "event" if line.message.is_none() => line.message = Some(value),
                        "name" | "logger" | "logger_name" | "target" => line.logger = Some(value),
                        "exc_info" | "exception" | "traceback" => line.exception = Some(value),
                        key if key.ends_with("_process_name") => line.process = Some(value),
                        _ => {}
                    }
                }
                Ok(line)
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// Levels as bunyan and pino write them, and as Python counts them.
fn level_number(text: &str) -> Option<Level> {
    match text.parse::<u32>().ok()? {
        0..=29 if text == "10" || text == "20" => Some(Level::Debug),
        30 => Some(Level::Info),
        40 => Some(Level::Warning),
        50..=69 => Some(Level::Error),
        _ => None,
    }
}

/// A string or a number, as text; `None` for everything else.
struct Plain<'a>(Option<Cow<'a, str>>);

impl<'de: 'a, 'a> Deserialize<'de> for Plain<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Value;
        impl<'de> Visitor<'de> for Value {
            type Value = Plain<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Plain<'de>, E> {
                Ok(Plain(Some(Cow::Borrowed(text))))
            }
            fn visit_str<E>(self, text: &str) -> Result<Plain<'de>, E> {
                Ok(Plain(Some(Cow::Owned(text.to_owned()))))
            }
            fn visit_u64<E>(self, n: u64) -> Result<Plain<'de>, E> {
                Ok(Plain(Some(Cow::Owned(n.to_string()))))
            }
            fn visit_i64<E>(self, _: i64) -> Result<Plain<'de>, E> {
                Ok(Plain(None))
            }
            fn visit_f64<E>(self, _: f64) -> Result<Plain<'de>, E> {
                Ok(Plain(None))
            }
            fn visit_bool<E>(self, _: bool) -> Result<Plain<'de>, E> {
                Ok(Plain(None))
            }
            fn visit_unit<E>(self) -> Result<Plain<'de>, E> {
                Ok(Plain(None))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Plain<'de>, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Plain(None))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Plain<'de>, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Plain(None))
            }
        }
        deserializer.deserialize_any(Value)
    }
}
