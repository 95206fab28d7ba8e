//! A bus, the stand-in on it, a folder of units: all of one test, gone with it.

use app::model::Stream;
use server::runtime::systemd::{Bus, SystemdRuntime, UnitName};
use server::runtime::{FramePosition, FrameSink, Instance, Look, Runtime};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

const SIM: &str = env!("CARGO_BIN_EXE_systemd-sim");

pub struct Setup {
    dir: tempfile::TempDir,
    bus: Option<Child>,
    manager: Option<Child>,
    shared: Bus,
}

#[expect(clippy::disallowed_methods, reason = "the test starts the programs under test")]
fn command(program: &str) -> Command {
    Command::new(program)
}

/// Starts a program and waits for its first line.
fn spawn_until_it_speaks(command: &mut Command) -> std::io::Result<Child> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line)?;
    assert!(!line.is_empty(), "it ended without a word");
    Ok(child)
}

fn end(child: &mut Option<Child>) {
    if let Some(mut child) = child.take() {
        let pid = rustix::process::Pid::from_child(&child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        child.wait().unwrap();
    }
}

pub fn kill_9(pid: u32) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

impl Setup {
    /// `None` where there is no `dbus-daemon`.
    pub async fn new() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("units")).unwrap();
        let at = dir.path().display().to_string();
        let stand_in = format!("#!/bin/sh\nexec {SIM} journalctl --sim-journal={at}/journal \"$@\"\n");
        std::fs::write(dir.path().join("journalctl"), stand_in).unwrap();
        std::fs::set_permissions(dir.path().join("journalctl"), std::fs::Permissions::from_mode(0o755))
            .unwrap();
        let shared = Bus::parse(&format!("unix:path={at}/bus")).unwrap();
        let mut setup = Self { dir, bus: None, manager: None, shared };
        setup.begin_bus().await.then_some(setup)
    }

    /// Starts the bus and the stand-in. `false` where there is none to start.
    pub async fn begin_bus(&mut self) -> bool {
        let address = format!("--address=unix:path={}", self.path("bus"));
        let mut daemon = command("dbus-daemon");
        daemon.args(["--session", "--nofork", "--print-address", &address]).stderr(Stdio::null());
        match spawn_until_it_speaks(&mut daemon) {
            Ok(child) => self.bus = Some(child),
            Err(error) => {
                assert!(std::env::var("CI").as_deref() != Ok("true"), "dbus-daemon: {error}");
                eprintln!(
                    "skipped: dbus-daemon cannot be run ({error}); it is in Debian's package dbus-daemon"
                );
                return false;
            }
        }
        let bus = format!("unix:path={}", self.path("bus"));
        let mut manager = command(SIM);
        manager.args(["--bus", &bus, "--units", &self.path("units"), "--journal", &self.path("journal")]);
        self.manager = Some(spawn_until_it_speaks(&mut manager).unwrap());
        true
    }

    pub fn end_bus(&mut self) {
        end(&mut self.bus);
        // It ends with its bus.
        if let Some(mut manager) = self.manager.take() {
            manager.wait().unwrap();
        }
        let _ = std::fs::remove_file(self.path("bus"));
    }

    pub fn end_manager(&mut self) {
        end(&mut self.manager);
    }

    pub fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    pub fn unit(&self, name: &str, text: &str) {
        std::fs::write(self.dir.path().join(format!("units/{name}.service")), text).unwrap();
    }

    pub fn script(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(self.path(name), std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub fn runtime(&self, unit: &str) -> Arc<SystemdRuntime> {
        let unit = UnitName::parse(unit).unwrap();
        let program = self.dir.path().join("journalctl");
        Arc::new(SystemdRuntime::new(self.shared.clone(), unit).with_journalctl(program))
    }

    /// Stops a unit as a stranger would.
    pub fn busctl_stop(&self, unit: &str) {
        let sent = command("dbus-send")
            .arg(format!("--bus=unix:path={}", self.path("bus")))
            .args(["--dest=org.freedesktop.systemd1", "--print-reply", "/org/freedesktop/systemd1"])
            .arg("org.freedesktop.systemd1.Manager.StopUnit")
            .args([format!("string:{unit}"), "string:replace".to_owned()])
            .stdout(Stdio::null())
            .status();
        assert!(sent.unwrap().success());
    }
}

impl Drop for Setup {
    fn drop(&mut self) {
        end(&mut self.manager);
        end(&mut self.bus);
    }
}

pub async fn present(unit: &SystemdRuntime) -> Instance {
    match unit.look().await.unwrap() {
        Look::Present(instance) => *instance,
        other => panic!("{other:?}"),
    }
}

/// The first look that is as wanted; at most 10 s.
pub async fn eventually(unit: &SystemdRuntime, wanted: impl Fn(&Instance) -> bool) -> Instance {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        let seen = present(unit).await;
        if wanted(&seen) {
            return seen;
        }
        assert!(Instant::now() < end, "{seen:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[derive(Default)]
pub struct Kept {
    pub frames: Vec<(i64, String)>,
}

impl FrameSink for Kept {
    fn frame(&mut self, time_ns: i64, _: Stream, bytes: &[u8]) {
        self.frames.push((time_ns, String::from_utf8_lossy(bytes).into_owned()));
    }
    fn flush(&mut self) {}
}

impl Kept {
    pub fn text(&self) -> String {
        self.frames.iter().map(|(_, text)| text.as_str()).collect()
    }

    /// Behind each third frame: how many are before it, and where it is.
    pub fn places(&self) -> Vec<(usize, FramePosition)> {
        let mut place = FramePosition::default();
        let mut all = Vec::new();
        for (index, (time_ns, _)) in self.frames.iter().enumerate() {
            let nth = if *time_ns == place.time_ns { place.nth + 1 } else { 1 };
            place = FramePosition { time_ns: *time_ns, nth };
            if index % 3 == 0 {
                all.push((index + 1, place));
            }
        }
        all
    }
}
