//! How the commands beside the dashboard end.

use std::io::Write;
use std::process::ExitCode;

/// Says what came of a command: its text on standard output, or why not on standard error.
pub fn end(result: Result<String, String>) -> ExitCode {
    match result {
        Ok(text) => {
            // A closed pipe is the reader's choice.
            let _ = std::io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}
