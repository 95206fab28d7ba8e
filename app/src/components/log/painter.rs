//! Puts the rows that are in view into the document: about eighty elements, recycled, however many lines are held.
//!
//! Works on the elements directly, outside the reactive graph, and once per frame. Text is set as text, never as HTML.

use super::narrow::{Narrow, Query, Row};
use super::row;
use super::store::{Entry, Held, Missing, Store};
use super::view::{LogView, Times};
use super::wrap::{self, Wrap};
use crate::locales::{Words, clock_of_day};
use crate::model::{LineKind, Timestamp, whole_bytes};
use std::collections::VecDeque;
use wasm_bindgen::JsCast;
use web_sys::{Document, Element, HtmlElement};

/// The height of a row in CSS pixels; `--row` in `style/log.css`.
const ROW_PIXELS: usize = 20;
/// The same in the compact view.
const COMPACT_PIXELS: usize = 16;
/// Rows beyond each edge of the view.
const BEYOND: usize = 8;
const NOTHING: u64 = u64::MAX;
const PROGRESS: u64 = u64::MAX - 1;
/// Columns of the parts of a row, as `style/log.css` has them.
const TIME: usize = 9;
const LEVEL: usize = 8;
const SOURCE: usize = 15;
/// Pixels before and behind a row's text.
const EDGE: i32 = 20;

struct RowNode {
    element: HtmlElement,
    time: Element,
    level: Element,
    source: Element,
    text: Element,
    /// The button that folds, or fetches what is missing.
    button: Option<Element>,
    shown: (Row, bool),
}

/// Where the view belongs.
#[derive(Clone, Copy)]
pub enum Anchor {
    /// Where it is, as rows fall out at the old end.
    Stay,
    /// This row at the top, when everything was judged again.
    Top(usize),
    /// This row in view: in the middle, unless it is in view already.
    Show(usize),
}

/// What is painted.
pub struct Scene<'a> {
    /// The lines.
    pub store: &'a Store,
    /// Which of them.
    pub narrow: &'a Narrow,
    /// A line that is being redrawn.
    pub progress: Option<&'a str>,
    /// The view stays at the end.
    pub following: bool,
    /// How many of the shown rows fell out at the old end.
    pub went: usize,
    /// Where the view belongs otherwise.
    pub anchor: Anchor,
    /// The lines that are selected: from, to.
    pub chosen: Option<(u64, u64)>,
    /// When runs were started.
    pub starts: &'a [(u64, Timestamp)],
}

/// The rows and where they are.
pub struct Painter {
    document: Document,
    scroller: HtmlElement,
    size: HtmlElement,
    block: HtmlElement,
    words: &'static Words,
    service: String,
    template: HtmlElement,
    rows: VecDeque<RowNode>,
    view: LogView,
    /// The height of a row.
    row: usize,
    /// Pixels of ten columns.
    columns: i32,
    /// Columns that lines were cut for.
    cut_for: usize,
    first: usize,
    total: usize,
    top: f64,
    height: f64,
    widest: usize,
    clock: Clock,
}

/// Writes times where the browser is; asks it for its offset once per hour of the log.
#[derive(Default)]
pub struct Clock(Option<(i64, i32)>);

impl Clock {
    /// Minutes east of UTC.
    fn offset(&mut self, millis: i64) -> i32 {
        let hour = millis.div_euclid(3_600_000);
        match self.0 {
            Some((at, offset)) if at == hour => offset,
            _ => {
                let offset = crate::live::offset_minutes(millis);
                self.0 = Some((hour, offset));
                offset
            }
        }
    }

    /// What stands before a line, with the space behind it.
    pub fn of(&mut self, held: &Held, times: Times, starts: &[(u64, Timestamp)]) -> String {
        let start = starts.iter().find(|(run, _)| *run == held.run);
        match (times, start) {
            (Times::None, _) => String::new(),
            (Times::Relative, Some((_, start))) => row::since(held.time, *start),
            _ => row::time(held.time, self.offset(held.time.millis())),
        }
    }
}

impl Painter {
    /// Takes over the rows that the server rendered.
    pub fn attach(
        scroller: HtmlElement,
        size: HtmlElement,
        block: HtmlElement,
        words: &'static Words,
    ) -> Option<Self> {
        let document = scroller.owner_document()?;
        let template = template(&document)?;
        block.set_text_content(None);
        let service = scroller.closest("[data-service]").ok().flatten();
        let service = service.and_then(|section| section.get_attribute("data-service")).unwrap_or_default();
        scroller.class_list().add_1("painted").ok()?;
        let height = f64::from(scroller.client_height());
        Some(Self {
            document,
            scroller,
            size,
            block,
            words,
            service,
            template,
            rows: VecDeque::new(),
            view: LogView::default(),
            row: ROW_PIXELS,
            columns: 80,
            cut_for: 0,
            first: 0,
            total: 0,
            top: 0.0,
            height,
            widest: 0,
            clock: Clock::default(),
        })
    }

    /// Shows lines in this way from the next frame on. Answers how long lines are cut.
    pub fn look(&mut self, view: LogView) -> Option<Wrap> {
        self.view = view;
        self.row = if view.compact { COMPACT_PIXELS } else { ROW_PIXELS };
        self.total = usize::MAX;
        self.widest = 0;
        self.measure();
        let columns = self.fitting();
        self.cut_for = columns;
        let head = LEVEL + if view.times == Times::None { 0 } else { TIME };
        // Below the width at which the page has one column, a source takes what it needs.
        let width = leptos::prelude::window().inner_width().ok().and_then(|w| w.as_f64()).unwrap_or(0.0);
        let source = if width < 960.0 { 0 } else { SOURCE };
        let indent = if columns < 80 { 2 } else { head + source };
        set(&self.size, "--indent", &indent.to_string());
        view.wrap.then_some(Wrap { columns, head, source, indent })
    }

    /// Columns that fit beside each other.
    fn fitting(&self) -> usize {
        usize::try_from((self.scroller.client_width() - EDGE) * 10 / self.columns.max(1)).unwrap_or(0)
    }

    fn measure(&mut self) {
        if let Some(row) = self.make().filter(|_| self.scroller.client_width() > 0) {
            row.element.set_class_name("row probe");
            drop(self.block.append_child(&row.element));
            row.text.set_text_content(Some("0000000000"));
            self.columns = row.text.client_width().max(1);
            row.element.remove();
        }
    }

    /// The view was scrolled: whether it is at the end, and whether it went up.
    pub fn scrolled(&mut self) -> (bool, bool) {
        let before = self.top;
        self.top = f64::from(self.scroller.scroll_top());
        // A view that grew is scrolled by the browser before its new size is told: that is nobody's scrolling up.
        self.resized();
        let known = self.total != usize::MAX;
        let at_end = known && self.top + self.height >= self.end_of(self.total) - self.pixels(1);
        (at_end, self.top < before - 1.0)
    }

    /// The view has another size; whether another count of columns fits than lines were cut for.
    pub fn resized(&mut self) -> bool {
        self.height = f64::from(self.scroller.client_height());
        self.cut_for != self.fitting()
    }

    fn pixels(&self, rows: usize) -> f64 {
        (rows * self.row) as f64
    }

    fn end_of(&self, total: usize) -> f64 {
        if total == usize::MAX { 0.0 } else { self.pixels(total) }
    }

    /// The view is near the oldest row, near the newest one.
    pub fn near(&self) -> (bool, bool) {
        let margin = self.pixels(40);
        (self.top < margin, self.top + self.height > self.end_of(self.total) - margin)
    }

    /// There is more than the view holds.
    pub fn overflows(&self) -> bool {
        self.end_of(self.total) > self.height
    }

    /// The place of the row at the top of the view.
    pub fn top_row(&self) -> usize {
        self.top as usize / self.row
    }

    /// Every row is to be written anew.
    pub fn forget(&mut self) {
        for row in &mut self.rows {
            row.shown.0.id = NOTHING;
        }
    }

    /// The id of what an element in the log shows.
    pub fn id_of(&self, element: &Element) -> Option<u64> {
        let element = element.closest(".row").ok()??;
        let node = self.rows.iter().find(|node| **node.element == *element)?;
        (node.shown.0.id < PROGRESS).then_some(node.shown.0.id)
    }

    /// Paints one frame.
    pub fn paint(&mut self, scene: &Scene<'_>) {
        let total = scene.narrow.len() + usize::from(scene.progress.is_some());
        if total != self.total {
            self.total = total;
            set(&self.size, "height", &format!("{}px", total * self.row));
        }
        let end = (self.pixels(total) - self.height).max(0.0);
        let wanted = match scene.anchor {
            _ if scene.following => end,
            Anchor::Top(at) => (self.pixels(at) + self.top % self.pixels(1)).min(end),
            Anchor::Show(at) => {
                let from = self.pixels(at);
                let in_view = self.top <= from && from + self.pixels(1) <= self.top + self.height;
                if in_view { self.top } else { (from - self.height / 2.0).min(end).max(0.0) }
            }
            Anchor::Stay => (self.top - self.pixels(scene.went)).min(end).max(0.0),
        };
        if (wanted - self.top).abs() >= 1.0 {
            self.top = wanted;
            self.scroller.set_scroll_top(wanted.ceil() as i32);
        }

        let count = (self.height as usize / self.row + 1 + 2 * BEYOND).min(total);
        let first = self.top_row().saturating_sub(BEYOND).min(total - count);
        self.fit(count);
        self.turn(first, scene);
        self.first = first;
        let widest = self.widest;
        for at in 0..count {
            self.fill(at, scene);
        }
        set(&self.block, "transform", &format!("translateY({}px)", first * self.row));
        if self.widest != widest {
            set(&self.size, "--chars", &self.widest.to_string());
        }
    }

    /// Has exactly this many rows.
    fn fit(&mut self, count: usize) {
        while self.rows.len() > count {
            if let Some(row) = self.rows.pop_back() {
                row.element.remove();
            }
        }
        while self.rows.len() < count {
            let Some(row) = self.make() else { break };
            drop(self.block.append_child(&row.element));
            self.rows.push_back(row);
        }
    }

    fn make(&self) -> Option<RowNode> {
        let element: HtmlElement = self.template.clone_node_with_deep(true).ok()?.dyn_into().ok()?;
        let time = element.first_element_child()?;
        let level = time.next_element_sibling()?;
        let source = level.next_element_sibling()?;
        let text = source.next_element_sibling()?;
        let shown = (Row { id: NOTHING, part: 0, others: 0, open: false }, false);
        Some(RowNode { element, time, level, source, text, button: None, shown })
    }

    /// Moves rows from one end to the other, so that a row that stays in view stays the same element and keeps its
    /// selection.
    fn turn(&mut self, first: usize, scene: &Scene<'_>) {
        let old = self.first.saturating_sub(scene.went);
        let count = self.rows.len();
        if first > old && first - old < count {
            for _ in old..first {
                if let Some(row) = self.rows.pop_front() {
                    drop(self.block.append_child(&row.element));
                    self.rows.push_back(row);
                }
            }
        } else if first < old && old - first < count {
            for _ in first..old {
                if let Some(row) = self.rows.pop_back() {
                    drop(self.block.insert_before(&row.element, self.block.first_child().as_ref()));
                    self.rows.push_front(row);
                }
            }
        }
    }

    fn fill(&mut self, at: usize, scene: &Scene<'_>) {
        let progress = Row { id: PROGRESS, part: 0, others: 0, open: false };
        let row = scene.narrow.row(self.first + at).unwrap_or(progress);
        let chosen = scene.chosen.is_some_and(|(from, to)| (from..=to).contains(&row.id));
        let Some(node) = self.rows.get_mut(at) else { return };
        // The redrawn line changes under the same id.
        if node.shown == (row, chosen) && row.id != PROGRESS {
            return;
        }
        node.shown = (row, chosen);
        if let Some(button) = node.button.take() {
            button.remove();
        }
        let chars = match scene.store.get(row.id) {
            Some(Entry::Line(held)) => self.line(at, row, chosen, *held, scene),
            Some(Entry::Gap(missing)) => {
                self.note(at, "row gap", &(self.words.gap)(missing.count), Some(missing))
            }
            Some(Entry::Run { run, started }) => {
                let time = started.map(|at| clock_of_day(at.millis(), self.clock.offset(at.millis())));
                self.note(at, "row run", &(self.words.run_started)(*run, &time.unwrap_or_default()), None)
            }
            None => self.note(at, "row progress", scene.progress.unwrap_or_default(), None),
        };
        self.widest = self.widest.max(chars);
    }

    /// A row of a line; answers how many characters wide it is.
    fn line(&mut self, at: usize, row: Row, chosen: bool, held: Held, scene: &Scene<'_>) -> usize {
        let Some(node) = self.rows.get_mut(at) else { return 0 };
        let (store, query) = (scene.store, &scene.narrow.filter().query);
        let (text, source) = (store.text(&held), store.source(&held));
        let mut class = row::class(held.level).to_owned();
        for (is, word) in [(chosen, " chosen"), (row.part > 0, " part")] {
            if is {
                class.push_str(word);
            }
        }
        node.element.set_class_name(&class);
        drop(node.element.set_attribute("data-seq", &format!("{}.{}", held.run, held.seq)));
        if row.part == 0 {
            node.time.set_text_content(Some(&self.clock.of(&held, self.view.times, scene.starts)));
            drop(node.time.set_attribute("title", &held.time.to_string()));
            node.level.set_text_content(Some(row::level_word(held.level)));
            node.source.set_text_content(Some(&format!("{source} ")));
        } else {
            empty(node);
        }
        let laid_out = scene.narrow.laid_out(row.id);
        let (whole, more) = row::cut(text);
        let (text, (from, to), spans) = match (laid_out, scene.narrow.layout().wrap) {
            (Some(lines), _) => {
                let line = lines.get(usize::from(row.part)).map_or("", String::as_str);
                (line, (0, row::cut(line).0), [].as_slice())
            }
            (None, Some(wrap)) => (text, wrap.range(text, source, row.part), store.spans(&held)),
            (None, None) => (text, (0, whole), store.spans(&held)),
        };
        if row.part == 0 {
            let json = laid_out.is_some() || wrap::pretty(text).is_some();
            let fold = match row.others {
                0 if json => Some(("JSON".to_owned(), laid_out.is_some())),
                0 => None,
                others => Some(((self.words.more_lines)(others.into()), row.open)),
            };
            if let Some((label, open)) = fold {
                let class = if row.others > 0 { "fold more" } else { "fold" };
                node.button = button(&self.document, node, class, &label, &node.text);
                if let Some(button) = &node.button {
                    drop(button.set_attribute("aria-expanded", if open { "true" } else { "false" }));
                }
            }
        }
        let last = to == whole && laid_out.is_none();
        let cut = if held.kind == LineKind::Cut && last { whole_bytes(store.text(&held)) } else { None };
        let more = if last { more } else { 0 };
        if spans.is_empty() && more == 0 && query.is_empty() && cut.is_none() {
            node.text.set_text_content(Some(&text[from..to]));
        } else {
            node.text.set_text_content(None);
            for (text, classes, marked) in pieces(text, (from, to), spans, query) {
                styled(&self.document, &node.text, text, &classes, marked);
            }
            if let Some(bytes) = cut {
                let to = row::whole(&self.service, held.run, held.seq);
                link(&self.document, &node.text, &to, &(self.words.whole_line)(bytes));
            } else if more > 0 {
                styled(&self.document, &node.text, &(self.words.more_text)(more), "more", false);
            }
        }
        to - from + source.len() + 16
    }

    /// A row that is no line.
    fn note(&mut self, at: usize, class: &str, text: &str, missing: Option<&Missing>) -> usize {
        let Some(node) = self.rows.get_mut(at) else { return 0 };
        node.element.set_class_name(class);
        drop(node.element.remove_attribute("data-seq"));
        empty(node);
        node.text.set_text_content(Some(text));
        match missing {
            Some(missing) if missing.lost => {
                styled(&self.document, &node.text, self.words.missing_lost, "", false);
            }
            Some(Missing { count: Some(_), .. }) => {
                node.button = button(&self.document, node, "link", self.words.fetch_missing, &node.level);
            }
            _ => {}
        }
        text.len()
    }
}

fn empty(node: &RowNode) {
    drop(node.time.remove_attribute("title"));
    for part in [&node.time, &node.level, &node.source] {
        part.set_text_content(None);
    }
}

/// A button in a row, before one of its parts. What it does is told by the row.
fn button(
    document: &Document,
    node: &RowNode,
    class: &str,
    label: &str,
    before: &Element,
) -> Option<Element> {
    let button = document.create_element("button").ok()?;
    button.set_class_name(class);
    drop(button.set_attribute("type", "button"));
    button.set_text_content(Some(label));
    drop(node.element.insert_before(&button, Some(before)));
    Some(button)
}

/// A link to what is not in the row, in a tab of its own.
fn link(document: &Document, parent: &Element, to: &str, label: &str) {
    if let Ok(link) = document.create_element("a") {
        link.set_class_name("more");
        for (name, value) in [("href", to), ("target", "_blank")] {
            drop(link.set_attribute(name, value));
        }
        link.set_text_content(Some(label));
        drop(parent.append_child(&link));
    }
}

/// A part of a text in pieces of one style each: ANSI styles and matches of the search may overlap.
fn pieces<'a>(
    text: &'a str,
    (first, end): (usize, usize),
    spans: &[(u32, u32, super::ansi::Style)],
    query: &Query,
) -> Vec<(&'a str, String, bool)> {
    let mut cuts = vec![first, end];
    for (from, to, _) in spans {
        cuts.extend([*from as usize, *to as usize]);
    }
    let mut matches = Vec::new();
    // A match may begin on the row before.
    let mut at = 0;
    while let Some((from, to)) = query.find(text, at).filter(|(from, _)| *from < end) {
        matches.push((from, to));
        cuts.extend([from, to]);
        at = to.max(from + 1);
    }
    cuts.retain(|cut| (first..=end).contains(cut) && text.is_char_boundary(*cut));
    cuts.sort_unstable();
    cuts.dedup();
    let mut out = Vec::new();
    for pair in cuts.windows(2) {
        let (from, to) = (pair[0], pair[1]);
        let style = spans.iter().rev().find(|(a, b, _)| *a as usize <= from && to <= *b as usize);
        let marked = matches.iter().any(|(a, b)| *a <= from && to <= *b);
        out.push((&text[from..to], style.map(|s| s.2.classes()).unwrap_or_default(), marked));
    }
    out
}

fn styled(document: &Document, parent: &Element, text: &str, classes: &str, marked: bool) {
    if let Ok(piece) = document.create_element(if marked { "mark" } else { "span" }) {
        if !classes.is_empty() {
            piece.set_class_name(classes);
        }
        piece.set_text_content(Some(text));
        drop(parent.append_child(&piece));
    }
}

fn template(document: &Document) -> Option<HtmlElement> {
    let row = document.create_element("div").ok()?;
    for class in ["time", "level", "source", "text"] {
        let part = document.create_element("span").ok()?;
        part.set_class_name(class);
        row.append_child(&part).ok()?;
    }
    row.dyn_into().ok()
}

fn set(element: &HtmlElement, property: &str, value: &str) {
    drop(element.style().set_property(property, value));
}
