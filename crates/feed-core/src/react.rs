use crate::{
    Action, ActionKind, Error, ErrorKind, Feed, FeedEvent, PostId, Recorded, Result, UserId,
};

impl Feed {
    /// Likes a post and says whether that is new.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::UnknownPost`] if the post is not there, or is by somebody who blocks the actor or
    /// is blocked; otherwise fails if an engine does, and retrying is safe.
    pub async fn like(&self, actor: UserId, post: PostId) -> Result<bool> {
        let original = self.reach_original(actor, post, "like").await?;
        match self.act(Action::like(actor, original)).await? {
            Some(recorded) => Ok(recorded == Recorded::New),
            None => Err(Error::bare(ErrorKind::UnknownPost, "like")),
        }
    }

    /// Takes a like back and says whether there was one. The likes of a deleted post went with it.
    ///
    /// A like of a repost is one of its original, and outlives the repost: name the original, which
    /// is found when the repost is not any more.
    ///
    /// # Errors
    ///
    /// Fails if an engine does; retrying is safe.
    pub async fn unlike(&self, actor: UserId, post: PostId) -> Result<bool> {
        let Some(original) = self.original(post).await? else {
            return Ok(false);
        };
        let like = Action::like(actor, original);
        let withdrawn = self.parts.actions.withdraw(&[like]).await?;
        let was_there = withdrawn.contains(&true);
        if was_there {
            self.mention(FeedEvent::Withdrawn(like)).await;
        }
        Ok(was_there)
    }

    /// Records an action and tells of it if it is new.
    pub(crate) async fn act(&self, action: Action) -> Result<Option<Recorded>> {
        let recorded = self.record(action).await?;
        if recorded == Some(Recorded::New) {
            self.mention(FeedEvent::Acted(action)).await;
        }
        Ok(recorded)
    }

    /// Records an action, but answers `None`, and leaves nothing recorded, if its post is gone by then.
    ///
    /// The post may be deleted while this records. So this looks again afterwards: if the post is gone, the
    /// action is taken back. If the process dies in between, the deletion's task forgets the action, one
    /// [`FeedOptions::call_timeout`](crate::FeedOptions::call_timeout) after the deletion.
    pub(crate) async fn record(&self, action: Action) -> Result<Option<Recorded>> {
        let parts = &self.parts;
        let recorded = parts.actions.record(&[action]).await?;
        let of_reply = [action.post, action.item];
        let needed = match action.kind {
            ActionKind::Reply => &of_reply[..],
            // A repost is published after it has been recorded.
            ActionKind::Like | ActionKind::Repost => &of_reply[..1],
        };
        let states = parts.outbox.lookup(needed).await?;
        if states.iter().any(|state| state.live().is_none()) {
            parts.actions.withdraw(&[action]).await?;
            return Ok(None);
        }
        Ok(recorded.into_iter().next())
    }

    /// Takes back the reply or repost that `item` was, tells of it, and says whether it was one.
    pub(crate) async fn withdraw_item(&self, actor: UserId, item: PostId) -> Result<bool> {
        let withdrawn = self.parts.actions.withdraw_items(actor, &[item]).await?;
        for &action in &withdrawn {
            self.mention(FeedEvent::Withdrawn(action)).await;
        }
        Ok(!withdrawn.is_empty())
    }
}
