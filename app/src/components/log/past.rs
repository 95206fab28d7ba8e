//! The window on one run's lines, asked for over HTTP: only those around what is read are held.

use super::attach;
use super::controls::Controls;
use super::feed::{Feed, Inner, show_address};
use super::fetch::{self, BATCH};
use super::moves::What;
use crate::model::{Level, LogPosition, ServiceName, Timestamp};
use leptos::prelude::*;
use std::time::Duration;

/// Lines on each side of the one that is jumped to.
const AROUND: u64 = 1000;
/// How long the address rests behind what is read.
const REST: Duration = Duration::from_millis(400);

/// The run of the window.
pub(super) struct Past {
    run: u64,
    /// The first line that can be had.
    pub first: u64,
    /// The last one.
    pub last: u64,
    /// There is nothing more before, behind what is held that the filters would show.
    reached: [bool; 2],
    /// The address of what is read, as it was last written.
    address: String,
    addressing: bool,
    /// What the filters wanted of the lines that are held.
    asked: String,
    /// Which jump was the last: answers to those before it come too late.
    turn: u32,
}

/// What is asked for lines.
struct Asking {
    service: ServiceName,
    run: u64,
    /// What the filters want.
    what: String,
    turn: u32,
}

/// Brings the window of a past run to life, if the server wrote one.
pub(super) fn open(live: &Feed) {
    let Some(controls) = Controls::find("past") else { return };
    let Some(run) = controls.said("run") else { return };
    let (first, last) = (controls.said("first").unwrap_or(1), controls.said("last").unwrap_or(1));
    let line: Option<u64> = controls.said("line");
    // Where the page is one column, it would lie below what is seen.
    let narrow =
        window().inner_width().ok().and_then(|width| width.as_f64()).is_some_and(|width| width < 960.0);
    if narrow {
        controls.section.scroll_into_view();
    }
    let words = live.0.borrow().words;
    let feed = Feed::new(live.service(), words);
    feed.0.borrow_mut().past = Some(Past {
        run,
        first,
        last,
        reached: [false; 2],
        address: String::new(),
        addressing: false,
        asked: String::new(),
        turn: 0,
    });
    if attach::pane(&feed, "past").is_some() {
        feed.jump(line.unwrap_or(last), line.is_some());
    }
}

impl Feed {
    /// Shows a line of a past run and those around it.
    pub(super) fn jump(&self, seq: u64, choose: bool) {
        let Some(Asking { service, run, what, turn }) = self.0.borrow_mut().asks(true) else { return };
        let feed = self.clone();
        leptos::task::spawn_local(async move {
            let parted = !what.is_empty();
            let behind = format!("after={run}.{}&limit={AROUND}{what}", seq.saturating_sub(1));
            let behind = fetch::lines(&service, run, &behind, parted).await;
            let before =
                fetch::lines(&service, run, &format!("before={seq}&limit={AROUND}{what}"), parted).await;
            {
                let inner = &mut *feed.0.borrow_mut();
                if !inner.answered(turn) {
                    return;
                }
                let Some(mut new) = behind else { return };
                if let Some(before) = before {
                    new.lines.prepend(before.lines);
                }
                inner.place_ends(new.ends);
                let old = std::mem::replace(&mut inner.store, new.lines);
                let store = &inner.store;
                let renumber = |id: u64| {
                    let held = old.held(id)?;
                    let new = store.place(held.run, held.seq);
                    store.held(new).filter(|it| it.seq == held.seq).map(|_| new)
                };
                inner.narrow.renumber(&renumber);
                inner.chosen = inner.chosen.and_then(|(from, to)| renumber(from).zip(renumber(to)));
                let id = store.place(run, seq).min(store.end_id().saturating_sub(1));
                if choose {
                    inner.chosen = Some((id, id));
                }
                (inner.keep, inner.show) = (Some(id), Some(id));
                inner.refilter = true;
                if let Some(past) = &mut inner.past {
                    past.reached = [false; 2];
                }
            }
            feed.paint_soon();
        });
    }

    /// Shows the first line at or after a time of day, as a field for it gives it: where the browser is.
    pub(super) fn jump_to_time(&self, text: &str) {
        let seconds = if text.len() == 16 { ":00" } else { "" };
        let Some(local) = Timestamp::parse(&format!("{text}{seconds}Z")) else { return };
        let offset = crate::live::offset_minutes(local.millis());
        let at = local.plus_millis(i64::from(offset) * -60_000);
        if self.0.borrow().past.is_some() {
            self.jump_to(format!("at={at}&limit=1"), false);
        } else {
            self.seek(at);
        }
    }

    /// Shows the first line at or after a time in the live log; where only the server has it, in the window of its run.
    fn seek(&self, at: Timestamp) {
        let (found, elsewhere) = {
            let inner = self.0.borrow();
            let store = &inner.store;
            let late = |id: &u64| store.held(*id).is_some_and(|held| held.time >= at);
            let found = (store.first_id()..store.end_id()).find(late);
            let first = store.first_line().is_some_and(|first| first.time >= at && first.seq > 1);
            (found, store.run().filter(|_| first))
        };
        let Some(run) = elsewhere else {
            match found {
                Some(id) => self.select(id, false),
                // No line is that late.
                None => self.end(),
            }
            return;
        };
        let feed = self.clone();
        leptos::task::spawn_local(async move {
            let lines = fetch::lines(&feed.service(), run, &format!("at={at}&limit=1"), true).await;
            if let Some(seq) = lines.and_then(|found| found.lines.first_line().map(|held| held.seq)) {
                let address = feed.0.borrow().address(LogPosition { run, seq });
                drop(window().location().set_href(&address));
            }
        });
    }

    /// Goes to the next error or match beyond the lines that are held.
    pub(super) fn step_beyond(&self, forward: bool, what: What) {
        let place = {
            let inner = self.0.borrow();
            let Some(past) = &inner.past else { return };
            let (from, back) = match inner.chosen {
                Some((_, head)) => (inner.store.held(head), 0),
                None => (inner.top().and_then(|id| inner.store.held(id)), 1),
            };
            let Some(seq) = from.map(|held| held.seq) else { return };
            let place = if forward {
                format!("after={}.{}", past.run, seq.saturating_sub(back))
            } else {
                format!("before={seq}")
            };
            let wanted = match what {
                What::Error => "&levels=error".to_owned(),
                What::Match => inner.asks_for_matches(),
            };
            if wanted.is_empty() {
                return;
            }
            format!("{place}&limit=1{wanted}")
        };
        self.jump_to(place, true);
    }

    /// Jumps to the first of the lines that `what` selects.
    fn jump_to(&self, what: String, choose: bool) {
        let Some(Asking { service, run, turn, .. }) = self.0.borrow_mut().asks(true) else { return };
        let feed = self.clone();
        leptos::task::spawn_local(async move {
            let found = fetch::lines(&service, run, &what, true).await;
            if !feed.0.borrow_mut().answered(turn) {
                return;
            }
            match found.and_then(|found| found.lines.first_line().map(|held| held.seq)) {
                Some(seq) => feed.jump(seq, choose),
                // No line is that late.
                None if !choose => feed.end(),
                None => {}
            }
        });
    }

    /// Asks for more lines where the view comes near the end of those held, and keeps the address.
    pub(super) fn look_around(&self) {
        let other = self.0.borrow().asks_other();
        if let Some(seq) = other {
            self.jump(seq, false);
            return;
        }
        let Some((earlier, edge)) = self.0.borrow().lacks() else {
            self.address_soon();
            return;
        };
        let Some(Asking { service, run, what, turn }) = self.0.borrow_mut().asks(false) else { return };
        let feed = self.clone();
        leptos::task::spawn_local(async move {
            let place = if earlier { format!("before={edge}") } else { format!("after={run}.{edge}") };
            let came =
                fetch::lines(&service, run, &format!("{place}&limit={BATCH}{what}"), !what.is_empty()).await;
            {
                let inner = &mut *feed.0.borrow_mut();
                if !inner.answered(turn) {
                    return;
                }
                let ends = came.as_ref().map_or((0, 0), |came| came.ends);
                inner.place_ends(ends);
                let lines = came.map(|came| came.lines).unwrap_or_default();
                let none = lines.first_line().is_none();
                if let Some(past) = &mut inner.past {
                    past.reached[usize::from(!earlier)] |= none;
                    past.reached[usize::from(earlier)] &= none;
                }
                if earlier {
                    if !inner.store.has_room() {
                        inner.store.drop_newest(BATCH as usize);
                    }
                    inner.store.prepend(lines);
                    inner.refilter = true;
                } else {
                    inner.store.append(&lines);
                }
            }
            feed.paint_soon();
        });
    }

    /// Writes the address of what is read, once it rests.
    fn address_soon(&self) {
        let new = {
            let mut inner = self.0.borrow_mut();
            let address = inner.read_address();
            let Some(past) = &mut inner.past else { return };
            !past.addressing && address.is_some_and(|address| address != past.address)
        };
        if new {
            if let Some(past) = &mut self.0.borrow_mut().past {
                past.addressing = true;
            }
            let feed = self.clone();
            set_timeout(move || feed.write_address(), REST);
        }
    }

    fn write_address(&self) {
        let inner = &mut *self.0.borrow_mut();
        let address = inner.read_address();
        if let (Some(past), Some(address)) = (&mut inner.past, address) {
            past.addressing = false;
            show_address(&address);
            past.address = address;
        }
    }
}

impl Inner {
    /// Begins to ask for lines; with `jump` for others than those that are held.
    fn asks(&mut self, jump: bool) -> Option<Asking> {
        let what = self.wants();
        let past = self.past.as_mut()?;
        if jump {
            past.turn = past.turn.wrapping_add(1);
            past.asked.clone_from(&what);
        }
        self.loading = true;
        Some(Asking { service: self.service.clone(), run: past.run, what, turn: past.turn })
    }

    /// An answer came: whether it is still waited for.
    fn answered(&mut self, turn: u32) -> bool {
        let waited = self.past.as_ref().is_some_and(|past| past.turn == turn);
        self.loading &= !waited;
        waited
    }

    /// The filters want other lines than those that were asked for: the line to ask around for them.
    fn asks_other(&self) -> Option<u64> {
        let past = self.past.as_ref()?;
        if past.turn == 0 || past.asked == self.wants() {
            return None;
        }
        let top = self.told_top();
        Some(if top == 0 { past.last } else { top })
    }

    /// What the filters want, as the server is asked for it.
    fn wants(&self) -> String {
        let mut what = self.wants_kinds();
        if self.filter.only {
            what.push_str(&self.asks_for_matches());
        }
        what
    }

    /// The levels and streams that the filters want, where it is not all of them.
    pub(super) fn wants_kinds(&self) -> String {
        let mut what = String::new();
        let levels: Vec<_> = Level::ALL
            .into_iter()
            .filter(|level| self.filter.levels.has(*level))
            .map(Level::as_str)
            .collect();
        if levels.len() < Level::ALL.len() {
            what.push_str(&format!("&levels={}", levels.join(",")));
        }
        match self.filter.streams {
            [true, false] => what.push_str("&stream=stdout"),
            [false, true] => what.push_str("&stream=stderr"),
            _ => {}
        }
        what
    }

    pub(super) fn asks_for_matches(&self) -> String {
        let query = self.controls.as_ref().map(Controls::query).unwrap_or_default();
        if query.is_empty() {
            return String::new();
        }
        format!("&q={}", String::from(js_sys::encode_uri_component(&query)))
    }

    /// The server said which lines can be had.
    fn place_ends(&mut self, (first, last): (u64, u64)) {
        if let Some(past) = self.past.as_mut().filter(|_| last > 0) {
            (past.first, past.last) = (first, last);
        }
    }

    /// Whether earlier lines are lacking where the view is, or later ones, and from which line on.
    fn lacks(&self) -> Option<(bool, u64)> {
        let past = self.past.as_ref().filter(|_| !self.loading)?;
        let (near_first, near_last) = self.painter.as_ref()?.near();
        let (first, last) = (self.store.first_line()?.seq, self.store.last_line()?.seq);
        // More than can be held at once, and all of it in view: it stays as it is.
        if near_first && near_last && !self.store.has_room() {
            return None;
        }
        if near_first && first > past.first && !past.reached[0] {
            Some((true, first))
        } else if near_last && last < past.last && !past.reached[1] {
            Some((false, last))
        } else {
            None
        }
    }

    fn read_address(&self) -> Option<String> {
        let past = self.past.as_ref()?;
        let id = self.chosen.map(|(_, head)| head).or_else(|| self.top())?;
        let held = self.store.held(id)?;
        Some(self.address(LogPosition { run: past.run, seq: held.seq }))
    }

    /// Writes which line of the run is at the top.
    pub(super) fn tell_place(&self, (top, last): (u64, u64)) {
        let Some(controls) = &self.controls else { return };
        let number = self.words.number;
        controls.put("place", &format!("{} / {}", number(top), number(last)));
        if let Some(slider) = controls.field("position") {
            slider.set_max(&last.to_string());
            // Not while it is held.
            if !slider.matches(":active").unwrap_or(false) {
                slider.set_value(&top.to_string());
            }
        }
        if let Some(field) = controls.field("time").filter(|field| field.value().is_empty())
            && let Some(held) = self.top().and_then(|id| self.store.held(id))
        {
            let millis = held.time.millis();
            let local =
                held.time.plus_millis(i64::from(crate::live::offset_minutes(millis)) * 60_000).to_string();
            field.set_value(local.get(..19).unwrap_or_default());
        }
    }
}
