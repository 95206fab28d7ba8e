//! The page as the server renders it: words and roles, state by state.

use crate::api::ApiError;
use crate::components::controls::makes_sense;
use crate::locales::Lang;
use crate::model::*;
use crate::parts::view::{LogFilter, LogPane, LogsView};
use crate::{App, Boot, LogView, Parts, Route, Theme};
use leptos::prelude::*;

const NOW: i64 = 1_795_348_800_000;

/// A stopped service.
pub fn service(name: &str) -> Service {
    Service {
        name: ServiceName::parse(name).expect("a name"),
        title: "vLLM".to_owned(),
        kind: ServiceKind::Vllm,
        runtime: RuntimeKind::Docker,
        demo: false,
        state: State::Stopped { since: None, note: None },
        wish: Wish::Stopped,
        model: None,
        models: Vec::new(),
        adapters: Vec::new(),
        version: None,
        max_model_len: None,
        uptime_s: None,
        started: None,
        gpu_memory_bytes: None,
        image: Some("vllm/vllm-openai:latest".to_owned()),
        auto_start: true,
        run: None,
        api_url: Some("http://localhost:11434".to_owned()),
        container: None,
        remnants: Vec::new(),
        port_taken: None,
        start: None,
        plan: None,
        smoke: None,
        release: None,
        pulls: Some("vllm/vllm-openai:latest".to_owned()),
        auto_start_fixed: false,
        restarts: None,
        pending: Vec::new(),
        kept_image: None,
        unhealthy: None,
        settings_revision: 0,
    }
}

/// A first view with these services.
pub fn boot(services: Vec<Service>) -> Boot {
    Boot {
        snapshot: Snapshot {
            server_version: "0.1.0".to_owned(),
            now: Timestamp::from_millis(NOW),
            services,
            gpus: Vec::new(),
            images: Vec::new(),
            host: Host {
                name: "box".into(),
                gpu: GpuStatus::NoDriver,
                candidates: Vec::new(),
                foreign: Vec::new(),
                state_dir: String::new(),
                boot: BootStatus::Unknown,
                images_revision: 0,
                log_trouble: None,
            },
            metrics: Vec::new(),
            logs: None,
        },
        route: Route::Services,
        lang: Lang::En,
        theme: Theme::System,
        log: None,
        tail: Vec::new(),
        role: None,
        open_house: false,
        parts: Parts::default(),
        links: Vec::new(),
        refusal: None,
        explained: None,
    }
}

/// The page's HTML without hydration marks.
fn html(boot: Boot) -> String {
    let html = Owner::new().with(|| view! { <App boot=boot/> }.to_html());
    html.replace("<!>", "")
}

fn page(state: State) -> String {
    html(boot(vec![Service { state, ..service("vllm") }]))
}

fn at(seconds_ago: i64) -> Timestamp {
    Timestamp::from_millis(NOW - seconds_ago * 1000)
}

fn failed(kind: FailureKind) -> State {
    State::Failed { failure: Box::new(Failure { kind, at: at(120), diagnosis: None }) }
}

/// Asserts that the page has every one of these pieces.
fn has(html: &str, pieces: &[&str]) {
    for piece in pieces {
        assert!(html.contains(piece), "{piece:?} is not in {html}");
    }
}

#[test]
fn a_card_is_an_article_named_by_its_title() {
    let html = page(State::Stopped { since: None, note: None });
    has(
        &html,
        &[r#"<article aria-labelledby="service-vllm""#, r#"<h2 id="service-vllm">vLLM</h2>"#, "<main"],
    );
}

#[test]
fn every_state_says_its_word_and_how_long() {
    let cases = [
        (State::Running { since: at(3723) }, "Running", "for 1:02:03"),
        (State::Starting { phase: Phase::Load, since: at(42), progress: None }, "Starting", "for 0:00:42"),
        (State::Stopping { since: at(3) }, "Stopping", "for 0:00:03"),
        (State::Unresponsive { since: at(90_000) }, "Unresponsive", "for 1 d 1:00:00"),
        (State::Stopped { since: Some(at(7200)), note: None }, "Stopped", "2 h ago"),
        (failed(FailureKind::OutOfMemory), "Failed", "2 min ago"),
        (State::Unreachable { reason: UnreachableReason::NotAskedYet }, "Unreachable", ""),
    ];
    for (state, word, lasting) in cases {
        let html = page(state);
        has(&html, &[r#"role="status""#, &format!("<span>{word}</span>"), lasting]);
        assert_eq!(html.matches(r#"role="status""#).count(), 1, "{word}");
    }
}

#[test]
fn sentences_name_the_cause_and_what_to_do() {
    let cases = [
        (
            State::Starting {
                phase: Phase::Load,
                since: at(1),
                progress: Some(PhaseProgress { done: 3, total: 5, bytes: Some(24_416_874_332) }),
            },
            "Loading weights, 3 of 5 (13.6 of 22.7 GiB)",
            r#"<progress max="5" value="3""#,
        ),
        (
            State::Stopped { since: None, note: Some(StoppedNote::NotCreated) },
            "No container yet. Start creates one from vllm/vllm-openai:latest.",
            "",
        ),
        (failed(FailureKind::Killed { signal: 9 }), "signal 9 (SIGKILL)", "Start brings it back"),
        (
            failed(FailureKind::PortInUse {
                port: 11434,
                by: PortHolder::Ollama { version: "0.5.1".into() },
            }),
            "Port 11434 is taken by Ollama 0.5.1.",
            "VLLM_API_URL",
        ),
        (
            failed(FailureKind::ImageMissing { image: "a/b:c".into() }),
            "The image a/b:c is not on this machine.",
            "Pull image fetches it",
        ),
        (
            State::Unreachable { reason: UnreachableReason::NoSocket { address: "unix:///x.sock".into() } },
            "There is no Docker engine at unix:///x.sock.",
            "recovers by itself",
        ),
    ];
    for (state, what, now) in cases {
        has(&page(state), &[what, now]);
    }
}

fn diagnosis() -> Diagnosis {
    Diagnosis {
        cause: Cause::KvCacheTooSmall,
        evidence: vec![Evidence { line: 1234, text: "a <b>".into() }],
        facts: Facts { asked_tokens: Some(32_768), possible_tokens: Some(2048), ..Facts::default() },
        remedies: vec![
            Remedy {
                advice: Advice::ShortenContext,
                change: Some(Change::Argument { flag: "--max-model-len".into(), value: Some("2048".into()) }),
            },
            Remedy { advice: Advice::UseSmallerModel, change: None },
        ],
    }
}

#[test]
fn a_failure_shows_its_cause_the_lines_that_prove_it_and_the_ways_out() {
    let kind = FailureKind::Exited { code: 1, was_ready: false };
    let failure = Box::new(Failure { kind: kind.clone(), at: at(1), diagnosis: Some(diagnosis()) });
    has(
        &page(State::Failed { failure }),
        &[
            "The KV cache cannot hold a request of 32,768 tokens; 2,048 fit.",
            "It ended with exit code 1 before it was ready.",
            r#"<span class="line-number">1234</span>"#,
            "<code>a &lt;b&gt;</code>",
            r#"action="/api/fn/remedy""#,
            r#"<input type="hidden" name="cause" value="kv-cache-too-small">"#,
            r#"<input type="hidden" name="remedy" value="0">"#,
            "Set --max-model-len to 2048 and start",
            "Use a smaller or more strongly quantised model",
        ],
    );
    let unknown = Diagnosis { cause: Cause::Unknown, ..diagnosis() };
    let html =
        page(State::Failed { failure: Box::new(Failure { kind, at: at(1), diagnosis: Some(unknown) }) });
    assert!(!html.contains("KV cache"), "an unknown cause claims nothing");
    has(&html, &["It ended with exit code 1", "<code>a &lt;b&gt;</code>"]);
}

fn starting(start: Start) -> Service {
    let state = State::Starting { phase: Phase::Load, since: at(20), progress: None };
    Service { state, start: Some(start), ..service("vllm") }
}

fn a_start() -> Start {
    Start {
        phases: vec![
            PhaseTime { phase: Phase::Import, at: at(20), took_ms: Some(8_000) },
            PhaseTime { phase: Phase::Load, at: at(12), took_ms: None },
        ],
        usual: vec![
            UsualTime { phase: Phase::Import, took_ms: 8_000 },
            UsualTime { phase: Phase::Load, took_ms: 40_000 },
            UsualTime { phase: Phase::Graphs, took_ms: 12_000 },
        ],
        learned_from: 3,
        silence: None,
    }
}

#[test]
fn a_start_shows_its_phases_what_is_usual_and_what_is_left() {
    has(
        &html(boot(vec![starting(a_start())])),
        &[
            r#"<li data-phase="import" class="done""#,
            r#"<li aria-current="step" data-phase="load" class="now""#,
            r#"<li data-phase="graphs" class="coming""#,
            "usually 40 s",
            "about 40 s left",
            "median of the last 3 starts",
        ],
    );
}

#[test]
fn a_start_that_is_late_or_silent_says_so() {
    let mut late = a_start();
    late.usual = vec![UsualTime { phase: Phase::Load, took_ms: 2_000 }];
    late.silence = Some(Silence { since: at(11), last: "<the last> words".into() });
    has(
        &html(boot(vec![starting(late)])),
        &["longer than usual", "It has said nothing for 0:00:11", "&lt;the last&gt; words"],
    );
}

#[test]
fn a_log_from_anywhere_is_explained_without_a_button_that_changes_something() {
    let mut boot = boot(vec![service("vllm")]);
    boot.route = Route::Explain;
    boot.explained = Some(Explained {
        outcome: Outcome::Failed,
        diagnosis: Some(diagnosis()),
        phases: vec![ExplainedPhase { phase: Phase::Load, took_ms: Some(3_200) }],
    });
    let html = html(boot);
    has(
        &html,
        &[
            r#"<form method="post" action="/explain" enctype="multipart/form-data">"#,
            "The KV cache cannot hold a request of 32,768 tokens; 2,048 fit.",
            "<code>a &lt;b&gt;</code>",
            "Set --max-model-len to 2048",
            "3.2 s",
        ],
    );
    assert!(!html.contains("/api/fn/remedy"), "there is no service to change");
}

#[test]
fn warnings_stand_in_the_card() {
    let facts = ContainerFacts {
        name: "vllm".into(),
        id: "0123456789ab".into(),
        adopted: true,
        auto_remove: true,
        restart_policy: "unless-stopped".into(),
        image_id: None,
        model: None,
        project: None,
    };
    let html = html(boot(vec![Service {
        demo: true,
        container: Some(facts),
        remnants: vec![Remnant { pid: 77, name: "VLLM::EngineCore".into(), memory_bytes: None }],
        port_taken: Some(PortHolder::Unknown),
        ..service("vllm")
    }]));
    has(
        &html,
        &[
            "Stopping removes this container (--rm)",
            "VLLM::EngineCore (PID 77)",
            "Something else answers at http://localhost:11434",
            "Demo: a simulated vLLM",
            "adopted as it is",
            "unless-stopped. The engine restarts it by itself",
        ],
    );
}

#[test]
fn buttons_are_forms_that_do_nothing_when_they_make_no_sense() {
    let html = page(State::Running { since: at(1) });
    has(
        &html,
        &[
            r#"<form method="post" action="/api/fn/command""#,
            r#"<input type="hidden" name="service" value="vllm">"#,
            r#"<input type="hidden" name="verb" value="restart">"#,
        ],
    );
    let button = |class: &str| {
        let at = html.find(&format!(r#"class="{class}""#)).expect("the button");
        let from = html[..at].rfind("<button").expect("its beginning");
        html[from..].split_once('>').expect("its end").0
    };
    has(button("start"), &[r#"type="button""#, r#"aria-disabled="true""#]);
    has(button("stop"), &[r#"type="submit""#, r#"aria-disabled="false""#]);
}

#[test]
fn what_makes_sense_follows_the_state() {
    let all = |state: State, wish: Wish, remnants: Vec<Remnant>| {
        let service = Service { state, wish, remnants, ..service("vllm") };
        [Verb::Start, Verb::Stop, Verb::Restart].map(|verb| makes_sense(&service, verb))
    };
    let none = Vec::new;
    assert_eq!(all(State::Stopped { since: None, note: None }, Wish::Stopped, none()), [true, false, false]);
    assert_eq!(
        all(State::Starting { phase: Phase::Pull, since: at(1), progress: None }, Wish::Running, none()),
        [false, true, true]
    );
    assert_eq!(all(State::Running { since: at(1) }, Wish::Running, none()), [false, true, true]);
    assert_eq!(all(State::Unresponsive { since: at(1) }, Wish::Running, none()), [false, true, true]);
    assert_eq!(all(State::Stopping { since: at(1) }, Wish::Stopped, none()), [true, false, false]);
    assert_eq!(all(State::Stopping { since: at(1) }, Wish::Running, none()), [false, true, false]);
    assert_eq!(all(failed(FailureKind::OutOfMemory), Wish::Running, none()), [true, false, false]);
    let left = vec![Remnant { pid: 1, name: "x".into(), memory_bytes: None }];
    assert_eq!(all(failed(FailureKind::OutOfMemory), Wish::Running, left), [true, true, true]);
    assert_eq!(
        all(State::Unreachable { reason: UnreachableReason::NotAskedYet }, Wish::Running, none()),
        [false, false, false]
    );
}

#[test]
fn values_are_numbers_with_units_or_say_why_there_are_none() {
    has(&page(State::Stopped { since: None, note: None }), &["no GPU", ">Uptime</dt>"]);
    let mut boot = boot(vec![Service {
        model: Some("lydia".into()),
        uptime_s: Some(62),
        started: Some(at(62)),
        gpu_memory_bytes: Some(11 << 30),
        ..service("vllm")
    }]);
    boot.snapshot.gpus = vec![Gpu {
        index: 0,
        uuid: "GPU-1".into(),
        name: "NVIDIA L4".into(),
        memory_used_bytes: 12 << 30,
        memory_total_bytes: 24 << 30,
        state: GpuState::Ok,
        utilisation_percent: Some(37),
        temperature_c: Some(61),
        power_mw: Some(212_400),
        power_limit_mw: Some(350_000),
        processes: Some(vec![
            GpuProcess {
                pid: 41,
                name: Some("VLLM::EngineCore".into()),
                memory_bytes: Some(3 << 30),
                service: ServiceName::parse("vllm").ok(),
            },
            GpuProcess { pid: 42, name: None, memory_bytes: None, service: None },
        ]),
    }];
    let html = html(boot);
    has(
        &html,
        &[
            ">lydia</span></dd>",
            "11.0 of 24.0 GiB",
            "0:01:02",
            "NVIDIA L4",
            r#"title="2026-11-22 11:58:58 UTC""#,
            r#"role="meter""#,
            r#"<rect width="458""#,
        ],
    );
}

#[test]
fn the_switch_is_shown_and_cannot_be_turned() {
    has(
        &page(State::Running { since: at(1) }),
        &[r#"role="switch""#, r#"aria-checked="true""#, r#"aria-label="Auto-start""#],
    );
}

fn log_pane(lines: Vec<Line>) -> LogPane {
    LogPane {
        service: service("vllm").name,
        title: "vLLM".to_owned(),
        run: Some(17),
        started: Some(at(60)),
        counts: LevelCounts { warning: 12_345, ..LevelCounts::default() },
        first: 1,
        last: 7,
        lines,
        line: None,
        filter: LogFilter::default(),
    }
}

fn log_line(seq: u64, kind: LineKind, text: &str) -> Line {
    Line {
        seq,
        time: at(0),
        stream: Stream::Stdout,
        level: Level::Warning,
        source: "APIServer".into(),
        text: text.into(),
        spans: vec![Span(0, 3, "red".into())],
        kind,
    }
}

fn with_logs(live: LogPane, past: Option<LogPane>, view: LogView, lang: Lang) -> String {
    let mut boot = boot(vec![service("vllm")]);
    boot.lang = lang;
    boot.log = Some(LogSummary {
        service: service("vllm").name,
        run: Some(17),
        first: 1,
        last: 7,
        counts: live.counts,
    });
    boot.parts.0.push(("logs".to_owned(), crate::parts::logs(&LogsView { view, live, past }, lang)));
    html(boot)
}

#[test]
fn the_log_is_a_region_with_the_last_lines_as_text() {
    let line = log_line(7, LineKind::None, "<script>alert(1)</script>");
    let html = with_logs(log_pane(vec![line]), None, LogView::default(), Lang::En);
    has(
        &html,
        &[
            r#"role="log" aria-label="Logs" aria-live="off""#,
            r#"data-seq="17.7""#,
            "&lt;script&gt;alert(1)&lt;/script&gt;",
            ">12:00:00 </span>",
            "WARNING",
            "12,345",
            "6 earlier lines",
            r#"aria-label="Search logs""#,
            r#"<form method="get" action="/api/services/vllm/container-logs""#,
        ],
    );
    assert!(!html.contains("<script>"));
    assert!(!html.contains("style="), "a strict policy refuses inline styles");
    assert!(!html.contains("past-window"));
}

#[test]
fn the_servers_rows_are_those_of_the_chosen_view() {
    let lines = || {
        [LineKind::Trace, LineKind::Trace, LineKind::Probe, LineKind::Trace, LineKind::Access]
            .into_iter()
            .zip(1..)
            .map(|(kind, seq)| log_line(seq, kind, &format!("text {seq}")))
            .collect::<Vec<_>>()
    };
    let folded = with_logs(log_pane(lines()), None, LogView::default(), Lang::En);
    has(&folded, &["2 more lines", "text 4", "text 5"]);
    for gone in ["text 1", "text 2", "text 3"] {
        assert!(!folded.contains(gone), "{gone}");
    }
    let view = LogView::parse("unfolded.relative.compact");
    let html = with_logs(log_pane(lines()), None, view, Lang::En);
    has(&html, &["text 1", "text 2", ">0:01:00 </span>", r#"class="log-window relative compact unfolded""#]);
    assert!(!html.contains("text 3"), "a probe");
}

#[test]
fn a_past_run_is_a_window_of_its_own_that_works_as_links() {
    let filter = LogFilter {
        query: "a\"><b>".to_owned(),
        only: true,
        levels: vec![Level::Error],
        streams: [true, false],
    };
    let past = LogPane {
        run: Some(16),
        first: 3,
        last: 5_000_000,
        line: Some(7),
        filter,
        ..log_pane(vec![log_line(7, LineKind::None, "the line")])
    };
    let html = with_logs(log_pane(Vec::new()), Some(past), LogView::default(), Lang::En);
    has(
        &html,
        &[
            r#"role="log" aria-label="Run 16""#,
            r#"<a id="past-close" href="/services/vllm" class="button">Close</a>"#,
            r#"href="/services/vllm?run=16&amp;line=3""#,
            r#"href="/services/vllm?run=16&amp;line=5000000""#,
            r#"<div data-seq="16.7" class="row warning chosen">"#,
            r#"min="3" max="5000000" value="7""#,
            r#"id="past-only" aria-pressed="true""#,
            r#"id="past-error" checked"#,
            r#"id="past-stdout" checked"#,
            r#"id="log-stderr" checked"#,
        ],
    );
    for absent in ["<b>", r#"id="past-info" checked"#, r#"id="past-stderr" checked"#] {
        assert!(!html.contains(absent), "{absent}");
    }
    let trace = (1..=4).map(|seq| log_line(seq, LineKind::Trace, &format!("text {seq}"))).collect();
    let html = with_logs(
        log_pane(Vec::new()),
        Some(LogPane { run: Some(16), line: Some(2), ..log_pane(trace) }),
        LogView::default(),
        Lang::En,
    );
    has(&html, &["text 2", "text 4"]);
    assert!(!html.contains("text 3"), "only the named line is kept from folding");
    let gone = LogPane { run: Some(3), started: None, first: 0, last: 0, ..log_pane(Vec::new()) };
    let html = with_logs(log_pane(Vec::new()), Some(gone), LogView::default(), Lang::En);
    has(&html, &["The lines of this run are not kept any more."]);
}

#[test]
fn what_was_found_can_be_adopted_and_processes_cannot() {
    let mut boot = boot(vec![service("vllm")]);
    boot.snapshot.host.candidates = vec![Candidate {
        container: "my-llm".into(),
        image: "vllm/vllm-openai:v0.11".into(),
        running: true,
        port: Some(8001),
    }];
    boot.snapshot.host.foreign = vec![ForeignProcess { pid: 4242, command: "vllm serve x".into() }];
    let html = html(boot);
    has(
        &html,
        &[
            "Found on this machine",
            r#"name="container" value="my-llm""#,
            "port 8001",
            "PID 4242",
            "vllm serve x",
        ],
    );
    assert_eq!(html.matches("Adopt</button>").count(), 1);
}

#[test]
fn the_page_speaks_russian() {
    let mut boot = boot(vec![Service { state: State::Running { since: at(3723) }, ..service("vllm") }]);
    boot.lang = Lang::Ru;
    let summary = (service("vllm").name, LevelCounts::default());
    boot.log = Some(LogSummary { service: summary.0, run: None, first: 0, last: 0, counts: summary.1 });
    let logs =
        LogsView { view: LogView::default(), live: log_pane(Vec::new()), past: Some(log_pane(Vec::new())) };
    boot.parts.0.push(("logs".to_owned(), crate::parts::logs(&logs, Lang::Ru)));
    let html = html(boot);
    has(
        &html,
        &[
            "Сервисы",
            "Работает",
            "уже 1:02:03",
            "Запустить",
            "Остановить",
            "Перезапустить",
            "GPU память",
            "Автозапуск",
            r#"aria-label="Логи""#,
            "Прочие",
        ],
    );
    for english in ["Running", "Start<", "Stop<", "Uptime", "Follow", "Probes", "Wrap", "Close"] {
        assert!(!html.contains(english), "{english}");
    }
}

#[test]
fn refusals_are_said_in_words() {
    let mut boot = boot(vec![service("vllm")]);
    boot.refusal = Some(ApiError::Busy);
    has(&html(boot), &[r#"role="alert""#, "busy with earlier commands"]);
}

#[test]
fn an_address_where_nothing_lives_leads_home() {
    let mut boot = boot(Vec::new());
    boot.route = Route::NotFound;
    has(&html(boot), &["Nothing lives here", r#"<a href="/">"#]);
}

#[test]
fn several_services_lead_to_their_own_pages() {
    let html = html(boot(vec![service("vllm"), service("second")]));
    has(&html, &[r#"<a href="/services/second">vLLM</a>"#]);
    assert_eq!(html.matches("<article").count(), 2);
}

#[test]
fn a_switch_that_nothing_would_turn_at_boot_says_so() {
    let mut boot = boot(vec![service("vllm")]);
    boot.snapshot.host.boot = BootStatus::NotInstalled;
    has(&html(boot.clone()), &["Services itself is not started with this machine", "server install"]);
    boot.snapshot.host.boot = BootStatus::Installed;
    assert!(!html(boot).contains("Services itself is not started"));
}

#[test]
fn a_budget_that_is_spent_says_when_it_is_whole_again() {
    let mut it = service("vllm");
    let kind = FailureKind::Exited { code: 1, was_ready: false };
    it.state = State::Failed {
        failure: Box::new(Failure { kind, at: Timestamp::from_millis(NOW), diagnosis: None }),
    };
    let resets = Some(Timestamp::from_millis(NOW + 600_000));
    it.restarts = Some(Restarts { failures: 3, budget: 3, window_s: 600, next: None, resets });
    has(
        &html(boot(vec![it.clone()])),
        &["It failed 3 times within 10 min and is not started again by itself", "2026-11-22 12:10:00 UTC"],
    );
    let next = Some(Timestamp::from_millis(NOW + 4_000));
    it.restarts = Some(Restarts { failures: 1, budget: 3, window_s: 600, next, resets });
    has(&html(boot(vec![it])), &["It starts again by itself in 4 s (failure 1 of 3 within 10 min)"]);
}

#[test]
fn the_image_before_is_offered_while_another_one_runs() {
    let mut it = service("vllm");
    let container = |image: &str| ContainerFacts {
        name: "vllm".into(),
        id: "0123".into(),
        adopted: false,
        auto_remove: false,
        restart_policy: "no".into(),
        image_id: Some(image.into()),
        model: None,
        project: None,
    };
    let kept = KeptImage {
        id: "sha256:old".into(),
        reference: "vllm/vllm-openai:latest".into(),
        since: Timestamp::from_millis(NOW),
    };
    (it.container, it.kept_image) = (Some(container("sha256:new")), Some(kept));
    let with = |it: &Service, local: &str| {
        let mut boot = boot(vec![it.clone()]);
        boot.snapshot.images = vec![Image {
            reference: "vllm/vllm-openai:latest".into(),
            local: Some(LocalImage { id: local.into(), bytes: 1, created: None }),
            pull: None,
            newer: None,
        }];
        html(boot)
    };
    has(&with(&it, "sha256:new"), &["Back to the image before"]);
    assert!(!with(&it, "sha256:new").contains("Restart on the new image"));
    it.container = Some(container("sha256:old"));
    let html = with(&it, "sha256:new");
    has(&html, &["The container runs an older image", "Restart on the new image"]);
    assert!(!html.contains("Back to the image before"), "it runs that one");
}

#[test]
fn what_a_person_wrote_is_text_in_every_part() {
    use crate::parts::view::*;
    let evil = "</textarea><script>alert(1)</script>";
    let field = |name| FieldView {
        name,
        value: evil.to_owned(),
        default: String::new(),
        origin: Origin::File,
        read_only: false,
        choices: vec![evil.to_owned()],
        wrong: false,
    };
    let view = SettingsView {
        service: "vllm".into(),
        fields: vec![field("VLLM_MODEL"), field("args"), field("--lora-modules")],
        pasted: evil.to_owned(),
        news: Some(News::NotUnderstood(Misread::Shell(evil.to_owned()))),
        checked: CheckedView { command: Some(evil.to_owned()), ..CheckedView::default() },
        ..SettingsView::default()
    };
    let images = ImagesView {
        rows: vec![ImageRow {
            id: "sha256:1".into(),
            tags: vec![evil.to_owned()],
            bytes: 1,
            created: None,
            used_by: vec![evil.to_owned()],
        }],
        refused: Some(evil.to_owned()),
        ..ImagesView::default()
    };
    let failed = FailureKind::Refused { action: "start".into(), detail: evil.to_owned() };
    let outcome = State::Failed {
        failure: Box::new(Failure { kind: failed, at: Timestamp::from_millis(NOW), diagnosis: None }),
    };
    let a = RunInfo { outcome: Some(outcome), image: Some(evil.to_owned()), ..run(1) };
    let change = PendingChange { name: evil.to_owned(), running: Some(evil.to_owned()), next: None };
    let runs = RunsView {
        service: "vllm".into(),
        runs: vec![run(2), a.clone()],
        compared: Some(ComparedView { a, b: run(2), changes: Some(vec![change]) }),
        ..RunsView::default()
    };
    let requests = RequestsView {
        service: "vllm".into(),
        run: Some(1),
        read: true,
        rows: vec![RequestRow {
            id: evil.to_owned(),
            line: 1,
            at: Timestamp::from_millis(NOW),
            took_ms: None,
            fate: FateView::Failed(evil.to_owned()),
            prompt_tokens: None,
            output_tokens: None,
            parameters: vec![("seed", evil.to_owned())],
            adapter: Some(evil.to_owned()),
        }],
        all: 1,
        ..RequestsView::default()
    };
    for lang in Lang::ALL {
        let parts = [
            crate::parts::settings(&view, lang),
            crate::parts::images(&images, lang),
            crate::parts::runs(&runs, lang),
            crate::parts::requests(&requests, lang),
        ];
        for html in parts {
            assert!(!html.contains("<script>"), "{html}");
            assert!(html.contains("&lt;script"), "{html}");
        }
    }
}

/// A run of which only the start is known.
fn run(number: u64) -> RunInfo {
    RunInfo {
        run: number,
        service: ServiceName::parse("vllm").expect("a name"),
        started: Timestamp::from_millis(NOW),
        ready: None,
        ended: None,
        live: false,
        code: None,
        outcome: None,
        phases: Vec::new(),
        image: None,
        configuration: None,
        lines: None,
        bytes: None,
    }
}

/// A run that ended, with two phases of its start.
fn ended(number: u64, load_ms: u64, outcome: State) -> RunInfo {
    let at = |ms| Timestamp::from_millis(NOW + ms);
    let phase = |phase, at, took_ms| PhaseTime { phase, at, took_ms: Some(took_ms) };
    RunInfo {
        ready: Some(at(65_000)),
        ended: Some(at(3_723_000)),
        code: Some(0),
        outcome: Some(outcome),
        phases: vec![phase(Phase::Import, at(0), 8_000), phase(Phase::Load, at(8_000), load_ms)],
        image: Some("vllm/vllm-openai:v1".into()),
        ..run(number)
    }
}

fn failed_for(cause: Cause) -> State {
    let diagnosis = Diagnosis { cause, evidence: Vec::new(), facts: Facts::default(), remedies: Vec::new() };
    let kind = FailureKind::Exited { code: 1, was_ready: false };
    State::Failed {
        failure: Box::new(Failure { kind, at: Timestamp::from_millis(NOW), diagnosis: Some(diagnosis) }),
    }
}

#[test]
fn a_run_is_told_with_its_length_its_outcome_and_what_the_dashboard_did_not_see() {
    use crate::parts::view::RunsView;
    let stopped = |note| ended(3, 1, State::Stopped { since: None, note });
    let cases = [
        (RunInfo { live: true, ..run(9) }, vec!["Goes on"]),
        (run(8), vec!["Nobody saw its end"]),
        (ended(7, 1, failed_for(Cause::PortInUse)), vec!["Failed: ", "1:02:03", "1:05"]),
        (ended(7, 1, failed_for(Cause::Unknown)), vec!["Failed: It ended with exit code 1"]),
        (stopped(None), vec!["Stopped<", "exit code 0"]),
        (stopped(Some(StoppedNote::StoppedOutside)), vec!["Stopped from outside"]),
        (RunInfo { lines: Some(12_345), bytes: Some(3 << 20), ..run(1) }, vec!["12,345 lines, 3.0 MiB"]),
    ];
    for (run, wanted) in cases {
        let link = format!("href=\"/services/vllm?run={}\"", run.run);
        let view = RunsView { service: "vllm".into(), runs: vec![run], ..RunsView::default() };
        let html = crate::parts::runs(&view, Lang::En);
        has(&html, &wanted);
        has(&html, &[&link]);
        assert!(
            !html.contains("Compare") && !html.contains("checkbox"),
            "one alone is compared with nothing"
        );
        assert!(crate::parts::runs(&view, Lang::Ru).contains("Запуск"));
    }
    let html = crate::parts::runs(&RunsView::default(), Lang::En);
    has(&html, &["No run yet"]);
}

#[test]
fn two_runs_stand_beside_each_other_phase_by_phase() {
    use crate::parts::view::{ComparedView, RunsView};
    let a = ended(4, 20_000, State::Stopped { since: None, note: None });
    let b = ended(6, 12_500, failed_for(Cause::DoesNotFit));
    let change = PendingChange { name: "--dtype".into(), running: None, next: Some("half".into()) };
    let compared = |changes| ComparedView { a: a.clone(), b: b.clone(), changes };
    let html = |changes| {
        let view = RunsView {
            service: "vllm".into(),
            runs: vec![b.clone(), a.clone()],
            open: true,
            compared: Some(compared(changes)),
            ..RunsView::default()
        };
        crate::parts::runs(&view, Lang::En)
    };
    let shown = html(Some(vec![change]));
    has(&shown, &["Run 4 beside run 6", "20 s", "12 s", "−8 s", "the same", "--dtype", "<ins>half</ins>"]);
    has(&html(Some(Vec::new())), &["Both were launched with the same settings"]);
    has(&html(None), &["The settings of one of them are not known"]);
}

#[test]
fn requests_say_what_the_log_says_and_which_flag_would_make_it_say_more() {
    use crate::parts::view::{FateView, RequestRow, RequestsView};
    let row = |fate, took_ms| RequestRow {
        id: "cmpl-1".into(),
        line: 42,
        at: Timestamp::from_millis(NOW),
        took_ms,
        fate,
        prompt_tokens: Some(1200),
        output_tokens: None,
        parameters: vec![("max_tokens", "8".into())],
        adapter: None,
    };
    let view = |rows: Vec<RequestRow>, ends| RequestsView {
        service: "vllm".into(),
        runs: vec![(5, Timestamp::from_millis(NOW)), (4, Timestamp::from_millis(NOW))],
        run: Some(5),
        read: true,
        live: true,
        all: rows.len() as u64,
        rows,
        ends,
    };
    let html = |view: &RequestsView| crate::parts::requests(view, Lang::En);
    has(&html(&RequestsView::default()), &["Read the log"]);
    has(&html(&view(Vec::new(), false)), &["--enable-log-requests"]);
    let told = html(&view(vec![row(FateView::Finished(Some("length".into())), Some(1_500))], true));
    has(
        &told,
        &["Finished: length", "1.5 s", "1,200 in, – out", "max_tokens 8", "/services/vllm?run=5&amp;line=42"],
    );
    has(
        &told,
        &["<option value=\"5\" selected>Run 5, 2026-11-22 12:00:00 UTC</option>", "<option value=\"4\">"],
    );
    assert!(!told.contains("--enable-log-outputs"));
    has(
        &html(&view(vec![row(FateView::Added, None)], false)),
        &["--enable-log-outputs", "Its end is not told"],
    );
    has(&html(&view(vec![row(FateView::Added, None)], true)), &["Running"]);
}
