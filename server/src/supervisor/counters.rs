//! Reads what services count, while somebody looks.
//!
//! In: the services that serve, by their public objects. Out: their metrics in the world. One reader for all, so that a
//! server that hangs costs the others no more than its time limit.

use super::world::World;
use crate::vllm::http::Http;
use crate::vllm::metrics::Metrics;
use app::model::{Service, ServiceMetrics, ServiceName, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// Between two readings while somebody looks: the step of the charts.
const INTERVAL: Duration = Duration::from_secs(5);
/// The time limit of one reading.
const LIMIT: Duration = Duration::from_secs(2);

/// Reads until `stop` is cancelled.
pub async fn watch(world: Arc<World>, stop: CancellationToken) {
    let http = Http::default();
    let mut known: BTreeMap<ServiceName, (Option<u64>, Metrics)> = BTreeMap::new();
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = world.wait_for_viewers() => {}
        }
        let services = world.services();
        known.retain(|name, _| services.iter().any(|s| s.name == *name));
        let bodies = futures::future::join_all(services.iter().map(|service| read(&http, service))).await;
        for (service, body) in services.iter().zip(bodies) {
            let entry = known.entry(service.name.clone());
            let (run, metrics) = entry.or_insert_with(|| (service.run, Metrics::default()));
            if *run != service.run {
                *run = service.run;
                metrics.reset();
            }
            let now = Timestamp::now();
            let latest = match body {
                Some(body) => metrics.scraped(now, &body),
                None => {
                    metrics.missed();
                    None
                }
            };
            let history = metrics.history(now);
            let nothing = latest.is_none() && history.running.is_empty();
            if !nothing || world.metrics().iter().any(|m| m.service == service.name) {
                world.put_metrics(ServiceMetrics {
                    service: service.name.clone(),
                    latest,
                    history: Some(history),
                });
            }
        }
    }
}

async fn read(http: &Http, service: &Service) -> Option<bytes::Bytes> {
    if !service.state.serves() {
        return None;
    }
    match http.get(service.api_url.as_deref()?, "/metrics", None, LIMIT).await {
        Ok((200, body)) => Some(body),
        _ => None,
    }
}
