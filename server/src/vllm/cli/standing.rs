//! What a change does to arguments that stand already. In: two lists of arguments, what is wanted and what stands. Out: what
//! is new in the first, which dangerous flags have another value in it, and whether the code that runs would be another's.

use super::check::{Note, worth};
use super::reading::{Item, read};
use std::collections::HashMap;
use std::ops::Range;

/// For each item whether it does not stand already with the same words. Of one flag's items those that stand keep their
/// order: the last one counts.
pub(super) fn news(wanted: &[String], items: &[(Item<'_>, Range<usize>)], standing: &[String]) -> Vec<bool> {
    let own = read(standing);
    let mut stands: HashMap<&str, Vec<&[String]>> = HashMap::new();
    for (item, words) in own.iter().rev() {
        stands.entry(group(item)).or_default().push(standing.get(words.clone()).unwrap_or_default());
    }
    // The last item of each flag, and whether it is one that another overrides where it stands.
    let mut last: HashMap<&str, (usize, bool)> = HashMap::new();
    let mut new = Vec::with_capacity(items.len());
    for (at, (item, words)) in items.iter().enumerate() {
        let words = wanted.get(words.clone()).unwrap_or_default();
        let left = stands.get_mut(group(item));
        let found = left.and_then(|left| {
            let found = left.iter().rposition(|own| *own == words)?;
            left.truncate(found);
            Some(found)
        });
        new.push(found.is_none());
        last.insert(group(item), (at, found.is_some_and(|found| found > 0)));
    }
    // What was overridden is not in force: to make it so by removing the other is new.
    for (at, overridden) in last.into_values() {
        if let Some(new) = new.get_mut(at) {
            *new |= overridden;
        }
    }
    new
}

fn group<'a>(item: &Item<'a>) -> &'a str {
    match item {
        Item::Given(given) => given.flag.name,
        Item::Unknown(word) | Item::Several(word, _) => word,
        Item::Stray(_) | Item::End => "",
    }
}

/// Flags of dangerous kinds that stand already and would get another value.
pub fn changed_dangers(wanted: &[String], standing: &[String]) -> Vec<String> {
    let items = read(wanted);
    let new = news(wanted, &items, standing);
    let own = read(standing);
    let stands =
        |name: &str| own.iter().any(|(item, _)| matches!(item, Item::Given(g) if g.flag.name == name));
    let changed = items.iter().zip(new).filter(|(_, new)| *new).filter_map(|((item, _), _)| {
        let Item::Given(given) = item else { return None };
        let dangerous =
            matches!(worth(given.flag.name), Some(Note::LoadsCode | Note::OpensFiles | Note::ReadsSettings));
        (dangerous && !given.negated && stands(given.flag.name)).then(|| given.name.to_owned())
    });
    changed.collect()
}

/// Whether code that comes with a model is run: the last word about it counts.
pub fn trusts_code(args: &[String]) -> bool {
    let items = read(args);
    let said = items.iter().rev().find_map(|(item, _)| match item {
        Item::Given(given) if given.flag.name == "--trust-remote-code" => Some(!given.negated),
        _ => None,
    });
    said.unwrap_or(false)
}

/// The arguments that say, beside the model, where code comes from that is run with it: each flag with its words.
pub fn code_origins(args: &[String]) -> Vec<(&'static str, Vec<String>)> {
    const FLAGS: [&str; 12] = [
        "--code-revision",
        "--config-format",
        "--hf-config-path",
        "--hf-overrides",
        "--model",
        "--model-impl",
        "--revision",
        "--spec-model",
        "--speculative-config",
        "--speculative-model",
        "--tokenizer",
        "--tokenizer-revision",
    ];
    let items = read(args);
    let named = items.iter().filter_map(|(item, words)| match item {
        Item::Given(given) if FLAGS.contains(&given.flag.name) => {
            Some((given.flag.name, args.get(words.clone()).unwrap_or_default().to_vec()))
        }
        _ => None,
    });
    named.collect()
}

/// Flags that keep others out and stand already, of which the page would take one away: the key of the API, its certificates.
pub fn lost_guards(wanted: &[String], standing: &[String]) -> Vec<String> {
    const GUARDS: [&str; 5] =
        ["--api-key", "--ssl-keyfile", "--ssl-certfile", "--ssl-ca-certs", "--allowed-media-domains"];
    let of = |args: &[String], guard: &str| -> Vec<Vec<String>> {
        let items = read(args);
        let named = items.iter().filter(|(item, _)| matches!(item, Item::Given(g) if g.flag.name == guard));
        named.map(|(_, words)| args.get(words.clone()).unwrap_or_default().to_vec()).collect()
    };
    let lost = |guard: &&str| {
        let before = of(standing, guard);
        !before.is_empty() && before != of(wanted, guard)
    };
    GUARDS.into_iter().filter(lost).map(str::to_owned).collect()
}
