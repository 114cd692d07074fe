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
    /// [`ErrorKind::Full`](crate::ErrorKind::Full). 20,000,000 by default. A viewer takes about 60
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
