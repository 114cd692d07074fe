use std::{fmt, sync::Arc};

use async_trait::async_trait;

use crate::{Action, Entry, Follower, Result, UserId};

/// Gets what happens in the feed, to notify people or update their screens.
///
/// Events about posts come from fanout, when the change can be read. They are delivered at least once:
/// again when [`emit`](Self::emit) fails or the process dies, until their piece of the fanout has been
/// tried [as often as it may be](crate::FeedOptions::attempts).
///
/// All other events come from the call that made the change. [`FeedEvent::CircleChanged`] is delivered at
/// least once: its failure fails the call, and a retry of the call delivers it again. The others are
/// delivered at most once.
#[async_trait]
pub trait FeedEvents: fmt::Debug + Send + Sync {
    /// Takes the events, in order.
    ///
    /// # Errors
    ///
    /// A failure makes fanout try the same events again later. It withholds no post from timelines.
    ///
    /// # Cancel safety
    ///
    /// As for a failure. A worker drops a call that takes half of a [`lease_ttl`](crate::FeedOptions::lease_ttl).
    async fn emit(&self, events: &[FeedEvent]) -> Result<()>;
}

/// One thing that happened.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum FeedEvent {
    /// A post or repost changed, in the feeds of this audience.
    Post {
        /// The post.
        entry: Entry,
        /// What happened to it.
        change: Change,
        /// In whose feeds.
        audience: Audience,
    },
    /// A user began to follow another.
    Followed {
        /// Who follows.
        viewer: UserId,
        /// Who is followed.
        author: UserId,
    },
    /// What a user sees may have changed as a whole: they followed, unfollowed, blocked or muted somebody,
    /// ended that, or were blocked.
    CircleChanged {
        /// Whose home feed it is.
        viewer: UserId,
    },
    /// A user was [erased](crate::Feed::erase_user), with all their posts.
    Erased {
        /// Who it was.
        user: UserId,
    },
    /// A user liked, answered or reposted a post.
    Acted(Action),
    /// A user took a like back, or deleted what they had answered or reposted with.
    Withdrawn(Action),
}

/// What happened to a post.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Change {
    /// It is readable.
    Published,
    /// It has a new body.
    Revised {
        /// Its version now.
        version: u32,
    },
    /// It is no longer readable.
    Retracted,
}

/// Whose feeds changed.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a post is read on its author's page or on a follower's"
)]
pub enum Audience {
    /// The author's own feeds, and those of everybody who pulls from them. Comes first.
    Author,
    /// The home feeds of these followers, with their settings for the author: at most those of one piece of
    /// a fanout. Not among them are
    ///
    /// - those who mute the author or are across a block, when the event is delivered;
    /// - of a repost, those who hide the author's reposts, or from whom the reposted post is hidden;
    /// - all followers of an author who is pulled;
    /// - of a new post, those who pull from the author themselves, or were away for long.
    Followers(Vec<Follower>),
}

/// Delivers to each of several listeners, in order. If one fails, the others get the events all the same,
/// and get them once more when fanout tries again.
#[derive(Clone, Debug, Default)]
pub struct Tee(pub Vec<Arc<dyn FeedEvents>>);

#[async_trait]
impl FeedEvents for Tee {
    async fn emit(&self, events: &[FeedEvent]) -> Result<()> {
        let mut told = Ok(());
        for listener in &self.0 {
            told = told.and(listener.emit(events).await);
        }
        told
    }
}

/// Listens to nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unobserved;

#[async_trait]
impl FeedEvents for Unobserved {
    async fn emit(&self, _: &[FeedEvent]) -> Result<()> {
        Ok(())
    }
}
