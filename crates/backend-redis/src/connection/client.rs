//! The client of a Cluster whose masters may hang or die.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
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
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
};

use super::{node::unanswered, within};
use crate::slots::{SlotMap, slot_of};

/// How many requests may be under way in a client of a Cluster. Others of the application share it.
const UNDER_WAY: usize = 32;

/// How many of them at least one master may have. Else each has its share, so that one that hangs leaves room for
/// the others.
const OF_ONE: usize = 4;

/// How long a request waits for room.
const ROOM_WITHIN: Duration = Duration::from_secs(5);

/// How many servers are asked for the masters. One of them may be what hangs, and another serve the key
/// that it is asked for.
const ASKED: usize = 6;

/// How long it is waited for their answers, which come soon or not at all.
const ANSWERS_WITHIN: Duration = Duration::from_millis(500);

/// When the client looks once more after it has looked: by then it may have looked too early.
const AGAIN_AFTER: Duration = Duration::from_secs(30);
const AGAIN_UNTIL: Duration = Duration::from_secs(120);

/// The client of a Cluster, which is given only so much to do at a time, and made to look for the masters
/// when another serves what one of them did not answer.
///
/// With about a hundred requests under way when a server dies, redis 1.8 waits for ever: while it looks for
/// the slots anew, it holds back requests that hold what it waits for. And by itself it looks only when a
/// connection breaks, or when a server says that another serves a slot. A master that hangs, or whose
/// machine is gone, does neither: the client would go on asking it long after a replica has taken over. While it
/// looks nothing else is sent, and that takes long where a node hangs, again and again; so it is not made to look
/// without a reason.
#[derive(Clone)]
pub(super) struct Client<C> {
    connection: ClusterConnection<C>,
    shared: Arc<Shared>,
}

/// What clones of a client share.
struct Shared {
    room: Arc<Semaphore>,
    view: Mutex<View>,
    /// Held while servers are asked for a view.
    asking: AsyncMutex<()>,
    /// Held while the client is made to look.
    looking: AsyncMutex<Sight>,
    clock: SystemClock,
}

/// Who serves which slots, as a server has said last.
#[derive(Default)]
struct View {
    slots: Option<Arc<SlotMap>>,
    /// Whether no command was sent to the wrong one since.
    is_sure: bool,
    /// The room of each master, by its name.
    places: BTreeMap<String, Arc<Semaphore>>,
}

/// What the client has seen when it was made to look for the last time, and when that was.
#[derive(Default)]
struct Sight {
    slots: Option<Arc<SlotMap>>,
    at: Option<Duration>,
}

/// What a request takes: a place at its master if that is known, and one of all.
type Room = Vec<OwnedSemaphorePermit>;

impl<C: ConnectionLike + Connect + Clone + Send + Sync + Unpin + 'static> Client<C> {
    /// Sends a command to the master of its key; without one, to whom the client sends it.
    pub(super) async fn send(&self, command: &Cmd) -> Result<Value, RedisError> {
        let (command, mut connection) = (command.clone(), self.connection.clone());
        let key = first_key(&command).to_vec();
        if key.is_empty() {
            let sent = async move { command.query_async(&mut connection).await };
            return self.request(None, sent).await;
        }
        let node = RoutingInfo::SingleNode(master_of(&key));
        let sent = async move { connection.route_command(command, node).await };
        self.request(Some(key), sent).await?.extract_error()
    }

    /// Sends a command to `node`.
    pub(super) async fn send_to(
        &self,
        node: SingleNodeRoutingInfo,
        command: Cmd,
    ) -> Result<Value, RedisError> {
        let (node, mut connection) = (RoutingInfo::SingleNode(node), self.connection.clone());
        let sent = async move { connection.route_command(command, node).await };
        self.request(None, sent).await?.extract_error()
    }

    /// Sends commands to the master of the first one's key. An error of the whole is answered once.
    pub(super) async fn pipe(&self, pipeline: Pipeline) -> Result<Vec<Value>, RedisError> {
        let first = pipeline.cmd_iter().next();
        let key = first.map_or_else(Vec::new, |first| first_key(first).to_vec());
        self.pipe_to(master_of(&key), pipeline, Some(key)).await
    }

    /// Sends commands to `node`, because it is the master of a key, or else for itself.
    pub(super) async fn pipe_to(
        &self,
        node: SingleNodeRoutingInfo,
        pipeline: Pipeline,
        key: Option<Vec<u8>>,
    ) -> Result<Vec<Value>, RedisError> {
        let (count, mut connection) = (pipeline.len(), self.connection.clone());
        let sent = async move { connection.route_pipeline(pipeline, 0, count, node).await };
        self.request(key, sent).await
    }

    /// Has something sent once there is room, and looks for the masters if no answer comes. That goes to its end
    /// whether or not the caller waits so long: it takes room until then.
    async fn request<T: Send + 'static>(
        &self,
        key: Option<Vec<u8>>,
        sent: impl Future<Output = Result<T, RedisError>> + Send + 'static,
    ) -> Result<T, RedisError> {
        let room = self.enter(key.as_deref().map(slot_of)).await?;
        let client = self.clone();
        let request = async move {
            let answer = sent.await;
            drop(room);
            let is_late = |error: &RedisError| unanswered(error).unwrap_or(error).is_timeout();
            if let Some(key) = key
                && answer.as_ref().is_err_and(is_late)
            {
                client.look(&key).await;
            }
            answer
        };
        match Handle::try_current() {
            Ok(runtime) => runtime.spawn(request).await.unwrap_or_else(|ended| {
                let ended = ended.to_string();
                Err((ErrorKind::Client, "the request was ended", ended).into())
            }),
            Err(_) => request.await,
        }
    }

    /// Who serves which slots; `None` if no server has ever said so.
    pub(super) async fn slots(&self) -> Option<Arc<SlotMap>> {
        let (slots, is_sure) = self.shared.known();
        if is_sure {
            return slots;
        }
        let _alone = match self.shared.asking.try_lock() {
            Some(alone) => alone,
            // Somebody asks: what is not sure will do meanwhile.
            None if slots.is_some() => return slots,
            None => self.shared.asking.lock().await,
        };
        let (slots, is_sure) = self.shared.known();
        if is_sure {
            return slots;
        }
        match self.ask().await {
            Some(new) => Some(self.shared.know(new)),
            None => slots,
        }
    }

    pub(super) fn doubt_slots(&self) {
        self.shared.view().is_sure = false;
    }

    /// Notes who serves which slots, for a client that has just looked.
    pub(super) async fn begin(&self) {
        let slots = self.slots().await;
        self.shared.looking.lock().await.slots = slots;
    }

    /// Room for a request to the master of a slot.
    async fn enter(&self, slot: Option<u16>) -> Result<Room, RedisError> {
        let mut wanted = Vec::with_capacity(2);
        if let Some(slot) = slot
            && let Some(slots) = self.slots().await
        {
            wanted.extend(self.shared.places(&slots, slot));
        }
        wanted.push(Arc::clone(&self.shared.room));
        let mut room = Vec::with_capacity(wanted.len());
        for places in wanted {
            room.push(place(places).await?);
        }
        Ok(room)
    }

    /// Makes the client look for the masters, if there is another for this key.
    async fn look(&self, key: &[u8]) {
        let Some(mut sight) = self.shared.looking.try_lock() else {
            return;
        };
        let slot = slot_of(key);
        let before = sight
            .slots
            .clone()
            .or_else(|| self.shared.view().slots.clone());
        let Some(slots) = self.ask().await else {
            return;
        };
        let slots = self.shared.know(slots);
        let is_other = before.is_some_and(|before| before.master(slot) != slots.master(slot));
        let now = self.shared.clock.monotonic();
        let is_again = sight.at.is_some_and(|at| {
            let since = now.saturating_sub(at);
            (AGAIN_AFTER..AGAIN_UNTIL).contains(&since)
        });
        if is_other || is_again {
            *sight = Sight {
                slots: Some(slots),
                at: is_other.then_some(now),
            };
            self.send_astray(key).await;
        }
    }

    /// Asks some servers for a key that most of them do not serve, for which everybody has the right who may run a
    /// script. They say who serves it, upon which the client looks at all slots anew.
    async fn send_astray(&self, key: &[u8]) {
        let mut nothing = cmd("EVALSHA");
        nothing.arg("0".repeat(40)).arg(1).arg(key);
        let asked = (0..ASKED).map(|_| self.ask_anyone(nothing.clone()));
        let _ = within(ANSWERS_WITHIN, async { Ok(join_all(asked).await) }).await;
    }

    /// Who serves which slots, as the first says who is asked.
    async fn ask(&self) -> Option<SlotMap> {
        let slots = cmd("CLUSTER").arg("SLOTS").take();
        let asked = (0..ASKED).map(|_| Box::pin(self.ask_anyone(slots.clone())));
        let (answer, _) = within(ANSWERS_WITHIN, select_ok(asked)).await.ok()?;
        SlotMap::read(&answer)
    }

    fn ask_anyone(&self, command: Cmd) -> impl Future<Output = Result<Value, RedisError>> {
        let mut connection = self.connection.clone();
        let anyone = RoutingInfo::SingleNode(SingleNodeRoutingInfo::Random);
        async move { connection.route_command(command, anyone).await }
    }
}

impl Shared {
    fn view(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who serves which slots, as far as is known, and whether that is sure.
    fn known(&self) -> (Option<Arc<SlotMap>>, bool) {
        let view = self.view();
        (view.slots.clone(), view.is_sure)
    }

    fn know(&self, slots: SlotMap) -> Arc<SlotMap> {
        let slots = Arc::new(slots);
        let mut view = self.view();
        let count = |view: &View| view.slots.as_ref().map(|slots| slots.count());
        let before = count(&view);
        view.slots = Some(Arc::clone(&slots));
        view.is_sure = true;
        if count(&view) != before {
            // The shares are others.
            view.places.clear();
        }
        slots
    }

    /// The room of the master of a slot, if there is one.
    fn places(&self, slots: &SlotMap, slot: u16) -> Option<Arc<Semaphore>> {
        let master = slots.master(slot)?;
        let mut view = self.view();
        if let Some(places) = view.places.get(master) {
            return Some(Arc::clone(places));
        }
        let share = (UNDER_WAY / slots.count()).max(OF_ONE);
        let places = Arc::new(Semaphore::new(share));
        view.places.insert(master.to_owned(), Arc::clone(&places));
        Some(places)
    }
}

/// A place, once there is one.
async fn place(places: Arc<Semaphore>) -> Result<OwnedSemaphorePermit, RedisError> {
    if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
        return Ok(place);
    }
    let none = || (ErrorKind::Client, "too many requests are under way").into();
    within(ROOM_WITHIN, places.acquire_owned().map_err(|_| none()))
        .await
        .map_err(|_| none())
}

impl<C> From<ClusterConnection<C>> for Client<C> {
    fn from(connection: ClusterConnection<C>) -> Self {
        Self {
            connection,
            shared: Arc::new(Shared {
                room: Arc::new(Semaphore::new(UNDER_WAY)),
                view: Mutex::default(),
                asking: AsyncMutex::default(),
                looking: AsyncMutex::default(),
                clock: SystemClock::new(),
            }),
        }
    }
}

fn master_of(key: &[u8]) -> SingleNodeRoutingInfo {
    let slot = Slot::new(slot_of(key));
    SingleNodeRoutingInfo::from(slot.map(|slot| Route::with_slot(slot, SlotAddr::Master)))
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
