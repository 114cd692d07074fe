use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use anyhow::ensure;
use backplane::{Clock, SystemClock};
use bytes::Bytes;
use feed_core::{
    EdgeRoute, Entry, Feed, FeedParts, Followed, Habit, MemoryActivity, MemoryGraph,
    MemoryGraphOptions, MemoryOutbox, MemoryOutboxOptions, MemoryTimelines, MemoryTimelinesOptions,
    PageRequest, Publication, Route, Seek,
};

use super::{
    Plan,
    client::publish,
    deliveries::Deliveries,
    graph::FollowGraph,
    mix::{past_post, user},
    outcome::Timelines,
    policy::Policy,
    progress::Progress,
};

/// A feed on fresh stores in memory, within reach.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) feed: Feed,
    pub(super) deliveries: Arc<Deliveries>,
    pub(super) clock: SystemClock,
    timelines: Arc<MemoryTimelines>,
    graph: Arc<MemoryGraph>,
    outbox: Arc<MemoryOutbox>,
    activity: Arc<MemoryActivity>,
}

/// How many entries a timeline holds.
const CAPACITY: usize = 800;

/// How often to look whether work is done.
const LOOK: Duration = Duration::from_micros(200);

/// About how many viewers' pages are compared, and how many pages of each.
const SAMPLE: u32 = 1_000;
pub(super) const PAGES: usize = 3;

impl Stage {
    /// An empty feed.
    pub(super) fn new(policy: Policy, plan: &Plan, network: &FollowGraph) -> Self {
        let clock = SystemClock::new();
        let deliveries = Arc::new(Deliveries::new(clock.clone()));
        let bytes = network.users() as usize * CAPACITY * 32;
        let timelines = MemoryTimelinesOptions::default()
            .with_capacity(CAPACITY)
            .with_max_bytes(bytes);
        let timelines = Arc::new(MemoryTimelines::new(timelines));
        let ties = network.follows() + network.users() as usize;
        let graph = MemoryGraphOptions::default().with_max_ties(ties);
        let graph = Arc::new(MemoryGraph::new(graph));
        // The scripts say how much is posted.
        let outbox = MemoryOutboxOptions::default().with_max_posts(usize::MAX);
        let outbox = Arc::new(MemoryOutbox::new(outbox));
        let activity = Arc::new(MemoryActivity::default());

        let mut parts = FeedParts::in_memory();
        parts.timelines = Arc::clone(&timelines) as _;
        parts.graph = Arc::clone(&graph) as _;
        parts.outbox = Arc::clone(&outbox) as _;
        parts.activity = Arc::clone(&activity) as _;
        parts.events = Arc::clone(&deliveries) as _;
        parts.policy = policy.fanout(plan.pull_above);
        // Minutes stand for days here.
        parts.options = parts.options.with_post_quota(None);
        Self {
            feed: Feed::new(parts),
            deliveries,
            clock,
            timelines,
            graph,
            outbox,
            activity,
        }
    }

    /// Makes the edges, in the state in which [`Feed::follow`] leaves them when nobody has posted.
    pub(super) fn follow(&self, network: &FollowGraph, progress: &Progress) -> anyhow::Result<()> {
        progress.begin("following", network.users().into());
        for viewer in 0..network.users() {
            for &author in network.followees(viewer) {
                let (viewer, author) = (user(viewer), user(author));
                let followed = self.graph.follow(viewer, author, None)?;
                if let Followed::Added(stamp) = followed {
                    let edge = EdgeRoute {
                        viewer,
                        author,
                        stamp,
                        route: Route::PUSH,
                    };
                    self.graph.reroute(&[edge]);
                }
            }
            progress.done(viewer.into());
        }
        Ok(())
    }

    /// Stores what was posted before. Each author's last post goes through the feed, so that the
    /// policy has decided on everybody who posts, as it has where a feed has run for long.
    pub(super) async fn post_past(&self, past: &[u32], progress: &Progress) -> anyhow::Result<()> {
        progress.begin("posting the past", past.len() as u64);
        let mut last = HashMap::new();
        for (place, &author) in past.iter().enumerate() {
            last.insert(author, place);
        }
        for (place, &author) in past.iter().enumerate() {
            let (post, id) = (past_post(place), user(author));
            if last.get(&author) == Some(&place) {
                publish(&self.feed, id, post).await?;
            } else {
                let item = Publication::new(Entry::original(post, id), Bytes::new());
                self.outbox.append(&[item])?;
            }
            progress.done(place as u64);
        }
        self.drain().await
    }

    /// Notes that these viewers are around, and makes what reading keeps of each but their timeline.
    pub(super) fn welcome(&self, around: &[u32], progress: &Progress) -> anyhow::Result<()> {
        progress.begin("looking who is around", around.len() as u64);
        let now = self.clock.now();
        for (place, &viewer) in around.iter().enumerate() {
            self.activity.note(Habit::Visit, &[user(viewer)], now)?;
            drop(self.graph.circle(user(viewer)));
            progress.done(place as u64);
        }
        Ok(())
    }

    /// Builds the timelines of these viewers by a first visit of each.
    pub(super) async fn build(&self, around: &[u32], progress: &Progress) -> anyhow::Result<()> {
        progress.begin("building timelines", around.len() as u64);
        for (place, &viewer) in around.iter().enumerate() {
            self.feed.home(user(viewer), PageRequest::newest()).await?;
            progress.done(place as u64);
        }
        Ok(())
    }

    /// Waits until all work of fanout is done.
    pub(super) async fn drain(&self) -> anyhow::Result<()> {
        loop {
            let queue = self.feed.parts().queue.stats().await?;
            ensure!(
                queue.dead == 0,
                "fanout has given up on {} tasks",
                queue.dead
            );
            if queue.ready + queue.delayed + queue.leased == 0 {
                return Ok(());
            }
            self.clock.sleep(LOOK).await;
        }
    }

    /// What is in the timelines of these viewers: nobody else has one.
    pub(super) fn timelines(&self, around: &[u32]) -> Timelines {
        let entries = |&viewer: &u32| {
            let window = self.timelines.window(user(viewer), Seek::Newest, CAPACITY);
            window.entries.len() as u64
        };
        Timelines {
            entries: around.iter().map(entries).sum(),
            bytes: self.timelines.bytes() as u64,
        }
    }

    /// How many authors are left for readers to pull.
    pub(super) fn pulled_authors(&self, users: u32) -> u64 {
        let pulled = |&author: &u32| self.graph.author_route(user(author)).0 == Route::Pull;
        (0..users).filter(pulled).count() as u64
    }

    /// A hash of the newest pages of each of some viewers, whether they are around or not.
    pub(super) async fn pages(&self, users: u32, progress: &Progress) -> anyhow::Result<Vec<u64>> {
        progress.begin("comparing pages", SAMPLE.into());
        let mut pages = Vec::new();
        for (place, viewer) in (0..).zip(sample(users)) {
            pages.push(self.walk(viewer).await?);
            progress.done(place);
        }
        Ok(pages)
    }

    async fn walk(&self, viewer: u32) -> anyhow::Result<u64> {
        let mut seen = Vec::new();
        let mut request = PageRequest::newest();
        for _ in 0..PAGES {
            let page = self.feed.home(user(viewer), request).await?;
            seen.extend(page.entries);
            match page.next {
                Some(next) => request = PageRequest::at(next),
                None => break,
            }
        }
        Ok(hash(&seen))
    }
}

/// The viewers who are sampled.
pub(super) fn sample(users: u32) -> impl Iterator<Item = u32> {
    (0..users).step_by((users / SAMPLE).max(1) as usize)
}

/// The same for the same entries in the same order, in every process of one program.
pub(super) fn hash(entries: &[Entry]) -> u64 {
    let mut hasher = DefaultHasher::new();
    entries.hash(&mut hasher);
    hasher.finish()
}
