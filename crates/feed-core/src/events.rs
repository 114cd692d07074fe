use std::{fmt, sync::Arc};

use async_trait::async_trait;

use crate::{Action, Entry, Follower, Result, UserId};

/// What happens in the feed, for whoever notifies people or updates their screens.
///
/// Events about posts come from fanout, once what they tell of is readable. They are told again when
/// [`emit`](Self::emit) fails or the process dies, until the part of the fanout that they belong to
/// has been tried [as often as it may be](crate::FeedOptions::attempts). The others come from the call
/// that made the change: [`FeedEvent::CircleChanged`] at least once, since its failure fails the call,
/// whose retry tells it again; all others at most once.
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
    /// What a user sees may have changed as a whole: they follow, unfollow, block or mute somebody, or
    /// are blocked.
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
    /// The home feeds of these followers, at most a chunk of them, with their settings for the
    /// author. Nobody is among them who mutes the author or is across a block, at the time of telling;
    /// of a repost, neither who hides the author's reposts, nor whom what it shows is hidden from. No
    /// followers of an author who is pulled are told; of a new post neither are those who pull from
    /// the author themselves, or were away for long.
    Followers(Vec<Follower>),
}

/// Tells each of several, in order. If one fails the others are told all the same, and once more when
/// the event is told again.
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

/// Tells nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unobserved;

#[async_trait]
impl FeedEvents for Unobserved {
    async fn emit(&self, _: &[FeedEvent]) -> Result<()> {
        Ok(())
    }
}
