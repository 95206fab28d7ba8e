//! The last lines: those that a page begins with, and those that may say why a run failed.

use super::decode::{Fields, SHOWN_BYTES};
use super::feed::Feed;
use super::ring::Stored;
use app::model::{Level, Line, Stream};
use std::ops::ControlFlow;

/// Longest line of a failure's evidence, in characters.
const EVIDENCE_CHARS: usize = 500;

impl Feed {
    /// The current run's last `n` lines as viewers get them, in order.
    pub fn tail(&self, n: usize) -> Vec<Line> {
        let mut lines = Vec::new();
        self.backwards(|line| {
            if lines.len() == n {
                return ControlFlow::Break(());
            }
            lines.extend(serde_json::from_str::<Line>(line.json).ok().map(|mut line| {
                line.cut(SHOWN_BYTES);
                line
            }));
            ControlFlow::Continue(())
        });
        lines.reverse();
        lines
    }

    /// The current run's last `n` lines that may say why it failed: those of level error and those of standard error
    /// without a level, but neither the frames of a traceback nor bars; the last lines of any kind when there are none. In
    /// order, each cut to 500 characters.
    pub fn evidence(&self, n: usize) -> Vec<String> {
        let (mut telling, mut any) = (Vec::new(), Vec::new());
        self.backwards(|line| {
            if telling.len() >= n {
                return ControlFlow::Break(());
            }
            let tells =
                line.level == Level::Error || (line.level == Level::Other && line.stream == Stream::Stderr);
            if tells || any.len() < n {
                let text = Fields::of(line.json).map(|f| f.text()).unwrap_or_default();
                let cut = || text.chars().take(EVIDENCE_CHARS).collect();
                if tells && !is_frame(&text) && !is_bar(&text) {
                    telling.push(cut());
                }
                if any.len() < n && !text.trim().is_empty() {
                    any.push(cut());
                }
            }
            ControlFlow::Continue(())
        });
        let mut lines = if telling.is_empty() { any } else { telling };
        lines.reverse();
        lines
    }

    fn backwards(&self, mut visit: impl FnMut(Stored<'_>) -> ControlFlow<()>) {
        let Some((_, chunks)) = self.chunks(None, 0) else { return };
        let _ = chunks.iter().rev().try_for_each(|chunk| chunk.lines().rev().try_for_each(&mut visit));
    }
}

/// An empty line, or one of a Python traceback that says where and not what; behind a logger's `[file.py:12] `, too.
fn is_frame(text: &str) -> bool {
    let message = match text.split_once("] ") {
        Some((place, message)) if place.starts_with('[') && place.len() <= 80 => message,
        _ => text,
    };
    message.trim().is_empty()
        || message.starts_with("  File \"")
        || message.starts_with("    ")
        || message.starts_with("Traceback (most recent call last)")
}

/// A step of a tqdm bar.
fn is_bar(text: &str) -> bool {
    text.ends_with("it/s]") || text.ends_with("s/it]")
}
