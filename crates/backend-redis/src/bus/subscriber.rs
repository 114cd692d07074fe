//! A node's connection for what it is subscribed to, made again whenever it is lost.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Waker,
    time::Duration,
};

use backplane::{
    Clock, Error, ErrorKind, Result, SystemClock, Topic, backoff::BackoffOptions, bus::EventQueue,
};
use fastrand::Rng;
use futures::future::{Either, select};
use redis::{
    AsyncConnectionConfig, Client, IntoConnectionInfo, ProtocolVersion, PushInfo, PushKind,
    RedisResult, Value,
    aio::{AsyncPushSender, MultiplexedConnection, SendError},
};
use tokio::{
    sync::{Notify, watch},
    task::AbortHandle,
};

use super::answer;
use crate::failure;

/// How long a call waits for a connection, and a connection for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Most channels that one command names.
const BATCH: usize = 1_000;

/// Sees to it that what is subscribed is subscribed.
pub(super) struct Subscriber {
    shared: Arc<Shared>,
    task: AbortHandle,
}

struct Shared {
    client: Client,
    clock: SystemClock,
    queue: Arc<EventQueue>,
    channels: Mutex<Channels>,
    connection: watch::Sender<Option<MultiplexedConnection>>,
}

#[derive(Default)]
struct Channels {
    by_name: HashMap<Box<str>, Channel>,
    /// Those that are being subscribed on a new connection, since the last one was lost.
    renewing: HashSet<Box<str>>,
}

struct Channel {
    topic: Topic,
    /// Whether a connection was asked for it, so that the next one must be.
    asked: bool,
}

/// Takes what one connection pushes.
struct Inbox {
    shared: Arc<Shared>,
    lost: Arc<Notify>,
}

impl Subscriber {
    pub(super) fn start(client: Client, queue: Arc<EventQueue>, probe_every: Duration) -> Self {
        let shared = Arc::new(Shared {
            client,
            clock: SystemClock::new(),
            queue,
            channels: Mutex::default(),
            connection: watch::Sender::new(None),
        });
        let task = tokio::spawn(run(Arc::clone(&shared), probe_every));
        Self {
            shared,
            task: task.abort_handle(),
        }
    }

    pub(super) async fn subscribe(&self, channels: Vec<(String, Topic)>) -> Result<()> {
        if channels.is_empty() {
            return Ok(());
        }
        for (channel, topic) in &channels {
            if !self.shared.queue.track(topic) {
                return Err(Error::bare(ErrorKind::Closed, "subscribe"));
            }
            self.shared.channels().add(channel, topic);
        }
        let mut connection = self.connection("subscribe").await?;
        let names: Vec<_> = channels.iter().map(|(name, _)| name.as_str()).collect();
        self.shared.channels().ask(&names);
        for names in names.chunks(BATCH) {
            let subscribed = connection.subscribe(names).await;
            subscribed.map_err(|error| failure::of("subscribe", error))?;
        }
        Ok(())
    }

    pub(super) async fn unsubscribe(&self, channels: Vec<(String, Topic)>) -> Result<()> {
        let names: Vec<_> = channels.iter().map(|(name, _)| name.as_str()).collect();
        for (name, topic) in &channels {
            self.shared.channels().remove(name);
            self.shared.queue.untrack(topic);
        }
        let connection = self.shared.connection.borrow().clone();
        // Without a connection there is nothing to end, and the next one will not begin it.
        if let Some(mut connection) = connection {
            for names in names.chunks(BATCH) {
                let ended = connection.unsubscribe(names).await;
                ended.map_err(|error| failure::of("unsubscribe", error))?;
            }
        }
        Ok(())
    }

    pub(super) fn stop(&self) {
        self.task.abort();
        self.shared.connection.send_replace(None);
        *self.shared.channels() = Channels::default();
    }

    async fn connection(&self, op: &'static str) -> Result<MultiplexedConnection> {
        let mut connections = self.shared.connection.subscribe();
        let connected = std::pin::pin!(connections.wait_for(Option::is_some));
        let patience = self.shared.clock.sleep(PATIENCE);
        match select(connected, patience).await {
            Either::Left((Ok(connection), _)) => Ok(connection.clone().expect("it was waited for")),
            _ => Err(Error::new(ErrorKind::Unavailable, op, "not connected")),
        }
    }
}

/// Makes a connection whenever there is none.
async fn run(shared: Arc<Shared>, probe_every: Duration) {
    let (backoff, mut jitter, mut failures) = (BackoffOptions::default(), Rng::new(), 0);
    loop {
        let lost = Arc::new(Notify::new());
        match shared.connect(&lost).await {
            Ok(connection) => {
                failures = 0;
                shared.connection.send_replace(Some(connection.clone()));
                shared.keep(connection, &lost, probe_every).await;
                shared.connection.send_replace(None);
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "no subscriptions");
                failures += 1;
            }
        }
        let pause = backoff.delay(failures, None, &mut jitter);
        shared.clock.sleep(pause).await;
    }
}

impl Shared {
    /// A connection on which everything is subscribed that was on the last one.
    async fn connect(self: &Arc<Self>, lost: &Arc<Notify>) -> RedisResult<MultiplexedConnection> {
        let info = self.client.get_connection_info().clone();
        let settings = info.redis_settings().clone();
        let settings = settings.set_protocol(ProtocolVersion::RESP3);
        let client = Client::open(info.set_redis_settings(settings).into_connection_info()?)?;
        let inbox = Inbox {
            shared: Arc::clone(self),
            lost: Arc::clone(lost),
        };
        let config = AsyncConnectionConfig::new()
            .set_push_sender(inbox)
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        let connecting = client.get_multiplexed_async_connection_with_config(&config);
        let mut connection = connecting.await?;
        let names = self.channels().renew();
        for names in names.chunks(BATCH) {
            let names: Vec<&str> = names.iter().map(|name| &**name).collect();
            connection.subscribe(&names).await?;
        }
        Ok(connection)
    }

    /// Returns when the connection is lost. One that is dead looks like one that is quiet, so it is
    /// asked from time to time.
    async fn keep(&self, mut connection: MultiplexedConnection, lost: &Notify, every: Duration) {
        loop {
            let pause = self.clock.sleep(every);
            if let Either::Left(_) = select(std::pin::pin!(lost.notified()), pause).await {
                return;
            }
            let ping: RedisResult<Value> = redis::cmd("PING").query_async(&mut connection).await;
            if ping.is_err() {
                return;
            }
        }
    }

    fn channels(&self) -> MutexGuard<'_, Channels> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Channels {
    fn add(&mut self, name: &str, topic: &Topic) {
        self.by_name.entry(name.into()).or_insert_with(|| Channel {
            topic: topic.clone(),
            asked: false,
        });
    }

    fn ask(&mut self, names: &[&str]) {
        for name in names {
            if let Some(channel) = self.by_name.get_mut(*name) {
                channel.asked = true;
            }
        }
    }

    fn remove(&mut self, name: &str) {
        self.by_name.remove(name);
        self.renewing.remove(name);
    }

    /// What a new connection is to be asked for.
    fn renew(&mut self) -> Vec<Box<str>> {
        let asked = self.by_name.iter().filter(|(_, channel)| channel.asked);
        let names: Vec<_> = asked.map(|(name, _)| name.clone()).collect();
        self.renewing = names.iter().cloned().collect();
        names
    }
}

impl Inbox {
    /// A message of a channel, which stands in the order in which the server sent it.
    fn message(&self, channel: &str, push: &[u8]) -> Option<()> {
        let topic = self.shared.channels().by_name.get(channel)?.topic.clone();
        let waker = self.shared.queue.push(&topic, answer::message(push)?);
        waker.into_iter().for_each(Waker::wake);
        Some(())
    }

    /// What is published after this arrives.
    fn subscribed(&self, channel: &str) -> Option<()> {
        let topic = {
            let mut channels = self.shared.channels();
            channels.renewing.take(channel)?;
            channels.by_name.get(channel)?.topic.clone()
        };
        self.shared.queue.renewed(&topic);
        Some(())
    }
}

impl AsyncPushSender for Inbox {
    fn send(&self, push: PushInfo) -> Result<(), SendError> {
        match (push.kind, &push.data[..]) {
            (PushKind::Disconnection, _) => self.lost.notify_one(),
            (PushKind::Message, [Value::BulkString(channel), Value::BulkString(payload)]) => {
                // What does not decode is missing from the positions, and read from the history.
                let channel = std::str::from_utf8(channel).ok();
                let _ = channel.and_then(|channel| self.message(channel, payload));
            }
            (PushKind::Subscribe, [Value::BulkString(channel), ..]) => {
                let channel = std::str::from_utf8(channel).ok();
                let _ = channel.and_then(|channel| self.subscribed(channel));
            }
            _ => {}
        }
        Ok(())
    }
}
