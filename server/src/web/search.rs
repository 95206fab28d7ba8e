//! The page Search: `GET /services/NAME/search` with what is looked for in its address, so that it can be sent to others.
//!
//! The form comes at once, the hits as they are found. It needs no script, and has none.

use super::logs::{Pieces, runs_to_search, search_of, written};
use super::problem::Problem;
use super::{Site, page};
use crate::history::{Answer, Hit, Search};
use app::locales::Lang;
use app::model::{ServiceName, Timestamp};
use app::parts::view::{BarView, FarView, HitView, SearchView};
use app::parts::{SEARCH_END, search_far, search_hit, search_top};
use axum::body::Body;
use axum::extract::{Path, Query};
use axum::http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::time::Instant;

/// Hits of one page.
const SHOWN: usize = 200;
/// Bytes of a line that are shown; all of it is in its log.
const MOST_TEXT: usize = 8 << 10;
/// Runs to choose from.
const RUNS: usize = 50;

type Pairs = Vec<(String, String)>;

/// The page.
pub async fn page(
    site: Site,
    Path(text): Path<String>,
    Query(pairs): Query<Pairs>,
    request: Request<Body>,
) -> Response {
    let service = ServiceName::parse(&text).ok().and_then(|name| site.fleet.world().service(&name));
    let Some(service) = service else { return page::not_found(site, request).await };
    let (lang, theme) = (page::language(request.headers()), page::theme(request.headers()));
    let mut parameters: HashMap<String, String> =
        pairs.iter().filter(|(key, _)| key != "level").cloned().collect();
    let levels: Vec<&str> =
        pairs.iter().filter(|(key, _)| key == "level").map(|(_, level)| level.as_str()).collect();
    if !levels.is_empty() {
        parameters.insert("levels".into(), levels.join(","));
    }
    parameters.entry("context".into()).or_insert_with(|| "1".into());
    parameters.insert("limit".into(), SHOWN.to_string());
    let (place, name, texts) = (site.clone(), service.name.clone(), parameters.clone());
    let form = tokio::task::spawn_blocking(move || form(&place, &name, &texts));
    let mut view = match tokio::time::timeout(super::logs::DISK_LIMIT, form).await {
        Ok(Ok(view)) => view,
        _ => {
            return Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "Failed", "the disk does not answer")
                .into_response();
        }
    };
    view.title.clone_from(&service.title);
    let asked = pairs.iter().any(|(_, value)| !value.is_empty());
    let search = if asked { Some(search_of(&parameters)) } else { None };
    let runs = match &search {
        Some(Ok(_)) => runs_to_search(&site, &service.name, Some(&view.run)).await.map(Some),
        _ => Ok(None),
    };
    let (search, status) = match (search, runs) {
        (Some(Ok(search)), Ok(Some(runs))) => (Some((search, runs)), StatusCode::OK),
        (Some(Err(problem)), _) | (Some(Ok(_)), Err(problem)) => {
            view.wrong = Some(problem.detail().to_owned());
            (None, StatusCode::BAD_REQUEST)
        }
        _ => (None, StatusCode::OK),
    };
    let top = search_top(&view, theme, lang);
    let body = written(&site, move |out| {
        let _ = out.write(|text| text.push_str(&top));
        // The form is there before anything is read.
        let _ = out.flush();
        if let Some((search, runs)) = search {
            let (views, left_out) = runs.open();
            let download = (view.run != "all").then(|| download(&view.service, &parameters));
            let finder = Finder { service: view.service, pairs, lang, search, left_out, download };
            finder.run(&views, out);
        }
        let _ = out.write(|text| text.push_str(SEARCH_END));
    })
    .await;
    let body = match body {
        Ok(body) => body,
        Err(problem) => return problem.into_response(),
    };
    let mut headers = HeaderMap::new();
    const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; \
                          frame-ancestors 'none'";
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::VARY, HeaderValue::from_static("Cookie, Accept-Language"));
    (status, headers, body).into_response()
}

fn form(site: &Site, service: &ServiceName, parameters: &HashMap<String, String>) -> SearchView {
    let text = |key: &str| parameters.get(key).cloned().unwrap_or_default();
    let levels = text("levels");
    let mut runs: Vec<(u64, Option<Timestamp>)> = site
        .fleet
        .history()
        .kept(service.as_str())
        .iter()
        .rev()
        .take(RUNS)
        .map(|kept| (kept.run, None))
        .collect();
    let asked = text("run");
    if let Ok(run) = asked.parse()
        && !runs.iter().any(|(known, _)| *known == run)
    {
        runs.push((run, None));
    }
    for (run, started) in &mut runs {
        *started = site.fleet.started(*run);
    }
    SearchView {
        service: service.to_string(),
        title: String::new(),
        q: text("q"),
        regex: text("regex") == "1",
        run: asked,
        runs,
        levels: levels.split(',').filter_map(|word| word.parse().ok()).collect(),
        stream: text("stream"),
        source: text("source"),
        sources: Vec::new(),
        from: text("from"),
        to: text("to"),
        context: text("context").parse().unwrap_or(1),
        wrong: None,
    }
}

struct Finder {
    service: String,
    pairs: Pairs,
    lang: Lang,
    search: Search,
    left_out: usize,
    download: Option<String>,
}

impl Finder {
    fn run(&self, views: &[crate::history::View], out: &mut Pieces) {
        let out = RefCell::new(out);
        let shown = Cell::new(0_usize);
        let began = Instant::now();
        let _ = self.search.run(
            views,
            |hit| {
                shown.set(shown.get() + 1);
                let view = self.hit(&hit, shown.get());
                out.borrow_mut().write(|text| text.push_str(&search_hit(&view, self.lang)))
            },
            |answer| {
                let mut out = out.borrow_mut();
                let view = self.far(answer, shown.get(), began);
                out.write(|text| text.push_str(&search_far(&view, self.lang)))?;
                out.flush()
            },
        );
    }

    fn hit(&self, hit: &Hit, number: usize) -> HitView {
        let line = hit.line.line();
        let texts = |lines: &[crate::history::OwnLine]| {
            lines.iter().map(|it| it.line().text.chars().take(MOST_TEXT).collect()).collect()
        };
        let query = self.search.filter.query.as_ref();
        let text = line.text.get(..line.text.floor_char_boundary(MOST_TEXT)).unwrap_or(line.text);
        let q = self.pairs.iter().find(|(key, _)| key == "q").map_or("", |(_, q)| q.as_str());
        let regex = self.pairs.iter().any(|(key, value)| key == "regex" && value == "1");
        // The log window marks plain text alone.
        let q = if q.is_empty() || regex { String::new() } else { format!("&q={}", encoded(q)) };
        HitView {
            number,
            run: hit.run,
            seq: line.seq,
            time: Timestamp::from_millis(line.ms),
            level: line.level,
            source: line.source.to_owned(),
            marks: query.map(|query| query.places(text)).unwrap_or_default(),
            text: if text.len() < line.text.len() { format!("{text} …") } else { text.to_owned() },
            before: texts(&hit.before),
            after: texts(&hit.after),
            link: app::at(format!("/services/{}?run={}&line={}{q}", self.service, hit.run, line.seq)),
        }
    }

    fn far(&self, answer: &Answer, shown: usize, began: Instant) -> FarView {
        let timeline = &answer.timeline;
        let last = timeline.bins.iter().rposition(|counts| counts.iter().any(|count| *count > 0));
        let bars =
            timeline.bins.iter().take(last.map_or(0, |last| last + 1)).enumerate().map(|(index, counts)| {
                let at = |index: usize| {
                    let steps = i64::try_from(index).unwrap_or_default();
                    Timestamp::from_millis(
                        timeline.from_ms.saturating_add(timeline.step_ms.saturating_mul(steps)),
                    )
                };
                let (from, to) = (at(index), at(index + 1));
                BarView { from, to, counts: *counts, link: self.within(from, to) }
            });
        FarView {
            lines: answer.lines,
            of_lines: answer.of_lines,
            bytes: answer.bytes,
            took_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            matches: answer.matches,
            shown: shown as u64,
            damaged: answer.damaged,
            left_out: self.left_out,
            done: answer.done,
            download: self.download.clone(),
            bars: bars.collect(),
        }
    }

    /// The same search within a stretch of time.
    fn within(&self, from: Timestamp, to: Timestamp) -> String {
        let mut address = "?".to_owned();
        for (key, value) in self.pairs.iter().filter(|(key, _)| key != "from" && key != "to") {
            address.push_str(&format!("{}={}&", encoded(key), encoded(value)));
        }
        address.push_str(&format!("from={from}&to={to}"));
        address
    }
}

/// Where the lines that are looked for can be downloaded.
fn download(service: &str, parameters: &HashMap<String, String>) -> String {
    let mut address = app::at(format!("/api/services/{service}/logs?download=1"));
    for key in ["run", "q", "regex", "levels", "stream", "source", "from", "to"] {
        if let Some(value) = parameters.get(key).filter(|value| !value.is_empty()) {
            address.push_str(&format!("&{key}={}", encoded(value)));
        }
    }
    address
}

/// A text as a value in an address.
pub(super) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_stays_within_its_value() {
        assert_eq!(encoded("a b&c=d#é\"<"), "a%20b%26c%3Dd%23%C3%A9%22%3C");
    }
}
