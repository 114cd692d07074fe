use std::time::Duration;

use hashbrown::{HashMap, HashSet};

use crate::UserId;

/// What those in a room are told of who comes and goes: by name as long as it is small, and how many are there once
/// it is large.
///
/// It is told who is seen to be there, so an invisible user does not [enter](Self::enter). What it answers goes to
/// everybody in the room, as one message however many came and went.
///
/// ```
/// use std::time::Duration;
/// use chat_core::{UserId, presence::{Room, RoomNews, RoomOptions}};
/// let mut room = Room::new(RoomOptions::default());
/// room.enter(UserId::new(1));
/// let at = Duration::from_secs(1);
/// let Some(RoomNews::Came { came, .. }) = room.news(at) else { panic!() };
/// assert_eq!(came, [UserId::new(1)]);
/// assert_eq!(room.news(at), None);
/// ```
#[derive(Clone, Debug)]
pub struct Room {
    options: RoomOptions,
    members: HashSet<UserId>,
    /// Who was told to be there, of those who have come or gone since: by whether they were.
    changed: HashMap<UserId, bool>,
    mode: RoomMode,
    /// When something was told, by monotonic time.
    told: Option<Duration>,
    /// How many those who are told know of, unless they take the room for small.
    told_count: Option<usize>,
}

/// How a room tells who is there.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum RoomMode {
    /// By name.
    Names,
    /// How many.
    Counts,
}

/// The bounds of a [`Room`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RoomOptions {
    /// The most members that are told by name. 100 by default, the bound of Pusher.
    pub names: usize,
    /// How few they must be before they are told by name again. 80 by default; a room at the bound does not change to
    /// and fro.
    pub names_again: usize,
    /// How long what happens is gathered before it is told by name. 250 milliseconds by default.
    pub window: Duration,
    /// How often it is told how many there are. 10 seconds by default.
    pub interval: Duration,
}

/// What everybody in a room is told.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum RoomNews {
    /// Who came and who went since it was last told, each of them at most once and in ascending order.
    Came {
        /// Who came.
        came: Vec<UserId>,
        /// Who went.
        went: Vec<UserId>,
    },
    /// The room has become small: this is everybody.
    Everybody(Vec<UserId>),
    /// How many there are, in a room that is large.
    Count(usize),
}

impl Room {
    /// An empty room.
    #[must_use]
    pub fn new(options: RoomOptions) -> Self {
        Self {
            options,
            members: HashSet::new(),
            changed: HashMap::new(),
            mode: RoomMode::Names,
            told: None,
            told_count: None,
        }
    }

    /// Notes that `user` is seen there from now on.
    pub fn enter(&mut self, user: UserId) {
        if self.members.insert(user) {
            self.note(user, false);
        }
        if self.members.len() > self.options.names {
            self.mode = RoomMode::Counts;
            self.changed.clear();
        }
    }

    /// Notes that `user` is seen there no longer.
    pub fn leave(&mut self, user: UserId) {
        if self.members.remove(&user) {
            self.note(user, true);
        }
    }

    /// What is to be told at `now`, by monotonic time, if anything is; at most once in a window or an interval.
    pub fn news(&mut self, now: Duration) -> Option<RoomNews> {
        let wait = match self.mode {
            RoomMode::Names => self.options.window,
            RoomMode::Counts => self.options.interval,
        };
        if self
            .told
            .is_some_and(|told| now.saturating_sub(told) < wait)
        {
            return None;
        }
        let news = match self.mode {
            RoomMode::Names => self.names(),
            RoomMode::Counts => self.count(),
        };
        if news.is_some() {
            self.told = Some(now);
        }
        news
    }

    /// How the room tells who is there.
    #[must_use]
    pub const fn mode(&self) -> RoomMode {
        self.mode
    }

    /// How many are there.
    #[must_use]
    pub fn count_now(&self) -> usize {
        self.members.len()
    }

    fn note(&mut self, user: UserId, was_there: bool) {
        if self.mode == RoomMode::Names && self.changed.remove(&user).is_none() {
            self.changed.insert(user, was_there);
        }
    }

    fn names(&mut self) -> Option<RoomNews> {
        if self.changed.is_empty() {
            return None;
        }
        let changed = self.changed.drain();
        let (went, came): (Vec<_>, Vec<_>) = changed.partition(|(_, was_there)| *was_there);
        let [came, went] =
            [came, went].map(|users| sorted(users.into_iter().map(|(user, _)| user)));
        Some(RoomNews::Came { came, went })
    }

    fn count(&mut self) -> Option<RoomNews> {
        let count = self.members.len();
        if count <= self.options.names_again.min(self.options.names) {
            self.mode = RoomMode::Names;
            self.told_count = None;
            return Some(RoomNews::Everybody(sorted(self.members.iter().copied())));
        }
        if self.told_count == Some(count) {
            return None;
        }
        self.told_count = Some(count);
        Some(RoomNews::Count(count))
    }
}

fn sorted(users: impl Iterator<Item = UserId>) -> Vec<UserId> {
    let mut users: Vec<_> = users.collect();
    users.sort_unstable();
    users
}

impl RoomOptions {
    /// Tells up to `names` members by name, and again once they are `again`.
    #[must_use]
    pub fn with_names(mut self, names: usize, again: usize) -> Self {
        (self.names, self.names_again) = (names, again);
        self
    }

    /// Gathers what happens for `window`.
    #[must_use]
    pub fn with_window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// Tells how many there are every `interval`.
    #[must_use]
    pub fn with_interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }
}

impl Default for RoomOptions {
    fn default() -> Self {
        Self {
            names: 100,
            names_again: 80,
            window: Duration::from_millis(250),
            interval: Duration::from_secs(10),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn small() -> RoomOptions {
        RoomOptions::default().with_names(4, 2)
    }

    #[test]
    fn a_storm_is_told_at_once_in_a_window() {
        let mut room = Room::new(RoomOptions::default());
        (0..90).map(UserId::new).for_each(|user| room.enter(user));
        let mut told = 0;
        for millis in 0..1_000 {
            let at = Duration::from_millis(millis);
            let user = UserId::new(millis % 90);
            if millis / 90 % 2 == 0 {
                room.leave(user);
            } else {
                room.enter(user);
            }
            told += usize::from(room.news(at).is_some());
        }
        assert_eq!(told, 4);
    }

    #[test]
    fn whoever_comes_and_goes_within_a_window_is_not_told() {
        let mut room = Room::new(RoomOptions::default());
        room.enter(UserId::new(1));
        room.leave(UserId::new(1));
        assert_eq!(room.news(Duration::ZERO), None);
    }

    #[test]
    fn a_room_at_the_bound_does_not_change_to_and_fro() {
        let mut room = Room::new(small());
        (0..5).map(UserId::new).for_each(|user| room.enter(user));
        assert_eq!(room.news(Duration::ZERO), Some(RoomNews::Count(5)));
        for interval in 1..20 {
            let user = UserId::new(4);
            let is_odd = interval % 2 == 1;
            if is_odd {
                room.leave(user);
            } else {
                room.enter(user);
            }
            let count = if is_odd { 4 } else { 5 };
            let news = room.news(Duration::from_secs(10 * interval));
            assert_eq!(news, Some(RoomNews::Count(count)));
        }
        (2..5).map(UserId::new).for_each(|user| room.leave(user));
        let news = room.news(Duration::from_secs(500));
        assert_eq!(
            news,
            Some(RoomNews::Everybody([0, 1].map(UserId::new).to_vec()))
        );
        assert_eq!(room.mode(), RoomMode::Names);
    }

    #[test]
    fn a_room_that_grows_again_to_what_it_was_is_counted_again() {
        let mut room = Room::new(small());
        for turn in 0..2 {
            (0..5).map(UserId::new).for_each(|user| room.enter(user));
            let news = room.news(Duration::from_secs(100 * turn));
            assert_eq!(news, Some(RoomNews::Count(5)));
            (0..5).map(UserId::new).for_each(|user| room.leave(user));
            let news = room.news(Duration::from_secs(100 * turn + 50));
            assert_eq!(news, Some(RoomNews::Everybody(Vec::new())));
        }
    }

    proptest! {
        #[test]
        fn whoever_is_told_knows_who_is_there(
            steps in vec((0_u64..8, any::<bool>(), 0_u64..4_000), 1..200),
        ) {
            let (mut room, mut truth) = (Room::new(small()), BTreeSet::new());
            let (mut known, mut count) = (Some(BTreeSet::new()), 0);
            let (mut now, mut last) = (Duration::ZERO, None);
            let hours = std::iter::repeat_n((9, false, 3_600_000), 2);
            for (user, enters, millis) in steps.into_iter().chain(hours) {
                let user = UserId::new(user);
                if enters {
                    room.enter(user);
                    truth.insert(user);
                } else {
                    room.leave(user);
                    truth.remove(&user);
                }
                now += Duration::from_millis(millis);
                let Some(news) = room.news(now) else {
                    continue;
                };
                let window = Duration::from_millis(250);
                prop_assert!(last.is_none_or(|last| now.saturating_sub(last) >= window));
                last = Some(now);
                match news {
                    RoomNews::Came { came, went } => {
                        prop_assert!(!came.is_empty() || !went.is_empty());
                        let known = known.as_mut().expect("a small room is known by name");
                        prop_assert!(came.into_iter().all(|user| known.insert(user)));
                        prop_assert!(went.into_iter().all(|user| known.remove(&user)));
                        prop_assert!(known.len() <= 4);
                        count = known.len();
                    }
                    RoomNews::Everybody(everybody) => {
                        count = everybody.len();
                        known = Some(everybody.into_iter().collect());
                    }
                    RoomNews::Count(number) => (known, count) = (None, number),
                }
            }
            prop_assert_eq!(count, truth.len());
            prop_assert_eq!(room.count_now(), truth.len());
            if let Some(known) = known {
                prop_assert_eq!(known, truth);
            }
        }
    }
}
