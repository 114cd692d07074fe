use std::{
    cell::RefCell,
    fmt,
    future::poll_fn,
    hint,
    panic::resume_unwind,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use futures::{
    channel::oneshot,
    executor,
    future::{BoxFuture, FutureExt},
};

use super::Fresh;

/// How often a case repeats a race. On few cores most calls miss each other.
pub const ROUNDS: u64 = 200;

impl<T: ?Sized + Send + Sync + 'static> Fresh<T> {
    /// Makes `count` calls to the subject [`at_once`], each told its number from 0 on.
    ///
    /// # Panics
    ///
    /// If a call does.
    pub fn at_once<F>(
        &self,
        count: usize,
        call: impl Fn(Arc<T>, usize) -> F,
    ) -> impl Future<Output = Vec<F::Output>>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let call = |number| call(Arc::clone(&self.store), number);
        let calls: Vec<_> = (0..count).map(call).collect();
        at_once(calls)
    }
}

/// Makes each call on a thread of its own, all beginning at the same instant, and answers what they
/// returned, in the order of the calls.
///
/// Futures that are joined in one task overlap only where they wait. Those of a store within the
/// process do not wait, so that whatever such a store does between its first lock and its last is
/// put to the test by threads alone. A case that is about a race makes its calls so, in [`ROUNDS`].
///
/// The case itself waits without blocking its thread. So an implementation may live on a runtime of
/// the single thread that runs the case, with its connections and timers there: that thread goes on
/// turning while the calls wait for it on theirs. Calls are run by the runtime that [`hosted`] has
/// named, so that they may use what is bound to it (tokio's timers, sockets and `spawn`); without
/// one, by an executor that knows nothing but how to wait.
///
/// # Panics
///
/// If a call does, once all others have ended.
pub async fn at_once<F>(calls: impl IntoIterator<Item = F>) -> Vec<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    let calls: Vec<_> = calls.into_iter().collect();
    let (start, threads) = (Arc::new(Start::default()), calls.len());
    let running: Vec<_> = calls
        .into_iter()
        .map(|call| {
            let start = Arc::clone(&start);
            run(call, move || start.wait(threads))
        })
        .collect();
    let mut answers = Vec::with_capacity(running.len());
    for (ended, thread) in running {
        // An error is that of a call that panicked, of which its thread tells.
        let _ = ended.await;
        answers.push(thread.join());
    }
    let answered = answers
        .into_iter()
        .map(|answer| answer.unwrap_or_else(|panic| resume_unwind(panic)));
    answered.collect()
}

/// Begins a call on a thread of its own, and tells without blocking when it has ended.
fn run<F>(
    call: F,
    start: impl FnOnce() + Send + 'static,
) -> (oneshot::Receiver<()>, thread::JoinHandle<F::Output>)
where
    F: Future<Output: Send> + Send + 'static,
{
    let host = HOST.with_borrow(Clone::clone);
    let (end, ended) = oneshot::channel();
    let thread = thread::spawn(move || {
        start();
        let answer = host.block_on(call);
        drop(end);
        answer
    });
    (ended, thread)
}

/// Runs a case whose calls to be made [`at_once`] are run to their end by `host`, as tokio's
/// `Handle::block_on` does it. [`conformance_cases!`](crate::conformance_cases) names the runtime of
/// the test.
pub async fn hosted(
    host: impl Fn(BoxFuture<'static, ()>) + Send + Sync + 'static,
    case: impl Future<Output = ()>,
) {
    let host = Host(Some(Arc::new(host)));
    let mut case = pin!(case);
    poll_fn(|context| {
        let outer = HOST.replace(host.clone());
        let polled = case.as_mut().poll(context);
        HOST.set(outer);
        polled
    })
    .await;
}

thread_local! {
    /// Of the case that this thread is polling.
    static HOST: RefCell<Host> = const { RefCell::new(Host(None)) };
}

/// What runs a call on the thread that was made for it.
#[derive(Clone)]
struct Host(Option<Arc<dyn Fn(BoxFuture<'static, ()>) + Send + Sync>>);

impl Host {
    fn block_on<F>(&self, call: F) -> F::Output
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let Some(block_on) = &self.0 else {
            return executor::block_on(call);
        };
        let (answer, mut answered) = oneshot::channel();
        block_on(call.map(|output| drop(answer.send(output))).boxed());
        let output = answered.try_recv().ok().flatten();
        output.expect("the host ran the call to its end")
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").finish_non_exhaustive()
    }
}

/// A line from which all threads start together. They spin, since whoever has to be woken is late,
/// and the last to arrive lets them go when it has seen that another is running at that instant.
#[derive(Default)]
struct Start {
    arrived: AtomicUsize,
    /// How often those who wait have looked.
    looks: AtomicUsize,
    gone: AtomicBool,
}

impl Start {
    fn wait(&self, threads: usize) {
        if self.arrived.fetch_add(1, Ordering::AcqRel) + 1 < threads {
            return spin_until(|| {
                self.looks.fetch_add(1, Ordering::Relaxed);
                self.gone.load(Ordering::Acquire)
            });
        }
        let before = self.looks.load(Ordering::Relaxed);
        spin_until(|| threads == 1 || self.looks.load(Ordering::Relaxed) != before);
        self.gone.store(true, Ordering::Release);
    }
}

fn spin_until(done: impl Fn() -> bool) {
    for spins in 1_u32.. {
        if done() {
            return;
        }
        hint::spin_loop();
        if spins.is_multiple_of(256) {
            thread::yield_now();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[tokio::test]
    async fn calls_that_block_each_other_overlap() {
        let all = Arc::new(Barrier::new(8));
        let calls = (0..8).map(|n| {
            let all = Arc::clone(&all);
            async move {
                all.wait();
                n
            }
        });
        assert_eq!(at_once(calls).await, [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(at_once(Vec::<BoxFuture<'_, ()>>::new()).await, []);
    }

    #[tokio::test]
    async fn calls_wait_for_a_task_on_the_thread_of_the_case() {
        let (ask, asked) = oneshot::channel::<oneshot::Sender<u32>>();
        let driver = tokio::spawn(async { asked.await.unwrap().send(7).unwrap() });
        let call = async {
            let (reply, answer) = oneshot::channel();
            ask.send(reply).unwrap();
            answer.await.unwrap()
        };
        assert_eq!(at_once([call]).await, [7]);
        driver.await.unwrap();
    }

    #[tokio::test]
    async fn calls_are_within_the_runtime_that_was_named() {
        let runtime = tokio::runtime::Handle::current();
        let case = async {
            let call = |n| async move { tokio::spawn(async move { n }).await.unwrap() };
            assert_eq!(at_once([3, 4].map(call)).await, [3, 4]);
        };
        hosted(move |call| runtime.block_on(call), case).await;
        let without = at_once([async { tokio::runtime::Handle::try_current().is_ok() }]);
        assert_eq!(without.await, [false], "the name goes with the case");
    }

    #[tokio::test]
    #[should_panic(expected = "call 1")]
    async fn a_call_that_panics_fails_the_case() {
        at_once([0, 1].map(|n| async move { assert_eq!(n, 0, "call {n}") })).await;
    }
}
