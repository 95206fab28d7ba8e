//! Notifications, from a service that fails to the receiver of a webhook.

use crate::machine::{LIMIT, Machine, command, until};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use server::notify::signature;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What a receiver was sent.
struct Got {
    path: String,
    headers: BTreeMap<String, String>,
    body: String,
    json: serde_json::Value,
}

/// A receiver on a free port, which answers with these, the last of them for ever.
struct Hook {
    port: u16,
    got: Receiver<Got>,
}

impl Hook {
    fn new(answers: &[&str]) -> Self {
        Self::with(answers, None)
    }

    fn with(answers: &[&str], tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let port = listener.local_addr().expect("an address").port();
        let (sender, got) = channel();
        let answers: Vec<String> = answers.iter().map(|answer| (*answer).to_owned()).collect();
        std::thread::spawn(move || {
            let mut taken = 0;
            for peer in listener.incoming().flatten() {
                let answer = answers.get(taken).or(answers.last()).cloned().unwrap_or_default();
                // A sender that hung up is its own affair.
                let _ = peer.set_read_timeout(Some(LIMIT));
                match &tls {
                    None => taken += serve(peer, &answer, &sender),
                    Some(tls) => {
                        let session = rustls::ServerConnection::new(tls.clone()).expect("a session");
                        taken += serve(rustls::StreamOwned::new(session, peer), &answer, &sender);
                    }
                }
            }
        });
        Self { port, got }
    }

    fn next(&self) -> Got {
        self.got.recv_timeout(LIMIT).expect("a message in time")
    }

    fn kind(&self) -> String {
        self.next().json["kind"].as_str().expect("a kind").to_owned()
    }
}

/// Takes one message; returns how many counted. That the disk of the tests is nearly full is none of theirs.
fn serve(mut peer: impl Read + Write, answer: &str, sender: &Sender<Got>) -> usize {
    let (mut text, mut bytes) = (Vec::new(), [0; 4096]);
    loop {
        let whole = String::from_utf8_lossy(&text).into_owned();
        if let Some((head, body)) = whole.split_once("\r\n\r\n") {
            let headers: BTreeMap<String, String> = head
                .lines()
                .filter_map(|line| line.split_once(": "))
                .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
                .collect();
            if body.len() >= headers["content-length"].parse::<usize>().expect("a length") {
                let path = head.split(' ').nth(1).expect("a path").to_owned();
                let json: serde_json::Value = serde_json::from_str(body).expect("JSON");
                if json["kind"] == "disk-low" || body.contains("The disk is nearly full") {
                    let _ = write!(peer, "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n");
                    let _ = peer.flush();
                    return 0;
                }
                if answer != "nothing" {
                    let _ = write!(peer, "HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n");
                    let _ = peer.flush();
                }
                let _ = sender.send(Got { path, headers, body: body.to_owned(), json });
                if answer == "nothing" {
                    std::thread::sleep(LIMIT);
                }
                return 1;
            }
        }
        match peer.read(&mut bytes) {
            Ok(read) if read > 0 => text.extend_from_slice(&bytes[..read]),
            _ => return 0,
        }
    }
}

/// A service that fails until its file is there.
fn service(name: &str, file: &std::path::Path, rest: &str) -> String {
    let file = file.display();
    format!(
        "[[service]]\nname = \"{name}\"\nkind = \"process\"\n\
         command = [\"sh\", \"-c\", \"if [ -e {file} ]; then exec sleep 600; fi; echo planted last words; exit 3\"]\n{rest}\n"
    )
}

fn target(name: &str, port: u16, rest: &str) -> String {
    format!(
        "[[notify]]\nname = \"{name}\"\nurl = \"http://127.0.0.1:{port}/planted-path?token=planted-token\"\n{rest}\n"
    )
}

#[test]
fn a_failure_is_told_signed_once_in_a_cool_down_and_then_as_a_sum() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("well");
    let hook = Hook::new(&["204 No Content"]);
    let secret = "0123456789abcdef0123";
    let settings = service("one", &file, "")
        + &target("first", hook.port, &format!("secret = \"{secret}\"\ncooldown_s = 6"));
    let machine = Machine::start_in(dir, &settings, &[("SERVICES_PUBLIC_URL", "https://box.example/s/")]);
    machine.post("/api/services/one/start", "");
    let got = hook.next();
    assert_eq!(got.path, "/planted-path?token=planted-token");
    assert_eq!(got.json["kind"], "failed");
    assert_eq!(got.json["severity"], "error");
    assert_eq!(got.json["service"], "one");
    assert_eq!(got.json["link"], "https://box.example/s/services/one");
    assert!(got.json["text"].as_str().expect("text").contains("exit code 3"), "{}", got.body);
    assert!(!got.body.contains("last words"), "no line of the log is sent: {}", got.body);
    // The receiver checks the signature as docs/OPERATING.md tells.
    let header = &got.headers["x-services-signature"];
    let seconds: i64 = header.split(['=', ',']).nth(1).and_then(|t| t.parse().ok()).expect("a time");
    assert_eq!(*header, signature(secret, seconds, got.body.as_bytes()));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs();
    assert!(now.abs_diff(seconds.unsigned_abs()) < 300);

    // Twice more within the cool-down: one message, behind it.
    for failures in 2..4 {
        machine.post("/api/services/one/start", "");
        until("the failure", || {
            machine
                .get("/metrics")
                .body
                .contains(&format!("services_service_failures_total{{service=\"one\"}} {failures}\n"))
                .then_some(())
        });
    }
    // On a slow machine one of them comes in the next cool-down: then there are two messages.
    let (mut more, mut sum) = (0, hook.next());
    loop {
        let count = sum.json["more"].as_u64().unwrap_or_default();
        assert_eq!(sum.json["kind"], "failed", "{}", sum.body);
        assert!(count == 0 || sum.json["text"].as_str().expect("text").contains(" more"), "{}", sum.body);
        more += count.max(1);
        if more >= 2 {
            break;
        }
        sum = hook.next();
    }
    assert_eq!(more, 2);
    assert_ne!(sum.headers["x-services-delivery"], got.headers["x-services-delivery"]);

    std::fs::write(&file, "").expect("written");
    machine.post("/api/services/one/start", "");
    assert_eq!(hook.kind(), "recovered");
    until("three messages are counted", || {
        let samples = machine.get("/metrics").body;
        let sent = samples.lines().find_map(|line| {
            line.strip_prefix("services_notifications_total{target=\"first\",result=\"sent\"} ")?
                .parse::<u64>()
                .ok()
        });
        sent.is_some_and(|sent| sent >= 3).then_some(())
    });
    assert!(!machine.log().contains("planted"), "{}", machine.log());
}

#[test]
fn a_crash_loop_is_told_and_the_floor_keeps_warnings_away() {
    let dir = tempfile::tempdir().expect("a folder");
    let (all, errors, others) = (Hook::new(&["200 OK"]), Hook::new(&["200 OK"]), Hook::new(&["200 OK"]));
    let settings = service("one", &dir.path().join("never"), "auto_start = true\nrestart_budget = 2")
        + &target("all", all.port, "")
        + &target("errors", errors.port, "floor = \"error\"")
        + &target("others", others.port, "services = [\"two\"]");
    let machine = Machine::start_in(dir, &settings, &[]);
    let first = all.next();
    assert_eq!((&first.json["kind"], &first.json["severity"]), (&"failed".into(), &"warning".into()));
    assert!(first.json["text"].as_str().expect("text").contains("started again in"), "{}", first.body);
    assert_eq!(all.kind(), "crash-loop");
    assert_eq!(errors.kind(), "crash-loop", "the first that it hears of");
    machine.post("/parts/notify/test", "target=others");
    assert_eq!(others.kind(), "test", "of the other service it heard nothing");
}

#[test]
fn what_waits_when_the_dashboard_ends_is_sent_by_the_next_one_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let (busy, well) = (Hook::new(&["503 Service Unavailable"]), Hook::new(&["200 OK"]));
    let settings =
        |port: u16| service("one", std::path::Path::new("/nowhere/at/all"), "") + &target("first", port, "");
    let mut machine = Machine::start_in(dir, &settings(busy.port), &[]);
    machine.post("/api/services/one/start", "");
    assert_eq!(busy.kind(), "failed");
    machine.terminate();
    let machine = machine.again(&settings(well.port), &[]);
    let got = well.next();
    assert_eq!((&got.json["kind"], &got.json["service"]), (&"failed".into(), &"one".into()), "{}", got.body);
    machine.post("/parts/notify/test", "target=first");
    assert_eq!(well.kind(), "test", "nothing comes twice");
    // And not again from the one after it.
    let machine = machine.again(&settings(well.port), &[]);
    machine.post("/parts/notify/test", "target=first");
    assert_eq!(well.kind(), "test");
}

#[test]
fn what_cannot_be_delivered_is_tried_again_and_what_is_refused_is_not() {
    let dir = tempfile::tempdir().expect("a folder");
    let elsewhere = Hook::new(&["200 OK"]);
    let redirect = format!("302 Found\r\nLocation: http://127.0.0.1:{}/", elsewhere.port);
    let (slow, busy, refuses, redirects, well) = (
        Hook::new(&["nothing"]),
        Hook::new(&["503 Service Unavailable", "200 OK"]),
        Hook::new(&["403 Forbidden"]),
        Hook::new(&[&redirect]),
        Hook::new(&["200 OK"]),
    );
    let settings = service("one", &dir.path().join("never"), "")
        + &target("slow", slow.port, "")
        + &target("busy", busy.port, "")
        + &target("refuses", refuses.port, "")
        + &target("redirects", redirects.port, "")
        + &target("well", well.port, "");
    let machine = Machine::start_in(dir, &settings, &[]);
    machine.post("/api/services/one/start", "");
    assert_eq!(well.kind(), "failed", "one that hangs holds up no other");
    slow.next();
    let (first, second) = (busy.next(), busy.next());
    assert_eq!(first.headers["x-services-delivery"], second.headers["x-services-delivery"]);
    assert_eq!(first.body, second.body);
    assert_eq!(refuses.kind(), "failed");
    assert_eq!(redirects.kind(), "failed");
    let part = until("what came of it", || {
        let part = machine.ask("GET", "/parts/notify", &[("X-Part", "1")], "").body;
        (part.contains("status 403") && part.contains("redirect (302)")).then_some(part)
    });
    assert!(!part.contains("planted"), "{part}");
    let russian = machine.ask("GET", "/parts/notify", &[("X-Part", "1"), ("Cookie", "lang=ru")], "").body;
    assert!(russian.contains("Уведомления"), "{russian}");
    assert!(
        refuses.got.try_recv().is_err() && elsewhere.got.try_recv().is_err(),
        "neither is tried again or followed"
    );
}

#[test]
fn a_test_is_sent_by_the_page_and_by_the_command() {
    let dir = tempfile::tempdir().expect("a folder");
    let hook = Hook::new(&["200 OK"]);
    let dead = TcpListener::bind("127.0.0.1:0").expect("bound").local_addr().expect("an address").port();
    let settings = target("alive", hook.port, "preset = \"slack\"") + &target("dead", dead, "");
    let machine = Machine::start_in(dir, &settings, &[]);
    let alone = [("X-Part", "1")];
    let answer = machine.ask("POST", "/parts/notify/test", &alone, "target=alive");
    assert!(hook.next().json["text"].as_str().expect("text").starts_with("*A test from Services*"));
    assert!(answer.body.contains("alive: the test was sent."), "{}", answer.body);
    let answer = machine.ask("POST", "/parts/notify/test", &alone, "target=dead");
    assert!(answer.body.contains("nobody listens there"), "{}", answer.body);
    assert_eq!(machine.ask("GET", "/parts/notify/test?target=alive", &alone, "").status, 405);

    // The command reads the same file, beside the dashboard that runs.
    let run = |words: &[&str]| {
        let output = command(machine.dir.path(), &settings, &[]).args(words).output().expect("run");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(!said.contains("planted"), "{said}");
        (output.status.code(), said)
    };
    let (code, said) = run(&["notify", "test", "alive"]);
    assert_eq!(code, Some(0), "{said}");
    hook.next();
    let (code, said) = run(&["notify", "test"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("alive: sent") && said.contains("dead: not sent"), "{said}");
    assert_eq!(run(&["notify", "test", "nobody"]).0, Some(1));
    assert_eq!(run(&["notify"]).0, Some(2));
    let (code, said) = run(&["--check-config"]);
    assert_eq!(code, Some(0));
    assert!(said.contains(&format!("http://127.0.0.1:{}/…", hook.port)), "{said}");
}

#[test]
fn tls_is_spoken_to_those_whom_the_machine_trusts_alone() {
    let dir = tempfile::tempdir().expect("a folder");
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let roots = dir.path().join("roots.pem");
    std::fs::write(&roots, made.cert.pem()).expect("written");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let chain: Vec<CertificateDer<'static>> = vec![made.cert.der().clone()];
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("a key that fits");
    let hook = Hook::with(&["200 OK"], Some(Arc::new(tls)));
    let settings = format!(
        "[[notify]]\nname = \"tls\"\nurl = \"https://localhost:{0}/x\"\n[[notify]]\nname = \"ip\"\nurl = \"https://127.0.0.1:{0}/x\"\n",
        hook.port
    );
    let trusts = [("SSL_CERT_FILE", roots.to_str().expect("text"))];
    let run = |variables: &[(&str, &str)], name: &str| {
        let output =
            command(dir.path(), &settings, variables).args(["notify", "test", name]).output().expect("run");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, said) = run(&trusts, "tls");
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(hook.kind(), "test");
    let (code, said) = run(&trusts, "ip");
    assert_eq!(code, Some(1), "the certificate is for another name");
    assert!(said.contains("certificate is not valid"), "{said}");
    let (code, said) = run(&[("SSL_CERT_FILE", "/dev/null")], "tls");
    assert_eq!(code, Some(1), "nobody is trusted");
    assert!(said.contains("root certificates"), "{said}");
    assert!(hook.got.try_recv().is_err(), "and nothing was sent");
}

#[test]
fn what_fails_while_no_dashboard_runs_is_told_by_the_next_one_and_only_by_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let gate = dir.path().join("gate");
    let hook = Hook::new(&["200 OK"]);
    let settings = format!(
        "[[service]]\nname = \"one\"\nkind = \"process\"\n\
         command = [\"sh\", \"-c\", \"while [ ! -e {} ]; do sleep 0.05; done; exit 3\"]\n",
        gate.display()
    ) + &target("all", hook.port, "");
    let state = |machine: &Machine, wanted: &str| {
        until(wanted, || machine.get("/api/services/one").body.contains(wanted).then_some(()));
    };
    let mut machine = Machine::start_in(dir, &settings, &[]);
    machine.post("/api/services/one/start", "");
    state(&machine, "\"state\":\"running\"");
    assert_eq!(machine.terminate().0.code(), Some(0));
    std::fs::write(&gate, "").expect("written");
    // The shim writes down how it ended.
    until("the end", || find(machine.dir.path(), "exit.json").then_some(()));
    let mut machine = machine.again(&settings, &[]);
    let got = hook.next();
    assert_eq!(got.json["kind"], "failed");
    assert!(got.json["text"].as_str().expect("text").contains("while Services did not run"), "{}", got.body);
    assert_eq!(machine.terminate().0.code(), Some(0));
    let machine = machine.again(&settings, &[]);
    state(&machine, "\"state\":\"failed\"");
    machine.post("/parts/notify/test", "target=all");
    assert_eq!(hook.kind(), "test", "the failure is not told twice");
}

/// A file of this name is somewhere below.
fn find(dir: &std::path::Path, name: &str) -> bool {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).any(|path| {
        path.file_name().is_some_and(|found| found == name) || (path.is_dir() && find(&path, name))
    })
}

#[test]
fn a_dashboard_with_a_target_that_hangs_ends_in_time() {
    let dir = tempfile::tempdir().expect("a folder");
    let hook = Hook::new(&["nothing"]);
    let settings = service("one", &dir.path().join("never"), "") + &target("slow", hook.port, "");
    let mut machine = Machine::start_in(dir, &settings, &[]);
    machine.post("/api/services/one/start", "");
    hook.next();
    let (status, took) = machine.terminate();
    assert_eq!(status.code(), Some(0), "{}", machine.log());
    assert!(took < Duration::from_secs(18), "{took:?}");
    let _ = TcpStream::connect(("127.0.0.1", hook.port));
}
