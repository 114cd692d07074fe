use backplane::Topic;
use hashbrown::HashMap;

use super::{Announcement, Published, StateRead, Version};
use crate::{Error, ErrorKind, Result, UserId};

/// Whom one client shows, and what it was told of them.
///
/// A client follows those on its screen, and no others: it sends the whole set whenever that changes.
///
/// ```
/// use chat_core::{UserId, presence::Follows};
/// let mut follows = Follows::new(UserId::new(1), 512);
/// let first = follows.replace(&[UserId::new(2), UserId::new(3)])?;
/// assert_eq!(first.reads.len(), 2); // who comes into sight is asked for
/// let second = follows.replace(&[UserId::new(3)])?;
/// assert_eq!((second.reads.len(), second.unsubscribe.len()), (0, 2));
/// # Ok::<(), chat_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Follows {
    viewer: UserId,
    most: usize,
    known: HashMap<UserId, Option<Published>>,
}

/// What has to be done for a client to follow another set.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Refollow {
    /// Topics to subscribe to, two for each user: what all friends see, and what this viewer alone does. First.
    pub subscribe: Vec<Topic>,
    /// Topics to leave.
    pub unsubscribe: Vec<Topic>,
    /// What to read, once the subscriptions stand, and to [`accept`](Follows::accept).
    pub reads: Vec<StateRead>,
}

impl Follows {
    /// A client of `viewer`, who follows nobody, and at most `most`: 512 is a good bound.
    #[must_use]
    pub fn new(viewer: UserId, most: usize) -> Self {
        Self {
            viewer,
            most,
            known: HashMap::new(),
        }
    }

    /// Follows `users` from now on, and nobody else.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] if they are more than may be followed; nothing changed.
    pub fn replace(&mut self, users: &[UserId]) -> Result<Refollow> {
        let wanted: HashMap<_, _> = users.iter().map(|&user| (user, None)).collect();
        if wanted.len() > self.most {
            return Err(Error::bare(ErrorKind::Invalid, "follow"));
        }
        let mut refollow = Refollow::default();
        for user in self.known.keys().filter(|user| !wanted.contains_key(*user)) {
            refollow.unsubscribe.extend(self.topics(*user));
        }
        let mut known = wanted;
        for (user, state) in &mut known {
            if let Some(before) = self.known.get(user) {
                *state = *before;
            } else {
                refollow.subscribe.extend(self.topics(*user));
                refollow.reads.push(StateRead::new(*user));
            }
        }
        self.known = known;
        Ok(refollow)
    }

    /// Whether the client is to be told: it follows the user, and knows nothing as new.
    pub fn accept(&mut self, published: Published) -> bool {
        let Some(known) = self.known.get_mut(&published.user) else {
            return false;
        };
        if known.is_some_and(|known| known.version >= published.version) {
            return false;
        }
        *known = Some(published);
        true
    }

    /// What to read to be sure of everybody, after messages were lost or from time to time.
    #[must_use]
    pub fn reads(&self) -> Vec<StateRead> {
        let read = |(&user, known): (&UserId, &Option<Published>)| {
            let version = known.map_or(Version::ZERO, |known| known.version);
            StateRead::since(user, version)
        };
        self.known.iter().map(read).collect()
    }

    /// How many are followed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether nobody is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    fn topics(&self, user: UserId) -> [Topic; 2] {
        [
            Announcement::topic(user),
            Announcement::pair_topic(user, self.viewer),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::presence::{PresenceState, Status};

    const ANN: UserId = UserId::new(1);
    const BOB: UserId = UserId::new(2);

    fn seen(user: UserId, version: u64, status: Status) -> Published {
        let state = PresenceState::new(status, None, false);
        Published::new(user, Version::new(version), state)
    }

    #[test]
    fn only_the_newest_of_those_who_are_followed_is_told() {
        let mut follows = Follows::new(ANN, 512);
        follows.replace(&[BOB]).unwrap();
        assert!(follows.accept(seen(BOB, 5, Status::Online)));
        for stale in [4, 5] {
            assert!(!follows.accept(seen(BOB, stale, Status::Offline)));
        }
        assert!(follows.accept(seen(BOB, 6, Status::Away)));
        assert!(!follows.accept(seen(ANN, 9, Status::Away)));
        assert_eq!(follows.reads(), [StateRead::since(BOB, Version::new(6))]);
    }

    #[test]
    fn who_stays_in_sight_is_neither_asked_for_nor_subscribed_to_again() {
        let mut follows = Follows::new(ANN, 2);
        let first = follows.replace(&[BOB, BOB]).unwrap();
        assert_eq!((first.subscribe.len(), first.reads.len()), (2, 1));
        assert!(follows.accept(seen(BOB, 5, Status::Online)));
        assert_eq!(follows.replace(&[BOB]).unwrap(), Refollow::default());
        assert!(!follows.accept(seen(BOB, 5, Status::Online)));
        let gone = follows.replace(&[]).unwrap();
        assert_eq!(gone.unsubscribe, first.subscribe);
        assert!(follows.is_empty());
    }

    #[test]
    fn a_set_beyond_the_bound_changes_nothing() {
        let mut follows = Follows::new(ANN, 2);
        follows.replace(&[BOB]).unwrap();
        let three = [3, 4, 5].map(UserId::new);
        let refused = follows.replace(&three).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid);
        assert!(follows.accept(seen(BOB, 1, Status::Online)));
    }
}
