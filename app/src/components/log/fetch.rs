//! Lines asked of the plain HTTP neighbour of the stream.

use super::parse;
use super::store::Store;
use crate::at;
use crate::model::ServiceName;

/// How many lines are asked for at once.
pub const BATCH: u64 = 5000;

/// Lines of one run.
pub struct Fetched {
    /// The lines.
    pub lines: Store,
    /// The first and the last line of the run that can be had; zeros where that was not said.
    pub ends: (u64, u64),
}

/// The lines that `what` selects of a run (`before=17&limit=5`); `None` when the server does not answer with lines. Of
/// `parted` lines those between them are not missing, they were not asked for.
pub async fn lines(service: &ServiceName, run: u64, what: &str, parted: bool) -> Option<Fetched> {
    let (body, response) =
        crate::fetch::answer(&at(format!("/api/services/{service}/logs?run={run}&cut=1&{what}"))).await?;
    let mut lines = Store::default();
    lines.begin(run, None);
    for line in body.lines().filter(|line| !line.is_empty()) {
        if parted {
            lines.begin(run, None);
        }
        parse::line(line, run, &mut lines)?;
    }
    let number = |name| response.headers().get(name).ok().flatten().and_then(|n| n.parse().ok()).unwrap_or(0);
    Some(Fetched { lines, ends: (number("x-first"), number("x-last")) })
}
