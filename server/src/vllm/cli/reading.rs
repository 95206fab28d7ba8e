//! Reads arguments of `vllm serve` as vLLM itself does. In: words. Out: flags with their values, and what is none, in order.
//!
//! Sources: vLLM 0.32.0, `vllm/utils/argparse_utils.py`; Python 3.11, `argparse.py` (`_parse_optional`,
//! `_get_nargs_pattern`): which words are flags, which are values.

use super::flags::{Arity, Flag, Found, Hit, find};
use std::ops::Range;

/// Whether the values fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// Yes.
    Fits,
    /// There must be one and there is none.
    NoValue,
    /// There may be none, and `=` gives one.
    ValueNotTaken,
}

/// A flag with its values.
#[derive(Clone, Debug)]
pub(super) struct Given<'a> {
    /// Which one.
    pub flag: &'static Flag,
    /// As `--no-…`.
    pub negated: bool,
    /// As written, without `=…`.
    pub name: &'a str,
    /// It sets one key of a JSON value: `--flag.key value`.
    pub dotted: bool,
    /// Its values.
    pub values: Vec<&'a str>,
    /// Whether they fit.
    pub fit: Fit,
}

/// One part of a list of arguments.
#[derive(Clone, Debug)]
pub(super) enum Item<'a> {
    /// A flag.
    Given(Given<'a>),
    /// A flag that is not known; the words behind it are taken for its values.
    Unknown(&'a str),
    /// The beginning of several flags.
    Several(&'a str, Vec<&'static str>),
    /// A word that belongs to no flag.
    Stray(&'a str),
    /// `--`: no flags behind it.
    End,
}

/// The parts, each with the places of its words.
pub(super) fn read(args: &[String]) -> Vec<(Item<'_>, Range<usize>)> {
    let mut out = Vec::new();
    let mut at = 0;
    let mut ended = false;
    while let Some(word) = args.get(at) {
        let from = at;
        at += 1;
        let behind = args.get(at..).unwrap_or_default();
        let item = if ended {
            Item::Stray(word)
        } else if word == "--" {
            ended = true;
            Item::End
        } else {
            let (item, taken) = one(word, behind);
            at += taken;
            item
        };
        out.push((item, from..at));
    }
    out
}

/// Puts items together again that were left when others were taken out. They keep their order; only where a stray word would
/// then be taken for a flag's value, all stray words go first.
pub(super) fn together(items: &[(&Item<'_>, Vec<String>)]) -> Vec<String> {
    let rest = items.iter().flat_map(|(_, words)| words).cloned().collect::<Vec<_>>();
    let as_before = read(&rest).iter().map(|(_, words)| words.len()).eq(items.iter().map(|(_, w)| w.len()));
    if as_before {
        return rest;
    }
    let end = items.iter().position(|(item, _)| matches!(item, Item::End)).unwrap_or(items.len());
    let (before, behind) = items.split_at(end);
    let (strays, flags): (Vec<_>, Vec<_>) =
        before.iter().partition(|(item, _)| matches!(item, Item::Stray(_)));
    strays.into_iter().chain(flags).chain(behind).flat_map(|(_, words)| words).cloned().collect()
}

/// Reads what begins with this word, and says how many of the words behind belong to it.
fn one<'a>(word: &'a str, behind: &'a [String]) -> (Item<'a>, usize) {
    if is_value(word) {
        return (Item::Stray(word), 0);
    }
    if let Some(level) = word.strip_prefix("-O") {
        return optimization(word, level, behind);
    }
    let (name, explicit) = word.split_once('=').map_or((word, None), |(n, v)| (n, Some(v)));
    if let Some((base, _)) = name.split_once('.')
        && let Found::Flag(hit) = find(base)
    {
        // vLLM takes the next word here whatever it is.
        let value = explicit.or_else(|| behind.first().map(String::as_str));
        let fit = if value.is_some() { Fit::Fits } else { Fit::NoValue };
        let taken = usize::from(explicit.is_none() && value.is_some());
        let values = value.into_iter().collect();
        return (
            Item::Given(Given { flag: hit.flag, negated: hit.negated, name, dotted: true, values, fit }),
            taken,
        );
    }
    match find(name) {
        Found::Flag(hit) => given(hit, name, explicit, behind),
        Found::Several(could) => (Item::Several(name, could), 0),
        Found::Nothing => {
            // `-qawq`: a flag of one letter with its value.
            let short = word.char_indices().nth(2).map(|(cut, _)| word.split_at(cut));
            if let Some((short, value)) = short.filter(|(s, _)| !s.starts_with("--"))
                && let Found::Flag(hit) = find(short)
                && short == "-q"
            {
                return given(hit, short, Some(value), behind);
            }
            (Item::Unknown(name), if explicit.is_some() { 0 } else { values(behind) })
        }
    }
}

/// How many of these words, from the first on, are values.
fn values(words: &[String]) -> usize {
    words.iter().take_while(|w| is_value(w)).count()
}

fn given<'a>(hit: Hit, name: &'a str, explicit: Option<&'a str>, behind: &'a [String]) -> (Item<'a>, usize) {
    let most = match hit.flag.arity {
        Arity::Switch | Arity::Toggle => 0,
        Arity::One | Arity::Maybe => 1,
        Arity::Many => usize::MAX,
    };
    let taken = if explicit.is_some() { 0 } else { values(behind).min(most) };
    let list: Vec<&str> = explicit.into_iter().chain(behind.iter().take(taken).map(String::as_str)).collect();
    let fit = match (hit.flag.arity, list.is_empty()) {
        (Arity::Switch | Arity::Toggle, false) => Fit::ValueNotTaken,
        (Arity::One | Arity::Many, true) => Fit::NoValue,
        _ => Fit::Fits,
    };
    let item = Given { flag: hit.flag, negated: hit.negated, name, dotted: false, values: list, fit };
    (Item::Given(item), taken)
}

/// `-O3`, `-O=3`, `-O 3`; before 0.12 `-O '{…}'` was the compilation's configuration.
fn optimization<'a>(word: &'a str, level: &'a str, behind: &'a [String]) -> (Item<'a>, usize) {
    let Found::Flag(hit) = find("--optimization-level") else { return (Item::Unknown(word), 0) };
    let explicit = (!level.is_empty()).then(|| level.strip_prefix('=').unwrap_or(level));
    given(hit, "-O", explicit, behind)
}

/// A negative number.
pub(super) fn is_number(word: &str) -> bool {
    let Some(digits) = word.strip_prefix('-') else { return false };
    let (whole, fraction) = digits.split_once('.').map_or((digits, None), |(w, f)| (w, Some(f)));
    let all = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    match fraction {
        None => !whole.is_empty() && all(whole),
        Some(fraction) => all(whole) && !fraction.is_empty() && all(fraction),
    }
}

/// Whether a word can be a flag's value: it is no flag itself.
pub(super) fn is_value(word: &str) -> bool {
    if !word.starts_with('-') || word == "-" || is_number(word) {
        return true;
    }
    if word == "--" || !word.contains(' ') {
        return false;
    }
    let name = word.split('=').next().unwrap_or(word);
    let base = name.split('.').next().unwrap_or(name);
    !word.starts_with("-O")
        && matches!(find(name), Found::Nothing)
        && (base == name || matches!(find(base), Found::Nothing))
}
