//! A dashboard of this build on a free port, in a folder of its own, and plain HTTP towards it.

use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// No wait in these tests is longer.
pub const LIMIT: Duration = Duration::from_secs(60);

/// One dashboard, or what is left of it.
pub struct Machine {
    pub dir: Arc<TempDir>,
    child: Child,
    address: String,
    log: Arc<Mutex<String>>,
}

/// An answer.
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

/// What a dashboard is started with.
pub fn command(dir: &Path, settings: &str, variables: &[(&str, &str)]) -> Command {
    let site = dir.join("site/pkg");
    fs::create_dir_all(&site).expect("a folder");
    fs::write(site.join("services.js"), "").expect("written");
    fs::create_dir_all(dir.join("state")).expect("a folder");
    fs::write(dir.join("state/services.toml"), settings).expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_server"));
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", dir)
        .env("LEPTOS_SITE_ROOT", dir.join("site"))
        .env("SERVICES_STATE_DIR", dir.join("state"))
        .env("SERVICES_ADDR", "127.0.0.1:0")
        .env("SERVICES_NO_AUTH", "true")
        .env("DOCKER_HOST", format!("unix://{}", dir.join("no-engine.sock").display()))
        .envs(variables.iter().copied());
    command
}

impl Machine {
    pub fn start(settings: &str, variables: &[(&str, &str)]) -> Self {
        Self::start_in(tempfile::tempdir().expect("a folder"), settings, variables)
    }

    /// Starts in a folder in which another one may have been.
    pub fn start_in(dir: TempDir, settings: &str, variables: &[(&str, &str)]) -> Self {
        Self::begin(Arc::new(dir), settings, variables)
    }

    /// Another one where this one was.
    pub fn again(self, settings: &str, variables: &[(&str, &str)]) -> Self {
        let dir = self.dir.clone();
        drop(self);
        Self::begin(dir, settings, variables)
    }

    /// Starts where one was, while somebody still has the folder.
    pub fn begin(dir: Arc<TempDir>, settings: &str, variables: &[(&str, &str)]) -> Self {
        let mut child = command(dir.path(), settings, variables)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("started");
        let log = Arc::new(Mutex::new(String::new()));
        let (heard, mut errors) = (log.clone(), BufReader::new(child.stderr.take().expect("a pipe")));
        std::thread::spawn(move || {
            let mut line = String::new();
            while errors.read_line(&mut line).is_ok_and(|read| read > 0) {
                heard.lock().expect("whole").push_str(&line);
                line.clear();
            }
        });
        let mut first = String::new();
        let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
        out.read_line(&mut first).expect("read");
        let address = first.trim().rsplit_once("http://").map(|(_, address)| address.to_owned());
        let Some(address) = address else {
            let _ = child.wait();
            panic!("it did not start: {first:?} {}", log.lock().expect("whole"));
        };
        // It may say more: somebody listens until it ends.
        std::thread::spawn(move || std::io::copy(&mut out, &mut std::io::sink()));
        Self { dir, child, address, log }
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn log(&self) -> String {
        self.log.lock().expect("whole").clone()
    }

    /// Opens a connection and sends a request.
    pub fn open(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> TcpStream {
        let mut peer = TcpStream::connect(&self.address).expect("connected");
        peer.set_read_timeout(Some(LIMIT)).expect("set");
        let mut request =
            format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", self.address);
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() {
            request.push_str("Content-Type: application/x-www-form-urlencoded\r\n");
        }
        request.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        peer.write_all(request.as_bytes()).expect("sent");
        peer
    }

    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut text = String::new();
        self.open(method, path, headers, body).read_to_string(&mut text).expect("an answer");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).expect("a status");
        Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }

    pub fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], "")
    }

    pub fn post(&self, path: &str, body: &str) -> Answer {
        self.ask("POST", path, &[], body)
    }

    /// Sends SIGTERM and waits for the end.
    pub fn terminate(&mut self) -> (ExitStatus, Duration) {
        let began = Instant::now();
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("signalled");
        let status = until("the end", || self.child.try_wait().expect("asked"));
        (status, began.elapsed())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // Who comes next finds what runs on.
        if Arc::strong_count(&self.dir) == 1 {
            end_shims(self.dir.path());
        }
    }
}

/// Ends what runs on below this folder: processes outlive their dashboard.
fn end_shims(dir: &Path) {
    let Ok(services) = fs::read_dir(dir.join("state/processes")) else { return };
    let runs = services.flatten().filter_map(|service| fs::read_dir(service.path()).ok()).flatten().flatten();
    let shims: Vec<u64> = runs
        .filter_map(|run| fs::read(run.path().join("instance.json")).ok())
        .filter_map(|json| serde_json::from_slice::<serde_json::Value>(&json).ok()?["shim"]["pid"].as_u64())
        .collect();
    for entry in fs::read_dir("/proc").expect("/proc").flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let session =
            stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(3)?.parse::<u64>().ok());
        if session.is_some_and(|session| shims.contains(&session)) {
            let _ = kill_process(Pid::from_raw(pid).expect("a PID"), Signal::KILL);
        }
    }
}

/// Asks again until there is an answer.
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + LIMIT;
    loop {
        if let Some(found) = ask() {
            return found;
        }
        assert!(Instant::now() < end, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
