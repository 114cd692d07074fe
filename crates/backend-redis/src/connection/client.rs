//! The client of a Cluster whose masters may hang or die.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use backplane::{Clock, SystemClock};
use futures::{
    TryFutureExt as _,
    future::{join_all, select_ok},
    lock::Mutex as AsyncMutex,
};
use redis::{
    Arg, Cmd, ErrorKind, Pipeline, RedisError, Value,
    aio::ConnectionLike,
    cluster_async::{ClusterConnection, Connect},
    cluster_routing::{Route, RoutingInfo, SingleNodeRoutingInfo, Slot, SlotAddr},
    cmd,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{node::unanswered, within};
use crate::slots::{SlotMap, slot_of};

/// How many requests may be under way in a client of a Cluster. Others of the application share it.
const UNDER_WAY: usize = 32;

/// How many of them at least one master may have. Else each has its share, so that one that hangs leaves room for
/// the others.
const OF_ONE: usize = 4;

/// How long a request waits for room.
const PATIENCE: Duration = Duration::from_secs(5);

/// How many servers are asked for the masters. One of them may be what hangs, and another serve the key
/// that it is asked for.
const ASKED: usize = 6;

/// How long it is waited for their answers, which come at once or not at all.
const AT_ONCE: Duration = Duration::from_millis(200);

/// After how long the client looks again though nothing seems to have changed: it may have looked too early.
const PAUSE: Duration = Duration::from_secs(30);

/// The client of a Cluster, which is given only so much to do at a time, and made to look for the masters
/// when another serves what one of them did not answer.
///
/// With about a hundred requests under way when a server dies, redis 1.8 waits for ever: while it looks for
/// the slots anew, it holds back requests that hold what it waits for. And by itself it looks only when a
/// connection breaks, or when a server says that another serves a slot. A master that hangs, or whose
/// machine is gone, does neither: the client would go on asking it long after a replica has taken over. While it
/// looks nothing else is sent, and that takes long where a node hangs; so it is not made to look without a reason.
#[derive(Clone)]
pub(super) struct Client<C> {
    connection: ClusterConnection<C>,
    shared: Arc<Shared>,
}

/// What clones of a client share.
struct Shared {
    room: Arc<Semaphore>,
    /// Of each master, by its name.
    places: Mutex<BTreeMap<String, Arc<Semaphore>>>,
    /// Who serves which slots, as a server has said; none, if a command was sent to the wrong one since.
    slots: Mutex<Option<Arc<SlotMap>>>,
    /// Held while the servers are asked for that.
    asking: AsyncMutex<()>,
    /// Held while the client is made to look: when it was the last time.
    looking: AsyncMutex<Duration>,
    clock: SystemClock,
}

/// What a request takes: a place at its master if that is known, and one of all.
type Room = Vec<OwnedSemaphorePermit>;

impl<C: ConnectionLike + Connect + Clone + Send + Sync + Unpin + 'static> Client<C> {
    /// Sends a command to the master of its key.
    pub(super) async fn send(&self, command: &Cmd) -> Result<Value, RedisError> {
        let answer = {
            let _room = self.enter(Some(slot(command))).await?;
            command.query_async(&mut self.connection.clone()).await
        };
        self.heed(answer, command).await
    }

    /// Sends a command to `node`.
    pub(super) async fn send_to(
        &self,
        node: SingleNodeRoutingInfo,
        command: Cmd,
    ) -> Result<Value, RedisError> {
        let _room = self.enter(None).await?;
        let node = RoutingInfo::SingleNode(node);
        self.connection.clone().route_command(command, node).await
    }

    /// Sends commands to the master of the first one's key. An error of the whole is answered once.
    pub(super) async fn pipe(&self, pipeline: Pipeline) -> Result<Vec<Value>, RedisError> {
        let count = pipeline.len();
        let Some(first) = pipeline.cmd_iter().next().cloned() else {
            return Ok(Vec::new());
        };
        let master = Slot::new(slot(&first)).map(|slot| Route::with_slot(slot, SlotAddr::Master));
        let node = SingleNodeRoutingInfo::from(master);
        let answers = {
            let _room = self.enter(Some(slot(&first))).await?;
            let mut connection = self.connection.clone();
            connection.route_pipeline(pipeline, 0, count, node).await
        };
        self.heed(answers, &first).await
    }

    /// Who serves which slots; `None` if no server says so.
    pub(super) async fn slots(&self) -> Option<Arc<SlotMap>> {
        if let Some(slots) = self.known() {
            return Some(slots);
        }
        let _alone = self.shared.asking.lock().await;
        match self.known() {
            Some(slots) => Some(slots),
            None => Some(self.know(self.ask(PATIENCE).await?)),
        }
    }

    pub(super) fn forget_slots(&self) {
        *self.shared.slots() = None;
    }

    fn known(&self) -> Option<Arc<SlotMap>> {
        self.shared.slots().clone()
    }

    fn know(&self, slots: SlotMap) -> Arc<SlotMap> {
        let slots = Arc::new(slots);
        *self.shared.slots() = Some(Arc::clone(&slots));
        slots
    }

    /// Some room for a request to the master of a slot.
    async fn enter(&self, slot: Option<u16>) -> Result<Room, RedisError> {
        let mut room = Vec::with_capacity(2);
        if let Some(slot) = slot
            && let Some(slots) = self.slots().await
            && let Some(places) = self.shared.places(&slots, slot)
        {
            room.push(place(places).await?);
        }
        room.push(place(Arc::clone(&self.shared.room)).await?);
        Ok(room)
    }

    /// Looks for the masters if there was no answer to `command`.
    async fn heed<T>(&self, answer: Result<T, RedisError>, command: &Cmd) -> Result<T, RedisError> {
        let is_late = |error: &RedisError| unanswered(error).unwrap_or(error).is_timeout();
        if answer.as_ref().is_err_and(is_late) {
            self.look(first_key(command)).await;
        }
        answer
    }

    /// Makes the client look for the masters, if there is another for this key.
    async fn look(&self, key: &[u8]) {
        let Some(mut looked) = self.shared.looking.try_lock() else {
            return;
        };
        let slot = slot_of(key);
        let Some(slots) = self.ask(AT_ONCE).await else {
            return;
        };
        let before = self.known();
        let is_other = before.is_some_and(|before| before.master(slot) != slots.master(slot));
        self.know(slots);
        let now = self.shared.clock.monotonic();
        if is_other || now.saturating_sub(*looked) > PAUSE {
            *looked = now;
            self.send_astray(key).await;
        }
    }

    /// Asks some servers for a key that most of them do not serve. They say who does, upon which the
    /// client looks at all slots anew.
    async fn send_astray(&self, key: &[u8]) {
        let exists = cmd("EXISTS").arg(key).take();
        let asked = (0..ASKED).map(|_| self.ask_anyone(exists.clone()));
        let _ = within(AT_ONCE, async { Ok(join_all(asked).await) }).await;
    }

    /// Who serves which slots, as the first says who is asked.
    async fn ask(&self, patience: Duration) -> Option<SlotMap> {
        let slots = cmd("CLUSTER").arg("SLOTS").take();
        let asked = (0..ASKED).map(|_| Box::pin(self.ask_anyone(slots.clone())));
        let (answer, _) = within(patience, select_ok(asked)).await.ok()?;
        SlotMap::read(&answer)
    }

    fn ask_anyone(&self, command: Cmd) -> impl Future<Output = Result<Value, RedisError>> {
        let mut connection = self.connection.clone();
        let anyone = RoutingInfo::SingleNode(SingleNodeRoutingInfo::Random);
        async move { connection.route_command(command, anyone).await }
    }
}

impl Shared {
    fn slots(&self) -> std::sync::MutexGuard<'_, Option<Arc<SlotMap>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The places of the master of a slot, if there is one.
    fn places(&self, slots: &SlotMap, slot: u16) -> Option<Arc<Semaphore>> {
        let master = slots.master(slot)?;
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = places.get(master) {
            return Some(Arc::clone(place));
        }
        let share = (UNDER_WAY / slots.count()).max(OF_ONE);
        let place = Arc::new(Semaphore::new(share));
        places.insert(master.to_owned(), Arc::clone(&place));
        Some(place)
    }
}

/// A place, once there is one.
async fn place(places: Arc<Semaphore>) -> Result<OwnedSemaphorePermit, RedisError> {
    if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
        return Ok(place);
    }
    let none = || (ErrorKind::Client, "too many requests are under way").into();
    within(PATIENCE, places.acquire_owned().map_err(|_| none()))
        .await
        .map_err(|_| none())
}

impl<C> From<ClusterConnection<C>> for Client<C> {
    fn from(connection: ClusterConnection<C>) -> Self {
        Self {
            connection,
            shared: Arc::new(Shared {
                room: Arc::new(Semaphore::new(UNDER_WAY)),
                places: Mutex::default(),
                slots: Mutex::default(),
                asking: AsyncMutex::default(),
                looking: AsyncMutex::default(),
                clock: SystemClock::new(),
            }),
        }
    }
}

/// The slot of a command's first key.
pub(super) fn slot(command: &Cmd) -> u16 {
    slot_of(first_key(command))
}

/// Nothing, if it has none.
fn first_key(command: &Cmd) -> &[u8] {
    let argument = |place| match command.args_iter().nth(place) {
        Some(Arg::Simple(argument)) => argument,
        _ => &[],
    };
    let is_script = argument(0).starts_with(b"EVAL");
    argument(if is_script { 3 } else { 1 })
}
