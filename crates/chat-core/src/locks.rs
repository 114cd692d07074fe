//! Locks and atomics: `parking_lot`'s and the standard library's, or those of loom or shuttle where
//! schedules are explored. Then every use is a point at which another thread may run.

#[cfg(any(loom, shuttle))]
pub(crate) use self::explored::*;
#[cfg(not(any(loom, shuttle)))]
pub(crate) use self::native::*;

#[cfg(not(any(loom, shuttle)))]
mod native {
    pub(crate) use std::sync::atomic::{AtomicU64, Ordering};

    pub(crate) use parking_lot::Mutex;
}

#[cfg(any(loom, shuttle))]
mod explored {
    use std::sync::PoisonError;

    #[cfg(loom)]
    use loom::sync as explorer;
    #[cfg(shuttle)]
    use shuttle::sync as explorer;

    pub(crate) use explorer::atomic::{AtomicU64, Ordering};

    /// The explorer's mutex with `parking_lot`'s signatures: a panic does not poison it.
    #[derive(Debug)]
    pub(crate) struct Mutex<T>(explorer::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(explorer::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> explorer::MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    impl<T: Default> Default for Mutex<T> {
        fn default() -> Self {
            Self::new(T::default())
        }
    }
}
