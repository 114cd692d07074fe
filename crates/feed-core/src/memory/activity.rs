use std::fmt;

use async_trait::async_trait;
use backplane::Timestamp;
use hashbrown::{HashMap, hash_map::Entry as Slot};

use crate::{
    Activity, PostId, Result, UserId, Visits,
    memory::{room::Room, shards::Shards},
};

/// An [`Activity`] in process memory: durable as long as the process.
///
/// The trait's methods are here without `async` too.
///
/// ```
/// use backplane::Timestamp;
/// use feed_core::{MemoryActivity, PostId, UserId, Visits};
///
/// let (activity, ann) = (MemoryActivity::default(), UserId::new(1));
/// let now = Timestamp::from_millis(1_790_000_000_000);
/// activity.touch(&[ann], now)?;
/// assert_eq!(activity.visits(&[ann]), [Some(Visits::first(now))]);
///
/// activity.mark_read(ann, PostId::new(9))?;
/// assert_eq!(activity.mark_read(ann, PostId::new(5))?, PostId::new(9));
/// # Ok::<_, feed_core::Error>(())
/// ```
pub struct MemoryActivity {
    options: MemoryActivityOptions,
    viewers: Shards<HashMap<UserId, Record>>,
    known: Room,
}

/// The bounds of a [`MemoryActivity`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MemoryActivityOptions {
    /// How many viewers are kept; one more is refused as
    /// [`ErrorKind::Full`](crate::ErrorKind::Full). 20,000,000 by default. A viewer takes about 90
    /// bytes.
    pub max_viewers: usize,
}

struct Record {
    visits: Option<Visits>,
    marker: PostId,
}

impl MemoryActivity {
    /// An empty store within the bounds of `options`.
    #[must_use]
    pub fn new(options: MemoryActivityOptions) -> Self {
        Self {
            known: Room::new(options.max_viewers),
            options,
            viewers: Shards::default(),
        }
    }

    /// See [`Activity::touch`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Full`](crate::ErrorKind::Full) at the first viewer for whom there is no room;
    /// those before are noted.
    pub fn touch(&self, viewers: &[UserId], at: Timestamp) -> Result<()> {
        viewers.iter().try_for_each(|&viewer| {
            self.change(viewer, "touch", |record| {
                let touched = record.visits.map(|visits| visits.touched(at));
                record.visits = touched.or_else(|| Some(Visits::first(at)));
            })
        })
    }

    /// See [`Activity::visits`].
    #[must_use]
    pub fn visits(&self, viewers: &[UserId]) -> Vec<Option<Visits>> {
        let shards = self
            .viewers
            .read_many(viewers.iter().map(|viewer| viewer.get()));
        let visits = |viewer: &UserId| shards.of(viewer.get()).get(viewer)?.visits;
        viewers.iter().map(visits).collect()
    }

    /// See [`Activity::mark_read`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Full`](crate::ErrorKind::Full) if the viewer is new and there is no room.
    pub fn mark_read(&self, viewer: UserId, post: PostId) -> Result<PostId> {
        self.change(viewer, "mark read", |record| {
            record.marker = record.marker.max(post);
            record.marker
        })
    }

    /// See [`Activity::marker`].
    #[must_use]
    pub fn marker(&self, viewer: UserId) -> PostId {
        let viewers = self.viewers.read(viewer.get());
        viewers
            .get(&viewer)
            .map_or(PostId::MIN, |record| record.marker)
    }

    /// See [`Activity::erase`].
    pub fn erase(&self, viewer: UserId) {
        if self.viewers.write(viewer.get()).remove(&viewer).is_some() {
            self.known.give(1);
        }
    }

    fn change<T>(
        &self,
        viewer: UserId,
        op: &'static str,
        change: impl FnOnce(&mut Record) -> T,
    ) -> Result<T> {
        let mut viewers = self.viewers.write(viewer.get());
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
        marker: PostId::MIN,
    };
}

#[async_trait]
impl Activity for MemoryActivity {
    async fn touch(&self, viewers: &[UserId], at: Timestamp) -> Result<()> {
        Self::touch(self, viewers, at)
    }

    async fn visits(&self, viewers: &[UserId]) -> Result<Vec<Option<Visits>>> {
        Ok(Self::visits(self, viewers))
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
    /// Room for `viewers` viewers.
    #[must_use]
    pub const fn with_max_viewers(mut self, viewers: usize) -> Self {
        self.max_viewers = viewers;
        self
    }
}

impl Default for MemoryActivityOptions {
    fn default() -> Self {
        Self {
            max_viewers: 20_000_000,
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
        let activity = MemoryActivity::new(MemoryActivityOptions::default().with_max_viewers(1));
        let refused = activity.touch(&[ann, bob], Timestamp::EPOCH).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Full);
        assert!(activity.mark_read(bob, PostId::MAX).is_err());
        assert_eq!(
            activity.visits(&[ann, bob]),
            [Some(Visits::first(Timestamp::EPOCH)), None]
        );
        activity.mark_read(ann, PostId::MAX).unwrap();
        activity.erase(ann);
        activity.touch(&[bob], Timestamp::EPOCH).unwrap();
        assert_eq!(activity.known.taken(), 1);
    }

    #[derive(Clone, Debug)]
    enum Op {
        Touch(Vec<u64>, Duration),
        Mark(u64, u64),
        Erase(u64),
    }

    fn op() -> impl Strategy<Value = Op> {
        let step = (0_u64..200_000).prop_map(Duration::from_millis);
        prop_oneof![
            4 => (vec(0_u64..4, 0..4), step).prop_map(|(viewers, at)| Op::Touch(viewers, at)),
            4 => (0_u64..4, any::<u64>()).prop_map(|(viewer, post)| Op::Mark(viewer, post)),
            1 => (0_u64..4).prop_map(Op::Erase),
        ]
    }

    proptest! {
        /// Visits are the touches a minute or more after the visit before, markers are maxima.
        #[test]
        fn agrees_with_the_model(ops in vec(op(), 0..60)) {
            let activity = MemoryActivity::default();
            let mut last: BTreeMap<u64, u64> = BTreeMap::new();
            let mut marked: BTreeMap<u64, u64> = BTreeMap::new();
            for op in ops {
                match op {
                    Op::Touch(viewers, at) => {
                        let at = Timestamp::EPOCH.saturating_add(at);
                        let users: Vec<_> = viewers.iter().copied().map(UserId::new).collect();
                        activity.touch(&users, at).expect("there is room");
                        for viewer in viewers {
                            let last = last.entry(viewer).or_insert_with(|| at.as_millis());
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
                        last.remove(&viewer);
                        marked.remove(&viewer);
                    }
                }
                for viewer in 0..4 {
                    let user = UserId::new(viewer);
                    let visits = activity.visits(&[user])[0];
                    let seen = visits.map(|visits| visits.last.as_millis());
                    prop_assert_eq!(seen, last.get(&viewer).copied());
                    let marker = marked.get(&viewer).copied().unwrap_or_default();
                    prop_assert_eq!(activity.marker(user).get(), marker);
                }
            }
        }
    }
}
