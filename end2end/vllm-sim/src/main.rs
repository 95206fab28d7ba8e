//! The simulated engine as a program of its own: the entrypoint of the test image.

use std::process::ExitCode;

fn main() -> ExitCode {
    vllm_sim::run(std::env::args().skip(1).collect(), &[])
}
