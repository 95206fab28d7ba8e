//! A histogram's buckets, summed over engines, and quantiles of what came between two of them.

/// More buckets than this are not taken for a histogram; vLLM's have 20 to 30.
const BUCKET_LIMIT: usize = 256;

/// The cumulative buckets of one histogram.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    /// Upper bound and how many observations were not above it, by bound.
    buckets: Vec<(f64, f64)>,
    /// Something was in it that cannot be counted.
    spoiled: bool,
}

impl Histogram {
    /// Adds `count` observations not above `bound`, to those of other engines with the same bound.
    pub fn add(&mut self, bound: f64, count: f64) {
        if bound.is_nan() || !count.is_finite() || count < 0.0 {
            self.spoiled = true;
            return;
        }
        // Bounds come in ascending order, so that the end is the place for nearly all of the first engine's.
        let place = match self.buckets.last() {
            Some((last, _)) if *last < bound => Err(self.buckets.len()),
            _ => self.buckets.binary_search_by(|(other, _)| other.total_cmp(&bound)),
        };
        match place {
            Ok(at) => {
                if let Some((_, sum)) = self.buckets.get_mut(at) {
                    *sum += count;
                }
            }
            Err(_) if self.buckets.len() == BUCKET_LIMIT => self.spoiled = true,
            Err(at) => self.buckets.insert(at, (bound, count)),
        }
    }

    /// Whether it can be worked with: it has buckets, the last one without bound, and nothing uncountable in them.
    pub fn is_reported(&self) -> bool {
        !self.spoiled
            && self.buckets.len() > 1
            && self.buckets.last().is_some_and(|(bound, _)| *bound == f64::INFINITY)
    }

    /// Whether it cannot continue `earlier`: other buckets, or fewer observations in one of them.
    pub fn restarted_since(&self, earlier: &Self) -> bool {
        self.buckets.len() != earlier.buckets.len()
            || self.buckets.iter().zip(&earlier.buckets).any(|(new, old)| new.0 != old.0 || new.1 < old.1)
    }

    /// The value that the share `q` of the observations since `earlier` did not exceed; `None` when there were none, or
    /// when it does not continue `earlier`.
    ///
    /// As `histogram_quantile` of Prometheus does it for classic histograms: linear within a bucket, from 0 for the first
    /// one; the last finite bound when it is in the bucket without bound
    /// (<https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile>).
    pub fn quantile_since(&self, earlier: &Self, q: f64) -> Option<f64> {
        if !self.is_reported() || self.restarted_since(earlier) {
            return None;
        }
        // Engines are not read at the same instant, and layouts may differ between them: never let a sum go down.
        let cumulative = || {
            self.buckets.iter().zip(&earlier.buckets).scan(0.0_f64, |most, (new, old)| {
                *most = most.max(new.1 - old.1);
                Some((new.0, *most))
            })
        };
        let (_, total) = cumulative().last()?;
        if total <= 0.0 {
            return None;
        }
        let rank = q.clamp(0.0, 1.0) * total;
        let mut below = (0.0, 0.0);
        for (n, (bound, count)) in cumulative().enumerate() {
            if count >= rank && count > 0.0 {
                let inside = count - below.1;
                return Some(if bound == f64::INFINITY {
                    below.0
                } else if (n == 0 && bound <= 0.0) || inside <= 0.0 {
                    bound
                } else {
                    below.0 + (bound - below.0) * (rank - below.1) / inside
                });
            }
            below = (bound, count);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn histogram(buckets: &[(f64, f64)]) -> Histogram {
        let mut histogram = Histogram::default();
        for (bound, count) in buckets {
            histogram.add(*bound, *count);
        }
        histogram
    }

    fn empty(like: &Histogram) -> Histogram {
        Histogram { buckets: like.buckets.iter().map(|(bound, _)| (*bound, 0.0)).collect(), spoiled: false }
    }

    fn quantile(buckets: &[(f64, f64)], q: f64) -> Option<f64> {
        let histogram = histogram(buckets);
        histogram.quantile_since(&empty(&histogram), q)
    }

    const INF: f64 = f64::INFINITY;

    #[test]
    fn a_quantile_lies_on_the_line_through_its_bucket() {
        let buckets = [(1.0, 0.0), (2.0, 4.0), (4.0, 8.0), (INF, 8.0)];
        assert_eq!(quantile(&buckets, 0.5), Some(2.0));
        assert_eq!(quantile(&buckets, 0.75), Some(3.0));
        assert_eq!(quantile(&buckets, 0.25), Some(1.5));
    }

    #[test]
    fn the_first_bucket_begins_at_zero() {
        assert_eq!(quantile(&[(1.0, 10.0), (INF, 10.0)], 0.5), Some(0.5));
        assert_eq!(quantile(&[(-1.0, 10.0), (INF, 10.0)], 0.5), Some(-1.0));
    }

    #[test]
    fn the_bucket_without_bound_gives_the_last_finite_one() {
        assert_eq!(quantile(&[(1.0, 1.0), (2.0, 1.0), (INF, 10.0)], 0.95), Some(2.0));
    }

    #[test]
    fn no_observation_has_no_quantile() {
        assert_eq!(quantile(&[(1.0, 0.0), (INF, 0.0)], 0.5), None);
        assert_eq!(quantile(&[], 0.5), None);
        assert_eq!(quantile(&[(1.0, 1.0)], 0.5), None, "no bucket without bound");
        assert_eq!(quantile(&[(INF, 1.0)], 0.5), None, "no finite one");
    }

    #[test]
    fn only_what_came_since_counts() {
        let old = histogram(&[(1.0, 100.0), (2.0, 100.0), (INF, 100.0)]);
        let new = histogram(&[(1.0, 100.0), (2.0, 102.0), (INF, 102.0)]);
        assert_eq!(new.quantile_since(&old, 0.5), Some(1.5));
        assert_eq!(old.quantile_since(&old, 0.5), None);
        assert_eq!(old.quantile_since(&new, 0.5), None, "it went back");
    }

    #[test]
    fn engines_are_summed_by_bound_in_whatever_order() {
        let one = histogram(&[(1.0, 1.0), (2.0, 3.0), (INF, 3.0), (1.0, 1.0), (2.0, 1.0), (INF, 2.0)]);
        let two = histogram(&[(INF, 5.0), (2.0, 4.0), (1.0, 2.0)]);
        assert_eq!(one, two);
    }

    #[test]
    fn a_sum_that_goes_down_from_one_bucket_to_the_next_is_held() {
        assert_eq!(quantile(&[(1.0, 4.0), (2.0, 3.0), (4.0, 10.0), (INF, 10.0)], 0.7), Some(3.0));
    }

    #[test]
    fn other_buckets_are_a_new_start() {
        let old = histogram(&[(1.0, 1.0), (INF, 1.0)]);
        assert!(histogram(&[(1.0, 1.0), (2.0, 1.0), (INF, 1.0)]).restarted_since(&old));
        assert!(histogram(&[(2.0, 1.0), (INF, 1.0)]).restarted_since(&old));
        assert!(!histogram(&[(1.0, 1.0), (INF, 2.0)]).restarted_since(&old));
    }

    #[test]
    fn what_cannot_be_counted_is_not_reported() {
        for count in [f64::NAN, INF, -1.0] {
            assert!(!histogram(&[(1.0, count), (INF, 1.0)]).is_reported(), "{count}");
        }
        assert!(!histogram(&[(f64::NAN, 1.0), (1.0, 1.0), (INF, 1.0)]).is_reported());
        assert!(histogram(&[(1.0, 1.0), (INF, 1.0)]).is_reported());
    }

    #[test]
    fn buckets_without_end_are_not_kept() {
        let mut histogram = Histogram::default();
        for n in 0..100_000 {
            histogram.add(f64::from(n), 1.0);
        }
        histogram.add(INF, 1.0);
        assert_eq!(histogram.buckets.len(), BUCKET_LIMIT);
        assert!(!histogram.is_reported());
    }

    proptest! {
        #[test]
        fn quantiles_rise_with_the_share_and_stay_within_the_bounds(
            counts in prop::collection::vec(0_u32..50, 1..30),
            a in 0.0_f64..=1.0,
            b in 0.0_f64..=1.0,
        ) {
            let mut sum = 0.0;
            let last = counts.len();
            let buckets: Vec<_> = counts.iter().enumerate().map(|(n, count)| {
                sum += f64::from(*count);
                (if n + 1 == last { INF } else { (n + 1) as f64 }, sum)
            }).collect();
            let (low, high) = (a.min(b), a.max(b));
            if let (Some(low), Some(high)) = (quantile(&buckets, low), quantile(&buckets, high)) {
                prop_assert!(low <= high + 1e-9);
                prop_assert!(low >= 0.0 && high <= (last - 1) as f64 + 1e-9);
            } else {
                prop_assert!(sum == 0.0 || last == 1);
            }
        }

        #[test]
        fn nothing_in_a_histogram_makes_it_panic(
            old in prop::collection::vec((any::<f64>(), any::<f64>()), 0..20),
            new in prop::collection::vec((any::<f64>(), any::<f64>()), 0..20),
            q in any::<f64>(),
        ) {
            let (old, new) = (histogram(&old), histogram(&new));
            let _ = new.quantile_since(&old, q);
            let _ = new.quantile_since(&empty(&new), q);
        }
    }
}
