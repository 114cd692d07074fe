//! A new post on its way into the timelines of followers.

use std::collections::HashSet;

use backplane::queue::{Lease, Settlement};

use super::task::{Errand, FanoutTask, Stage};
use crate::{
    AuthorStats, Change, Entry, Feed, Follower, Habit, PostState, Result, UserId, graph::viewers,
    telemetry,
};

impl Feed {
    /// Delivers a post to one chunk of its author's followers. With the first chunk also to those who watch
    /// the author, and into the author's own timeline.
    ///
    /// The order is that in which a failure costs the least. Watchers read outboxes, so they need not wait
    /// for timelines; nor do timelines wait for events. The author's own timeline comes last: if it cannot
    /// be written, one task to drop it is enqueued, instead of another one with every retry for the
    /// followers.
    pub(super) async fn deliver(&self, task: &FanoutTask, lease: &Lease) -> Result<Settlement> {
        let entry = task.entry;
        match self.state(entry.post).await? {
            PostState::Live { entry: live, .. } if live == entry => {}
            PostState::Absent => return self.await_post(task, lease).await,
            // Deleted since, or an id that was another author's before.
            PostState::Live { .. } | PostState::Retracted => return Ok(Settlement::Ack),
        }
        let stats = self.author_stats(entry.author).await?;
        let route = self.route(&stats).await?;
        let mut told = self.tell_author(task, Change::Published).await;
        let settlement = if route.is_pushed() {
            let chunk = self.followers(task).await?;
            let served = self.serve(&stats, entry, &chunk).await?;
            told = told.and(self.tell_followers(entry, Change::Published, served).await);
            self.onward(task, &chunk)
        } else {
            Settlement::Ack
        };
        self.heard(told, lease)?;
        if task.stage == Stage::Start {
            self.push_own(entry).await?;
            if let Errand::Deliver { reply: true, .. } = task.errand {
                let counted = self.count_reply(entry.author, entry.post).await;
                telemetry::tolerate(counted, "reply not counted");
            }
        }
        Ok(settlement)
    }

    /// Writes a post into the timelines of a chunk of followers, and answers who gets the event.
    async fn serve(
        &self,
        stats: &AuthorStats,
        entry: Entry,
        chunk: &[Follower],
    ) -> Result<Vec<Follower>> {
        let served = self.followers_to_serve(stats, entry, chunk).await?;
        self.push(&served, entry).await?;
        Ok(served)
    }

    /// The post has not arrived: its publication is under way, or has failed.
    ///
    /// Giving up retracts an id that the feed chose, so that a publication that was only slow fails
    /// instead of leaving a post that no timeline knows. The application's ids are its own, and a
    /// publication of one that was slow enqueues another task.
    pub(super) async fn await_post(&self, task: &FanoutTask, lease: &Lease) -> Result<Settlement> {
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

    /// Writes into the timelines of followers. Those whose timeline cannot be written pull the post.
    async fn push(&self, followers: &[Follower], entry: Entry) -> Result<()> {
        if followers.is_empty() {
            return Ok(());
        }
        let viewers = viewers(followers);
        let report = self.parts.timelines.push_many(&viewers, entry).await?;
        telemetry::delivered(report.reached);
        let unserved = those(followers, report.failed);
        self.leave_to_followers(entry, &unserved).await
    }

    /// Writes into the author's own timeline. Authors do not pull from themselves, so one that cannot be
    /// written is to be dropped.
    async fn push_own(&self, entry: Entry) -> Result<()> {
        let pushed = self.parts.timelines.push_many(&[entry.author], entry).await;
        if pushed.is_ok_and(|report| report.failed.is_empty()) {
            return Ok(());
        }
        self.send(FanoutTask::dropping(entry), "fanout").await
    }

    /// The followers of a chunk who get the post written. Those who were away for long have their timelines
    /// dropped instead, or pull the post where that fails. Those who pull need nothing.
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
        let unserved = match self.parts.timelines.drop_many(&viewers).await {
            Ok(failed) => those(away, failed),
            Err(_) => away.to_vec(),
        };
        self.leave_to_followers(entry, &unserved).await
    }
}

/// Those of the followers whose timelines failed.
fn those(followers: &[Follower], failed: Vec<UserId>) -> Vec<Follower> {
    if failed.is_empty() {
        return Vec::new();
    }
    let failed: HashSet<_> = failed.into_iter().collect();
    let followers = followers.iter().copied();
    followers
        .filter(|follower| failed.contains(&follower.viewer))
        .collect()
}
