use std::{env, sync::Arc, time::Duration};

use backend_redis::{
    Redis, RedisTimelines, RedisTimelinesOptions,
    redis::{self, Client, aio::ConnectionManager},
};
use backplane::{Clock, SystemClock};
use bench_peers::timelines::Lists;
use feed_core::{
    BuildStart, Entry, Feed, FeedOptions, FeedParts, Habit, NewPost, NextPostId, PostId, Published,
    PushAll, TimelineStore, UserId,
};
use futures::future::join_all;
use tokio::runtime::Runtime;

use crate::FOLLOWERS;

const CAPACITY: usize = 800;
const AUTHORS_FOLLOWED: usize = 200;

/// How many workers a feed has.
const WORKERS: usize = 4;

/// Those who post, each to followers of their own.
const AUTHORS: u64 = 10;
const FIRST_AUTHOR: u64 = 1 << 40;

/// Between two posts of a timeline, on average: a little more than two minutes, in ids that count
/// milliseconds and 22 bits below them.
const SPACE: f64 = 144_000.0 * 4_194_304.0;

/// A server with a feed's timelines, and lists beside them.
pub(crate) struct House {
    runtime: Runtime,
    clock: SystemClock,
    feed: Arc<Feed>,
    lists: Lists,
    connection: ConnectionManager,
    /// Of those who have followers, how many there are.
    authors: u64,
    rounds: u64,
}

impl House {
    pub(crate) fn new() -> Self {
        let runtime = Runtime::new().expect("there are threads");
        let server = Arc::new(engines::Redis::start().expect("Redis is installed"));
        let lists = Lists::on(Arc::clone(&server), CAPACITY).expect("Redis answers");
        let connection = runtime.block_on(connection(&server));
        let timelines = timelines(connection.clone());
        let mut parts = FeedParts::in_memory();
        parts.timelines = Arc::new(timelines);
        parts.policy = Arc::new(PushAll);
        parts.options = FeedOptions::default().with_post_quota(None);
        // Benches that run once in a test need no crowd.
        let is_test = env::args().any(|argument| argument == "--test");
        let mut house = Self {
            runtime,
            clock: SystemClock::new(),
            feed: Arc::new(Feed::new(parts)),
            lists,
            connection,
            authors: if is_test { 1 } else { AUTHORS },
            rounds: 0,
        };
        house.fill();
        house
    }

    /// Gives authors their followers, with full timelines, and the same in lists.
    fn fill(&mut self) {
        let mut rng = fastrand::Rng::with_seed(1);
        let users = users(&mut rng, 32);
        for author in 0..self.authors {
            for owner in followers(author) {
                let newest = self.post_id();
                let line = line(&mut rng, &users, newest);
                let ids = line.iter().map(|entry| entry.post.get());
                self.lists.fill(owner.get(), ids).expect("Redis answers");
                let timelines = &*self.feed.parts().timelines;
                self.runtime.block_on(build(timelines, owner, &line));
                let author = UserId::new(FIRST_AUTHOR + author);
                now(&self.runtime, self.feed.follow(owner, author));
            }
            let owners: Vec<_> = followers(author).collect();
            self.stagger(&mut rng, &owners);
            let at = self.clock.now();
            let activity = &self.feed.parts().activity;
            now(&self.runtime, activity.note(Habit::Visit, &owners, at));
        }
        now(&self.runtime, self.feed.work_all());
    }

    /// Pushes to some more often than to others, so that their lists are not all packed at once.
    fn stagger(&self, rng: &mut fastrand::Rng, owners: &[UserId]) {
        let mut owners = owners.to_vec();
        rng.shuffle(&mut owners);
        let step = owners.len() / RedisTimelines::UNPACKED;
        for some in (0..owners.len()).step_by(step) {
            let entry = Entry::original(self.post_id(), UserId::new(FIRST_AUTHOR));
            let pushed = self
                .feed
                .parts()
                .timelines
                .push_many(&owners[some..], entry);
            now(&self.runtime, pushed);
        }
    }

    pub(crate) fn clock(&mut self, name: &str) -> Duration {
        match name {
            "wall" => self.clock.monotonic(),
            _ => self.lists.cpu().expect("Redis answers"),
        }
    }

    pub(crate) fn push_many(&mut self, rounds: u64) {
        for _ in 0..rounds {
            let (owners, author) = self.next();
            let post = self.post_id();
            let entry = Entry::original(post, author);
            let pushed = self.feed.parts().timelines.push_many(&owners, entry);
            let report = now(&self.runtime, pushed);
            assert_eq!(report.reached, owners.len());
        }
    }

    /// Publishes as many posts, and lets the workers serve all followers.
    pub(crate) fn publish(&mut self, rounds: u64) {
        for _ in 0..rounds {
            let (_, author) = self.next();
            let published = self.feed.publish(author, NewPost::new("a post"));
            let published = now(&self.runtime, published);
            assert!(matches!(published, Published::Accepted(_)));
        }
        let workers = (0..WORKERS).map(|_| {
            let feed = Arc::clone(&self.feed);
            self.runtime.spawn(async move { feed.work_all().await })
        });
        let workers: Vec<_> = workers.collect();
        let pieces = self.runtime.block_on(join_all(workers));
        let pieces = pieces.into_iter().map(|worker| worker.expect("it ends"));
        let pieces: usize = pieces.map(|pieces| pieces.expect("Redis answers")).sum();
        assert!(pieces as u64 >= rounds);
    }

    pub(crate) fn pipeline(&mut self, rounds: u64) {
        for _ in 0..rounds {
            let (owners, _) = self.next();
            let post = self.post_id().get();
            let mut pipeline = redis::pipe();
            for owner in &owners {
                let key = format!("tl:{owner}");
                pipeline.lpush(&key, post).ltrim(&key, 0, 799);
            }
            let sent = pipeline.query_async::<Vec<redis::Value>>(&mut self.connection);
            let answers = self.runtime.block_on(sent).expect("Redis answers");
            assert_eq!(answers.len(), 2 * owners.len());
        }
    }

    /// What `clock` says that so many posts took; to encode the requests is not counted.
    pub(crate) fn socket(&mut self, rounds: u64, clock: &str) -> Duration {
        let requests = (0..rounds).map(|_| {
            let (owners, _) = self.next();
            let post = self.post_id();
            self.lists.encode(&raw(&owners), post.get())
        });
        let requests: Vec<_> = requests.collect();
        let before = self.clock(clock);
        for requests in &requests {
            let answers = 2 * FOLLOWERS as usize;
            self.lists.call(requests, answers).expect("Redis answers");
        }
        self.clock(clock).saturating_sub(before)
    }

    pub(crate) fn stream_framework(&mut self, rounds: u64) {
        for _ in 0..rounds {
            let (owners, _) = self.next();
            let post = self.post_id();
            let pushed = self
                .lists
                .push_as_stream_framework(&raw(&owners), post.get());
            pushed.expect("Redis answers");
        }
    }

    fn post_id(&self) -> PostId {
        match self.feed.next_post_id() {
            Ok(NextPostId::Ready(post)) => post,
            other => unreachable!("there are ids: {other:?}"),
        }
    }

    /// The next author, and their followers.
    fn next(&mut self) -> (Vec<UserId>, UserId) {
        self.rounds += 1;
        let author = self.rounds % self.authors;
        (
            followers(author).collect(),
            UserId::new(FIRST_AUTHOR + author),
        )
    }
}

/// Of a packed timeline, of one between two times that it is packed, and of the largest.
pub(crate) fn bytes_an_entry(bits: u32) -> [f64; 3] {
    let runtime = Runtime::new().expect("there are threads");
    let server = Arc::new(engines::Redis::start().expect("Redis is installed"));
    runtime.block_on(async {
        let mut rng = fastrand::Rng::with_seed(u64::from(bits));
        let mut connection = connection(&server).await;
        let timelines = timelines(connection.clone());
        let (mut packed, mut all) = (Vec::new(), Vec::new());
        for _ in 0..20 {
            let owner = UserId::new(rng.u64(..) >> (64 - bits));
            let users = users(&mut rng, bits);
            let mut newest = PostId::new(1 << 61);
            build(&timelines, owner, &line(&mut rng, &users, newest)).await;
            for push in 0..3 * RedisTimelines::UNPACKED {
                newest = PostId::new(newest.get() + space(&mut rng));
                let author = *rng.choice(&users).expect("there are some");
                let entry = Entry::original(newest, author);
                let pushed = timelines.push_many(&[owner], entry).await;
                assert_eq!(pushed.expect("Redis answers").reached, 1);
                let mut usage = redis::cmd("MEMORY");
                usage.arg("USAGE").arg(format!("{{tl:{owner}}}"));
                usage.arg("SAMPLES").arg(0);
                let usage = usage.query_async::<u32>(&mut connection).await;
                let bytes = f64::from(usage.expect("Redis answers")) / 800.0;
                if push >= RedisTimelines::UNPACKED {
                    all.push(bytes);
                }
                if push == RedisTimelines::UNPACKED - 1 {
                    packed.push(bytes);
                }
            }
        }
        [
            mean(&packed),
            mean(&all),
            all.into_iter().fold(0.0, f64::max),
        ]
    })
}

#[expect(clippy::cast_precision_loss, reason = "there are few")]
fn mean(numbers: &[f64]) -> f64 {
    numbers.iter().sum::<f64>() / numbers.len() as f64
}

async fn connection(server: &engines::Redis) -> ConnectionManager {
    let client = Client::open(server.url()).expect("it is an address");
    let connection = client.get_connection_manager().await;
    connection.expect("Redis answers")
}

fn timelines(connection: ConnectionManager) -> RedisTimelines {
    let options = RedisTimelinesOptions::default().with_capacity(CAPACITY);
    RedisTimelines::new(Redis::from(connection), options)
}

async fn build(timelines: &dyn TimelineStore, owner: UserId, line: &[Entry]) {
    let at = backplane::Timestamp::EPOCH;
    let begun = timelines.begin_build(owner, at, at).await;
    let BuildStart::Started(ticket) = begun.expect("Redis answers") else {
        unreachable!("every viewer is built once");
    };
    let built = timelines.commit_build(ticket, line, PostId::MIN).await;
    assert!(built.expect("Redis answers"));
}

fn followers(author: u64) -> impl Iterator<Item = UserId> {
    let count = u64::from(FOLLOWERS);
    (author * count..(author + 1) * count).map(UserId::new)
}

fn users(rng: &mut fastrand::Rng, bits: u32) -> Vec<UserId> {
    let users = (0..AUTHORS_FOLLOWED).map(|_| UserId::new(rng.u64(..) >> (64 - bits)));
    users.collect()
}

/// A full timeline up to `newest`, ascending.
fn line(rng: &mut fastrand::Rng, users: &[UserId], newest: PostId) -> Vec<Entry> {
    let mut post = newest.get();
    let entries = (0..CAPACITY).map(|_| {
        post -= space(rng);
        let author = *rng.choice(users).expect("there are some");
        Entry::original(PostId::new(post), author)
    });
    let mut entries: Vec<_> = entries.collect();
    entries.reverse();
    entries
}

/// As between posts that come at random.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is a positive number far below 2^63"
)]
fn space(rng: &mut fastrand::Rng) -> u64 {
    1 + (SPACE * -(1.0 - rng.f64()).ln()) as u64
}

fn raw(owners: &[UserId]) -> Vec<u64> {
    owners.iter().map(|owner| owner.get()).collect()
}

fn now<T>(runtime: &Runtime, future: impl Future<Output = feed_core::Result<T>>) -> T {
    runtime.block_on(future).expect("Redis answers")
}
