//! The log of this tab: from the wire into the store, from the store onto the screen once per frame.

use super::controls::Controls;
use super::fetch::{self, BATCH};
use super::narrow::{Filter, Layout, Narrow};
use super::painter::{Anchor, Clock, Painter, Scene};
use super::parse::{self, Counted};
use super::past::Past;
use super::row;
use super::store::{Entry, Store};
use super::view::LogView;
use super::wrap::Wrap;
use crate::Boot;
use crate::at;
use crate::locales::Words;
use crate::model::{
    Gap, Level, LevelCounts, LogPosition, LogSummary, Progress, RunOpened, ServiceName, Timestamp,
};
use leptos::prelude::*;
use std::cell::RefCell;
use std::rc::Rc;
use wasm_bindgen::JsCast;
use web_sys::{Element, HtmlElement};

/// A handle on the log; all handles are the same log.
#[derive(Clone)]
pub struct Feed(pub(super) Rc<RefCell<Inner>>);

/// What the window shows beside the lines.
#[derive(Clone, Default, PartialEq)]
struct Told {
    run: Option<u64>,
    counts: LevelCounts,
    following: bool,
    waiting: u64,
    /// Lines of the run that lie before the first one held, and whether there is room for them.
    earlier: (u64, bool),
    /// Why no line is shown.
    empty: Option<&'static str>,
    /// How many lines the search finds and which of them is selected, while there is a search.
    matches: Option<(usize, Option<usize>)>,
    /// Lines of probes that are not shown.
    hidden: usize,
    /// The line that a link would lead to, and what is searched for.
    link: Option<LogPosition>,
    query: String,
    /// The line at the top of a past run's view, and the last one of the run.
    place: (u64, u64),
}

pub(super) struct Inner {
    pub service: ServiceName,
    pub words: &'static Words,
    pub controls: Option<Controls>,
    pub store: Store,
    counted: Counted,
    /// The first line that the server keeps of the current run.
    kept: LogPosition,
    pub narrow: Narrow,
    pub filter: Filter,
    view: LogView,
    wrap: Option<Wrap>,
    /// The filters changed: everything is judged again in the next frame.
    pub refilter: bool,
    /// The entry that belongs at the top of the view then, where it is another than now.
    pub keep: Option<u64>,
    /// The entry that is to be in view.
    pub show: Option<u64>,
    /// The lines that are selected: where it began, where it ends.
    pub chosen: Option<(u64, u64)>,
    pub starts: Vec<(u64, Timestamp)>,
    progress: Option<String>,
    following: bool,
    waiting: u64,
    pub painter: Option<Painter>,
    told: Told,
    frame_asked: bool,
    pub loading: bool,
    /// The run, where the window shows one that is past.
    pub past: Option<Past>,
}

impl Feed {
    /// The log of the first view, if it has one.
    pub fn live(boot: &Boot) -> Option<Self> {
        let summary = boot.log.as_ref()?;
        let feed = Self::new(summary.service.clone(), boot.lang.words());
        {
            let mut inner = feed.0.borrow_mut();
            if let Some(run) = summary.run {
                // Without a tail the server is asked for everything it keeps.
                let last = boot.tail.first().map_or(summary.first, |line| line.seq).checked_sub(1);
                inner.store.begin(run, last);
                for line in &boot.tail {
                    inner.store.line(run, line);
                }
            }
            let run = summary.run.unwrap_or(0);
            inner.counted = Counted { run, upto: summary.last, counts: summary.counts };
            inner.kept = LogPosition { run, seq: summary.first };
            inner.following = true;
        }
        Some(feed)
    }

    /// A log without lines.
    pub(super) fn new(service: ServiceName, words: &'static Words) -> Self {
        Self(Rc::new(RefCell::new(Inner {
            service,
            words,
            controls: None,
            store: Store::default(),
            counted: Counted::default(),
            kept: LogPosition { run: 0, seq: 0 },
            narrow: Narrow::default(),
            filter: Filter::default(),
            view: LogView::default(),
            wrap: None,
            refilter: true,
            keep: None,
            show: None,
            chosen: None,
            starts: Vec::new(),
            progress: None,
            following: false,
            waiting: 0,
            painter: None,
            told: Told::default(),
            frame_asked: false,
            loading: false,
            past: None,
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
    pub(super) fn attach(
        &self,
        controls: Controls,
        scroller: HtmlElement,
        size: HtmlElement,
        block: HtmlElement,
    ) {
        {
            let mut inner = self.0.borrow_mut();
            inner.painter = Painter::attach(scroller, size, block, inner.words);
            if let Some((run, at)) = controls
                .said("run")
                .zip(controls.section.get_attribute("data-started").and_then(|at| Timestamp::parse(&at)))
            {
                inner.starts.push((run, at));
            }
            if inner.past.is_none() {
                controls.put("empty", "");
            }
            inner.controls = Some(controls);
            inner.read_controls();
            inner.look();
        }
        self.paint_soon();
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

    /// A control was used: all of them are read.
    pub(super) fn controls_changed(&self) {
        let look = {
            let mut inner = self.0.borrow_mut();
            inner.read_controls().then(|| inner.view.words("."))
        };
        if let Some(words) = look {
            leptos::task::spawn_local(async move {
                if let Err(error) = crate::fetch::post(&at("/preferences"), &format!("log={words}")).await {
                    leptos::logging::warn!("the log's view holds for this page only: {error}");
                }
            });
        }
        self.keep_address();
        self.paint_soon();
    }

    /// Keeps what the live log shows in the address, which a past run's window has to itself where there is one.
    fn keep_address(&self) {
        let (live, filters) = {
            let inner = self.0.borrow();
            (inner.past.is_none() && html("past-window").is_none(), inner.filters())
        };
        if live {
            let path = window().location().pathname().unwrap_or_default();
            show_address(&if filters.is_empty() { path } else { format!("{path}?{}", &filters[1..]) });
        }
    }

    /// Stays at the newest line from now on, or no longer.
    pub(super) fn follow(&self, follow: Option<bool>) {
        {
            let mut inner = self.0.borrow_mut();
            let follow = follow.unwrap_or(!inner.following);
            inner.set_following(follow);
        }
        self.paint_soon();
    }

    /// Folds or unfolds what is at an entry, the selected one if none is named.
    pub(super) fn toggle(&self, id: Option<u64>) -> bool {
        let toggled = {
            let inner = &mut *self.0.borrow_mut();
            let id = id.or(inner.chosen.map(|(_, head)| head));
            let toggled = id.is_some_and(|id| inner.narrow.toggle(&inner.store, id));
            // What was unfolded stays where it is: at its last line.
            inner.show = id.filter(|_| toggled);
            if toggled {
                inner.set_following(false);
            }
            inner.refilter |= toggled;
            toggled
        };
        self.paint_soon();
        toggled
    }

    /// The view was scrolled.
    pub(super) fn scrolled(&self) {
        let load = {
            let mut inner = self.0.borrow_mut();
            let Some((at_end, up)) = inner.painter.as_mut().map(Painter::scrolled) else { return };
            if inner.past.is_some() {
                false
            } else {
                if at_end {
                    inner.set_following(true);
                } else if up {
                    inner.set_following(false);
                }
                !at_end && up && inner.painter.as_ref().is_some_and(|painter| painter.near().0)
            }
        };
        if load {
            self.load_earlier();
        }
        self.paint_soon();
    }

    /// A wheel was turned upwards: lets go at once, before the next frame scrolls to the end again.
    pub(super) fn wheel_up(&self) {
        let mut inner = self.0.borrow_mut();
        if inner.painter.as_ref().is_some_and(Painter::overflows) {
            inner.set_following(false);
        }
    }

    /// The view has another size.
    pub(super) fn resized(&self) {
        {
            let mut inner = self.0.borrow_mut();
            if inner.painter.as_mut().is_some_and(Painter::resized) {
                inner.look();
            }
        }
        self.paint_soon();
    }

    /// Fetches the lines before the first one held, if the server keeps some and there is room.
    pub(super) fn load_earlier(&self) {
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
            let earlier = fetch::lines(&service, run, &format!("before={before}&limit={BATCH}"), false).await;
            {
                let mut inner = feed.0.borrow_mut();
                inner.loading = false;
                let came = earlier.map_or(0, |earlier| inner.store.prepend(earlier.lines));
                if came == 0 {
                    inner.kept.seq = before;
                }
                inner.refilter = true;
            }
            feed.paint_soon();
        });
    }

    /// Fetches the lines that are missing at a gap, and puts them into its place.
    pub(super) fn fill(&self, id: u64) {
        let (service, gap) = {
            let mut inner = self.0.borrow_mut();
            let Some(Entry::Gap(gap)) = inner.store.get(id).copied().filter(|_| !inner.loading) else {
                return;
            };
            inner.loading = true;
            (inner.service.clone(), gap)
        };
        let feed = self.clone();
        leptos::task::spawn_local(async move {
            let limit = gap.count.unwrap_or(BATCH).min(BATCH);
            let what = format!("after={}.{}&limit={limit}", gap.run, gap.after);
            let lines = fetch::lines(&service, gap.run, &what, false).await.map(|fetched| fetched.lines);
            {
                let inner = &mut *feed.0.borrow_mut();
                inner.loading = false;
                // Lines may have fallen out meanwhile: the gap is where it was, by its number.
                let id = inner.store.place(gap.run, gap.after + 1);
                let came = inner.store.fill(id, &lines.unwrap_or_default());
                let new = |old: u64| if old < id { old - came } else { old };
                inner.keep = inner.top().map(new);
                inner.chosen = inner.chosen.map(|(from, to)| (new(from), new(to)));
                inner.narrow.renumber(&|old| Some(new(old)));
                inner.refilter = true;
            }
            feed.paint_soon();
        });
    }

    pub(super) fn paint_soon(&self) {
        if std::mem::replace(&mut self.0.borrow_mut().frame_asked, true) {
            return;
        }
        let feed = self.clone();
        request_animation_frame(move || {
            feed.0.borrow_mut().frame();
            feed.look_around();
        });
    }
}

/// Writes the address; the page stays.
pub(super) fn show_address(address: &str) {
    if let Ok(history) = window().history() {
        drop(history.replace_state_with_url(&wasm_bindgen::JsValue::NULL, "", Some(address)));
    }
}

impl Inner {
    fn open_run(&mut self, run: u64, started: Timestamp) {
        if !self.store.open_run(run, Some(started)) {
            return;
        }
        self.starts.push((run, started));
        self.progress = None;
        if run > self.kept.run {
            self.kept = LogPosition { run, seq: 1 };
        }
        if run > self.counted.run {
            self.counted = Counted { run, ..Counted::default() };
        }
    }

    /// Reads the controls; whether lines are to be shown in another way.
    fn read_controls(&mut self) -> bool {
        let Some(controls) = &self.controls else { return false };
        let (filter, view) = (controls.filter(), controls.view());
        self.refilter |= filter != self.filter;
        self.filter = filter;
        let other = view != self.view;
        self.view = view;
        if other {
            self.look();
        }
        other
    }

    fn look(&mut self) {
        if let Some(painter) = &mut self.painter {
            // Rows of another height: what is read stays.
            self.keep = self.keep.or_else(|| self.narrow.id(painter.top_row()));
            self.wrap = painter.look(self.view);
            self.refilter = true;
        }
    }

    /// The entry at the top of the view.
    pub fn top(&self) -> Option<u64> {
        self.painter.as_ref().and_then(|painter| self.narrow.id(painter.top_row()))
    }

    /// Lines that the server keeps and that lie before the first one held.
    fn earlier(&self) -> u64 {
        let first = self.store.first_line().filter(|first| first.run == self.kept.run && self.kept.seq > 0);
        first.map_or(0, |first| first.seq.saturating_sub(self.kept.seq))
    }

    pub fn set_following(&mut self, following: bool) {
        self.following = following && self.past.is_none();
        if following {
            self.waiting = 0;
        }
    }

    fn frame(&mut self) {
        self.frame_asked = false;
        let (mut came, mut went, mut anchor) = (0, 0, Anchor::Stay);
        if std::mem::take(&mut self.refilter) {
            // What is read stays where it is, whatever comes before it or goes.
            let top = self.keep.take().or_else(|| self.top());
            let layout = Layout { fold: !self.view.unfolded, wrap: self.wrap };
            self.narrow.set(&self.store, self.filter.clone(), layout);
            if let Some(id) = top {
                anchor = Anchor::Top(self.narrow.place(id));
            }
            self.forget();
        } else {
            (came, went) = self.narrow.follow(&self.store);
        }
        if let Some(at) = self.show.take().and_then(|id| self.narrow.reveal(&self.store, id)) {
            anchor = Anchor::Show(at);
            self.forget();
        }
        if !self.following {
            self.waiting += came as u64;
        }
        let scene = Scene {
            store: &self.store,
            narrow: &self.narrow,
            progress: self.progress.as_deref(),
            following: self.following,
            went,
            anchor,
            chosen: self.chosen.map(|(from, to)| (from.min(to), from.max(to))),
            starts: &self.starts,
        };
        if let Some(painter) = &mut self.painter {
            painter.paint(&scene);
        }
        self.tell();
    }

    fn forget(&mut self) {
        if let Some(painter) = &mut self.painter {
            painter.forget();
        }
    }

    /// Writes what is beside the lines and has changed.
    fn tell(&mut self) {
        let Some(controls) = &self.controls else { return };
        let head = self.chosen.map(|(_, head)| head);
        let searched = !self.filter.query.is_empty();
        let at = head.and_then(|head| self.narrow.matches().binary_search(&head).ok());
        let link = head.and_then(|head| self.store.held(head));
        // Where the filters leave nothing, the place is still the same.
        let top = self.top().and_then(|id| self.store.held(id)).map_or(self.told.place.0, |held| held.seq);
        let new = Told {
            run: self.store.run(),
            counts: self.counted.counts,
            following: self.following,
            waiting: self.waiting,
            earlier: (self.earlier(), self.store.has_room()),
            empty: match (self.narrow.len(), self.store.first_line()) {
                (0, None) if self.progress.is_none() && self.past.is_none() => Some(self.words.no_lines),
                (0, Some(_)) => Some(self.words.no_match),
                _ => None,
            },
            matches: searched.then(|| (self.narrow.matches().len(), at)),
            hidden: self.narrow.hidden(),
            link: link.map(|held| LogPosition { run: held.run, seq: held.seq }),
            query: controls.query(),
            place: self.past.as_ref().map_or((0, 0), |past| (top, past.last)),
        };
        let old = std::mem::replace(&mut self.told, new.clone());
        let (words, number) = (self.words, self.words.number);
        let live = self.past.is_none();
        if new.run != old.run && live {
            controls.put("run", &new.run.map(|run| format!("{} {run}", words.run)).unwrap_or_default());
        }
        if new.counts != old.counts {
            for level in Level::ALL.into_iter().filter(|level| new.counts.of(*level) != old.counts.of(*level))
            {
                controls.put(&format!("count-{}", level.as_str()), &number(new.counts.of(level)));
            }
        }
        if new.following != old.following {
            controls.press("follow", new.following);
        }
        if new.waiting != old.waiting {
            let waiting = Some(new.waiting).filter(|n| *n > 0);
            controls.put("waiting", &waiting.map(words.waiting).unwrap_or_default());
        }
        if new.earlier != old.earlier {
            controls.put("before", &(words.earlier)(new.earlier.0));
            if let Some(place) = controls.element("earlier") {
                place.set_class_name(match new.earlier {
                    (0, _) => "log-earlier none",
                    (_, true) => "log-earlier",
                    (_, false) => "log-earlier full",
                });
            }
        }
        if new.empty != old.empty {
            controls.put("empty", new.empty.unwrap_or_default());
        }
        if new.matches != old.matches {
            let text =
                new.matches.map(|(count, at)| (words.matches)(count as u64, at.map(|at| at as u64 + 1)));
            controls.put("matches", &text.unwrap_or_default());
        }
        if new.hidden != old.hidden {
            let hidden = Some(new.hidden as u64).filter(|n| *n > 0);
            controls.put("hidden", &hidden.map(words.hidden).unwrap_or_default());
        }
        if (new.link, &new.query) != (old.link, &old.query)
            && let Some(link) = controls.element("link")
        {
            drop(link.toggle_attribute_with_force("hidden", new.link.is_none()));
            if let Some(at) = new.link {
                drop(link.set_attribute("href", &self.address(at)));
            }
        }
        if new.place != old.place {
            self.tell_place(new.place);
        }
    }

    /// The last line that was at the top of a past run's view.
    pub fn told_top(&self) -> u64 {
        self.told.place.0
    }

    /// The address of a line.
    pub fn address(&self, at: LogPosition) -> String {
        crate::at(format!("/services/{}?run={}&line={}{}", self.service, at.run, at.seq, self.filters()))
    }

    /// What is shown, as an address says it: nothing where it is everything.
    fn filters(&self) -> String {
        let mut filters = self.asks_for_matches();
        if self.filter.only && !filters.is_empty() {
            filters.push_str("&only=1");
        }
        filters + &self.wants_kinds()
    }

    /// What is selected as text, folded lines, too: as the rows show it, but whole.
    pub fn copied(&self) -> Option<String> {
        let (from, to) = self.chosen?;
        let mut clock = Clock::default();
        let mut text = String::new();
        for id in self.narrow.spread(&self.store, from.min(to), from.max(to)) {
            let Some(held) = self.store.held(id) else { continue };
            text.push_str(&clock.of(held, self.view.times, &self.starts));
            text.push_str(row::level_word(held.level).trim_start());
            let source = self.store.source(held);
            if !source.is_empty() {
                text.push_str(source);
                text.push(' ');
            }
            text.push_str(self.store.text(held));
            text.push('\n');
        }
        Some(text)
    }

    /// The entry that an element of the log shows.
    pub fn id_of(&self, element: &Element) -> Option<u64> {
        self.painter.as_ref()?.id_of(element)
    }
}

/// An element by its id.
pub(super) fn html(id: &str) -> Option<HtmlElement> {
    document().get_element_by_id(id)?.dyn_into().ok()
}
