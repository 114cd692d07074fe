//! Arguments of a call that takes effect when its caller has long gone.

use std::time::Duration;

use backplane::{
    Timestamp,
    queue::{Lane, LeaseKey, NewTask, Settlement, TaskId},
};
use bytes::Bytes;
use feed_core::{
    Action, ActionKind, BuildTicket, EdgeRoute, Entry, FollowSettings, Habit, Hide, IdempotencyKey,
    ListId, PostId, Publication, Route, RouteStamp, Seek, UserId,
};

/// An argument that can be kept, and lent to the call again.
pub(crate) trait Argument<'a>: Sized {
    type Kept: Send + 'static;

    fn keep(self) -> Self::Kept;

    fn lend(kept: &'a Self::Kept) -> Self;
}

macro_rules! owned {
    ($($type:ty),*) => {
        $(impl Argument<'_> for $type {
            type Kept = Self;

            fn keep(self) -> Self {
                self
            }

            fn lend(kept: &Self) -> Self {
                kept.clone()
            }
        })*
    };
}

macro_rules! borrowed {
    ($($type:ty),*) => {
        $(impl<'a> Argument<'a> for &'a $type {
            type Kept = <$type as ToOwned>::Owned;

            fn keep(self) -> Self::Kept {
                self.to_owned()
            }

            fn lend(kept: &'a Self::Kept) -> Self {
                kept
            }
        })*
    };
}

owned!(
    ActionKind,
    BuildTicket,
    Bytes,
    Duration,
    Entry,
    Habit,
    Hide,
    Lane,
    ListId,
    Option<FollowSettings>,
    Option<TaskId>,
    Option<UserId>,
    PostId,
    Route,
    RouteStamp,
    Seek,
    Timestamp,
    UserId,
    bool,
    usize
);

borrowed!(
    IdempotencyKey,
    [(LeaseKey, Settlement)],
    [Action],
    [EdgeRoute],
    [Entry],
    [LeaseKey],
    [NewTask],
    [PostId],
    [Publication],
    [TaskId],
    [UserId]
);
