//! A policy without any.

use feed_core::{AuthorStats, Delivery, FanoutPolicy, Rhythm};
use parking_lot::Mutex;

/// Decides anew each time, at random: feeds must not show how posts travel.
#[derive(Debug)]
pub(crate) struct Whim(Mutex<fastrand::Rng>);

impl Whim {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Mutex::new(fastrand::Rng::with_seed(seed)))
    }

    fn decide(&self) -> Delivery {
        match self.0.lock().u8(..3) {
            0 => Delivery::Pull,
            _ => Delivery::Push,
        }
    }
}

impl FanoutPolicy for Whim {
    fn ever_pushes(&self) -> bool {
        true
    }

    fn author(&self, _: &AuthorStats, _: Delivery) -> Delivery {
        self.decide()
    }

    fn judges_pairs(&self) -> bool {
        true
    }

    fn pair(&self, _: &AuthorStats, _: Option<&Rhythm>, _: Delivery) -> Delivery {
        self.decide()
    }
}
