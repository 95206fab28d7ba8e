//! The dashboard's own connections, at the front door: floods, slow readers, proxies, certificates.
#![expect(clippy::expect_used, reason = "a test fails by panicking, in its helpers, too")]

mod dashboard;

use dashboard::{ACCOUNTS, Dashboard, refused, until};
use rustix::process::{Resource, getrlimit, setrlimit};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};

const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// Both ends of thousands of connections are files.
fn allow_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum.map_or(Some(65_536), |most| Some(most.min(65_536)));
    setrlimit(Resource::Nofile, limit).expect("more files");
    assert!(limit.current.is_some_and(|files| files >= 4096), "this test needs 4096 open files: {limit:?}");
}

#[test]
fn two_thousand_connections_from_one_address_keep_nobody_out_and_leave_nothing() {
    allow_files();
    let dash = Dashboard::start(&[], None);
    assert_eq!(dash.ask(STRANGER, "GET /", "").status, 200);
    let (files, mut memory) = (dash.files(), Vec::new());
    for round in 0..3 {
        let mut flood: Vec<TcpStream> = Vec::new();
        for number in 0..2000 {
            if let Ok(mut stream) = dash.connect(Ipv4Addr::LOCALHOST, false) {
                // Some say nothing, some something, some all but the end.
                let said: &[u8] = match number % 3 {
                    0 => b"",
                    1 => b"GET / HTTP/1.1\r\nHost: loc",
                    _ => b"POST /api/services/vllm/stop HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n",
                };
                let _ = stream.write_all(said);
                flood.push(stream);
            }
            if number % 200 == 0 {
                assert_eq!(dash.ask(STRANGER, "GET /api/services", "").status, 200, "during the flood");
            }
        }
        assert!(flood.len() > 1900, "only {} connections", flood.len());
        assert_eq!(dash.ask(STRANGER, "GET /", "").status, 200, "with {} open, round {round}", flood.len());
        drop(flood);
        until("its files are closed", || dash.files() <= files + 5);
        memory.push(dash.memory());
    }
    // What the first flood took is used again by the others.
    assert!(memory[2] < memory[0] + (16 << 10), "memory grows with each flood, in KiB: {memory:?}");
    println!("flood: {files} files before, {} after, memory after each round {memory:?} KiB", dash.files());
    assert_eq!(dash.stop(), Some(0));
}

#[test]
fn two_hundred_slow_readers_of_a_flood_of_lines_slow_nobody_down_and_leave_nothing() {
    allow_files();
    let mut dash = Dashboard::start(&[], Some(NOISE));
    dash.run("noise");
    let lines = || dash.get("/api/services/noise/logs?tail=1").body;
    until("all lines are there", || lines().contains("the last of them"));
    let read = |memory: &mut Vec<u64>| {
        let before = dash.files();
        let mut slow = Vec::new();
        for _ in 0..200 {
            let mut stream = dash.connect(Ipv4Addr::LOCALHOST, true).expect("connected");
            stream
                .write_all(b"GET /api/stream?logs=noise&tail=1000000 HTTP/1.1\r\nHost: localhost\r\n\r\n")
                .expect("sent");
            // The first byte proves that it was taken in.
            stream.read_exact(&mut [0]).expect("an answer");
            slow.push(stream);
        }
        for _ in 0..3 {
            assert_eq!(dash.get("/").status, 200);
            assert_eq!(dash.get("/services/noise").status, 200);
        }
        // One that reads gets everything that is there, past all that do not.
        let mut reader = dash.connect(STRANGER, false).expect("connected");
        reader
            .write_all(b"GET /api/stream?logs=noise&tail=1000 HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .expect("sent");
        let (mut taken, mut piece) = (0, [0; 16 << 10]);
        while taken < 50_000 {
            let n = reader.read(&mut piece).expect("more");
            assert!(n > 0, "the stream ended after {taken} bytes");
            taken += n;
        }
        memory.push(dash.memory());
        drop((slow, reader));
        until("its files are closed", || dash.files() <= before + 5);
    };
    let mut memory = vec![dash.memory()];
    for _ in 0..3 {
        read(&mut memory);
    }
    assert!(memory[3] < memory[1] + (32 << 10), "memory grows with each crowd, in KiB: {memory:?}");
    println!(
        "200 slow readers: memory before and with each crowd {memory:?} KiB, {} afterwards",
        dash.memory()
    );
    assert_eq!(dash.stop(), Some(0));
}

/// A service whose log has 12,000 lines of a kilobyte.
fn long() -> String {
    let text = "word ".repeat(200);
    format!(
        "[[service]]\nname = \"noise\"\nkind = \"process\"\ncommand = [\"/bin/sh\", \"-c\", \"yes {text}| head -n 11999; echo the last of them; exec sleep 1000\"]\n"
    )
}

/// A service whose log has many lines, once; it ends with the test.
const NOISE: &str = "[[service]]\nname = \"noise\"\nkind = \"process\"\ncommand = [\"/bin/sh\", \"-c\", \"yes a line of no interest that is long enough to fill what has to be filled | head -n 100000; echo the last of them; exec sleep 1000\"]\n";

/// Readers of one viewer that take nothing: of whatever address they ask, what waits for them stays small, and others are
/// served meanwhile.
#[test]
fn fifty_one_stalled_readers_of_any_address_take_no_memory_and_keep_nobody_out() {
    allow_files();
    let mut many = long();
    for number in 0..200 {
        many.push_str(&format!(
            "[[service]]\nname = \"idle-{number}\"\nkind = \"process\"\ncommand = [\"/bin/true\"]\n"
        ));
    }
    let mut dash = Dashboard::start(&ACCOUNTS, Some(&many));
    let (admin, viewer) = (dash.token("admin"), dash.token("viewer"));
    dash.run_as("noise", &admin);
    let ask = |path: &str, token: &str| dash.ask(STRANGER, &format!("GET {path}"), token);
    let last = || ask("/api/services/noise/logs?limit=1", &viewer).body;
    until("all lines are there", || last().contains("the last of them"));
    let before = dash.memory();
    let mut grown = Vec::new();
    for path in [
        "/api/services/noise/logs?limit=100000&around=6000",
        "/api/services/noise/logs?limit=100000",
        "/api/services/noise/logs?limit=100000&after=1.1&format=text",
        "/api/services/noise/logs?download=1",
        "/api/services/noise/container-logs",
        "/api/services/noise/search?q=line&limit=10000",
        "/api/services/noise/runs",
        "/api/services",
        "/api/stream?logs=noise&tail=1000000",
        "/api/openapi.json",
        "/metrics",
        "/services/noise",
        "/services/noise/search?q=line",
        "/account",
        "/",
    ] {
        let mut stalled = Vec::new();
        for _ in 0..51 {
            let mut stream = dash.connect(Ipv4Addr::LOCALHOST, true).expect("connected");
            let request =
                format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\n{viewer}\r\n");
            stream.write_all(request.as_bytes()).expect("sent");
            stalled.push(stream);
        }
        // Whoever administers reads, downloads and searches meanwhile.
        let meanwhile = ["/api/services", "/api/audit", "/api/services/noise/search?q=last&limit=1"];
        for path in meanwhile.into_iter().filter(|_| path.starts_with("/api/services/noise")) {
            let answer = ask(path, &admin);
            assert_eq!(answer.status, 200, "{path}, beside stalled readers");
        }
        grown.push((path, dash.memory().saturating_sub(before) >> 10));
        drop(stalled);
    }
    println!("51 stalled readers each, growth in MiB: {grown:?}");
    for (path, mib) in grown {
        assert!(mib < 128, "{path}: {mib} MiB");
    }
    assert_eq!(dash.stop(), Some(0));
}

/// The same lines come back whether an answer is short enough for one piece or is written as it is read.
#[test]
fn no_byte_of_a_long_answer_is_missing() {
    let mut dash = Dashboard::start(&[], Some(&long()));
    dash.run("noise");
    let lines = |query: &str| dash.get(&format!("/api/services/noise/logs?{query}")).unchunked();
    until("all lines are there", || lines("limit=1").contains("the last of them"));
    let whole = lines("limit=100000&after=1.0");
    let all: Vec<&str> = whole.lines().collect();
    assert_eq!(all.len(), 12_000);
    assert!(
        all.iter().enumerate().all(|(at, line)| line.starts_with(&format!("[{},", at + 1))),
        "in order, each once"
    );
    let of =
        |from: usize, to: usize| all[from - 1..to].iter().map(|line| format!("{line}\n")).collect::<String>();
    assert_eq!(lines("limit=10&after=1.7"), of(8, 17));
    assert_eq!(lines("limit=4000&before=9001"), of(5_001, 9_000));
    assert_eq!(lines("limit=3000&around=5000"), of(3_500, 6_499));
    assert_eq!(lines("limit=3000&around=5"), of(1, 3_000));
    assert_eq!(lines("limit=11999&around=12000").lines().count(), 11_999);
    assert_eq!(dash.stop(), Some(0));
}

/// What a proxy in front tells of a request.
const TOLD: &str =
    "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: box.lan\r\n";

#[test]
fn what_a_proxy_tells_counts_only_if_it_is_trusted() {
    let change = |dash: &Dashboard, from, headers: &str| {
        dash.ask(from, "POST /api/services/vllm/stop", &format!("Content-Length: 0\r\n{headers}")).status
    };
    let foreign = "X-Forwarded-Host: evil.example\r\n";
    let from_box = format!("{TOLD}Origin: https://box.lan\r\n");

    let open = Dashboard::start(&[("SERVICES_HOSTS", "box.lan")], None);
    // Nobody is trusted: nothing of what is told counts, in either direction.
    assert_eq!(open.ask(STRANGER, "GET /api/services", foreign).status, 200);
    assert_eq!(open.ask(STRANGER, "GET /api/services", &format!("Host: evil.example\r\n{TOLD}")).status, 421);
    assert_eq!(change(&open, STRANGER, &from_box), 403);
    assert_eq!(change(&open, STRANGER, "X-Forwarded-Proto: https\r\nOrigin: http://localhost\r\n"), 202);
    assert_eq!(open.stop(), Some(0));

    let mut env = vec![("SERVICES_HOSTS", "box.lan"), ("SERVICES_PROXIES", "127.0.0.1, 10.0.0.0/8")];
    // Whoever reaches the proxy would be let in.
    let (code, said) = refused(&env);
    assert!(code == Some(2) && said.contains("SERVICES_PROXIES"), "{code:?} {said}");
    env.extend(ACCOUNTS);
    let behind = Dashboard::start(&env, None);
    let token = behind.token("admin");
    let change = |dash: &Dashboard, from, headers: &str| change(dash, from, &format!("{token}{headers}"));
    let proxy = Ipv4Addr::LOCALHOST;
    assert_eq!(behind.ask(proxy, "GET /api/services", &format!("{token}{TOLD}")).status, 200);
    assert_eq!(
        behind.ask(proxy, "GET /api/services", &format!("{token}{foreign}")).status,
        421,
        "a host is checked whoever tells it"
    );
    assert_eq!(change(&behind, proxy, &from_box), 202);
    assert_eq!(change(&behind, proxy, &format!("{TOLD}Origin: http://box.lan\r\n")), 403, "another scheme");
    assert_eq!(change(&behind, proxy, &format!("{TOLD}Origin: https://evil.example\r\n")), 403);
    // Somebody else at the same machine is not the proxy.
    assert_eq!(change(&behind, STRANGER, &from_box), 403);
    assert_eq!(behind.ask(STRANGER, "GET /api/services", &format!("{token}{foreign}")).status, 200);
    assert_eq!(behind.stop(), Some(0));
}

#[test]
fn certificates_and_proxies_that_cannot_be_used_are_told_at_the_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("cert.pem");
    std::fs::write(&path, "no certificate").expect("written");
    let path = path.to_str().expect("text");
    for (env, words) in [
        (&[("SERVICES_TLS_CERT", path)][..], &["SERVICES_TLS_KEY", "not set", "allowed"][..]),
        (&[("SERVICES_TLS_KEY", path)], &["SERVICES_TLS_CERT", "not set", "allowed"]),
        (
            &[("SERVICES_TLS_CERT", path), ("SERVICES_TLS_KEY", path)],
            &["SERVICES_TLS_CERT", path, "no certificate"],
        ),
        (
            &[("SERVICES_TLS_CERT", "/nowhere"), ("SERVICES_TLS_KEY", path)],
            &["SERVICES_TLS_CERT", "/nowhere", "cannot be read"],
        ),
        (&[("SERVICES_PROXIES", "proxy.lan")], &["SERVICES_PROXIES", "proxy.lan", "allowed"]),
        (&[("VLLM_API_URL", "http://169.254.169.254")], &["VLLM_API_URL", "169.254.169.254", "metadata"]),
        (&[("VLLM_API_URL", "http://metadata.google.internal:80/x")], &["VLLM_API_URL", "metadata"]),
    ] {
        let (code, said) = refused(env);
        assert!(code.is_some_and(|code| code != 0), "{env:?} was accepted");
        for word in words {
            assert!(said.contains(word), "{env:?}: {word:?} is missing in {said:?}");
        }
    }
}

#[test]
fn with_a_certificate_the_address_is_https_and_plain_http_is_sent_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    std::fs::write(&cert, made.cert.pem()).expect("written");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("written");
    let env = [
        ("SERVICES_TLS_CERT", cert.to_str().expect("text")),
        ("SERVICES_TLS_KEY", key.to_str().expect("text")),
    ];
    let dash = Dashboard::start(&env, None);
    assert!(dash.told.starts_with("Services is at https://"), "{}", dash.told);
    assert_eq!(dash.get("/").status, 307);
    let refused = dash.post("/api/services/vllm/stop");
    assert_eq!(refused.status, 400);
    assert!(refused.body.contains("https://"), "{}", refused.body);
    assert_eq!(dash.stop(), Some(0));
}
