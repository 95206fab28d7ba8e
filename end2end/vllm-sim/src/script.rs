//! What is printed, and when. `start` is the table of a healthy start, `failure` plays the failures,
//! `stop` the ways to end, `tracebacks` holds the recorded Python tracebacks, `vars` what differs from
//! run to run.

pub mod failure;
pub mod start;
pub mod stop;
mod tracebacks;
pub mod vars;

pub use vars::{BYTES_PER_TOKEN, Vars};

use crate::cli::Knobs;
use crate::log::{Level, Log, Process, Stream};
use std::fmt::Write;

/// One thing to print, `delay_ms` of the recording after the one before it.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    pub delay_ms: u64,
    pub when: When,
    pub what: What,
}

/// Whether a step belongs to this run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// To every run.
    Always,
    /// Only with torch.compile and CUDA graphs, so not with `--enforce-eager`.
    Compiled,
    /// Only with `--enforce-eager`.
    Eager,
}

/// What a step prints.
#[derive(Clone, Copy, Debug)]
pub enum What {
    /// A line of vLLM's logger.
    Line { process: Process, level: Level, source: &'static str, text: &'static str },
    /// A line of uvicorn's logger.
    Uvicorn(&'static str),
    /// `Started server process [N]` or `Finished …`.
    UvicornProcess(&'static str),
    /// Text without prefix on stderr.
    Plain(&'static str),
    /// The bar of the weight files: each state a line that starts with `\r`. `step_ms` for each file.
    Shards { step_ms: u64 },
    /// A bar of CUDA graphs: bare `\r` between the states, `\n` at the end.
    Graphs { label: &'static str, count: u64, step_ms: u64 },
}

/// Prints steps at the run's pace.
#[derive(Clone)]
pub struct Player {
    pub log: Log,
    pub vars: Vars,
    pub knobs: Knobs,
    pub eager: bool,
}

impl Player {
    /// Plays all steps in order.
    pub async fn play(&self, steps: &[Step]) {
        for step in steps {
            let belongs = match step.when {
                When::Always => true,
                When::Compiled => !self.eager,
                When::Eager => self.eager,
            };
            if belongs {
                self.wait(step.delay_ms).await;
                self.show(step.what).await;
            }
        }
    }

    /// Waits as long as the recording did, at this run's speed. At speed 0 it still lets others run.
    pub async fn wait(&self, milliseconds: u64) {
        let pause = self.knobs.scaled(milliseconds);
        if pause.is_zero() {
            tokio::task::yield_now().await;
        } else {
            tokio::time::sleep(pause).await;
        }
    }

    async fn show(&self, what: What) {
        match what {
            What::Line { process, level, source, text } => {
                self.log.vllm(process, level, source, &self.vars.fill(text));
            }
            What::Uvicorn(text) => self.log.uvicorn(text),
            What::UvicornProcess(verb) => self.log.uvicorn_process(verb),
            What::Plain(text) => self.log.plain(Stream::Stderr, &self.vars.fill(text)),
            What::Shards { step_ms } => self.shards(step_ms).await,
            What::Graphs { label, count, step_ms } => self.graphs(label, count, step_ms).await,
        }
    }

    async fn shards(&self, step_ms: u64) {
        let total = self.knobs.shards;
        for done in 0..=total {
            if done > 0 {
                self.wait(step_ms).await;
            }
            let line = format!(
                "\rLoading safetensors checkpoint shards: {:3}% Completed | {done}/{total} [{}]\n",
                done * 100 / total,
                tqdm_times(done, total, step_ms)
            );
            self.log.raw(Stream::Stderr, line.into_bytes());
        }
        self.log.raw(Stream::Stderr, b"\n".to_vec());
    }

    async fn graphs(&self, label: &str, count: u64, step_ms: u64) {
        for done in 0..=count {
            if done > 0 {
                self.wait(step_ms).await;
            }
            let width = 10;
            let filled = usize::try_from(done * width / count).unwrap_or(0);
            let mut bar = "█".repeat(filled);
            let _ = write!(bar, "{:pad$}", "", pad = usize::try_from(width).unwrap_or(0) - filled);
            let end = if done == count { "\n" } else { "" };
            let line = format!(
                "\rCapturing CUDA graphs ({label}): {:3}%|{bar}| {done}/{count} [{}]{end}",
                done * 100 / count,
                tqdm_times(done, count, step_ms)
            );
            self.log.raw(Stream::Stderr, line.into_bytes());
        }
    }
}

/// tqdm's `00:01<00:02,  1.43it/s`.
fn tqdm_times(done: u64, total: u64, step_ms: u64) -> String {
    if done == 0 {
        return "00:00<?, ?it/s".to_owned();
    }
    let (spent, left) = (done * step_ms / 1000, (total - done) * step_ms / 1000);
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of a step")]
    let rate = 1000.0 / step_ms.max(1) as f64;
    let rate = if rate >= 1.0 { format!("{rate:5.2}it/s") } else { format!("{:5.2}s/it", 1.0 / rate) };
    format!("{:02}:{:02}<{:02}:{:02}, {rate}", spent / 60, spent % 60, left / 60, left % 60)
}

const fn line(
    delay_ms: u64,
    process: Process,
    level: Level,
    source: &'static str,
    text: &'static str,
) -> Step {
    Step { delay_ms, when: When::Always, what: What::Line { process, level, source, text } }
}

const fn api(delay_ms: u64, source: &'static str, text: &'static str) -> Step {
    line(delay_ms, Process::ApiServer, Level::Info, source, text)
}

const fn core(delay_ms: u64, source: &'static str, text: &'static str) -> Step {
    line(delay_ms, Process::EngineCore, Level::Info, source, text)
}

const fn worker(delay_ms: u64, source: &'static str, text: &'static str) -> Step {
    line(delay_ms, Process::Worker, Level::Info, source, text)
}

const fn compiled(step: Step) -> Step {
    Step { when: When::Compiled, ..step }
}

const fn step(delay_ms: u64, what: What) -> Step {
    Step { delay_ms, when: When::Always, what }
}
