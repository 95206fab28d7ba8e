//! `GET /api/openapi.json`: what lives here, as OpenAPI 3.1. Every route is in it, with the role that it needs, out of the same
//! table that the gate asks; what a program may send is written down here, and a test compares both ways.

use super::rules::{Demand, FUNCTIONS_AT};
use app::at;
use axum::http::{HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use std::sync::LazyLock;

/// One address of the plain API as programs use it.
struct Plain {
    method: &'static str,
    path: &'static str,
    summary: &'static str,
    /// What may be asked in the address.
    query: &'static [&'static [Parameter]],
    /// What it answers when all is well: the status and the kind of content.
    answer: (&'static str, &'static str),
    /// The kind of body that it takes, if any, with its fields.
    body: Option<(&'static str, &'static [Parameter])>,
    /// The engine, a disk or a queue may be in the way of it.
    busy: bool,
}

/// A name, the kind of its value, and what it means.
type Parameter = (&'static str, Kind, &'static str);

#[derive(Clone, Copy)]
enum Kind {
    Number,
    Text,
    Switch,
    Time,
    /// `RUN.SEQ`
    Position,
    OneOf(&'static [&'static str]),
}

impl Kind {
    fn schema(self) -> Value {
        match self {
            Self::Number => json!({ "type": "integer", "format": "int64", "minimum": 0 }),
            Self::Text => json!({ "type": "string" }),
            Self::Switch => json!({ "type": "string", "enum": ["0", "1"] }),
            Self::Time => {
                json!({ "oneOf": [{ "type": "string", "format": "date-time" }, { "type": "integer", "format": "int64" }] })
            }
            Self::Position => json!({ "type": "string", "pattern": "^[0-9]+\\.[0-9]+$" }),
            Self::OneOf(words) => json!({ "type": "string", "enum": words }),
        }
    }
}

const JSON: &str = "application/json";
const LINES: &str = "application/jsonl";
const TEXT: &str = "text/plain";
const FORM: &str = "application/x-www-form-urlencoded";

const FILTERS: &[Parameter] = &[
    ("levels", Kind::Text, "debug, info, warning, error, other; several with commas"),
    ("stream", Kind::OneOf(&["stdout", "stderr"]), "one of the two pipes"),
    ("source", Kind::Text, "lines of one source, such as APIServer"),
    ("from", Kind::Time, "not before"),
    ("to", Kind::Time, "not behind"),
    ("q", Kind::Text, "words, or a regular expression"),
    ("regex", Kind::Switch, "q is a regular expression"),
];
const PAGE: &[Parameter] = &[
    ("run", Kind::Number, "a run; the last one where none is named"),
    ("after", Kind::Position, "lines behind this one"),
    ("before", Kind::Number, "lines before this number"),
    ("around", Kind::Number, "lines around this number"),
    ("at", Kind::Time, "lines at this time"),
    ("limit", Kind::Number, "lines at most, 100000 and less"),
    ("format", Kind::OneOf(&["jsonl", "text"]), "lines of JSON, or text"),
    ("cut", Kind::Switch, "lines of JSON over 8 KiB are cut, with their length behind them and the kind cut"),
    ("download", Kind::Switch, "all lines, as a file"),
];
const SEARCH: &[Parameter] = &[
    ("run", Kind::Text, "a run's number, or all"),
    ("limit", Kind::Number, "hits at most, 10000 and less"),
    ("context", Kind::Number, "lines around each hit"),
];
const WHOLE: &[Parameter] = &[("run", Kind::Number, "a run"), ("download", Kind::Switch, "as a file")];
const STREAM: &[Parameter] = &[
    ("logs", Kind::Text, "the service whose lines are sent, too"),
    ("after", Kind::Position, "lines behind this one"),
    ("tail", Kind::Number, "the last so many lines first"),
    ("every", Kind::Number, "milliseconds for which lines are gathered, 1000 and less"),
];
const RUNS: &[Parameter] =
    &[("before", Kind::Number, "runs before this one"), ("limit", Kind::Number, "so many")];
const AUDIT: &[Parameter] = &[
    ("who", Kind::Text, "an account"),
    ("action", Kind::Text, "what was done"),
    ("text", Kind::Text, "words of the row"),
    ("refused", Kind::Switch, "refusals alone"),
    ("before", Kind::Number, "rows before this one"),
];

const fn get(path: &'static str, summary: &'static str, kind: &'static str) -> Plain {
    Plain { method: "GET", path, summary, query: &[], answer: ("200", kind), body: None, busy: false }
}

/// What commands a service.
const fn verb(path: &'static str, summary: &'static str) -> Plain {
    Plain { method: "POST", path, summary, query: &[], answer: ("202", JSON), body: None, busy: true }
}

/// The plain API.
const PLAIN: &[Plain] = &[
    get("/healthz", "The server lives", TEXT),
    Plain { busy: true, ..get("/readyz", "The server can do its work; why not, if so", TEXT) },
    get("/metrics", "Own metrics, for Prometheus", TEXT),
    get("/api/openapi.json", "This", JSON),
    get("/api/log-level", "The level of the dashboard's own log", JSON),
    Plain {
        method: "POST",
        body: Some((
            FORM,
            &[("level", Kind::OneOf(&["error", "warn", "info", "debug", "trace"]), "from now on")],
        )),
        ..get("/api/log-level", "Changes it until the dashboard ends", JSON)
    },
    get("/api/services", "All services", JSON),
    get("/api/services/{name}", "One service", JSON),
    verb("/api/services/{name}/start", "Start"),
    verb("/api/services/{name}/stop", "Stop"),
    verb("/api/services/{name}/restart", "Restart"),
    verb("/api/services/{name}/pull", "Pull its image"),
    verb("/api/services/{name}/pull/cancel", "End that"),
    get("/api/images", "Images that services name, with their pulls", JSON),
    Plain {
        query: &[PAGE, FILTERS],
        busy: true,
        ..get("/api/services/{name}/logs", "Lines of a run", LINES)
    },
    Plain {
        query: &[SEARCH, FILTERS],
        busy: true,
        ..get("/api/services/{name}/search", "Hits as they are found, then counts", LINES)
    },
    Plain {
        query: &[WHOLE, FILTERS],
        busy: true,
        ..get("/api/services/{name}/container-logs", "The log as text", TEXT)
    },
    Plain { query: &[RUNS], busy: true, ..get("/api/services/{name}/runs", "The runs that are kept", JSON) },
    Plain {
        query: &[STREAM],
        ..get("/api/stream", "A snapshot, then every change (Server-Sent Events)", "text/event-stream")
    },
    Plain { query: &[AUDIT], busy: true, ..get("/api/audit", "Who did what", LINES) },
    Plain {
        method: "POST",
        body: Some(("application/octet-stream", &[])),
        busy: true,
        ..get("/api/explain", "What a vLLM log says, as server explain --json", JSON)
    },
];

impl Plain {
    fn operation(&self) -> Value {
        let named = |place: &str, (name, kind, about): &Parameter| json!({ "name": name, "in": place, "description": about, "schema": kind.schema() });
        let mut parameters: Vec<Value> =
            self.query.iter().copied().flatten().map(|parameter| named("query", parameter)).collect();
        if self.path == "/api/stream" {
            parameters.push(named("header", &("Last-Event-ID", Kind::Position, "lines behind this one")));
        }
        let (status, kind) = self.answer;
        let mut responses = Map::new();
        let mut content = Map::from_iter([(kind.to_owned(), json!({}))]);
        if self.query.iter().copied().flatten().any(|(name, ..)| *name == "format") {
            content.insert(TEXT.to_owned(), json!({}));
        }
        let description = match self.path {
            "/api/stream" => "Events; to somebody who is not signed in the one event bye, reason signed-out",
            _ => "Done",
        };
        responses.insert(status.to_owned(), json!({ "description": description, "content": content }));
        responses.insert("4XX".to_owned(), problem("Refused; the detail says why"));
        responses.insert("500".to_owned(), problem("It failed here; the detail says at what"));
        if self.busy {
            responses.insert("502".to_owned(), problem("The engine refused it"));
            responses.insert("503".to_owned(), problem("The engine is away, or too much is under way"));
        }
        let mut operation = json!({ "summary": self.summary, "tags": ["plain"], "parameters": parameters, "responses": responses });
        if let Some((kind, fields)) = self.body {
            let fields: Map<String, Value> =
                fields.iter().map(|(name, kind, _)| ((*name).to_owned(), kind.schema())).collect();
            operation["requestBody"] = if fields.is_empty() {
                json!({ "content": { kind: {} } })
            } else {
                json!({ "content": { kind: { "schema": { "type": "object", "properties": fields } } } })
            };
            operation["responses"]["415"] = problem("The body is of another kind");
        }
        operation
    }
}

fn problem(description: &str) -> Value {
    let schema = json!({ "$ref": "#/components/schemas/Problem" });
    json!({ "description": description, "content": { "application/problem+json": { "schema": schema } } })
}

/// What belongs to the page: forms and fragments, which change with it.
fn of_the_page(method: &Method) -> Value {
    let mut operation = json!({
        "summary": "Of the page: changes with it",
        "tags": ["page"],
        "responses": {
            "200": { "description": "A page, or a part of one" },
            "3XX": { "description": "Elsewhere" },
            "4XX": { "description": "Refused; the text says why" },
            "500": { "description": "It failed here; the text says at what" },
            "502": { "description": "The engine refused it" },
            "503": { "description": "The engine is away, or too much is under way" }
        }
    });
    if method == Method::POST {
        operation["requestBody"] = json!({ "content": { FORM: {} } });
    }
    operation
}

fn document() -> Value {
    let (_, rules) = super::routes().done();
    let mut paths: Map<String, Value> = Map::new();
    let mut all: Vec<_> = rules.all().collect();
    all.sort_by_key(|(method, path, _)| (*path, method.as_str()));
    for (method, path, rule) in all {
        let plain = PLAIN.iter().find(|plain| plain.path == path && plain.method == method.as_str());
        let mut operation = plain.map_or_else(|| of_the_page(method), Plain::operation);
        let role = match rule.demand {
            Demand::Open => "",
            Demand::Role(_) if path == FUNCTIONS_AT => "operator or admin, by function",
            Demand::Role(need) => need.role().as_str(),
        };
        operation["x-role"] = json!(role);
        if rule.demand == Demand::Open {
            operation["security"] = json!([]);
        }
        let place = paths.entry(path).or_insert_with(|| json!({}));
        let names: Vec<Value> = path
            .split(['{', '}'])
            .skip(1)
            .step_by(2)
            .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
            .collect();
        if !names.is_empty() {
            place["parameters"] = json!(names);
        }
        place[method.as_str().to_ascii_lowercase()] = operation;
    }
    // Paths begin with a slash of their own; without a base, the server is that slash.
    let base = at("/");
    let base = if base == "/" { "/" } else { base.trim_end_matches('/') };
    json!({
        "openapi": "3.1.0",
        "info": { "title": "Services", "version": env!("CARGO_PKG_VERSION") },
        "servers": [{ "url": base }],
        "paths": paths,
        "security": [{ "token": [] }, { "session": [] }],
        "components": {
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer" },
                "session": { "type": "apiKey", "in": "cookie", "name": "services-INSTANCE" }
            },
            "schemas": { "Problem": {
                "type": "object",
                "properties": {
                    "type": { "type": "string" }, "title": { "type": "string" },
                    "status": { "type": "integer" }, "detail": { "type": "string" }
                }
            } }
        }
    })
}

/// `GET /api/openapi.json`
pub async fn openapi() -> Response {
    static DOCUMENT: LazyLock<String> = LazyLock::new(|| document().to_string());
    ([(header::CONTENT_TYPE, HeaderValue::from_static(JSON))], DOCUMENT.as_str()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_described_exists_and_what_programs_use_is_described() {
        let (_, rules) = super::super::routes().done();
        let all: Vec<(String, &str)> =
            rules.all().map(|(method, path, _)| (method.to_string(), path)).collect();
        for plain in PLAIN {
            let here = all.iter().any(|(method, path)| method == plain.method && *path == plain.path);
            assert!(here, "{} {} is described and is no route", plain.method, plain.path);
        }
        for (method, path) in &all {
            let of_programs = path.starts_with("/api/") && *path != FUNCTIONS_AT
                || ["/healthz", "/readyz", "/metrics"].contains(path);
            let described =
                PLAIN.iter().filter(|plain| plain.method == method && plain.path == *path).count();
            assert_eq!(described, usize::from(of_programs), "{method} {path}");
        }
        let document = document();
        let written: usize = document["paths"]
            .as_object()
            .expect("paths")
            .values()
            .map(|place| {
                place.as_object().expect("a place").keys().filter(|key| *key != "parameters").count()
            })
            .sum();
        assert_eq!(written, all.len(), "every route once");
        assert_eq!(document["servers"][0]["url"], "/");
        let answers = |path: &str| document["paths"][path]["get"]["responses"].clone();
        let kinds =
            answers("/api/services/{name}/logs")["200"]["content"].as_object().expect("kinds").clone();
        assert_eq!(kinds.keys().collect::<Vec<_>>(), [LINES, TEXT]);
        assert!(document.to_string().is_ascii(), "names and words that every client can read");
        assert!(document["paths"]["/api/log-level"]["post"]["responses"]["415"].is_object());
        assert!(answers("/api/stream")["200"]["description"].as_str().expect("words").contains("bye"));
        assert!(document["paths"].as_object().expect("paths").values().all(|place| {
            let operations =
                place.as_object().expect("a place").iter().filter(|(key, _)| *key != "parameters");
            operations.into_iter().all(|(_, operation)| operation["responses"].get("500").is_some())
        }));
    }

    /// Parameters are read from maps: what is described and never asked for would be a promise that nobody keeps.
    #[test]
    fn every_parameter_that_is_described_is_read_somewhere() {
        let code = [
            include_str!("logs.rs"),
            include_str!("runs.rs"),
            include_str!("stream.rs"),
            include_str!("access.rs"),
            include_str!("monitor.rs"),
        ]
        .concat();
        for plain in PLAIN {
            for (name, ..) in plain.query.iter().copied().flatten() {
                assert!(code.contains(&format!("\"{name}\"")), "{}: {name}", plain.path);
            }
        }
    }
}
