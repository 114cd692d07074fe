use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Latencies from a nanosecond to a minute, to three digits.
#[derive(Debug)]
pub(super) struct Latencies(Histogram<u64>);

/// What most waited at most, and so on up to the longest. The durations are nanoseconds.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct Percentiles {
    pub(super) count: u64,
    pub(super) p50: u64,
    pub(super) p90: u64,
    pub(super) p99: u64,
    pub(super) p999: u64,
    pub(super) max: u64,
}

impl Latencies {
    pub(super) fn new() -> Self {
        let minute = nanos(Duration::from_secs(60));
        Self(Histogram::new_with_bounds(1, minute, 3).expect("the bounds are in order"))
    }

    /// Notes that so many waited for so long; longer than a minute counts as a minute.
    pub(super) fn record(&mut self, latency: Duration, count: u64) {
        self.0.saturating_record_n(nanos(latency), count);
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.0.add(&other.0).expect("both have the same bounds");
    }

    /// `None` if there are none.
    pub(super) fn percentiles(&self) -> Option<Percentiles> {
        let at = |quantile| self.0.value_at_quantile(quantile);
        (!self.0.is_empty()).then(|| Percentiles {
            count: self.0.len(),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: self.0.max(),
        })
    }
}

impl Percentiles {
    /// The names of the [`values`](Self::values).
    pub(super) const NAMES: [&str; 5] = ["p50", "p90", "p99", "p99.9", "max"];

    pub(super) const fn values(&self) -> [u64; 5] {
        [self.p50, self.p90, self.p99, self.p999, self.max]
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_what_was_recorded() {
        let (mut some, mut others) = (Latencies::new(), Latencies::new());
        assert_eq!(some.percentiles(), None);
        some.record(Duration::from_micros(10), 900);
        others.record(Duration::from_micros(20), 99);
        others.record(Duration::from_secs(1), 1);
        some.add(&others);
        let found = some.percentiles().unwrap();
        let near = |value: u64, expected: u64| value.abs_diff(expected) <= expected / 1_000;
        assert_eq!(found.count, 1_000);
        assert!(near(found.p90, 10_000), "{found:?}");
        assert!(near(found.p99, 20_000), "{found:?}");
        assert!(near(found.p999, 20_000), "{found:?}");
        assert!(near(found.max, 1_000_000_000), "{found:?}");
    }
}
