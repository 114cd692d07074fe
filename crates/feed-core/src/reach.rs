//! Finding a post that somebody wants to do something to.

use crate::{Entry, Error, ErrorKind, Feed, PostId, Result, UserId};

impl Feed {
    /// The original that a post shows, for `actor` to do something to it: neither it nor the post is
    /// across a block.
    pub(crate) async fn reach_original(
        &self,
        actor: UserId,
        post: PostId,
        op: &'static str,
    ) -> Result<Entry> {
        let visible = self.visible(actor, &[post]).await?;
        let original = visible.into_iter().next().flatten();
        original.ok_or_else(|| Error::bare(ErrorKind::UnknownPost, op))
    }

    /// The id of the original that a post shows; the post itself if it is not there any more.
    pub(crate) async fn origin(&self, post: PostId) -> Result<PostId> {
        let live = self.state(post).await?.live();
        Ok(live.map_or(post, |entry| entry.origin))
    }
}
