//! The program of this build as it is run, with a state folder and an address of its own.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// No wait is longer.
pub const LIMIT: Duration = Duration::from_secs(60);

pub struct Dashboard {
    child: Child,
    pub address: SocketAddr,
    /// What it said of where it is.
    pub told: String,
    /// Gone with it.
    folder: TempDir,
    /// Services that run beside it, and must not outlive it.
    own: Vec<&'static str>,
    /// The header of whoever asks, where somebody must.
    owner: String,
}

/// Accounts, with one that administers.
pub const ACCOUNTS: [(&str, &str); 2] =
    [("SERVICES_NO_AUTH", "false"), ("SERVICES_ADMIN_PASSWORD", "correct horse battery")];

/// One answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: String,
}

#[expect(clippy::disallowed_methods, reason = "the test starts the program under test")]
fn command(folder: &TempDir, env: &[(&str, &str)], toml: Option<&str>) -> Command {
    let (site, state) = (folder.path().join("site"), folder.path().join("state"));
    // It only looks whether the page was built.
    fs::create_dir_all(site.join("pkg")).expect("a folder");
    fs::write(site.join("pkg/services.js"), "").expect("written");
    fs::create_dir_all(&state).expect("a folder");
    if let Some(text) = toml {
        fs::write(state.join("services.toml"), text).expect("written");
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_server"));
    command
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", folder.path())
        .env("LEPTOS_SITE_ROOT", site)
        .env("SERVICES_STATE_DIR", state)
        .env("SERVICES_ADDR", "127.0.0.1:0")
        .env("SERVICES_NO_AUTH", "true")
        .env("SERVICES_CHECK_IMAGES", "false")
        .env("DOCKER_HOST", format!("unix://{}/none.sock", folder.path().display()))
        .env("VLLM_RUNTIME", "demo")
        .envs(env.iter().copied())
        .stdin(Stdio::null());
    command
}

/// Starts it where it must not start: its exit code and what it said.
pub fn refused(env: &[(&str, &str)]) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let output = command(&folder, env, None).output().expect("started");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

impl Answer {
    /// The body without the sizes of its chunks, where it came in chunks.
    pub fn unchunked(&self) -> String {
        let (mut out, mut rest) = (String::new(), self.body.as_str());
        if rest.starts_with(['[', '{']) {
            return rest.to_owned();
        }
        while let Some((size, behind)) = rest.split_once("\r\n") {
            let size = usize::from_str_radix(size, 16).expect("a size");
            out.push_str(&behind[..size]);
            rest = behind[size..].strip_prefix("\r\n").expect("the end of a chunk");
        }
        out
    }
}

impl Dashboard {
    pub fn start(env: &[(&str, &str)], toml: Option<&str>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut child = command(&folder, env, toml)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("started");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let told = lines
            .find_map(|line| line.ok().filter(|line| line.starts_with("Services is at ")))
            .expect("it says where it is");
        // What it may say later shall not stop it.
        std::thread::spawn(move || lines.for_each(drop));
        let address = told.rsplit_once("://").expect("an address").1.parse().expect("an address");
        Self { child, address, told, folder, own: Vec::new(), owner: String::new() }
    }

    /// A connection from one of loopback's addresses; small where little shall fit into the system's buffers.
    pub fn connect(&self, from: Ipv4Addr, small: bool) -> std::io::Result<TcpStream> {
        use rustix::net::{AddressFamily, SocketType, bind, connect, socket, sockopt};
        let socket: OwnedFd = socket(AddressFamily::INET, SocketType::STREAM, None)?;
        if small {
            sockopt::set_socket_recv_buffer_size(&socket, 4096)?;
        }
        bind(&socket, &SocketAddr::from((from, 0)))?;
        connect(&socket, &self.address)?;
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_write_timeout(Some(LIMIT))?;
        Ok(stream)
    }

    /// One request with these further headers, on a connection of its own.
    pub fn ask(&self, from: Ipv4Addr, what: &str, headers: &str) -> Answer {
        let host = if headers.starts_with("Host: ") { "" } else { "Host: localhost\r\n" };
        let Ok(mut stream) = self.connect(from, false) else {
            return Answer { status: 0, body: String::new() };
        };
        // A refusal may come before the request is read.
        let _ = stream
            .write_all(format!("{what} HTTP/1.1\r\n{host}{headers}Connection: close\r\n\r\n").as_bytes());
        let mut said = Vec::new();
        let _ = stream.read_to_end(&mut said);
        let said = String::from_utf8_lossy(&said).into_owned();
        let status = said.get(9..12).and_then(|s| s.parse().ok()).unwrap_or(0);
        let body = said.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        Answer { status, body: body.to_owned() }
    }

    pub fn get(&self, path: &str) -> Answer {
        self.ask(Ipv4Addr::LOCALHOST, &format!("GET {path}"), &self.owner)
    }

    pub fn post(&self, path: &str) -> Answer {
        self.ask(
            Ipv4Addr::LOCALHOST,
            &format!("POST {path}"),
            &format!("Content-Length: 0\r\n{}", self.owner),
        )
    }

    /// An API token of an account that has the name of its role, made by the command line beside the dashboard.
    pub fn token(&self, role: &str) -> String {
        if role != "admin" {
            self.command(&["user", "add", role, "--role", role], "correct horse battery\n");
        }
        let said = self.command(&["token", "add", role, "test", "--role", role], "");
        let token = said.split_whitespace().find(|word| word.starts_with("services_")).expect("a token");
        format!("Authorization: Bearer {token}\r\n")
    }

    /// Runs a command of the program on the state folder; what it says.
    #[expect(clippy::disallowed_methods, reason = "the test starts the program under test")]
    fn command(&self, words: &[&str], input: &str) -> String {
        let mut child = Command::new(env!("CARGO_BIN_EXE_server"))
            .args(words)
            .arg("--state-dir")
            .arg(self.folder.path().join("state"))
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("started");
        child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("sent");
        let output = child.wait_with_output().expect("run");
        assert!(output.status.success(), "{words:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Starts a service that ends with this dashboard, however the test ends.
    pub fn run(&mut self, service: &'static str) {
        self.run_as(service, "");
    }

    /// The same by whoever has this token.
    pub fn run_as(&mut self, service: &'static str, token: &str) {
        self.own.push(service);
        token.clone_into(&mut self.owner);
        assert_eq!(self.post(&format!("/api/services/{service}/start")).status, 202);
    }

    fn end_services(&mut self) {
        let end = Instant::now() + LIMIT;
        for service in std::mem::take(&mut self.own) {
            self.post(&format!("/api/services/{service}/stop"));
            let running =
                || !self.get(&format!("/api/services/{service}")).body.contains("\"state\":\"stopped\"");
            while running() && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }

    /// Files that it has open.
    pub fn files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).expect("its files").count()
    }

    /// Memory that it holds, in KiB.
    pub fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("its status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// Ends it as a service manager does; its exit code.
    pub fn stop(mut self) -> Option<i32> {
        self.end_services();
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("signalled");
        until("it ends", || self.child.try_wait().expect("a child").is_some());
        self.child.wait().expect("ended").code()
    }
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.end_services();
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !done() {
        assert!(Instant::now() < end, "{what}: not within {LIMIT:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
