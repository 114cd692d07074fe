//! What a feed answers about posts and users. The stores answer in batches; here is also what is asked
//! of them about one.

use std::sync::Arc;

use futures::try_join;

use crate::{
    ActionKind, AuthorStats, Circle, Counts, Degree, Entry, Error, ErrorKind, Feed, Habit, Post,
    PostId, PostState, Result, UserId,
};

/// What was done to a post, as one viewer sees it.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct Reactions {
    /// What everybody did.
    pub counts: Counts,
    /// Whether the viewer likes it.
    pub liked: bool,
    /// The viewer's repost of it.
    pub repost: Option<PostId>,
}

impl Feed {
    /// The originals that these posts show, in the order asked, as `viewer` may see them: of each the
    /// post itself or, of a repost, what was reposted. `None` for one that is not there, and where its
    /// author or who reposted it is across a block.
    ///
    /// Mutes do not matter: a post that is asked for by its id is seen.
    ///
    /// # Errors
    ///
    /// Fails if an engine does.
    pub async fn visible(&self, viewer: UserId, posts: &[PostId]) -> Result<Vec<Option<Entry>>> {
        let outbox = &self.parts.outbox;
        let (circle, shown) = try_join!(self.circle(viewer), outbox.lookup(posts))?;
        let in_reach = |state: &PostState| {
            let live = state.live();
            live.filter(|entry| !circle.blocks(entry.author))
        };
        let mut shown: Vec<_> = shown.iter().map(in_reach).collect();
        let reposts = shown.iter().flatten().filter(|entry| entry.is_repost());
        let origins: Vec<_> = reposts.map(|entry| entry.origin).collect();
        if origins.is_empty() {
            return Ok(shown);
        }
        let mut origins = outbox.lookup(&origins).await?.into_iter();
        for entry in &mut shown {
            if entry.is_some_and(|entry| entry.is_repost()) {
                *entry = origins.next().as_ref().and_then(in_reach);
            }
        }
        Ok(shown)
    }

    /// The original that a post shows, if both are there. It asks nobody's leave: see
    /// [`visible`](Self::visible).
    ///
    /// # Errors
    ///
    /// Fails if an engine does.
    pub async fn original(&self, post: PostId) -> Result<Option<Entry>> {
        match self.state(post).await?.live() {
            Some(entry) if entry.is_repost() => Ok(self.state(entry.origin).await?.live()),
            entry => Ok(entry),
        }
    }

    /// What was done to these posts, in the order asked, and what of it by `viewer`. Name originals: what
    /// is done to a repost is done to the post that it shows.
    ///
    /// # Errors
    ///
    /// Fails if an engine does.
    pub async fn reactions(&self, viewer: UserId, posts: &[PostId]) -> Result<Vec<Reactions>> {
        let parts = &self.parts;
        let (counts, likes, reposts) = try_join!(
            parts.counters.counts(posts),
            parts.actions.acted(viewer, ActionKind::Like, posts),
            parts.actions.acted(viewer, ActionKind::Repost, posts),
        )?;
        let reactions = counts.into_iter().zip(likes).zip(reposts);
        let reactions = reactions.map(|((counts, like), repost)| Reactions {
            counts,
            liked: like.is_some(),
            repost,
        });
        Ok(reactions.collect())
    }

    /// The users whom a viewer [follows](Circle::followees), blocks and mutes, and those who block them.
    ///
    /// # Errors
    ///
    /// Fails if an engine does.
    pub async fn circle(&self, viewer: UserId) -> Result<Arc<Circle>> {
        let mut circles = self.parts.graph.circles(&[viewer]).await?;
        let none = || Arc::new(Circle::new(viewer, [], [], []));
        Ok(circles.pop().unwrap_or_else(none))
    }

    /// How many followers and followees a user has.
    ///
    /// # Errors
    ///
    /// Fails if an engine does.
    pub async fn degree(&self, user: UserId) -> Result<Degree> {
        let degrees = self.parts.graph.degrees(&[user]).await?;
        Ok(degrees.first().copied().unwrap_or_default())
    }

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

    pub(crate) async fn state(&self, post: PostId) -> Result<PostState> {
        let states = self.parts.outbox.lookup(&[post]).await?;
        Ok(states.into_iter().next().unwrap_or(PostState::Absent))
    }

    /// The post with its body, if it is there.
    pub(crate) async fn stored(&self, post: PostId) -> Result<Option<Post>> {
        let posts = self.parts.outbox.posts(&[post]).await?;
        Ok(posts.into_iter().next().flatten())
    }

    /// The author's newest post.
    pub(crate) async fn head(&self, author: UserId) -> Result<Option<PostId>> {
        let heads = self.parts.outbox.heads(&[author]).await?;
        Ok(heads.into_iter().next().flatten())
    }

    pub(crate) async fn author_stats(&self, author: UserId) -> Result<AuthorStats> {
        let degree = self.degree(author).await?;
        let rhythms = self.parts.activity.rhythms(Habit::Post, &[author]).await?;
        let posts = rhythms.into_iter().next().flatten();
        Ok(AuthorStats::new(author, degree, posts))
    }

    /// The actor's repost of an original.
    pub(crate) async fn reposted(&self, actor: UserId, origin: PostId) -> Result<Option<PostId>> {
        let actions = &self.parts.actions;
        let acted = actions.acted(actor, ActionKind::Repost, &[origin]).await?;
        Ok(acted.into_iter().next().flatten())
    }

    /// That the application knows the users.
    pub(crate) async fn check_users(&self, users: &[UserId], op: &'static str) -> Result<()> {
        let Some(source) = &self.parts.users else {
            return Ok(());
        };
        let known = source.users(users).await?;
        if known.len() != users.len() {
            return Err(Error::bare(ErrorKind::Corrupt, op));
        }
        if known.contains(&None) {
            return Err(Error::bare(ErrorKind::UnknownUser, op));
        }
        Ok(())
    }
}
