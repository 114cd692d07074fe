//! Users who come and go at several nodes, and somebody who listens.

use std::{
    collections::BTreeMap,
    future::pending,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use backend_redis::{Redis, RedisPresence, RedisPresenceOptions};
use backplane::{
    SystemClock,
    bus::{BusEvent, BusEvents},
    directory::Incarnation,
    memory::{MemoryBus, MemoryNode},
};
use chat_core::{
    Device, DeviceId, UserId,
    presence::{
        Announcement, Departure, DeviceSession, Fanout, Presence, PresenceOptions, PresenceTracker,
        Published, StateRead, Status,
    },
};
use engines::{Proxy, RedisCluster};
use fastrand::Rng;
use futures::{FutureExt, StreamExt};

use crate::{
    cut_replicas,
    house::{INTERVAL, master_of, until},
    on_cluster, on_server,
    trouble::{TROUBLES, Trouble},
};

/// So short that a node which is cut off loses it.
const SHORT: Duration = Duration::from_secs(2);

/// So long that it outlasts a failover.
const LONG: Duration = Duration::from_secs(15);

/// How long trouble lasts in which the nodes go on.
const LASTING: Duration = Duration::from_millis(400);

const USERS: u64 = 60;

fn presence(redis: Redis) -> RedisPresence {
    let options = RedisPresenceOptions::default().with_parts(12);
    RedisPresence::new(redis, options)
}

/// Two nodes, and what is heard of their users.
struct World {
    nodes: [PresenceTracker; 2],
    sessions: Mutex<BTreeMap<(usize, u64), DeviceSession>>,
    is_still: AtomicBool,
    judge: RedisPresence,
    ear: Mutex<Ear>,
}

struct Ear {
    _node: MemoryNode,
    events: BusEvents,
    heard: BTreeMap<UserId, Published>,
}

impl World {
    /// Nodes and a judge with a connection of each one's own.
    fn new(lease: Duration, [one, other, judge]: [Redis; 3]) -> Self {
        let bus = MemoryBus::default();
        let node = bus.node();
        let topics: Vec<_> = users().map(Announcement::topic).collect();
        node.subscribe(&topics).unwrap();
        let ear = Ear {
            events: node.events(),
            _node: node,
            heard: BTreeMap::new(),
        };
        let tracker = |name: &str, redis| {
            let options = PresenceOptions::default()
                .with_grace(Duration::ZERO)
                .with_lease(lease)
                .with_tick(INTERVAL)
                .with_batch(20);
            let fanout = Fanout::new(Arc::new(bus.node()));
            let (engine, clock) = (Arc::new(presence(redis)), Arc::new(SystemClock::new()));
            PresenceTracker::new(name, Incarnation::new(1), engine, fanout, clock, options)
        };
        Self {
            nodes: [tracker("a", one), tracker("b", other)],
            sessions: Mutex::default(),
            is_still: AtomicBool::new(false),
            judge: presence(judge),
            ear: Mutex::new(ear),
        }
    }

    /// Has the nodes run and their users come and go while `story` goes on; before and after it, those who listen
    /// know who is there.
    async fn while_living(&self, story: impl AsyncFnOnce()) {
        let script = async {
            self.settles().await;
            story().await;
            self.settles().await;
        };
        let [one, other] = &self.nodes;
        tokio::select! {
            () = script => {}
            () = self.come_and_go() => unreachable!("it goes on for ever"),
            ended = one.run(pending()) => panic!("{ended:?}"),
            ended = other.run(pending()) => panic!("{ended:?}"),
        }
    }

    async fn come_and_go(&self) {
        let mut rng = Rng::with_seed(7);
        loop {
            tokio::time::sleep(INTERVAL / 10).await;
            if !self.is_still.load(Ordering::Relaxed) {
                let (node, user) = (rng.usize(..2), rng.u64(..USERS));
                let mut sessions = self.sessions.lock().unwrap();
                if let Some(session) = sessions.remove(&(node, user)) {
                    self.nodes[node].disconnect(session, Departure::Graceful);
                } else {
                    let device = Device::new(UserId::new(user), DeviceId::new(node as u64));
                    let session = self.nodes[node].connect(device, Status::Online);
                    sessions.insert((node, user), session.unwrap());
                }
            }
        }
    }

    /// Some go on for a while, and then all hold still until everybody knows who is there.
    async fn settles(&self) {
        self.is_still.store(false, Ordering::Relaxed);
        tokio::time::sleep(LASTING).await;
        self.is_still.store(true, Ordering::Relaxed);
        self.becomes_known().await;
    }

    /// Nobody comes or goes, unless they did before.
    async fn becomes_known(&self) {
        until("who listens knows who is there", async || {
            self.is_known().await
        })
        .await;
    }

    /// Whether the engine and those who listen say what the nodes do.
    async fn is_known(&self) -> bool {
        let reads: Vec<_> = users().map(StateRead::new).collect();
        let states = match self.judge.states(&reads).await {
            Ok(states) => states,
            Err(error) => {
                assert!(error.is_retryable(), "{error:?}");
                return false;
            }
        };
        let mut ear = self.ear.lock().unwrap();
        ear.listen();
        let status = |state: Option<Published>| state.map_or(Status::Offline, |it| it.state.status);
        users().zip(states).all(|(user, state)| {
            let here = self.nodes.iter().map(|node| node.status_here(user)).max();
            let heard = ear.heard.get(&user).copied();
            Some(status(state)) == here && Some(status(heard)) == here
        })
    }
}

impl Ear {
    fn listen(&mut self) {
        while let Some(Some(event)) = self.events.next().now_or_never() {
            let BusEvent::Message { message, .. } = event else {
                panic!("{event:?}")
            };
            let said = Announcement::decode(message.payload).unwrap();
            let Announcement::Published(said) = said else {
                panic!("on the topic of others");
            };
            let known = self.heard.entry(said.user).or_insert(said);
            if known.version < said.version {
                *known = said;
            }
            let is_other = known.version == said.version && known.state != said.state;
            assert!(!is_other, "{known:?} has the version of {said:?}");
        }
    }
}

fn users() -> impl Iterator<Item = UserId> {
    (0..USERS).map(UserId::new)
}

/// The server is well, but what is between it and a node is not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_there_is_known_after_a_bad_network() {
    let server = engines::Redis::start().unwrap();
    let proxy = Proxy::start(server.address()).unwrap();
    let node = on_server(&proxy.url()).await;
    let world = World::new(
        SHORT,
        [
            node,
            on_server(&server.url()).await,
            on_server(&server.url()).await,
        ],
    );
    world
        .while_living(async || {
            for trouble in TROUBLES {
                world.is_still.store(false, Ordering::Relaxed);
                trouble.begin(&proxy);
                let lasting = if trouble.keeps_from_server() {
                    SHORT * 2
                } else {
                    LASTING
                };
                tokio::time::sleep(lasting).await;
                Trouble::end(&proxy);
                world.settles().await;
            }
        })
        .await;
}

/// The server loses everything: the nodes report everybody anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_there_is_known_after_a_server_has_lost_everything() {
    let server = engines::Redis::start().unwrap();
    let [one, other, judge] = [&server; 3].map(engines::Redis::url);
    let world = World::new(
        SHORT,
        [
            on_server(&one).await,
            on_server(&other).await,
            on_server(&judge).await,
        ],
    );
    world
        .while_living(async || {
            for _ in 0..3 {
                server.restart_empty().unwrap();
                world.becomes_known().await;
                world.settles().await;
            }
        })
        .await;
}

async fn on(cluster: &RedisCluster) -> World {
    World::new(
        LONG,
        [
            on_cluster(cluster).await,
            on_cluster(cluster).await,
            on_cluster(cluster).await,
        ],
    )
}

/// The master of some users dies, and then that of the leases; the replicas that take over have not heard of reports
/// that were answered, and nobody makes them again for another reason.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_there_is_known_though_replicas_lack_the_last_reports() {
    let cluster = RedisCluster::start(3, 1).unwrap();
    let world = on(&cluster).await;
    let leases = master_of("presence");
    world
        .while_living(async || {
            for node in [(leases + 1) % 3, leases] {
                cut_replicas(&cluster, node).await;
                world.settles().await;
                cluster.kill(node).unwrap();
                world.becomes_known().await;
                world.settles().await;
            }
        })
        .await;
}

/// A master hangs until its replica has taken over, and goes on later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_there_is_known_after_a_master_hung() {
    let cluster = RedisCluster::start(3, 1).unwrap();
    let world = on(&cluster).await;
    let leases = master_of("presence");
    world
        .while_living(async || {
            for node in [leases, (leases + 1) % 3] {
                cluster.pause(node).unwrap();
                world.settles().await;
                cluster.resume(node).unwrap();
                world.settles().await;
            }
        })
        .await;
}
