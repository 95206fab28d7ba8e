//! Texts of a real vLLM 0.32 (`server/tests/metrics`), of versions before, and of nobody.

use super::*;
use app::model::Ended;
use proptest::prelude::*;

const AT_READY: &[u8] = include_bytes!("../../../tests/metrics/at_ready.txt");
const IN_FLIGHT: &[u8] = include_bytes!("../../../tests/metrics/in_flight.txt");
const AFTER: &[u8] = include_bytes!("../../../tests/metrics/after_requests.txt");

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000 + ms)
}

fn ended(counts: &[(&str, u64)]) -> Vec<Ended> {
    counts.iter().map(|(reason, count)| Ended { reason: (*reason).to_owned(), count: *count }).collect()
}

fn scraped(metrics: &mut Metrics, ms: i64, body: &[u8]) -> Reading {
    metrics.scraped(at(ms), body).expect("a reading")
}

#[test]
fn a_server_that_just_became_ready_reports_counts_and_no_rates() {
    let reading = scraped(&mut Metrics::default(), 0, AT_READY);
    assert_eq!(
        reading,
        Reading {
            at: at(0),
            window_s: None,
            running: Some(0),
            waiting: Some(0),
            kv_cache_permille: Some(0),
            prompt_tokens_per_10s: None,
            generation_tokens_per_10s: None,
            ttft_p50_us: None,
            ttft_p95_us: None,
            itl_p50_us: None,
            itl_p95_us: None,
            prefix_hits_permille: None,
            preemptions: Some(0),
            // No request was answered yet, so that HTTP errors are not reported.
            ended: ended(&[("stop", 0), ("length", 0), ("abort", 0), ("error", 0), ("repetition", 0)]),
        }
    );
}

#[test]
fn requests_in_flight_are_compared_with_the_text_before() {
    let mut metrics = Metrics::default();
    scraped(&mut metrics, 0, AT_READY);
    let reading = scraped(&mut metrics, 5000, IN_FLIGHT);
    assert_eq!(
        reading,
        Reading {
            at: at(5000),
            window_s: Some(5),
            running: Some(4),
            waiting: Some(0),
            kv_cache_permille: Some(1),
            prompt_tokens_per_10s: Some(2 * 262),
            generation_tokens_per_10s: Some(2 * 1049),
            // 7 requests, cumulative: 0.01 s 1, 0.02 s 2, 0.04 s 4, 0.06 s 7.
            ttft_p50_us: Some(35_000),
            ttft_p95_us: Some(57_667),
            // 1042 intervals, 1041 of them within 0.01 s.
            itl_p50_us: Some(5_005),
            itl_p95_us: Some(9_509),
            prefix_hits_permille: Some(0),
            preemptions: Some(0),
            ended: ended(&[
                ("stop", 0),
                ("length", 3),
                ("abort", 0),
                ("error", 0),
                ("repetition", 0),
                ("4xx", 3),
                ("5xx", 0)
            ]),
        }
    );
    assert_eq!(metrics.latest(), Some(&reading));
}

#[test]
fn only_what_came_into_the_window_counts() {
    let mut metrics = Metrics::default();
    scraped(&mut metrics, 0, IN_FLIGHT);
    let reading = scraped(&mut metrics, 10_000, AFTER);
    assert_eq!((reading.running, reading.waiting, reading.kv_cache_permille), (Some(0), Some(0), Some(0)));
    assert_eq!(reading.prompt_tokens_per_10s, Some(382 - 262));
    assert_eq!(reading.generation_tokens_per_10s, Some(1820 - 1049));
    // 2 requests, both from 0.02 s to 0.04 s.
    assert_eq!((reading.ttft_p50_us, reading.ttft_p95_us), (Some(30_000), Some(39_000)));
    // 769 intervals, 764 of them within 0.01 s.
    assert_eq!((reading.itl_p50_us, reading.itl_p95_us), (Some(5_033), Some(9_562)));
    assert_eq!(reading.ended[1], Ended { reason: "length".into(), count: 9 });

    let idle = scraped(&mut metrics, 45_000, AFTER);
    assert_eq!((idle.window_s, idle.prompt_tokens_per_10s), (None, None), "the texts before are too old");
    let idle = scraped(&mut metrics, 50_000, AFTER);
    assert_eq!((idle.window_s, idle.prompt_tokens_per_10s), (Some(5), Some(0)));
    assert_eq!((idle.ttft_p50_us, idle.itl_p95_us, idle.prefix_hits_permille), (None, None, None));
}

#[test]
fn a_server_that_started_anew_has_no_rates_before_its_second_text() {
    let mut metrics = Metrics::default();
    scraped(&mut metrics, 0, AFTER);
    let reading = scraped(&mut metrics, 5000, AT_READY);
    assert_eq!((reading.window_s, reading.prompt_tokens_per_10s, reading.ttft_p50_us), (None, None, None));
    let reading = scraped(&mut metrics, 10_000, IN_FLIGHT);
    assert_eq!((reading.window_s, reading.prompt_tokens_per_10s), (Some(5), Some(524)));
}

#[test]
fn another_run_is_not_compared_and_leaves_a_gap_in_the_history() {
    let mut metrics = Metrics::default();
    scraped(&mut metrics, 0, AT_READY);
    metrics.reset();
    assert_eq!(metrics.latest(), None);
    let reading = scraped(&mut metrics, 10_000, IN_FLIGHT);
    assert_eq!((reading.window_s, reading.running), (None, Some(4)));
    assert_eq!(metrics.history(at(10_000)).running, [Some(0), None, Some(4)]);
}

#[test]
fn what_was_missed_is_absent() {
    let mut metrics = Metrics::default();
    scraped(&mut metrics, 0, AT_READY);
    metrics.missed();
    assert_eq!(metrics.latest(), None);
    assert_eq!(metrics.history(at(5000)).running, [Some(0), None]);
    assert_eq!(metrics.scraped(at(5000), b"<html>bad gateway</html>"), None);
    assert_eq!(metrics.latest(), None);
    let reading = scraped(&mut metrics, 10_000, IN_FLIGHT);
    assert_eq!(reading.prompt_tokens_per_10s, Some(262), "the counters went on meanwhile");
    assert_eq!(metrics.history(at(10_000)).generation_tokens_per_10s, [None, None, Some(1049)]);
}

#[test]
fn the_history_follows_the_readings() {
    let mut metrics = Metrics::default();
    for (ms, body) in [(0, AT_READY), (5000, IN_FLIGHT), (10_000, AFTER)] {
        scraped(&mut metrics, ms, body);
    }
    let history = metrics.history(at(10_000));
    assert_eq!(history.running, [Some(0), Some(4), Some(0)]);
    assert_eq!(history.kv_cache_permille, [Some(0), Some(1), Some(0)]);
    assert_eq!(history.prompt_tokens_per_10s, [None, Some(524), Some(382)]);
    assert_eq!(history.ttft_p95_ms, [None, Some(58), Some(57)]);
}

/// The text of an engine of the old kind (0.6), as `vllm/engine/metrics.py` writes it.
fn old_engine(tokens: u32, fast: u32) -> String {
    format!(
        "# HELP vllm:cache_config_info information of cache_config\n\
         # TYPE vllm:cache_config_info gauge\n\
         vllm:cache_config_info{{block_size=\"16\",cache_dtype=\"auto\",sliding_window=\"None\"}} 1.0\n\
         vllm:num_requests_running{{model_name=\"m\"}} 2.0\n\
         vllm:num_requests_swapped{{model_name=\"m\"}} 1.0\n\
         vllm:num_requests_waiting{{model_name=\"m\"}} 3.0\n\
         vllm:gpu_cache_usage_perc{{model_name=\"m\"}} 0.875\n\
         vllm:cpu_cache_usage_perc{{model_name=\"m\"}} 0.0\n\
         vllm:gpu_prefix_cache_hit_rate{{model_name=\"m\"}} 0.5\n\
         vllm:num_preemptions_total{{model_name=\"m\"}} 7.0\n\
         vllm:prompt_tokens_total{{model_name=\"m\"}} {tokens}.0\n\
         vllm:time_per_output_token_seconds_sum{{model_name=\"m\"}} 1.0\n\
         vllm:time_per_output_token_seconds_bucket{{le=\"0.01\",model_name=\"m\"}} {fast}.0\n\
         vllm:time_per_output_token_seconds_bucket{{le=\"0.025\",model_name=\"m\"}} {fast}.0\n\
         vllm:time_per_output_token_seconds_bucket{{le=\"+Inf\",model_name=\"m\"}} {fast}.0\n\
         vllm:request_success_total{{finished_reason=\"stop\",model_name=\"m\"}} 9.0\n"
    )
}

#[test]
fn an_engine_of_the_old_kind_is_understood() {
    let mut metrics = Metrics::default();
    scraped(&mut metrics, 0, old_engine(1000, 10).as_bytes());
    let reading = scraped(&mut metrics, 5000, old_engine(1500, 20).as_bytes());
    assert_eq!((reading.running, reading.waiting), (Some(2), Some(4)));
    assert_eq!((reading.kv_cache_permille, reading.prefix_hits_permille), (Some(875), Some(500)));
    assert_eq!((reading.prompt_tokens_per_10s, reading.generation_tokens_per_10s), (Some(1000), None));
    assert_eq!((reading.itl_p50_us, reading.ttft_p50_us), (Some(5000), None));
    assert_eq!((reading.preemptions, reading.ended), (Some(7), ended(&[("stop", 9)])));
}

#[test]
fn two_engines_are_one_server() {
    let text = |tokens: [u32; 2], slow: u32| {
        let mut text = String::new();
        for (engine, tokens) in tokens.iter().enumerate() {
            text.push_str(&format!(
                "vllm:num_requests_running{{engine=\"{engine}\"}} {}\n\
                 vllm:kv_cache_usage_perc{{engine=\"{engine}\"}} 0.{engine}5\n\
                 vllm:generation_tokens_total{{engine=\"{engine}\"}} {tokens}\n\
                 vllm:time_to_first_token_seconds_bucket{{engine=\"{engine}\",le=\"1.0\"}} 10\n\
                 vllm:time_to_first_token_seconds_bucket{{engine=\"{engine}\",le=\"2.0\"}} {}\n\
                 vllm:time_to_first_token_seconds_bucket{{engine=\"{engine}\",le=\"+Inf\"}} {}\n",
                engine + 1,
                10 + slow,
                10 + slow,
            ));
        }
        text
    };
    let mut metrics = Metrics::default();
    scraped(&mut metrics, 0, text([100, 200], 0).as_bytes());
    let reading = scraped(&mut metrics, 10_000, text([110, 250], 5).as_bytes());
    assert_eq!((reading.running, reading.kv_cache_permille), (Some(3), Some(150)));
    assert_eq!((reading.generation_tokens_per_10s, reading.ttft_p50_us), (Some(60), Some(1_500_000)));
}

#[test]
fn openmetrics_is_understood() {
    let text = "# TYPE vllm:prompt_tokens counter\n\
                vllm:prompt_tokens_total{model_name=\"a \\\"b\\\" }\"} 5.0 1795350524.41 # {trace=\"x\"} 1.0\n\
                vllm:prompt_tokens_created{model_name=\"a\"} 1.79e+09\n\
                # TYPE vllm:num_requests_running gauge\n\
                vllm:num_requests_running{model_name=\"a\"} 1\n# EOF\n";
    let mut metrics = Metrics::default();
    scraped(&mut metrics, 0, text.as_bytes());
    let reading = scraped(&mut metrics, 10_000, text.replace("5.0", "25.0").as_bytes());
    assert_eq!((reading.running, reading.prompt_tokens_per_10s), (Some(1), Some(20)));
}

#[test]
fn unknown_lines_change_nothing() {
    let mut noisy = b"\xff\xfe\x00garbage\nvllm:new_thing{a=\"b\"} 1\n".to_vec();
    for line in IN_FLIGHT.split_inclusive(|byte| *byte == b'\n') {
        noisy.extend_from_slice(line);
        noisy.extend_from_slice(
            b"vllm:some_future_histogram_bucket{le=\"1\",x=\"\\\\\"} nonsense 3 4\n}{\n\n",
        );
    }
    let mut quiet = Metrics::default();
    let mut loud = Metrics::default();
    scraped(&mut quiet, 0, AT_READY);
    scraped(&mut loud, 0, AT_READY);
    assert_eq!(scraped(&mut loud, 5000, &noisy), scraped(&mut quiet, 5000, IN_FLIGHT));
}

#[test]
fn requests_under_way_are_those_that_run_and_those_that_wait() {
    assert_eq!(requests_under_way(IN_FLIGHT), Some(4));
    assert_eq!(requests_under_way(AT_READY), Some(0));
    assert_eq!(requests_under_way(old_engine(0, 0).as_bytes()), Some(6));
    assert_eq!(requests_under_way(b"vllm:num_requests_waiting 2\n"), Some(2));
    assert_eq!(requests_under_way(b"vllm:prompt_tokens_total 2\n"), None);
    assert_eq!(requests_under_way(b"not found"), None);
}

#[test]
#[ignore = "prints figures: cargo test --release … -- --ignored --nocapture"]
fn microseconds_for_a_text() {
    let rounds = 10_000_i64;
    let mut metrics = Metrics::default();
    let started = std::time::Instant::now();
    for n in 0..rounds {
        metrics.scraped(at(n * 5000), if n % 8 < 4 { IN_FLIGHT } else { AFTER });
    }
    let each = started.elapsed().as_secs_f64() / rounds as f64;
    println!("a text of {} bytes: {:.0} us", IN_FLIGHT.len(), each * 1e6);
}

proptest! {
    #[test]
    fn a_text_that_is_cut_or_spoiled_makes_nothing_panic(
        cut in 0..IN_FLIGHT.len(),
        spoiled in prop::collection::vec((0..IN_FLIGHT.len(), any::<u8>()), 0..200),
        ms in any::<i64>(),
    ) {
        let mut body = IN_FLIGHT.to_vec();
        for (at, byte) in spoiled {
            body[at] = byte;
        }
        body.truncate(cut);
        let mut metrics = Metrics::default();
        metrics.scraped(at(0), AT_READY);
        metrics.scraped(at(5000), &body);
        metrics.scraped(Timestamp::from_millis(ms), &body);
        metrics.history(at(10_000));
    }

    #[test]
    fn whatever_values_come_a_reading_is_made(values in prop::collection::vec(any::<f64>(), 10)) {
        let body = |values: &[f64]| format!(
            "vllm:num_requests_running {}\nvllm:kv_cache_usage_perc {}\nvllm:prompt_tokens_total {}\n\
             vllm:prefix_cache_queries_total {}\nvllm:prefix_cache_hits_total {}\n",
            values[0], values[1], values[2], values[3], values[4]
        );
        let mut metrics = Metrics::default();
        metrics.scraped(at(0), body(&values[..5]).as_bytes());
        if let Some(reading) = metrics.scraped(at(5000), body(&values[5..]).as_bytes()) {
            prop_assert!(reading.kv_cache_permille.is_none_or(|share| share <= 1000));
            prop_assert!(reading.prefix_hits_permille.is_none_or(|share| share <= 1000));
        }
    }
}
