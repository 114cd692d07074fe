use async_trait::async_trait;
use parking_lot::Mutex;

use crate::{Error, ErrorKind, Result, id::IdCounter};

/// An [`IdCounter`] in process memory.
///
/// It outlives generators, not the process: for tests, and for what does not outlive it either.
#[derive(Debug, Default)]
pub struct MemoryIdCounter {
    last: Mutex<u64>,
}

impl MemoryIdCounter {
    /// The numbers after `last`.
    #[must_use]
    pub fn after(last: u64) -> Self {
        Self {
            last: Mutex::new(last),
        }
    }

    /// The first of the next `count` numbers.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] if `count` is zero, and [`ErrorKind::Full`] if there are not so many
    /// left; nothing is taken.
    pub fn take(&self, count: u32) -> Result<u64> {
        if count == 0 {
            return Err(Error::bare(ErrorKind::Invalid, "take"));
        }
        let mut last = self.last.lock();
        let taken = last.checked_add(count.into());
        let taken = taken.ok_or_else(|| Error::bare(ErrorKind::Full, "take"))?;
        let first = *last + 1;
        *last = taken;
        Ok(first)
    }
}

#[async_trait]
impl IdCounter for MemoryIdCounter {
    async fn take(&self, count: u32) -> Result<u64> {
        self.take(count)
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

    crate::id_counter_conformance!(async {
        Fresh::<dyn IdCounter> {
            store: Arc::new(MemoryIdCounter::default()),
            time: TestTime::Manual(ManualClock::default()),
        }
    });

    #[test]
    fn the_numbers_end_and_do_not_wrap() {
        let counter = MemoryIdCounter::after(u64::MAX - 3);
        assert_eq!(counter.take(4).unwrap_err().kind(), ErrorKind::Full);
        assert_eq!(counter.take(3).unwrap(), u64::MAX - 2);
        assert_eq!(counter.take(1).unwrap_err().kind(), ErrorKind::Full);
    }
}
