//! The dashboard's own log: ids of requests, JSON, a level that changes, and no secrets at any level.

use crate::machine::{Machine, until};

const ONE: &str = "
[[service]]
name = \"one\"
kind = \"process\"
command = [\"sleep\", \"600\"]

[[service]]
name = \"vllm\"
runtime = \"process\"
api_key = \"planted-api-key\"
hf_token = \"planted-hf-token\"
args = [\"--api-key\", \"planted-argument\"]
";

fn id(head: &str) -> String {
    let line = head.lines().find_map(|line| line.strip_prefix("x-request-id: "));
    line.expect("an id").trim().to_owned()
}

#[test]
fn every_answer_has_an_id_of_ours_and_the_log_names_it() {
    let machine = Machine::start(ONE, &[("SERVICES_LOG_FORMAT", "json"), ("SERVICES_LOG", "debug")]);
    let given = [("X-Request-Id", "chosen-by-the-client")];
    let first = id(&machine.ask("GET", "/healthz", &given, "").head);
    let second = id(&machine.get("/no/such/place").head);
    assert_ne!(first, second);
    assert_ne!(first, "chosen-by-the-client");
    // What another site sends is refused before any route, and is told with its id.
    let refused = machine.ask("POST", "/api/services/one/start", &[("Origin", "http://evil.example")], "");
    assert_eq!(refused.status, 403);
    let refused = id(&refused.head);
    let lines = until("the line", || {
        let lines: Vec<serde_json::Value> = machine
            .log()
            .lines()
            .map(|line| serde_json::from_str(line).expect("each line is an object"))
            .collect();
        lines
            .iter()
            .any(|line| line["span"]["id"] == refused.as_str() && line["level"] == "WARN")
            .then_some(lines)
    });
    let of_first = lines.iter().find(|line| line["span"]["id"] == first.as_str()).expect("told at debug");
    assert_eq!(of_first["span"]["route"], "/healthz");
    assert_eq!(of_first["status"], 200);
}

#[test]
fn the_level_changes_while_it_runs() {
    let machine = Machine::start(ONE, &[("SERVICES_LOG", "error")]);
    assert_eq!(machine.get("/api/log-level").body, "{\"level\":\"error\"}");
    machine.get("/healthz");
    assert!(!machine.log().contains("answered"), "{}", machine.log());
    let wrong = machine.post("/api/log-level", "level=loud");
    assert_eq!(wrong.status, 400);
    assert!(wrong.body.contains("error, warn, info, debug and trace"), "{}", wrong.body);
    assert_eq!(machine.ask("GET", "/api/log-level?level=debug", &[], "").body, "{\"level\":\"error\"}");
    assert_eq!(machine.post("/api/log-level", "level=debug").body, "{\"level\":\"debug\"}");
    machine.get("/healthz");
    until("a line at debug", || machine.log().contains("answered").then_some(()));
    let foreign = machine.ask("POST", "/api/log-level", &[("Origin", "http://evil.example")], "level=trace");
    assert_eq!(foreign.status, 403);
    assert_eq!(machine.get("/api/log-level").body, "{\"level\":\"debug\"}");
}

#[test]
fn a_wrong_format_is_refused_at_the_start() {
    let dir = tempfile::tempdir().expect("a folder");
    let command = crate::machine::command(dir.path(), "", &[("SERVICES_LOG_FORMAT", "xml")]).output();
    let output = command.expect("run");
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("SERVICES_LOG_FORMAT") && said.contains("text and json"), "{said}");
}

#[test]
fn no_secret_comes_into_the_log_at_any_level() {
    for format in ["text", "json"] {
        let variables = [
            ("SERVICES_LOG", "trace"),
            ("SERVICES_LOG_FORMAT", format),
            ("SERVICES_NOTIFY_URL", "http://127.0.0.1:9/planted-path?token=planted-url-token"),
            ("SERVICES_NOTIFY_SECRET", "planted-signing-secret"),
        ];
        let machine = Machine::start(ONE, &variables);
        let headers = [
            ("Authorization", "Bearer planted-bearer"),
            ("Cookie", "session=planted-cookie"),
            ("X-Api-Key", "planted-header"),
            ("Referer", "http://127.0.0.1/?token=planted-referer"),
        ];
        for path in [
            "/healthz?token=planted-query",
            "/api/services?key=planted-query",
            "/api/stream-of-planted-path",
            "/api/services/planted-name/logs?q=planted-query",
            "/api/services/one/logs?q=planted-query&limit=wrong",
        ] {
            machine.ask("GET", path, &headers, "");
            machine.ask("POST", path, &headers, "password=planted-form");
        }
        let foreign = [("Origin", "http://planted.example"), headers[0]];
        machine.ask("POST", "/api/services/planted-name/start?token=planted-query", &foreign, "");
        machine.ask("GET", "/healthz", &[("Host", "planted.example")], "");
        machine.ask("POST", "/api/log-level", &headers, "level=trace&x=planted-form");
        machine.ask("POST", "/api/services/vllm/start", &headers, "");
        machine.ask("POST", "/api/services/one/start", &headers, "");
        machine.ask("POST", "/parts/notify/test", &headers, "target=environment");
        // The last request's line is there: those before are, too.
        let last = machine.get("/healthz");
        let last = id(&last.head);
        until("the last line", || machine.log().contains(&last).then_some(()));
        let log = machine.log();
        let told: Vec<&str> = log.lines().filter(|line| line.contains("planted")).collect();
        assert!(told.is_empty(), "{told:#?}");
    }
}
