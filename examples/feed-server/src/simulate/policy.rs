use std::{fmt, sync::Arc};

use clap::ValueEnum;
use feed_core::{FanoutPolicy, Hybrid, PullAll, PushAll};
use serde::{Deserialize, Serialize};

/// The three ways of fanout that are compared.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ValueEnum)]
pub(super) enum Policy {
    Push,
    Pull,
    Hybrid,
}

impl Policy {
    pub(super) const ALL: [Self; 3] = [Self::Push, Self::Pull, Self::Hybrid];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::Pull => "pull",
            Self::Hybrid => "hybrid",
        }
    }

    /// The policy for the feed; hybrid pulls authors with more than so many followers.
    pub(super) fn fanout(self, pull_above: u64) -> Arc<dyn FanoutPolicy> {
        match self {
            Self::Push => Arc::new(PushAll),
            Self::Pull => Arc::new(PullAll),
            Self::Hybrid => Arc::new(Hybrid::new(pull_above)),
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
