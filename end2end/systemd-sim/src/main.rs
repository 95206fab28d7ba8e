//! The program: see the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    systemd_sim::run(&std::env::args().skip(1).collect::<Vec<_>>())
}
