//! A filter in front of an engine's socket, as people put one there: it writes down what is asked, and lets through what it
//! is told to. One connection a request, so that no answer needs to be taken apart.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

/// A head that is longer is none.
const HEAD: usize = 64 << 10;
/// What the well-known filter answers.
const REFUSED: &str =
    "<html><body><h1>403 Forbidden</h1>\nRequest forbidden by administrative rules.\n</body></html>\n";

type Rule = dyn Fn(&str) -> bool + Send + Sync;

/// One filter.
pub struct Proxy {
    folder: TempDir,
    asked: Arc<Mutex<BTreeSet<String>>>,
}

impl Proxy {
    /// In front of this socket; `allows` is asked with the method and the endpoint, such as `GET /containers/{name}/json`.
    pub fn before(engine: &Path, allows: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let listener = UnixListener::bind(folder.path().join("docker.sock")).expect("bound");
        let asked: Arc<Mutex<BTreeSet<String>>> = Arc::default();
        let (seen, engine, allows): (_, PathBuf, Arc<Rule>) =
            (asked.clone(), engine.to_owned(), Arc::new(allows));
        std::thread::spawn(move || {
            for peer in listener.incoming().flatten() {
                let (seen, engine, allows) = (seen.clone(), engine.clone(), allows.clone());
                // Who hangs up in the middle is no failure of the test's.
                std::thread::spawn(move || pass(peer, &engine, &seen, allows.as_ref()));
            }
        });
        Self { folder, asked }
    }

    /// Where it listens, as `DOCKER_HOST` says it.
    pub fn address(&self) -> String {
        format!("unix://{}/docker.sock", self.folder.path().display())
    }

    /// What was asked so far.
    pub fn asked(&self) -> BTreeSet<String> {
        self.asked.lock().expect("whole").clone()
    }
}

fn pass(
    mut peer: UnixStream,
    engine: &Path,
    seen: &Mutex<BTreeSet<String>>,
    allows: &Rule,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    let end = loop {
        if let Some(at) = head.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        let mut piece = [0; 4096];
        let read = peer.read(&mut piece)?;
        if read == 0 || head.len() > HEAD {
            return Ok(());
        }
        head.extend_from_slice(&piece[..read]);
    };
    let rest = head.split_off(end + 4);
    let head = String::from_utf8_lossy(&head[..end]).into_owned();
    let (first, headers) = head.split_once("\r\n").unwrap_or((&head, ""));
    let endpoint = endpoint(first) + if has_body(headers) { body_of(first) } else { "" };
    seen.lock().expect("whole").insert(endpoint.clone());
    if !allows(&endpoint) {
        let length = REFUSED.len();
        let head =
            "HTTP/1.1 403 Forbidden\r\nContent-Type: text/html\r\nConnection: close\r\nContent-Length:";
        return peer.write_all(format!("{head} {length}\r\n\r\n{REFUSED}").as_bytes());
    }
    let headers: Vec<&str> =
        headers.split("\r\n").filter(|line| !line.to_ascii_lowercase().starts_with("connection:")).collect();
    let mut to = UnixStream::connect(engine)?;
    to.write_all(format!("{first}\r\n{}\r\nConnection: close\r\n\r\n", headers.join("\r\n")).as_bytes())?;
    to.write_all(&rest)?;
    let (mut back, mut from) = (to.try_clone()?, peer.try_clone()?);
    std::thread::spawn(move || {
        // Whoever asked has hung up: the engine shall hear of it.
        let copied = std::io::copy(&mut from, &mut to);
        to.shutdown(Shutdown::Both).and(copied)
    });
    let copied = std::io::copy(&mut back, &mut peer);
    peer.shutdown(Shutdown::Both).and(copied).map(drop)
}

fn has_body(headers: &str) -> bool {
    headers.split("\r\n").filter_map(|line| line.split_once(':')).any(|(name, value)| {
        name.eq_ignore_ascii_case("transfer-encoding")
            || name.eq_ignore_ascii_case("content-length") && value.trim() != "0"
    })
}

/// A start with a body would be another endpoint: below API 1.24 it takes a container's settings along.
fn body_of(line: &str) -> &'static str {
    let path = line.split([' ', '?']).nth(1).unwrap_or_default();
    if path.ends_with("/start") || path.ends_with("/kill") { " with a body" } else { "" }
}

/// `GET /v1.41/containers/abc/json?size=1 HTTP/1.1` → `GET /containers/{name}/json`. Versions below 1.24 are not taken off.
pub fn endpoint(line: &str) -> String {
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = target.split('?').next().unwrap_or_default().trim_start_matches('/');
    let mut parts: Vec<&str> = path.split('/').collect();
    let versioned = parts.first().is_some_and(|first| {
        first.strip_prefix("v1.").and_then(|minor| minor.parse().ok()).is_some_and(|minor: u32| minor >= 24)
    });
    if versioned {
        parts.remove(0);
    }
    // Names of images have slashes of their own.
    let shape = match parts.as_slice() {
        ["containers" | "images", "json" | "create"] => parts.join("/"),
        [kind @ ("containers" | "images"), _] => format!("{kind}/{{name}}"),
        [
            kind @ ("containers" | "images" | "distribution"),
            ..,
            last @ ("json" | "logs" | "start" | "kill" | "rename" | "update" | "tag"),
        ] => {
            format!("{kind}/{{name}}/{last}")
        }
        [kind @ "images", ..] => format!("{kind}/{{name}}"),
        _ => parts.join("/"),
    };
    format!("{method} /{shape}")
}
