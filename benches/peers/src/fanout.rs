//! Broadcast channels. Each function subscribes a number of tasks and returns a call that sends one
//! message and lets every task receive it, as idle subscribers do: one wake-up each.

use std::{cell::Cell, future::Future, rc::Rc};

use bytes::Bytes;
use tokio::{
    runtime::{Builder, Runtime},
    task::{LocalSet, yield_now},
};

const CAPACITY: usize = 64;

/// `tokio::sync::broadcast`.
///
/// # Panics
///
/// If the runtime cannot be built, or a message is not received.
pub fn tokio_broadcast(subscribers: usize) -> impl FnMut(Bytes) {
    let (sender, _) = tokio::sync::broadcast::channel(CAPACITY);
    let mut tasks = Tasks::new();
    for _ in 0..subscribers {
        let mut receiver = sender.subscribe();
        tasks.spawn(async move |received| {
            while receiver.recv().await.is_ok() {
                received.set(received.get() + 1);
            }
        });
    }
    move |message| {
        tasks.run(subscribers, async {
            sender.send(message).expect("the tasks receive");
        });
    }
}

/// `flume`, one bounded channel a subscriber, since it has no broadcast.
///
/// # Panics
///
/// If the runtime cannot be built, or a message is not received.
pub fn flume(subscribers: usize) -> impl FnMut(Bytes) {
    let mut tasks = Tasks::new();
    let mut senders = Vec::new();
    for _ in 0..subscribers {
        let (sender, receiver) = flume::bounded::<Bytes>(CAPACITY);
        senders.push(sender);
        tasks.spawn(async move |received| {
            while receiver.recv_async().await.is_ok() {
                received.set(received.get() + 1);
            }
        });
    }
    move |message| {
        tasks.run(subscribers, async {
            for sender in &senders {
                sender.try_send(message.clone()).expect("the tasks keep up");
            }
        });
    }
}

/// `async-broadcast`.
///
/// # Panics
///
/// If the runtime cannot be built, or a message is not received.
pub fn async_broadcast(subscribers: usize) -> impl FnMut(Bytes) {
    let (sender, first) = async_broadcast::broadcast::<Bytes>(CAPACITY);
    let mut tasks = Tasks::new();
    for _ in 0..subscribers {
        let mut receiver = first.new_receiver();
        tasks.spawn(async move |received| {
            while receiver.recv().await.is_ok() {
                received.set(received.get() + 1);
            }
        });
    }
    drop(first);
    move |message| {
        tasks.run(subscribers, async {
            sender.broadcast(message).await.expect("the tasks receive");
        });
    }
}

/// Tasks on the calling thread, and how many messages they received.
struct Tasks {
    runtime: Runtime,
    local: LocalSet,
    received: Rc<Cell<usize>>,
}

impl Tasks {
    fn new() -> Self {
        Self {
            runtime: Builder::new_current_thread().build().expect("a runtime"),
            local: LocalSet::new(),
            received: Rc::default(),
        }
    }

    fn spawn<F: Future<Output = ()> + 'static>(
        &mut self,
        receive: impl FnOnce(Rc<Cell<usize>>) -> F,
    ) {
        self.local.spawn_local(receive(Rc::clone(&self.received)));
    }

    /// Sends, and runs the tasks until each has received once more.
    fn run(&mut self, subscribers: usize, send: impl Future<Output = ()>) {
        self.received.set(0);
        let received = Rc::clone(&self.received);
        self.local.block_on(&self.runtime, async {
            // The tasks of a first run are not waiting yet.
            yield_now().await;
            send.await;
            while received.get() < subscribers {
                yield_now().await;
            }
        });
    }
}
