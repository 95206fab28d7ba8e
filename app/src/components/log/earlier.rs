//! Lines from before the first one held: asked of the plain HTTP neighbour of the stream.

use super::parse;
use super::store::Store;
use crate::model::ServiceName;

/// How many lines are asked for at once.
const BATCH: u64 = 5000;

/// The lines of `run` before `before`; `None` when the server does not answer with lines.
pub async fn fetch(service: &ServiceName, run: u64, before: u64) -> Option<Store> {
    let after = before.saturating_sub(BATCH + 1);
    let limit = before - 1 - after;
    let body = crate::fetch::text(&format!(
        "/api/services/{service}/logs?run={run}&after={run}.{after}&limit={limit}"
    ))
    .await?;
    let mut store = Store::default();
    store.begin(run, Some(after));
    for line in body.lines().filter(|line| !line.is_empty()) {
        parse::line(line, run, &mut store).ok()?;
    }
    Some(store)
}
