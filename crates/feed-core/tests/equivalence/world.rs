//! A feed over flaky stores, and what is done to it.

use std::{sync::Arc, time::Duration};

use backplane::{
    ManualClock,
    queue::{Cause, Settlement, TaskQueue},
};
use feed_core::{
    FanoutPolicy, Feed, FeedOptions, FeedParts, FollowSettings, MemoryTimelines,
    MemoryTimelinesOptions, PostId, Seek, UserId,
};
use futures::FutureExt as _;

use crate::{
    flaky::{Fault, Faults, Flaky, Strike},
    model::Model,
    other::Other,
    step::{Interruption, Op, Step},
};

/// How many users there are.
pub(crate) const USERS: u64 = 5;

/// Small, so that short histories reach past it.
pub(crate) const SPAN: usize = 3;

pub(crate) struct World {
    pub(crate) feed: Feed,
    /// The same stores without their faults.
    pub(crate) sound: FeedParts,
    pub(crate) clock: ManualClock,
    pub(crate) faults: Arc<Faults>,
    pub(crate) model: Model,
    /// Every post that was ever acknowledged, in order.
    pub(crate) known: Vec<PostId>,
    /// How many keys clients have used.
    pub(crate) keys: u64,
    /// Whether somebody else acts during this step, or a late call, so that an operation may come too
    /// late.
    pub(crate) contended: bool,
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
            self.step(&Op::Publish(author, false).into());
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

    /// Nobody has liked, answered or reposted a post that is gone, nor does one count as an answer or
    /// repost. Looks by taking away, so it comes last.
    pub(crate) fn assert_nothing_counts_that_is_gone(&self) {
        let states = now(self.sound.outbox.lookup(&self.known));
        let gone = self.known.iter().zip(states);
        let gone: Vec<_> = gone
            .filter(|(_, state)| state.live().is_none())
            .map(|(&post, _)| post)
            .collect();
        for user in (0..USERS).map(UserId::new) {
            let counted = now(self.sound.actions.withdraw_items(user, &gone));
            assert_eq!(counted, [], "they count, and are gone");
        }
        let forgotten = now(self.sound.actions.forget(&gone, usize::MAX));
        assert_eq!(forgotten, 0, "actions on posts that are gone");
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
            Op::Unfollow(viewer, author) => self.unfollow(viewer, author, persistent),
            Op::Block(viewer, other, on) => self.hide(viewer, other, on, persistent, true),
            Op::Mute(viewer, other, on) => self.hide(viewer, other, on, persistent, false),
            Op::Read(viewer, size) => {
                self.read(UserId::new(viewer), size);
                true
            }
            Op::Work(pieces) => {
                // A worker that fails or dies leaves its tasks to the next.
                let _ = self.feed.work(pieces).now_or_never();
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
