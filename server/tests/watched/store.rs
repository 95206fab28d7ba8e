//! A store that is locked, damaged, gone, or that a dashboard was killed over: services go on being managed, everybody who looks
//! is told what is wrong, and nobody is let in by it.

use crate::machine::{Answer, Machine, command, until};
use rusqlite::Connection;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

const ONE: &str = "[[service]]\nname = \"one\"\nkind = \"process\"\ncommand = [\"sleep\", \"600\"]\n";
const PASSWORD: &str = "correct horse battery";
const ACCOUNTS: [(&str, &str); 3] =
    [("SERVICES_NO_AUTH", "false"), ("SERVICES_ADMIN", "root"), ("SERVICES_ADMIN_PASSWORD", PASSWORD)];

/// A dashboard with an account.
struct House {
    machine: Machine,
    cookie: String,
}

impl House {
    fn new() -> Self {
        let machine = Machine::start(ONE, &ACCOUNTS);
        let cookie = entry(&sign_in(&machine, PASSWORD)).expect("let in");
        Self { machine, cookie }
    }

    fn file(&self) -> PathBuf {
        self.machine.dir.path().join("state/services.db")
    }

    fn ask(&self, method: &str, path: &str) -> Answer {
        self.machine.ask(method, path, &[("Cookie", &self.cookie)], "")
    }

    fn service(&self) -> serde_json::Value {
        serde_json::from_str(&self.ask("GET", "/api/services/one").body).unwrap_or_default()
    }

    fn does(&self, verb: &str, state: &str) {
        let answer = self.ask("POST", &format!("/api/services/one/{verb}"));
        assert_eq!(answer.status, 202, "{}", answer.body);
        until(state, || (self.service()["state"]["state"] == state).then_some(()));
    }

    /// It is not ready, and says so with these words.
    fn is_not_ready(&self, words: &str) {
        let answer = until("not ready", || {
            let answer = self.machine.get("/readyz");
            (answer.status == 503).then_some(answer)
        });
        assert!(answer.body.contains(words), "{}", answer.body);
        assert_eq!(self.machine.get("/healthz").status, 200);
    }

    /// Nobody comes in who could not come in before.
    fn is_closed(&self) {
        let nobody = |path: &str| self.machine.get(path);
        assert_eq!(nobody("/api/services").status, 401);
        assert_eq!(
            self.machine.ask("GET", "/api/services", &[("Cookie", &format!("{}x", self.cookie))], "").status,
            401
        );
        assert_eq!(
            self.machine.ask("GET", "/api/services", &[("Authorization", "Bearer services_x")], "").status,
            401
        );
        assert!(nobody("/setup").head.contains("location: /\r\n"), "there is nothing to set up");
        let body = format!("code=AAAA-BBBB-CCCC-DDDD&name=eve&password={}", PASSWORD.replace(' ', "+"));
        assert!(entry(&self.machine.post("/setup", &body)).is_none());
        assert!(entry(&sign_in(&self.machine, "a wrong password")).is_none());
    }

    fn doctor(&self) -> String {
        doctor(self.machine.dir.path())
    }

    fn is_sound(&self) {
        assert!(!self.machine.log().contains("panicked"), "{}", self.machine.log());
    }
}

fn sign_in(machine: &Machine, password: &str) -> Answer {
    machine.post("/login", &format!("name=root&password={}", password.replace(' ', "+")))
}

/// The session that an answer hands out.
fn entry(answer: &Answer) -> Option<String> {
    let cookies = answer.head.lines().filter_map(|line| line.strip_prefix("set-cookie: "));
    let mut pairs = cookies.filter_map(|cookie| cookie.split(';').next());
    let session = pairs
        .find(|pair| pair.starts_with("services-") && !pair.contains("device") && !pair.ends_with('='))?;
    Some(session.to_owned())
}

fn doctor(dir: &Path) -> String {
    let output = command(dir, ONE, &ACCOUNTS).arg("doctor").output().expect("run");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What a dashboard says that does not start.
fn refusal(dir: &Path) -> String {
    let output = command(dir, ONE, &ACCOUNTS).stdin(Stdio::null()).output().expect("run");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!said.contains("panicked"), "{said}");
    said
}

fn left(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir.join("state")).expect("there").flatten();
    let mut names: Vec<String> =
        names.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_locked_store_keeps_nobody_from_managing_services_and_loses_nothing() {
    let house = House::new();
    let second = entry(&sign_in(&house.machine, PASSWORD)).expect("let in");
    let other = Connection::open(house.file()).expect("opened");
    other.execute_batch("BEGIN IMMEDIATE").expect("locked");
    house.does("start", "running");
    house.is_not_ready("another program has locked it");
    assert_eq!(house.ask("GET", "/").status, 200, "who is signed in stays so");
    let answer = sign_in(&house.machine, PASSWORD);
    assert!(entry(&answer).is_none(), "a session that cannot be written is none");
    assert!(answer.body.contains("could not be written"), "{}", answer.body);
    house.is_closed();
    let said = house.doctor();
    assert!(said.contains("another program has locked it") && said.contains("fuser"), "{said}");
    house.does("stop", "stopped");
    house.does("start", "running");
    assert!(house.service()["run"].is_null(), "it has no number yet");
    let other_session =
        |path: &str, method: &str| house.machine.ask(method, path, &[("Cookie", &second)], "").status;
    assert_eq!(other_session("/api/services", "GET"), 200);
    other_session("/logout", "POST");
    assert_eq!(other_session("/api/services", "GET"), 401, "whoever signs out is out");

    other.execute_batch("ROLLBACK").expect("free");
    until("ready again", || (house.machine.get("/readyz").status == 200).then_some(()));
    until("the run has its number", || house.service()["run"].is_u64().then_some(()));
    assert!(entry(&sign_in(&house.machine, PASSWORD)).is_some());
    let audit = house.ask("GET", "/api/audit").body;
    let done = |action: &str| {
        audit.lines().filter(|line| line.contains(&format!("\"{action}\"")) && line.contains("done")).count()
    };
    assert!(done("start") >= 2 && done("stop") >= 1, "what was done meanwhile is in the audit: {audit}");
    house.is_sound();

    // The next dashboard knows what happened meanwhile, too.
    let before = house.service();
    let again = House { machine: house.machine.again(ONE, &ACCOUNTS), cookie: house.cookie };
    assert_eq!(again.machine.ask("GET", "/api/services", &[("Cookie", &second)], "").status, 401, "for good");
    until("found again", || (again.service()["state"]["state"] == "running").then_some(()));
    assert_eq!((&again.service()["run"], &again.service()["wish"]), (&before["run"], &before["wish"]));
    again.does("stop", "stopped");
}

#[test]
fn a_store_that_is_locked_at_the_start_is_no_reason_not_to_start() {
    let house = House::new();
    let other = Connection::open(house.file()).expect("opened");
    let House { machine, cookie } = house;
    let dir = machine.dir.clone();
    drop(machine);
    other.execute_batch("BEGIN IMMEDIATE").expect("locked");
    let house = House { machine: Machine::begin(dir, ONE, &ACCOUNTS), cookie };
    house.is_not_ready("another program has locked it");
    house.does("start", "running");
    house.does("stop", "stopped");
    house.is_closed();
    other.execute_batch("ROLLBACK").expect("free");
    until("ready", || (house.machine.get("/readyz").status == 200).then_some(()));
    house.is_sound();
}

#[test]
fn a_store_that_is_overwritten_lets_nobody_in_and_is_not_begun_anew() {
    let house = House::new();
    // Whatever is read from now on is garbage.
    for name in ["services.db", "services.db-wal"] {
        let file = house.machine.dir.path().join("state").join(name);
        let length = fs::metadata(&file).map_or(0, |found| found.len());
        let bytes = vec![0xa5; usize::try_from(length).expect("small")];
        let mut open = fs::File::options().write(true).open(&file).expect("opened");
        std::io::Write::write_all(&mut open, &bytes).expect("written");
    }
    house.is_closed();
    assert!(entry(&sign_in(&house.machine, "another wrong password")).is_none());
    let said = house.doctor();
    assert!(said.contains("damaged") && said.contains("server restore"), "{said}");
    assert_eq!(house.machine.get("/healthz").status, 200);
    house.is_sound();
    let House { machine, .. } = house;
    let dir = machine.dir.clone();
    drop(machine);
    for _ in 0..2 {
        let said = refusal(dir.path());
        assert!(said.contains("services.db") && said.contains("server restore"), "{said}");
    }
}

#[test]
fn a_store_that_is_damaged_inside_is_told_and_lets_nobody_in() {
    let house = House::new();
    // All is in the one file, and every page but the first is garbage.
    let other = Connection::open(house.file()).expect("opened");
    until("all is moved", || {
        let busy: i64 = other.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).ok()?;
        (busy == 0).then_some(())
    });
    let mut bytes = fs::read(house.file()).expect("read");
    bytes[4096..].fill(0xa5);
    fs::write(house.file(), &bytes).expect("written");
    // Somebody's write makes every reader look at the file again.
    let _ = other.execute("INSERT INTO fact (key, value) VALUES ('x', 'y')", []);
    drop(other);
    house.is_closed();
    house.is_not_ready("it is damaged");
    let answer = sign_in(&house.machine, PASSWORD);
    assert!(entry(&answer).is_none() && answer.body.contains("could not be written"), "{}", answer.body);
    assert!(house.machine.get("/metrics").status == 401 || house.machine.get("/healthz").status == 200);
    house.is_sound();
    let House { machine, .. } = house;
    let dir = machine.dir.clone();
    drop(machine);
    let said = refusal(dir.path());
    assert!(said.contains("server restore"), "{said}");
}

#[test]
fn a_store_that_is_removed_is_told_at_once_and_never_begun_anew() {
    let house = House::new();
    let (file, backup) = (house.file(), house.machine.dir.path().join("backup"));
    let does = |dir: &Path, verb: &str| {
        let output = command(dir, ONE, &ACCOUNTS).arg(verb).arg(&backup).output().expect("run");
        assert!(output.status.success(), "{verb}: {}", String::from_utf8_lossy(&output.stderr));
    };
    does(house.machine.dir.path(), "backup");
    fs::remove_file(&file).expect("removed");
    house.is_not_ready("removed or replaced");
    house.is_closed();
    house.does("start", "running");
    house.does("stop", "stopped");
    let said = house.doctor();
    assert!(said.contains("removed or replaced") && said.contains("server restore"), "{said}");
    let dir = house.machine.dir.path().to_owned();
    let listed = command(&dir, ONE, &ACCOUNTS).args(["user", "list"]).output().expect("run");
    assert!(!listed.status.success() && String::from_utf8_lossy(&listed.stderr).contains("gone or empty"));
    assert!(!file.exists(), "a command that only looks makes none");
    house.is_sound();

    let House { machine, cookie } = house;
    let dir = machine.dir.clone();
    drop(machine);
    for how in ["missing", "empty"] {
        if how == "empty" {
            fs::write(&file, "").expect("written");
        }
        let said = refusal(dir.path());
        assert!(said.contains("gone or empty") && said.contains("server restore"), "{how}: {said}");
    }
    does(dir.path(), "restore");
    let back = House { machine: Machine::begin(dir, ONE, &ACCOUNTS), cookie };
    assert!(entry(&sign_in(&back.machine, PASSWORD)).is_some(), "as it was");
}

#[test]
fn a_dashboard_that_is_killed_at_any_moment_of_its_first_start_starts_the_next_time() {
    let dir = tempfile::tempdir().expect("a folder");
    for round in 0..24_u64 {
        let fresh = dir.path().join(round.to_string());
        let mut child = command(&fresh, ONE, &[("SERVICES_NO_AUTH", "false")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("started");
        // From before the first file to long after the last.
        std::thread::sleep(Duration::from_millis(round * 5));
        child.kill().expect("killed");
        let _ = child.wait();
        let state = fresh.join("state");
        if !state.join("services.db").exists() {
            continue;
        }
        let listed = command(&fresh, ONE, &[]).args(["user", "list"]).output().expect("run");
        assert!(listed.status.success(), "round {round}: {}", String::from_utf8_lossy(&listed.stderr));
        let known = [
            "lock",
            "services.db",
            "services.db.made",
            "services.toml",
            "services.db-wal",
            "services.db-shm",
            "logs",
            "processes",
        ];
        for name in left(&fresh) {
            assert!(known.contains(&name.as_str()), "round {round} left {name}");
        }
    }
}
