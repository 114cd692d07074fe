use std::fmt;

use async_trait::async_trait;
use backplane::Timestamp;

use crate::{PostId, Result, UserId};

/// When each viewer was last here, how often they come, and how far they have read.
#[async_trait]
pub trait Activity: fmt::Debug + Send + Sync {
    /// Notes that each viewer reads at `at`. A visit older than one already noted changes nothing.
    ///
    /// # Errors
    ///
    /// Fails if the engine does; retrying is safe.
    async fn touch(&self, viewers: &[UserId], at: Timestamp) -> Result<()>;

    /// What is known of each viewer, in the order asked; nothing of one who was never here.
    ///
    /// # Errors
    ///
    /// Fails if the engine does.
    async fn visits(&self, viewers: &[UserId]) -> Result<Vec<Option<Visits>>>;

    /// Moves the viewer's marker forward to `post` and answers where it stands; it never moves back.
    ///
    /// # Errors
    ///
    /// Fails if the engine does; retrying is safe.
    async fn mark_read(&self, viewer: UserId, post: PostId) -> Result<PostId>;

    /// Where the viewer's marker stands: [`PostId::MIN`] if it was never moved.
    ///
    /// # Errors
    ///
    /// Fails if the engine does.
    async fn marker(&self, viewer: UserId) -> Result<PostId>;

    /// Forgets the viewer.
    ///
    /// # Errors
    ///
    /// Fails if the engine does; retrying is safe.
    async fn erase(&self, viewer: UserId) -> Result<()>;
}

/// A viewer's visits.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct Visits {
    /// The last one.
    pub last: Timestamp,
    /// Visits a day, in thousandths, averaged with a time constant of a week. Touches within a
    /// minute of the last visit belong to it.
    pub per_day_milli: u32,
}

impl Visits {
    /// For stores: the first visit.
    #[must_use]
    pub const fn first(at: Timestamp) -> Self {
        Self {
            last: at,
            per_day_milli: 0,
        }
    }
}
