//! How far a viewer has read.

use crate::{Feed, PageSize, PostId, Result, Seek, UserId, cursor::FeedName};

impl Feed {
    /// Moves the viewer's marker forward to `post`; it never moves back. Answers where it stands.
    ///
    /// # Errors
    ///
    /// Fails if an engine does.
    pub async fn mark_read(&self, viewer: UserId, post: PostId) -> Result<PostId> {
        self.parts.activity.mark_read(viewer, post).await
    }

    /// How many entries of the home feed are newer than the viewer's marker and not the viewer's own,
    /// among the newest `most`.
    ///
    /// # Errors
    ///
    /// Fails if an engine does.
    pub async fn unread(&self, viewer: UserId, most: PageSize) -> Result<usize> {
        let marker = self.parts.activity.marker(viewer).await?;
        let circle = self.circle(viewer).await?;
        let mut pager = self.home_pager(&circle, FeedName::Home);
        let newest = pager.page(Seek::Newest, most).await?;
        let unread = newest
            .entries
            .iter()
            .take_while(|entry| entry.post > marker)
            .filter(|entry| entry.author != viewer);
        Ok(unread.count())
    }
}
