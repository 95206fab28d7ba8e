//! A service's life on an engine through the plain API, and the engine itself where a test must do something behind the
//! dashboard's back.

use crate::machine::{LIMIT, Machine};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// An engine, asked directly.
pub struct Direct(pub PathBuf);

impl Direct {
    /// From what `DOCKER_HOST` would say.
    pub fn of(address: &str) -> Self {
        Self(Path::new(address.strip_prefix("unix://").expect("a socket")).to_owned())
    }

    /// Asks; the status and the body.
    pub fn ask(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let mut peer = UnixStream::connect(&self.0).expect("connected");
        peer.set_read_timeout(Some(LIMIT)).expect("set");
        let head = format!("{method} {path} HTTP/1.1\r\nHost: d\r\nConnection: close\r\n");
        let length = body.len();
        let kind = "Content-Type: application/json";
        peer.write_all(format!("{head}{kind}\r\nContent-Length: {length}\r\n\r\n{body}").as_bytes())
            .expect("sent");
        let mut text = Vec::new();
        peer.read_to_end(&mut text).expect("an answer");
        let text = String::from_utf8_lossy(&text).into_owned();
        let status = text.split(' ').nth(1).and_then(|word| word.parse().ok()).expect("a status");
        (status, text.split_once("\r\n\r\n").map_or(String::new(), |(_, body)| body.to_owned()))
    }
}

/// Names a container that goes with the test.
pub struct Container<'a> {
    engine: &'a Direct,
    pub name: String,
}

impl<'a> Container<'a> {
    pub fn new(engine: &'a Direct, what: &str) -> Self {
        Self { engine, name: format!("services-{what}-{}", std::process::id()) }
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        for name in [self.name.clone(), format!("{}-before", self.name)] {
            self.engine.ask("DELETE", &format!("/containers/{name}?force=true"), "");
        }
    }
}

/// A port that nobody has just now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port()
}

/// The service named `vllm`, as the plain API tells it.
pub fn service(dashboard: &Machine) -> Value {
    serde_json::from_str(&dashboard.get("/api/services/vllm").body).expect("JSON")
}

/// Waits for a state, and says what came instead.
#[track_caller]
pub fn becomes(dashboard: &Machine, state: &str) -> Value {
    let (mut last, end) = (Value::Null, Instant::now() + LIMIT);
    while Instant::now() < end {
        last = service(dashboard);
        let now = last["state"]["state"].as_str().unwrap_or_default();
        if now == state {
            return last;
        }
        assert!(now != "failed" || state != "running", "{last}\n{}", dashboard.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("not {state} in time: {last}\n{}", dashboard.log())
}

/// Sends a command by the plain API.
#[track_caller]
pub fn command(dashboard: &Machine, verb: &str) {
    let answer = dashboard.post(&format!("/api/services/vllm/{verb}"), "");
    assert_eq!(answer.status, 202, "{verb}: {}", answer.body);
}

/// Sends one of the page's forms for images.
#[track_caller]
pub fn image(dashboard: &Machine, verb: &str) {
    let answer = dashboard.post("/api/fn/image", &format!("service=vllm&action={verb}&confirmed=true"));
    assert!(answer.status < 400, "{verb}: {} {}", answer.status, answer.body);
}

/// What is told of the service's image.
pub fn its_image(dashboard: &Machine) -> Value {
    let images: Value = serde_json::from_str(&dashboard.get("/api/images").body).expect("JSON");
    images[0].clone()
}

/// What the service has said so far.
pub fn log(dashboard: &Machine) -> String {
    dashboard.get("/api/services/vllm/logs?limit=10000&format=text").body
}
