use crate::{
    Entry, Error, ErrorKind, Feed, PostId, Result, Retracted, UserId,
    fanout::task::{Errand, FanoutTask},
    telemetry,
};

impl Feed {
    /// Deletes a post or repost: no page shows it, or a repost of it, once this returns. Answers
    /// whether it was there.
    ///
    /// A post that was answered or reposted by it counts it no more. Where that is cut short by a
    /// failure, it is done with what follows: [`FeedOptions::call_timeout`](crate::FeedOptions::call_timeout)
    /// later a worker forgets who liked, answered and reposted the post. By then every call that may
    /// still have found it there has come to its end.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotAuthor`] if the post is somebody else's, and [`ErrorKind::Full`] if the queue
    /// is full: with these nothing changed. Otherwise fails if an engine does, and retrying is safe. A
    /// store of timelines that fails is no error: what it keeps of the post is on no page.
    pub async fn delete(&self, author: UserId, post: PostId) -> Result<bool> {
        // Retracting an id that was never published would block a post to come.
        let Some(entry) = self.state(post).await?.live() else {
            return Ok(false);
        };
        if entry.author != author {
            return Err(Error::bare(ErrorKind::NotAuthor, "delete"));
        }
        self.retract(entry, "delete").await?;
        let withdrawn = self.withdraw_item(author, post).await;
        telemetry::tolerate(withdrawn, "deleted post still counted");
        Ok(true)
    }

    /// Enqueues word of a retraction, retracts, and clears the author's own timeline.
    pub(super) async fn retract(&self, entry: Entry, op: &'static str) -> Result<()> {
        let Entry { post, author, .. } = entry;
        let task = FanoutTask::new(Errand::Retract, entry);
        self.send(task, op).await?;
        if self.parts.outbox.retract(author, post).await? == Retracted::NotAuthor {
            return Err(Error::bare(ErrorKind::NotAuthor, op));
        }
        self.take_out(&[author], post).await;
        Ok(())
    }
}
