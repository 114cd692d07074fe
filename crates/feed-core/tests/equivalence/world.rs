//! A feed over flaky stores, the clients that use it, and the model of what they did.

use std::{sync::Arc, time::Duration};

use backplane::{
    ManualClock,
    queue::{Cause, Settlement, TaskQueue},
};
use feed_core::{
    ErrorKind, FanoutPolicy, Feed, FeedOptions, FeedParts, FollowSettings, IdempotencyKey,
    MemoryTimelines, MemoryTimelinesOptions, NewPost, PageRequest, PageSize, PostId, Published,
    Result, Seek, UserId,
};
use futures::FutureExt as _;

use crate::{
    flaky::{Fault, Faults, Flaky, Strike},
    model::Model,
    other::Other,
};

/// How many users there are.
pub(crate) const USERS: u64 = 5;

/// Small, so that short histories reach past it.
pub(crate) const SPAN: usize = 3;

/// What a client does, or what happens to the system.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    /// By an author, with an id of the feed's or of the application's.
    Publish(u64, bool),
    Repost(u64, usize),
    Unrepost(u64, usize),
    Like(u64, usize),
    Unlike(u64, usize),
    /// By an author, to a post.
    Reply(u64, usize),
    Edit(usize),
    Delete(usize),
    Follow(u64, u64, bool),
    Unfollow(u64, u64),
    Block(u64, u64, bool),
    Mute(u64, u64, bool),
    Read(u64, usize),
    Work(usize),
    LoseTimeline(u64),
    /// The queue loses tasks that it has accepted, and says so.
    LoseTasks,
    /// From this call on every store fails, or that of the timelines, until workers have given up.
    Outage(u32, bool),
    Pass(Duration),
}

/// What comes in the way of an operation.
#[derive(Clone, Debug)]
pub(crate) enum Interruption {
    Fault(Fault),
    /// Other clients or workers do this from begin to end.
    Meanwhile(Vec<Op>),
}

/// An operation, and what comes in the way of which of its calls of a store.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) op: Op,
    pub(crate) interruption: Option<(u32, Interruption)>,
    /// Whether the client tries again after a failure.
    pub(crate) persistent: bool,
}

pub(crate) struct World {
    pub(crate) feed: Feed,
    /// The same stores without their faults.
    pub(crate) sound: FeedParts,
    pub(crate) clock: ManualClock,
    pub(crate) faults: Arc<Faults>,
    pub(crate) model: Model,
    /// Every post that was ever acknowledged, in order.
    pub(crate) known: Vec<PostId>,
    keys: u64,
    /// Whether somebody else acts during this step, or a late call, so that an operation may come too
    /// late.
    contended: bool,
}

impl World {
    pub(crate) fn new(policy: Arc<dyn FanoutPolicy>) -> Self {
        let clock = ManualClock::default();
        let mut sound = FeedParts::in_memory_at(Arc::new(clock.clone()));
        let small = MemoryTimelinesOptions::default().with_capacity(6);
        sound.timelines = Arc::new(MemoryTimelines::new(small));
        sound.policy = policy;
        sound.options = FeedOptions::default()
            .with_post_quota(None)
            .with_followers_per_piece(2)
            .with_backfill_posts(2)
            .with_build_entries(5)
            .with_repost_span(SPAN)
            .with_scan_budget(10_000)
            .with_attempts(3)
            .with_call_timeout(Duration::from_secs(10));
        let faults = Arc::new(Faults::default());
        let feed = Feed::new(FeedParts {
            timelines: Flaky::new(Arc::clone(&sound.timelines), &faults),
            outbox: Flaky::new(Arc::clone(&sound.outbox), &faults),
            graph: Flaky::new(Arc::clone(&sound.graph), &faults),
            activity: Flaky::new(Arc::clone(&sound.activity), &faults),
            actions: Flaky::new(Arc::clone(&sound.actions), &faults),
            queue: Flaky::new(Arc::clone(&sound.queue), &faults),
            ..sound.clone()
        });
        Self {
            feed,
            sound,
            clock,
            faults,
            model: Model::default(),
            known: Vec::new(),
            keys: 0,
            contended: false,
        }
    }

    /// Lets every author publish once, so that workers have asked the policy about each.
    pub(crate) fn acquaint(&mut self) {
        for author in 0..USERS {
            let op = Op::Publish(author, false);
            self.step(&Step {
                op,
                interruption: None,
                persistent: true,
            });
        }
        self.settle();
    }

    pub(crate) fn step(&mut self, step: &Step) {
        // So that every post has a millisecond, and the generator is never exhausted.
        self.clock.advance(Duration::from_millis(1));
        if matches!(step.op, Op::Pass(_) | Op::Outage(..)) {
            // Nothing is later than the feed reckons with.
            self.land();
        }
        self.contended = self.faults.is_any_late();
        if let Some((calls, interruption)) = &step.interruption {
            let strike = match interruption {
                Interruption::Fault(fault) => {
                    self.contended |= matches!(fault, Fault::Late(_));
                    Strike::Fault(*fault)
                }
                Interruption::Meanwhile(ops) => {
                    self.contended = true;
                    self.meanwhile(ops.clone())
                }
            };
            self.faults.arm(*calls, strike);
        }
        let done = self.apply(&step.op, step.persistent);
        self.faults.disarm();
        if matches!(step.op, Op::Block(..) | Op::Mute(..)) {
            // What became of it cannot be read back.
            self.land();
        }
        if !done || self.contended {
            self.look_up_what_happened();
        }
    }

    fn land(&mut self) {
        if self.faults.land() {
            self.look_up_what_happened();
        }
    }

    /// What somebody else does, once it is their turn.
    fn meanwhile(&self, ops: Vec<Op>) -> Strike {
        let other = Other {
            feed: self.feed.clone(),
            sound: self.sound.clone(),
            clock: self.clock.clone(),
            known: self.known.clone(),
        };
        Strike::Meanwhile(Box::new(move || {
            for op in &ops {
                other.apply(op).now_or_never();
            }
        }))
    }

    /// Does the operation, and says whether its outcome is known.
    fn apply(&mut self, op: &Op, persistent: bool) -> bool {
        let feed = self.feed.clone();
        match *op {
            Op::Publish(author, elsewhere) => {
                let post = self.new_post(elsewhere);
                self.publish(author, &post, persistent)
            }
            Op::Repost(actor, nth) => self.repost(actor, nth, persistent),
            Op::Unrepost(actor, nth) => self.unrepost(actor, nth, persistent),
            Op::Like(actor, nth) => {
                self.like(UserId::new(actor), nth, persistent);
                true
            }
            Op::Unlike(actor, nth) => {
                self.unlike(UserId::new(actor), nth, persistent);
                true
            }
            Op::Reply(author, nth) => self.reply(UserId::new(author), nth, persistent),
            Op::Edit(nth) => self.edit(nth, persistent),
            Op::Delete(nth) => self.delete(nth, persistent),
            Op::Follow(viewer, author, hide_reposts) => {
                let settings = FollowSettings::default().with_hide_reposts(hide_reposts);
                self.follow(
                    UserId::new(viewer),
                    UserId::new(author),
                    settings,
                    persistent,
                )
            }
            Op::Unfollow(viewer, author) => {
                let (viewer, author) = (UserId::new(viewer), UserId::new(author));
                let ended = self.call(persistent, || feed.unfollow(viewer, author));
                if ended.is_some() {
                    self.model.follows.remove(&(viewer, author));
                }
                ended.is_some()
            }
            Op::Block(viewer, other, on) => self.hide(viewer, other, on, persistent, true),
            Op::Mute(viewer, other, on) => self.hide(viewer, other, on, persistent, false),
            Op::Read(viewer, size) => {
                self.read(UserId::new(viewer), size);
                true
            }
            Op::Work(pieces) => {
                // A worker that fails or dies leaves its tasks to the next.
                let _ = feed.work(pieces).now_or_never();
                true
            }
            Op::LoseTimeline(viewer) => {
                let lost = [UserId::new(viewer)];
                now(self.sound.timelines.drop_many(&lost));
                true
            }
            Op::LoseTasks => {
                now(lose_tasks(&*self.sound.queue));
                true
            }
            Op::Outage(calls, everywhere) => {
                self.fail_until_given_up(calls, everywhere);
                true
            }
            Op::Pass(time) => {
                self.clock.advance(time);
                true
            }
        }
    }

    /// With an id of the feed's or of the application's.
    fn new_post(&mut self, elsewhere: bool) -> NewPost {
        if elsewhere {
            NewPost::elsewhere(self.next_id())
        } else {
            self.keyed()
        }
    }

    /// A new post under a key of its own.
    pub(crate) fn keyed(&mut self) -> NewPost {
        self.keys += 1;
        let key: IdempotencyKey = self.keys.to_string().parse().expect("a short key");
        NewPost::new("a post").with_key(key)
    }

    pub(crate) fn publish(&mut self, author: u64, post: &NewPost, persistent: bool) -> bool {
        let (feed, author) = (self.feed.clone(), UserId::new(author));
        match self.call(persistent, || feed.publish(author, post.clone())) {
            Some(Published::Accepted(post) | Published::Duplicate(post)) => {
                let entry = feed_core::Entry::original(post, author);
                self.model.entries.insert(post, entry);
                self.known.push(post);
                true
            }
            Some(other) => panic!("{other:?}"),
            None => false,
        }
    }

    fn repost(&mut self, actor: u64, nth: usize, persistent: bool) -> bool {
        let (feed, actor, post) = (self.feed.clone(), UserId::new(actor), self.pick(nth));
        let Some(origin) = self.reach(actor, post) else {
            return true;
        };
        match self.call(persistent, || feed.repost(actor, post)) {
            Some(Published::Accepted(repost) | Published::Duplicate(repost)) => {
                let entry = feed_core::Entry::repost(repost, actor, origin);
                self.model.entries.insert(repost, entry);
                self.known.push(repost);
                true
            }
            Some(other) => panic!("{other:?}"),
            None => false,
        }
    }

    fn unrepost(&mut self, actor: u64, nth: usize, persistent: bool) -> bool {
        let (feed, actor, post) = (self.feed.clone(), UserId::new(actor), self.pick(nth));
        let Some(origin) = self.model.entries.get(&post).map(|entry| entry.origin) else {
            return true;
        };
        let done = self.call(persistent, || feed.unrepost(actor, post));
        if done.is_some() {
            self.model.entries.retain(|_, entry| {
                !(entry.is_repost() && entry.author == actor && entry.origin == origin)
            });
        }
        done.is_some()
    }

    fn edit(&self, nth: usize, persistent: bool) -> bool {
        let (feed, post) = (&self.feed, self.pick(nth));
        let entry = self.model.entries.get(&post);
        let Some(author) = entry
            .filter(|entry| !entry.is_repost())
            .map(|entry| entry.author)
        else {
            return true;
        };
        let kept = now(self.sound.outbox.posts(&[post]));
        if kept.iter().flatten().any(|post| post.body.is_empty()) {
            self.call(persistent, || feed.touch(author, post));
        } else {
            self.call(persistent, || feed.edit(author, post, "edited".into()));
        }
        true
    }

    fn delete(&mut self, nth: usize, persistent: bool) -> bool {
        let (feed, post) = (self.feed.clone(), self.pick(nth));
        let Some(author) = self.model.entries.get(&post).map(|entry| entry.author) else {
            return true;
        };
        let deleted = self.call(persistent, || feed.delete(author, post));
        if deleted.is_some() {
            self.model.entries.remove(&post);
        }
        deleted.is_some()
    }

    fn follow(
        &mut self,
        viewer: UserId,
        author: UserId,
        settings: FollowSettings,
        persistent: bool,
    ) -> bool {
        let feed = self.feed.clone();
        let follow = || feed.follow_with(viewer, author, settings);
        if self.model.blocked(viewer, author) {
            return true;
        }
        if viewer == author {
            let refused = follow().now_or_never();
            assert!(
                refused.is_none_or(|answer| answer.is_err()),
                "nobody follows themselves"
            );
            return true;
        }
        let followed = self.call(persistent, follow).is_some();
        if followed {
            self.model.follows.insert((viewer, author), settings);
        }
        followed
    }

    fn fail_until_given_up(&self, calls: u32, everywhere: bool) {
        let store = (!everywhere).then_some("TimelineStore");
        for _ in 0..5 {
            self.faults.arm(calls, Strike::Outage { store });
            // A worker that fails leaves its tasks to the next.
            let _ = self.feed.work(4).now_or_never();
            self.faults.disarm();
            self.clock.advance(Duration::from_secs(7));
        }
    }

    fn hide(&mut self, viewer: u64, other: u64, on: bool, persistent: bool, block: bool) -> bool {
        if viewer == other {
            return true;
        }
        let feed = self.feed.clone();
        let (viewer, other) = (UserId::new(viewer), UserId::new(other));
        let hide = async || match (block, on) {
            (true, true) => feed.block(viewer, other).await,
            (true, false) => feed.unblock(viewer, other).await,
            (false, true) => feed.mute(viewer, other).await,
            (false, false) => feed.unmute(viewer, other).await,
        };
        let done = self.call(persistent, hide);
        // A relation's outcome cannot be read back, so a client that gave up tries once more.
        let done = done.or_else(|| {
            self.faults.disarm();
            self.call(true, hide)
        });
        let relations = if block {
            &mut self.model.blocks
        } else {
            &mut self.model.mutes
        };
        if on {
            relations.insert((viewer, other));
        } else {
            relations.remove(&(viewer, other));
        }
        done.is_some()
    }

    /// Calls until there is an answer. `None`: the call failed, or its process died, and the client
    /// does not try again.
    pub(crate) fn call<T, F>(&self, persistent: bool, call: impl Fn() -> F) -> Option<T>
    where
        F: Future<Output = Result<T>>,
    {
        for _ in 0..100 {
            match call().now_or_never() {
                Some(Ok(answer)) => return Some(answer),
                Some(Err(error)) if self.contended && error.kind() != ErrorKind::Unavailable => {
                    return None;
                }
                Some(Err(error)) => {
                    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
                }
                None => {}
            }
            if !persistent {
                return None;
            }
        }
        panic!("a call never succeeds");
    }

    /// An id of the application's, from the range of the feed's.
    fn next_id(&self) -> PostId {
        self.sound
            .ids
            .next_id()
            .expect("a millisecond has ids")
            .into()
    }

    /// One of the posts that clients know of.
    pub(crate) fn pick(&self, nth: usize) -> PostId {
        match self.known.len() {
            0 => PostId::MAX,
            len => self.known[nth % len],
        }
    }

    /// What became of an operation whose client gave up is what the durable stores say.
    fn look_up_what_happened(&mut self) {
        let users: Vec<_> = (0..USERS).map(UserId::new).collect();
        let entries = now(self.sound.outbox.latest(&users, Seek::Newest, 10_000));
        self.model.entries = entries.iter().map(|entry| (entry.post, *entry)).collect();
        self.known.extend(entries.iter().map(|entry| entry.post));
        self.known.sort_unstable();
        self.known.dedup();
        let circles = now(self.sound.graph.circles(&users));
        self.model.follows.clear();
        for circle in circles {
            for author in &users {
                if let Some(settings) = circle.settings(*author) {
                    let edge = (circle.viewer(), *author);
                    self.model.follows.insert(edge, settings);
                }
            }
        }
    }

    /// Whatever is under way, a page shows nothing that its viewer may not see, newest first, and
    /// nothing twice; or it fails as a whole.
    fn read(&mut self, viewer: UserId, size: usize) {
        let pages = self.walk(viewer, size);
        let Some(shown) = pages else { return };
        assert!(
            shown.is_sorted_by(|newer, older| newer > older),
            "{shown:?}"
        );
        if self.contended {
            return;
        }
        let eligible = self.model.eligible(viewer);
        for post in shown {
            assert!(
                eligible.iter().any(|entry| entry.post == post),
                "{post} is not for {viewer}"
            );
        }
    }

    /// The home feed from the newest page to the last; `None` if a call failed.
    pub(crate) fn walk(&self, viewer: UserId, size: usize) -> Option<Vec<PostId>> {
        let mut request = page_request(size);
        let mut shown = Vec::new();
        loop {
            let page = self.feed.home(viewer, request).now_or_never()?.ok()?;
            shown.extend(page.entries.iter().map(|entry| entry.post));
            match page.next {
                Some(next) => {
                    assert!(request.cursor != Some(next), "the walk stands still");
                    request = PageRequest::at(next).with_size(request.size);
                }
                None => return Some(shown),
            }
        }
    }

    /// The home feed from its oldest entry up, by cursors to newer pages.
    pub(crate) fn walk_up(&self, viewer: UserId, size: usize) -> Vec<PostId> {
        let size = page_size(size);
        let at = |cursor| PageRequest::at(cursor).with_size(size);
        let mut page = now(self.feed.home(viewer, page_request(1)));
        for _ in 0..10_000 {
            let Some(next) = page.next else { break };
            page = now(self.feed.home(viewer, at(next).with_size(page_size(1))));
        }
        assert_eq!(page.next, None, "the walk down does not end");
        let mut up: Vec<_> = page.entries.iter().map(|entry| entry.post).collect();
        while let Some(prev) = page.prev {
            page = now(self.feed.home(viewer, at(prev)));
            if page.entries.is_empty() {
                break;
            }
            up.extend(page.entries.iter().rev().map(|entry| entry.post));
        }
        up
    }

    /// Lets all work be done, with as much time as it takes.
    pub(crate) fn settle(&mut self) {
        self.faults.disarm();
        self.land();
        for _ in 0..1_000 {
            now(self.feed.work_all());
            if !self.is_work_left() {
                return self.assert_all_delivered();
            }
            self.clock.advance(Duration::from_secs(7));
        }
        panic!("work does not end");
    }

    pub(crate) fn is_work_left(&self) -> bool {
        let stats = now(self.sound.queue.stats());
        stats.ready + stats.delayed + stats.leased > 0
    }

    /// Word of a revision may be given up, and so may that of a deletion: no page shows the post any more.
    fn assert_all_delivered(&self) {
        for dead in now(self.sound.queue.dead_letters(None, 1_000)) {
            let harmless = [
                "followers not told of a revision",
                "followers not told of a deletion",
            ];
            let Cause::Buried(reason) = &dead.cause else {
                panic!("{:?}", dead.cause);
            };
            assert!(harmless.contains(&reason.as_str()), "{reason}");
        }
    }

    /// All that every user sees, read down and up.
    pub(crate) fn assert_agrees(&self, size: usize) {
        for viewer in (0..USERS).map(UserId::new) {
            let expected = self.model.home(viewer, SPAN);
            let walked = self.walk(viewer, size).expect("nothing fails");
            assert_eq!(walked, expected, "home of {viewer}");
            let mut up = self.walk_up(viewer, size);
            up.reverse();
            assert_eq!(up, expected, "home of {viewer}, upwards");
        }
    }
}

fn page_size(size: usize) -> PageSize {
    PageSize::new(size).expect("a valid size")
}

pub(crate) fn page_request(size: usize) -> PageRequest {
    PageRequest::newest().with_size(page_size(size))
}

/// Memory stores never wait.
pub(crate) fn now<T, E: std::fmt::Debug>(answer: impl Future<Output = Result<T, E>>) -> T {
    let answer = answer.now_or_never().expect("memory stores never wait");
    answer.expect("nothing fails")
}

/// Takes away what is due, and adds the task that tells of it.
pub(crate) async fn lose_tasks(queue: &dyn TaskQueue) -> backplane::Result<()> {
    for lease in queue.lease(100, Duration::from_secs(1)).await? {
        if lease.payload != Feed::task_after_loss().payload {
            queue.settle(&[(lease.key, Settlement::Ack)]).await?;
        }
    }
    queue.enqueue(&[Feed::task_after_loss()]).await?;
    Ok(())
}
