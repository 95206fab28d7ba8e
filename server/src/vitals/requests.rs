//! Answers, counted by route, class of status, and how long each took.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Upper bounds of the histogram, in milliseconds.
pub const BOUNDS_MS: [u64; 11] = [1, 2, 5, 10, 25, 50, 100, 250, 1000, 2500, 10_000];

/// Routes that are told apart: far more than the router has. What comes after counts as `other`.
const MOST_ROUTES: usize = 200;

/// What one route was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteCount {
    /// Answers by the first digit of their status, 1 to 5.
    pub classes: [u64; 5],
    /// Answers that took at most as long as the bound of the same place, and longer than the one before.
    pub took: [u64; BOUNDS_MS.len()],
    /// All that time together.
    pub sum: Duration,
}

impl RouteCount {
    /// All answers.
    pub fn count(&self) -> u64 {
        self.classes.iter().sum()
    }
}

/// All answers.
#[derive(Debug, Default)]
pub struct Requests(Mutex<BTreeMap<String, RouteCount>>);

impl Requests {
    /// Counts an answer. `route` is the pattern of the router, never what was asked for.
    pub fn count(&self, route: &str, status: u16, took: Duration) {
        let mut routes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let route = if routes.len() < MOST_ROUTES || routes.contains_key(route) { route } else { "other" };
        if !routes.contains_key(route) {
            routes.insert(route.to_owned(), RouteCount::default());
        }
        let Some(count) = routes.get_mut(route) else { return };
        let class = usize::from((status / 100).clamp(1, 5)) - 1;
        count.classes[class] += 1;
        let ms = took.as_micros().div_ceil(1000);
        if let Some(place) = BOUNDS_MS.iter().position(|bound| ms <= u128::from(*bound)) {
            count.took[place] += 1;
        }
        count.sum += took;
    }

    /// All counts by now.
    pub fn all(&self) -> BTreeMap<String, RouteCount> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_counted_once_in_its_class_and_its_place() {
        let requests = Requests::default();
        requests.count("/", 200, Duration::from_micros(900));
        requests.count("/", 204, Duration::from_millis(1));
        requests.count("/", 503, Duration::from_secs(60));
        let all = requests.all();
        let root = &all["/"];
        assert_eq!(root.classes, [0, 2, 0, 0, 1]);
        assert_eq!(root.took[0], 2);
        assert_eq!(root.took.iter().sum::<u64>(), 2, "a minute is beyond all bounds");
        assert_eq!(root.count(), 3);
    }

    #[test]
    fn the_number_of_routes_is_bounded() {
        let requests = Requests::default();
        for n in 0..10_000 {
            requests.count(&format!("/{n}"), 200, Duration::ZERO);
        }
        let all = requests.all();
        assert!(all.len() <= MOST_ROUTES + 1, "{}", all.len());
        assert_eq!(all.values().map(RouteCount::count).sum::<u64>(), 10_000);
    }
}
