use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;

use crate::{
    Error, ErrorKind, Position, Result, Topic,
    bus::{Bus, BusEvents, BusLimits, HistoryPage, HistoryRead, Outgoing, Published},
};

/// A node whose subscriptions and reads fail in one way, once it is told to.
#[derive(Debug)]
pub(super) struct FailingBus {
    inner: Arc<dyn Bus>,
    fault: Mutex<Option<Fault>>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    /// They never end.
    Hang,
    /// They fail at once.
    Refuse(ErrorKind),
    /// They answer all but the last that they are asked for.
    Omit,
}

impl FailingBus {
    pub(super) fn new(inner: Arc<dyn Bus>) -> Self {
        let fault = Mutex::default();
        Self { inner, fault }
    }

    pub(super) fn fail(&self, fault: Fault) {
        *self.fault.lock() = Some(fault);
    }

    pub(super) fn repair(&self) {
        *self.fault.lock() = None;
    }

    async fn spoil<T>(&self, op: &'static str, mut answers: Vec<T>) -> Result<Vec<T>> {
        let fault = *self.fault.lock();
        match fault {
            None => {}
            Some(Fault::Hang) => return std::future::pending().await,
            Some(Fault::Refuse(kind)) => return Err(Error::bare(kind, op)),
            Some(Fault::Omit) => drop(answers.pop()),
        }
        Ok(answers)
    }
}

#[async_trait]
impl Bus for FailingBus {
    fn limits(&self) -> BusLimits {
        self.inner.limits()
    }

    async fn publish(&self, messages: &[Outgoing]) -> Result<Vec<Result<Published>>> {
        self.inner.publish(messages).await
    }

    async fn subscribe(&self, topics: &[Topic]) -> Result<Vec<Result<Position>>> {
        let positions = self.inner.subscribe(topics).await?;
        self.spoil("subscribe", positions).await
    }

    async fn unsubscribe(&self, topics: &[Topic]) -> Result<()> {
        self.inner.unsubscribe(topics).await
    }

    async fn history(&self, reads: &[HistoryRead]) -> Result<Vec<Result<HistoryPage>>> {
        let pages = self.inner.history(reads).await?;
        self.spoil("history", pages).await
    }

    fn events(&self) -> BusEvents {
        self.inner.events()
    }

    async fn drain(&self) -> Result<()> {
        self.inner.drain().await
    }
}
