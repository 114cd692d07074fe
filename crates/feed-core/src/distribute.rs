//! From a publication to its author's outbox and a task of fanout.

use std::time::Duration;

use backplane::{
    id::IdError,
    queue::{Enqueued, NewTask},
    rate::Decision,
};

use crate::{
    Appended, Error, ErrorKind, Feed, Habit, PostId, Publication, Published, Result, UserId,
    task::{Errand, FanoutTask},
    telemetry,
};

impl Feed {
    /// Enqueues the fanout of an item and then stores it.
    ///
    /// In this order nothing is lost between the two: a task whose post never arrives ends by itself,
    /// while a post without its task would be missing in every timeline.
    pub(crate) async fn distribute(&self, item: Publication, elsewhere: bool) -> Result<Published> {
        let errand = Errand::Deliver {
            elsewhere,
            reply: item.reply_to.is_some(),
        };
        let task = FanoutTask::new(errand, item.entry);
        let enqueued_at = self.parts.clock.monotonic();
        if let Some(busy) = self.announce(&task).await? {
            return Ok(busy);
        }
        let published = self.store(item, elsewhere).await?;
        let took = self.parts.clock.monotonic().saturating_sub(enqueued_at);
        let accepted = matches!(published, Published::Accepted(_));
        if accepted && elsewhere && took > self.parts.options.orphan_after / 2 {
            // The task may have given up on the post.
            let sent = self.send(&[task], "publish").await;
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
    pub(crate) async fn store(&self, item: Publication, elsewhere: bool) -> Result<Published> {
        let parts = &self.parts;
        let entry = item.entry;
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

    /// Enqueues tasks, all or none; those of writes before the writes are done.
    pub(crate) async fn send(&self, tasks: &[FanoutTask], op: &'static str) -> Result<()> {
        if tasks.is_empty() {
            return Ok(());
        }
        let queued: Vec<_> = tasks.iter().map(FanoutTask::queued).collect();
        self.enqueue(&queued, op).await
    }

    pub(crate) async fn enqueue(&self, tasks: &[NewTask], op: &'static str) -> Result<()> {
        match self.parts.queue.enqueue(tasks).await? {
            Enqueued::Full { .. } => Err(Error::bare(ErrorKind::Full, op)),
            Enqueued::Accepted(_) => Ok(()),
        }
    }

    /// Why the author may not post now, if so.
    pub(crate) async fn admit(&self, author: UserId) -> Result<Option<Published>> {
        let Some(quota) = self.parts.options.post_quota else {
            return Ok(None);
        };
        let key = [&b"feed:post:"[..], &author.get().to_be_bytes()].concat();
        match self.parts.limiter.check(&key, quota, 1).await? {
            Decision::Allowed { .. } => Ok(None),
            Decision::Limited { retry_after } => Ok(Some(Published::RateLimited { retry_after })),
            _ => Err(Error::bare(ErrorKind::Invalid, "publish")),
        }
    }

    /// The next id, or how long to wait for one.
    pub(crate) fn next_post(&self) -> Result<Result<PostId, Duration>> {
        match self.parts.ids.next_id() {
            Ok(id) => Ok(Ok(PostId::from(id))),
            Err(error) => match (error.retry_after(), error) {
                (Some(retry_after), _) => Ok(Err(retry_after)),
                // Whoever keeps the node tries again by itself.
                (_, IdError::AwaitingMark | IdError::LeaseExpired) => Ok(Err(KEEPER)),
                _ => Err(Error::new(ErrorKind::Closed, "publish", error)),
            },
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

/// What a keeper of ids may need to renew what it holds.
const KEEPER: Duration = Duration::from_millis(250);
