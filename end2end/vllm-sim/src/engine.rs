//! What the engine does: it queues requests, makes tokens at the set pace, and counts.

mod metrics;

pub use metrics::Metrics;

use crate::cli::{Knobs, ServeArgs};
use crate::log::{Level, Log, Process};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::Instant;

/// Whether the engine takes requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It does.
    Serving,
    /// It finishes what it has and takes no more.
    Draining,
    /// It is gone.
    Dead,
}

/// Why a request got no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The engine died meanwhile, or before.
    EngineDead,
    /// It came while the engine drains.
    Draining,
    /// The client went away.
    ClientGone,
}

/// The running engine.
pub struct Engine {
    /// The command line.
    pub args: ServeArgs,
    /// The simulator's own settings.
    pub knobs: Knobs,
    /// The context length in use, in tokens.
    pub max_model_len: u64,
    /// Tokens the KV cache holds.
    pub cache_tokens: u64,
    /// Where lines go.
    pub log: Log,
    health: watch::Sender<Health>,
    slots: Semaphore,
    running: AtomicUsize,
    waiting: AtomicUsize,
    tokens_held: AtomicU64,
    /// Since the last throughput line.
    prompt_tokens: AtomicU64,
    generated_tokens: AtomicU64,
    metrics: Mutex<Metrics>,
}

/// What was asked for.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    pub prompt_tokens: u64,
    pub max_tokens: u64,
    /// Why it ends after that many: `length` or `stop`.
    pub finish: &'static str,
}

const WORDS: [&str; 16] = [
    "This",
    " answer",
    " comes",
    " from",
    " a",
    " simulated",
    " engine",
    ".",
    " No",
    " model",
    " was",
    " loaded",
    ",",
    " no",
    " token",
    " meant.",
];

/// The text of the `index`-th token.
pub fn token_text(index: u64) -> &'static str {
    WORDS[usize::try_from(index % 16).unwrap_or(0)]
}

impl Engine {
    /// An engine that serves.
    pub fn new(args: ServeArgs, knobs: Knobs, log: Log, max_model_len: u64, cache_tokens: u64) -> Self {
        let metrics =
            Metrics::new(args.served_name(), args.gpu_memory_utilization, cache_tokens, max_model_len);
        Self {
            slots: Semaphore::new(args.max_num_seqs),
            args,
            knobs,
            max_model_len,
            cache_tokens,
            log,
            health: watch::Sender::new(Health::Serving),
            running: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            tokens_held: AtomicU64::new(0),
            prompt_tokens: AtomicU64::new(0),
            generated_tokens: AtomicU64::new(0),
            metrics: Mutex::new(metrics),
        }
    }

    /// The state it is in.
    pub fn health(&self) -> Health {
        *self.health.borrow()
    }

    /// Changes state; requests in flight end when it is dead.
    pub fn set_health(&self, health: Health) {
        self.health.send_replace(health);
    }

    /// Requests in flight, queued ones included.
    pub fn in_flight(&self) -> usize {
        self.running.load(Ordering::Relaxed) + self.waiting.load(Ordering::Relaxed)
    }

    /// The counters.
    pub fn metrics(&self) -> MutexGuard<'_, Metrics> {
        self.metrics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The body of `/metrics`.
    pub fn render_metrics(&self) -> String {
        let mut metrics = self.metrics();
        #[expect(clippy::cast_precision_loss, reason = "gauges are floating point numbers")]
        {
            metrics.set("vllm:num_requests_running", self.running.load(Ordering::Relaxed) as f64);
            metrics.set("vllm:num_requests_waiting", self.waiting.load(Ordering::Relaxed) as f64);
            metrics.set(
                "vllm:num_requests_waiting_by_reason{capacity}",
                self.waiting.load(Ordering::Relaxed) as f64,
            );
        }
        metrics.set("vllm:kv_cache_usage_perc", self.cache_usage());
        metrics.render()
    }

    #[expect(clippy::cast_precision_loss, reason = "a share of a cache of far less than 2^52 tokens")]
    fn cache_usage(&self) -> f64 {
        (self.tokens_held.load(Ordering::Relaxed) as f64 / self.cache_tokens.max(1) as f64).min(1.0)
    }

    /// Makes the tokens of a request, telling `each` the number of every one made. Ends early when the
    /// engine dies or `each` is no longer listened to.
    pub async fn generate(&self, request: Request, each: Option<mpsc::Sender<u64>>) -> Result<(), Refused> {
        let mut health = self.health.subscribe();
        match *health.borrow_and_update() {
            Health::Serving => {}
            Health::Draining => return Err(Refused::Draining),
            Health::Dead => return Err(Refused::EngineDead),
        }
        let arrived = Instant::now();
        let queued = Counted::of(&self.waiting);
        let dead = health.wait_for(|state| *state == Health::Dead);
        let made = async {
            let Ok(_slot) = self.slots.acquire().await else { return Err(Refused::EngineDead) };
            drop(queued);
            let _running = Counted::of(&self.running);
            self.make_tokens(request, each, arrived).await
        };
        let outcome = tokio::select! {
            outcome = made => outcome,
            _ = dead => Err(Refused::EngineDead),
        };
        let reason = if outcome.is_ok() { request.finish } else { "abort" };
        self.metrics().add(&format!("vllm:request_success_total{{{reason}}}"), 1);
        outcome
    }

    async fn make_tokens(
        &self,
        request: Request,
        each: Option<mpsc::Sender<u64>>,
        arrived: Instant,
    ) -> Result<(), Refused> {
        let held = Held { engine: self, tokens: AtomicU64::new(request.prompt_tokens) };
        self.tokens_held.fetch_add(request.prompt_tokens, Ordering::Relaxed);
        self.prompt_tokens.fetch_add(request.prompt_tokens, Ordering::Relaxed);
        self.metrics().prompt(request.prompt_tokens);
        let started = Instant::now();
        let pause = if self.knobs.tokens_per_s > 0.0 { 1.0 / self.knobs.tokens_per_s } else { 0.0 };
        let mut first = Duration::ZERO;
        for index in 0..request.max_tokens {
            #[expect(clippy::cast_precision_loss, reason = "token numbers are far below 2^52")]
            let due = started + Duration::from_secs_f64(pause * (index + 1) as f64);
            if pause > 0.0 {
                tokio::time::sleep_until(due).await;
            } else if index % 64 == 63 {
                tokio::task::yield_now().await;
            }
            if index == 0 {
                first = arrived.elapsed();
            }
            held.tokens.fetch_add(1, Ordering::Relaxed);
            self.tokens_held.fetch_add(1, Ordering::Relaxed);
            self.generated_tokens.fetch_add(1, Ordering::Relaxed);
            self.metrics().token(index == 0, if index == 0 { first.as_secs_f64() } else { pause });
            if let Some(each) = &each
                && each.send(index).await.is_err()
            {
                return Err(Refused::ClientGone);
            }
        }
        let times = metrics::Times { first, queued: started - arrived, total: arrived.elapsed() };
        self.metrics().finished(request.prompt_tokens, request.max_tokens, times);
        Ok(())
    }

    /// Prints the throughput line as the real one does: while there is traffic, and once more after it.
    pub async fn report_throughput(&self) {
        let mut ticks = tokio::time::interval(self.knobs.stats_every);
        ticks.tick().await;
        let mut was_busy = false;
        loop {
            ticks.tick().await;
            let seconds = self.knobs.stats_every.as_secs_f64();
            let prompt = self.prompt_tokens.swap(0, Ordering::Relaxed);
            let generated = self.generated_tokens.swap(0, Ordering::Relaxed);
            let busy = prompt + generated > 0 || self.in_flight() > 0;
            if (busy || was_busy) && self.args.log_stats {
                #[expect(clippy::cast_precision_loss, reason = "tokens of ten seconds")]
                let (prompt, generated) = (prompt as f64 / seconds, generated as f64 / seconds);
                let (running, waiting) =
                    (self.running.load(Ordering::Relaxed), self.waiting.load(Ordering::Relaxed));
                let cache = self.cache_usage() * 100.0;
                let text = format!(
                    "Engine 000: Avg prompt throughput: {prompt:.1} tokens/s, Avg generation throughput: {generated:.1} tokens/s, Running: {running} reqs, Waiting: {waiting} reqs, GPU KV cache usage: {cache:.1}%, Prefix cache hit rate: 0.0%"
                );
                self.log.vllm(Process::ApiServer, Level::Info, "loggers.py:335", &text);
            }
            was_busy = busy;
        }
    }
}

/// Counts itself while it lives.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn of(counter: &'a AtomicUsize) -> Self {
        counter.fetch_add(1, Ordering::Relaxed);
        Self(counter)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The tokens of one request in the KV cache; given back when it ends, however it ends.
struct Held<'a> {
    engine: &'a Engine,
    tokens: AtomicU64,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.engine.tokens_held.fetch_sub(self.tokens.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}
