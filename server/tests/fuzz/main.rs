//! Malformed requests by chance, made from the description of the API, against a dashboard that runs: nothing fails that may
//! not fail, nothing panics, nothing changes for whom it must not, and the server goes on.
//!
//! `FUZZ_STEPS` and `FUZZ_SEED` make it longer or another one; a failure tells the seed and the request.
#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking, in its helpers, too")]
#![expect(clippy::disallowed_methods, reason = "the dashboard itself is started as people start it")]

mod chance;
#[allow(dead_code, reason = "other tests use the rest of it")]
#[path = "../watched/machine.rs"]
mod machine;
mod request;

use chance::Chance;
use machine::{Machine, command};
use request::{Operation, Request, operations, request, send};
use std::io::Write;
use std::process::Stdio;

const SERVICES: &str = "[[service]]\nname = \"one\"\nkind = \"process\"\ncommand = [\"sh\", \"-c\", \"echo begun; exec sleep 600\"]\n";
/// Requests of each role in `make test`.
const STEPS: usize = 700;

struct House {
    dashboard: Machine,
    operations: Vec<Operation>,
}

impl House {
    fn open() -> Self {
        let variables = [
            ("SERVICES_NO_AUTH", "false"),
            ("SERVICES_ADMIN", "owner"),
            ("SERVICES_ADMIN_PASSWORD", "correct horse battery"),
            ("SERVICES_LOG", "error"),
        ];
        let dashboard = Machine::start(SERVICES, &variables);
        let mut house = Self { dashboard, operations: Vec::new() };
        house.cli(&["user", "add", "guest", "--role", "viewer"], "another good password\n");
        let bearer = house.token("guest", "viewer");
        let answer = house.dashboard.ask("GET", "/api/openapi.json", &[("Authorization", &bearer)], "");
        assert_eq!(answer.status, 200, "{}", answer.body);
        house.operations = operations(&serde_json::from_str(&answer.body).expect("JSON"));
        assert!(house.operations.len() > 50, "{}", house.operations.len());
        house
    }

    fn cli(&self, words: &[&str], input: &str) -> String {
        let dir = self.dashboard.dir.path();
        let mut command = command(dir, SERVICES, &[]);
        let mut child = command
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("started");
        child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("written");
        let output = child.wait_with_output().expect("ended");
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// As the header that it goes into.
    fn token(&self, user: &str, role: &str) -> String {
        format!("Bearer {}", self.cli(&["token", "add", user, "fuzz", "--role", role], ""))
    }

    /// What nobody without the right may change.
    fn held(&self, owner: &str) -> String {
        let ask = |path: &str| {
            let answer = self.dashboard.ask("GET", path, &[("Authorization", owner)], "");
            assert_eq!(answer.status, 200, "{path}: {}", answer.body);
            answer.body
        };
        let services: serde_json::Value = serde_json::from_str(&ask("/api/services")).expect("JSON");
        let services: Vec<String> = services
            .as_array()
            .expect("a list")
            .iter()
            .map(|one| {
                format!("{} {} {} {}", one["name"], one["wish"], one["auto_start"], one["settings_revision"])
            })
            .collect();
        let file =
            std::fs::read_to_string(self.dashboard.dir.path().join("state/services.toml")).expect("read");
        format!("{services:?}\n{file}\n{}\n{}", ask("/api/log-level"), self.cli(&["user", "list"], ""))
    }

    /// Sends so many, and holds each answer against the description.
    fn bombard(&self, chance: &mut Chance, steps: usize, authority: &str, who: &str) {
        for step in 0..steps {
            // Every operation in turn, so that none is left out.
            let operation = &self.operations[step % self.operations.len()];
            let request = request(chance, operation, self.dashboard.address(), authority);
            let shown =
                || format!("{who}, step {step}: {}", String::from_utf8_lossy(&request.bytes).escape_debug());
            let Some(answer) = send(self.dashboard.address(), &request) else {
                assert!(!request.sound, "no answer: {}", shown());
                continue;
            };
            self.judge(operation, &request, answer.status, &answer.head, &shown);
        }
        let log = self.dashboard.log();
        assert!(!log.contains("panicked"), "{who}: {log}");
    }

    fn judge(
        &self,
        operation: &Operation,
        request: &Request,
        status: u16,
        head: &str,
        shown: &dyn Fn() -> String,
    ) {
        assert!((200..600).contains(&status), "{status}: {}", shown());
        // PUT and OPTIONS are no methods of ours.
        let known = request.bytes.starts_with(operation.method.as_bytes()) || status != 501;
        assert!(
            status < 500 || operation.may_fail_with(status) && known,
            "{status}: {}\n{}",
            shown(),
            self.dashboard.log()
        );
        assert!(!head.contains("set-cookie: x="), "a header was made of a value: {}", shown());
        let refused =
            status >= 400 && operation.plain && request.sound && !request.bytes.starts_with(b"HEAD");
        // What is too long for HTTP is refused before it is known what it is for.
        if refused && !matches!(status, 413 | 414 | 431) {
            assert!(head.contains("content-type: application/problem+json"), "{status} {head}: {}", shown());
        }
    }
}

fn setting(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

#[test]
fn malformed_requests_break_nothing_and_change_nothing_for_who_may_not() {
    let (seed, steps) = (setting("FUZZ_SEED", 1), setting("FUZZ_STEPS", STEPS as u64) as usize);
    println!("FUZZ_SEED={seed} FUZZ_STEPS={steps}");
    let mut chance = Chance::new(seed);
    let house = House::open();
    let (owner, guest) = (house.token("owner", "admin"), house.token("guest", "viewer"));
    let before = house.held(&owner);
    house.bombard(&mut chance, steps, "", "nobody");
    house.bombard(
        &mut chance,
        steps,
        "Cookie: services-x=\"%ff; ;;=; a=b=c; services-\r\n",
        "nobody with a broken cookie",
    );
    house.bombard(&mut chance, steps, &format!("Authorization: {guest}\r\n"), "a viewer");
    assert_eq!(house.held(&owner), before, "seed {seed}");
    // Who may do everything may change much, and breaks nothing.
    house.bombard(&mut chance, steps, &format!("Authorization: {owner}\r\n"), "an admin");
    assert_eq!(house.dashboard.get("/healthz").status, 200);
}
