use std::{hint::black_box, iter};

use smallvec::SmallVec;

use crate::{
    Entry, PostId, Seek, UserId,
    memory::outbox::author::{Author, AuthorBox, Line},
};

/// How many authors a merge takes without allocating for them: 10 KB of stack.
const AUTHORS: usize = 256;

/// A longer page grows as it fills, since its limit may be far above what there is.
const PAGE: usize = 1_024;

/// The entries of `authors` next to `seek`, at most `limit`, nearest first.
///
/// The work is laid out so that the processor waits for memory as rarely as it can. First the
/// nearest post of every author is looked up, most of them without leaving the table of authors; the
/// look-ups do not depend on each other, so many are under way at once. Those posts bound the page,
/// and only the authors within the bound can contribute: their boxes are opened, again
/// independently. Only then what is near enough is collected, a little more than the page, and one
/// sort puts it in order.
pub(super) fn merge<'a>(
    authors: impl Iterator<Item = (UserId, &'a Author)>,
    seek: Seek,
    limit: usize,
) -> Vec<Entry> {
    // Filled in place: to collect them would move kilobytes of stack.
    let mut nearest = SmallVec::<[_; AUTHORS]>::new();
    authors.for_each(|(author, known)| {
        if let Some(one) = Nearest::of(author, known, seek) {
            nearest.push(one);
        }
    });
    let mut draft = Draft::new(seek, limit, farthest(&nearest, limit));
    nearest.retain(|one| one.distance <= draft.farthest);
    let opened = nearest.iter().filter_map(|one| one.outbox.line(1));
    black_box(opened.fold(0, |sum, line| sum ^ line.post.get()));
    for one in &nearest {
        draft.collect(one);
    }
    draft.finish()
}

/// The nearest entry of an author.
struct Nearest<'a> {
    distance: u64,
    author: UserId,
    outbox: &'a AuthorBox,
    /// How many entries of the author are newer.
    newer: usize,
}

impl<'a> Nearest<'a> {
    #[inline]
    fn of(author: UserId, known: &'a Author, seek: Seek) -> Option<Self> {
        let (post, newer) = known.nearest(seek)?;
        Some(Self {
            distance: distance(seek, post),
            author,
            outbox: &known.outbox,
            newer,
        })
    }

    /// The author's entries from there on, nearest first.
    fn entries(&self, seek: Seek) -> impl Iterator<Item = Entry> {
        let author = self.author;
        let mut next = Some(self.newer);
        iter::from_fn(move || {
            let newer = next?;
            let Line { post, origin } = self.outbox.line(newer)?;
            next = match seek {
                Seek::Newest | Seek::Before(_) => Some(newer + 1),
                Seek::After(_) => newer.checked_sub(1),
            };
            Some(Entry {
                post,
                author,
                origin,
            })
        })
    }
}

/// The distance of the last of the `limit` nearest. Nothing farther is on the page.
fn farthest(nearest: &[Nearest<'_>], limit: usize) -> u64 {
    if nearest.len() <= limit {
        return u64::MAX;
    }
    let mut distances = SmallVec::<[_; AUTHORS]>::new();
    distances.extend(nearest.iter().map(|one| one.distance));
    *distances.select_nth_unstable(limit.saturating_sub(1)).1
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
        for entry in one.entries(self.seek).take(self.limit) {
            if distance(self.seek, entry.post) > self.farthest {
                return;
            }
            self.entries.push(entry);
            if self.entries.len() / 2 == self.limit {
                self.narrow();
            }
        }
    }

    /// Keeps the nearest, as many as the page may hold.
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
