//! Logs over plain HTTP, from memory and disk: pages of lines, searches, downloads. For scripts, for the page's own loading
//! of what is not in its stream, and for a log without a browser.
//!
//! Answers of any length are written as they are read, a piece at a time; a reader that takes nothing for a minute is left.

use super::Site;
use super::api::name;
use super::problem::Problem;
use crate::history::{
    Anchor, Answer, Direction, Filter, History, Hit, Query as TextQuery, Search, Selection, View,
    write_json_line, write_line, write_shown_line, write_text,
};
use crate::logs::Feed;
use app::model::{Level, LogPosition, ServiceName, Stream, Timestamp};
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;

/// Lines in one answer when nothing is asked for.
const DEFAULT_LINES: usize = 1_000;
/// Lines in one answer at most.
const MOST_LINES: usize = 100_000;
/// Hits that are shown when nothing is asked for, and at most.
const DEFAULT_HITS: usize = 200;
const MOST_HITS: usize = 10_000;
/// Runs that one search looks through; older ones are left out, and told.
const MOST_RUNS: usize = 100;
/// How long a disk may take to say what it has of a run.
pub const DISK_LIMIT: Duration = Duration::from_secs(20);
/// Bytes of one piece of a long answer.
const PIECE: usize = 64 << 10;
/// Pieces on their way to a reader.
const PIECES: usize = 4;
/// How long a reader may take for one.
const READER_LIMIT: Duration = Duration::from_secs(60);

type Parameters = HashMap<String, String>;

fn number<T: std::str::FromStr>(
    parameters: &Parameters,
    key: &str,
    allowed: &str,
) -> Result<Option<T>, Problem> {
    let Some(text) = parameters.get(key).filter(|text| !text.is_empty()) else { return Ok(None) };
    text.parse().map(Some).map_err(|_| Problem::parameter(key, text, allowed))
}

fn count(parameters: &Parameters, key: &str, usual: usize, most: usize) -> Result<usize, Problem> {
    let allowed = format!("a number from 1 to {most}");
    let count = number::<usize>(parameters, key, &allowed)?.unwrap_or(usual);
    if (1..=most).contains(&count) {
        Ok(count)
    } else {
        Err(Problem::parameter(key, &count.to_string(), &allowed))
    }
}

fn time(parameters: &Parameters, key: &str) -> Result<Option<i64>, Problem> {
    let Some(text) = parameters.get(key).filter(|text| !text.is_empty()) else { return Ok(None) };
    // A plus sign of a zone is a space in an address.
    let read = text.parse().ok().or_else(|| {
        Timestamp::parse_nanos(&text.replace(' ', "+")).map(|ns| Timestamp::from_nanos(ns).millis())
    });
    let allowed = "a time such as 2026-11-22T12:00:00Z, or milliseconds since 1970";
    read.map(Some).ok_or_else(|| Problem::parameter(key, text, allowed))
}

fn switch(parameters: &Parameters, key: &str) -> Result<bool, Problem> {
    match parameters.get(key).map(String::as_str) {
        None | Some("" | "0") => Ok(false),
        Some("1") => Ok(true),
        Some(other) => Err(Problem::parameter(key, other, "0 or 1")),
    }
}

/// Which lines an address asks for.
pub fn filter(parameters: &Parameters) -> Result<Filter, Problem> {
    let mut levels = Vec::new();
    for word in
        parameters.get("levels").into_iter().flat_map(|levels| levels.split(',')).filter(|w| !w.is_empty())
    {
        let level: Level = word
            .parse()
            .map_err(|()| Problem::parameter("levels", word, "debug, info, warning, error and other"))?;
        levels.push(level);
    }
    let stream = match parameters.get("stream").map(String::as_str) {
        None | Some("") => None,
        Some("stdout") => Some(Stream::Stdout),
        Some("stderr") => Some(Stream::Stderr),
        Some(other) => return Err(Problem::parameter("stream", other, "stdout or stderr")),
    };
    let regex = switch(parameters, "regex")?;
    let text = parameters.get("q").filter(|text| !text.is_empty());
    let query = text
        .map(|text| if regex { TextQuery::pattern(text) } else { TextQuery::words(text) })
        .transpose()
        .map_err(|why| {
            Problem::parameter(
                "q",
                text.map_or("", String::as_str),
                &format!("it is no regular expression: {why}"),
            )
        })?;
    Ok(Filter {
        levels,
        stream,
        source: parameters.get("source").filter(|text| !text.is_empty()).cloned(),
        from_ms: time(parameters, "from")?,
        to_ms: time(parameters, "to")?,
        query,
    })
}

fn unknown_run() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "Unknown run", "this run is not at hand")
}

fn failed(what: &str) -> Problem {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "Failed", what)
}

pub(super) fn busy() -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "Busy",
        "too many searches and downloads are under way; try again",
    )
}

/// A run of a service as it is now.
pub(super) async fn view(site: &Site, service: &ServiceName, run: Option<u64>) -> Result<View, Problem> {
    let (feed, history) = (site.fleet.feed(service), site.fleet.history().clone());
    let name = service.clone();
    let read = tokio::task::spawn_blocking(move || {
        let known = feed.is_some() || !history.kept(name.as_str()).is_empty();
        history.view(&name, run, feed.as_deref()).map(|view| (view, known))
    });
    match tokio::time::timeout(DISK_LIMIT, read).await {
        Ok(Ok(Ok((Some(view), _)))) => Ok(view),
        Ok(Ok(Ok((None, true)))) => Err(unknown_run()),
        Ok(Ok(Ok((None, false)))) => {
            Err(app::api::ApiError::UnknownService { name: service.to_string() }.into())
        }
        Ok(Ok(Err(error))) => Err(failed(&format!("the run cannot be read: {error}"))),
        Ok(Err(_)) => Err(failed("the log could not be read")),
        Err(_) => Err(failed("the disk does not answer")),
    }
}

/// Lines of a run as JSON lines, or as text.
pub async fn logs(
    site: Site,
    Path(text): Path<String>,
    Query(parameters): Query<Parameters>,
) -> Result<Response, Problem> {
    let service = name(&text)?;
    let as_text = match parameters.get("format").map(String::as_str) {
        None | Some("" | "jsonl") => false,
        Some("text") => true,
        Some(other) => return Err(Problem::parameter("format", other, "jsonl or text")),
    };
    let filter = filter(&parameters)?;
    let mut run = number(&parameters, "run", "a run's number")?;
    let before = number(&parameters, "before", "a line's number")?;
    let mut at = Anchor::End;
    if let Some(after) = number::<LogPosition>(&parameters, "after", "RUN.SEQ, such as 17.4203")? {
        run = Some(after.run);
        at = Anchor::After(after.seq);
    }
    if let Some(seq) = number(&parameters, "around", "a line's number")? {
        at = Anchor::Around(seq);
    }
    if let Some(ms) = time(&parameters, "at")? {
        at = Anchor::At(ms);
    }
    if parameters.get("download").is_some_and(|d| d == "1") {
        return download(&site, &service, run, filter, as_text).await;
    }
    let limit = count(&parameters, "limit", DEFAULT_LINES, MOST_LINES)?;
    let view = view(&site, &service, run).await?;
    let mut headers = line_headers(&view, as_text);
    let selection = Selection { at, before, filter, limit };
    let write = match (as_text, switch(&parameters, "cut")?) {
        (true, _) => write_text,
        (false, false) => write_json_line,
        (false, true) => write_shown_line,
    };
    let read = tokio::task::spawn_blocking(move || {
        let stretch = view.pick(&selection);
        let mut small = String::new();
        view.read_stretch(&stretch, &selection.filter, |line| {
            write(&mut small, line);
            if small.len() > PIECE { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        (view, selection.filter, stretch, small)
    });
    let (view, filter, stretch, small) = read.await.map_err(|_| failed("the log could not be searched"))?;
    if small.len() <= PIECE {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(small.len()));
        return Ok((headers, small).into_response());
    }
    // Too much for one piece: written as it is read.
    let body = written(&site, move |out| {
        view.read_stretch(&stretch, &filter, |line| out.write(|text| write(text, line)));
    });
    Ok((headers, body.await?).into_response())
}

fn line_headers(view: &View, as_text: bool) -> HeaderMap {
    let kind = if as_text { "text/plain; charset=utf-8" } else { "application/jsonl; charset=utf-8" };
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for (name, value) in [("x-run", view.run), ("x-first", view.first()), ("x-last", view.last())] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from(value));
    }
    headers
}

/// The log as plain text, also of a service that does not run: `run`, `download=1`, and the filters of the lines.
pub async fn container_logs(
    site: Site,
    Path(text): Path<String>,
    Query(parameters): Query<Parameters>,
) -> Result<Response, Problem> {
    let service = name(&text)?;
    let run = number(&parameters, "run", "a run's number")?;
    let mut response = download(&site, &service, run, filter(&parameters)?, true).await?;
    if parameters.get("download").is_none_or(|d| d != "1") {
        response.headers_mut().remove(header::CONTENT_DISPOSITION);
    }
    Ok(response)
}

/// Hands pieces of a long answer to whoever reads it.
pub struct Pieces {
    to: mpsc::Sender<Bytes>,
    runtime: tokio::runtime::Handle,
    piece: String,
    /// Nobody read in time.
    left: bool,
}

impl Pieces {
    /// Sends what `write` appends, once there is enough of it. `Break` when nobody reads any more.
    pub fn write(&mut self, write: impl FnOnce(&mut String)) -> ControlFlow<()> {
        write(&mut self.piece);
        if self.piece.len() < PIECE { ControlFlow::Continue(()) } else { self.flush() }
    }

    /// Sends what there is.
    pub fn flush(&mut self) -> ControlFlow<()> {
        if self.piece.is_empty() {
            return if self.to.is_closed() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        }
        let piece = Bytes::from(std::mem::take(&mut self.piece));
        let sent = self.runtime.block_on(tokio::time::timeout(READER_LIMIT, self.to.send(piece)));
        self.left |= !matches!(sent, Ok(Ok(())));
        if self.left { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// A body that a thread of its own writes, as fast as it is read.
pub async fn written(site: &Site, write: impl FnOnce(&mut Pieces) + Send + 'static) -> Result<Body, Problem> {
    let place = site.reader().await.ok_or_else(busy)?;
    let (to, from) = mpsc::channel::<Bytes>(PIECES);
    let whole = Arc::new(AtomicBool::new(false));
    let end = whole.clone();
    let mut pieces =
        Pieces { to, runtime: tokio::runtime::Handle::current(), piece: String::new(), left: false };
    tokio::task::spawn_blocking(move || {
        let _place = place;
        write(&mut pieces);
        if pieces.flush().is_continue() && !pieces.left {
            end.store(true, Ordering::Release);
        }
    });
    let body = futures::stream::unfold(Some((from, whole)), |state| async move {
        let (mut from, whole) = state?;
        match from.recv().await {
            Some(piece) => Some((Ok(piece), Some((from, whole)))),
            None if whole.load(Ordering::Acquire) => None,
            // What was broken off must not look like all of it.
            None => Some((Err(std::io::Error::other("broken off")), None)),
        }
    });
    Ok(Body::from_stream(body))
}

async fn download(
    site: &Site,
    service: &ServiceName,
    run: Option<u64>,
    filter: Filter,
    as_text: bool,
) -> Result<Response, Problem> {
    let view = match view(site, service, run).await {
        Ok(view) => view,
        // A service that never ran has an empty log.
        Err(_) if run.is_none() && site.fleet.feed(service).is_some() => {
            View { run: 0, pieces: Vec::new(), gaps: Vec::new(), ended: false }
        }
        Err(problem) => return Err(problem),
    };
    let mut headers = line_headers(&view, as_text);
    let ending = if as_text { "log" } else { "jsonl" };
    let file = format!("attachment; filename=\"{service}-run-{}.{ending}\"", view.run);
    if let Ok(value) = HeaderValue::from_str(&file) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    let body = written(site, move |out| write_all(&view, &filter, as_text, out)).await?;
    Ok((headers, body).into_response())
}

/// What is said in a download between its lines: text for people, an object where lines are arrays for programs.
#[derive(Clone, Copy)]
enum Note {
    /// Lines before the first one that is kept.
    Before(u64),
    /// Lines whose numbers are there, but nothing else.
    Unreadable(u64),
    /// Lines that nobody could number; 0 where it is not known how many.
    Missing(u64),
    /// Blocks in which a wanted line may have been.
    Blocks(usize),
}

impl Note {
    fn write(self, text: &mut String, as_text: bool) {
        text.push_str(&match (self, as_text) {
            (Self::Before(count), true) => format!("[{count} lines before this are no longer kept]\n"),
            (Self::Before(count), false) => format!("{{\"no_longer_kept\":{count}}}\n"),
            (Self::Unreadable(count), true) => {
                format!("[{count} lines cannot be read: the file is damaged]\n")
            }
            (Self::Unreadable(count), false) => format!("{{\"unreadable\":{count}}}\n"),
            (Self::Missing(0), true) => "[lines are missing here; nobody can say how many]\n".to_owned(),
            (Self::Missing(0), false) => "{\"missing\":null}\n".to_owned(),
            (Self::Missing(count), true) => format!("[{count} lines are missing here]\n"),
            (Self::Missing(count), false) => format!("{{\"missing\":{count}}}\n"),
            (Self::Blocks(count), true) => {
                format!("[{count} blocks of the log could not be searched: damaged]\n")
            }
            (Self::Blocks(count), false) => format!("{{\"unreadable_blocks\":{count}}}\n"),
        });
    }
}

/// All wanted lines of a run, with notes of what is not there.
fn write_all(view: &View, filter: &Filter, as_text: bool, out: &mut Pieces) {
    let whole = filter.takes_all();
    let mut next = 1;
    let mut gaps = view.gaps.iter().filter(|_| whole).peekable();
    let mut reading = ControlFlow::Continue(());
    let damaged = view.visit(0..=u64::MAX, Direction::Forwards, filter, |line, _| {
        reading = out.write(|text| {
            if whole {
                match line.seq.saturating_sub(next) {
                    0 => {}
                    missing if next == 1 => Note::Before(missing).write(text, as_text),
                    missing => Note::Unreadable(missing).write(text, as_text),
                }
                while let Some((_, count)) = gaps.next_if(|(after, _)| *after < line.seq) {
                    Note::Missing(*count).write(text, as_text);
                }
            }
            next = line.seq + 1;
            if as_text { write_text(text, line) } else { write_json_line(text, line) }
        });
        reading
    });
    let rest = if whole { view.last().saturating_sub(next - 1) } else { 0 };
    for (_, count) in gaps {
        if reading.is_break() {
            return;
        }
        reading = out.write(|text| Note::Missing(*count).write(text, as_text));
    }
    let last = if rest > 0 {
        Some(Note::Unreadable(rest))
    } else {
        (!whole && damaged > 0).then_some(Note::Blocks(damaged))
    };
    if let Some(note) = last.filter(|_| reading.is_continue()) {
        // The last piece is sent by whoever asked for this.
        let _ = out.write(|text| note.write(text, as_text));
    }
}

/// The runs that a search looks through.
pub enum Runs {
    /// One.
    One(Box<View>),
    /// All of a service.
    All(Arc<History>, ServiceName, Option<Arc<Feed>>),
}

/// The runs that an address names.
pub async fn runs_to_search(site: &Site, service: &ServiceName, run: Option<&str>) -> Result<Runs, Problem> {
    let run = run.filter(|text| !text.is_empty());
    if run == Some("all") {
        let feed = site.fleet.feed(service);
        if feed.is_none() {
            return Err(app::api::ApiError::UnknownService { name: service.to_string() }.into());
        }
        return Ok(Runs::All(site.fleet.history().clone(), service.clone(), feed));
    }
    let number =
        |text: &str| text.parse().map_err(|_| Problem::parameter("run", text, "a run's number, or all"));
    let view = view(site, service, run.map(number).transpose()?).await?;
    Ok(Runs::One(Box::new(view)))
}

impl Runs {
    /// The runs, the latest first, and how many are left out: too many, or not to be read. It reads from disk.
    pub fn open(self) -> (Vec<View>, usize) {
        let (history, service, feed) = match self {
            Self::One(view) => return (vec![*view], 0),
            Self::All(history, service, feed) => (history, service, feed),
        };
        let mut runs: Vec<u64> = history.kept(service.as_str()).iter().map(|kept| kept.run).collect();
        if let Some(feed) = &feed {
            let (current, previous) = feed.run_numbers();
            runs.extend([previous, current].into_iter().flatten());
        }
        runs.sort_unstable();
        runs.dedup();
        let views: Vec<View> = runs
            .iter()
            .rev()
            .take(MOST_RUNS)
            .filter_map(|run| history.view(&service, Some(*run), feed.as_deref()).ok().flatten())
            .collect();
        let left_out = runs.len() - views.len();
        (views, left_out)
    }
}

/// What an address searches for.
pub fn search_of(parameters: &Parameters) -> Result<Search, Problem> {
    let context = number::<usize>(parameters, "context", "a number from 0 to 20")?.unwrap_or(0);
    if context > 20 {
        return Err(Problem::parameter("context", &context.to_string(), "a number from 0 to 20"));
    }
    let limit = count(parameters, "limit", DEFAULT_HITS, MOST_HITS)?;
    Ok(Search { filter: filter(parameters)?, context, limit })
}

/// Found lines as JSON lines, as they are found: the latest first.
pub async fn search(
    site: Site,
    Path(text): Path<String>,
    Query(parameters): Query<Parameters>,
) -> Result<Response, Problem> {
    let service = name(&text)?;
    let search = search_of(&parameters)?;
    let runs = runs_to_search(&site, &service, parameters.get("run").map(String::as_str)).await?;
    let body = written(&site, move |out| {
        let (views, left_out) = runs.open();
        let out = std::cell::RefCell::new(out);
        let _ = search.run(
            &views,
            |hit| out.borrow_mut().write(|text| write_hit(text, &hit)),
            |answer| {
                let mut out = out.borrow_mut();
                out.write(|text| write_answer(text, answer, left_out))?;
                out.flush()
            },
        );
    })
    .await?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/jsonl; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((headers, body).into_response())
}

fn write_hit(text: &mut String, hit: &Hit) {
    let lines = |text: &mut String, lines: &[crate::history::OwnLine]| {
        for (index, line) in lines.iter().enumerate() {
            if index > 0 {
                text.push(',');
            }
            write_line(text, &line.line());
        }
    };
    text.push_str(&format!("{{\"run\":{},\"line\":", hit.run));
    write_line(text, &hit.line.line());
    for (name, around) in [("before", &hit.before), ("after", &hit.after)] {
        if !around.is_empty() {
            text.push_str(&format!(",\"{name}\":["));
            lines(text, around);
            text.push(']');
        }
    }
    text.push_str("}\n");
}

fn write_answer(text: &mut String, answer: &Answer, left_out: usize) {
    let timeline = json!({
        "from": Timestamp::from_millis(answer.timeline.from_ms),
        "step_ms": answer.timeline.step_ms,
        "levels": Level::ALL.map(Level::as_str),
        "counts": answer.timeline.bins,
    });
    let line = json!({
        "searched_lines": answer.lines,
        "of_lines": answer.of_lines,
        "searched_bytes": answer.bytes,
        "matches": answer.matches,
        "unreadable_blocks": answer.damaged,
        "runs_left_out": left_out,
        "timeline": timeline,
        "done": answer.done,
    });
    text.push_str(&line.to_string());
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Bounds;
    use crate::logs::{Limits, classify_common};

    /// A download says what is not in it: lines without a number, of a damaged file, and those that are no longer kept.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_download_names_what_is_missing() {
        let dir = tempfile::tempdir().expect("a folder");
        let root = dir.path().join("logs");
        let service = ServiceName::parse("vllm").expect("a name");
        let history = History::new(root.clone(), Bounds { total: None, service: None, days: 0 });
        let feed = Arc::new(Feed::new(classify_common, Limits::default()));
        feed.open_run(1, Timestamp::from_millis(1));
        let say = |texts: &[&str]| {
            for text in texts {
                feed.frame(1_000_000_000, Stream::Stdout, format!("{text}\n").as_bytes());
            }
            feed.flush();
        };
        say(&["one", "two"]);
        feed.note_gap(Some(7));
        say(&["three"]);
        feed.note_gap(None);
        let keeper = crate::history::Keeper::spawn(history.clone(), service.clone(), feed, |_| {});
        keeper.finish().await;
        let view = history.view(&service, Some(1), None).expect("read").expect("there");
        let whole = |as_text| {
            let filter = filter(&Parameters::new()).expect("none");
            let (to, from) = mpsc::channel(PIECES);
            let runtime = tokio::runtime::Handle::current();
            let mut pieces = Pieces { to, runtime, piece: String::new(), left: false };
            write_all(&view, &filter, as_text, &mut pieces);
            drop(from);
            pieces.piece
        };
        let text = whole(true);
        let said: Vec<&str> = text.lines().map(|line| line.rsplit("  ").next().unwrap_or(line)).collect();
        assert_eq!(said.len(), 5, "{text}");
        assert_eq!(said[2], "[7 lines are missing here]");
        assert_eq!(said[4], "[lines are missing here; nobody can say how many]");
        let json = whole(false);
        let rows: Vec<&str> = json.lines().collect();
        assert_eq!((rows[2], rows[4]), ("{\"missing\":7}", "{\"missing\":null}"));
    }
}
