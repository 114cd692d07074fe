use async_trait::async_trait;
use parking_lot::Mutex;

use crate::{
    Result,
    id::{HighWater, Mark, Replaced},
};

/// A [`HighWater`] mark in process memory.
///
/// It outlives generators, not the process: for tests, and for nodes that are never reused.
#[derive(Debug, Default)]
pub struct MemoryHighWater {
    mark: Mutex<Option<Mark>>,
}

impl MemoryHighWater {
    /// The mark, if there has ever been one.
    #[must_use]
    pub fn load(&self) -> Option<Mark> {
        *self.mark.lock()
    }

    /// Replaces the mark if it is `expected`.
    pub fn replace(&self, expected: Option<Mark>, mark: Mark) -> Replaced {
        let mut current = self.mark.lock();
        if *current == expected {
            *current = Some(mark);
            Replaced::Done
        } else {
            Replaced::Moved { mark: *current }
        }
    }
}

#[async_trait]
impl HighWater for MemoryHighWater {
    async fn load(&self) -> Result<Option<Mark>> {
        Ok(self.load())
    }

    async fn replace(&self, expected: Option<Mark>, mark: Mark) -> Result<Replaced> {
        Ok(self.replace(expected, mark))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        ManualClock,
        conformance::{Fresh, TestTime},
    };

    crate::high_water_conformance!(async {
        Fresh::<dyn HighWater> {
            store: Arc::new(MemoryHighWater::default()),
            time: TestTime::Manual(ManualClock::default()),
        }
    });
}
