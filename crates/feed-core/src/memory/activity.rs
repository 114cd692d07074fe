use std::fmt;

use async_trait::async_trait;
use backplane::{
    Timestamp,
    memory::{Room, Shards},
};
use hashbrown::{HashMap, hash_map::Entry as Slot};

use crate::{Activity, Habit, PostId, Result, Rhythm, UserId};

/// An [`Activity`] in process memory: durable as long as the process.
///
/// The trait's methods are here without `async` too.
///
/// ```
/// use backplane::Timestamp;
/// use feed_core::{Habit, MemoryActivity, PostId, Rhythm, UserId};
///
/// let (activity, ann) = (MemoryActivity::default(), UserId::new(1));
/// let now = Timestamp::from_millis(1_790_000_000_000);
/// activity.note(Habit::Visit, &[ann], now)?;
/// assert_eq!(activity.rhythms(Habit::Visit, &[ann]), [Some(Rhythm::first(now))]);
///
/// activity.mark_read(ann, PostId::new(9))?;
/// assert_eq!(activity.mark_read(ann, PostId::new(5))?, PostId::new(9));
/// # Ok::<_, feed_core::Error>(())
/// ```
pub struct MemoryActivity {
    options: MemoryActivityOptions,
    users: Shards<HashMap<UserId, Record>>,
    known: Room,
}

/// The bounds of a [`MemoryActivity`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MemoryActivityOptions {
    /// How many users are kept; one more is refused as
    /// [`ErrorKind::Full`](crate::ErrorKind::Full). 20,000,000 by default. A user takes about 120
    /// bytes.
    pub max_users: usize,
}

struct Record {
    visits: Option<Rhythm>,
    posts: Option<Rhythm>,
    marker: PostId,
}

impl MemoryActivity {
    /// An empty store within the bounds of `options`.
    #[must_use]
    pub fn new(options: MemoryActivityOptions) -> Self {
        Self {
            known: Room::new(options.max_users),
            options,
            users: Shards::default(),
        }
    }

    /// See [`Activity::note`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Full`](crate::ErrorKind::Full) at the first user for whom there is no room;
    /// those before are noted.
    pub fn note(&self, habit: Habit, users: &[UserId], at: Timestamp) -> Result<()> {
        users.iter().try_for_each(|&user| {
            self.change(user, "note", |record| {
                let rhythm = record.rhythm_mut(habit);
                *rhythm = Some(rhythm.map_or(Rhythm::first(at), |rhythm| rhythm.again(at)));
            })
        })
    }

    /// See [`Activity::rhythms`].
    #[must_use]
    pub fn rhythms(&self, habit: Habit, users: &[UserId]) -> Vec<Option<Rhythm>> {
        let shards = self.users.read_many(users.iter().map(|user| user.get()));
        let rhythm = |user: &UserId| shards.of(user.get()).get(user)?.rhythm(habit);
        users.iter().map(rhythm).collect()
    }

    /// See [`Activity::mark_read`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Full`](crate::ErrorKind::Full) if the user is new and there is no room.
    pub fn mark_read(&self, viewer: UserId, post: PostId) -> Result<PostId> {
        self.change(viewer, "mark read", |record| {
            record.marker = record.marker.max(post);
            record.marker
        })
    }

    /// See [`Activity::marker`].
    #[must_use]
    pub fn marker(&self, viewer: UserId) -> PostId {
        let viewers = self.users.read(viewer.get());
        viewers
            .get(&viewer)
            .map_or(PostId::MIN, |record| record.marker)
    }

    /// See [`Activity::erase`].
    pub fn erase(&self, viewer: UserId) {
        if self.users.write(viewer.get()).remove(&viewer).is_some() {
            self.known.give(1);
        }
    }

    fn change<T>(
        &self,
        viewer: UserId,
        op: &'static str,
        change: impl FnOnce(&mut Record) -> T,
    ) -> Result<T> {
        let mut viewers = self.users.write(viewer.get());
        Ok(match viewers.entry(viewer) {
            Slot::Occupied(mut slot) => change(slot.get_mut()),
            Slot::Vacant(slot) => {
                self.known.take(1, op)?;
                change(slot.insert(Record::NEW))
            }
        })
    }
}

impl Default for MemoryActivity {
    fn default() -> Self {
        Self::new(MemoryActivityOptions::default())
    }
}

impl fmt::Debug for MemoryActivity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryActivity")
            .field("options", &self.options)
            .field("known", &self.known.taken())
            .finish_non_exhaustive()
    }
}

impl Record {
    const NEW: Self = Self {
        visits: None,
        posts: None,
        marker: PostId::MIN,
    };

    const fn rhythm(&self, habit: Habit) -> Option<Rhythm> {
        match habit {
            Habit::Visit => self.visits,
            Habit::Post => self.posts,
        }
    }

    const fn rhythm_mut(&mut self, habit: Habit) -> &mut Option<Rhythm> {
        match habit {
            Habit::Visit => &mut self.visits,
            Habit::Post => &mut self.posts,
        }
    }
}

#[async_trait]
impl Activity for MemoryActivity {
    async fn note(&self, habit: Habit, users: &[UserId], at: Timestamp) -> Result<()> {
        Self::note(self, habit, users, at)
    }

    async fn rhythms(&self, habit: Habit, users: &[UserId]) -> Result<Vec<Option<Rhythm>>> {
        Ok(Self::rhythms(self, habit, users))
    }

    async fn mark_read(&self, viewer: UserId, post: PostId) -> Result<PostId> {
        Self::mark_read(self, viewer, post)
    }

    async fn marker(&self, viewer: UserId) -> Result<PostId> {
        Ok(Self::marker(self, viewer))
    }

    async fn erase(&self, viewer: UserId) -> Result<()> {
        Self::erase(self, viewer);
        Ok(())
    }
}

impl MemoryActivityOptions {
    /// Room for `users` users.
    #[must_use]
    pub const fn with_max_users(mut self, users: usize) -> Self {
        self.max_users = users;
        self
    }
}

impl Default for MemoryActivityOptions {
    fn default() -> Self {
        Self {
            max_users: 20_000_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc, time::Duration};

    use backplane::ManualClock;
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::{
        ErrorKind,
        conformance::{Fresh, TestTime},
    };

    fn fresh() -> Fresh<dyn Activity> {
        Fresh {
            store: Arc::new(MemoryActivity::default()),
            time: TestTime::Manual(ManualClock::default()),
        }
    }

    crate::activity_conformance!(async { fresh() });

    #[test]
    fn a_full_store_refuses_strangers_alone() {
        let (ann, bob) = (UserId::new(1), UserId::new(2));
        let activity = MemoryActivity::new(MemoryActivityOptions::default().with_max_users(1));
        let refused = activity
            .note(Habit::Visit, &[ann, bob], Timestamp::EPOCH)
            .unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Full);
        assert!(activity.mark_read(bob, PostId::MAX).is_err());
        assert_eq!(
            activity.rhythms(Habit::Visit, &[ann, bob]),
            [Some(Rhythm::first(Timestamp::EPOCH)), None]
        );
        activity.mark_read(ann, PostId::MAX).unwrap();
        activity.erase(ann);
        activity
            .note(Habit::Post, &[bob], Timestamp::EPOCH)
            .unwrap();
        assert_eq!(activity.known.taken(), 1);
    }

    #[derive(Clone, Debug)]
    enum Op {
        Note(Habit, Vec<u64>, Duration),
        Mark(u64, u64),
        Erase(u64),
    }

    fn op() -> impl Strategy<Value = Op> {
        let habit = || prop_oneof![Just(Habit::Visit), Just(Habit::Post)];
        let step = (0_u64..200_000).prop_map(Duration::from_millis);
        prop_oneof![
            4 => (habit(), vec(0_u64..4, 0..4), step).prop_map(|(habit, users, at)| Op::Note(habit, users, at)),
            4 => (0_u64..4, any::<u64>()).prop_map(|(viewer, post)| Op::Mark(viewer, post)),
            1 => (0_u64..4).prop_map(Op::Erase),
        ]
    }

    proptest! {
        /// The last time is a minute or more after the time before, markers are maxima.
        #[test]
        fn agrees_with_the_model(ops in vec(op(), 0..60)) {
            let activity = MemoryActivity::default();
            let mut last: BTreeMap<(Habit, u64), u64> = BTreeMap::new();
            let mut marked: BTreeMap<u64, u64> = BTreeMap::new();
            for op in ops {
                match op {
                    Op::Note(habit, named, at) => {
                        let at = Timestamp::EPOCH.saturating_add(at);
                        let users: Vec<_> = named.iter().copied().map(UserId::new).collect();
                        activity.note(habit, &users, at).expect("there is room");
                        for user in named {
                            let last = last.entry((habit, user)).or_insert_with(|| at.as_millis());
                            if at.as_millis() >= *last + 60_000 {
                                *last = at.as_millis();
                            }
                        }
                    }
                    Op::Mark(viewer, post) => {
                        let marked = marked.entry(viewer).or_default();
                        *marked = post.max(*marked);
                        let answer = activity.mark_read(UserId::new(viewer), PostId::new(post));
                        prop_assert_eq!(answer.expect("there is room").get(), *marked);
                    }
                    Op::Erase(viewer) => {
                        activity.erase(UserId::new(viewer));
                        last.retain(|(_, user), _| *user != viewer);
                        marked.remove(&viewer);
                    }
                }
                for viewer in 0..4 {
                    let user = UserId::new(viewer);
                    for habit in [Habit::Visit, Habit::Post] {
                        let rhythm = activity.rhythms(habit, &[user])[0];
                        let seen = rhythm.map(|rhythm| rhythm.last.as_millis());
                        prop_assert_eq!(seen, last.get(&(habit, viewer)).copied());
                    }
                    let marker = marked.get(&viewer).copied().unwrap_or_default();
                    prop_assert_eq!(activity.marker(user).get(), marker);
                }
            }
        }
    }
}
