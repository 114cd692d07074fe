use std::mem;

use backplane::Timestamp;

use crate::{Entry, PostId, Seek, TimelineState, UserId, memory::timeline::ring::Ring};

/// How many entries wait beside a ring.
const ARRIVALS: usize = 3;

/// One viewer's timeline, unless it is cold: two cache lines, and 16 bytes for each entry there is
/// room for.
///
/// The end of a ring is seldom in a core's cache, and the timeline itself, which a push finds first,
/// is next to it in memory. So the newest entries wait there until there are some of them. Nobody
/// sees a difference: all but [`push`](Self::push) ask for [`settle`](Self::settle) first.
#[derive(Debug)]
pub(super) struct ViewerTimeline {
    pub(super) viewer: UserId,
    /// No entry is older. While a build is under way, entries above it may be missing too.
    floor: PostId,
    /// Who posted or reposted.
    lines: Ring<UserId>,
    /// What most entries of most timelines do without.
    aside: Option<Box<Aside>>,
    /// The shard's count of reads at the last one.
    pub(super) read: u64,
    /// No entry is newer.
    newest: PostId,
    /// Newer than all lines, ascending, each an original. The ring has room for them, but for those
    /// that push out others.
    arrivals: [(PostId, UserId); ARRIVALS],
    /// How many of them there are.
    arrived: usize,
}

#[derive(Debug)]
struct Aside {
    build: Option<Build>,
    /// The origins of reposts. Posts below the floor may linger until the next repost.
    reposts: Ring<PostId>,
}

/// A build under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Build {
    pub(super) generation: u64,
    pub(super) began: Timestamp,
}

impl ViewerTimeline {
    /// An empty timeline that is being built.
    pub(super) fn building(viewer: UserId, build: Build) -> Self {
        let aside = Aside {
            build: Some(build),
            reposts: Ring::new(),
        };
        Self {
            viewer,
            floor: PostId::MIN,
            lines: Ring::new(),
            aside: Some(Box::new(aside)),
            read: 0,
            newest: PostId::MIN,
            arrivals: [(PostId::MIN, viewer); ARRIVALS],
            arrived: 0,
        }
    }

    pub(super) fn build(&self) -> Option<Build> {
        self.aside.as_ref()?.build
    }

    pub(super) fn state(&self) -> TimelineState {
        match self.build() {
            Some(_) => TimelineState::Building,
            None => TimelineState::Warm { floor: self.floor },
        }
    }

    /// What it takes outside itself, in bytes.
    pub(super) fn heap(&self) -> usize {
        let aside = |aside: &Aside| size_of::<Aside>() + aside.reposts.bytes();
        self.lines.bytes() + self.aside.as_deref().map_or(0, aside)
    }

    /// Reads what [`push`](Self::push) is going to need: the ends of rings.
    pub(super) fn reach(&self, entry: Entry) -> Option<PostId> {
        if self.waits(entry) && self.arrived < ARRIVALS {
            return None;
        }
        let origins = self.aside.as_ref().filter(|_| entry.is_repost());
        let newest = origins.and_then(|aside| aside.reposts.newest());
        newest.max(self.lines.newest())
    }

    /// Adds an entry, and says how many bytes the timeline took for it.
    pub(super) fn push(&mut self, entry: Entry, capacity: usize) -> usize {
        if entry.post < self.floor {
            return 0;
        }
        if self.waits(entry) {
            if self.arrived == ARRIVALS {
                self.settle(capacity);
            }
            self.arrivals[self.arrived] = (entry.post, entry.author);
            self.arrived += 1;
            self.newest = entry.post;
            let len = capacity.min(self.lines.len() + self.arrived);
            return self.lines.reserve(len, capacity);
        }
        self.settle(capacity);
        self.newest = self.newest.max(entry.post);
        self.insert(entry, capacity)
    }

    /// Moves what waits into the ring, and takes nothing from the allocator.
    pub(super) fn settle(&mut self, capacity: usize) {
        let (arrivals, arrived) = (self.arrivals, mem::take(&mut self.arrived));
        for &(post, author) in &arrivals[..arrived] {
            if self.lines.len() >= capacity {
                self.pop_oldest();
            }
            self.lines.insert(self.lines.len(), post, author, capacity);
        }
    }

    fn waits(&self, entry: Entry) -> bool {
        entry.post > self.newest && !entry.is_repost()
    }

    fn insert(&mut self, entry: Entry, capacity: usize) -> usize {
        if entry.post < self.floor {
            return 0;
        }
        let Err(mut at) = self.lines.place(entry.post) else {
            return 0;
        };
        if self.lines.len() >= capacity {
            if at == 0 {
                self.floor = above(entry.post);
                return 0;
            }
            self.pop_oldest();
            at -= 1;
        }
        let mut grown = self.lines.insert(at, entry.post, entry.author, capacity);
        if entry.is_repost() {
            grown += self.push_origin(entry, capacity);
        }
        grown
    }

    fn pop_oldest(&mut self) {
        if let Some(oldest) = self.lines.pop_oldest() {
            self.floor = above(oldest);
        }
    }

    fn push_origin(&mut self, entry: Entry, capacity: usize) -> usize {
        let mut grown = 0;
        let aside = self.aside.get_or_insert_with(|| {
            grown = size_of::<Aside>();
            Box::new(Aside {
                build: None,
                reposts: Ring::new(),
            })
        });
        aside.reposts.pop_below(self.floor);
        if let Err(at) = aside.reposts.place(entry.post) {
            grown += aside.reposts.insert(at, entry.post, entry.origin, capacity);
        }
        grown
    }

    /// Adds entries at or above the floor, in any order, and keeps the newest.
    pub(super) fn merge(&mut self, entries: &[Entry], capacity: usize) {
        let mut all: Vec<_> = self
            .ascending(Seek::Newest)
            .chain(entries.iter().copied())
            .collect();
        all.retain(|entry| entry.post >= self.floor);
        // Stable: of two entries of one post, the one that was there stays.
        all.sort_by_key(|entry| entry.post);
        all.dedup_by_key(|entry| entry.post);
        let excess = all.len().saturating_sub(capacity);
        if let Some(newest) = all.drain(..excess).next_back() {
            self.floor = above(newest.post);
        }
        self.replace(&all, capacity);
    }

    /// Ends the build. The floor rises to `floor`, unless it is higher.
    pub(super) fn commit(&mut self, entries: &[Entry], floor: PostId, capacity: usize) {
        self.floor = self.floor.max(floor);
        if let Some(aside) = &mut self.aside {
            aside.build = None;
        }
        self.merge(entries, capacity);
    }

    /// Takes `post` out.
    pub(super) fn remove(&mut self, post: PostId) {
        if self.lines.remove(post)
            && let Some(aside) = &mut self.aside
        {
            aside.reposts.remove(post);
        }
    }

    /// Takes all entries of `author` out.
    pub(super) fn purge(&mut self, author: UserId) {
        let before = self.lines.len();
        self.lines.retain(|_, by| by != author);
        if self.lines.len() < before
            && let Some(aside) = &mut self.aside
        {
            aside.reposts.retain(|post, _| self.lines.contains(post));
        }
    }

    /// Up to `limit` entries from `seek` on.
    pub(super) fn window(&self, seek: Seek, limit: usize) -> Vec<Entry> {
        match seek {
            Seek::After(_) => self.ascending(seek).take(limit).collect(),
            Seek::Newest | Seek::Before(_) => {
                let lines = self.lines.range(seek).rev();
                join(lines, self.reposts(seek).rev()).take(limit).collect()
            }
        }
    }

    fn ascending(&self, seek: Seek) -> impl Iterator<Item = Entry> {
        join(self.lines.range(seek), self.reposts(seek))
    }

    fn reposts(&self, seek: Seek) -> impl DoubleEndedIterator<Item = (PostId, PostId)> {
        let aside = self.aside.as_deref().into_iter();
        aside
            .flat_map(move |aside| aside.reposts.range(seek))
            .filter(|(post, _)| *post >= self.floor)
    }

    /// Holds `entries`, which ascend, and nothing else.
    fn replace(&mut self, entries: &[Entry], capacity: usize) {
        let lines = entries.iter().map(|entry| (entry.post, entry.author));
        self.lines = Ring::of(lines, capacity);
        let reposts: Vec<_> = entries
            .iter()
            .filter(|entry| entry.is_repost())
            .map(|entry| (entry.post, entry.origin))
            .collect();
        self.newest = self.newest.max(self.lines.newest().unwrap_or(PostId::MIN));
        let build = self.build();
        let needed = build.is_some() || !reposts.is_empty();
        self.aside = needed.then(|| {
            let reposts = Ring::of(reposts.into_iter(), capacity);
            Box::new(Aside { build, reposts })
        });
    }
}

/// The entries of `lines`, given the origins of the reposts among them in the same order.
fn join(
    lines: impl Iterator<Item = (PostId, UserId)>,
    reposts: impl Iterator<Item = (PostId, PostId)>,
) -> impl Iterator<Item = Entry> {
    let mut reposts = reposts.peekable();
    lines.map(move |(post, author)| {
        let repost = reposts.next_if(|(repost, _)| *repost == post);
        Entry {
            post,
            author,
            origin: repost.map_or(post, |(_, origin)| origin),
        }
    })
}

/// The floor of a timeline that has forgotten `post`.
fn above(post: PostId) -> PostId {
    PostId::new(post.get().saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeline_is_two_cache_lines() {
        assert_eq!(size_of::<ViewerTimeline>(), 128);
    }
}
