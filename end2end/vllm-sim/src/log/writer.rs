//! The thread that owns stdout and stderr.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// Lines that may wait for a slow reader before new ones are dropped.
const QUEUE: usize = 8192;

/// Where a line goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Stdout,
    Stderr,
}

enum Message {
    Write { stream: Stream, bytes: Vec<u8>, written: Option<oneshot::Sender<()>> },
    Flush(SyncSender<()>),
}

pub struct Writer {
    queue: SyncSender<Message>,
    stdout: Arc<Pipe>,
    dropped: Arc<AtomicU64>,
}

/// A duplicate of a standard stream, unbuffered; closed for good after the first failed write.
struct Pipe {
    file: Mutex<File>,
    closed: AtomicBool,
}

impl Pipe {
    fn of(stream: impl AsFd) -> std::io::Result<Self> {
        let file = File::from(stream.as_fd().try_clone_to_owned()?);
        Ok(Self { file: Mutex::new(file), closed: AtomicBool::new(false) })
    }

    fn write(&self, mut bytes: &[u8]) -> bool {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        while !bytes.is_empty() && !self.closed.load(Ordering::Relaxed) {
            match file.write(bytes) {
                Ok(0) => self.closed.store(true, Ordering::Relaxed),
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Someone who shares the pipe made it non-blocking.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(_) => self.closed.store(true, Ordering::Relaxed),
            }
        }
        bytes.is_empty()
    }
}

impl Writer {
    pub fn start() -> std::io::Result<Self> {
        let stdout = Arc::new(Pipe::of(std::io::stdout())?);
        let stderr = Pipe::of(std::io::stderr())?;
        let dropped = Arc::new(AtomicU64::new(0));
        let (queue, messages) = sync_channel(QUEUE);
        let (out, lost) = (stdout.clone(), dropped.clone());
        std::thread::Builder::new()
            .name("log-writer".to_owned())
            .spawn(move || write_all(&messages, &out, &stderr, &lost))?;
        Ok(Self { queue, stdout, dropped })
    }

    pub fn put(&self, stream: Stream, bytes: Vec<u8>) {
        self.send(Message::Write { stream, bytes, written: None });
    }

    pub fn put_and_tell(&self, stream: Stream, bytes: Vec<u8>) -> Option<oneshot::Receiver<()>> {
        let (written, done) = oneshot::channel();
        self.send(Message::Write { stream, bytes, written: Some(written) }).then_some(done)
    }

    fn send(&self, message: Message) -> bool {
        let sent = self.queue.try_send(message).is_ok();
        if !sent {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        sent
    }

    pub fn write_through(&self, bytes: &[u8]) -> bool {
        self.stdout.write(bytes)
    }

    pub fn flush(&self, patience: Duration) {
        let (flushed, done) = sync_channel(1);
        if self.queue.try_send(Message::Flush(flushed)).is_ok() {
            // Past its patience a flush is given up: the reader has stopped reading.
            let _ = done.recv_timeout(patience);
        }
    }
}

fn write_all(messages: &Receiver<Message>, stdout: &Pipe, stderr: &Pipe, dropped: &AtomicU64) {
    while let Ok(message) = messages.recv() {
        match message {
            Message::Write { stream, bytes, written } => {
                let done = match stream {
                    Stream::Stdout => stdout.write(&bytes),
                    Stream::Stderr => stderr.write(&bytes),
                };
                if let (true, Some(written)) = (done, written) {
                    // Nobody waits any more: the request was given up.
                    let _ = written.send(());
                }
                let lost = dropped.swap(0, Ordering::Relaxed);
                if lost > 0 {
                    stderr
                        .write(format!("vllm-sim: dropped {lost} log lines, the pipe was full\n").as_bytes());
                }
            }
            Message::Flush(flushed) => {
                let _ = flushed.send(());
            }
        }
    }
}
