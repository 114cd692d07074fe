use crate::{Action, Feed, FeedEvent, PostId, Recorded, Result, UserId, telemetry};

impl Feed {
    /// Likes a post and says whether that is new.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::UnknownPost`](crate::ErrorKind::UnknownPost) if the post is not there, or is by somebody who blocks the actor or
    /// is blocked; otherwise fails if an engine does, and
    /// retrying is safe.
    pub async fn like(&self, actor: UserId, post: PostId) -> Result<bool> {
        let origin = self.reach_origin(actor, post, "like").await?;
        self.act(Action::like(actor, origin)).await
    }

    /// Takes a like back and says whether there was one.
    ///
    /// # Errors
    ///
    /// Fails if an engine does; retrying is safe.
    pub async fn unlike(&self, actor: UserId, post: PostId) -> Result<bool> {
        let origin = self.origin(post).await?;
        self.withdraw(Action::like(actor, origin)).await
    }

    /// Takes an action back, tells of it if it was there, and says so.
    pub(crate) async fn withdraw(&self, action: Action) -> Result<bool> {
        let withdrawn = self.parts.actions.withdraw(&[action]).await?;
        let was_there = withdrawn.contains(&true);
        if was_there {
            self.mention(FeedEvent::Withdrawn(action)).await;
        }
        Ok(was_there)
    }

    /// Records an action, tells of it if it is new, and says so.
    pub(crate) async fn act(&self, action: Action) -> Result<bool> {
        let new = self.record(action).await? == Recorded::New;
        if new {
            self.mention(FeedEvent::Acted(action)).await;
        }
        Ok(new)
    }

    /// Tells of what has happened already and would not be told by a retry.
    pub(crate) async fn mention(&self, event: FeedEvent) {
        telemetry::tolerate(self.parts.events.emit(&[event]).await, "event not told");
    }

    pub(crate) async fn record(&self, action: Action) -> Result<Recorded> {
        let recorded = self.parts.actions.record(&[action]).await?;
        Ok(recorded.into_iter().next().unwrap_or(Recorded::New))
    }
}
