//! What messages mean: words that must all stand in one message, and the cause they prove.
//!
//! One pass of an automaton finds the words of all rules at once, so that a rule more costs nothing per line.

use super::table;
use aho_corasick::{AhoCorasick, AhoCorasickBuilder, AhoCorasickKind, MatchKind};
use app::model::{Cause, Facts};
use std::collections::HashMap;
use std::sync::LazyLock;

/// A message: the lines that belong together.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// As it was written, lines joined by a space.
    pub text: &'a str,
    /// In small letters without white space.
    pub squeezed: &'a str,
}

/// What a message that a rule knows says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    /// Why it ended.
    Cause(Cause),
    /// A process of the engine is gone; why, other lines tell.
    Died,
    /// The start failed; why, other lines tell.
    Failed,
    /// Somebody asked it to end.
    Stop,
    /// It looks like a cause and is none.
    Nothing,
}

/// How much a message proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// It may have been handled: it counts only beside a failure that nothing else explains.
    Weak,
    /// Printed without a traceback around it.
    Medium,
    /// An exception, or a message that only a failure prints.
    Strong,
}

/// One entry of the table. Words are matched without regard to case and white space.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// What it says.
    pub means: Means,
    /// All of these must stand in the message.
    pub all: &'static [&'static str],
    /// None of these may.
    pub none: &'static [&'static str],
    /// How much it proves at most.
    pub weight: Weight,
    /// Also where no exception is: plain lines of Docker, of the kernel, of argparse.
    pub plain: bool,
    /// The process ends with it, whether it was ready or not.
    pub fatal: bool,
    /// Reads the numbers and names.
    pub facts: fn(&Message<'_>, &mut Facts),
}

const fn no_facts(_: &Message<'_>, _: &mut Facts) {}

/// An exception or an error line that proves a cause.
pub const fn proves(cause: Cause, all: &'static [&'static str]) -> Rule {
    Rule {
        means: Means::Cause(cause),
        all,
        none: &[],
        weight: Weight::Strong,
        plain: false,
        fatal: false,
        facts: no_facts,
    }
}

/// A line that says something else than a cause.
pub const fn says(means: Means, all: &'static [&'static str]) -> Rule {
    Rule { means, plain: true, ..proves(Cause::Unknown, all) }
}

impl Rule {
    /// Reads facts with this.
    pub const fn with(self, facts: fn(&Message<'_>, &mut Facts)) -> Self {
        Self { facts, ..self }
    }

    /// Not where one of these stands.
    pub const fn but(self, none: &'static [&'static str]) -> Self {
        Self { none, ..self }
    }

    /// Also in plain lines.
    pub const fn plain(self) -> Self {
        Self { plain: true, ..self }
    }

    /// In plain lines, and the process ends with it.
    pub const fn fatal(self) -> Self {
        Self { plain: true, fatal: true, ..self }
    }

    /// Proves little by itself.
    pub const fn weak(self) -> Self {
        Self { weight: Weight::Weak, ..self }
    }
}

/// Words that can be told apart in one message; more are a mistake in the table.
const WORDS: usize = 64 * 8;

type Found = [u64; WORDS / 64];

struct Matcher {
    words: Option<AhoCorasick>,
    rules: Vec<Entry>,
}

struct Entry {
    rule: &'static Rule,
    all: Vec<u16>,
    none: Vec<u16>,
}

static MATCHER: LazyLock<Matcher> = LazyLock::new(|| {
    let mut numbers: HashMap<String, u16> = HashMap::new();
    let mut number = |word: &&str| {
        let mut squeezed = String::new();
        super::numbers::squeeze(word, &mut squeezed);
        let next = numbers.len() as u16;
        *numbers.entry(squeezed).or_insert(next)
    };
    let rules: Vec<Entry> = table::ALL
        .iter()
        .flat_map(|part| part.iter())
        .map(|rule| Entry {
            rule,
            all: rule.all.iter().map(&mut number).collect(),
            none: rule.none.iter().map(&mut number).collect(),
        })
        .collect();
    let mut words: Vec<(u16, String)> = numbers.into_iter().map(|(word, n)| (n, word)).collect();
    words.sort_unstable();
    let words = AhoCorasickBuilder::new()
        .match_kind(MatchKind::Standard)
        .kind(Some(AhoCorasickKind::DFA))
        .build(words.iter().map(|(_, word)| word.as_str()))
        .ok();
    Matcher { words, rules }
});

/// The first rule that the message fulfils.
pub fn first(squeezed: &str, plain_only: bool) -> Option<&'static Rule> {
    let matcher = &*MATCHER;
    let mut found: Found = [0; WORDS / 64];
    let mut any = false;
    for hit in matcher.words.as_ref()?.find_overlapping_iter(squeezed) {
        let n = hit.pattern().as_usize();
        if let Some(slot) = found.get_mut(n / 64) {
            *slot |= 1 << (n % 64);
            any = true;
        }
    }
    if !any {
        return None;
    }
    let has = |n: &u16| found.get(usize::from(*n) / 64).is_some_and(|slot| slot >> (n % 64) & 1 == 1);
    matcher
        .rules
        .iter()
        .find(|e| (e.rule.plain || !plain_only) && e.all.iter().all(has) && !e.none.iter().any(has))
        .map(|e| e.rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_room_and_no_empty_rule() {
        let matcher = &*MATCHER;
        let words = matcher.words.as_ref().expect("the words build");
        assert!(words.patterns_len() <= WORDS, "{} words", words.patterns_len());
        assert!(matcher.rules.iter().all(|e| !e.all.is_empty()));
    }

    #[test]
    fn words_are_found_without_regard_to_case_and_space() {
        let mut squeezed = String::new();
        super::super::numbers::squeeze("torch.OutOfMemoryError: CUDA out of mem\nory. Tried", &mut squeezed);
        assert_eq!(first(&squeezed, false).map(|r| r.means), Some(Means::Cause(Cause::DoesNotFit)));
        assert!(first("nothingofthiskind", false).is_none());
    }
}
