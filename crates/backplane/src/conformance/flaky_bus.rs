//! A bus that misbehaves on purpose.

use std::{
    collections::HashSet,
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::Poll,
};

use async_trait::async_trait;
use fastrand::Rng;
use futures::{StreamExt, stream};
use parking_lot::Mutex;

use crate::{
    Error, ErrorKind, Position, Result, Topic,
    bus::{Bus, BusEvent, BusEvents, BusLimits, HistoryPage, HistoryRead, Outgoing, Published},
};

/// A node whose events are dropped, repeated, delayed and cut off without notice, and whose calls
/// dawdle and fail with or without effect: worse than the [`Bus`] trait allows, as bad as engines are.
///
/// One event or call in eight is hit by each fault, drawn from a seed.
#[derive(Debug)]
pub struct FlakyBus {
    inner: Arc<dyn Bus>,
    faults: Arc<Faults>,
    unsubscribed: AtomicUsize,
    corrupt: Mutex<HashSet<Topic>>,
}

#[derive(Debug)]
struct Faults {
    enabled: AtomicBool,
    rng: Mutex<Rng>,
}

impl FlakyBus {
    /// Spoils `inner`, the same way for the same seed and the same calls.
    #[must_use]
    pub fn new(inner: Arc<dyn Bus>, seed: u64) -> Self {
        Self {
            inner,
            faults: Arc::new(Faults {
                enabled: AtomicBool::new(true),
                rng: Mutex::new(Rng::with_seed(seed)),
            }),
            unsubscribed: AtomicUsize::new(0),
            corrupt: Mutex::default(),
        }
    }

    /// Ends all faults.
    pub fn heal(&self) {
        self.faults.enabled.store(false, Ordering::Relaxed);
    }

    /// Makes the engine's data of `topic` undecodable: subscriptions to it and reads of its history
    /// fail. What is published still arrives.
    pub fn corrupt(&self, topic: &Topic) {
        self.corrupt.lock().insert(topic.clone());
    }

    /// Repairs what was made [`corrupt`](Self::corrupt).
    pub fn repair(&self) {
        self.corrupt.lock().clear();
    }

    /// How many topics it was asked to unsubscribe from.
    #[must_use]
    pub fn unsubscribed(&self) -> usize {
        self.unsubscribed.load(Ordering::Relaxed)
    }

    /// Fails the parts of a call whose topics do not decode.
    fn decode<'a, T>(
        &self,
        op: &'static str,
        topics: impl Iterator<Item = &'a Topic>,
        parts: Vec<Result<T>>,
    ) -> Vec<Result<T>> {
        let corrupt = self.corrupt.lock();
        let decoded = |(topic, part)| {
            if corrupt.contains(topic) {
                return Err(Error::new(ErrorKind::Corrupt, op, "spoiled on purpose"));
            }
            part
        };
        topics.zip(parts).map(decoded).collect()
    }

    /// Fails some parts of a call that took effect.
    fn spoil_some<T>(&self, op: &'static str, parts: Vec<Result<T>>) -> Vec<Result<T>> {
        let spoil = |part| self.faults.strike(op).and(part);
        parts.into_iter().map(spoil).collect()
    }
}

#[async_trait]
impl Bus for FlakyBus {
    fn limits(&self) -> BusLimits {
        self.inner.limits()
    }

    async fn publish(&self, messages: &[Outgoing]) -> Result<Vec<Result<Published>>> {
        self.faults.dawdle().await;
        self.faults.strike("publish")?;
        let published = self.inner.publish(messages).await?;
        self.faults.strike("publish")?;
        Ok(self.spoil_some("publish", published))
    }

    async fn subscribe(&self, topics: &[Topic]) -> Result<Vec<Result<Position>>> {
        self.faults.dawdle().await;
        self.faults.strike("subscribe")?;
        let positions = self.inner.subscribe(topics).await?;
        self.faults.strike("subscribe")?;
        let positions = self.spoil_some("subscribe", positions);
        Ok(self.decode("subscribe", topics.iter(), positions))
    }

    async fn unsubscribe(&self, topics: &[Topic]) -> Result<()> {
        self.unsubscribed.fetch_add(topics.len(), Ordering::Relaxed);
        self.faults.dawdle().await;
        self.faults.strike("unsubscribe")?;
        self.inner.unsubscribe(topics).await?;
        self.faults.strike("unsubscribe")
    }

    async fn history(&self, reads: &[HistoryRead]) -> Result<Vec<Result<HistoryPage>>> {
        self.faults.dawdle().await;
        self.faults.strike("history")?;
        let pages = self.inner.history(reads).await?;
        let pages = self.spoil_some("history", pages);
        Ok(self.decode("history", reads.iter().map(|read| &read.topic), pages))
    }

    fn events(&self) -> BusEvents {
        let faults = Arc::clone(&self.faults);
        let mut delayed = None;
        let spoil = move |event| stream::iter(faults.spoil(event, &mut delayed));
        BusEvents::new(self.inner.events().flat_map(spoil))
    }

    async fn drain(&self) -> Result<()> {
        self.inner.drain().await
    }
}

impl Faults {
    /// Which of eight things happens; all but the first four are nothing.
    fn draw(&self) -> u8 {
        if self.enabled.load(Ordering::Relaxed) {
            self.rng.lock().u8(..8)
        } else {
            u8::MAX
        }
    }

    /// Lets whoever else runs go first, now and then many times.
    async fn dawdle(&self) {
        let mut polls = match self.draw() {
            0 => self.rng.lock().u8(..64),
            _ => 0,
        };
        poll_fn(|cx| {
            if polls == 0 {
                return Poll::Ready(());
            }
            polls -= 1;
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    fn strike(&self, op: &'static str) -> Result<()> {
        if self.draw() == 0 {
            return Err(Error::new(ErrorKind::Unavailable, op, "struck on purpose"));
        }
        Ok(())
    }

    fn spoil(&self, event: BusEvent, delayed: &mut Option<BusEvent>) -> Vec<BusEvent> {
        let late = delayed.take();
        let mut out = match self.draw() {
            0 => {
                *delayed = Some(event);
                vec![]
            }
            1 => vec![], // lost, and nobody is told
            2 => vec![BusEvent::Resubscribed {
                topic: event.topic().clone(),
            }],
            3 => vec![event.clone(), event],
            _ => vec![event],
        };
        out.extend(late);
        out
    }
}
