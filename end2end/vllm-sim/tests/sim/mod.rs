//! Starts the real binary and talks to it; nothing it started outlives a test.

#![allow(dead_code, reason = "each test file uses its own part")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long anything may take.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A running simulator.
pub struct Sim {
    child: Child,
    pub port: u16,
    stdout: Arc<Mutex<Vec<u8>>>,
    stderr: Arc<Mutex<Vec<u8>>>,
    /// Once set, stdout is read no more and closed with the next bytes.
    stdout_closed: Arc<AtomicBool>,
}

/// An answer: status and body.
pub type Answer = (u16, String);

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn collect(mut pipe: impl Read + Send + 'static, closed: Arc<AtomicBool>) -> Arc<Mutex<Vec<u8>>> {
    let collected = Arc::new(Mutex::new(Vec::new()));
    let sink = collected.clone();
    std::thread::spawn(move || {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = pipe.read(&mut buffer) {
            sink.lock().unwrap().extend_from_slice(&buffer[..length]);
            if closed.load(Ordering::Relaxed) {
                return;
            }
        }
    });
    collected
}

impl Sim {
    /// `vllm-sim serve /models/m --host 127.0.0.1 --port FREE ARGS…`, in a process group of its own.
    pub fn start(args: &str) -> Self {
        Self::start_on(free_port(), args)
    }

    pub fn start_on(port: u16, args: &str) -> Self {
        let all = format!("serve /models/m --host 127.0.0.1 --port {port} {args}");
        Self::spawn(port, &all)
    }

    /// Exactly those arguments, cut at spaces.
    pub fn spawn(port: u16, args: &str) -> Self {
        #[expect(clippy::disallowed_methods, reason = "the test starts the program under test")]
        let mut command = Command::new(env!("CARGO_BIN_EXE_vllm-sim"));
        let mut child = command
            .args(args.split_whitespace())
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout_closed = Arc::new(AtomicBool::new(false));
        let stdout = collect(child.stdout.take().unwrap(), stdout_closed.clone());
        let stderr = collect(child.stderr.take().unwrap(), Arc::default());
        Self { child, port, stdout, stderr, stdout_closed }
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.stdout.lock().unwrap()).into_owned()
    }

    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr.lock().unwrap()).into_owned()
    }

    /// Waits for a text on either stream.
    pub fn wait_for(&self, text: &str) {
        self.until(text, || self.stdout().contains(text) || self.stderr().contains(text));
    }

    pub fn wait_ready(&self) {
        self.until("readiness", || {
            self.try_request("GET", "/health", "", "").is_some_and(|(status, _)| status == 200)
        });
    }

    pub fn until(&self, what: &str, condition: impl Fn() -> bool) {
        let begin = Instant::now();
        while !condition() {
            assert!(
                begin.elapsed() < PATIENCE,
                "waited in vain for {what}\n--- stdout\n{}\n--- stderr\n{}",
                self.stdout(),
                self.stderr()
            );
            std::thread::sleep(Duration::from_millis(15));
        }
    }

    pub fn close_stdout(&self) {
        self.stdout_closed.store(true, Ordering::Relaxed);
        // The reader wakes up with the next line.
        let _ = self.get("/version");
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for the main process to end, and for its last lines.
    pub fn ended(&mut self) -> ExitStatus {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                std::thread::sleep(Duration::from_millis(40));
                return status;
            }
            assert!(begin.elapsed() < PATIENCE, "still running\n{}\n{}", self.stdout(), self.stderr());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn get(&self, path: &str) -> Answer {
        self.request("GET", path, "", "")
    }

    pub fn post(&self, path: &str, body: &str) -> Answer {
        self.request("POST", path, "", body)
    }

    pub fn request(&self, method: &str, path: &str, header: &str, body: &str) -> Answer {
        self.try_request(method, path, header, body).expect("an answer")
    }

    pub fn try_request(&self, method: &str, path: &str, header: &str, body: &str) -> Option<Answer> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        let length = body.len();
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{header}Content-Length: {length}\r\n\r\n{body}").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
    }

    /// The value of a metric without labels other than engine and model.
    pub fn metric(&self, name: &str) -> f64 {
        let (_, page) = self.get("/metrics");
        let line = page.lines().find(|line| line.starts_with(&format!("{name}{{"))).expect("the metric");
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }

    /// Pids of EngineCore and Worker, from the command lines of this process group.
    pub fn children(&self) -> Vec<(Pid, String)> {
        processes_of_group(self.pid()).into_iter().filter(|(pid, _)| *pid != self.pid()).collect()
    }

    pub fn child(&self, comm: &str) -> Option<Pid> {
        self.children().into_iter().find(|(_, name)| name == comm).map(|(pid, _)| pid)
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        let _ = kill_process_group(self.pid(), Signal::KILL);
        let _ = self.child.wait();
    }
}

/// Living processes of a group and their names.
pub fn processes_of_group(group: Pid) -> Vec<(Pid, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        let (Some(open), Some(close)) = (stat.find('('), stat.rfind(')')) else { continue };
        let fields: Vec<&str> = stat[close + 2..].split(' ').collect();
        let pid = stat[..open].trim().parse().ok().and_then(Pid::from_raw);
        if let Some(pid) = pid
            && fields[2].parse() == Ok(group.as_raw_nonzero().get())
            && fields[0] != "Z"
        {
            found.push((pid, stat[open + 1..close].to_owned()));
        }
    }
    found
}
