//! Three scrapes in a row, ten seconds apart → readings. A reading must be writable as JSON.

#![no_main]

use app::model::Timestamp;
use fuzz::vllm::metrics::{Metrics, requests_under_way};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut metrics = Metrics::default();
    let third = data.len() / 3;
    let bodies = [data.get(..third), data.get(third..2 * third), Some(data)];
    for (body, seconds) in bodies.into_iter().flatten().zip([0, 10, 20]) {
        let _ = requests_under_way(body);
        if let Some(reading) = metrics.scraped(Timestamp::from_millis(seconds * 1000), body) {
            serde_json::to_string(&reading).expect("a reading can be written");
        }
    }
    serde_json::to_string(&metrics.history(Timestamp::from_millis(30_000)))
        .expect("a history can be written");
});
