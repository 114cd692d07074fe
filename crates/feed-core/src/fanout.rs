//! What a worker does with a task: a walk along the author's followers, one chunk of them a piece.

mod deliver;
mod routing;
mod spread;
pub(crate) mod task;
mod worker;

use std::time::Duration;

use backplane::queue::{Lease, NewTask, Settlement};

use self::{
    task::{Errand, FanoutTask, Stage},
    worker::bury,
};
use crate::{Feed, Follower, PostState, Result, telemetry};

impl Feed {
    /// Does one piece and says what becomes of its task.
    async fn advance(&self, task: &FanoutTask, lease: &Lease) -> Result<Settlement> {
        match task.errand {
            Errand::Deliver { .. } => self.deliver(task, lease).await,
            Errand::Revise { above } => self.spread_revision(task, above, lease).await,
            Errand::Retract => self.spread_retraction(task, lease).await,
            Errand::Drop => {
                self.parts.timelines.drop_many(&[task.entry.author]).await?;
                Ok(Settlement::Ack)
            }
            Errand::Mend => self.mend(lease).await,
        }
    }

    /// The task with which a queue says that tasks may be gone which it had accepted: what a queue on an
    /// engine that may lose them is to [add of its own accord](backplane::queue::TaskQueue#what-an-engine-loses).
    ///
    /// Posts may be missing in timelines then, for ever. So a worker turns all timelines cold, and they
    /// are built again from the outboxes as their owners come; not before every publication under way has
    /// ended, which is a [`call_timeout`](crate::FeedOptions::call_timeout) later. What a lost task had to
    /// forget of a deleted post stays, and what it had to count is not counted.
    #[must_use]
    pub fn task_after_loss() -> NewTask {
        FanoutTask::mending().queued()
    }

    async fn mend(&self, lease: &Lease) -> Result<Settlement> {
        let now = self.parts.clock.now();
        let waited = now.saturating_since(lease.enqueued_at);
        let delay = self.parts.options.call_timeout.saturating_sub(waited);
        if !delay.is_zero() {
            return Ok(Settlement::Release { delay });
        }
        let dropped = self.parts.timelines.retain(&|_| false).await?;
        tracing::warn!(dropped, "tasks may be lost, timelines are built anew");
        Ok(Settlement::Ack)
    }

    /// What is done instead of a piece that has failed too often.
    ///
    /// Readers find a post that was not delivered by pulling it, and know of revisions and
    /// retractions by themselves. A timeline that misses a post must not stay, nor what was done to a
    /// post that is gone.
    async fn give_up(&self, task: &FanoutTask, lease: &Lease) -> Result<Settlement> {
        let reason = match task.errand {
            Errand::Deliver { .. } => {
                match self.state(task.entry.post).await? {
                    PostState::Absent => return self.await_post(task, lease).await,
                    PostState::Retracted => {}
                    PostState::Live { .. } => {
                        self.leave_to_readers(task.entry).await?;
                        telemetry::gave_up("left to readers");
                        if task.stage == Stage::Start {
                            // Authors do not pull from themselves, and theirs may not be written.
                            let drop = FanoutTask::dropping(task.entry);
                            self.send(drop, "fanout").await?;
                        }
                    }
                }
                return Ok(Settlement::Ack);
            }
            Errand::Drop => {
                self.parts.timelines.drop_many(&[task.entry.author]).await?;
                return Ok(Settlement::Ack);
            }
            Errand::Mend => return self.mend(lease).await,
            Errand::Revise { .. } => "followers not told of a revision",
            Errand::Retract if task.stage == Stage::Forget => {
                return self.spread_retraction(task, lease).await;
            }
            Errand::Retract => {
                let delay = self.before_forgetting(task.entry);
                let forget = task.forgetting().queued().with_delay(delay);
                self.enqueue(forget, "fanout").await?;
                "followers not told of a deletion"
            }
        };
        Ok(bury(reason))
    }

    /// What becomes of a task whose write has not been done yet; `None` once that cannot come any
    /// more.
    fn await_write(&self, lease: &Lease) -> Option<Settlement> {
        let now = self.parts.clock.now();
        let waited = now.saturating_since(lease.enqueued_at);
        let delay = SHORTEST_PAUSE.max(waited / 4);
        (waited < self.parts.options.call_timeout).then_some(Settlement::Release { delay })
    }

    /// Events that failed are delivered again with their piece, until it has been tried as often as it may
    /// be. Then the piece goes on without them: all else of it is done.
    fn heard(&self, told: Result<()>, lease: &Lease) -> Result<()> {
        if lease.attempt < self.attempts() {
            return told;
        }
        telemetry::tolerate(told, "not told of a post");
        Ok(())
    }

    async fn followers(&self, task: &FanoutTask) -> Result<Vec<Follower>> {
        let after = match task.stage {
            Stage::Start | Stage::Forget => None,
            Stage::After(follower) => Some(follower),
        };
        let limit = self.parts.options.followers_per_piece;
        let graph = &self.parts.graph;
        graph.followers(task.entry.author, after, limit).await
    }

    fn onward(&self, task: &FanoutTask, chunk: &[Follower]) -> Settlement {
        match chunk.last() {
            Some(last) if chunk.len() == self.parts.options.followers_per_piece => {
                Settlement::Continue {
                    payload: task.after(last.viewer).encode(),
                    delay: Duration::ZERO,
                }
            }
            _ => Settlement::Ack,
        }
    }
}

/// How long a task waits for its post to arrive before it looks again, at first. An idle worker is
/// nearly always there before the post, so this is what a post takes to reach its first followers.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);
