//! From what an author wants to say to a post in their outbox, and a task of fanout.

mod admit;
mod delete;
mod distribute;
mod edit;
mod repost;

use std::time::Duration;

use bytes::Bytes;

pub use self::admit::NextPostId;
use crate::{
    Action, Entry, Error, ErrorKind, Feed, IdempotencyKey, PostId, Publication, Result, UserId,
    telemetry,
};

/// A post to publish.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NewPost {
    /// What to publish.
    pub content: Content,
    /// Makes a retry by the client harmless.
    pub key: Option<IdempotencyKey>,
    /// The post that this one answers. Where that was published before, what it answered then stays.
    pub reply_to: Option<PostId>,
}

/// Where the body of a post is.
#[derive(Clone, Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the feed keeps it, or the application does"
)]
pub enum Content {
    /// The feed keeps this body and chooses the id.
    Body(Bytes),
    /// The application keeps the post in a table of its own, under this id.
    ///
    /// Feeds are ordered by id, so ids must grow with time, from 1 on. Reposts get theirs from
    /// [`FeedParts::ids`](crate::FeedParts::ids) and must be newer than what they show: take the ids
    /// of posts from there too, or give the feed a generator that goes on from yours.
    ///
    /// Publishing the same id again is publishing it once, and counts against no quota. It completes a
    /// publication that was cut short, so publish again until there is an answer. Do not go on after
    /// that: each call is a fanout, and delivers its [`FeedEvents`](crate::FeedEvents) again.
    Elsewhere(PostId),
}

impl NewPost {
    /// A post whose body the feed keeps.
    #[must_use]
    pub fn new(body: impl Into<Bytes>) -> Self {
        Self::of(Content::Body(body.into()))
    }

    /// A post that the application keeps.
    #[must_use]
    pub const fn elsewhere(post: PostId) -> Self {
        Self::of(Content::Elsewhere(post))
    }

    const fn of(content: Content) -> Self {
        Self {
            content,
            key: None,
            reply_to: None,
        }
    }

    /// The same post under a key that makes a retry harmless.
    #[must_use]
    pub fn with_key(mut self, key: IdempotencyKey) -> Self {
        self.key = Some(key);
        self
    }

    /// The same post as an answer to another.
    #[must_use]
    pub const fn in_reply_to(mut self, post: PostId) -> Self {
        self.reply_to = Some(post);
        self
    }
}

/// What became of a post or repost.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
#[must_use = "a refused post was not stored"]
pub enum Published {
    /// It is durable and in its author's feeds. Fanout to the followers goes on.
    Accepted(PostId),
    /// The author has published it before, as the post named. Nothing changed.
    Duplicate(PostId),
    /// The author has reached [`FeedOptions::post_quota`](crate::FeedOptions::post_quota). Nothing
    /// was stored.
    RateLimited {
        /// When to try again.
        retry_after: Duration,
    },
    /// The queue of fanout is full, ids have run out for the moment, or the clock was set back by
    /// more than ids may run ahead of it. This attempt stored nothing.
    ///
    /// An attempt that met a full queue counts against the quota. Only a quota that is taken before the
    /// work bounds what authors ask of a queue that is full, and what they post at the same time.
    Busy {
        /// When to try again.
        retry_after: Duration,
    },
}

impl Published {
    /// The post, if it is stored: by this call, or by an earlier one.
    #[must_use]
    pub const fn post(self) -> Option<PostId> {
        match self {
            Self::Accepted(post) | Self::Duplicate(post) => Some(post),
            Self::RateLimited { .. } | Self::Busy { .. } => None,
        }
    }
}

impl Feed {
    /// Publishes a post: durable, and in the author's own feeds, when this returns.
    ///
    /// # Errors
    ///
    /// With these nothing was stored:
    ///
    /// - [`ErrorKind::EmptyPost`] and [`ErrorKind::OversizedPost`] for the body, and
    ///   [`ErrorKind::ReservedPostId`] for the id 0;
    /// - [`ErrorKind::UnknownUser`] for an author whom [`FeedParts::users`](crate::FeedParts::users)
    ///   does not know;
    /// - [`ErrorKind::UnknownPost`] for a post that is answered and is not there, or is by somebody who
    ///   blocks the author or is blocked; and for an id of the application's that was deleted before;
    /// - [`ErrorKind::NotAuthor`] for an id of the application's under which somebody else has
    ///   published.
    ///
    /// [`ErrorKind::Unavailable`] if an engine fails: the post may be published or not, and a retry
    /// under the same [`IdempotencyKey`], or with the same id, finds out.
    ///
    /// # Cancel safety
    ///
    /// As for [`ErrorKind::Unavailable`].
    pub async fn publish(&self, author: UserId, post: NewPost) -> Result<Published> {
        match &post.content {
            Content::Body(body) => self.check_body(body, "publish")?,
            Content::Elsewhere(id) => id.check("publish")?,
        }
        let published = match self.publish_again(author, &post).await? {
            Some(published) => published,
            None => self.publish_new(author, &post).await?,
        };
        let stored = match published {
            Published::Accepted(id) => post.reply_to.map(|_| id),
            // An earlier call may have come to its end before it was counted.
            Published::Duplicate(id) => Some(id),
            _ => None,
        };
        if let Some(id) = stored {
            let counted = self.count_reply(author, id).await;
            telemetry::tolerate(counted, "reply not counted"); // the task sees to it
        }
        telemetry::published(&published);
        Ok(published)
    }

    /// Records what a post answers. That was decided when it was stored, whatever a retry says.
    pub(crate) async fn count_reply(&self, author: UserId, id: PostId) -> Result<()> {
        let stored = self.stored(id).await?;
        if let Some(parent) = stored.and_then(|post| post.reply_to)
            && let Some(original) = self.state(parent).await?.live()
        {
            self.act(Action::reply(author, original, id)).await?;
        }
        Ok(())
    }

    pub(crate) fn check_body(&self, body: &[u8], op: &'static str) -> Result<()> {
        if body.trim_ascii().is_empty() {
            return Err(Error::bare(ErrorKind::EmptyPost, op));
        }
        if body.len() > self.parts.options.max_body {
            return Err(Error::bare(ErrorKind::OversizedPost, op));
        }
        Ok(())
    }

    /// Publishes what the author has published before, which nothing that has changed since can
    /// refuse; `None` if they have not.
    async fn publish_again(&self, author: UserId, post: &NewPost) -> Result<Option<Published>> {
        if let Some(key) = &post.key
            && let Some(earlier) = self.parts.outbox.published(author, key).await?
        {
            return Ok(Some(Published::Duplicate(earlier)));
        }
        let Content::Elsewhere(id) = post.content else {
            return Ok(None);
        };
        let entry = Entry::original(id, author);
        if self.state(id).await?.live() != Some(entry) {
            return Ok(None);
        }
        let item = Publication::new(entry, Bytes::new());
        self.distribute(item).await.map(Some)
    }

    async fn publish_new(&self, author: UserId, post: &NewPost) -> Result<Published> {
        self.check_users(&[author], "publish").await?;
        let answered = match post.reply_to {
            Some(parent) => Some(self.reach_original(author, parent, "publish").await?.post),
            None => None,
        };
        // An attempt for which there is no id costs the author nothing.
        let (id, body) = match &post.content {
            Content::Elsewhere(id) => (*id, Bytes::new()),
            Content::Body(body) => match self.next_post_id()? {
                NextPostId::Ready(id) => (id, body.clone()),
                NextPostId::Busy { retry_after } => return Ok(Published::Busy { retry_after }),
            },
        };
        if let Some(refusal) = self.refusal(author).await? {
            return Ok(refusal);
        }
        let mut item = Publication::new(Entry::original(id, author), body);
        item.key.clone_from(&post.key);
        item.reply_to = answered;
        let published = self.distribute(item).await?;
        self.note_post(author, published).await;
        Ok(published)
    }
}
