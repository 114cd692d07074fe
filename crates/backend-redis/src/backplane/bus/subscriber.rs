//! What a node is subscribed to, and on which servers.

use std::{
    collections::{BTreeMap, HashMap},
    error::Error as StdError,
    sync::Arc,
    time::Duration,
};

use backplane::{Clock, Error, ErrorKind, Result, SystemClock, Topic, bus::EventQueue};
use futures::future::join_all;
use redis::{Client, ConnectionAddr};
use tokio::{
    sync::{Mutex, MutexGuard},
    task::AbortHandle,
};

use super::wire::{Ends, Wire};
use crate::{
    Redis, failure,
    slots::{Address, SlotMap, slot_of},
};

/// Has channels subscribed on the servers that serve them: on one, or in a Cluster on the master of
/// each slot, also after another has become that.
pub(super) struct Subscriber {
    routes: Arc<Routes>,
    task: Option<AbortHandle>,
}

struct Routes {
    redis: Redis,
    /// Tells how to connect; in a Cluster, but for the address.
    client: Client,
    ends: Ends,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    slots: SlotMap,
    wires: BTreeMap<Address, Arc<Wire>>,
    homes: HashMap<Box<str>, (Topic, Address)>,
}

/// How long after a look at the slots the next is, while servers cannot be reached.
const LOOK_EVERY: Duration = Duration::from_millis(200);

impl Subscriber {
    pub(super) fn start(
        redis: Redis,
        client: Client,
        queue: Arc<EventQueue>,
        probe_every: Duration,
    ) -> Self {
        let sharded = redis.is_cluster();
        let ends = Ends {
            queue,
            clock: SystemClock::new(),
            probe_every,
            sharded,
            trouble: Arc::default(),
        };
        let routes = Arc::new(Routes {
            redis,
            client,
            ends,
            state: Mutex::default(),
        });
        let task = sharded.then(|| tokio::spawn(Arc::clone(&routes).follow()).abort_handle());
        Self { routes, task }
    }

    /// Says of each channel whether it is subscribed.
    pub(super) async fn subscribe(&self, channels: &[(String, Topic)]) -> Result<Vec<Result<()>>> {
        const OP: &str = "subscribe";
        let wires = self.routes.place(OP, channels).await?;
        let waits = wires.iter().map(|(wire, channels)| wire.settled(channels));
        let settled: HashMap<_, _> = join_all(waits).await.into_iter().flatten().collect();
        let outcome = |(channel, _): &(String, Topic)| match settled.get(channel.as_str()) {
            Some(Ok(())) => Ok(()),
            Some(Err(refusal)) => Err(failure::of(OP, refusal.clone())),
            None => {
                let silent = "no server has confirmed the subscription";
                Err(Error::new(ErrorKind::Unavailable, OP, silent))
            }
        };
        Ok(channels.iter().map(outcome).collect())
    }

    pub(super) async fn unsubscribe(&self, channels: &[(String, Topic)]) {
        let wires = self.routes.displace(channels).await;
        join_all(wires.iter().map(|(wire, channels)| wire.end(channels))).await;
    }

    pub(super) async fn stop(&self) {
        if let Some(task) = &self.task {
            task.abort();
        }
        *self.routes.state.lock().await = State::default();
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

type Wires<'a> = Vec<(Arc<Wire>, Vec<&'a str>)>;

impl Routes {
    /// The state, once it is known who serves which slots.
    async fn ready(&self, op: &'static str) -> Result<MutexGuard<'_, State>> {
        let state = self.state.lock().await;
        if !self.ends.sharded || !state.wires.is_empty() {
            return Ok(state);
        }
        drop(state);
        let slots = self.redis.slots(op).await?;
        let mut state = self.state.lock().await;
        if state.wires.is_empty() {
            state.slots = slots;
        }
        Ok(state)
    }

    /// Gives channels to the wires that they belong to; those of a slot that nobody serves, to none.
    async fn place<'a>(
        &self,
        op: &'static str,
        channels: &'a [(String, Topic)],
    ) -> Result<Wires<'a>> {
        let mut state = self.ready(op).await?;
        if !channels
            .iter()
            .all(|(_, topic)| self.ends.queue.track(topic))
        {
            return Err(Error::bare(ErrorKind::Closed, op));
        }
        let mut placed = BTreeMap::<_, Vec<_>>::new();
        for (channel, topic) in channels {
            let home = state.homes.get(channel.as_str());
            let address = match home {
                Some((_, address)) => Some(address.clone()),
                None => self.address(&state, channel),
            };
            let Some(address) = address else {
                self.ends.trouble.raise();
                continue;
            };
            let home = (topic.clone(), address.clone());
            state.homes.insert(channel.as_str().into(), home);
            let channels = placed.entry(address).or_default();
            channels.push((channel.as_str(), topic));
        }
        let mut wires = Vec::with_capacity(placed.len());
        for (address, channels) in placed {
            let wire = state.wire(&address, self);
            wire.add(&channels, false);
            wires.push((wire, channels.into_iter().map(|(name, _)| name).collect()));
        }
        Ok(wires)
    }

    async fn displace<'a>(&self, channels: &'a [(String, Topic)]) -> Wires<'a> {
        let mut state = self.state.lock().await;
        let mut wires = BTreeMap::<_, Vec<_>>::new();
        for (channel, topic) in channels {
            self.ends.queue.untrack(topic);
            if let Some((_, address)) = state.homes.remove(channel.as_str()) {
                wires.entry(address).or_default().push(channel.as_str());
            }
        }
        let forgotten = |(address, channels): (Address, Vec<&'a str>)| {
            let wire = state.wire(&address, self);
            wire.forget(&channels);
            (wire, channels)
        };
        wires.into_iter().map(forgotten).collect()
    }

    fn address(&self, state: &State, channel: &str) -> Option<Address> {
        if self.ends.sharded {
            state.slots.address(slot_of(channel.as_bytes())).cloned()
        } else {
            Some(Address::default())
        }
    }

    /// Moves channels to the servers that serve their slots now.
    async fn follow(self: Arc<Self>) {
        let (clock, trouble) = (&self.ends.clock, &self.ends.trouble);
        loop {
            let raised = trouble.listen();
            match self.redis.slots("subscribe").await {
                Ok(slots) => self.move_to(slots).await,
                Err(error) => {
                    tracing::warn!(error = &error as &dyn StdError, "no view of the slots");
                }
            }
            raised.or_after(Some(self.ends.probe_every), clock).await;
            clock.sleep(LOOK_EVERY).await;
        }
    }

    async fn move_to(&self, slots: SlotMap) {
        let mut state = self.state.lock().await;
        let mut moved = Vec::new();
        for (channel, (topic, home)) in &state.homes {
            if let Some(address) = slots.address(slot_of(channel.as_bytes()))
                && address != home
            {
                moved.push((
                    channel.clone(),
                    topic.clone(),
                    home.clone(),
                    address.clone(),
                ));
            }
        }
        state.slots = slots;
        for (channel, topic, from, to) in moved {
            state.wire(&from, self).leave(&channel);
            state.wire(&to, self).add(&[(&channel, &topic)], true);
            state.homes.insert(channel, (topic, to));
        }
        let State { wires, homes, .. } = &mut *state;
        wires.retain(|address, _| homes.values().any(|(_, home)| home == address));
    }

    /// How to connect to a server of a Cluster.
    fn client_of(&self, address: &Address) -> Client {
        let info = self.client.get_connection_info().clone();
        let (mut host, port) = address.clone();
        if let ConnectionAddr::Tcp(own, _) | ConnectionAddr::TcpTls { host: own, .. } = info.addr()
            && host.is_empty()
        {
            host.clone_from(own);
        }
        let place = match info.addr() {
            ConnectionAddr::TcpTls {
                insecure,
                tls_params,
                ..
            } => ConnectionAddr::TcpTls {
                host,
                port,
                insecure: *insecure,
                tls_params: tls_params.clone(),
            },
            _ => ConnectionAddr::Tcp(host, port),
        };
        Client::open(info.set_addr(place)).unwrap_or_else(|_| self.client.clone())
    }
}

impl State {
    fn wire(&mut self, address: &Address, routes: &Routes) -> Arc<Wire> {
        let wire = self.wires.entry(address.clone()).or_insert_with(|| {
            let client = if routes.ends.sharded {
                routes.client_of(address)
            } else {
                routes.client.clone()
            };
            Arc::new(Wire::start(client, routes.ends.clone()))
        });
        Arc::clone(wire)
    }
}
