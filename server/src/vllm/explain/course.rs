//! The ordinary course of a run: where it is, and what calm lines say about its end.

use super::explainer::Explainer;
use super::finding::Mark;
use super::record::Shown;
use app::model::{Evidence, Stream};

/// Where the server is, as far as this room needs it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Before anything is loaded.
    #[default]
    Begun,
    /// Weights are read.
    Loading,
    /// The engine is laid out: memory, compilation, graphs.
    Engine,
    /// The server comes up or is up.
    Serving,
}

/// What a run's log marks.
#[derive(Clone, Debug, Default)]
pub struct Marks {
    /// It said that it is ready.
    pub ready: Option<u64>,
    /// It answered a request: a log may begin behind the line that says ready.
    pub answers: bool,
    /// It was asked to end, by a signal to the server.
    pub stop: Option<Mark>,
    /// The engine got SIGTERM; by whom is not said.
    pub signalled: Option<Mark>,
    /// The web server went down.
    pub shutdown: Option<Mark>,
    /// The start failed, for a cause that other lines tell.
    pub failed: Option<Mark>,
    /// The server gave up waiting, and lists the processes that ended.
    pub gave_up: Option<Mark>,
    /// A process of the engine is gone.
    pub died: Option<Mark>,
    /// When the stage last changed.
    pub progress: u64,
}

impl Explainer {
    /// A line of level INFO or DEBUG: only marks and numbers count.
    pub(super) fn calm(&mut self, message: &str, stream: Stream, shown: Shown<'_>) {
        self.quoting = None;
        let Some(first) = message.bytes().next() else { return };
        let starts = |words: &str| message.starts_with(words);
        let stage = match first {
            b'A' if starts("Application startup complete") => {
                self.became_ready();
                Stage::Serving
            }
            b'A' if starts("Available KV cache memory") => {
                self.known.read_cache(message);
                Stage::Engine
            }
            b'A' if starts("Available routes are") => Stage::Serving,
            b'A' if starts("Application shutdown complete") => return self.went_down(shown),
            b'S' if starts("Shutting down FastAPI") => return self.stop(shown),
            b'S' if starts("Shutting down") => return self.went_down(shown),
            b'F' if starts("Finished server process") => return self.went_down(shown),
            b'S' if starts("Starting to load model") => Stage::Loading,
            b'S' if starts("Starting vLLM") => Stage::Serving,
            b'S' if starts("Started server process") => {
                self.known.read_process(message);
                Stage::Serving
            }
            b'R' if starts("Route: /") => Stage::Serving,
            b'R' if starts("Received request") => {
                self.quoting = Some(stream);
                Stage::Serving
            }
            b'F' if starts("Free memory on device") => {
                self.known.read_free(message);
                return;
            }
            b't' if starts("the current vLLM instance can use") => {
                self.known.read_total(message);
                Stage::Engine
            }
            b'n' if starts("non-default args: ") => return self.known.read_args(message),
            b'a' if starts("args: Namespace(") => return self.known.read_args(message),
            b'L' if starts("Loading weights took") || starts("Loading model weights took") => Stage::Loading,
            b'M' if starts("Model loading took") || starts("Memory profiling takes") => Stage::Engine,
            b'i' if starts("init engine (") => Stage::Engine,
            b'G' | b'C' if message.contains("KV cache size: ") => Stage::Engine,
            b'0'..=b'9' if !self.marks.answers && message.contains(" HTTP/1.") => {
                self.marks.answers = message.contains("\" 200");
                Stage::Serving
            }
            b'E' if starts("Engine 0") && message.contains("throughput") => {
                self.marks.answers = true;
                Stage::Serving
            }
            b'[' if starts("[shutdown] API server: ") && message.contains("triggered") => {
                return self.stop(shown);
            }
            b'[' if starts("[shutdown] EngineCore: trigger received signal") => {
                let mark = self.mark(shown);
                self.marks.signalled.get_or_insert(mark);
                return;
            }
            _ => return,
        };
        if stage > self.stage {
            self.stage = stage;
            self.marks.progress = self.count;
        }
    }

    fn became_ready(&mut self) {
        if self.marks.ready.is_none() {
            self.close_all();
            self.marks.ready = Some(self.count);
            let serving = self.stage == Stage::Serving;
            self.findings.survived();
            if !serving {
                self.marks.failed = None;
                self.marks.gave_up = None;
                self.marks.died = None;
            }
        }
    }

    fn mark(&self, shown: Shown<'_>) -> Mark {
        let evidence =
            shown.iter().map(|(line, text)| Evidence { line: *line, text: super::record::clip(text) });
        Mark { order: self.count, evidence: evidence.collect(), code: None }
    }

    fn stop(&mut self, shown: Shown<'_>) {
        let mark = self.mark(shown);
        self.marks.stop.get_or_insert(mark);
    }

    /// Somebody asked it to end, in words that are not vLLM's.
    pub(super) fn asked_to_end(&mut self, shown: Shown<'_>) {
        self.stop(shown);
    }

    fn went_down(&mut self, shown: Shown<'_>) {
        let mark = self.mark(shown);
        self.marks.shutdown.get_or_insert(mark);
    }
}
