//! Who may publish now, and under which id.

use std::time::Duration;

use backplane::{id::IdError, rate::Decision};

use crate::{Error, ErrorKind, Feed, PostId, Published, Result, UserId};

/// An id for a post to come.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "there is an id, or a time to wait")]
pub enum NextPostId {
    /// This one, which no other post has.
    Ready(PostId),
    /// None yet: ids have run out for the moment, or the clock was set back by more than they may run
    /// ahead of it.
    Busy {
        /// When to try again.
        retry_after: Duration,
    },
}

impl Feed {
    /// The id of the next post, for one that the application keeps
    /// ([`NewPost::elsewhere`](crate::NewPost::elsewhere)): newer than every other, and older than every
    /// repost to come.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Closed`] if the generator will have no more ids.
    pub fn next_post_id(&self) -> Result<NextPostId> {
        match self.parts.ids.next_id() {
            Ok(id) => Ok(NextPostId::Ready(PostId::from(id))),
            Err(error) => match (error.retry_after(), error) {
                (Some(retry_after), _) => Ok(NextPostId::Busy { retry_after }),
                // Whoever keeps the node tries again by itself.
                (_, IdError::AwaitingMark | IdError::LeaseExpired) => Ok(NextPostId::Busy {
                    retry_after: KEEPER,
                }),
                _ => Err(Error::new(ErrorKind::Closed, "publish", error)),
            },
        }
    }

    /// Takes one off what the author may post, or says why they may not now.
    pub(crate) async fn refusal(&self, author: UserId) -> Result<Option<Published>> {
        let Some(quota) = self.parts.options.post_quota else {
            return Ok(None);
        };
        let key = [&b"feed:post:"[..], &author.get().to_be_bytes()].concat();
        match self.parts.limiter.check(&key, quota, 1).await? {
            Decision::Allowed { .. } => Ok(None),
            Decision::Limited { retry_after } => Ok(Some(Published::RateLimited { retry_after })),
            _ => Err(Error::bare(ErrorKind::Invalid, "publish")),
        }
    }
}

/// What a keeper of ids may need to renew what it holds.
const KEEPER: Duration = Duration::from_millis(250);
