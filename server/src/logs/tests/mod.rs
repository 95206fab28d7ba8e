//! The room as a whole: what a viewer sees of what was written.

mod behaviour;
mod levels;
mod schedule;
mod speed;

use super::*;
use app::model::{Line, Stream, Timestamp};
use std::sync::Arc;

pub fn feed(limits: Limits) -> Arc<Feed> {
    Arc::new(Feed::new(classify_common, limits))
}

pub fn open(feed: &Feed, run: u64) {
    feed.open_run(run, Timestamp::from_millis(0));
}

pub fn write(feed: &Feed, text: &str) {
    feed.frame(1_000_000, Stream::Stdout, text.as_bytes());
    feed.flush();
}

/// The lines of a batch.
pub fn parse(json: &[u8]) -> Vec<Line> {
    serde_json::from_slice::<app::model::Lines>(json).expect("lines of a run").lines
}

/// All that a viewer gets now, in short: `run 2 after 1`, `1.1-3 a,b,c`, `gap 1.3 +2`, `progress 50%`.
pub fn drain(feed: &Feed, cursor: &mut Cursor) -> Vec<String> {
    let mut seen = Vec::new();
    while let Some(batch) = feed.read(cursor, 256 << 10, Take::Any) {
        seen.push(match batch {
            Batch::Run { run, previous, .. } => format!("run {run} after {}", previous.unwrap_or(0)),
            Batch::Lines { run, first, last, json } => {
                let texts: Vec<String> = parse(&json).into_iter().map(|line| line.text).collect();
                format!("{run}.{first}-{last} {}", texts.join(","))
            }
            Batch::Gap(gap) => format!("gap {}.{} {:?}", gap.run, gap.after, gap.count),
            Batch::Progress(progress) => format!("progress {}", progress.text),
        });
    }
    seen
}
