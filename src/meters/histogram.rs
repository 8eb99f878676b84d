//! How long things took, counted in buckets.

use std::sync::OnceLock;
use std::time::Duration;

use super::Number;

/// Upper bounds of the buckets in microseconds, ten to each power of ten, from 100 µs to 11 days.
/// What is longer falls into one more bucket without bound.
pub const BOUNDS: [u64; BOUNDS_COUNT] = bounds();

/// By itself, since a release build of Rust 1.95 finds a cycle where a type asks `BOUNDS` for it.
const BOUNDS_COUNT: usize = 101;

const fn bounds() -> [u64; BOUNDS_COUNT] {
    const STEPS: [u64; 10] = [100, 120, 150, 200, 250, 300, 400, 500, 600, 800];
    let mut bounds = [0; BOUNDS_COUNT];
    let mut decade = 1;
    let mut place = 0;
    while place < BOUNDS_COUNT {
        bounds[place] = STEPS[place % 10] * decade;
        place += 1;
        if place % 10 == 0 {
            decade *= 10;
        }
    }
    bounds
}

/// Durations in buckets; takes up memory from the first one on. One writer, any readers.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: OnceLock<Box<[Number; BOUNDS_COUNT + 1]>>,
    sum_micros: Number,
}

impl Histogram {
    pub(crate) fn record(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let place = BOUNDS.partition_point(|bound| *bound < micros);
        let buckets =
            self.buckets.get_or_init(|| Box::new(std::array::from_fn(|_| Number::default())));
        buckets[place].add(1);
        self.sum_micros.add(micros);
    }

    /// What was counted so far.
    #[must_use]
    pub fn buckets(&self) -> Buckets {
        let counts = self.buckets.get();
        Buckets {
            counts: counts
                .map(|counts| counts.iter().map(Number::get).collect())
                .unwrap_or_default(),
            sum: Duration::from_micros(self.sum_micros.get()),
        }
    }
}

/// What a [`Histogram`] held at a moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Buckets {
    /// How many fell into each, by [`BOUNDS`] and one more; empty where there were none at all.
    counts: Vec<u64>,
    /// Of all durations.
    pub sum: Duration,
}

impl Buckets {
    /// How many durations.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// How many lasted at most the bound of this place in [`BOUNDS`].
    #[must_use]
    pub fn at_most(&self, place: usize) -> u64 {
        self.counts.iter().take(place + 1).sum()
    }

    /// Takes those of `other` in.
    pub fn add(&mut self, other: &Self) {
        if self.counts.is_empty() {
            self.counts.clone_from(&other.counts);
        } else {
            for (count, more) in self.counts.iter_mut().zip(&other.counts) {
                *count += more;
            }
        }
        self.sum += other.sum;
    }

    /// What came since `earlier`, the same histogram a while ago.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let before = earlier.counts.iter().copied().chain(std::iter::repeat(0));
        let counts = self.counts.iter().zip(before);
        Self {
            counts: counts.map(|(now, before)| now.saturating_sub(before)).collect(),
            sum: self.sum.saturating_sub(earlier.sum),
        }
    }

    /// The duration that this share, 0 to 1, of all did not exceed, as near as the buckets tell;
    /// `None` where there are none.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a bucket is coarser than what 52 bits leave out"
    )]
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        // 7 of 100 are the first 7, though 0.07 times 100 is a little more.
        let wanted = (count as f64 * share.clamp(0.0, 1.0) - 1e-6).max(1.0);
        let mut below = 0;
        for (place, in_bucket) in self.counts.iter().enumerate() {
            let upto = below + in_bucket;
            if *in_bucket > 0 && upto as f64 >= wanted {
                let low = place.checked_sub(1).map_or(0, |place| BOUNDS[place]);
                // Nothing is known of what is above the last bound.
                let high = BOUNDS.get(place).copied().unwrap_or(low);
                let part = (wanted - below as f64) / *in_bucket as f64;
                return Some(Duration::from_micros(low + ((high - low) as f64 * part) as u64));
            }
            below = upto;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bounds_are_round_and_in_order() {
        assert!(BOUNDS.is_sorted_by(|one, next| one < next));
        assert_eq!(BOUNDS[0], 100);
        assert_eq!(BOUNDS[10], 1_000, "a millisecond");
        assert_eq!(BOUNDS[44], 2_500_000, "two and a half seconds");
        assert_eq!(BOUNDS[100], 1_000_000_000_000);
    }

    #[test]
    fn nothing_recorded_is_no_duration() {
        assert_eq!(Histogram::default().buckets().quantile(0.5), None);
    }

    proptest! {
        #[test]
        fn a_quantile_is_in_the_bucket_of_the_true_one(
            mut micros in proptest::collection::vec(1_u64..10_000_000, 1..200),
            permille in 0..=1000_u16,
        ) {
            let histogram = Histogram::default();
            for one in &micros {
                histogram.record(Duration::from_micros(*one));
            }
            micros.sort_unstable();
            let rank = (micros.len() * usize::from(permille)).div_ceil(1000).max(1);
            let truth = micros[rank - 1];
            let place = BOUNDS.partition_point(|bound| *bound < truth);
            let low = place.checked_sub(1).map_or(0, |place| BOUNDS[place]);
            let told = histogram.buckets().quantile(f64::from(permille) / 1000.0).unwrap();
            let told = u64::try_from(told.as_micros()).unwrap();
            prop_assert!(low <= told && told <= BOUNDS[place], "{told} for {truth}");
            prop_assert_eq!(histogram.buckets().count(), micros.len() as u64);
            prop_assert_eq!(histogram.buckets().sum, Duration::from_micros(micros.iter().sum()));
        }

        #[test]
        fn what_came_since_is_what_was_recorded_since(
            before in proptest::collection::vec(1_u64..10_000_000, 0..50),
            after in proptest::collection::vec(1_u64..10_000_000, 0..50),
        ) {
            let (all, since) = (Histogram::default(), Histogram::default());
            for one in &before {
                all.record(Duration::from_micros(*one));
            }
            let earlier = all.buckets();
            for one in &after {
                all.record(Duration::from_micros(*one));
                since.record(Duration::from_micros(*one));
            }
            let told = all.buckets().since(&earlier);
            prop_assert_eq!(told.sum, since.buckets().sum);
            for place in 0..BOUNDS.len() {
                prop_assert_eq!(told.at_most(place), since.buckets().at_most(place));
            }
            let mut both = earlier;
            both.add(&told);
            prop_assert_eq!(both.count(), all.buckets().count());
        }
    }
}
