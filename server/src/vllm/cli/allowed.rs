//! Which arguments the page may give to an engine that runs as a process. In: two lists of arguments, what is wanted and what
//! stands already. Out: the arguments that are refused.
//!
//! An allow-list: what is not in `allowed.tsv` is refused, and so is what is there with a value of another kind. Words that
//! stand already are their owner's and stay as long as nothing about them changes.

use super::flags::{Arity, is_spelled_out};
use super::reading::{Fit, Given, Item, read};
use super::source::{Source, source};
use super::standing::news;
use super::typed::lora_path;
use std::collections::HashMap;
use std::sync::LazyLock;

/// Longest word and longest JSON object that are read.
const LONGEST: usize = 4096;

/// What the values of a flag may be; `allowed.tsv` says what each means.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Values {
    None,
    Choice,
    Numbers,
    Words,
    Names,
    Models,
    Modules,
    Revision,
    Scalars,
    OneOf(Vec<&'static str>),
}

static ALLOWED: LazyLock<HashMap<&'static str, Values>> = LazyLock::new(|| {
    let lines = include_str!("allowed.tsv").lines().filter(|line| !line.starts_with('#'));
    let row = |line: &'static str| {
        let (flag, values) = line.split_once('\t')?;
        let values = match values {
            "none" => Values::None,
            "choice" => Values::Choice,
            "number" | "numbers" => Values::Numbers,
            "word" | "words" => Values::Words,
            "names" => Values::Names,
            "model" => Values::Models,
            "modules" => Values::Modules,
            "revision" => Values::Revision,
            "scalars" => Values::Scalars,
            list => Values::OneOf(list.split('|').collect()),
        };
        Some((flag, values))
    };
    lines.filter_map(row).collect()
});

/// Whether something may be loaded from a source, by its text.
pub type MayLoad<'a> = &'a dyn Fn(Source, &str) -> bool;

/// An argument that the page may not give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The flag as written, or the word.
    pub flag: String,
    /// The flag itself may be given, but not with this value.
    pub value: bool,
}

/// The arguments of a process that are neither allowed nor stand already. `may_load` says which sources may be named.
pub fn refused(wanted: &[String], standing: &[String], may_load: MayLoad<'_>) -> Vec<Refused> {
    let items = read(wanted);
    let new = news(wanted, &items, standing);
    let values_of = |flag: &str| -> Vec<String> {
        let own = read(standing);
        let own = own.iter().filter_map(|(item, _)| match item {
            Item::Given(given) if given.flag.name == flag => Some(given.values.clone()),
            _ => None,
        });
        own.flatten().map(str::to_owned).collect()
    };
    let judged = items.iter().zip(new).filter(|(_, new)| *new).filter_map(|((item, _), _)| {
        let given = match item {
            Item::Given(given) => given,
            Item::End => return Some(Refused { flag: "--".to_owned(), value: false }),
            Item::Unknown(word) | Item::Stray(word) | Item::Several(word, _) => {
                return Some(Refused { flag: (*word).to_owned(), value: false });
            }
        };
        let Some(kind) = ALLOWED.get(given.flag.name).filter(|_| is_spelled_out(given.name)) else {
            return Some(Refused { flag: given.name.to_owned(), value: false });
        };
        let fits = match kind {
            // One more adapter beside those of the owner.
            Values::Modules => {
                let known = values_of(given.flag.name);
                !given.dotted
                    && given.values.iter().all(|v| known.iter().any(|k| k == v) || is_module(v, may_load))
            }
            kind => fits(kind, given, may_load),
        };
        (!fits).then(|| Refused { flag: given.name.to_owned(), value: true })
    });
    judged.collect()
}

fn fits(kind: &Values, given: &Given<'_>, may_load: MayLoad<'_>) -> bool {
    if given.dotted {
        // `--flag.key value` sets one key of the object.
        let key = given.name.split_once('.').map_or("", |(_, key)| key);
        return *kind == Values::Scalars
            && given.fit == Fit::Fits
            && key.split('.').all(is_key)
            && given.values.iter().all(|v| is_number(v) || is_word(v));
    }
    let bare = matches!(given.flag.arity, Arity::Switch | Arity::Toggle);
    if bare || *kind == Values::None {
        return given.values.is_empty() && *kind == Values::None;
    }
    let all = |test: &dyn Fn(&str) -> bool| given.values.iter().all(|v| test(v));
    match kind {
        Values::None => false,
        Values::Choice => all(&|v| given.flag.choices.contains(&v)),
        Values::OneOf(list) => all(&|v| list.contains(&v)),
        Values::Numbers => all(&|v| v == "auto" || v.split(',').all(is_number)),
        Values::Words => all(&is_word),
        Values::Names => {
            all(&|v| is_word(&v.replace(['.', '/', '@'], "_")) && source(v).is_some_and(is_name))
        }
        Values::Models => all(&|v| is_model(v, may_load)),
        Values::Modules => all(&|v| is_module(v, may_load)),
        Values::Revision => all(&is_revision),
        Values::Scalars => all(&is_scalars),
    }
}

fn is_name(source: Source) -> bool {
    source == Source::Repository
}

fn is_word(text: &str) -> bool {
    // What says that a class is named elsewhere is no name of vLLM's own.
    text != "custom_class"
        && !text.starts_with('-')
        && (1..=64).contains(&text.len())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ':' | '+'))
}

fn is_key(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic()) && is_word(text)
}

/// `8192`, `-1`, `0.5`, `8k`, `25.6K`, `4GiB`. Not `-0.5`: its dot makes vLLM take it for a flag with a key.
fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.len() < text.len() && digits.contains('.') {
        return false;
    }
    let end = digits.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(digits.len());
    let (number, unit) = digits.split_at(end);
    let units = ["", "k", "K", "m", "M", "g", "G", "t", "T", "KiB", "MiB", "GiB", "TiB"];
    number.len() <= 24 && number.parse::<f64>().is_ok() && units.contains(&unit)
}

/// A repository of the hub, or a folder that is let in.
fn is_model(text: &str, may_load: MayLoad<'_>) -> bool {
    // A name with dots and no owner is how Python names modules.
    let module = !text.contains('/') && text.contains('.');
    !module && source(text).is_some_and(|source| may_load(source, text))
}

/// `NAME=MODEL`, or a JSON object with `name`, `path` and perhaps `base_model_name`.
fn is_module(text: &str, may_load: MayLoad<'_>) -> bool {
    if text.starts_with('{') {
        let Ok(serde_json::Value::Object(object)) = serde_json::from_str(text) else { return false };
        let known = ["name", "path", "base_model_name"];
        if !object.iter().all(|(key, value)| known.contains(&key.as_str()) && value.is_string()) {
            return false;
        }
    }
    lora_path(text).is_some_and(|path| is_model(&path, may_load))
}

/// A branch, a tag or a commit: it becomes a file's name in the cache.
fn is_revision(text: &str) -> bool {
    let part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphanumeric())
            && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
            && !part.contains("..")
    };
    text.len() <= 128 && text.split('/').all(part)
}

/// A JSON object, and objects in it, of numbers, booleans, nothing and words.
fn is_scalars(text: &str) -> bool {
    fn scalar(value: &serde_json::Value) -> bool {
        match value {
            serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => true,
            serde_json::Value::String(text) => is_word(text),
            serde_json::Value::Array(_) => false,
            serde_json::Value::Object(object) => object.iter().all(|(key, v)| is_key(key) && scalar(v)),
        }
    }
    text.len() <= LONGEST
        && serde_json::from_str::<serde_json::Value>(text).is_ok_and(|v| v.is_object() && scalar(&v))
}
