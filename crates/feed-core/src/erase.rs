use backplane::queue::Lane;

use crate::{Feed, FeedEvent, Result, UserId, graph::viewers};

impl Feed {
    /// Forgets a user: posts, reposts and their place in timelines, follows in both directions,
    /// blocks, mutes and lists, likes and replies, those of others to their posts, activity, and the
    /// work that is left of their fanout, dead letters included.
    ///
    /// Reposts of their posts are hidden from then on. A worker that is in the middle of a chunk of
    /// theirs may still write an id into some timelines, where no page shows it.
    ///
    /// A ranked order that was frozen before keeps ids of theirs until it expires. What counts against
    /// their post quota passes with its time. A fanout of somebody else's that has come as far as this
    /// follower has their id for its place until it goes on.
    ///
    /// What the application keeps is the application's to erase: its own posts and profiles, and what
    /// a [`Hydrator`](crate::Hydrator) has cached of them
    /// ([`forget_posts`](crate::Hydrator::forget_posts),
    /// [`forget_users`](crate::Hydrator::forget_users)).
    ///
    /// # Errors
    ///
    /// Fails if an engine does, with a part of it done; calling again does the rest.
    ///
    /// # Cancel safety
    ///
    /// As for a failure.
    pub async fn erase_user(&self, user: UserId) -> Result<()> {
        let parts = &self.parts;
        // From here on nothing of theirs is delivered: a task finds neither itself nor its post.
        parts.queue.purge_lane(Lane::new(user.get())).await?;
        while parts.outbox.erase(user, CHUNK).await? > 0 {}
        self.purge_followers(user).await?;
        parts.timelines.drop_many(&[user]).await?;
        // After the posts: who likes one of them from here on finds it gone.
        while parts.actions.erase(user, CHUNK).await? > 0 {}
        parts.activity.erase(user).await?;
        // Again: a worker that waited for a post which never came may have noted meanwhile that it cannot.
        while parts.outbox.erase(user, CHUNK).await? > 0 {}
        // Last: the followers are how a call that comes again finds the timelines.
        while parts.graph.erase(user, CHUNK).await? > 0 {}
        self.mention(FeedEvent::Erased { user }).await;
        Ok(())
    }

    async fn purge_followers(&self, author: UserId) -> Result<()> {
        let mut after = None;
        loop {
            let page = self.parts.graph.followers(author, after, CHUNK).await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = Some(last.viewer);
            let viewers = viewers(&page);
            self.parts.timelines.purge_many(&viewers, author).await?;
        }
    }
}

/// How much is erased between two chances to stop.
const CHUNK: usize = 1_000;
