//! Which of the held entries are shown, and as which rows: filters, search, folding. Pure.

use super::row;
use super::store::{Entry, Store};
use super::wrap::{self, Wrap};
use crate::model::{Level, LineKind};
use std::collections::VecDeque;

/// Rows that a line of JSON may take.
const MOST_PARTS: usize = 10_000;

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
}

fn fold(c: char) -> char {
    if c.is_ascii() { c.to_ascii_lowercase() } else { c.to_lowercase().next().unwrap_or(c) }
}

/// What is shown, and what is marked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// Of these levels.
    pub levels: Levels,
    /// From standard output, from standard error.
    pub streams: [bool; 2],
    /// Access lines of probes, too.
    pub probes: bool,
    /// Only lines in which the search finds something.
    pub only: bool,
    /// What is marked.
    pub query: Query,
}

impl Default for Filter {
    fn default() -> Self {
        Self { levels: Levels::ALL, streams: [true; 2], probes: false, only: false, query: Query::default() }
    }
}

impl Filter {
    /// Lines that the search does not find are left out.
    const fn narrows(&self) -> bool {
        self.only && !self.query.is_empty()
    }
}

/// How lines become rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// Lines of one kind that follow each other become one.
    pub fold: bool,
    /// Long lines become several.
    pub wrap: Option<Wrap>,
}

/// A row: a part of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The entry.
    pub id: u64,
    /// Which of its parts.
    pub part: u16,
    /// How many lines before it belong to it, on the first part.
    pub others: u32,
    /// They are shown.
    pub open: bool,
}

/// Lines of one kind that follow each other, at the end of what is shown.
#[derive(Clone, Copy, Debug)]
struct Group {
    kind: LineKind,
    last: u64,
    others: u32,
    open: bool,
}

enum Judged {
    Out,
    HiddenProbe,
    In { kind: LineKind, found: bool },
}

/// The rows that are shown, in order.
#[derive(Debug, Default)]
pub struct Narrow {
    filter: Filter,
    layout: Layout,
    rows: VecDeque<Row>,
    /// Lines in which the search finds something, folded ones, too.
    matches: VecDeque<u64>,
    /// Lines of probes that are not shown.
    hidden: VecDeque<u64>,
    group: Option<Group>,
    /// Groups that are unfolded, by their first line.
    opened: Vec<u64>,
    /// Lines of JSON that are laid out.
    laid_out: Vec<(u64, Vec<String>)>,
    seen: u64,
}

impl Narrow {
    /// What is shown, and what is marked.
    pub const fn filter(&self) -> &Filter {
        &self.filter
    }

    /// How lines become rows.
    pub const fn layout(&self) -> Layout {
        self.layout
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// A row by its place.
    pub fn row(&self, at: usize) -> Option<Row> {
        self.rows.get(at).copied()
    }

    /// The id at a place.
    pub fn id(&self, at: usize) -> Option<u64> {
        self.rows.get(at).map(|row| row.id)
    }

    /// The place of an entry, or of the next one that is shown.
    pub fn place(&self, id: u64) -> usize {
        self.rows.partition_point(|row| row.id < id)
    }

    /// Lines in which the search finds something.
    pub const fn matches(&self) -> &VecDeque<u64> {
        &self.matches
    }

    /// How many lines of probes are held and not shown.
    pub fn hidden(&self) -> usize {
        self.hidden.len()
    }

    /// The lines of a JSON text that is laid out.
    pub fn laid_out(&self, id: u64) -> Option<&[String]> {
        self.laid_out.iter().find(|(of, _)| *of == id).map(|(_, lines)| lines.as_slice())
    }

    /// Other filters, another layout: everything that is held is judged again.
    pub fn set(&mut self, store: &Store, filter: Filter, layout: Layout) {
        self.filter = filter;
        self.layout = layout;
        self.again(store);
    }

    /// Judges everything that is held again.
    pub fn again(&mut self, store: &Store) {
        self.rows.clear();
        self.matches.clear();
        self.hidden.clear();
        self.group = None;
        self.seen = store.first_id();
        self.follow(store);
    }

    /// Takes what is new in the store and lets go of what fell out: how many entries came, how many rows went.
    pub fn follow(&mut self, store: &Store) -> (usize, usize) {
        let first = store.first_id();
        let before = self.rows.len();
        while self.rows.front().is_some_and(|row| row.id < first) {
            self.rows.pop_front();
        }
        let went = before - self.rows.len();
        for ids in [&mut self.matches, &mut self.hidden] {
            while ids.front().is_some_and(|id| *id < first) {
                ids.pop_front();
            }
        }
        let mut came = 0;
        for id in self.seen.max(first)..store.end_id() {
            came += usize::from(self.take(store, id));
        }
        self.seen = store.end_id();
        (came, went)
    }

    /// Folds or unfolds what is at a row: a group of lines, or a line of JSON. `false` when there is nothing to.
    pub fn toggle(&mut self, store: &Store, id: u64) -> bool {
        let Some(row) = self.row(self.place(id)).filter(|row| row.id == id) else { return false };
        if row.others > 0 {
            let first = self.group_of(store, row);
            match self.opened.iter().position(|id| *id == first) {
                Some(at) => drop(self.opened.swap_remove(at)),
                None => self.opened.push(first),
            }
        } else if let Some(at) = self.laid_out.iter().position(|(of, _)| *of == id) {
            self.laid_out.swap_remove(at);
        } else {
            let lines = store.held(id).and_then(|held| wrap::pretty(store.text(held)));
            let Some(lines) = lines.filter(|lines| lines.len() <= MOST_PARTS) else { return false };
            self.laid_out.push((id, lines));
        }
        self.again(store);
        true
    }

    /// Makes sure that an entry has a row of its own: its place, if it is shown.
    pub fn reveal(&mut self, store: &Store, id: u64) -> Option<usize> {
        let row = self.row(self.place(id))?;
        if row.id != id && row.others > 0 && !row.open {
            self.toggle(store, row.id);
        }
        let at = self.place(id);
        (self.id(at) == Some(id)).then_some(at)
    }

    /// Entries have other ids by now.
    pub fn renumber(&mut self, new: &dyn Fn(u64) -> Option<u64>) {
        let moved = |id: &mut u64| new(*id).map(|new| *id = new).is_some();
        self.opened.retain_mut(moved);
        self.laid_out.retain_mut(|(id, _)| moved(id));
    }

    /// Everything from one entry to another that the filters show, folded lines, too; those folded into the first come first.
    pub fn spread<'a>(&'a self, store: &'a Store, from: u64, to: u64) -> impl Iterator<Item = u64> + 'a {
        let row = self.row(self.place(from)).filter(|row| row.id == from && !row.open);
        let from = row.map_or(from, |row| self.group_of(store, row));
        (from..=to).filter(|id| matches!(self.judge(store, *id), Judged::In { .. }))
    }

    /// The first line of a row's group.
    fn group_of(&self, store: &Store, row: Row) -> u64 {
        let (mut first, mut left) = (row.id, row.others);
        for id in (store.first_id()..row.id).rev() {
            if left == 0 {
                break;
            }
            if matches!(self.judge(store, id), Judged::In { .. }) {
                first = id;
                left -= 1;
            }
        }
        first
    }

    fn judge(&self, store: &Store, id: u64) -> Judged {
        let filter = &self.filter;
        match store.get(id) {
            Some(Entry::Line(held)) => {
                if !filter.levels.has(held.level) || !filter.streams[held.stream as usize] {
                    return Judged::Out;
                }
                if held.kind == LineKind::Probe && !filter.probes {
                    return Judged::HiddenProbe;
                }
                let found = !filter.query.is_empty()
                    && (filter.query.find(store.text(held), 0).is_some()
                        || filter.query.find(store.source(held), 0).is_some());
                if found || !filter.narrows() { Judged::In { kind: held.kind, found } } else { Judged::Out }
            }
            // What is missing could have matched.
            Some(Entry::Gap(_)) => Judged::In { kind: LineKind::None, found: false },
            Some(Entry::Run { .. }) if !filter.narrows() => Judged::In { kind: LineKind::None, found: false },
            _ => Judged::Out,
        }
    }

    fn take(&mut self, store: &Store, id: u64) -> bool {
        let (kind, found) = match self.judge(store, id) {
            Judged::Out => return false,
            Judged::HiddenProbe => {
                self.hidden.push_back(id);
                return false;
            }
            Judged::In { kind, found } => (kind, found),
        };
        if found {
            self.matches.push_back(id);
        }
        let folds = self.layout.fold && !self.filter.narrows() && row::folds(kind);
        let group = match self.group {
            Some(group) if folds && group.kind == kind => {
                self.go_on(group);
                Group { last: id, others: group.others + 1, ..group }
            }
            _ => Group { kind, last: id, others: 0, open: self.opened.contains(&id) },
        };
        self.group = Some(group).filter(|_| folds);
        for part in 0..self.parts(store, id) {
            let others = if part == 0 && folds { group.others } else { 0 };
            self.rows.push_back(Row { id, part, others, open: group.open });
        }
        true
    }

    /// The group's last line is not its last any more.
    fn go_on(&mut self, group: Group) {
        if group.open {
            for row in self.rows.iter_mut().rev().take_while(|row| row.id == group.last) {
                row.others = 0;
            }
        } else {
            while self.rows.back().is_some_and(|row| row.id == group.last) {
                self.rows.pop_back();
            }
        }
    }

    fn parts(&self, store: &Store, id: u64) -> u16 {
        if let Some(lines) = self.laid_out(id) {
            return u16::try_from(lines.len()).unwrap_or(u16::MAX);
        }
        match (self.layout.wrap, store.held(id)) {
            (Some(wrap), Some(held)) => wrap.parts(store.text(held), store.source(held)),
            _ => 1,
        }
    }
}
