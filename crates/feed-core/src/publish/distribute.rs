//! From a publication to its author's outbox and a task of fanout.

use backplane::queue::{Enqueued, NewTask};

use crate::{
    Appended, Error, ErrorKind, Feed, Habit, Publication, Published, Result, UserId,
    fanout::task::{Errand, FanoutTask},
    telemetry,
};

impl Feed {
    /// Enqueues the fanout of an item and then stores it.
    ///
    /// In this order nothing is lost between the two: a task whose post never arrives ends by itself,
    /// while a post without its task would be missing in every timeline.
    pub(crate) async fn distribute(&self, item: Publication) -> Result<Published> {
        let elsewhere = item.is_elsewhere();
        let errand = Errand::Deliver {
            elsewhere,
            reply: item.reply_to.is_some(),
        };
        let task = FanoutTask::new(errand, item.entry);
        let clock = &self.parts.clock;
        let enqueued_at = elsewhere.then(|| clock.monotonic());
        if let Some(busy) = self.announce(&task).await? {
            return Ok(busy);
        }
        let published = self.store(item).await?;
        let late = self.parts.options.call_timeout / 2;
        let is_late = |at| clock.monotonic().saturating_sub(at) > late;
        if matches!(published, Published::Accepted(_)) && enqueued_at.is_some_and(is_late) {
            // The task may have given up on the post.
            let sent = self.send(task, "publish").await;
            sent.map_err(|error| Error::new(ErrorKind::Unavailable, "publish", error))?;
        }
        Ok(published)
    }

    /// Enqueues the fanout of a post that is stored next, or says why nothing is to be stored.
    pub(crate) async fn announce(&self, task: &FanoutTask) -> Result<Option<Published>> {
        Ok(match self.parts.queue.enqueue(&[task.queued()]).await? {
            Enqueued::Full { retry_after } => Some(Published::Busy { retry_after }),
            Enqueued::Accepted(_) => None,
        })
    }

    /// Stores an item whose fanout is enqueued, and shows it to its author.
    pub(crate) async fn store(&self, item: Publication) -> Result<Published> {
        let parts = &self.parts;
        let (entry, elsewhere) = (item.entry, item.is_elsewhere());
        let appended = parts.outbox.append(&[item]).await?;
        match appended.first() {
            Some(Appended::Stored) => {
                // Where that fails, the task sees to it.
                let pushed = parts.timelines.push_many(&[entry.author], entry).await;
                telemetry::tolerate(pushed, "own timeline not written");
                Ok(Published::Accepted(entry.post))
            }
            Some(Appended::Duplicate(earlier)) => {
                let live = self.state(*earlier).await?.live();
                if live.is_some_and(|live| live.author != entry.author) {
                    return Err(Error::bare(ErrorKind::NotAuthor, "publish"));
                }
                Ok(Published::Duplicate(*earlier))
            }
            Some(Appended::Retracted) if elsewhere => {
                Err(Error::bare(ErrorKind::UnknownPost, "publish"))
            }
            // Its task has given up waiting for the post, and has seen to it that it cannot appear.
            Some(Appended::Retracted) | None => Err(Error::bare(ErrorKind::Unavailable, "publish")),
        }
    }

    /// Enqueues a task; that of a write before the write is done.
    pub(crate) async fn send(&self, task: FanoutTask, op: &'static str) -> Result<()> {
        self.enqueue(task.queued(), op).await
    }

    pub(crate) async fn enqueue(&self, task: NewTask, op: &'static str) -> Result<()> {
        match self.parts.queue.enqueue(&[task]).await? {
            Enqueued::Full { .. } => Err(Error::bare(ErrorKind::Full, op)),
            Enqueued::Accepted(_) => Ok(()),
        }
    }

    /// Notes that the author posts: what [`PairRate`](crate::PairRate) weighs.
    pub(crate) async fn note_post(&self, author: UserId, published: Published) {
        if matches!(published, Published::Accepted(_)) {
            let now = self.parts.clock.now();
            let noted = self.parts.activity.note(Habit::Post, &[author], now).await;
            telemetry::tolerate(noted, "post not noted");
        }
    }
}
