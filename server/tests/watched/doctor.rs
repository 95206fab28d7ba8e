//! `server doctor`: each thing that can be missing here, in words and as JSON, without changing anything.

use crate::machine::{Machine, command, until};
use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::Path;

const ONE: &str = "[[service]]\nname = \"one\"\nkind = \"process\"\ncommand = [\"sleep\", \"600\"]\n";

/// What the doctor found: by check, the levels and words.
struct Report {
    code: Option<i32>,
    findings: Vec<(String, String, String)>,
}

impl Report {
    fn of(dir: &Path, settings: &str, variables: &[(&str, &str)]) -> Self {
        let mut doctor = command(dir, settings, variables);
        let output = doctor.args(["doctor", "--json"]).output().expect("run");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(!text.contains("planted"), "{text}");
        let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(json["ok"] == true, output.status.code() == Some(0), "{text}");
        let word =
            |finding: &serde_json::Value, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
        let findings = json["findings"].as_array().expect("a list").iter().map(|finding| {
            let said = format!("{} {}", word(finding, "what"), word(finding, "advice"));
            if finding["level"] != "ok" {
                assert!(finding["advice"].is_string(), "what is wrong comes with what to do: {finding}");
            }
            (word(finding, "check"), word(finding, "level"), said)
        });
        Self { code: output.status.code(), findings: findings.collect() }
    }

    /// The first finding of a check.
    fn about(&self, check: &str) -> (&str, &str) {
        let found = self.findings.iter().find(|(name, ..)| name == check);
        found.map(|(_, level, said)| (level.as_str(), said.as_str())).expect("a finding")
    }

    /// It has said this, at this level.
    #[track_caller]
    fn says(&self, check: &str, level: &str, words: &str) {
        let found = self.findings.iter().any(|(c, l, said)| c == check && l == level && said.contains(words));
        assert!(found, "{check} {level} {words:?} is not in {:#?}", self.findings);
    }
}

/// An engine that knows two addresses; one without answers for `None`.
fn engine(socket: &Path, info: Option<&'static str>) {
    let listener = UnixListener::bind(socket).expect("bound");
    std::thread::spawn(move || {
        for mut peer in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let (mut text, mut bytes) = (String::new(), [0; 4096]);
                while let Ok(read) = peer.read(&mut bytes) {
                    if read == 0 {
                        return;
                    }
                    text.push_str(&String::from_utf8_lossy(&bytes[..read]));
                    let Some(info) = info else { continue };
                    while let Some((head, rest)) = text.split_once("\r\n\r\n") {
                        let body = if head.contains("/info") {
                            info
                        } else {
                            r#"{"Version":"29.1.0","ApiVersion":"1.44","MinAPIVersion":"1.24","Components":[{"Name":"Engine","Version":"29.1.0"}]}"#
                        };
                        let answer = format!(
                            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                            body.len()
                        );
                        if peer.write_all(answer.as_bytes()).is_err() {
                            return;
                        }
                        text = rest.to_owned();
                    }
                }
            });
        }
    });
}

/// Everything below a folder: size and time of each file.
fn everything(dir: &Path) -> BTreeMap<String, (u64, i64, i64)> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let meta = entry.metadata().expect("read");
        let path = entry.path();
        all.insert(path.display().to_string(), (meta.len(), meta.mtime(), meta.mtime_nsec()));
        if meta.is_dir() {
            all.extend(everything(&path));
        }
    }
    all
}

#[test]
fn a_machine_with_all_it_needs_is_well_and_a_dashboard_that_runs_is_not_disturbed() {
    let machine = Machine::start(ONE, &[]);
    until("ready", || (machine.get("/readyz").status == 200).then_some(()));
    let socket = machine.dir.path().join("engine.sock");
    engine(&socket, Some(r#"{"Runtimes":{"nvidia":{},"runc":{}},"SystemTime":"2020-01-01T00:00:00Z"}"#));
    let host = format!("unix://{}", socket.display());
    let held = machine.address().to_owned();
    let report = Report::of(machine.dir.path(), ONE, &[("DOCKER_HOST", &host), ("SERVICES_ADDR", &held)]);
    assert_eq!(report.code, Some(0), "{:#?}", report.findings);
    assert_eq!(report.about("settings").0, "ok");
    report.says("dashboard", "ok", "a dashboard runs (PID ");
    report.says("port", "ok", "held by the dashboard that runs");
    report.says("engine", "ok", "Docker 29.1.0 answers");
    report.says("clock", "warning", "differ by");
    for check in ["state", "disk", "files", "assets", "boot", "gpu"] {
        report.about(check);
    }
    assert_eq!(machine.get("/readyz").status, 200);
    let plain =
        command(machine.dir.path(), ONE, &[("DOCKER_HOST", &host)]).arg("doctor").output().expect("run");
    let plain = String::from_utf8_lossy(&plain.stdout).into_owned();
    assert!(plain.contains("ok       engine    Docker 29.1.0") && plain.contains("0 errors"), "{plain}");
}

#[test]
fn nothing_is_changed() {
    let mut machine = Machine::start(ONE, &[]);
    machine.terminate();
    let before = everything(&machine.dir.path().join("state"));
    // What it is asked to read is written by the test itself, so that its time changes.
    let output = {
        let mut doctor = std::process::Command::new(env!("CARGO_BIN_EXE_server"));
        doctor
            .env_clear()
            .env("HOME", machine.dir.path())
            .env("SERVICES_STATE_DIR", machine.dir.path().join("state"));
        doctor.env("SERVICES_ADDR", "127.0.0.1:0").args(["doctor"]).output().expect("run")
    };
    assert!(!output.stdout.is_empty());
    assert_eq!(before, everything(&machine.dir.path().join("state")));
    let fresh = tempfile::tempdir().expect("a folder");
    let mut doctor = std::process::Command::new(env!("CARGO_BIN_EXE_server"));
    doctor
        .env_clear()
        .env("SERVICES_STATE_DIR", fresh.path().join("state"))
        .env("SERVICES_ADDR", "127.0.0.1:0");
    let output = doctor.arg("doctor").output().expect("run");
    assert!(String::from_utf8_lossy(&output.stdout).contains("is not there yet and can be made"));
    assert_eq!(everything(fresh.path()), BTreeMap::new());
}

#[test]
fn an_engine_that_is_missing_or_hangs_is_told() {
    let dir = tempfile::tempdir().expect("a folder");
    let report = Report::of(dir.path(), ONE, &[]);
    assert_eq!(report.code, Some(1));
    report.says("engine", "error", "There is no Docker engine at");
    report.says("engine", "error", "systemctl start docker");
    let socket = dir.path().join("hangs.sock");
    engine(&socket, None);
    let report = Report::of(dir.path(), ONE, &[("DOCKER_HOST", &format!("unix://{}", socket.display()))]);
    assert_eq!(report.code, Some(1));
    report.says("engine", "error", "did not answer within");
}

#[test]
fn a_port_that_is_taken_is_told_with_its_holder() {
    let dir = tempfile::tempdir().expect("a folder");
    let held = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = held.local_addr().expect("an address").to_string();
    let report = Report::of(dir.path(), ONE, &[("SERVICES_ADDR", &address)]);
    assert_eq!(report.code, Some(1));
    report.says("port", "error", &format!("PID {}", std::process::id()));
    drop(held);
    Report::of(dir.path(), ONE, &[("SERVICES_ADDR", &address)]).says("port", "ok", "is free");
}

#[test]
fn settings_that_cannot_be_read_are_told_and_the_rest_is_looked_at_all_the_same() {
    let dir = tempfile::tempdir().expect("a folder");
    let report = Report::of(dir.path(), "[dashboard]\nadr = \"planted\"\n", &[]);
    assert_eq!(report.code, Some(1));
    report.says("settings", "error", "line 2");
    report.says("port", "ok", "");
    report.says("state", "ok", "can be written");
}

#[test]
fn secrets_that_others_may_read_are_told() {
    let dir = tempfile::tempdir().expect("a folder");
    let secret = "[[service]]\nname = \"vllm\"\nruntime = \"process\"\napi_key = \"planted\"\n";
    // `command` writes the file anew, with the mode that it has.
    Report::of(dir.path(), secret, &[]);
    let file = dir.path().join("state/services.toml");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("set");
    Report::of(dir.path(), secret, &[]).says("secrets", "warning", "chmod 600");
    Report::of(dir.path(), ONE, &[]).says("secrets", "ok", "holds no secrets");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("set");
    Report::of(dir.path(), secret, &[]).says("secrets", "ok", "for its owner alone");
}

#[test]
fn a_state_folder_that_cannot_be_used_is_told() {
    let dir = tempfile::tempdir().expect("a folder");
    fs::write(dir.path().join("file"), "").expect("written");
    let below = dir.path().join("file/state");
    let report = Report::of(dir.path(), ONE, &[("SERVICES_STATE_DIR", below.to_str().expect("text"))]);
    assert_eq!(report.code, Some(1));
    report.says("state", "error", "is no folder");
    // A file system without any room that every machine has.
    let report = Report::of(dir.path(), ONE, &[("SERVICES_STATE_DIR", "/proc/fs")]);
    report.says("disk", "error", "0.0 of 0.0 GiB are free");
}

#[test]
fn a_state_folder_that_others_may_change_is_told() {
    let dir = tempfile::tempdir().expect("a folder");
    Report::of(dir.path(), ONE, &[]).says("state", "ok", "can be written");
    for (path, mode) in [("state", 0o777), ("state", 0o720), ("state/services.toml", 0o666)] {
        let path = dir.path().join(path);
        let before = fs::metadata(&path).expect("there").permissions();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
        Report::of(dir.path(), ONE, &[]).says("owner", "warning", path.to_str().expect("text"));
        fs::set_permissions(&path, before).expect("set");
    }
    assert!(!Report::of(dir.path(), ONE, &[]).findings.iter().any(|(check, ..)| check == "owner"));
}

#[test]
fn a_disk_without_room_is_told() {
    let dir = tempfile::tempdir().expect("a folder");
    let state = dir.path().join("state");
    fs::create_dir(&state).expect("made");
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
        .arg(&state)
        .status();
    if !mounted.is_ok_and(|status| status.success()) {
        assert!(std::env::var("CI").is_err(), "under CI a file system can be mounted");
        eprintln!("skipped: nothing can be mounted here");
        return;
    }
    drop(server::store::Store::open(&state).expect("a store"));
    let full = fs::write(state.join("filler"), vec![0; 2 << 20]).is_err();
    let report = Report::of(dir.path(), "", &[]);
    let unmounted = std::process::Command::new("umount").arg("-l").arg(&state).status();
    assert!(full && unmounted.is_ok_and(|status| status.success()));
    report.says("state", "error", "without room");
    report.says("store", "error", "");
    let well =
        report.findings.iter().any(|(_, level, said)| level == "ok" && said.contains("can be written"));
    assert!(!well, "{:#?}", report.findings);
}

#[test]
fn what_is_secret_in_an_engines_address_is_not_shown() {
    let dir = tempfile::tempdir().expect("a folder");
    for address in ["tcp://u:planted@127.0.0.1:1", "http://planted@127.0.0.1:1", "ssh://u:planted@h"] {
        let report = Report::of(dir.path(), ONE, &[("DOCKER_HOST", address)]);
        assert!(report.findings.iter().any(|(_, _, said)| said.contains("…@")), "{:#?}", report.findings);
        let shown = command(dir.path(), ONE, &[("DOCKER_HOST", address)])
            .arg("--check-config")
            .output()
            .expect("run");
        let shown =
            [shown.stdout, shown.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        assert!(shown.contains("…@") && !shown.contains("planted"), "{shown}");
    }
}

#[test]
fn few_files_are_told() {
    let dir = tempfile::tempdir().expect("a folder");
    let output = std::process::Command::new("sh")
        .args(["-c", "ulimit -n 256 && exec \"$0\" doctor", env!("CARGO_BIN_EXE_server")])
        .env("SERVICES_STATE_DIR", dir.path())
        .output()
        .expect("run");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("warning  files     only 256 files"), "{said}");
}

#[test]
fn words_that_it_does_not_know_are_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let output = command(dir.path(), ONE, &[]).args(["doctor", "--cure"]).output().expect("run");
    assert_eq!(output.status.code(), Some(2));
}
