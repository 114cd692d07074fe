//! One read for all who ask for the same thing at once.

use std::{
    fmt,
    hash::Hash,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use futures::{
    FutureExt,
    future::{BoxFuture, Shared, WeakShared},
};
use hashbrown::HashMap;
use parking_lot::Mutex;

/// Reads that callers share: who asks for a key while it is being read waits for that read.
///
/// ```
/// use chat_core::Coalescer;
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let reads = Coalescer::new();
/// let watermark = 7; // what the caller knows to be there
/// let page = reads.run("messages 1 to 7", watermark, async { vec!["hello"] }).await;
/// assert_eq!(page, ["hello"]);
/// # }
/// ```
///
/// # What a caller may get
///
/// A read that began before a write was acknowledged need not show it, and a caller who knows of the
/// write must not be handed such a read. So each says what it must see *at least*: a number that grows
/// with every acknowledged write, as the watermark of the conversation. It joins a read of a caller who
/// knew as much, or more, when it asked; otherwise it begins a read of its own, which those who come
/// later join. Zero is for what never changes.
///
/// # Cancel safety
///
/// Whichever of its callers is polled drives a read, which needs no task and no executor. A caller that
/// is dropped takes nothing along, and a read that has lost all its callers is dropped and forgotten.
///
/// # What is kept
///
/// Nothing. A value goes to those who waited for it, and so does a failure, if values are `Result`s
/// (their errors have to be `Clone`, as an `Arc` is); whoever asks next reads again.
pub struct Coalescer<K, V> {
    flights: Arc<Flights<K, V>>,
}

struct Flights<K, V> {
    under_way: Mutex<HashMap<K, Flight<V>>>,
    begun: AtomicU64,
}

/// A read that is under way, as long as anybody waits for it.
struct Flight<V> {
    number: u64,
    at_least: u64,
    read: WeakShared<BoxFuture<'static, V>>,
}

impl<K, V> Coalescer<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// One with nothing under way.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What is read of `key`: by `read`, or by a caller who must see as much.
    ///
    /// # Panics
    ///
    /// If the read panics, for all who share it. The next caller reads again.
    pub async fn run(
        &self,
        key: K,
        at_least: u64,
        read: impl Future<Output = V> + Send + 'static,
    ) -> V {
        self.board(key, at_least, read).await
    }

    // Looks and begins under one lock: two callers who looked first would both begin.
    fn board(
        &self,
        key: K,
        at_least: u64,
        read: impl Future<Output = V> + Send + 'static,
    ) -> Shared<BoxFuture<'static, V>> {
        let mut under_way = self.flights.under_way.lock();
        if let Some(flight) = under_way.get(&key)
            && flight.at_least >= at_least
            && let Some(read) = flight.read.upgrade()
        {
            return read;
        }
        let number = self.flights.begun.fetch_add(1, Ordering::Relaxed);
        let landing = Landing {
            flights: Arc::clone(&self.flights),
            key: key.clone(),
            number,
        };
        let read = async move {
            let _landing = landing;
            read.await
        };
        let read = read.boxed().shared();
        let flight = Flight {
            number,
            at_least,
            read: read.downgrade().expect("nobody has polled it yet"),
        };
        under_way.insert(key, flight);
        read
    }
}

/// Forgets a read when it has ended, or has been dropped.
struct Landing<K: Eq + Hash, V> {
    flights: Arc<Flights<K, V>>,
    key: K,
    number: u64,
}

impl<K: Eq + Hash, V> Drop for Landing<K, V> {
    fn drop(&mut self) {
        let mut under_way = self.flights.under_way.lock();
        let flight = under_way.get(&self.key);
        if flight.is_some_and(|flight| flight.number == self.number) {
            under_way.remove(&self.key);
        }
    }
}

impl<K, V> Default for Coalescer<K, V> {
    fn default() -> Self {
        let flights = Flights {
            under_way: Mutex::default(),
            begun: AtomicU64::new(0),
        };
        Self {
            flights: Arc::new(flights),
        }
    }
}

impl<K, V> fmt::Debug for Coalescer<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Coalescer")
            .field("under_way", &self.flights.under_way.lock().len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
