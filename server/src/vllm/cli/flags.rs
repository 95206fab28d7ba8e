//! The flags that vLLM knows. In: a name as somebody wrote it. Out: the flag, or the nearest one.
//!
//! Source: `flags.tsv` beside this file, whose head says how it is made.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::LazyLock;

/// What stands behind a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arity {
    /// Nothing.
    Switch,
    /// Nothing, and there is a `--no-…`.
    Toggle,
    /// One value.
    One,
    /// One value or more.
    Many,
    /// One value or none.
    Maybe,
}

/// A flag.
#[derive(Debug)]
pub(super) struct Flag {
    /// Its long name.
    pub name: &'static str,
    /// What it takes.
    pub arity: Arity,
    /// What is allowed; empty where anything is, or the list is not closed.
    pub choices: Vec<&'static str>,
    /// Only versions before 0.32 have it.
    pub old: bool,
}

/// A flag, and whether it was written as `--no-…`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hit {
    /// The flag.
    pub flag: &'static Flag,
    /// It is switched off.
    pub negated: bool,
}

/// What a name means.
#[derive(Debug)]
pub(super) enum Found {
    /// This.
    Flag(Hit),
    /// It is the beginning of several.
    Several(Vec<&'static str>),
    /// Nothing.
    Nothing,
}

struct Table {
    flags: Vec<Flag>,
    /// Each spelling, with the flag's place.
    names: BTreeMap<String, (usize, bool)>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let mut table = Table { flags: Vec::new(), names: BTreeMap::new() };
    for line in include_str!("flags.tsv").lines().filter(|l| !l.starts_with('#')) {
        let mut columns = line.split('\t');
        let (Some(names), Some(arity), Some(choices), Some(version)) =
            (columns.next(), columns.next(), columns.next(), columns.next())
        else {
            continue;
        };
        let arity = match arity {
            "switch" => Arity::Switch,
            "toggle" => Arity::Toggle,
            "many" => Arity::Many,
            "maybe" => Arity::Maybe,
            _ => Arity::One,
        };
        let at = table.flags.len();
        for name in names.split(',') {
            table.names.insert(name.to_owned(), (at, false));
            if let (Arity::Toggle, Some(bare)) = (arity, name.strip_prefix("--")) {
                table.names.insert(format!("--no-{bare}"), (at, true));
            }
        }
        let name = names.split(',').next().unwrap_or(names);
        let choices = choices.split('|').filter(|c| *c != "-").collect();
        table.flags.push(Flag { name, arity, choices, old: version == "old" });
    }
    table
});

fn hit((at, negated): (usize, bool)) -> Option<Hit> {
    TABLE.flags.get(at).map(|flag| Hit { flag, negated })
}

/// What a name means, as argparse takes it: with dashes or underscores, whole or as an unmistakable beginning.
pub(super) fn find(name: &str) -> Found {
    let name = spelled(name);
    if let Some(hit) = TABLE.names.get(&name).copied().and_then(hit) {
        return Found::Flag(hit);
    }
    if name.trim_start_matches('-').is_empty() {
        return Found::Nothing;
    }
    let from = TABLE.names.range::<str, _>((Bound::Included(name.as_str()), Bound::Unbounded));
    let mut begun: Vec<(usize, bool)> =
        from.take_while(|(known, _)| known.starts_with(&name)).map(|(_, at)| *at).collect();
    begun.sort_unstable();
    begun.dedup();
    let now = |(at, _): &(usize, bool)| TABLE.flags.get(*at).is_some_and(|f| !f.old);
    // An earlier version's flag is no rival of today's.
    if begun.iter().any(now) {
        begun.retain(now);
    }
    match begun.as_slice() {
        [] => Found::Nothing,
        [one] => hit(*one).map_or(Found::Nothing, Found::Flag),
        several => {
            Found::Several(several.iter().filter_map(|at| hit(*at)).map(|h| h.flag.name).take(12).collect())
        }
    }
}

/// Whether a name is written in full: what an abbreviation means differs between versions of vLLM.
pub(super) fn is_spelled_out(name: &str) -> bool {
    let base = name.split('.').next().unwrap_or(name);
    base == "-O" || TABLE.names.contains_key(&spelled(base))
}

/// A long name with dashes, as vLLM reads it before argparse does.
fn spelled(name: &str) -> String {
    if name.starts_with("--") { name.replace('_', "-") } else { name.to_owned() }
}

/// The flag that was probably meant.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    let name = spelled(name);
    let name = name.split('.').next().unwrap_or_default();
    if name.len() > 64 {
        return None;
    }
    let limit = (name.len() / 6).clamp(1, 3);
    TABLE
        .names
        .iter()
        .filter(|(known, _)| known.len().abs_diff(name.len()) <= limit)
        .map(|(known, at)| (distance(name, known), *at))
        .filter(|(edits, _)| *edits <= limit)
        .min()
        .and_then(|(_, at)| hit(at))
        .map(|h| h.flag.name)
}

/// Levenshtein's distance: letters put in, taken out or changed.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut left = i + 1;
        let mut next = vec![left];
        for (y, above) in b.iter().zip(row.windows(2)) {
            if let [corner, above] = above {
                left = (corner + usize::from(x != *y)).min(above + 1).min(left + 1);
                next.push(left);
            }
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}
