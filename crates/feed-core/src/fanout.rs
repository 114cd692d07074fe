//! The walk from a post to the timelines of its author's followers, a chunk at a time.

use std::{collections::HashSet, time::Duration};

use backplane::queue::{Lease, Settlement};

use crate::{
    AuthorStats, Change, Entry, Feed, Follower, Habit, PostState, Result,
    graph::viewers,
    task::{Errand, FanoutTask, Stage},
    telemetry,
};

impl Feed {
    pub(crate) async fn deliver(&self, task: &FanoutTask, lease: &Lease) -> Result<Settlement> {
        let entry = task.entry;
        match self.state(entry.post).await? {
            PostState::Live { entry: live, .. } if live == entry => {}
            PostState::Absent => return self.await_post(task, lease).await,
            // Deleted since, or an id that was another author's before.
            PostState::Live { .. } | PostState::Retracted => return Ok(Settlement::Ack),
        }
        let stats = self.author_stats(entry.author).await?;
        let route = self.route(&stats).await?;
        // Those who watch read outboxes, and need not wait for the timelines of others.
        self.tell_author(task, Change::Published).await?;
        let settlement = if route.is_pushed() {
            let chunk = self.followers(task).await?;
            self.serve(&stats, entry, &chunk).await?;
            self.onward(task, &chunk)
        } else {
            Settlement::Ack
        };
        if task.stage == Stage::Start {
            // Last, so that whoever waits for the others to be served does so once.
            self.push_own(entry).await?;
            if let Errand::Deliver { reply: true, .. } = task.errand {
                let counted = self.count_reply(entry.author, entry.post).await;
                telemetry::tolerate(counted, "reply not counted");
            }
        }
        Ok(settlement)
    }

    /// Writes a post into the timelines of a chunk of followers, and tells them.
    async fn serve(&self, stats: &AuthorStats, entry: Entry, chunk: &[Follower]) -> Result<()> {
        let served = self.followers_to_serve(stats, entry, chunk).await?;
        self.push(&served, entry).await?;
        self.tell_followers(entry, Change::Published, served).await
    }

    /// The post has not arrived: its publication is under way, or has failed.
    ///
    /// Giving up retracts an id that the feed chose, so that a publication that was only slow fails
    /// instead of leaving a post that no timeline knows. The application's ids are its own, and a
    /// publication of one that was slow enqueues another task.
    pub(crate) async fn await_post(&self, task: &FanoutTask, lease: &Lease) -> Result<Settlement> {
        if let Some(wait) = self.await_write(lease) {
            return Ok(wait);
        }
        let Entry { post, author, .. } = task.entry;
        if let Errand::Deliver {
            elsewhere: false, ..
        } = task.errand
        {
            self.parts.outbox.retract(author, post).await?;
            if task.entry.is_repost() {
                // It was recorded before it was to be stored.
                self.parts.actions.withdraw_items(author, &[post]).await?;
            }
        }
        Ok(Settlement::Ack)
    }

    /// What becomes of a task whose write has not been done yet; `None` once that cannot come any
    /// more.
    fn await_write(&self, lease: &Lease) -> Option<Settlement> {
        let now = self.parts.clock.now();
        let waited = now.saturating_since(lease.enqueued_at);
        let delay = SHORTEST_PAUSE.max(waited / 4);
        (waited < self.parts.options.orphan_after).then_some(Settlement::Release { delay })
    }

    /// Timelines hold no bodies: followers need word alone, and those who pull not even that.
    pub(crate) async fn spread_revision(
        &self,
        task: &FanoutTask,
        above: u32,
        lease: &Lease,
    ) -> Result<Settlement> {
        let entry = task.entry;
        let version = match self.state(entry.post).await? {
            PostState::Live { version, .. } if version > above => version,
            PostState::Live { .. } => {
                return Ok(self.await_write(lease).unwrap_or(Settlement::Ack));
            }
            PostState::Absent | PostState::Retracted => return Ok(Settlement::Ack),
        };
        let change = Change::Revised { version };
        self.tell_author(task, change).await?;
        let (route, _) = self.parts.graph.author_route(entry.author).await?;
        if !route.is_pushed() {
            return Ok(Settlement::Ack);
        }
        let chunk = self.followers(task).await?;
        let settlement = self.onward(task, &chunk);
        self.tell_followers(entry, change, chunk).await?;
        Ok(settlement)
    }

    /// Whatever the author's route is now, the post may have been pushed before.
    pub(crate) async fn spread_retraction(
        &self,
        task: &FanoutTask,
        lease: &Lease,
    ) -> Result<Settlement> {
        let entry = task.entry;
        if self.state(entry.post).await?.live().is_some() {
            return Ok(self.await_write(lease).unwrap_or(Settlement::Ack));
        }
        if task.stage == Stage::Forget {
            return self.forget_actions(task).await;
        }
        let timelines = &self.parts.timelines;
        if task.stage == Stage::Start {
            timelines.remove_many(&[entry.author], entry.post).await?;
        }
        let chunk = self.followers(task).await?;
        let viewers = viewers(&chunk);
        timelines.remove_many(&viewers, entry.post).await?;
        self.tell_author(task, Change::Retracted).await?;
        let settlement = self.onward(task, &chunk);
        self.tell_followers(entry, Change::Retracted, chunk).await?;
        Ok(match settlement {
            Settlement::Ack => Settlement::Continue {
                payload: task.forgetting().encode(),
                delay: self.before_forgetting(entry),
            },
            onward => onward,
        })
    }

    /// How long to wait for calls that may have found the post there, and record what they do to it.
    /// Nothing is done to reposts: all goes to what they show.
    pub(crate) fn before_forgetting(&self, entry: Entry) -> Duration {
        if entry.is_repost() {
            return Duration::ZERO;
        }
        self.parts.options.orphan_after
    }

    /// Forgets some of what was done to a deleted post, and what the post itself counted for.
    async fn forget_actions(&self, task: &FanoutTask) -> Result<Settlement> {
        let Entry { post, author, .. } = task.entry;
        self.withdraw_item(author, post).await?;
        let some = self.parts.options.chunk;
        Ok(match self.parts.actions.forget(&[post], some).await? {
            0 => Settlement::Ack,
            _ => Settlement::Continue {
                payload: task.encode(),
                delay: Duration::ZERO,
            },
        })
    }

    async fn followers(&self, task: &FanoutTask) -> Result<Vec<Follower>> {
        let after = match task.stage {
            Stage::Start | Stage::Forget => None,
            Stage::After(follower) => Some(follower),
        };
        let limit = self.parts.options.chunk;
        let graph = &self.parts.graph;
        graph.followers(task.entry.author, after, limit).await
    }

    fn onward(&self, task: &FanoutTask, chunk: &[Follower]) -> Settlement {
        match chunk.last() {
            Some(last) if chunk.len() == self.parts.options.chunk => Settlement::Continue {
                payload: task.after(last.viewer).encode(),
                delay: Duration::ZERO,
            },
            _ => Settlement::Ack,
        }
    }

    /// Writes into the timelines of followers. Those whose timeline cannot be written pull the post.
    async fn push(&self, followers: &[Follower], entry: Entry) -> Result<()> {
        if followers.is_empty() {
            return Ok(());
        }
        let viewers = viewers(followers);
        let report = self.parts.timelines.push_many(&viewers, entry).await?;
        telemetry::delivered(report.inserted);
        if report.failed.is_empty() {
            return Ok(());
        }
        let failed: HashSet<_> = report.failed.into_iter().collect();
        let unserved = |follower: &&Follower| failed.contains(&follower.viewer);
        let unserved: Vec<_> = followers.iter().filter(unserved).copied().collect();
        self.leave_to_followers(entry, &unserved).await
    }

    /// Writes into the author's own timeline. Authors do not pull from themselves, so one that cannot be
    /// written is to be dropped.
    async fn push_own(&self, entry: Entry) -> Result<()> {
        let pushed = self.parts.timelines.push_many(&[entry.author], entry).await;
        if pushed.is_ok_and(|report| report.failed.is_empty()) {
            return Ok(());
        }
        self.send(&[FanoutTask::dropping(entry)], "fanout").await
    }

    /// The followers of a chunk who get the post written. Who was away for long has their timeline
    /// dropped instead, or pulls the post where that fails; whoever pulls needs nothing.
    async fn followers_to_serve(
        &self,
        stats: &AuthorStats,
        entry: Entry,
        chunk: &[Follower],
    ) -> Result<Vec<Follower>> {
        let viewers = viewers(chunk);
        let visits = self.parts.activity.rhythms(Habit::Visit, &viewers).await?;
        let now = self.parts.clock.now();
        let since = now.saturating_sub(self.parts.options.active_for);
        let mut away = Vec::new();
        let mut here = Vec::with_capacity(chunk.len());
        for (follower, visits) in chunk.iter().zip(visits) {
            if visits.is_some_and(|visits| visits.last >= since) {
                here.push((*follower, visits));
            } else {
                away.push(*follower);
            }
        }
        self.drop_away(entry, &away).await?;
        self.route_pairs(stats, &mut here).await?;
        let here = here.into_iter().map(|(follower, _)| follower);
        Ok(here.filter(|follower| follower.route.is_pushed()).collect())
    }

    async fn drop_away(&self, entry: Entry, away: &[Follower]) -> Result<()> {
        if away.is_empty() {
            return Ok(());
        }
        let viewers = viewers(away);
        match self.parts.timelines.drop_many(&viewers).await {
            Ok(()) => Ok(()),
            Err(_) => self.leave_to_followers(entry, away).await,
        }
    }
}

/// How long a task waits for its post to arrive before it looks again, at first. An idle worker is
/// nearly always there before the post, so this is what a post takes to reach its first followers.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);
