//! One connection to one server, made again whenever it is lost, and what is subscribed on it.

use std::{
    collections::{HashMap, HashSet},
    error::Error as StdError,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Waker,
    time::Duration,
};

use backplane::{BackoffOptions, Clock, Result, Signal, SystemClock, Topic, bus::EventQueue};
use fastrand::Rng;
use futures::future::join_all;
use redis::{
    AsyncConnectionConfig, Client, Cmd, IntoConnectionInfo, ProtocolVersion, PushInfo, PushKind,
    RedisError, RedisResult, Value,
    aio::{AsyncPushSender, MultiplexedConnection, SendError},
    cmd,
};
use tokio::task::AbortHandle;

use super::answer;

/// How long a call waits for its subscriptions, and a connection for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long after a connection could not be made the next is tried, at most: nobody hears anything meanwhile.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// How long after a server has refused a channel it is asked again, unless that is elsewhere by then.
const RETRY_EVERY: Duration = Duration::from_millis(200);

/// Most channels that are named at once.
const BATCH: usize = 1_000;

/// Subscribes what it is told to, for as long as it lives.
pub(super) struct Wire {
    shared: Arc<Shared>,
    task: AbortHandle,
}

/// What all wires of a node have in common.
#[derive(Clone)]
pub(super) struct Ends {
    pub(super) queue: Arc<EventQueue>,
    pub(super) clock: SystemClock,
    pub(super) probe_every: Duration,
    /// Whether channels belong to slots of a Cluster.
    pub(super) sharded: bool,
    /// Raised when a server cannot be reached, or serves a channel no more.
    pub(super) trouble: Arc<Signal>,
}

struct Shared {
    client: Client,
    ends: Ends,
    state: Mutex<State>,
    /// Raised when there is something to subscribe, or the connection is lost.
    stirred: Signal,
    /// Raised when the server has answered a request to subscribe channels.
    settled: Signal,
}

#[derive(Default)]
struct State {
    channels: HashMap<Arc<str>, Channel>,
    /// Those that are not subscribed, as far as is known.
    pending: HashSet<Arc<str>>,
    connection: Option<MultiplexedConnection>,
    /// Whether channels are those of a shard on this connection, as far as is known.
    sharded: bool,
    /// Counts connections, since one that is lost may say so late.
    connections: u64,
    /// Whether nobody has the wire any more.
    is_over: bool,
}

struct Channel {
    topic: Topic,
    standing: Standing,
}

#[derive(Clone)]
enum Standing {
    New,
    /// It was subscribed on a connection that was lost, or on another server.
    Renewing,
    Subscribed,
    /// It was, as far as is known, and somebody asks for it again.
    Confirming,
    /// It must not be, for this reason.
    Refused(RedisError),
}

/// Takes what one connection pushes.
struct Inbox {
    shared: Arc<Shared>,
    connection: u64,
}

impl Wire {
    pub(super) fn start(client: Client, ends: Ends) -> Self {
        let shared = Arc::new(Shared {
            client,
            ends,
            state: Mutex::default(),
            stirred: Signal::default(),
            settled: Signal::default(),
        });
        let task = tokio::spawn(Arc::clone(&shared).run());
        Self {
            shared,
            task: task.abort_handle(),
        }
    }

    /// Has channels subscribed, at once, and again if they are already; `renewed`, if they were on
    /// another wire.
    pub(super) fn add(&self, channels: &[(&str, &Topic)], renewed: bool) {
        let mut state = self.shared.state();
        for &(channel, topic) in channels {
            let standing = match state.channels.get(channel) {
                _ if renewed => Standing::Renewing,
                None => Standing::New,
                Some(known) => match &known.standing {
                    Standing::Subscribed => Standing::Confirming,
                    Standing::Refused(_) => Standing::New,
                    standing => standing.clone(),
                },
            };
            state.put(channel, topic, standing);
        }
        drop(state);
        self.shared.stirred.raise();
    }

    /// Waits for the channels to be subscribed, and says which are in the end, or why they must not be.
    pub(super) async fn settled<'a>(
        &self,
        channels: &[&'a str],
    ) -> Vec<(&'a str, RedisResult<()>)> {
        let clock = &self.shared.ends.clock;
        let deadline = clock.monotonic() + PATIENCE;
        loop {
            let settled = self.shared.settled.listen();
            let outcomes = self.shared.state().outcomes(channels);
            let left = deadline.saturating_sub(clock.monotonic());
            if outcomes.len() == channels.len() || left.is_zero() {
                return outcomes;
            }
            settled.or_after(Some(left), clock).await;
        }
    }

    /// Takes what is still pushed for nothing.
    pub(super) fn forget(&self, channels: &[&str]) {
        let mut state = self.shared.state();
        for &channel in channels {
            state.channels.remove(channel);
            state.pending.remove(channel);
        }
        drop(state);
        self.shared.settled.raise();
    }

    /// Forgets a channel that another server serves. This one is gone, or has ended the subscription itself,
    /// but for one without shard channels.
    pub(super) fn leave(&self, channel: &str) {
        self.forget(&[channel]);
        let state = self.shared.state();
        if !state.sharded {
            state.end(channel);
        }
    }

    /// Ends subscriptions that were [forgotten](Self::forget). Where that fails, they go on for nothing.
    pub(super) async fn end(&self, channels: &[&str]) {
        let connection = self.shared.state().connection.clone();
        if let Some(mut connection) = connection {
            let ended = self.shared.name("UNSUBSCRIBE", channels, &mut connection);
            if let Err(error) = ended.await {
                tracing::debug!(error = &error as &dyn StdError, "not unsubscribed");
            }
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
        // The connection has an inbox, and that has what holds the connection.
        *self.shared.state() = State {
            is_over: true,
            ..State::default()
        };
    }
}

impl Shared {
    async fn run(self: Arc<Self>) {
        let backoff = BackoffOptions::default().with_max_delay(LONGEST_PAUSE);
        let (mut jitter, mut failures) = (Rng::new(), 0);
        loop {
            failures += 1;
            match self.connect().await {
                Ok(connection) => {
                    if self.keep(connection).await {
                        failures = 0;
                    }
                }
                Err(error) => {
                    tracing::warn!(error = &error as &dyn StdError, "no connection for events");
                }
            }
            self.state().connection = None;
            self.ends.trouble.raise();
            let pause = backoff.delay(failures, None, &mut jitter);
            self.ends.clock.sleep(pause).await;
        }
    }

    async fn connect(self: &Arc<Self>) -> RedisResult<MultiplexedConnection> {
        let info = self.client.get_connection_info().clone();
        let settings = info.redis_settings().clone();
        let settings = settings.set_protocol(ProtocolVersion::RESP3);
        let client = Client::open(info.set_redis_settings(settings).into_connection_info()?)?;
        let inbox = Inbox {
            shared: Arc::clone(self),
            connection: self.state().begin(self.ends.sharded),
        };
        let config = AsyncConnectionConfig::new()
            .set_push_sender(inbox)
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        let connection = client
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        let mut state = self.state();
        if !state.is_over {
            state.connection = Some(connection.clone());
        }
        drop(state);
        Ok(connection)
    }

    /// Subscribes what is to be until the connection is lost, and says whether it ever did. A connection
    /// that is dead looks like one that is quiet, so it is asked from time to time.
    async fn keep(&self, mut connection: MultiplexedConnection) -> bool {
        let (clock, every) = (&self.ends.clock, self.ends.probe_every);
        let (mut probed, mut worked) = (clock.monotonic(), false);
        loop {
            let stirred = self.stirred.listen();
            if self.state().connection.is_none() {
                return worked;
            }
            let pending: Vec<_> = self.state().pending.iter().cloned().collect();
            let names: Vec<&str> = pending.iter().map(|name| &**name).collect();
            let mut pause = every;
            if let Err(error) = self.name("SUBSCRIBE", &names, &mut connection).await {
                tracing::warn!(error = &error as &dyn StdError, "not subscribed");
                if is_of_connection(&error) {
                    return worked;
                }
                // The server serves some of the channels no more, or not yet; others are subscribed.
                self.ends.trouble.raise();
                pause = RETRY_EVERY.min(every);
            }
            worked = true;
            stirred.or_after(Some(pause), clock).await;
            if clock.monotonic().saturating_sub(probed) >= every {
                probed = clock.monotonic();
                let pong: RedisResult<Value> = cmd("PING").query_async(&mut connection).await;
                if pong.is_err() {
                    return worked;
                }
            }
        }
    }

    /// Subscribes to channels, or unsubscribes. A server of a Cluster that has no shard channels, as none has
    /// before Redis 7, has others, on which it hears of whatever any server of the Cluster publishes.
    async fn name(
        &self,
        command: &str,
        channels: &[&str],
        connection: &mut MultiplexedConnection,
    ) -> RedisResult<()> {
        let mut first = Ok(());
        for channels in channels.chunks(BATCH) {
            let named = self.name_some(command, channels, connection).await;
            self.settled.raise();
            match named {
                Err(error) if is_of_connection(&error) => return Err(error),
                // There may be nothing in the way of the others.
                named => first = first.and(named),
            }
        }
        first
    }

    async fn name_some(
        &self,
        command: &str,
        channels: &[&str],
        connection: &mut MultiplexedConnection,
    ) -> RedisResult<()> {
        if self.state().sharded {
            match self
                .name_each(&format!("S{command}"), channels, connection)
                .await
            {
                Err(error) if is_unknown_command(&error) => self.state().sharded = false,
                named => return named,
            }
        }
        let named = if command == "SUBSCRIBE" {
            connection.subscribe(channels).await
        } else {
            connection.unsubscribe(channels).await
        };
        match named {
            // None is subscribed, since of one it must not be.
            Err(error) if is_forbidden(&error) => {
                self.name_each(command, channels, connection).await
            }
            named => named,
        }
    }

    /// Names channels, one in each command: those of shards would have to be of one slot.
    async fn name_each(
        &self,
        command: &str,
        channels: &[&str],
        connection: &MultiplexedConnection,
    ) -> RedisResult<()> {
        let one = |channel: &&str| {
            let mut command = cmd(command);
            command.arg(*channel);
            send(command, connection.clone())
        };
        let sent = join_all(channels.iter().map(one)).await;
        let mut state = self.state();
        let mut named = Ok(());
        for (&channel, sent) in channels.iter().zip(sent) {
            match sent {
                Err(error) if is_forbidden(&error) && state.refuse(channel, &error) => {}
                sent => named = named.and(sent),
            }
        }
        drop(state);
        named
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the connection is of no use any more.
fn is_of_connection(error: &RedisError) -> bool {
    error.is_unrecoverable_error() || error.is_io_error()
}

fn is_forbidden(error: &RedisError) -> bool {
    error.code() == Some("NOPERM")
}

fn is_unknown_command(error: &RedisError) -> bool {
    error.code() == Some("ERR")
        && error
            .detail()
            .is_some_and(|text| text.starts_with("unknown command"))
}

async fn send(command: Cmd, mut connection: MultiplexedConnection) -> RedisResult<()> {
    command.exec_async(&mut connection).await
}

impl State {
    /// Begins another connection, on which nothing is subscribed yet.
    fn begin(&mut self, sharded: bool) -> u64 {
        self.sharded = sharded;
        for (name, channel) in &mut self.channels {
            match channel.standing {
                Standing::New => {}
                // Who may hear what may be otherwise by now.
                Standing::Refused(_) => channel.standing = Standing::New,
                _ => channel.standing = Standing::Renewing,
            }
            self.pending.insert(Arc::clone(name));
        }
        self.connections += 1;
        self.connections
    }

    /// Has a channel subscribed.
    fn put(&mut self, name: &str, topic: &Topic, standing: Standing) {
        let name: Arc<str> = name.into();
        let topic = topic.clone();
        self.pending.insert(Arc::clone(&name));
        self.channels.insert(name, Channel { topic, standing });
    }

    /// Takes an answer for final, and says whether it is: who has heard a channel may hear it again.
    fn refuse(&mut self, name: &str, error: &RedisError) -> bool {
        let Some(channel) = self.channels.get_mut(name) else {
            return true;
        };
        let is_final = !matches!(channel.standing, Standing::Renewing);
        if is_final {
            channel.standing = Standing::Refused(error.clone());
            self.pending.remove(name);
        }
        is_final
    }

    /// Which of the channels are subscribed, or must not be; or were removed meanwhile, so that nobody waits for
    /// nothing.
    fn outcomes<'a>(&self, channels: &[&'a str]) -> Vec<(&'a str, RedisResult<()>)> {
        let outcome = |name: &&'a str| match self.channels.get(*name).map(|it| &it.standing) {
            None | Some(Standing::Subscribed) => Some((*name, Ok(()))),
            Some(Standing::Refused(error)) => Some((*name, Err(error.clone()))),
            Some(_) => None,
        };
        channels.iter().filter_map(outcome).collect()
    }

    /// Ends a subscription, without waiting for it.
    fn end(&self, channel: &str) {
        if let Some(connection) = self.connection.clone() {
            let shard = if self.sharded { "S" } else { "" };
            let mut command = cmd(&format!("{shard}UNSUBSCRIBE"));
            command.arg(channel);
            tokio::spawn(send(command, connection));
        }
    }
}

impl Inbox {
    /// A message of a channel, which stands in the order in which the server sent it.
    fn message(&self, channel: &str, push: Vec<u8>) -> Option<()> {
        let topic = self.shared.state().channels.get(channel)?.topic.clone();
        let queue = &self.shared.ends.queue;
        let waker = queue.push(&topic, answer::message(push)?);
        waker.into_iter().for_each(Waker::wake);
        Some(())
    }

    /// What is published after this arrives.
    fn subscribed(&self, channel: &str) -> Option<()> {
        let renewed = {
            let mut state = self.shared.state();
            if state.connections != self.connection {
                return None;
            }
            state.pending.remove(channel);
            let Some(channel) = state.channels.get_mut(channel) else {
                // It was forgotten after the server had been told.
                state.end(channel);
                return None;
            };
            let was = std::mem::replace(&mut channel.standing, Standing::Subscribed);
            matches!(was, Standing::Renewing).then(|| channel.topic.clone())
        };
        if let Some(topic) = renewed {
            self.shared.ends.queue.renewed(&topic);
        }
        Some(())
    }

    /// The server serves the channel no more, unless this node has left it.
    fn unsubscribed(&self, channel: &str) -> Option<()> {
        let mut state = self.shared.state();
        let topic = state.channels.get(channel)?.topic.clone();
        state.put(channel, &topic, Standing::Renewing);
        drop(state);
        self.shared.ends.trouble.raise();
        self.shared.stirred.raise();
        Some(())
    }

    fn lost(&self) {
        let mut state = self.shared.state();
        if state.connections == self.connection {
            state.connection = None;
        }
        drop(state);
        self.shared.stirred.raise();
    }
}

impl AsyncPushSender for Inbox {
    fn send(&self, push: PushInfo) -> Result<(), SendError> {
        if push.kind == PushKind::Disconnection {
            self.lost();
            return Ok(());
        }
        let mut data = push.data.into_iter();
        let (Some(Value::BulkString(channel)), Some(content)) = (data.next(), data.next()) else {
            return Ok(());
        };
        // What does not decode is missing from the positions, and read from the history.
        let _ = str::from_utf8(&channel)
            .ok()
            .and_then(|channel| match (push.kind, content) {
                (PushKind::Message | PushKind::SMessage, Value::BulkString(content)) => {
                    self.message(channel, content)
                }
                (PushKind::Subscribe | PushKind::SSubscribe, _) => self.subscribed(channel),
                (PushKind::Unsubscribe | PushKind::SUnsubscribe, _) => self.unsubscribed(channel),
                _ => None,
            });
        Ok(())
    }
}
