//! A life of its own for the demo: every few seconds somebody seems to ask something.

use crate::clock;
use crate::engine::{Engine, Request};
use crate::log::{Level, Process};
use std::sync::Arc;
use std::time::Duration;

/// One in so many requests comes with a warning.
const WARN_EVERY: u64 = 24;
const WARNING: &str = "The following fields were present in the request but ignored: {'best_of'}";

/// Makes up requests for as long as it is polled; with `on` false it does nothing.
pub async fn live(engine: Arc<Engine>, on: bool) {
    if !on {
        return;
    }
    let mut count = 0_u64;
    loop {
        tokio::time::sleep(Duration::from_millis(between(1200, 5000))).await;
        count += 1;
        if count.is_multiple_of(WARN_EVERY) {
            engine.log.vllm(Process::ApiServer, Level::Warning, "protocol.py:117", WARNING);
        }
        if count.is_multiple_of(9) {
            answer(&engine, "GET", "/v1/models", true);
        } else {
            tokio::spawn(request(engine.clone()));
        }
    }
}

async fn request(engine: Arc<Engine>) {
    let request = Request {
        prompt_tokens: between(20, 600),
        max_tokens: between(40, 400).min(engine.max_model_len),
        finish: "stop",
    };
    let answered = engine.generate(request, None).await.is_ok();
    answer(&engine, "POST", "/v1/chat/completions", answered);
}

fn answer(engine: &Engine, method: &str, path: &str, well: bool) {
    let (status, reason) = if well { (200, "OK") } else { (500, "Internal Server Error") };
    engine.metrics().http(path, method, status);
    let peer = format!("127.0.0.1:{}", between(32_768, 60_999));
    engine.log.access(&peer, &format!("{method} {path} HTTP/1.1"), status, reason);
}

fn between(least: u64, most: u64) -> u64 {
    least + clock::arbitrary() % (most - least + 1)
}
