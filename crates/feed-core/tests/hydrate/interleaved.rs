//! Fetches that are under way while others forget what they have read.

use std::{mem, sync::Arc, time::Duration};

use async_trait::async_trait;
use backplane::ManualClock;
use bytes::Bytes;
use feed_core::{
    Hydrator, HydratorOptions, HydratorParts, Lack, MemoryOutbox, MemorySharedCache,
    MemorySharedCacheOptions, Result, User, UserId, UserSource,
};
use futures::{
    FutureExt,
    channel::oneshot::{self, Sender},
    future::BoxFuture,
    poll,
};
use parking_lot::Mutex;
use proptest::{collection::vec, prelude::*};

use crate::world::ANN;

/// Knows one user, whose profile is a number. What a call has read it answers when it is let go.
#[derive(Debug, Default)]
struct Gated {
    profile: Mutex<u64>,
    calls: Mutex<Vec<Sender<()>>>,
}

#[async_trait]
impl UserSource for Gated {
    async fn users(&self, users: &[UserId]) -> Result<Vec<Option<User>>> {
        let profile = self.profile.lock().to_string();
        let (go, gone) = oneshot::channel();
        self.calls.lock().push(go);
        gone.await.ok();
        let user = |&user: &UserId| Some(User::new(user, profile.clone()));
        Ok(users.iter().map(user).collect())
    }
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Read(usize),
    /// Lets one of the calls that are under way answer.
    Land(usize),
    Edit,
    EditAndForget(usize),
    /// The shared cache loses what it has.
    Lose,
    Pass(u64),
}

fn op() -> impl Strategy<Value = Op> {
    let node = 0_usize..2;
    prop_oneof![
        4 => node.clone().prop_map(Op::Read),
        3 => (0_usize..4).prop_map(Op::Land),
        1 => Just(Op::Edit),
        2 => node.prop_map(Op::EditAndForget),
        1 => Just(Op::Lose),
        1 => (0_u64..8).prop_map(Op::Pass),
    ]
}

type Reading = BoxFuture<'static, Vec<Result<User, Lack>>>;

struct Race {
    clock: ManualClock,
    source: Arc<Gated>,
    cache: Arc<MemorySharedCache>,
    nodes: [Hydrator; 2],
    readings: Vec<Reading>,
    /// The number below which everything was forgotten.
    floor: u64,
    /// How often the shared cache held content.
    shared: usize,
}

impl Race {
    fn new() -> Self {
        let clock = ManualClock::default();
        let source: Arc<Gated> = Arc::default();
        let options = MemorySharedCacheOptions::default();
        let cache = Arc::new(MemorySharedCache::new(Arc::new(clock.clone()), options));
        let node = || {
            let users = Arc::clone(&source);
            let time = Arc::new(clock.clone());
            let mut parts = HydratorParts::new(Arc::<MemoryOutbox>::default(), users, time);
            let shared = Arc::clone(&cache);
            parts.shared = Some(shared);
            // Nothing is kept in the nodes, so that every call asks the shared cache.
            let users = HydratorOptions::default().users.with_max_bytes(0);
            parts.options = HydratorOptions::default().with_users(users);
            Hydrator::new(parts)
        };
        Self {
            nodes: [node(), node()],
            clock,
            source,
            cache,
            readings: Vec::new(),
            floor: 0,
            shared: 0,
        }
    }

    async fn apply(&mut self, op: Op) {
        match op {
            Op::Read(node) => {
                let node = self.nodes[node].clone();
                let reading = async move { node.users(&[ANN]).await };
                self.readings.push(reading.boxed());
            }
            Op::Land(call) => {
                let mut calls = self.source.calls.lock();
                if call < calls.len() {
                    calls.remove(call).send(()).ok();
                }
            }
            Op::Edit => *self.source.profile.lock() += 1,
            Op::EditAndForget(node) => {
                *self.source.profile.lock() += 1;
                self.floor = *self.source.profile.lock();
                let forgotten = self.nodes[node].forget_users(&[ANN]).await;
                forgotten.expect("the cache is well");
            }
            Op::Lose => self.cache.remove_many(&[key()]),
            Op::Pass(seconds) => self.clock.advance(Duration::from_secs(seconds)),
        }
        for mut reading in mem::take(&mut self.readings) {
            if poll!(&mut reading).is_pending() {
                self.readings.push(reading);
            }
        }
        self.check();
    }

    /// What the shared cache has is not older than what was forgotten.
    fn check(&mut self) {
        let Some(found) = self.cache.get_many(&[key()]).remove(0) else {
            return;
        };
        if let Some((3, profile)) = found.split_first() {
            let profile = std::str::from_utf8(profile).expect("a number");
            let profile: u64 = profile.parse().expect("a number");
            assert!(profile >= self.floor, "{profile} was forgotten");
            self.shared += 1;
        }
    }
}

fn key() -> Bytes {
    let mut key = b"u".to_vec();
    key.extend(ANN.get().to_be_bytes());
    key.into()
}

proptest! {
    #[test]
    fn nothing_that_was_forgotten_comes_back_in_whatever_order_fetches_land(
        ops in vec(op(), 0..60)
    ) {
        let mut race = Race::new();
        let all = async { for op in ops { race.apply(op).await } };
        all.now_or_never().expect("nothing but the source waits");
    }
}

#[tokio::test]
async fn what_is_not_forgotten_is_shared() {
    let mut race = Race::new();
    for op in [Op::Read(0), Op::Land(0), Op::Edit, Op::Read(1)] {
        race.apply(op).await;
    }
    assert_eq!(race.shared, 3);
    race.apply(Op::EditAndForget(1)).await;
    race.apply(Op::Pass(5)).await;
    for op in [Op::Read(1), Op::Read(0), Op::Land(0), Op::Land(0)] {
        race.apply(op).await;
    }
    assert!(race.readings.is_empty());
    assert_eq!(race.shared, 5);
}
