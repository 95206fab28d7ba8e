//! Test controls, only with `SIM_CONTROL=1`: floods, raw bytes, exits and hangs on command.

use super::{Api, Command, json, query};
use crate::log::{Level, Log, Process, Stream};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use std::io::Write;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long a write may wait for a reader.
const PATIENCE: Duration = Duration::from_secs(5);
/// A flood's writes are this large at most.
const CHUNK: usize = 64 * 1024;

pub fn routes() -> Router<Api> {
    Router::new()
        .route("/sim/flood", post(flood))
        .route("/sim/write", post(write))
        .route("/sim/exit", post(exit))
        .route("/sim/hang", post(hang))
        .route("/sim/fatal", post(fatal))
}

/// A number of the query; the error is the message of a 400.
fn parameter<T: std::str::FromStr>(uri: &Uri, name: &str, default: T) -> Result<T, String> {
    match query(uri, name) {
        None => Ok(default),
        Some(text) => text.parse().map_err(|_| format!("{name}={text} is not a number in range")),
    }
}

fn bad(message: &str) -> Response {
    (StatusCode::BAD_REQUEST, format!("{message}\n")).into_response()
}

/// `?lines=N&rate=R&bytes=B`: N lines of B bytes at R lines a second, 0 for as fast as can be.
async fn flood(State(api): State<Api>, uri: Uri) -> Response {
    let (lines, rate, bytes) = match flood_size(&uri) {
        Ok(size) => size,
        Err(problem) => return bad(&problem),
    };
    if api.flooding.swap(true, Ordering::Relaxed) {
        return (StatusCode::CONFLICT, "a flood is running\n").into_response();
    }
    let (log, flooding) = (api.engine.log.clone(), api.flooding.clone());
    let thread = std::thread::Builder::new().name("flood".to_owned()).spawn(move || {
        pour(&log, lines, rate, bytes);
        flooding.store(false, Ordering::Relaxed);
    });
    match thread {
        Ok(_) => json(StatusCode::ACCEPTED, format!("{{\"lines\":{lines}}}")),
        Err(error) => {
            api.flooding.store(false, Ordering::Relaxed);
            (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response()
        }
    }
}

fn flood_size(uri: &Uri) -> Result<(u64, u64, usize), String> {
    Ok((parameter(uri, "lines", 1000)?, parameter(uri, "rate", 0)?, parameter(uri, "bytes", 120)?))
}

/// Each line says its number and when it was made. Every hundredth is an ERROR, every other tenth a WARNING.
fn pour(log: &Log, lines: u64, rate: u64, bytes: usize) {
    let started = Instant::now();
    let mut next = 1;
    while next <= lines {
        let prefix = |level| log.prefix(Process::ApiServer, level, "flood.py:1");
        let prefixes = [prefix(Level::Info), prefix(Level::Warning), prefix(Level::Error)];
        let due = if rate == 0 { u64::MAX } else { allowed(started.elapsed(), rate).max(next) };
        let mut chunk = Vec::with_capacity(CHUNK + bytes);
        while next <= lines.min(due) && chunk.len() < CHUNK {
            let prefix = match next {
                n if n % 100 == 0 => &prefixes[2],
                n if n % 10 == 0 => &prefixes[1],
                _ => &prefixes[0],
            };
            let begin = chunk.len();
            // Writing to a Vec cannot fail.
            let _ = write!(chunk, "{prefix}flood n={next:06} t={} ", micros());
            let padded = begin + bytes.saturating_sub(1);
            if chunk.len() < padded {
                chunk.resize(padded, b'.');
            }
            chunk.push(b'\n');
            next += 1;
        }
        if !log.write_through(&chunk) {
            return;
        }
        if rate > 0 && next <= lines && allowed(started.elapsed(), rate) < next {
            std::thread::sleep(Duration::from_millis(5).max(Duration::from_secs_f64(1.0 / as_float(rate))));
        }
    }
}

/// Microseconds since the Unix epoch.
fn micros() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros()
}

/// Lines that may have been written after that time.
fn allowed(elapsed: Duration, rate: u64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of lines")]
    let lines = (elapsed.as_secs_f64() * as_float(rate)) as u64;
    lines
}

#[expect(clippy::cast_precision_loss, reason = "lines a second")]
fn as_float(rate: u64) -> f64 {
    rate as f64
}

/// `?stream=stdout|stderr`: the body as it is.
async fn write(State(api): State<Api>, uri: Uri, body: Bytes) -> Response {
    let stream = match query(&uri, "stream").unwrap_or("stdout") {
        "stdout" => Stream::Stdout,
        "stderr" => Stream::Stderr,
        other => return bad(&format!("stream={other} is neither stdout nor stderr")),
    };
    if api.engine.log.raw_written(stream, body.to_vec(), PATIENCE).await {
        StatusCode::NO_CONTENT.into_response()
    } else {
        (StatusCode::GATEWAY_TIMEOUT, "nobody reads that stream\n").into_response()
    }
}

/// `?code=N`.
async fn exit(State(api): State<Api>, uri: Uri) -> Response {
    match parameter(&uri, "code", 0) {
        Ok(code) => command(&api, Command::Exit(code)),
        Err(problem) => bad(&problem),
    }
}

/// `?seconds=N`: `/health` is accepted and never answered for so long.
async fn hang(State(api): State<Api>, uri: Uri) -> Response {
    let seconds: u32 = match parameter(&uri, "seconds", 10) {
        Ok(seconds) => seconds,
        Err(problem) => return bad(&problem),
    };
    let until = tokio::time::Instant::now() + Duration::from_secs(seconds.into());
    *api.hangs_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
    StatusCode::ACCEPTED.into_response()
}

async fn fatal(State(api): State<Api>) -> Response {
    command(&api, Command::Crash)
}

/// Answers first: the command may end the process.
fn command(api: &Api, command: Command) -> Response {
    let commands = api.commands.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(50)).await;
        // The main loop is ending already if nobody takes it.
        let _ = commands.send(command).await;
    });
    StatusCode::ACCEPTED.into_response()
}
