//! Numbers that no two are to have, over a master that dies.

use std::{
    collections::BTreeSet,
    ops::Range,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use backend_redis::{Redis, RedisIdCounter, RedisSequenceMarks};
use backplane::{Epoch, id::IdCounter};
use chat_core::{
    ConversationId, ErrorKind, GroupId, Result,
    sequencer::{SequenceKeeper, SequencerOptions, Tombstones},
};
use engines::RedisCluster;

use crate::{
    house::{INTERVAL, master_of, until},
    on_cluster, replica_lacks,
};

/// How many numbers each of those who take them has before and after.
const MANY: usize = 200;

/// Epochs and numbers.
#[derive(Default)]
struct Taken(Mutex<BTreeSet<(u64, u64)>>);

impl Taken {
    fn add(&self, epoch: u64, number: u64) {
        let is_new = self.0.lock().unwrap().insert((epoch, number));
        assert!(is_new, "{number} was given twice");
    }

    async fn grow(&self) {
        let count = || self.0.lock().unwrap().len();
        let enough = count() + MANY;
        until("numbers are taken", async || count() >= enough).await;
    }
}

/// Rows of which nobody asks.
#[derive(Debug)]
struct Rows;

#[async_trait]
impl Tombstones for Rows {
    async fn decide(&self, _: ConversationId, _: Epoch, _: Range<u64>) -> Result<()> {
        Ok(())
    }
}

/// Takes blocks of a counter that is in the first master, each time by a process that has had none.
async fn count(redis: Redis, taken: &Taken, is_over: &AtomicBool) {
    let mut names = (0..).map(|number| format!("ids{number}"));
    let name = names.find(|name| master_of(&format!("counter:{name}")) == 0);
    let name = name.unwrap();
    while !is_over.load(Ordering::Relaxed) {
        let counter = RedisIdCounter::new(redis.clone(), &name).with_leap(100_000);
        match counter.take(3).await {
            Ok(first) => (first..first + 3).for_each(|number| taken.add(0, number)),
            Err(error) => assert!(error.is_retryable(), "{error:?}"),
        }
    }
}

/// Numbers the messages of a conversation that is in the first master, each block by another keeper.
async fn number(redis: Redis, taken: &Taken, is_over: &AtomicBool) {
    let groups = (0..).map(|group| ConversationId::Group(GroupId::new(group)));
    let mut groups = groups.filter(|group| master_of(&format!("sequence:{group}")) == 0);
    let here = groups.next().unwrap();
    let marks = Arc::new(RedisSequenceMarks::new(redis));
    while !is_over.load(Ordering::Relaxed) {
        let options = SequencerOptions::default().with_block(5);
        let epoch = Epoch::new(fastrand::u64(1..));
        let marks = Arc::<RedisSequenceMarks>::clone(&marks);
        let keeper = match SequenceKeeper::open(marks, Arc::new(Rows), here, epoch, options).await {
            Ok(keeper) => keeper,
            Err(error) => {
                assert!(error.is_retryable(), "{error:?}");
                continue;
            }
        };
        for _ in 0..7 {
            match keeper.reserve(1).await {
                Ok(permit) => {
                    let position = permit.position();
                    taken.add(position.epoch.get(), position.offset);
                    permit.commit();
                }
                Err(error) if error.kind() == ErrorKind::Closed => break,
                Err(error) => assert!(error.is_retryable(), "{error:?}"),
            }
        }
    }
}

/// The master is killed, and the replica that takes over has not heard of the last numbers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_number_is_given_twice_though_a_replica_lacks_the_last_ones() {
    let cluster = RedisCluster::start(3, 1).unwrap();
    let (ids, positions) = (Taken::default(), Taken::default());
    let is_over = AtomicBool::new(false);
    let redis = on_cluster(&cluster).await;
    let story = async {
        tokio::join!(ids.grow(), positions.grow());
        replica_lacks(&cluster, async {
            tokio::join!(ids.grow(), positions.grow());
        })
        .await;
        tokio::time::sleep(INTERVAL).await;
        tokio::join!(ids.grow(), positions.grow());
        is_over.store(true, Ordering::Relaxed);
    };
    tokio::join!(
        story,
        count(redis.clone(), &ids, &is_over),
        number(redis.clone(), &positions, &is_over),
    );
}
