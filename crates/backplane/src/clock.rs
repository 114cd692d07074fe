//! Time as an argument: nothing else in the workspace reads it.

use std::{
    collections::BTreeMap,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// A point of wall time, in whole milliseconds since the Unix epoch.
#[derive(
    Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize,
)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The Unix epoch.
    pub const EPOCH: Self = Self(0);

    /// The point `millis` milliseconds after the Unix epoch.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// This point moved `by` into the future, at most to the end of time.
    #[must_use]
    pub fn saturating_add(self, by: Duration) -> Self {
        Self(self.0.saturating_add(whole_millis(by)))
    }

    /// This point moved `by` into the past, at most to the epoch.
    #[must_use]
    pub fn saturating_sub(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(whole_millis(by)))
    }

    /// How long after `earlier` this point lies; zero if it lies before.
    #[must_use]
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

pub(crate) fn whole_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Wall time, a monotonic instant, and sleep.
///
/// Wall time may stand still, jump or run backwards: it stamps data. The monotonic instant never
/// goes back: it measures how long something took, and decides leases and timeouts inside one
/// process.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The wall time.
    fn now(&self) -> Timestamp;

    /// The time since an arbitrary origin that stays fixed for the life of this clock.
    fn monotonic(&self) -> Duration;

    /// Completes once `monotonic` has advanced by `duration`.
    ///
    /// Timers may panic when they are asked for more than they can count to: who may have to wait for
    /// long asks for [`Sleep::LONGEST`] at a time.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future forgets the wake-up.
    fn sleep(&self, duration: Duration) -> Sleep;
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> Timestamp {
        (**self).now()
    }

    fn monotonic(&self) -> Duration {
        (**self).monotonic()
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        (**self).sleep(duration)
    }
}

/// The future that [`Clock::sleep`] returns.
pub struct Sleep(Pin<Box<dyn Future<Output = ()> + Send>>);

impl Sleep {
    /// What every [`Clock`] can be asked to sleep: an hour.
    pub const LONGEST: Duration = Duration::from_secs(3_600);

    /// Wraps the future of another timer.
    pub fn new(timer: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(Box::pin(timer))
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep").finish_non_exhaustive()
    }
}

/// The machine's clock.
///
/// Sleeping works under any executor: it uses a timer thread of its own, started on first use.
///
/// ```
/// use backplane::{Clock, SystemClock};
/// let clock = SystemClock::new();
/// let before = clock.monotonic();
/// assert!(clock.monotonic() >= before);
/// assert!(clock.now().as_millis() > 1_700_000_000_000);
/// ```
#[derive(Clone, Debug)]
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    /// A clock whose monotonic origin is this call.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn new() -> Self {
        Self {
            origin: Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Timestamp(since.map_or(0, whole_millis))
    }

    fn monotonic(&self) -> Duration {
        self.origin.elapsed()
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        Sleep::new(futures_timer::Delay::new(duration))
    }
}

/// The machine's clock at the granularity of the kernel's tick, at a quarter of the cost.
///
/// On Linux both readings are those of the last timer tick: behind [`SystemClock`] by at most one
/// tick (1 to 10 ms, by the kernel's build), never ahead of it. Elsewhere it is the system clock.
#[derive(Clone, Debug, Default)]
pub struct CoarseClock {
    fine: SystemClock,
}

impl CoarseClock {
    /// A coarse clock.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

#[cfg(target_os = "linux")]
fn coarse(id: rustix::time::ClockId) -> Duration {
    let time = rustix::time::clock_gettime(id);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

impl Clock for CoarseClock {
    #[cfg(target_os = "linux")]
    #[inline]
    fn now(&self) -> Timestamp {
        // Every identifier is stamped here: no detour over `Duration`.
        let time = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
        let millis = time.tv_sec * 1_000 + time.tv_nsec / 1_000_000;
        Timestamp(millis.max(0).cast_unsigned())
    }

    #[cfg(target_os = "linux")]
    fn monotonic(&self) -> Duration {
        coarse(rustix::time::ClockId::MonotonicCoarse)
    }

    #[cfg(not(target_os = "linux"))]
    fn now(&self) -> Timestamp {
        self.fine.now()
    }

    #[cfg(not(target_os = "linux"))]
    fn monotonic(&self) -> Duration {
        self.fine.monotonic()
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        let clock = self.clone();
        let until = self.monotonic().saturating_add(duration);
        Sleep::new(async move {
            // This clock may tick later than the timer, which counts from when it is first polled.
            while let Some(rest) = until.checked_sub(clock.monotonic())
                && !rest.is_zero()
            {
                clock.fine.sleep(rest).await;
            }
        })
    }
}

/// A clock that moves only when told to, for deterministic tests. Clones share one time.
///
/// ```
/// use std::time::Duration;
/// use backplane::{Clock, ManualClock, Timestamp};
/// let clock = ManualClock::new(Timestamp::from_millis(1_000));
/// clock.advance(Duration::from_millis(5));
/// assert_eq!(clock.now(), Timestamp::from_millis(1_005));
/// clock.set_now(Timestamp::from_millis(400)); // an operator steps the wall clock back
/// assert_eq!(clock.monotonic(), Duration::from_millis(5));
/// ```
#[derive(Clone, Debug)]
pub struct ManualClock {
    time: Arc<Mutex<ManualTime>>,
}

#[derive(Debug)]
struct ManualTime {
    now: Timestamp,
    monotonic: Duration,
    /// By number.
    sleepers: BTreeMap<u64, (Duration, Waker)>,
    slept: u64,
}

impl ManualClock {
    /// A clock that stands at `now`, with a monotonic reading of zero.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self {
            time: Arc::new(Mutex::new(ManualTime {
                now,
                monotonic: Duration::ZERO,
                sleepers: BTreeMap::new(),
                slept: 0,
            })),
        }
    }

    /// Moves wall and monotonic time forward and wakes the sleepers that are due.
    pub fn advance(&self, by: Duration) {
        let mut time = self.time.lock();
        time.now = time.now.saturating_add(by);
        time.monotonic = time.monotonic.saturating_add(by);
        let monotonic = time.monotonic;
        let mut due = Vec::new();
        time.sleepers.retain(|_, (deadline, waker)| {
            let sleeps_on = *deadline > monotonic;
            if !sleeps_on {
                due.push(waker.clone());
            }
            sleeps_on
        });
        drop(time);
        for waker in due {
            waker.wake();
        }
    }

    /// Steps the wall time, forward or back, and leaves the monotonic time alone.
    pub fn set_now(&self, now: Timestamp) {
        self.time.lock().now = now;
    }
}

impl Default for ManualClock {
    /// A clock that stands at the first millisecond of 2025.
    fn default() -> Self {
        Self::new(Timestamp::from_millis(1_735_689_600_000))
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.time.lock().now
    }

    fn monotonic(&self) -> Duration {
        self.time.lock().monotonic
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        let mut time = self.time.lock();
        time.slept += 1;
        Sleep::new(ManualSleep {
            number: time.slept,
            deadline: time.monotonic.saturating_add(duration),
            time: Arc::clone(&self.time),
        })
    }
}

#[derive(Debug)]
struct ManualSleep {
    number: u64,
    deadline: Duration,
    time: Arc<Mutex<ManualTime>>,
}

impl Future for ManualSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut time = self.time.lock();
        if time.monotonic >= self.deadline {
            return Poll::Ready(());
        }
        let sleeper = (self.deadline, cx.waker().clone());
        let before = time.sleepers.insert(self.number, sleeper);
        drop(time);
        // The last waker of a task drops the task, and that may sleep by this clock.
        drop(before);
        Poll::Pending
    }
}

impl Drop for ManualSleep {
    fn drop(&mut self) {
        let sleeper = self.time.lock().sleepers.remove(&self.number);
        // As above.
        drop(sleeper);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn timestamps_saturate_at_both_ends() {
        let second = Duration::from_secs(1);
        assert_eq!(Timestamp::EPOCH.saturating_sub(second), Timestamp::EPOCH);
        let end = Timestamp::from_millis(u64::MAX);
        assert_eq!(end.saturating_add(Duration::MAX), end);
        assert_eq!(Timestamp::EPOCH.saturating_since(end), Duration::ZERO);
    }

    #[test]
    fn coarse_clock_is_never_ahead_of_the_fine_one() {
        let (coarse, fine) = (CoarseClock::new(), SystemClock::new());
        for _ in 0..1_000 {
            let earlier = coarse.now();
            assert!(earlier <= fine.now());
        }
    }

    #[tokio::test]
    async fn manual_sleep_ends_when_the_clock_is_advanced() {
        let clock = ManualClock::default();
        let sleep = clock.sleep(Duration::from_secs(5));
        let wake = async {
            clock.advance(Duration::from_secs(4));
            tokio::task::yield_now().await;
            clock.advance(Duration::from_secs(1));
        };
        futures::join!(sleep, wake);
        assert_eq!(clock.monotonic(), Duration::from_secs(5));
    }

    #[test]
    fn manual_sleep_remembers_each_sleeper_once_and_forgets_who_leaves() {
        let clock = ManualClock::default();
        clock.advance(Duration::from_millis(1));
        let mut sleep = clock.sleep(Duration::MAX);
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..3 {
            assert!(Pin::new(&mut sleep).poll(&mut context).is_pending());
        }
        assert_eq!(clock.time.lock().sleepers.len(), 1);
        drop(sleep);
        assert!(clock.time.lock().sleepers.is_empty());
        clock.advance(Duration::MAX);
    }

    #[test]
    fn a_coarse_sleep_that_is_polled_late_counts_from_the_call() {
        let (clock, duration) = (CoarseClock::new(), Duration::from_millis(20));
        let sleep = clock.sleep(duration);
        let until = clock.monotonic() + duration;
        while clock.monotonic() < until {
            std::hint::spin_loop();
        }
        assert!(sleep.now_or_never().is_some());
    }

    #[tokio::test]
    async fn coarse_sleep_ends_when_its_own_clock_has_advanced() {
        let clock = CoarseClock::new();
        for micros in [1, 500, 2_000] {
            let (before, duration) = (clock.monotonic(), Duration::from_micros(micros));
            clock.sleep(duration).await;
            assert!(clock.monotonic() >= before + duration);
        }
    }

    #[test]
    fn a_sleep_without_end_does_not_end_and_does_not_panic() {
        for clock in [&SystemClock::new() as &dyn Clock, &CoarseClock::new()] {
            assert!(clock.sleep(Duration::MAX).now_or_never().is_none());
        }
    }

    #[tokio::test]
    async fn system_sleep_needs_no_runtime_timer() {
        let clock = SystemClock::new();
        let before = clock.monotonic();
        clock.sleep(Duration::from_millis(2)).await;
        assert!(clock.monotonic() >= before + Duration::from_millis(2));
    }
}
