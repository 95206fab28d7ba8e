//! `/metrics`: a text that a strict reader of the format takes, with numbers that follow what happens.

use crate::machine::{Machine, until};
use std::collections::{BTreeMap, BTreeSet};

/// Every sample by its name and labels. Panics at whatever the format does not allow.
pub fn read(text: &str) -> BTreeMap<String, f64> {
    let (mut samples, mut types, mut closed) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
    let mut open = String::new();
    assert!(text.ends_with('\n'), "the last line has an end");
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, words) = help.split_once(' ').expect("a name and words");
            assert!(words.ends_with('.') && name.starts_with("services_"), "{line}");
            assert!(!closed.contains(name), "{name} comes twice");
            closed.insert(std::mem::replace(&mut open, name.to_owned()));
            continue;
        }
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').expect("a name and a type");
            assert_eq!(name, open, "the type follows its help");
            assert!(matches!(kind, "counter" | "gauge" | "histogram"), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            types.insert(name.to_owned(), kind.to_owned());
            continue;
        }
        let (series, value) = line.rsplit_once(' ').expect("a name and a value");
        let name = series.split('{').next().expect("a name");
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        assert!(name.chars().all(plain), "{line}");
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| {
            let family = name.strip_suffix(end)?;
            types.get(family).is_some_and(|kind| kind == "histogram").then_some(family)
        });
        assert_eq!(family.unwrap_or(name), open, "a sample stands below its own type");
        let value: f64 = value.parse().expect("a number");
        assert!(value.is_finite() && value >= 0.0, "{line}");
        assert!(samples.insert(series.to_owned(), value).is_none(), "{series} comes twice");
    }
    histograms(&samples);
    samples
}

/// Buckets grow, and the last is all.
fn histograms(samples: &BTreeMap<String, f64>) {
    let name = "services_http_request_duration_seconds";
    for (series, count) in samples.iter().filter(|(series, _)| series.starts_with(&format!("{name}_count"))) {
        let labels = series.split_once('{').expect("labels").1.trim_end_matches('}');
        let mut buckets: Vec<(f64, f64)> = samples
            .iter()
            .filter_map(|(series, value)| {
                let rest = series.strip_prefix(&format!("{name}_bucket{{{labels},le=\""))?;
                Some((rest.trim_end_matches("\"}").parse().expect("a bound"), *value))
            })
            .collect();
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        assert!(buckets.len() > 3 && buckets.windows(2).all(|two| two[0].1 <= two[1].1), "{buckets:?}");
        assert_eq!(buckets.last(), Some(&(f64::INFINITY, *count)), "{series}");
    }
}

const TWO: &str = "
[[service]]
name = \"talks\"
kind = \"process\"
command = [\"sh\", \"-c\", \"for n in $(seq 1000); do echo line $n; done; exec sleep 600\"]

[[service]]
name = \"fails\"
kind = \"process\"
command = [\"sh\", \"-c\", \"exit 3\"]
";

#[test]
fn the_text_is_what_the_format_allows_and_follows_what_happens() {
    let machine = Machine::start(TWO, &[]);
    let answer = machine.get("/metrics");
    assert_eq!(answer.status, 200);
    assert!(
        answer.head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"),
        "{}",
        answer.head
    );
    let before = read(&answer.body);
    assert_eq!(before["services_service_state{service=\"talks\",state=\"stopped\"}"], 1.0);
    assert_eq!(before["services_log_lines_read_total{service=\"talks\"}"], 0.0);
    assert!(before["services_process_resident_memory_bytes"] > 1e6);
    assert!(before["services_process_open_fds"] > 3.0);

    assert_eq!(machine.post("/api/services/talks/start", "").status, 202);
    assert_eq!(machine.post("/api/services/fails/start", "").status, 202);
    let stream = machine.open("GET", "/api/stream?logs=talks", &[], "");
    for n in 0..50 {
        machine.get(&format!("/api/services/no-such-{n}"));
        machine.get(&format!("/nothing/here/{n}?token=hunter2"));
    }
    let after = until("what happened", || {
        let samples = read(&machine.get("/metrics").body);
        let told = samples["services_log_lines_stored_total{service=\"talks\"}"] >= 1000.0
            && samples["services_service_state{service=\"talks\",state=\"running\"}"] == 1.0
            && samples["services_service_failures_total{service=\"fails\"}"] == 1.0
            && samples["services_streams_open"] == 1.0;
        told.then_some(samples)
    });
    assert_eq!(after["services_log_lines_read_total{service=\"talks\"}"], 1000.0);
    assert_eq!(after["services_log_lines_dropped_total{service=\"talks\"}"], 0.0);
    assert_eq!(after["services_service_state{service=\"fails\",state=\"failed\"}"], 1.0);
    let states =
        after.iter().filter(|(series, _)| series.starts_with("services_service_state{service=\"fails\""));
    assert_eq!(states.map(|(_, value)| value).sum::<f64>(), 1.0, "exactly one state is true");
    let missing = "services_http_requests_total{route=\"/api/services/{name}\",status=\"4xx\"}";
    assert_eq!(after[missing], 50.0);
    assert!(!after.keys().any(|series| series.contains("no-such") || series.contains("hunter2")));
    let routes = after.keys().filter(|series| series.starts_with("services_http_requests_total"));
    assert!(routes.count() < 20, "fifty addresses are no fifty series");
    assert_eq!(after.get("services_engine_up"), Some(&0.0), "the engine's socket is not there");
    drop(stream);
    until("the end of the stream", || {
        (read(&machine.get("/metrics").body)["services_streams_open"] == 0.0).then_some(())
    });
}
