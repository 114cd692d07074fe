//! Finding a post that somebody wants to do something to.

use crate::{Entry, Error, ErrorKind, Feed, PostId, PostState, Result, UserId};

impl Feed {
    /// The original that a post shows, for `actor` to do something to it: neither it nor the post is
    /// across a block.
    pub(crate) async fn reach_original(
        &self,
        actor: UserId,
        post: PostId,
        op: &'static str,
    ) -> Result<Entry> {
        let entry = self.reach(actor, post, op).await?;
        if entry.is_repost() {
            return self.reach(actor, entry.origin, op).await;
        }
        Ok(entry)
    }

    /// The original that a post shows, if both are there.
    pub(crate) async fn original(&self, post: PostId) -> Result<Option<Entry>> {
        match self.state(post).await?.live() {
            Some(entry) if entry.is_repost() => Ok(self.state(entry.origin).await?.live()),
            entry => Ok(entry),
        }
    }

    /// The id of the original that a post shows; the post itself if it is not there any more.
    pub(crate) async fn origin(&self, post: PostId) -> Result<PostId> {
        let live = self.state(post).await?.live();
        Ok(live.map_or(post, |entry| entry.origin))
    }

    pub(crate) async fn state(&self, post: PostId) -> Result<PostState> {
        let states = self.parts.outbox.lookup(&[post]).await?;
        Ok(states.into_iter().next().unwrap_or(PostState::Absent))
    }

    async fn reach(&self, actor: UserId, post: PostId, op: &'static str) -> Result<Entry> {
        let unknown = || Error::bare(ErrorKind::UnknownPost, op);
        let entry = self.state(post).await?.live().ok_or_else(unknown)?;
        if self.circle(actor).await?.blocks(entry.author) {
            return Err(unknown());
        }
        Ok(entry)
    }
}
