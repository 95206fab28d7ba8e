//! Moving through the lines, and selecting them.

use super::feed::{Feed, Inner};
use crate::model::Level;

/// What is gone to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// A line of level ERROR.
    Error,
    /// A line in which the search finds something.
    Match,
}

impl Feed {
    /// Goes to the next one or the one before, from the selected line, else from the top of the view.
    pub(super) fn step(&self, forward: bool, what: What) {
        let found = self.0.borrow().find(forward, what);
        match found {
            Some(id) => self.select(id, false),
            None => self.step_beyond(forward, what),
        }
    }

    /// Selects a line, or all from where the selection began; shows it.
    pub(super) fn select(&self, id: u64, extend: bool) {
        {
            let mut inner = self.0.borrow_mut();
            let from = inner.chosen.map(|(from, _)| from).filter(|_| extend);
            inner.chosen = Some((from.unwrap_or(id), id));
            inner.show = Some(id);
            inner.set_following(false);
        }
        self.paint_soon();
    }

    /// Extends the selection by a line.
    pub(super) fn arrow(&self, down: bool) {
        let next = {
            let inner = self.0.borrow();
            match inner.chosen {
                Some((_, head)) => inner.beside(head, down),
                None => inner.top(),
            }
        };
        if let Some(id) = next {
            self.select(id, true);
        }
    }

    /// Selects every line that is shown.
    pub(super) fn select_all(&self) {
        {
            let mut inner = self.0.borrow_mut();
            let narrow = &inner.narrow;
            inner.chosen = narrow.id(0).zip(narrow.id(narrow.len().saturating_sub(1)));
        }
        self.paint_soon();
    }

    /// Selects nothing.
    pub(super) fn clear(&self) {
        self.0.borrow_mut().chosen = None;
        self.paint_soon();
    }

    /// Goes to the first line.
    pub(super) fn start(&self) {
        let past = self.0.borrow().past.as_ref().map(|past| past.first);
        match past {
            Some(first) => self.jump(first, false),
            None => {
                {
                    let mut inner = self.0.borrow_mut();
                    inner.set_following(false);
                    inner.show = inner.narrow.id(0);
                }
                self.load_earlier();
                self.paint_soon();
            }
        }
    }

    /// Goes to the last line.
    pub(super) fn end(&self) {
        let past = self.0.borrow().past.as_ref().map(|past| past.last);
        match past {
            Some(last) => self.jump(last, false),
            None => self.follow(Some(true)),
        }
    }
}

impl Inner {
    fn find(&self, forward: bool, what: What) -> Option<u64> {
        let head = self.chosen.map(|(_, head)| head);
        let from = head.or_else(|| self.top())?;
        // The end of what is held is the end of a past run's window only: there is more behind it.
        let wraps = self.past.is_none();
        let behind = |id: u64| id > from || (id == from && head.is_none());
        match what {
            What::Match => {
                let ids = self.narrow.matches();
                if forward {
                    let at = ids.partition_point(|id| !behind(*id));
                    ids.get(at).or_else(|| ids.front().filter(|_| wraps)).copied()
                } else {
                    let at = ids.partition_point(|id| *id < from);
                    let before = at.checked_sub(1).and_then(|at| ids.get(at));
                    before.or_else(|| ids.back().filter(|_| wraps)).copied()
                }
            }
            What::Error => {
                let errors = || {
                    (0..self.narrow.len()).filter_map(|at| self.narrow.row(at)).filter_map(|row| {
                        // Of a group that is unfolded, the line that stands for it.
                        let stands = row.part == 0 && (!row.open || row.others > 0);
                        let held =
                            self.store.held(row.id).filter(|held| stands && held.level == Level::Error);
                        held.map(|_| row.id)
                    })
                };
                let beyond = if forward {
                    errors().find(|id| behind(*id))
                } else {
                    errors().rev().find(|id| *id < from)
                };
                beyond.or_else(|| {
                    if forward { errors().next() } else { errors().next_back() }.filter(|_| wraps)
                })
            }
        }
    }

    /// The line that is shown before or behind another one.
    fn beside(&self, id: u64, down: bool) -> Option<u64> {
        let at = if down { self.narrow.place(id + 1) } else { self.narrow.place(id).checked_sub(1)? };
        self.narrow.id(at)
    }
}
