use crate::{PresenceState, UserId};

/// What a node says of one of its users.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Report {
    /// The user.
    pub user: UserId,
    /// Which of the node's reports it is: of those of one user the one with the greatest number holds.
    pub sequence: u64,
    /// What the user's devices at the node amount to; [`Offline`](super::Status::Offline) if there are none.
    pub state: PresenceState,
}

impl Report {
    /// The report that `user` is in `state`.
    #[must_use]
    pub const fn new(user: UserId, sequence: u64, state: PresenceState) -> Self {
        Self {
            user,
            sequence,
            state,
        }
    }
}
