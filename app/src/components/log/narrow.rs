//! Which of the held entries are shown: the level filters and the search. Pure.

use super::store::{Entry, Store};
use crate::model::Level;
use std::collections::VecDeque;

/// Which levels are shown: one bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Levels(u8);

impl Levels {
    /// Every level.
    pub const ALL: Self = Self(0b1_1111);

    /// Whether this level is shown.
    pub const fn has(self, level: Level) -> bool {
        self.0 & (1 << level as u8) != 0
    }

    /// With this level shown or not.
    #[must_use]
    pub const fn with(self, level: Level, shown: bool) -> Self {
        let bit = 1 << level as u8;
        Self(if shown { self.0 | bit } else { self.0 & !bit })
    }
}

/// What is searched for, without regard to case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query(Vec<char>);

impl Query {
    /// Folds the text that was typed.
    pub fn new(text: &str) -> Self {
        Self(text.chars().map(fold).collect())
    }

    /// Nothing is searched for.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Where the next match lies in `text` from the byte `from` on.
    pub fn find(&self, text: &str, from: usize) -> Option<(usize, usize)> {
        let first = *self.0.first()?;
        let mut at = from;
        // Only a byte that can begin the first character is looked at closely.
        let ascii = first.is_ascii();
        let (lower, upper) = (first as u32 as u8, (first as u32 as u8).to_ascii_uppercase());
        while at < text.len() {
            let offset = text.as_bytes()[at..]
                .iter()
                .position(|b| if ascii { *b == lower || *b == upper || *b >= 0x80 } else { *b >= 0x80 })?;
            at += offset;
            if !text.is_char_boundary(at) {
                at += 1;
                continue;
            }
            let mut chars = text[at..].chars();
            if self.0.iter().all(|wanted| chars.next().is_some_and(|c| fold(c) == *wanted)) {
                return Some((at, text.len() - chars.as_str().len()));
            }
            at += 1;
        }
        None
    }

    /// Every match of this query is a match of `wider`, too.
    fn narrows(&self, wider: &Self) -> bool {
        self.0.starts_with(&wider.0)
    }
}

fn fold(c: char) -> char {
    if c.is_ascii() { c.to_ascii_lowercase() } else { c.to_lowercase().next().unwrap_or(c) }
}

/// The ids of the entries that are shown, in order.
#[derive(Debug)]
pub struct Narrow {
    levels: Levels,
    query: Query,
    ids: VecDeque<u64>,
    seen: u64,
}

impl Default for Narrow {
    fn default() -> Self {
        Self { levels: Levels::ALL, query: Query::default(), ids: VecDeque::new(), seen: 0 }
    }
}

impl Narrow {
    /// What is searched for.
    pub const fn query(&self) -> &Query {
        &self.query
    }

    /// How many entries are shown.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// The id at a place of the shown entries.
    pub fn id(&self, at: usize) -> Option<u64> {
        self.ids.get(at).copied()
    }

    /// The place of an entry, or of the next one that is shown.
    pub fn place(&self, id: u64) -> usize {
        self.ids.partition_point(|shown| *shown < id)
    }

    /// Other filters: everything that is held is judged again.
    pub fn set(&mut self, store: &Store, levels: Levels, query: Query) {
        let narrows = levels == self.levels && !self.query.is_empty() && query.narrows(&self.query);
        self.levels = levels;
        self.query = query;
        if narrows {
            let mut ids = std::mem::take(&mut self.ids);
            ids.retain(|id| store.get(*id).is_some_and(|entry| self.shows(store, entry)));
            self.ids = ids;
        } else {
            self.again(store);
        }
    }

    /// Judges everything that is held again.
    pub fn again(&mut self, store: &Store) {
        self.ids.clear();
        self.seen = store.first_id();
        self.follow(store);
    }

    /// Takes what is new in the store and lets go of what fell out: how many came, how many went.
    pub fn follow(&mut self, store: &Store) -> (usize, usize) {
        let mut went = 0;
        while self.ids.front().is_some_and(|id| *id < store.first_id()) {
            self.ids.pop_front();
            went += 1;
        }
        let before = self.ids.len();
        for id in self.seen.max(store.first_id())..store.end_id() {
            if store.get(id).is_some_and(|entry| self.shows(store, entry)) {
                self.ids.push_back(id);
            }
        }
        self.seen = store.end_id();
        (self.ids.len() - before, went)
    }

    fn shows(&self, store: &Store, entry: &Entry) -> bool {
        match entry {
            Entry::Line(held) => {
                self.levels.has(held.level)
                    && (self.query.is_empty()
                        || self.query.find(store.text(held), 0).is_some()
                        || self.query.find(store.source(held), 0).is_some())
            }
            // What is missing could have matched.
            Entry::Gap(_) => true,
            Entry::Run { .. } => self.query.is_empty(),
        }
    }
}
