use std::{
    collections::VecDeque,
    hash::BuildHasher,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use fastrand::Rng;
use hashbrown::{DefaultHashBuilder, HashTable, hash_table::Entry};

use super::{MemoryBusOptions, stream::Stream};
use crate::{Epoch, Topic, bus::EventQueue, sync::Mutex};

const SHARDS: u64 = 64;

/// How many streams one call looks at for expiry; more than one, so that sweeping keeps up with
/// calls that each create a stream.
const SWEPT_PER_CALL: usize = 2;

/// All streams, split by topic so that publishers of different topics rarely meet.
pub(super) struct Shards {
    split: Vec<Mutex<Shard>>,
    hasher: DefaultHashBuilder,
    topics: AtomicUsize,
    max_topics: usize,
    history_ttl: Duration,
    topic_ttl: Duration,
}

struct Shard {
    streams: HashTable<Stream>,
    /// Every stream once, in the order in which they are to be looked at.
    sweep: VecDeque<(Duration, Topic)>,
    epochs: Rng,
}

impl Shards {
    pub(super) fn new(options: &MemoryBusOptions) -> Self {
        let mut seeds = options.seed.map_or_else(Rng::new, Rng::with_seed);
        let shard = |_| {
            Mutex::new(Shard {
                streams: HashTable::new(),
                sweep: VecDeque::new(),
                epochs: seeds.fork(),
            })
        };
        Self {
            split: (0..SHARDS).map(shard).collect(),
            hasher: DefaultHashBuilder::default(),
            topics: AtomicUsize::new(0),
            max_topics: options.max_topics,
            history_ttl: options.limits.history_ttl,
            topic_ttl: options.topic_ttl,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.topics.load(Ordering::Relaxed)
    }

    /// Runs `f` on the stream of `topic`, which begins now if there is none; `None` if there is no room
    /// for it, once what is idle was looked for everywhere.
    pub(super) fn with<T>(
        &self,
        topic: &Topic,
        now: Duration,
        f: impl FnOnce(&mut Stream) -> T,
    ) -> Option<T> {
        let f = match self.with_room(topic, now, f) {
            Ok(done) => return Some(done),
            Err(f) => f,
        };
        self.sweep_all(now);
        self.with_room(topic, now, f).ok()
    }

    /// Forgets some of what is idle, everywhere.
    pub(super) fn sweep_all(&self, now: Duration) {
        for shard in &self.split {
            self.sweep(&mut shard.lock(), now);
        }
    }

    /// Gives `f` back if there is no room.
    fn with_room<T, F: FnOnce(&mut Stream) -> T>(
        &self,
        topic: &Topic,
        now: Duration,
        f: F,
    ) -> Result<T, F> {
        let mut shard = self.shard(topic).lock();
        self.sweep(&mut shard, now);
        let Shard {
            streams,
            sweep,
            epochs,
        } = &mut *shard;
        let entry = streams.entry(
            self.hasher.hash_one(topic),
            |stream| stream.topic() == topic,
            |stream| self.hasher.hash_one(stream.topic()),
        );
        let mut stream = match entry {
            Entry::Occupied(stream) => stream,
            Entry::Vacant(place) => {
                if !self.take_room() {
                    return Err(f);
                }
                sweep.push_back((now.saturating_add(self.history_ttl), topic.clone()));
                let epoch = Epoch::new(epochs.u64(..));
                place.insert(Stream::new(topic.clone(), epoch, now))
            }
        };
        Ok(f(stream.get_mut()))
    }

    fn take_room(&self) -> bool {
        let more = |topics| (topics < self.max_topics).then_some(topics + 1);
        let taken = self
            .topics
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        taken.is_ok()
    }

    pub(super) fn with_existing<T>(
        &self,
        topic: &Topic,
        f: impl FnOnce(&mut Stream) -> T,
    ) -> Option<T> {
        let mut shard = self.shard(topic).lock();
        self.find(&mut shard.streams, topic).map(f)
    }

    /// Begins the next epoch of `topic`.
    pub(super) fn restart(&self, topic: &Topic) {
        let mut shard = self.shard(topic).lock();
        let epoch = Epoch::new(shard.epochs.u64(..));
        if let Some(stream) = self.find(&mut shard.streams, topic) {
            stream.restart(epoch);
        }
    }

    /// Every node that subscribes to something.
    pub(super) fn nodes(&self) -> Vec<Arc<EventQueue>> {
        let mut nodes: Vec<Arc<EventQueue>> = Vec::new();
        for shard in &self.split {
            let shard = shard.lock();
            let joined = shard.streams.iter().flat_map(Stream::nodes);
            nodes.extend(joined.map(Arc::clone));
            nodes.sort_by_key(Arc::as_ptr);
            nodes.dedup_by_key(|node| Arc::as_ptr(node));
        }
        nodes
    }

    fn shard(&self, topic: &Topic) -> &Mutex<Shard> {
        &self.split[(topic.hash64() % SHARDS) as usize]
    }

    fn find<'a>(
        &self,
        streams: &'a mut HashTable<Stream>,
        topic: &Topic,
    ) -> Option<&'a mut Stream> {
        streams.find_mut(self.hasher.hash_one(topic), |stream| {
            stream.topic() == topic
        })
    }

    /// Looks at the few streams that have waited longest, and forgets those that are idle.
    fn sweep(&self, shard: &mut Shard, now: Duration) {
        for _ in 0..SWEPT_PER_CALL {
            if shard.sweep.front().is_none_or(|&(due, _)| due > now) {
                return;
            }
            let Some((_, topic)) = shard.sweep.pop_front() else {
                return;
            };
            let found = shard
                .streams
                .find_entry(self.hasher.hash_one(&topic), |stream| {
                    *stream.topic() == topic
                });
            let Ok(mut stream) = found else { continue };
            stream.get_mut().expire(now);
            let ttl = if stream.get().is_blank() {
                self.history_ttl.min(self.topic_ttl)
            } else {
                self.topic_ttl
            };
            if stream.get().is_idle(now, ttl) {
                stream.remove();
                self.topics.fetch_sub(1, Ordering::Relaxed);
            } else {
                let due = now.saturating_add(self.history_ttl);
                shard.sweep.push_back((due, topic));
            }
        }
    }
}
