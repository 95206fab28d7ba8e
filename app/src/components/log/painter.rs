//! Puts the rows that are in view into the document: about eighty elements, recycled, however many lines are held.
//!
//! Works on the elements directly, outside the reactive graph, and once per frame. Text is set as text, never as HTML.

use super::narrow::{Narrow, Query};
use super::row;
use super::store::{Entry, Store};
use crate::locales::{Words, clock_of_day};
use std::collections::VecDeque;
use wasm_bindgen::JsCast;
use web_sys::{Document, Element, HtmlElement};

/// The height of a row in CSS pixels; `--row` in `style/log.css`.
const ROW_PIXELS: usize = 20;
const ROW: f64 = ROW_PIXELS as f64;
/// Rows beyond each edge of the view.
const BEYOND: usize = 8;
const NOTHING: u64 = u64::MAX;
const PROGRESS: u64 = u64::MAX - 1;

struct RowNode {
    element: HtmlElement,
    time: Element,
    level: Element,
    source: Element,
    text: Element,
    shown: u64,
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
    /// How many of the shown entries fell out at the old end.
    pub went: usize,
    /// The shown entry that belongs at the top of the view, when everything was judged again.
    pub anchor: Option<usize>,
}

/// The rows and where they are.
pub struct Painter {
    document: Document,
    scroller: HtmlElement,
    size: HtmlElement,
    block: HtmlElement,
    words: &'static Words,
    template: HtmlElement,
    rows: VecDeque<RowNode>,
    first: usize,
    total: usize,
    top: f64,
    height: f64,
    widest: usize,
    offset: Option<(i64, i32)>,
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
        scroller.class_list().add_1("painted").ok()?;
        let height = f64::from(scroller.client_height());
        Some(Self {
            document,
            scroller,
            size,
            block,
            words,
            template,
            rows: VecDeque::new(),
            first: 0,
            total: 0,
            top: 0.0,
            height,
            widest: 0,
            offset: None,
        })
    }

    /// The view was scrolled: whether it is at the end, and whether it went up.
    pub fn scrolled(&mut self) -> (bool, bool) {
        let before = self.top;
        self.top = f64::from(self.scroller.scroll_top());
        // A view that grew is scrolled by the browser before its new size is told: that is nobody's scrolling up.
        self.resized();
        (self.top + self.height >= self.total as f64 * ROW - ROW, self.top < before - 1.0)
    }

    /// The view has another size.
    pub fn resized(&mut self) {
        self.height = f64::from(self.scroller.client_height());
    }

    /// The view is near the oldest line.
    pub fn near_top(&self) -> bool {
        self.top < ROW * 10.0
    }

    /// There is more than the view holds.
    pub fn overflows(&self) -> bool {
        self.total as f64 * ROW > self.height
    }

    /// The place of the row at the top of the view.
    pub fn top_row(&self) -> usize {
        (self.top / ROW) as usize
    }

    /// Every row is to be written anew.
    pub fn forget(&mut self) {
        for row in &mut self.rows {
            row.shown = NOTHING;
        }
    }

    /// Paints one frame.
    pub fn paint(&mut self, scene: &Scene<'_>) {
        let total = scene.narrow.len() + usize::from(scene.progress.is_some());
        if total != self.total {
            self.total = total;
            set(&self.size, "height", &format!("{}px", total * ROW_PIXELS));
        }
        let end = (total as f64 * ROW - self.height).max(0.0);
        let wanted = match scene.anchor {
            _ if scene.following => end,
            Some(at) => (at as f64 * ROW + self.top % ROW).min(end),
            None => (self.top - scene.went as f64 * ROW).clamp(0.0, end),
        };
        if (wanted - self.top).abs() >= 1.0 {
            self.top = wanted;
            self.scroller.set_scroll_top(wanted.ceil() as i32);
        }

        let count = ((self.height / ROW).ceil() as usize + 2 * BEYOND).min(total);
        let first = ((self.top / ROW) as usize).saturating_sub(BEYOND).min(total - count);
        self.fit(count);
        self.turn(first, scene);
        self.first = first;
        let widest = self.widest;
        for at in 0..count {
            self.fill(at, scene);
        }
        set(&self.block, "transform", &format!("translateY({}px)", first * ROW_PIXELS));
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
            let Some(row) = self.row() else { break };
            drop(self.block.append_child(&row.element));
            self.rows.push_back(row);
        }
    }

    fn row(&self) -> Option<RowNode> {
        let element: HtmlElement = self.template.clone_node_with_deep(true).ok()?.dyn_into().ok()?;
        let time = element.first_element_child()?;
        let level = time.next_element_sibling()?;
        let source = level.next_element_sibling()?;
        let text = source.next_element_sibling()?;
        Some(RowNode { element, time, level, source, text, shown: NOTHING })
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
        let id = scene.narrow.id(self.first + at).unwrap_or(PROGRESS);
        let Some(row) = self.rows.get_mut(at) else { return };
        // The redrawn line changes under the same id.
        if row.shown == id && id != PROGRESS {
            return;
        }
        row.shown = id;
        let chars = match scene.store.get(id) {
            Some(Entry::Line(held)) => {
                row.element.set_class_name(row::class(held.level));
                drop(row.element.set_attribute("data-seq", &format!("{}.{}", held.run, held.seq)));
                row.level.set_text_content(Some(row::level_word(held.level)));
                let offset = offset_at(&mut self.offset, held.time.millis());
                row.time.set_text_content(Some(&row::time(held.time, offset)));
                drop(row.time.set_attribute("title", &held.time.to_string()));
                let source = scene.store.source(held);
                row.source.set_text_content(Some(&format!("{source} ")));
                let text = scene.store.text(held);
                let (end, more) = row::cut(text);
                let spans = scene.store.spans(held);
                if spans.is_empty() && more == 0 && scene.narrow.query().is_empty() {
                    row.text.set_text_content(Some(text));
                } else {
                    let pieces = pieces(&text[..end], spans, scene.narrow.query());
                    row.text.set_text_content(None);
                    for (text, classes, marked) in pieces {
                        styled(&self.document, &row.text, text, &classes, marked);
                    }
                    if more > 0 {
                        styled(&self.document, &row.text, &(self.words.more_text)(more), "more", false);
                    }
                }
                end + source.len()
            }
            entry => {
                let (class, text) = match entry {
                    Some(Entry::Gap(missing)) => ("row gap", (self.words.gap)(missing.count)),
                    Some(Entry::Run { run, started }) => {
                        let time = started.map(|time| {
                            clock_of_day(time.millis(), offset_at(&mut self.offset, time.millis()))
                        });
                        ("row run", (self.words.run_started)(*run, &time.unwrap_or_default()))
                    }
                    _ => ("row progress", scene.progress.unwrap_or_default().to_owned()),
                };
                row.element.set_class_name(class);
                drop(row.element.remove_attribute("data-seq"));
                drop(row.time.remove_attribute("title"));
                for part in [&row.time, &row.level, &row.source] {
                    part.set_text_content(None);
                }
                row.text.set_text_content(Some(&text));
                text.len()
            }
        };
        self.widest = self.widest.max(chars);
    }
}

/// Minutes east of UTC; asked of the browser once per hour of the log.
fn offset_at(known: &mut Option<(i64, i32)>, millis: i64) -> i32 {
    let hour = millis.div_euclid(3_600_000);
    match *known {
        Some((at, offset)) if at == hour => offset,
        _ => {
            let offset = crate::live::offset_minutes(millis);
            *known = Some((hour, offset));
            offset
        }
    }
}

/// A text in pieces of one style each: ANSI styles and matches of the search may overlap.
fn pieces<'a>(
    text: &'a str,
    spans: &[(u32, u32, super::ansi::Style)],
    query: &Query,
) -> Vec<(&'a str, String, bool)> {
    let mut cuts = vec![0, text.len()];
    for (from, to, _) in spans {
        cuts.extend([*from as usize, *to as usize]);
    }
    let mut matches = Vec::new();
    let mut at = 0;
    while let Some((from, to)) = query.find(text, at) {
        matches.push((from, to));
        cuts.extend([from, to]);
        at = to.max(from + 1);
    }
    cuts.retain(|cut| text.is_char_boundary(*cut));
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
