//! The locks and atomics of the hub: `parking_lot`'s, or shuttle's when a schedule is explored.

#[cfg(shuttle)]
pub(super) use self::explored::*;
#[cfg(not(shuttle))]
pub(super) use self::native::*;

#[cfg(not(shuttle))]
mod native {
    pub(in crate::hub) use std::{
        sync::atomic::{AtomicBool, AtomicUsize, Ordering},
        thread,
    };

    pub(in crate::hub) use parking_lot::{Condvar, Mutex, MutexGuard};
}

#[cfg(shuttle)]
mod explored {
    use std::ops::{Deref, DerefMut};

    pub(in crate::hub) use shuttle::{
        sync::atomic::{AtomicBool, AtomicUsize, Ordering},
        thread,
    };

    const POISONED: &str = "a panic ends the schedule before anybody sees the poison";
    const PRESENT: &str = "only a wait in progress takes the guard";

    /// Shuttle's mutex with `parking_lot`'s signatures.
    #[derive(Debug, Default)]
    pub(in crate::hub) struct Mutex<T>(shuttle::sync::Mutex<T>);

    #[derive(Debug)]
    pub(in crate::hub) struct MutexGuard<'a, T>(Option<shuttle::sync::MutexGuard<'a, T>>);

    #[derive(Debug, Default)]
    pub(in crate::hub) struct Condvar(shuttle::sync::Condvar);

    impl<T> Mutex<T> {
        pub(in crate::hub) fn new(value: T) -> Self {
            Self(shuttle::sync::Mutex::new(value))
        }

        pub(in crate::hub) fn lock(&self) -> MutexGuard<'_, T> {
            MutexGuard(Some(self.0.lock().expect(POISONED)))
        }

        pub(in crate::hub) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
            self.0.try_lock().ok().map(|guard| MutexGuard(Some(guard)))
        }
    }

    impl Condvar {
        pub(in crate::hub) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
            let inner = guard.0.take().expect(PRESENT);
            guard.0 = Some(self.0.wait(inner).expect(POISONED));
        }

        pub(in crate::hub) fn notify_one(&self) {
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
