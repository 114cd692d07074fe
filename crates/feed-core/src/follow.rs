use crate::{
    Error, ErrorKind, Feed, FeedEvent, FollowSettings, Followed, Hide, ListId, Result, Route,
    UserId,
};

impl Feed {
    /// Makes `viewer` follow `author`, whose posts are in the viewer's home feed when this returns.
    /// Answers whether that is new; if it is not, the viewer's settings for the author stay.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Oneself`], [`ErrorKind::Blocked`] if one of the two blocks the other,
    /// [`ErrorKind::TooManyFollowees`], and [`ErrorKind::UnknownUser`] where the feed was given a
    /// source of users: with these nothing changed. Otherwise fails if an engine does, and retrying is
    /// safe.
    ///
    /// # Cancel safety
    ///
    /// The viewer follows the author or not. If they do, the author's posts are shown, by pulling
    /// them until a retry has copied them.
    pub async fn follow(&self, viewer: UserId, author: UserId) -> Result<bool> {
        self.connect(viewer, author, None).await
    }

    /// The same with settings for the author, which replace those of a follow that is not new.
    ///
    /// # Errors
    ///
    /// As for [`follow`](Self::follow).
    ///
    /// # Cancel safety
    ///
    /// As for [`follow`](Self::follow).
    pub async fn follow_with(
        &self,
        viewer: UserId,
        author: UserId,
        settings: FollowSettings,
    ) -> Result<bool> {
        self.connect(viewer, author, Some(settings)).await
    }

    /// Ends a follow, and says whether there was one. No page of the viewer's home feed shows the
    /// author's posts once this returns, however far their fanout has come; what others have reposted
    /// of them stays. The viewer's timeline is built again by their next visit.
    ///
    /// # Errors
    ///
    /// Fails if an engine does; retrying is safe.
    pub async fn unfollow(&self, viewer: UserId, author: UserId) -> Result<bool> {
        let ended = self.parts.graph.unfollow(viewer, author).await?;
        // Taking single entries out could hit those that a follow at the same time copies in, and
        // leave a hole. Building again cannot.
        self.parts.timelines.drop_many(&[viewer]).await?;
        self.circles_changed(&[viewer]).await?;
        Ok(ended)
    }

    /// Hides what `other` posts from `viewer`, and what `viewer` posts from `other`. Follows stay, so
    /// that [`unblock`](Self::unblock) shows everything again. Answers whether that is new.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Oneself`], and [`ErrorKind::UnknownUser`] as for [`follow`](Self::follow);
    /// otherwise fails if an engine does, and retrying is safe.
    pub async fn block(&self, viewer: UserId, other: UserId) -> Result<bool> {
        self.hide(viewer, other, Hide::Block, true, "block").await
    }

    /// Ends a block and says whether there was one. What `other` blocks stays blocked.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Oneself`]; otherwise fails if an engine does, and retrying is safe. A user whom
    /// nobody knows any more can be unblocked.
    pub async fn unblock(&self, viewer: UserId, other: UserId) -> Result<bool> {
        self.hide(viewer, other, Hide::Block, false, "unblock")
            .await
    }

    /// Hides what `other` posts from `viewer`, and says whether that is new.
    ///
    /// # Errors
    ///
    /// As for [`block`](Self::block).
    pub async fn mute(&self, viewer: UserId, other: UserId) -> Result<bool> {
        self.hide(viewer, other, Hide::Mute, true, "mute").await
    }

    /// Ends a mute and says whether there was one.
    ///
    /// # Errors
    ///
    /// As for [`unblock`](Self::unblock).
    pub async fn unmute(&self, viewer: UserId, other: UserId) -> Result<bool> {
        self.hide(viewer, other, Hide::Mute, false, "unmute").await
    }

    /// Replaces the members of a list; no members remove it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TooManyFollowees`] for more members than a viewer may follow; otherwise fails if
    /// an engine does, and retrying is safe.
    pub async fn set_list(&self, owner: UserId, list: ListId, members: &[UserId]) -> Result<()> {
        if members.len() as u64 > self.parts.options.max_followees {
            return Err(Error::bare(ErrorKind::TooManyFollowees, "set list"));
        }
        self.parts.graph.set_list(owner, list, members).await
    }

    async fn connect(
        &self,
        viewer: UserId,
        author: UserId,
        settings: Option<FollowSettings>,
    ) -> Result<bool> {
        if viewer == author {
            return Err(Error::bare(ErrorKind::Oneself, "follow"));
        }
        self.check_users(&[viewer, author], "follow").await?;
        let circle = self.circle(viewer).await?;
        if circle.blocks(author) {
            return Err(Error::bare(ErrorKind::Blocked, "follow"));
        }
        let followees = self.degree(viewer).await?.followees;
        if followees >= self.parts.options.max_followees && !circle.follows(author) {
            return Err(Error::bare(ErrorKind::TooManyFollowees, "follow"));
        }
        let followed = self.parts.graph.follow(viewer, author, settings).await?;
        let copied = match followed {
            Followed::Added(stamp) | Followed::Existing(Route::Both, stamp) => {
                self.backfill(viewer, author, stamp).await
            }
            Followed::Existing(..) => Ok(()),
        };
        let new = matches!(followed, Followed::Added(_));
        if new {
            self.mention(FeedEvent::Followed { viewer, author }).await;
        }
        self.circles_changed(&[viewer]).await?;
        // The edge is there, and its posts are shown: a retry would tell of neither.
        copied.map_err(|error| Error::new(ErrorKind::Unavailable, "follow", error))?;
        Ok(new)
    }

    async fn hide(
        &self,
        viewer: UserId,
        other: UserId,
        how: Hide,
        on: bool,
        op: &'static str,
    ) -> Result<bool> {
        if viewer == other {
            return Err(Error::bare(ErrorKind::Oneself, op));
        }
        if on {
            self.check_users(&[viewer, other], op).await?;
        }
        let changed = self.parts.graph.hide(viewer, other, how, on).await?;
        match how {
            Hide::Block => self.circles_changed(&[viewer, other]).await?,
            Hide::Mute => self.circles_changed(&[viewer]).await?,
        }
        Ok(changed)
    }
}
