//! From the first line to the exit code: import, configuration, load, service, end.

mod serving;

use crate::children::{Children, Death};
use crate::cli::{Knobs, Refusal, ServeArgs};
use crate::fault::{Fault, Moment};
use crate::log::{Log, Stream};
use crate::script::vars::{GPU_HELD_FREE, GPU_TOTAL};
use crate::script::{Player, Vars, start};
use crate::signals::{self, Stop, Stops};
use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;
use tokio::net::TcpSocket;
use tokio::sync::mpsc;

/// How long the last lines may take to get through a slow pipe.
const FLUSH: Duration = Duration::from_secs(2);

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Code(u8),
    /// Dead by that signal.
    Signal(Stop),
    /// Its own SIGKILL, as the kernel's out-of-memory killer sends it.
    Killed,
}

/// Runs the main process.
pub fn run(mut args: Vec<String>, reexec_prefix: &[String]) -> ExitCode {
    let knobs = match Knobs::take(&mut args, |key| std::env::var(key).ok()) {
        Ok(knobs) => knobs,
        Err(error) => return refuse(&error),
    };
    let parsed = ServeArgs::parse(&args);
    let workers = parsed.as_ref().map_or(1, |args| args.tensor_parallel_size);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let (runtime, log) = match runtime.and_then(|runtime| Ok((runtime, Log::start(workers)?))) {
        Ok(ready) => ready,
        Err(error) => return refuse(&error.to_string()),
    };
    let ending = runtime.block_on(live(parsed, &knobs, &log, reexec_prefix));
    runtime.shutdown_background();
    log.flush(FLUSH);
    match ending {
        Ok(Ending::Code(code)) => ExitCode::from(code),
        Ok(Ending::Signal(signal)) => signals::die_of(signal, reexec_prefix),
        Ok(Ending::Killed) => {
            // Process 1 of a container cannot kill itself; the code says the same.
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
            ExitCode::from(137)
        }
        Err(error) => refuse(&error.to_string()),
    }
}

/// The simulator's own errors, not vLLM's.
fn refuse(error: &str) -> ExitCode {
    // Without stderr there is only the code to tell.
    let _ = writeln!(std::io::stderr(), "vllm-sim: error: {error}");
    ExitCode::from(2)
}

async fn live(
    parsed: Result<ServeArgs, Refusal>,
    knobs: &Knobs,
    log: &Log,
    prefix: &[String],
) -> std::io::Result<Ending> {
    // As process 1 nothing but a handler ends it; otherwise Python's import leaves signals alone.
    let early = if signals::is_first_process() { Some(Stops::install()?) } else { None };
    let args = match parsed {
        Ok(args) => args,
        Err(refusal) => {
            tokio::time::sleep(knobs.scaled(start::IMPORT_MS)).await;
            return Ok(print_refusal(log, &refusal));
        }
    };
    let player = Player {
        log: log.clone(),
        vars: Vars::new(&args, knobs, log.is_coloured()),
        knobs: knobs.clone(),
        eager: args.enforce_eager,
    };
    if knobs.demo {
        player.play(start::DEMO).await;
    }
    let mut stops = match early {
        Some(mut stops) => {
            tokio::select! {
                stop = stops.next() => return Ok(Ending::Signal(stop)),
                () = player.wait(start::IMPORT_MS) => stops,
            }
        }
        None => {
            player.wait(start::IMPORT_MS).await;
            Stops::install()?
        }
    };
    let life = Life { args, player };
    let socket = tokio::select! {
        socket = life.configure() => match socket {
            Ok(socket) => socket,
            Err(ending) => return Ok(ending),
        },
        stop = stops.next() => return Ok(life.interrupt(stop, false).await),
    };
    let (told, mut deaths) = mpsc::channel(4);
    let mut children = if knobs.children { Children::start(prefix, told)? } else { Children::none() };
    if let Some((engine, worker)) = children.pids() {
        log.set_child_pids(engine, worker);
    }
    let loaded = life.load_or_stop(&mut stops, &mut deaths).await;
    match loaded {
        Some(ending) => {
            children.end();
            Ok(ending)
        }
        None => life.serve(socket, &mut stops, children, &mut deaths).await,
    }
}

fn print_refusal(log: &Log, refusal: &Refusal) -> Ending {
    log.raw(Stream::Stdout, refusal.stdout.clone().into_bytes());
    log.raw(Stream::Stderr, refusal.stderr.clone().into_bytes());
    Ending::Code(refusal.code)
}

/// What one run consists of.
struct Life {
    args: ServeArgs,
    player: Player,
}

impl Life {
    /// The failure that strikes at `moment`: the one asked for, or the one the arguments bring about.
    fn strikes(&self, moment: Moment) -> Option<Fault> {
        let asked = self.player.knobs.fail.filter(|fault| fault.moment() == moment);
        // Memory that others hold hurts only whom it leaves too little.
        let fits = self.args.gpu_memory_utilization * GPU_TOTAL <= GPU_HELD_FREE;
        asked.filter(|fault| *fault != Fault::GpuMemoryHeld || !fits).or_else(|| {
            let vars = &self.player.vars;
            let util = self.args.gpu_memory_utilization;
            let long_allowed = std::env::var("VLLM_ALLOW_LONG_MAX_MODEL_LEN").is_ok_and(|value| value == "1");
            match moment {
                Moment::Model if self.args.model.starts_with("/nonexistent") => Some(Fault::BadModelPath),
                Moment::Config if vars.max_model_len > self.player.knobs.model_max_len && !long_allowed => {
                    Some(Fault::MaxModelLen)
                }
                Moment::Config if !(util > 0.0 && util <= 1.0) => Some(Fault::GpuMemUtil),
                Moment::Cache if vars.cache_tokens < vars.max_model_len => Some(Fault::KvCacheTooSmall),
                Moment::Frontend
                    if self.args.loras.iter().any(|lora| lora.path.starts_with("/nonexistent")) =>
                {
                    Some(Fault::LoraPathMissing)
                }
                _ => None,
            }
        })
    }

    async fn fail(&self, fault: Fault) -> Ending {
        self.player.fail(fault).await;
        Ending::Code(1)
    }

    /// Arguments, port and configuration: all that comes before the engine process.
    async fn configure(&self) -> Result<TcpSocket, Ending> {
        match self.strikes(Moment::Arguments) {
            Some(Fault::BadPortValue) => {
                let refusal = Refusal::bad_argument("--port", "invalid int value: 'abc'");
                return Err(print_refusal(&self.player.log, &refusal));
            }
            Some(_) => {
                let refusal = Refusal::unrecognized("--no-such-flag 1");
                return Err(print_refusal(&self.player.log, &refusal));
            }
            None => {}
        }
        self.player.play(start::BANNER).await;
        let (model, config) = (self.strikes(Moment::Model), self.strikes(Moment::Config));
        if let Some(fault @ (Fault::PortInUse | Fault::BadPortRange)) = model {
            return Err(self.fail(fault).await);
        }
        let socket = self.bind().await?;
        if let Some(fault) = model {
            return Err(self.fail(fault).await);
        }
        let lines_before = match config {
            Some(Fault::BadArch | Fault::NoGpu) => 0,
            Some(Fault::MaxModelLen) => 1,
            Some(_) => 2,
            None => start::CONFIG.len(),
        };
        self.player.play(&start::CONFIG[..lines_before]).await;
        match config {
            Some(fault) => Err(self.fail(fault).await),
            None => Ok(socket),
        }
    }

    /// Binds the port, and does not listen yet: a port that is listened to fails here.
    async fn bind(&self) -> Result<TcpSocket, Ending> {
        let Ok(port) = u16::try_from(self.args.port) else {
            return Err(self.fail(Fault::BadPortRange).await);
        };
        let Some(address) = self.args.host.address(port) else {
            self.player.cannot_bind("socket.gaierror: [Errno -2] Name or service not known").await;
            return Err(Ending::Code(1));
        };
        match bound(address) {
            Ok(socket) => Ok(socket),
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
                Err(self.fail(Fault::PortInUse).await)
            }
            Err(error) => {
                let class = match error.kind() {
                    std::io::ErrorKind::PermissionDenied => "PermissionError",
                    _ => "OSError",
                };
                let number = error.raw_os_error().unwrap_or(0);
                let text = error.to_string();
                let words = text.split(" (os error").next().unwrap_or_default();
                self.player.cannot_bind(&format!("{class}: [Errno {number}] {words}")).await;
                Err(Ending::Code(1))
            }
        }
    }

    /// Loads the engine. `None`: it is up. One SIGTERM is ignored meanwhile, as by the real one.
    async fn load_or_stop(&self, stops: &mut Stops, deaths: &mut mpsc::Receiver<Death>) -> Option<Ending> {
        let load = self.load();
        tokio::pin!(load);
        let mut one_ignored = false;
        loop {
            tokio::select! {
                ending = &mut load => return ending,
                stop = stops.next() => {
                    if stop == Stop::Terminate && !one_ignored {
                        one_ignored = true;
                        continue;
                    }
                    self.player.interrupt_begins();
                    let grace = if stop == Stop::Interrupt { 15_000 } else { 5000 };
                    // The engine goes on loading until it is killed.
                    let _ = tokio::time::timeout(self.player.knobs.scaled(grace), &mut load).await;
                    return Some(self.interrupt(stop, true).await);
                }
                Some(death) = deaths.recv() => {
                    self.player.killed_while_loading(death == Death::Worker).await;
                    return Some(Ending::Code(1));
                }
            }
        }
    }

    async fn load(&self) -> Option<Ending> {
        self.player.play(start::PROCESSES).await;
        if let Some(fault) = self.strikes(Moment::Device) {
            return Some(self.fail(fault).await);
        }
        self.player.play(start::BEFORE_WEIGHTS).await;
        match self.strikes(Moment::Weights) {
            Some(Fault::Hang) => std::future::pending::<()>().await,
            Some(Fault::OomKill) => {
                self.player.wait(1000).await;
                return Some(Ending::Killed);
            }
            Some(fault) => return Some(self.fail(fault).await),
            None => {}
        }
        self.player.play(start::WEIGHTS).await;
        if let Some(fault) = self.strikes(Moment::Cache) {
            return Some(self.fail(fault).await);
        }
        self.player.play(start::CACHE).await;
        self.player.play(start::FRONTEND).await;
        match self.strikes(Moment::Frontend) {
            Some(fault) => Some(self.fail(fault).await),
            None => None,
        }
    }

    /// Python's `KeyboardInterrupt`: the end of a start that was stopped.
    async fn interrupt(&self, stop: Stop, engine_started: bool) -> Ending {
        let reason = if stop == Stop::Terminate { ": terminated" } else { "" };
        self.player.interrupt_ends(engine_started, reason).await;
        Ending::Signal(Stop::Interrupt)
    }
}

fn bound(address: SocketAddr) -> std::io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}
