//! A simulated vLLM 0.32: it prints the recorded log lines, answers the recorded HTTP, ends with the
//! recorded exit codes and obeys signals as the real one does. It loads no model and uses no GPU.
//!
//! Layout: `cli` imitates argparse and holds the knobs; `script` is the table of what is printed when;
//! `log` writes it; `children` are the EngineCore and Worker processes; `lifecycle` goes from the first
//! line to the exit code; `engine` counts requests and makes tokens; `http` is the API; `demo` adds a
//! life of its own. The facts come from recordings of a real vLLM (fixtures/).

#![forbid(unsafe_code)]

mod children;
mod cli;
mod clock;
mod demo;
mod engine;
mod fault;
mod http;
mod lifecycle;
mod log;
mod script;
mod signals;

use std::process::ExitCode;

pub use fault::Fault;

/// Runs the simulated vLLM with the arguments that follow `vllm serve` (without `argv[0]`) and returns
/// its exit code. Call it on the main thread and before a tokio runtime exists: it builds its own, and
/// the child processes name their main thread.
///
/// `reexec_prefix` is what stands before the simulator's own arguments when it starts itself again as
/// EngineCore or Worker: a program that links this library as a subcommand passes that subcommand's
/// name, the simulator's own binary passes nothing.
#[must_use]
pub fn run(args: Vec<String>, reexec_prefix: &[String]) -> ExitCode {
    match children::Role::of_this_process() {
        children::Role::Main => lifecycle::run(args, reexec_prefix),
        child => children::run_child(child, reexec_prefix),
    }
}
