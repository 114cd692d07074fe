use bytes::Bytes;

use crate::{
    Entry, Error, ErrorKind, Feed, PostId, PostState, Result, Revised, UserId,
    fanout::task::{Errand, FanoutTask},
};

impl Feed {
    /// Replaces the body of a post and answers its new version.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::EmptyPost`] and [`ErrorKind::OversizedPost`] for the body, [`ErrorKind::Invalid`]
    /// for a post that the application keeps, which is [touched](Self::touch) instead,
    /// [`ErrorKind::UnknownPost`], also for a repost, [`ErrorKind::NotAuthor`], and
    /// [`ErrorKind::Full`] if the queue is full: with these nothing changed. Otherwise fails if an
    /// engine does, and a retry stores the body once more.
    pub async fn edit(&self, author: UserId, post: PostId, body: Bytes) -> Result<u32> {
        self.check_body(&body, "edit")?;
        let stored = self.stored(post).await?;
        if stored.is_some_and(|stored| stored.is_elsewhere()) {
            return Err(Error::bare(ErrorKind::Invalid, "edit"));
        }
        self.revise_post(author, post, body, "edit").await
    }

    /// Raises the version of a post whose body the application keeps and has changed. Answers the new
    /// version.
    ///
    /// # Errors
    ///
    /// As for [`edit`](Self::edit), but for those about the body; and [`ErrorKind::Invalid`] for a
    /// post whose body the feed keeps.
    pub async fn touch(&self, author: UserId, post: PostId) -> Result<u32> {
        let stored = self.stored(post).await?;
        if stored.is_some_and(|stored| !stored.entry.is_repost() && !stored.is_elsewhere()) {
            return Err(Error::bare(ErrorKind::Invalid, "touch"));
        }
        self.revise_post(author, post, Bytes::new(), "touch").await
    }

    async fn revise_post(
        &self,
        author: UserId,
        post: PostId,
        body: Bytes,
        op: &'static str,
    ) -> Result<u32> {
        let above = match self.state(post).await? {
            PostState::Live { entry, .. } if entry.author != author => {
                return Err(Error::bare(ErrorKind::NotAuthor, op));
            }
            PostState::Live { entry, version } if !entry.is_repost() => version,
            _ => return Err(Error::bare(ErrorKind::UnknownPost, op)),
        };
        let task = FanoutTask::new(Errand::Revise { above }, Entry::original(post, author));
        self.send(task, op).await?;
        match self.parts.outbox.revise(author, post, body).await? {
            Revised::Stored(version) => Ok(version),
            Revised::Gone => Err(Error::bare(ErrorKind::UnknownPost, op)),
            Revised::NotAuthor => Err(Error::bare(ErrorKind::NotAuthor, op)),
        }
    }
}
