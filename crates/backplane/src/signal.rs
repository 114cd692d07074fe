//! Waiting for something to change, under any executor.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures::future::select;
use parking_lot::Mutex;

use crate::{Clock, Sleep};

/// Tells everybody who listens that something changed.
///
/// A listener is registered when it is made, so whoever makes one, then looks, then awaits it
/// misses nothing. For queues, directories and buses whose state changes in this process.
///
/// ```
/// use backplane::Signal;
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let signal = Signal::default();
/// let listener = signal.listen();
/// signal.raise(); // before the listener is awaited
/// listener.await;
/// # }
/// ```
#[derive(Debug, Default)]
pub struct Signal {
    state: Mutex<SignalState>,
}

#[derive(Debug, Default)]
struct SignalState {
    raised: u64,
    listeners: usize,
    wakers: Vec<(u64, Waker)>,
    last_listener: u64,
}

impl Signal {
    /// Completes every listener there is.
    pub fn raise(&self) {
        let mut state = self.state.lock();
        if state.listeners == 0 {
            return;
        }
        state.raised += 1;
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        for (_, waker) in wakers {
            waker.wake();
        }
    }

    /// A future that completes once the signal is raised after this call.
    pub fn listen(&self) -> Listener<'_> {
        let mut state = self.state.lock();
        state.listeners += 1;
        state.last_listener += 1;
        Listener {
            signal: self,
            id: state.last_listener,
            seen: state.raised,
        }
    }
}

/// Waits for one raise of a [`Signal`]. Dropping it leaves nothing behind.
#[must_use = "it waits only when awaited"]
#[derive(Debug)]
pub struct Listener<'a> {
    signal: &'a Signal,
    id: u64,
    seen: u64,
}

impl Listener<'_> {
    /// Completes with the signal, or once `wait` has passed, or after [`Sleep::LONGEST`].
    pub async fn or_after(self, wait: Option<Duration>, clock: &dyn Clock) {
        match wait {
            Some(wait) => drop(select(self, clock.sleep(wait.min(Sleep::LONGEST))).await),
            None => self.await,
        }
    }
}

impl Future for Listener<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.signal.state.lock();
        if state.raised != self.seen {
            return Poll::Ready(());
        }
        match state.wakers.iter_mut().find(|(id, _)| *id == self.id) {
            Some((_, waker)) => waker.clone_from(cx.waker()),
            None => state.wakers.push((self.id, cx.waker().clone())),
        }
        Poll::Pending
    }
}

impl Drop for Listener<'_> {
    fn drop(&mut self) {
        let mut state = self.signal.state.lock();
        state.listeners -= 1;
        state.wakers.retain(|(id, _)| *id != self.id);
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, poll};

    use super::*;

    #[tokio::test]
    async fn a_raise_completes_those_who_listen_and_nobody_later() {
        let signal = Signal::default();
        let (mut first, mut second) = (signal.listen(), signal.listen());
        assert!(poll!(&mut first).is_pending());
        signal.raise();
        assert!(poll!(&mut first).is_ready());
        assert!(poll!(&mut second).is_ready(), "raised before it was polled");
        assert!(signal.listen().now_or_never().is_none());
    }

    #[test]
    fn a_dropped_listener_leaves_nothing_behind() {
        let signal = Signal::default();
        assert!(signal.listen().now_or_never().is_none());
        let state = signal.state.lock();
        assert_eq!((state.listeners, state.wakers.len()), (0, 0));
    }
}
