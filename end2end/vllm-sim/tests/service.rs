//! A simulator that serves: HTTP, metrics, logs, controls.

mod sim;

use rustix::process::Signal;
use sim::Sim;
use std::time::{Duration, Instant};

#[test]
fn it_starts_answers_and_ends_with_zero() {
    let mut sim = Sim::start("--served-model-name lydia other --sim-speed 0");
    sim.wait_ready();
    assert_eq!(sim.get("/health"), (200, String::new()));
    assert_eq!(sim.get("/version"), (200, "{\"version\":\"0.32.0\"}".to_owned()));
    let (status, models) = sim.get("/v1/models");
    assert_eq!(status, 200);
    assert!(
        models.starts_with(
            "{\"object\":\"list\",\"data\":[{\"id\":\"lydia\",\"object\":\"model\",\"created\":"
        )
    );
    assert!(models.contains("\"root\":\"/models/m\",\"parent\":null,\"max_model_len\":32768,"), "{models}");
    assert!(models.contains("\"id\":\"other\""));
    assert_eq!(sim.get("/nope?x=1"), (404, "{\"detail\":\"Not Found\"}".to_owned()));
    assert_eq!(sim.get("/sim/flood").0, 404);
    assert_eq!(sim.post("/health", ""), (405, "{\"detail\":\"Method Not Allowed\"}".to_owned()));
    sim.signal(Signal::TERM);
    assert_eq!(sim.ended().code(), Some(0));
    let (out, err) = (sim.stdout(), sim.stderr());
    assert!(out.contains(" - \"GET /nope?x=1 HTTP/1.1\" 404 Not Found\n"), "{out}");
    assert!(out.contains("[launcher.py:254] [shutdown] API server: shutdown triggered\n"));
    assert!(err.contains("\nINFO:     Application startup complete.\n"));
    assert!(err.contains("INFO:     Application shutdown complete.\n"));
    assert!(err.contains("\rLoading safetensors checkpoint shards: 100% Completed | 5/5 ["));
    assert!(err.contains("\rCapturing CUDA graphs (decode, FULL): 100%|██████████| 35/35 ["));
    let version = out.lines().find(|line| line.contains("version 0.32.0")).expect("the banner");
    assert!(version.ends_with('\r') || out.contains("version 0.32.0\r\n"), "{version:?}");
    assert!(sim.children().is_empty());
}

#[test]
fn there_is_no_http_before_readiness_and_the_port_is_held() {
    let sim = Sim::start("--sim-speed 0 --sim-fail hang");
    sim.wait_for("Starting to load model /models/m...");
    assert!(sim.try_request("GET", "/health", "", "").is_none());
}

#[test]
fn a_port_that_is_listened_to_fails_before_the_model_is_read() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut sim = Sim::start_on(listener.local_addr().unwrap().port(), "--sim-speed 0");
    assert_eq!(sim.ended().code(), Some(1));
    assert!(sim.stderr().ends_with("OSError: [Errno 98] Address already in use\n"), "{}", sim.stderr());
    assert!(!sim.stdout().contains("Resolved architecture"));
}

#[test]
fn the_key_guards_v1_and_nothing_else() {
    let sim = Sim::start("--api-key secret other --sim-speed 0 --sim-children 0");
    sim.wait_ready();
    let refused = (401, "{\"error\":\"Unauthorized\"}".to_owned());
    assert_eq!(sim.get("/v1/models"), refused);
    assert_eq!(sim.request("GET", "/v1/models", "Authorization: Bearer wrong\r\n", ""), refused);
    assert_eq!(sim.request("GET", "/v1/models", "Authorization: Bearer other\r\n", "").0, 200);
    assert_eq!((sim.get("/health").0, sim.get("/metrics").0), (200, 200));
    assert!(sim.stdout().contains("'api_key': '***'") && !sim.stdout().contains("secret"));
}

#[test]
fn completions_come_whole_and_as_a_stream_and_are_counted() {
    let sim = Sim::start(
        "--served-model-name lydia --enable-lora --lora-modules ada=/l --enable-log-requests \
         --disable-access-log-for-endpoints /health,/metrics --sim-speed 0 --sim-tokens-per-s 0 --sim-stats-every-s 0.2",
    );
    sim.wait_ready();
    let (status, body) =
        sim.post("/v1/completions", "{\"model\":\"ada\",\"prompt\":\"hello\",\"max_tokens\":7}");
    assert_eq!(status, 200, "{body}");
    assert!(
        body.contains("\"completion_tokens\":7") && body.contains("\"finish_reason\":\"length\""),
        "{body}"
    );
    let (status, body) = sim.post(
        "/v1/chat/completions",
        "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"max_tokens\":3,\"stream\":true}",
    );
    assert_eq!((status, body.matches("data: ").count()), (200, 5), "{body}");
    assert!(body.contains("data: [DONE]"));
    assert_eq!(sim.post("/v1/completions", "{\"model\":\"nobody\",\"prompt\":\"\"}").0, 404);
    assert_eq!(sim.post("/v1/completions", "{").0, 400);
    assert_eq!(sim.post("/v1/completions", "{\"prompt\":\"x\",\"max_tokens\":99999}").0, 400);
    assert!((sim.metric("vllm:generation_tokens_total") - 10.0).abs() < 0.1);
    assert!((sim.metric("vllm:num_requests_running")).abs() < 0.1);
    sim.wait_for("[loggers.py:335] Engine 000: Avg prompt throughput: ");
    let out = sim.stdout();
    assert!(
        out.contains("[request_logger.py:65] Received request cmpl-")
            && out.contains("Added request chatcmpl-")
    );
    assert!(!out.contains("GET /health") && out.contains("\"POST /v1/completions HTTP/1.1\" 200 OK"));
}

#[test]
fn requests_beyond_the_slots_wait() {
    let sim = Sim::start("--max-num-seqs 1 --sim-speed 0 --sim-children 0 --sim-tokens-per-s 20");
    sim.wait_ready();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| sim.post("/v1/completions", "{\"prompt\":\"x\",\"max_tokens\":10}"));
        }
        sim.until("a queue", || {
            sim.metric("vllm:num_requests_running") > 0.5 && sim.metric("vllm:num_requests_waiting") > 1.5
        });
    });
}

#[test]
fn a_flood_writes_every_line_once_with_its_level() {
    let sim = Sim::start("--sim-speed 0 --sim-control --sim-children 0");
    sim.wait_ready();
    assert_eq!(sim.post("/sim/flood?lines=20000&rate=0&bytes=100", "").0, 202);
    sim.wait_for("flood n=020000 ");
    let out = sim.stdout();
    let lines: Vec<&str> = out.lines().filter(|line| line.contains("flood n=")).collect();
    assert_eq!(lines.len(), 20_000);
    for (index, line) in lines.iter().enumerate() {
        assert!(line.contains(&format!("flood n={:06} ", index + 1)), "{line}");
        assert_eq!(line.len(), 99, "{line}");
    }
    assert_eq!(lines.iter().filter(|line| line.contains(") ERROR ")).count(), 200);
    assert_eq!(lines.iter().filter(|line| line.contains(") WARNING ")).count(), 1800);
}

#[test]
fn a_flood_keeps_its_pace_and_runs_alone() {
    let sim = Sim::start("--sim-speed 0 --sim-control --sim-children 0");
    sim.wait_ready();
    let begin = Instant::now();
    assert_eq!(sim.post("/sim/flood?lines=300&rate=500", "").0, 202);
    assert_eq!(sim.post("/sim/flood?lines=1", "").0, 409);
    assert_eq!(sim.get("/health").0, 200);
    sim.wait_for("flood n=000300 ");
    assert!((400..6000).contains(&begin.elapsed().as_millis()), "{:?}", begin.elapsed());
}

#[test]
fn controls_write_hang_and_exit() {
    let mut sim = Sim::start("--sim-speed 0 --sim-control");
    sim.wait_ready();
    assert_eq!(sim.post("/sim/write?stream=stderr", "\rhalf a \x1b[31mline").0, 204);
    sim.wait_for("\rhalf a \x1b[31mline");
    assert!(sim.stderr().ends_with("\rhalf a \x1b[31mline"));
    assert_eq!(sim.post("/sim/hang?seconds=60", "").0, 202);
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", sim.port)).unwrap();
    std::io::Write::write_all(&mut stream, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert!(std::io::Read::read(&mut stream, &mut [0; 16]).is_err());
    assert_eq!(sim.get("/version").0, 200);
    assert_eq!(sim.post("/sim/exit?code=7", "").0, 202);
    assert_eq!(sim.ended().code(), Some(7));
    assert!(sim.children().is_empty());
}

#[test]
fn the_demo_says_what_it_is_and_moves() {
    let sim = Sim::start("--sim-speed 0 --sim-demo --sim-tokens-per-s 1000 --sim-children 0");
    sim.wait_for("\"POST /v1/chat/completions HTTP/1.1\" 200 OK");
    assert!(sim.stdout().lines().next().is_some_and(|line| line.contains("This is a simulated vLLM")));
    assert!(sim.metric("vllm:generation_tokens_total") > 1.0);
}
