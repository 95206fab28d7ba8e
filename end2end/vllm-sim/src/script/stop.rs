//! The ways to end, in the recorded words.

use super::{Player, Step, What, api, core, line, step, tracebacks};
use crate::log::{Level, Process, Stream};

/// After the line `shutdown triggered`: how it stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Requests in flight are given up.
    Abort,
    /// Requests in flight may end, for that many seconds.
    Drain(u64),
}

const UVICORN_STOPS: &[Step] = &[
    step(8, What::Uvicorn("Shutting down")),
    step(110, What::Uvicorn("Waiting for application shutdown.")),
    step(1, What::Uvicorn("Application shutdown complete.")),
];

const LEAKED: &[Step] = &[step(600, What::Plain(LEAKED_SEMAPHORE)), step(0, What::Plain(LEAKED_MEMORY))];

const LEAKED_SEMAPHORE: &str = "/usr/lib/python3.11/multiprocessing/resource_tracker.py:254: UserWarning: resource_tracker: There appear to be 1 leaked semaphore objects to clean up at shutdown\n  warnings.warn('resource_tracker: There appear to be %d '";
const LEAKED_MEMORY: &str = "/usr/lib/python3.11/multiprocessing/resource_tracker.py:254: UserWarning: resource_tracker: There appear to be 2 leaked shared_memory objects to clean up at shutdown\n  warnings.warn('resource_tracker: There appear to be %d '";

const ENGINE_STOPPED: &[Step] = &[
    api(0, "core_client.py:774", "[shutdown] MPClient: engine manager stopped"),
    api(0, "core_client.py:775", "[shutdown] MPClient: cleaning up background resources"),
    api(0, "core_client.py:777", "[shutdown] MPClient: complete"),
];

const HTTP_STOPS: &[Step] = &[
    api(0, "launcher.py:279", "[shutdown] API server: engine client stopped"),
    api(0, "launcher.py:282", "[shutdown] API server: signalling HTTP server shutdown"),
    api(50, "launcher.py:304", "[shutdown] API server: shutting down FastAPI HTTP server"),
];

const DRAINED: &[Step] = &[
    core(0, "core.py:1666", "[shutdown] EngineCore: request processing complete; starting resource teardown"),
    core(1, "core.py:1499", "[shutdown] EngineCore: exiting busy loop"),
    core(0, "multiproc_executor.py:479", "[shutdown] Executor: waiting for worker exit count=1"),
    line(
        0,
        Process::Worker,
        Level::Info,
        "multiproc_executor.py:843",
        "Parent process exited, terminating worker queues",
    ),
];

const WORKER_LINGERS: &[Step] = &[line(
    5000,
    Process::EngineCore,
    Level::Warning,
    "multiproc_executor.py:491",
    "[shutdown] Executor: workers still running after grace period; sending SIGTERM count=1",
)];

const OUTPUT_HANDLER: &str = "AsyncLLM output_handler failed.\nTraceback (most recent call last):\n  File \"/opt/vllm/lib/python3.11/site-packages/vllm/v1/engine/async_llm.py\", line 849, in output_handler\n    outputs = await engine_core.get_output_async()\n              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^\n  File \"/opt/vllm/lib/python3.11/site-packages/vllm/v1/engine/core_client.py\", line 1235, in get_output_async\n    raise self._format_exception(outputs) from None\nvllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue. See stack trace (above) for the root cause.";

impl Player {
    fn say(&self, level: Level, source: &str, text: &str) {
        self.log.vllm(Process::ApiServer, level, source, text);
    }

    /// The requested stop of a server that is ready, up to the moment at which the engine is stopped.
    pub async fn stop_begins(&self, mode: Mode, in_flight: usize) {
        let (name, seconds) = match mode {
            Mode::Abort => ("abort", 0),
            Mode::Drain(seconds) => ("drain", seconds),
        };
        self.wait(5).await;
        self.say(Level::Info, "launcher.py:254", "[shutdown] API server: shutdown triggered");
        self.say(
            Level::Info,
            "launcher.py:270",
            &format!("[shutdown] API server: stopping engine client mode={name} timeout={seconds}s"),
        );
        self.say(
            Level::Info,
            "core_client.py:770",
            &format!("[shutdown] MPClient: start timeout={seconds}s"),
        );
        self.say(Level::Info, "core_client.py:772", "[shutdown] MPClient: stopping engine manager");
        self.say(
            Level::Info,
            "utils.py:628",
            "[shutdown] Process manager: send sigterm to process EngineCore",
        );
        match mode {
            Mode::Abort => self.force_kill(),
            Mode::Drain(_) => {
                let core = |source, text: &str| self.log.vllm(Process::EngineCore, Level::Info, source, text);
                core("core.py:1454", "[shutdown] EngineCore: trigger received signal=SIGTERM");
                core("core.py:1635", &format!("[shutdown] EngineCore: start mode=drain timeout={seconds}s"));
                if in_flight > 0 {
                    core(
                        "core.py:1655",
                        &format!(
                            "[shutdown] EngineCore: draining in-flight requests count={in_flight} timeout={seconds}s"
                        ),
                    );
                }
            }
        }
    }

    fn force_kill(&self) {
        let (engine, worker) = (self.log.pid(Process::EngineCore), self.log.pid(Process::Worker));
        for (source, text) in [
            (
                "utils.py:648",
                "[shutdown] Process manager: force killing remaining processes count=1".to_owned(),
            ),
            (
                "utils.py:653",
                format!(
                    "[shutdown] Process manager: force killing remaining process EngineCore pid {engine}"
                ),
            ),
            (
                "system_utils.py:225",
                format!("[shutdown] force killing sub process VLLM::Worker pid {worker}"),
            ),
        ] {
            self.say(Level::Warning, source, &text);
        }
    }

    /// The lines after the last request has ended. Without requests nothing lingers.
    pub async fn drained(&self, there_were_requests: bool) {
        self.play(DRAINED).await;
        if there_were_requests {
            self.play(WORKER_LINGERS).await;
            self.wait(4400).await;
        }
    }

    /// The engine is gone; `lost_requests` adds the alarming but harmless traceback.
    pub async fn engine_stopped(&self, lost_requests: bool) {
        self.play(ENGINE_STOPPED).await;
        if lost_requests {
            self.say(Level::Error, "async_llm.py:906", OUTPUT_HANDLER);
        }
        self.play(HTTP_STOPS).await;
    }

    /// uvicorn's last lines of a requested stop, and Python's complaints at exit.
    pub async fn goodbye(&self) {
        self.play(UVICORN_STOPS).await;
        self.play(LEAKED).await;
    }

    /// The engine died while serving.
    pub fn engine_died(&self, by_worker: bool) {
        if by_worker {
            self.log.vllm(
                Process::EngineCore,
                Level::Error,
                "multiproc_executor.py:315",
                "Worker proc VllmWorker-0 died unexpectedly (exit code: -9), shutting down executor.",
            );
        } else {
            self.log.vllm(
                Process::Worker,
                Level::Info,
                "multiproc_executor.py:843",
                "Parent process exited, terminating worker queues",
            );
        }
        self.say(
            Level::Warning,
            "core_client.py:640",
            "[shutdown] MPClient: engine core exited unexpectedly; starting cleanup",
        );
        for (source, text) in [
            ("core_client.py:770", "[shutdown] MPClient: start timeout=default"),
            ("core_client.py:772", "[shutdown] MPClient: stopping engine manager"),
            ("core_client.py:774", "[shutdown] MPClient: engine manager stopped"),
            ("core_client.py:775", "[shutdown] MPClient: cleaning up background resources"),
            ("core_client.py:777", "[shutdown] MPClient: complete"),
        ] {
            self.say(Level::Info, source, text);
        }
        self.say(Level::Error, "async_llm.py:906", OUTPUT_HANDLER);
    }

    /// uvicorn's last lines after a crash of the engine; the exit code is 0 all the same.
    pub async fn goodbye_after_crash(&self) {
        self.play(UVICORN_STOPS).await;
        self.play(&[step(0, What::UvicornProcess("Finished"))]).await;
        self.wait(750).await;
    }

    /// A request that came while the engine drains: the traceback uvicorn prints for it.
    pub fn refused_while_draining(&self) {
        self.log.plain(Stream::Stderr, tracebacks::piece("drain_asgi"));
    }

    /// An interrupted load, first part: EngineCore is told to stop, and goes on loading for a while.
    pub fn interrupt_begins(&self) {
        self.say(
            Level::Info,
            "utils.py:628",
            "[shutdown] Process manager: send sigterm to process EngineCore",
        );
        self.log.vllm(
            Process::EngineCore,
            Level::Info,
            "core.py:1454",
            "[shutdown] EngineCore: trigger received signal=SIGTERM",
        );
    }

    /// An interrupted load, second part.
    pub async fn interrupt_ends(&self, engine_started: bool, reason: &str) {
        if engine_started {
            self.force_kill();
        }
        let traceback = tracebacks::piece("interrupted_load");
        self.log.plain(Stream::Stderr, &format!("{traceback}\nKeyboardInterrupt{reason}"));
        self.wait(1900).await;
        self.play(LEAKED).await;
    }
}
