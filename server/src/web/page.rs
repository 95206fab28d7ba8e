//! The page, rendered from what is known now, and the small things around it.

use super::flash::{self, Flash};
use super::problem::{Reason, status_of};
use super::{Site, parts};
use crate::history::{Anchor, Filter, Query as TextQuery, Selection, write_shown_line};
use app::api::ApiError;
use app::locales::Lang;
use app::model::{Explained, Level, LevelCounts, ServiceName, Stream};
use app::parts::view::{LogFilter, LogPane, LogsView};
use app::{Boot, LogView, Parts, Route, Theme, at, base};
use axum::Form;
use axum::body::Body;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use leptos::context::{provide_context, use_context};
use leptos::nonce::use_nonce;
use leptos_axum::ResponseOptions;
use serde::Deserialize;

/// Lines of the log in the first view.
const TAIL: usize = 200;

/// `/`
pub async fn services(site: Site, request: Request<Body>) -> Response {
    render(site, Route::Services, None, StatusCode::OK, request).await
}

/// `/services/NAME`
pub async fn service(site: Site, Path(text): Path<String>, request: Request<Body>) -> Response {
    match ServiceName::parse(&text).ok().filter(|name| site.fleet.world().service(name).is_some()) {
        Some(name) => render(site, Route::Service { name }, None, StatusCode::OK, request).await,
        None => render(site, Route::NotFound, None, StatusCode::NOT_FOUND, request).await,
    }
}

/// Everywhere else.
pub async fn not_found(site: Site, request: Request<Body>) -> Response {
    render(site, Route::NotFound, None, StatusCode::NOT_FOUND, request).await
}

/// The page of a route, with what a log that was handed in tells.
pub async fn render(
    site: Site,
    route: Route,
    explained: Option<Explained>,
    status: StatusCode,
    request: Request<Body>,
) -> Response {
    let mut boot = boot(&site, route, request.headers(), request.uri().query());
    boot.explained = explained;
    boot.parts = parts_of(&site, &boot).await;
    let windows = logs(&site, &boot, request.headers(), request.uri().query()).await;
    boot.parts.0.extend(windows);
    written(site, boot, status, request).await
}

/// The page of a route with one part as it is after a form of it was sent.
pub async fn render_with(
    site: Site,
    route: Route,
    part: (String, String),
    status: StatusCode,
    request: Request<Body>,
) -> Response {
    let mut boot = boot(&site, route, request.headers(), None);
    boot.parts = parts_of(&site, &boot).await;
    let windows = logs(&site, &boot, request.headers(), None).await;
    boot.parts.0.extend(windows);
    boot.parts.0.retain(|(id, _)| *id != part.0);
    boot.parts.0.push(part);
    written(site, boot, status, request).await
}

async fn parts_of(site: &Site, boot: &Boot) -> Parts {
    match &boot.route {
        Route::Services => parts::all(site, None, boot.lang).await,
        Route::Service { name } => parts::all(site, Some(name), boot.lang).await,
        Route::Explain | Route::NotFound => Parts::default(),
    }
}

/// The language of a request: chosen, or the browser's.
pub fn language(headers: &HeaderMap) -> Lang {
    cookie(headers, "lang").and_then(Lang::parse).unwrap_or_else(|| accepted(headers))
}

/// The theme of a request: chosen, or the system's.
pub fn theme(headers: &HeaderMap) -> Theme {
    cookie(headers, "theme").and_then(Theme::parse).unwrap_or_default()
}

async fn written(site: Site, boot: Boot, status: StatusCode, request: Request<Body>) -> Response {
    let options = site.leptos.clone();
    let shell = move || {
        if let Some(response) = use_context::<ResponseOptions>() {
            response.set_status(status);
            if let Some(policy) = use_nonce().and_then(|nonce| HeaderValue::from_str(&policy(&nonce)).ok()) {
                response.insert_header(header::CONTENT_SECURITY_POLICY, policy);
            }
            response.insert_header(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            response.insert_header(header::VARY, HeaderValue::from_static("Cookie, Accept-Language"));
        }
        app::shell(options.clone(), &boot)
    };
    let response =
        leptos_axum::render_app_to_stream_with_context(|| {}, shell)(request).await.into_response();
    // A page waits for nothing, so it is whole at once; as a whole it has a length, by which it is counted.
    let (parts, body) = response.into_parts();
    match axum::body::to_bytes(body, usize::MAX).await {
        Ok(page) => Response::from_parts(parts, Body::from(page)),
        Err(error) => {
            tracing::error!(%error, "the page could not be rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Nothing from elsewhere, no inline code but ours, no frame around us.
fn policy(nonce: &str) -> String {
    let reload = if cfg!(debug_assertions) { " ws://127.0.0.1:3001 ws://localhost:3001" } else { "" };
    format!(
        "default-src 'none'; script-src 'self' 'nonce-{nonce}' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data:; \
         connect-src 'self'{reload}; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
}

fn boot(site: &Site, route: Route, headers: &HeaderMap, query: Option<&str>) -> Boot {
    let caller = site.caller().clone();
    let shown = match &route {
        Route::Service { name } => Some(name.clone()),
        Route::Services => site.fleet.world().services().first().map(|s| s.name.clone()),
        Route::Explain | Route::NotFound => None,
    };
    let (log, tail) = shown
        .as_ref()
        .and_then(|name| site.control.log_tail(&caller, name, TAIL).ok())
        .map_or((None, Vec::new()), |(s, t)| (Some(s), t));
    let mut snapshot = site.control.snapshot(&caller, None);
    if let Route::Service { name } = &route {
        snapshot.services.retain(|s| s.name == *name);
    }
    Boot {
        lang: language(headers),
        theme: theme(headers),
        links: links(site),
        refusal: refusal(site, query),
        explained: None,
        snapshot,
        route,
        log,
        tail,
        role: caller.role,
        open_house: site.access.is_open(),
        parts: Parts::default(),
    }
}

/// The neighbouring pages, and one's own account.
fn links(site: &Site) -> Vec<(String, String)> {
    let mut links = site.links.to_vec();
    if !site.access.is_open() {
        links.extend(site.guest().map(|guest| (guest.caller.name.clone(), at("/account"))));
    }
    links
}

/// The log windows: the live log, and the run that the address names.
async fn logs(
    site: &Site,
    boot: &Boot,
    headers: &HeaderMap,
    query: Option<&str>,
) -> Option<(String, String)> {
    let summary = boot.log.as_ref()?;
    let service = summary.service.clone();
    let title =
        site.fleet.world().service(&service).map_or_else(String::new, |service| service.title.clone());
    let live = LogPane {
        title,
        run: summary.run,
        started: summary.run.and_then(|run| site.fleet.started(run)),
        counts: summary.counts,
        first: summary.first,
        last: summary.last,
        lines: boot.tail.clone(),
        line: None,
        filter: LogFilter::default(),
        service,
    };
    let named = |name: &str| query?.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    let run =
        named("run").and_then(|run| run.parse().ok()).filter(|_| matches!(boot.route, Route::Service { .. }));
    let filter = named_filter(named);
    let (live, past) = match run {
        Some(run) => {
            let line = named("line").and_then(|line| line.parse().ok());
            let past = past(site, run, line, filter, live.clone()).await;
            (live, Some(past))
        }
        None => (LogPane { filter, ..live }, None),
    };
    let view = cookie(headers, "log").map(LogView::parse).unwrap_or_default();
    Some(("logs".to_owned(), app::parts::logs(&LogsView { view, live, past }, boot.lang)))
}

/// What the address wants a log's window to show; what it does not know is everything.
fn named_filter<'a>(named: impl Fn(&str) -> Option<&'a str>) -> LogFilter {
    let all = LogFilter::default();
    let text = |name| named(name).map(percent_decode).unwrap_or_default();
    let query = text("q");
    let levels: Vec<Level> = text("levels").split(',').filter_map(|word| word.parse().ok()).collect();
    LogFilter {
        only: named("only") == Some("1") && !query.is_empty(),
        query,
        levels: if levels.is_empty() { all.levels } else { levels },
        streams: match named("stream") {
            Some("stdout") => [true, false],
            Some("stderr") => [false, true],
            _ => all.streams,
        },
    }
}

/// Which lines it takes.
fn taken(shown: &LogFilter) -> Filter {
    let all = shown.levels.len() == Level::ALL.len();
    Filter {
        levels: if all { Vec::new() } else { shown.levels.clone() },
        stream: match shown.streams {
            [true, false] => Some(Stream::Stdout),
            [false, true] => Some(Stream::Stderr),
            _ => None,
        },
        // Too long a text is searched for by nobody.
        query: Some(&shown.query).filter(|_| shown.only).and_then(|text| TextQuery::words(text).ok()),
        ..Filter::default()
    }
}

/// The window on one run, with the lines around the one that is named, or the last ones.
async fn past(site: &Site, run: u64, line: Option<u64>, filter: LogFilter, live: LogPane) -> LogPane {
    let wanted = taken(&filter);
    let view = super::logs::view(site, &live.service, Some(run)).await.ok();
    let started = view.as_ref().and_then(|_| site.fleet.started(run));
    let read = tokio::task::spawn_blocking(move || {
        let view = view?;
        let at = line.map_or(Anchor::End, Anchor::Around);
        let wanted = Selection { at, before: None, filter: wanted, limit: TAIL };
        Some((view.first(), view.last(), view.select(&wanted, write_shown_line)))
    });
    let (first, last, lines) = read.await.ok().flatten().unwrap_or_default();
    LogPane {
        run: Some(run),
        started,
        counts: LevelCounts::default(),
        first,
        last,
        lines: lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect(),
        line,
        filter,
        ..live
    }
}

/// What a form without JavaScript is told, once.
fn refusal(site: &Site, query: Option<&str>) -> Option<ApiError> {
    let number = query?.split('&').find_map(|pair| pair.strip_prefix(flash::KEY)?.strip_prefix('='))?;
    match site.flashes.take(site.caller(), number)? {
        Flash::Refused(error) => Some(error),
        Flash::Said(_) => None,
    }
}

fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = (bytes[at] == b'%')
            .then(|| text.get(at + 1..at + 3).and_then(|h| u8::from_str_radix(h, 16).ok()))
            .flatten();
        if let Some(byte) = hex {
            out.push(byte);
            at += 3;
        } else {
            out.push(if bytes[at] == b'+' { b' ' } else { bytes[at] });
            at += 1;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// A cookie's value.
pub fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    cookies(headers, name).next()
}

/// Cookies of one name that are looked at: a browser sends several where neighbours on its host have set some, too.
const SAME_NAME: usize = 50;

/// The values of all cookies of a name.
pub fn cookies<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter_map(move |(key, value)| (key == name).then_some(value))
        .take(SAME_NAME)
}

/// The first language that the browser prefers and that we speak.
fn accepted(headers: &HeaderMap) -> Lang {
    let Some(list) = headers.get(header::ACCEPT_LANGUAGE).and_then(|v| v.to_str().ok()) else {
        return Lang::default();
    };
    let mut best: Option<(f32, Lang)> = None;
    for entry in list.split(',').take(20) {
        let mut parts = entry.trim().split(';');
        let tag = parts.next().unwrap_or_default();
        let Some(lang) = Lang::parse(&tag.split('-').next().unwrap_or_default().to_ascii_lowercase()) else {
            continue;
        };
        let quality = parts.find_map(|p| p.trim().strip_prefix("q=")?.parse::<f32>().ok()).unwrap_or(1.0);
        if best.is_none_or(|(q, _)| quality > q) {
            best = Some((quality, lang));
        }
    }
    best.map_or_else(Lang::default, |(_, lang)| lang)
}

/// Where our cookies are sent: with a slash at its end, the page at the base itself would not get them.
pub fn cookie_path() -> &'static str {
    if base().is_empty() { "/" } else { base() }
}

/// The form of the switches in the header.
#[derive(Debug, Deserialize)]
pub struct Preferences {
    lang: Option<String>,
    theme: Option<String>,
    log: Option<String>,
}

/// Keeps a language, a theme or the log's view in a cookie, and sends the browser back to where it was.
pub async fn preferences(headers: HeaderMap, Form(wanted): Form<Preferences>) -> Response {
    let back = headers
        .get(header::REFERER)
        .and_then(|r| r.to_str().ok())
        .and_then(|r| r.parse::<axum::http::Uri>().ok())
        .map_or_else(|| at("/"), |uri| uri.path().to_owned());
    // A path of ours and nothing else: not `//host`.
    let back = if back.starts_with('/') && !back.starts_with("//") { back } else { at("/") };
    let mut response = Redirect::to(&back).into_response();
    let lang = wanted.lang.as_deref().and_then(Lang::parse).map(|l| ("lang", l.code()));
    let theme = wanted.theme.as_deref().and_then(Theme::parse).map(|t| ("theme", t.as_str()));
    // Only words of ours: what else was sent is left out.
    let log = wanted.log.as_deref().map(|words| LogView::parse(words).words("."));
    let log = log.as_deref().map(|words| ("log", words));
    for (name, value) in [lang, theme, log].into_iter().flatten() {
        let path = cookie_path();
        if let Ok(value) =
            HeaderValue::from_str(&format!("{name}={value}; Path={path}; Max-Age=31536000; SameSite=Strict"))
        {
            response.headers_mut().append(header::SET_COOKIE, value);
        }
    }
    response
}

/// Server functions: the same control, the same caller. What they refuse is told with its own status, and to the audit.
pub async fn server_function(site: Site, request: Request<Body>) -> Response {
    let (control, caller) = (site.control.clone(), site.caller().clone());
    let asking = caller.clone();
    let flashes = site.flashes.clone();
    let response = leptos_axum::handle_server_fns_with_context(
        move || {
            provide_context(control.clone());
            provide_context(asking.clone());
        },
        request,
    )
    .await
    .into_response();
    let (mut parts, body) = response.into_parts();
    // Of what became of it nothing is believed but this: an address that leads back may be the client's own words.
    let failed = parts.headers.contains_key(server_fn::error::SERVER_FN_ERROR_HEADER);
    let (body, error) = if failed {
        let body = axum::body::to_bytes(body, super::BODY_LIMIT).await.unwrap_or_default();
        let error = serde_json::from_slice::<ApiError>(&body);
        (Body::from(body), Some(error))
    } else {
        (body, None)
    };
    if let Some(to) = parts.headers.get(header::LOCATION).and_then(|to| to.to_str().ok()) {
        // A browser that does not tell where it came from is sent to the beginning. The error itself stays here.
        let to = if to == "/" { at("/") } else { to.to_owned() };
        let told = error.as_ref().and_then(|error| error.as_ref().ok());
        let number = told.and_then(|error| flashes.keep(&caller, Flash::Refused(error.clone())));
        if let Ok(to) = HeaderValue::from_str(&flash::address(&to, number.as_deref())) {
            parts.headers.insert(header::LOCATION, to);
        }
    }
    let Some(error) = error else { return Response::from_parts(parts, body) };
    if parts.status == StatusCode::INTERNAL_SERVER_ERROR {
        parts.status = match &error {
            // It was never begun: the fields of the form were not understood.
            Ok(ApiError::Transport { .. }) if caller.deeds().is_empty() => StatusCode::BAD_REQUEST,
            Ok(error) => status_of(error).0,
            Err(_) => parts.status,
        };
    }
    parts
        .extensions
        .insert(Reason(error.map_or_else(|_| parts.status.to_string(), |error| error.to_string())));
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, body)
}

/// The page's icon.
pub async fn icon() -> Response {
    const ICON: &str = r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect width="16" height="16" rx="3" fill="#1f3a4d"/><path d="M3 9h2.5l1.5-4 2 7 1.5-3H13" fill="none" stroke="#7fd1ae" stroke-width="1.5" stroke-linecap="round" stroke-linejoin="round"/></svg>"##;
    let headers = [(header::CONTENT_TYPE, "image/svg+xml"), (header::CACHE_CONTROL, "max-age=86400")];
    (headers, ICON).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(k, v)| (k.clone(), HeaderValue::from_str(v).expect("a value"))).collect()
    }

    #[test]
    fn the_language_is_the_browsers_best_that_we_speak() {
        let of = |list: &str| accepted(&headers(&[(header::ACCEPT_LANGUAGE, list)]));
        assert_eq!(of("ru-RU,ru;q=0.9,en;q=0.8"), Lang::Ru);
        assert_eq!(of("de,en;q=0.7,ru;q=0.9"), Lang::Ru);
        assert_eq!(of("de, fr"), Lang::En);
        assert_eq!(of("en;q=oops,;;;,ru"), Lang::En);
        assert_eq!(accepted(&HeaderMap::new()), Lang::En);
    }

    #[tokio::test]
    async fn preferences_go_back_to_a_path_of_ours_alone() {
        for (referer, back) in [
            ("http://127.0.0.1:3000/services/vllm?x=1", "/services/vllm"),
            ("http://evil.example//evil.example/", "/"),
            ("nonsense", "/"),
        ] {
            let form =
                Form(Preferences { lang: Some("ru".into()), theme: Some("<script>".into()), log: None });
            let response = preferences(headers(&[(header::REFERER, referer)]), form).await;
            assert_eq!(response.headers()[header::LOCATION], back, "{referer}");
            let cookies: Vec<_> = response.headers().get_all(header::SET_COOKIE).iter().collect();
            assert_eq!(cookies.len(), 1, "an unknown theme is not kept");
        }
    }

    #[tokio::test]
    async fn the_view_of_the_log_is_kept_in_words_of_ours() {
        let form = Form(Preferences { lang: None, theme: None, log: Some("wrap.<b>;x=1.relative".into()) });
        let response = preferences(HeaderMap::new(), form).await;
        let kept = response.headers()[header::SET_COOKIE].to_str().expect("text");
        assert!(kept.starts_with("log=wrap.relative; Path=/;"), "{kept}");
    }

    #[test]
    fn cookies_are_found_by_their_whole_name() {
        let map = headers(&[(header::COOKIE, "xlang=en; lang=ru;theme=dark")]);
        assert_eq!(cookie(&map, "lang"), Some("ru"));
        assert_eq!(cookie(&map, "heme"), None);
    }
}
