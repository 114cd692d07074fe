use std::time::Duration;

use bytes::Bytes;

use crate::{
    Action, Entry, Error, ErrorKind, Feed, FeedEvent, NextPostId, PostId, PostState, Publication,
    Published, Recorded, Result, UserId,
    fanout::task::{Errand, FanoutTask},
    telemetry,
};

impl Feed {
    /// Shows `post` to the followers of `actor`. Reposting a repost reposts its original.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::UnknownPost`] as for [`like`](Self::like);
    /// otherwise fails if an engine does, and retrying is safe.
    ///
    /// # Cancel safety
    ///
    /// The repost is there or not; a retry completes it.
    pub async fn repost(&self, actor: UserId, post: PostId) -> Result<Published> {
        let published = self.repost_new(actor, post).await?;
        telemetry::published(&published);
        Ok(published)
    }

    async fn repost_new(&self, actor: UserId, post: PostId) -> Result<Published> {
        let original = self.reach_original(actor, post, "repost").await?;
        let origin = original.post;
        if let Some(earlier) = self.reposted(actor, origin).await?
            && let Some(published) = self.repost_again(actor, original, earlier).await?
        {
            return Ok(published);
        }
        let id = match self.next_post_id()? {
            NextPostId::Ready(id) if id > origin => id,
            // Another node's clock is ahead, and a repost must be newer than what it shows.
            NextPostId::Ready(_) => {
                return Ok(Published::Busy {
                    retry_after: CLOCK_SKEW,
                });
            }
            NextPostId::Busy { retry_after } => return Ok(Published::Busy { retry_after }),
        };
        if let Some(refusal) = self.refusal(actor).await? {
            return Ok(refusal);
        }
        let action = Action::repost(actor, original, id);
        // Before it is recorded: should this call end before the repost is stored, the task takes
        // the record back.
        if let Some(busy) = self.announce(&task(action)).await? {
            return Ok(busy);
        }
        match self.record(action).await? {
            Some(Recorded::New) => self.store_repost(action).await,
            Some(Recorded::Existing(earlier)) => {
                // Recorded meanwhile, by a call that may have got no further.
                let again = self.repost_again(actor, original, earlier).await?;
                again.ok_or_else(|| Error::bare(ErrorKind::Unavailable, "repost"))
            }
            None => Err(Error::bare(ErrorKind::UnknownPost, "repost")),
        }
    }

    /// Takes a repost of `post` back and says whether there was one. The reposts of a deleted post went
    /// with it. As for [`unlike`](Self::unlike), name the original.
    ///
    /// # Errors
    ///
    /// Fails if an engine does; retrying is safe.
    pub async fn unrepost(&self, actor: UserId, post: PostId) -> Result<bool> {
        let origin = self.origin(post).await?;
        let Some(repost) = self.reposted(actor, origin).await? else {
            return Ok(false);
        };
        // The action goes last: a retry finds by it what is left to do.
        self.retract(Entry::repost(repost, actor, origin), "unrepost")
            .await?;
        self.withdraw_item(actor, repost).await
    }
}

/// How long to wait for a clock that lags behind another node's.
const CLOCK_SKEW: Duration = Duration::from_millis(10);

impl Feed {
    /// What to do about a repost that was recorded before: nothing if it is there, the rest if that
    /// was cut short, and `None` if it is on its way out, so that a new one takes its place.
    async fn repost_again(
        &self,
        actor: UserId,
        original: Entry,
        earlier: PostId,
    ) -> Result<Option<Published>> {
        match self.state(earlier).await? {
            PostState::Live { .. } => Ok(Some(Published::Duplicate(earlier))),
            PostState::Absent => {
                let action = Action::repost(actor, original, earlier);
                match self.announce(&task(action)).await? {
                    Some(busy) => Ok(Some(busy)),
                    None => self.store_repost(action).await.map(Some),
                }
            }
            PostState::Retracted => {
                let actions = &self.parts.actions;
                actions.withdraw_items(actor, &[earlier]).await?;
                Ok(None)
            }
        }
    }

    /// Stores a repost that is announced and recorded. Of several calls that do, the
    /// first emits the event.
    async fn store_repost(&self, action: Action) -> Result<Published> {
        let item = Publication::new(entry(action), Bytes::new());
        let published = self.store(item).await?;
        if let Published::Accepted(_) = published {
            self.note_post(action.actor, published).await;
            self.mention(FeedEvent::Acted(action)).await;
        }
        Ok(published)
    }
}

fn entry(repost: Action) -> Entry {
    Entry::repost(repost.item, repost.actor, repost.post)
}

fn task(repost: Action) -> FanoutTask {
    let errand = Errand::Deliver {
        elsewhere: false,
        reply: false,
    };
    FanoutTask::new(errand, entry(repost))
}
