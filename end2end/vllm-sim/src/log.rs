//! Everything the simulator prints. Lines go through a bounded queue to one writer thread, so that a
//! closed or stuffed pipe neither panics nor stops the HTTP server. What the queue cannot hold is
//! dropped, counted, and said on stderr once the pipe moves again.

mod format;
mod writer;

pub use format::{Level, Process};
pub use writer::Stream;

use format::Style;
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use writer::Writer;

/// A handle to the output; clones share it.
#[derive(Clone)]
pub struct Log {
    shared: Arc<Shared>,
}

struct Shared {
    writer: Writer,
    stdout: Style,
    stderr: Style,
    /// Process ids shown in the prefixes: APIServer, EngineCore, Worker.
    pids: [AtomicU32; 3],
    /// With tensor parallelism workers are called `Worker_TP0`, alone `Worker`.
    worker: &'static str,
}

impl Log {
    /// Starts the writer thread. `tensor_parallel_size` decides how the worker is called.
    pub fn start(tensor_parallel_size: u64) -> std::io::Result<Self> {
        let pid = std::process::id();
        Ok(Self {
            shared: Arc::new(Shared {
                writer: Writer::start()?,
                stdout: Style::of(std::io::stdout().is_terminal()),
                stderr: Style::of(std::io::stderr().is_terminal()),
                pids: [AtomicU32::new(pid), AtomicU32::new(pid + 1), AtomicU32::new(pid + 2)],
                worker: if tensor_parallel_size > 1 { "Worker_TP0" } else { "Worker" },
            }),
        })
    }

    /// Whether stdout shows colours.
    pub fn is_coloured(&self) -> bool {
        self.shared.stdout == Style::Coloured
    }

    /// Says which process ids the prefixes of EngineCore and Worker show from now on.
    pub fn set_child_pids(&self, engine: u32, worker: u32) {
        self.shared.pids[1].store(engine, Ordering::Relaxed);
        self.shared.pids[2].store(worker, Ordering::Relaxed);
    }

    /// The process id shown for `process`.
    pub fn pid(&self, process: Process) -> u32 {
        self.shared.pids[process as usize].load(Ordering::Relaxed)
    }

    /// A line of vLLM's own logger, on stdout. Every line of a longer text gets the prefix, joined by
    /// `\r\n`.
    pub fn vllm(&self, process: Process, level: Level, source: &str, text: &str) {
        let prefix = self.prefix(process, level, source);
        let joined = text.replace('\n', &format!("\r\n{prefix}"));
        self.shared.writer.put(Stream::Stdout, format!("{prefix}{joined}\n").into_bytes());
    }

    /// What stands before the text of a line of vLLM's logger, now.
    pub fn prefix(&self, process: Process, level: Level, source: &str) -> String {
        let name = match process {
            Process::ApiServer => "APIServer",
            Process::EngineCore => "EngineCore",
            Process::Worker => self.shared.worker,
        };
        self.shared.stdout.prefix(name, self.pid(process), level, source)
    }

    /// A line of uvicorn's own logger, on stderr.
    pub fn uvicorn(&self, text: &str) {
        let line = format!("{}     {text}\n", self.shared.stderr.uvicorn_level());
        self.shared.writer.put(Stream::Stderr, line.into_bytes());
    }

    /// `Started server process [N]` and `Finished server process [N]`, whose number is coloured.
    pub fn uvicorn_process(&self, verb: &str) {
        let pid = self.shared.stderr.cyan(&self.pid(Process::ApiServer).to_string());
        self.uvicorn(&format!("{verb} server process [{pid}]"));
    }

    /// A line of uvicorn's access logger, on stdout.
    pub fn access(&self, peer: &str, request: &str, status: u16, reason: &str) {
        let line = self.shared.stdout.access(peer, request, status, reason);
        self.shared.writer.put(Stream::Stdout, line.into_bytes());
    }

    /// Text that carries no prefix and gets a final newline: tracebacks, warnings of Python.
    pub fn plain(&self, stream: Stream, text: &str) {
        self.shared.writer.put(stream, format!("{text}\n").into_bytes());
    }

    /// Bytes as they are.
    pub fn raw(&self, stream: Stream, bytes: Vec<u8>) {
        self.shared.writer.put(stream, bytes);
    }

    /// Bytes as they are; true once they are written, false if that took longer than `patience`.
    pub async fn raw_written(&self, stream: Stream, bytes: Vec<u8>, patience: Duration) -> bool {
        match self.shared.writer.put_and_tell(stream, bytes) {
            Some(written) => matches!(tokio::time::timeout(patience, written).await, Ok(Ok(()))),
            None => false,
        }
    }

    /// Writes to stdout from the calling thread, which waits while the pipe is full. False once the
    /// pipe is closed.
    pub fn write_through(&self, bytes: &[u8]) -> bool {
        self.shared.writer.write_through(bytes)
    }

    /// Waits until all that was logged is written, `patience` at most.
    pub fn flush(&self, patience: Duration) {
        self.shared.writer.flush(patience);
    }
}
