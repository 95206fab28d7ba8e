//! The log of this tab: from the wire into the store, from the store onto the screen once per frame.

use super::narrow::{Levels, Narrow, Query};
use super::painter::{Painter, Scene};
use super::parse::{self, Counted};
use super::store::Store;
use super::{Ask, Empty, LogSignals};
use crate::live::set_if_new;
use crate::locales::Words;
use crate::model::{Gap, Line, LogPosition, LogSummary, Progress, RunOpened, ServiceName, Timestamp};
use leptos::prelude::*;
use std::cell::RefCell;
use std::rc::Rc;

/// A handle on the log; all handles are the same log.
#[derive(Clone)]
pub struct Feed(Rc<RefCell<Inner>>);

struct Inner {
    service: ServiceName,
    signals: LogSignals,
    words: &'static Words,
    store: Store,
    counted: Counted,
    /// The first line that the server keeps of the current run.
    kept: LogPosition,
    narrow: Narrow,
    levels: Levels,
    query: String,
    /// The filters changed: everything is judged again in the next frame.
    refilter: bool,
    progress: Option<String>,
    following: bool,
    painter: Option<Painter>,
    frame_asked: bool,
    loading: bool,
}

impl Feed {
    /// The log of the first view.
    pub fn new(summary: &LogSummary, tail: &[Line], signals: LogSignals, words: &'static Words) -> Self {
        let mut store = Store::default();
        if let Some(run) = summary.run {
            // Without a tail the server is asked for everything it keeps.
            let last = tail.first().map_or(summary.first, |line| line.seq).checked_sub(1);
            store.begin(run, last);
            for line in tail {
                store.line(run, line);
            }
        }
        let counted = Counted { run: summary.run.unwrap_or(0), upto: summary.last, counts: summary.counts };
        Self(Rc::new(RefCell::new(Inner {
            service: summary.service.clone(),
            signals,
            words,
            store,
            counted,
            kept: LogPosition { run: summary.run.unwrap_or(0), seq: summary.first },
            narrow: Narrow::default(),
            levels: Levels::ALL,
            query: String::new(),
            refilter: false,
            progress: None,
            following: true,
            painter: None,
            frame_asked: false,
            loading: false,
        })))
    }

    /// Whose log.
    pub fn service(&self) -> ServiceName {
        self.0.borrow().service.clone()
    }

    /// The last line that is held.
    pub fn position(&self) -> Option<LogPosition> {
        let inner = self.0.borrow();
        Some(LogPosition { run: inner.store.run()?, seq: inner.store.last()? })
    }

    /// Takes over the rows that the server rendered.
    pub fn attach(
        &self,
        scroller: web_sys::HtmlElement,
        size: web_sys::HtmlElement,
        block: web_sys::HtmlElement,
    ) {
        {
            let mut inner = self.0.borrow_mut();
            inner.painter = Painter::attach(scroller, size, block, inner.words);
        }
        self.paint_soon();
    }

    /// The elements are going away.
    pub fn detach(&self) {
        self.0.borrow_mut().painter = None;
    }

    /// Event `lines`, as it came; `None` when it is something else.
    pub fn lines(&self, json: &str) -> Option<()> {
        let result = {
            let Inner { store, counted, .. } = &mut *self.0.borrow_mut();
            parse::lines(json, store, counted)
        };
        self.paint_soon();
        result
    }

    /// Event `run`.
    pub fn run(&self, opened: &RunOpened) {
        {
            let mut inner = self.0.borrow_mut();
            if opened.service != inner.service {
                return;
            }
            inner.open_run(opened.run, opened.started);
        }
        self.paint_soon();
    }

    /// What the server keeps of the log, as a stream begins. The lines themselves, those of an earlier run first, and the
    /// opening of a newer run come behind it.
    pub fn summary(&self, summary: &LogSummary) {
        {
            let mut inner = self.0.borrow_mut();
            let Some(run) = summary.run.filter(|_| summary.service == inner.service) else { return };
            inner.kept = LogPosition { run, seq: summary.first };
            inner.counted = Counted { run, upto: summary.last, counts: summary.counts };
        }
        self.paint_soon();
    }

    /// Event `gap`.
    pub fn gap(&self, gap: Gap) {
        self.0.borrow_mut().store.gap(gap.run, gap.after, gap.count);
        self.paint_soon();
    }

    /// Event `progress`.
    pub fn progress(&self, progress: Progress) {
        {
            let mut inner = self.0.borrow_mut();
            if inner.store.run().is_some_and(|run| progress.run < run) {
                return;
            }
            inner.progress = Some(progress.text).filter(|text| !text.is_empty());
        }
        self.paint_soon();
    }

    /// A control was used.
    pub(super) fn ask(&self, ask: Ask) {
        {
            let mut inner = self.0.borrow_mut();
            match ask {
                Ask::Level(level, shown) => {
                    inner.levels = inner.levels.with(level, shown);
                    inner.refilter = true;
                }
                Ask::Search(query) => {
                    inner.query = query;
                    inner.refilter = true;
                }
                Ask::Follow(follow) => inner.set_following(follow),
                Ask::Earlier => {
                    drop(inner);
                    self.load_earlier();
                    return;
                }
            }
        }
        self.paint_soon();
    }

    /// The view was scrolled.
    pub fn scrolled(&self) {
        let load = {
            let mut inner = self.0.borrow_mut();
            let Some((at_end, up)) = inner.painter.as_mut().map(Painter::scrolled) else { return };
            if at_end {
                inner.set_following(true);
            } else if up {
                inner.set_following(false);
            }
            !at_end && up && inner.painter.as_ref().is_some_and(Painter::near_top)
        };
        if load {
            self.load_earlier();
        }
        self.paint_soon();
    }

    /// A wheel was turned upwards: lets go at once, before the next frame scrolls to the end again.
    pub fn wheel_up(&self) {
        let mut inner = self.0.borrow_mut();
        if inner.painter.as_ref().is_some_and(Painter::overflows) {
            inner.set_following(false);
        }
    }

    /// The view has another size.
    pub fn resized(&self) {
        if let Some(painter) = self.0.borrow_mut().painter.as_mut() {
            painter.resized();
        }
        self.paint_soon();
    }

    /// Fetches the lines before the first one held, if the server keeps some and there is room.
    fn load_earlier(&self) {
        let (service, run, before) = {
            let mut inner = self.0.borrow_mut();
            let first = inner.store.first_line().map(|line| (line.run, line.seq));
            let Some((run, seq)) =
                first.filter(|_| inner.earlier() > 0 && inner.store.has_room() && !inner.loading)
            else {
                return;
            };
            inner.loading = true;
            (inner.service.clone(), run, seq)
        };
        let feed = self.clone();
        leptos::task::spawn_local(async move {
            let earlier = super::earlier::fetch(&service, run, before).await;
            {
                let mut inner = feed.0.borrow_mut();
                inner.loading = false;
                match earlier {
                    Some(earlier) => {
                        let store = &mut inner.store;
                        let came = store.prepend(earlier);
                        if came == 0 {
                            inner.kept.seq = before;
                        }
                        inner.refilter = true;
                    }
                    None => inner.kept.seq = before,
                }
            }
            feed.paint_soon();
        });
    }

    fn paint_soon(&self) {
        if std::mem::replace(&mut self.0.borrow_mut().frame_asked, true) {
            return;
        }
        let feed = self.clone();
        request_animation_frame(move || feed.0.borrow_mut().frame());
    }
}

impl Inner {
    fn open_run(&mut self, run: u64, started: Timestamp) {
        if !self.store.open_run(run, Some(started)) {
            return;
        }
        self.progress = None;
        if run > self.kept.run {
            self.kept = LogPosition { run, seq: 1 };
        }
        if run > self.counted.run {
            self.counted = Counted { run, ..Counted::default() };
        }
    }

    /// Lines that the server keeps and that lie before the first one held.
    fn earlier(&self) -> u64 {
        let first = self.store.first_line().filter(|first| first.run == self.kept.run && self.kept.seq > 0);
        first.map_or(0, |first| first.seq.saturating_sub(self.kept.seq))
    }

    fn set_following(&mut self, following: bool) {
        self.following = following;
        set_if_new(self.signals.following, following);
        if following {
            set_if_new(self.signals.waiting, 0);
        }
    }

    fn frame(&mut self) {
        self.frame_asked = false;
        let (mut came, mut went, mut anchor) = (0, 0, None);
        if std::mem::take(&mut self.refilter) {
            // What is read stays where it is, whatever comes before it or goes.
            let top = self.painter.as_ref().and_then(|painter| self.narrow.id(painter.top_row()));
            self.narrow.set(&self.store, self.levels, Query::new(&self.query));
            anchor = top.map(|id| self.narrow.place(id));
            if let Some(painter) = &mut self.painter {
                painter.forget();
            }
        } else {
            (came, went) = self.narrow.follow(&self.store);
        }
        let scene = Scene {
            store: &self.store,
            narrow: &self.narrow,
            progress: self.progress.as_deref(),
            following: self.following,
            went,
            anchor,
        };
        if let Some(painter) = &mut self.painter {
            painter.paint(&scene);
        }
        self.tell(came);
    }

    fn tell(&self, came: usize) {
        let signals = self.signals;
        set_if_new(signals.run, self.store.run());
        set_if_new(signals.counts, self.counted.counts);
        set_if_new(signals.earlier, (self.earlier(), self.store.has_room()));
        if !self.following && came > 0 {
            signals.waiting.update(|waiting| *waiting += came as u64);
        }
        let empty = match (self.narrow.len(), self.store.first_line()) {
            (0, None) if self.progress.is_none() => Empty::NoLines,
            (0, Some(_)) => Empty::NoMatch,
            _ => Empty::No,
        };
        set_if_new(signals.empty, empty);
    }
}
