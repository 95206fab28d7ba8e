//! What many share and nobody may take for themselves: places to read much, places to explain, bytes of answers that wait.
//!
//! A quota is counted for each account. One account gets a part of it, and a part is kept for administrators, so that whoever
//! leaves answers unread keeps out nobody but themselves.

use super::problem::Problem;
use crate::access::Guest;
use app::api::{Caller, Role};
use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::Notify;

/// How much there is.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// For all together.
    pub total: usize,
    /// For one account.
    pub account: usize,
    /// Of the total, for administrators alone.
    pub administrators: usize,
}

#[derive(Debug, Default)]
struct Used {
    total: usize,
    by_account: HashMap<String, usize>,
}

/// A quota.
#[derive(Debug)]
pub struct Quota {
    bounds: Bounds,
    used: Mutex<Used>,
    freed: Notify,
}

/// A part of a quota, given back when it is dropped.
#[derive(Debug)]
pub struct Share {
    quota: Arc<Quota>,
    account: String,
    weight: usize,
}

impl Quota {
    /// With these bounds.
    pub fn new(bounds: Bounds) -> Arc<Self> {
        Arc::new(Self { bounds, used: Mutex::default(), freed: Notify::new() })
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a part, where there is one now. What weighs more than an account may have is given to one that has nothing.
    pub fn take(self: &Arc<Self>, caller: &Caller, weight: usize) -> Option<Share> {
        let Bounds { total, account, administrators } = self.bounds;
        let kept = if caller.role == Some(Role::Admin) { 0 } else { administrators };
        let weight = weight.min(account);
        let mut used = self.used();
        let own = used.by_account.get(caller.account()).copied().unwrap_or(0);
        if used.total + weight > total - kept || own + weight > account {
            return None;
        }
        used.total += weight;
        used.by_account.insert(caller.account().to_owned(), own + weight);
        Some(Share { quota: self.clone(), account: caller.account().to_owned(), weight })
    }

    /// The same, waiting for it; `None` when there is none in time.
    pub async fn wait(self: &Arc<Self>, caller: &Caller, weight: usize, limit: Duration) -> Option<Share> {
        let waiting = async {
            loop {
                // Registered first: what is given back between the two is not missed.
                let mut freed = std::pin::pin!(self.freed.notified());
                freed.as_mut().enable();
                if let Some(share) = self.take(caller, weight) {
                    return share;
                }
                freed.await;
            }
        };
        tokio::time::timeout(limit, waiting).await.ok()
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut used = self.quota.used();
        used.total -= self.weight.min(used.total);
        if let Some(own) = used.by_account.get_mut(&self.account) {
            *own -= self.weight.min(*own);
            if *own == 0 {
                used.by_account.remove(&self.account);
            }
        }
        drop(used);
        self.quota.freed.notify_waiters();
    }
}

/// The quotas of a dashboard.
#[derive(Clone, Debug)]
pub struct Quotas {
    /// Searches, downloads, and whatever else reads or sends much.
    pub readers: Arc<Quota>,
    /// Logs that are explained: each is in memory as a whole.
    pub explanations: Arc<Quota>,
    /// KiB of answers that are in memory as a whole until they are read.
    pub answers: Arc<Quota>,
}

impl Default for Quotas {
    fn default() -> Self {
        Self {
            readers: Quota::new(Bounds { total: 8, account: 3, administrators: 2 }),
            explanations: Quota::new(Bounds { total: 4, account: 1, administrators: 1 }),
            answers: Quota::new(Bounds { total: 96 << 10, account: 32 << 10, administrators: 32 << 10 }),
        }
    }
}

/// Answers up to so many bytes are not counted.
const SMALL: u64 = 64 << 10;

/// An answer that is in memory as a whole, with its part of the quota.
struct Counted {
    body: Body,
    _share: Share,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Around handlers: a large answer that is in memory as a whole counts against its account until it is read. What is written as
/// it is read has no length beforehand, and a place among the readers.
pub async fn counted(Extension(answers): Extension<Arc<Quota>>, request: Request, next: Next) -> Response {
    let guest = request.extensions().get::<Guest>();
    let caller = guest.map_or_else(Caller::nobody, |guest| guest.caller.clone());
    let response = next.run(request).await;
    let Some(size) = response.body().size_hint().exact().filter(|size| *size > SMALL) else {
        return response;
    };
    let kib = usize::try_from(size >> 10).unwrap_or(usize::MAX);
    let Some(share) = answers.take(&caller, kib) else {
        let detail = "too many large answers wait to be read by this account: read or close them";
        let mut busy = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Busy", detail).into_response();
        busy.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        return busy;
    };
    response.map(|body| Body::new(Counted { body, _share: share }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn caller(name: &str, role: Role) -> Caller {
        Caller::new(name, role)
    }

    #[tokio::test]
    async fn one_account_takes_its_part_and_no_more_and_administrators_find_room() {
        let quota = Quota::new(Bounds { total: 6, account: 3, administrators: 2 });
        let take = |name: &str, role| quota.take(&caller(name, role), 1);
        let mut held: Vec<Share> = (0..3).filter_map(|_| take("v", Role::Viewer)).collect();
        assert_eq!(held.len(), 3);
        assert!(take("v", Role::Viewer).is_none(), "that is all of its part");
        held.extend(take("w", Role::Operator));
        assert!(take("w", Role::Viewer).is_none(), "the rest is for administrators");
        held.extend(take("a", Role::Admin));
        held.extend(take("b", Role::Admin));
        assert_eq!(held.len(), 6);
        let (viewer, admin) = (caller("v", Role::Viewer), caller("c", Role::Admin));
        assert!(quota.wait(&admin, 1, Duration::from_millis(50)).await.is_none());
        let waiting = quota.wait(&viewer, 1, Duration::from_secs(60));
        let freeing = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            held.truncate(2);
        };
        assert!(tokio::join!(waiting, freeing).0.is_some(), "given back, it is there again");
        assert!(quota.used().by_account.len() <= 1, "nobody is remembered who has nothing");
    }

    proptest! {
        #[test]
        fn no_more_is_given_than_there_is_and_all_comes_back(
            steps in prop::collection::vec((0_usize..4, 0_usize..9, any::<bool>()), 1..80)
        ) {
            let quota = Quota::new(Bounds { total: 20, account: 8, administrators: 5 });
            let mut held: Vec<Share> = Vec::new();
            for (who, weight, admin) in steps {
                let role = if admin { Role::Admin } else { Role::Viewer };
                held.extend(quota.take(&caller(&who.to_string(), role), weight));
                prop_assert!(quota.used().total <= 20);
                prop_assert!(quota.used().by_account.values().all(|own| *own <= 8));
                if weight == 3 && !held.is_empty() {
                    held.remove(0);
                }
            }
            drop(held);
            prop_assert_eq!(quota.used().total, 0);
            prop_assert!(quota.used().by_account.is_empty());
        }
    }
}
