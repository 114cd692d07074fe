use std::sync::atomic::{AtomicUsize, Ordering};

use crate::{Error, ErrorKind, Result};

/// How much of a bound is taken. For stores in memory.
#[derive(Debug)]
pub struct Room {
    taken: AtomicUsize,
    bound: usize,
}

impl Room {
    /// All of `bound`, and nothing taken.
    #[must_use]
    pub const fn new(bound: usize) -> Self {
        Self {
            taken: AtomicUsize::new(0),
            bound,
        }
    }

    /// Takes room for `count` more, for the method `op`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Full`] if there is less; none was taken.
    pub fn take(&self, count: usize, op: &'static str) -> Result<()> {
        let more = |taken: usize| taken.checked_add(count).filter(|&sum| sum <= self.bound);
        let before = self
            .taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        before.map_err(|_| Error::bare(ErrorKind::Full, op))?;
        Ok(())
    }

    /// Takes room for `count` more, whether or not there is any.
    pub fn overdraw(&self, count: usize) {
        self.taken.fetch_add(count, Ordering::Relaxed);
    }

    /// Gives room back.
    pub fn give(&self, count: usize) {
        self.taken.fetch_sub(count, Ordering::Relaxed);
    }

    /// How much is taken.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }
}
