//! Lines from before the first one held: asked of the plain HTTP neighbour of the stream.

use super::parse;
use super::store::Store;
use crate::model::ServiceName;

/// How many lines are asked for at once.
const BATCH: u64 = 5000;

/// The lines of `run` before `before`; `None` when the server does not answer with lines.
pub async fn fetch(service: &ServiceName, run: u64, before: u64) -> Option<Store> {
    let body =
        crate::fetch::text(&format!("/api/services/{service}/logs?run={run}&before={before}&limit={BATCH}"))
            .await?;
    let mut store = Store::default();
    store.begin(run, None);
    for line in body.lines().filter(|line| !line.is_empty()) {
        parse::line(line, run, &mut store)?;
    }
    Some(store)
}
