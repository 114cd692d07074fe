//! Word of what became of a post, on its way to those who may have it: of a new body, and of its end.

use std::time::Duration;

use backplane::queue::{Lease, Settlement};

use super::task::{FanoutTask, Stage};
use crate::{Change, Entry, Feed, PostId, PostState, Result, UserId, graph::viewers, telemetry};

impl Feed {
    /// Timelines hold no bodies: followers need word alone, and those who pull not even that.
    pub(super) async fn spread_revision(
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
    pub(super) async fn spread_retraction(
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
        // Those who watch are told first: no page shows the post, in a timeline or not.
        let mut told = self.tell_author(task, Change::Retracted).await;
        let chunk = self.followers(task).await?;
        let mut owners = viewers(&chunk);
        if task.stage == Stage::Start {
            owners.push(entry.author);
        }
        let settlement = self.onward(task, &chunk);
        told = told.and(self.tell_followers(entry, Change::Retracted, chunk).await);
        self.take_out(&owners, entry.post).await;
        self.heard(told, lease)?;
        Ok(match settlement {
            Settlement::Ack => Settlement::Continue {
                payload: task.forgetting().encode(),
                delay: self.before_forgetting(entry),
            },
            onward => onward,
        })
    }

    /// Takes a post that is gone out of timelines. It would take room there and nothing else, since reads
    /// ask the outbox, so a store that fails keeps it.
    pub(crate) async fn take_out(&self, owners: &[UserId], post: PostId) {
        match self.parts.timelines.remove_many(owners, post).await {
            Ok(failed) if failed.is_empty() => {}
            Ok(failed) => telemetry::kept(failed.len()),
            Err(error) => telemetry::tolerate::<()>(Err(error), telemetry::KEPT),
        }
    }

    /// How long to wait for calls that may have found the post there, and record what they do to it.
    /// Nothing is done to reposts: all goes to what they show.
    pub(super) fn before_forgetting(&self, entry: Entry) -> Duration {
        if entry.is_repost() {
            return Duration::ZERO;
        }
        self.parts.options.call_timeout
    }

    /// Forgets some of what was done to a deleted post, and what the post itself counted for.
    async fn forget_actions(&self, task: &FanoutTask) -> Result<Settlement> {
        let Entry { post, author, .. } = task.entry;
        self.withdraw_item(author, post).await?;
        let some = self.parts.options.followers_per_piece;
        Ok(match self.parts.actions.forget(&[post], some).await? {
            0 => Settlement::Ack,
            _ => Settlement::Continue {
                payload: task.encode(),
                delay: Duration::ZERO,
            },
        })
    }
}
