use std::iter;

use smallvec::SmallVec;

use crate::{
    Entry, PostId, Seek,
    memory::outbox::author::{Author, Line, RECENT},
};

/// How many authors a merge takes without allocating for them: 6 KB of stack.
const AUTHORS: usize = 256;

/// How closely the end of a page is searched for: to a sixtieth of what the authors' nearest span.
const HALVES: usize = 6;

/// A longer page grows as it fills, since its limit may be far above what there is.
const PAGE: usize = 1_024;

/// The entries of `authors` next to `seek`, at most `limit`, nearest first.
///
/// The work is laid out so that the processor neither waits for memory nor guesses wrong more often
/// than it must. First the nearest post of every author is looked up; the look-ups do not depend on
/// each other, so many are under way at once. Those posts bound the page, and only the authors
/// within the bound can contribute. Then what is near enough is collected, a little more than the
/// page, and one sort puts it in order.
pub(super) fn merge<'a>(
    authors: impl Iterator<Item = &'a Author>,
    seek: Seek,
    limit: usize,
) -> Vec<Entry> {
    if limit == 0 {
        return Vec::new();
    }
    // Filled in place: to collect them would move kilobytes of stack.
    let mut nearest = SmallVec::<[_; AUTHORS]>::new();
    authors.for_each(|author| {
        if let Some(one) = Nearest::of(author, seek) {
            nearest.push(one);
        }
    });
    let mut draft = Draft::new(seek, limit, farthest(&nearest, limit));
    for one in within(&mut nearest, draft.farthest) {
        draft.collect(one);
    }
    draft.finish()
}

/// The nearest entry of an author.
#[derive(Clone, Copy)]
struct Nearest<'a> {
    distance: u64,
    author: &'a Author,
    /// How many entries of the author are newer.
    newer: usize,
}

impl<'a> Nearest<'a> {
    #[inline]
    fn of(author: &'a Author, seek: Seek) -> Option<Self> {
        let (post, newer) = author.nearest(seek)?;
        Some(Self {
            distance: distance(seek, post),
            author,
            newer,
        })
    }

    const fn entry(&self, line: Line) -> Entry {
        Entry {
            post: line.post,
            author: self.author.id(),
            origin: line.origin,
        }
    }

    /// The author's lines from there on, nearest first.
    fn lines(&self, seek: Seek) -> impl Iterator<Item = Line> {
        let mut next = Some(self.newer);
        iter::from_fn(move || {
            let newer = next?;
            next = match seek {
                Seek::Newest | Seek::Before(_) => Some(newer + 1),
                Seek::After(_) => newer.checked_sub(1),
            };
            self.author.line(newer)
        })
    }
}

/// A distance within which at least `limit` are, if there are so many, and few more: nothing farther
/// is on the page. It is searched for by halves, which is less work than to put the nearest in order.
fn farthest(nearest: &[Nearest<'_>], limit: usize) -> u64 {
    if nearest.len() <= limit {
        return u64::MAX;
    }
    let distances = nearest.iter().map(|one| one.distance);
    let (mut low, mut high) = distances.clone().fold((u64::MAX, 0), |(low, high), one| {
        (low.min(one), high.max(one))
    });
    for _ in 0..HALVES {
        let middle = low + (high - low) / 2;
        let within = distances.clone().filter(|one| *one <= middle).count();
        if within < limit {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// Those that are not farther, moved to the front without a branch that depends on them.
fn within<'a, 'b>(nearest: &'b mut [Nearest<'a>], farthest: u64) -> &'b [Nearest<'a>] {
    let mut kept = 0;
    for at in 0..nearest.len() {
        let one = nearest[at];
        nearest[kept] = one;
        kept += usize::from(one.distance <= farthest);
    }
    &nearest[..kept]
}

/// A page in the making: what may be on it, in any order.
struct Draft {
    seek: Seek,
    limit: usize,
    entries: Vec<Entry>,
    /// Nothing farther is on the page.
    farthest: u64,
}

impl Draft {
    fn new(seek: Seek, limit: usize, farthest: u64) -> Self {
        Self {
            seek,
            limit,
            entries: Vec::with_capacity(2 * limit.min(PAGE)),
            farthest,
        }
    }

    fn collect(&mut self, one: &Nearest<'_>) {
        let taken = self.collect_recent(one);
        if (1..RECENT).contains(&taken) {
            return;
        }
        for line in one.lines(self.seek).take(self.limit).skip(taken) {
            if !self.is_near(line) {
                return;
            }
            self.entries.push(one.entry(line));
            self.fit();
        }
    }

    /// Takes the author's recent lines, if they are the nearest, and answers how many are near
    /// enough. That cannot be foreseen, so no branch depends on it.
    fn collect_recent(&mut self, one: &Nearest<'_>) -> usize {
        if one.newer > 0 || matches!(self.seek, Seek::After(_)) {
            return 0;
        }
        let Some(recent) = one.author.recent() else {
            return 0;
        };
        let before = self.entries.len();
        let near = recent.map(|line| usize::from(self.is_near(line)));
        let near = near.iter().sum();
        self.entries
            .extend_from_slice(&recent.map(|line| one.entry(line)));
        self.entries.truncate(before + near);
        self.fit();
        near
    }

    fn is_near(&self, line: Line) -> bool {
        distance(self.seek, line.post) <= self.farthest
    }

    /// Once there are nearly twice as many as the page may hold, keeps the nearest half.
    fn fit(&mut self) {
        let len = self.entries.len();
        if len > self.limit && len + RECENT > 2 * self.limit {
            self.narrow();
        }
    }

    #[cold]
    fn narrow(&mut self) {
        let seek = self.seek;
        let by_distance = |entry: &Entry| distance(seek, entry.post);
        let entries = &mut self.entries;
        let (_, last, _) = entries.select_nth_unstable_by_key(self.limit - 1, by_distance);
        self.farthest = by_distance(last);
        entries.truncate(self.limit);
    }

    fn finish(self) -> Vec<Entry> {
        let mut page = self.entries;
        page.sort_unstable_by_key(|entry| distance(self.seek, entry.post));
        page.truncate(self.limit);
        page
    }
}

/// Grows in the direction of `seek`: the post, or its complement.
const fn distance(seek: Seek, post: PostId) -> u64 {
    match seek {
        Seek::Newest | Seek::Before(_) => !post.get(),
        Seek::After(_) => post.get(),
    }
}
