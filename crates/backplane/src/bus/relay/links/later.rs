use std::{collections::HashMap, time::Duration};

use fastrand::Rng;

use crate::bus::RelayOptions;

/// When what failed in one call is tried again: together, as far as it failed equally often, so that it
/// shares a call again.
pub(super) struct Later {
    now: Duration,
    by_failures: HashMap<u32, Duration>,
}

impl Later {
    pub(super) fn than(now: Duration) -> Self {
        let by_failures = HashMap::new();
        Self { now, by_failures }
    }

    /// When to try again after `failures` earlier ones.
    pub(super) fn at(
        &mut self,
        failures: u32,
        options: &RelayOptions,
        jitter: &mut Rng,
    ) -> Duration {
        let at = self.by_failures.entry(failures);
        *at.or_insert_with(|| self.now.saturating_add(options.delay(failures, jitter)))
    }
}
