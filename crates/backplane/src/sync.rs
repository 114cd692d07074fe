//! Locks and atomics: `parking_lot`'s and the standard library's, or shuttle's where schedules are
//! explored. Then every use is a point at which another thread may run.

#[cfg(shuttle)]
pub(crate) use self::explored::*;
#[cfg(not(shuttle))]
pub(crate) use self::native::*;

#[cfg(not(shuttle))]
mod native {
    pub(crate) use std::{
        sync::atomic::{AtomicBool, AtomicUsize, Ordering},
        thread,
    };

    pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard};
}

#[cfg(shuttle)]
mod explored {
    use std::{
        ops::{Deref, DerefMut},
        sync::PoisonError,
    };

    pub(crate) use shuttle::{
        sync::atomic::{AtomicBool, AtomicUsize, Ordering},
        thread,
    };

    const PRESENT: &str = "only a wait in progress takes the guard";

    /// Shuttle's mutex with `parking_lot`'s signatures: a panic does not poison it.
    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T>(shuttle::sync::Mutex<T>);

    #[derive(Debug)]
    pub(crate) struct MutexGuard<'a, T>(Option<shuttle::sync::MutexGuard<'a, T>>);

    #[derive(Debug, Default)]
    pub(crate) struct Condvar(shuttle::sync::Condvar);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(shuttle::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            MutexGuard(Some(self.0.lock().unwrap_or_else(PoisonError::into_inner)))
        }

        pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
            self.0.try_lock().ok().map(|guard| MutexGuard(Some(guard)))
        }
    }

    impl Condvar {
        pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
            let inner = guard.0.take().expect(PRESENT);
            let waited = self.0.wait(inner).unwrap_or_else(PoisonError::into_inner);
            guard.0 = Some(waited);
        }

        pub(crate) fn notify_one(&self) {
            self.0.notify_one();
        }
    }

    impl<T> Deref for MutexGuard<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            self.0.as_ref().expect(PRESENT)
        }
    }

    impl<T> DerefMut for MutexGuard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            self.0.as_mut().expect(PRESENT)
        }
    }
}
