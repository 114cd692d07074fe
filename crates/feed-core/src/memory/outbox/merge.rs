use std::cmp::Reverse;

use smallvec::SmallVec;

use crate::{
    Entry, PostId, Seek, UserId,
    memory::outbox::author::{Author, AuthorBox},
};

/// How many authors a merge takes without allocating for them: 8 KB of stack.
const AUTHORS: usize = 256;

/// How long a page gets without allocating for its heads: 5 KB of stack.
const HEADS: usize = 128;

/// A longer page grows as it fills, since its limit may be far above what there is.
const PAGE: usize = 1_024;

/// The entries of `authors` next to `seek`, at most `limit`, nearest first.
///
/// The work is laid out so that the processor waits for memory as rarely as it can. First the
/// nearest post of every author is looked up, most of them without leaving the table of authors; the
/// look-ups do not depend on each other, so many are under way at once. Then only the authors of the
/// `limit` nearest are left, since no other can contribute, and their boxes are opened, again
/// independently. Only then heads go into the page one by one, and each author's next entry takes a
/// place among the other heads, unless there are enough nearer ones.
pub(super) fn merge<'a>(
    authors: impl Iterator<Item = (UserId, &'a Author)>,
    seek: Seek,
    limit: usize,
) -> Vec<Entry> {
    // Filled in place: to collect them would move kilobytes of stack.
    let mut nearest = SmallVec::<[_; AUTHORS]>::new();
    nearest.extend(authors.filter_map(|(author, known)| Nearest::of(author, known, seek)));
    if nearest.len() > limit {
        nearest.select_nth_unstable_by_key(limit, |one| one.distance);
        nearest.truncate(limit);
    }
    nearest.sort_unstable_by_key(|one| Reverse(one.distance));
    let mut heads = SmallVec::<[_; HEADS]>::new();
    heads.extend(nearest.iter().copied().map(Nearest::open));

    let mut page = Vec::with_capacity(limit.min(PAGE));
    while page.len() < limit
        && let Some(head) = heads.pop()
    {
        page.push(head.entry(seek));
        let wanted = limit - page.len();
        if let Some(next) = head.nearest.next(seek)
            && !has_nearer(&heads, wanted, next.distance)
        {
            let at = heads.partition_point(|head| head.nearest.distance > next.distance);
            heads.insert(at, next.open());
        }
    }
    page
}

/// Whether `count` of the heads, which are ordered from far to near, are nearer than `distance`.
fn has_nearer(heads: &[Head<'_>], count: usize, distance: u64) -> bool {
    let farthest = heads.len().checked_sub(count).and_then(|at| heads.get(at));
    farthest.map_or(count == 0, |farthest| farthest.nearest.distance < distance)
}

/// The nearest entry of an author that is not in the page yet.
#[derive(Clone, Copy)]
struct Nearest<'a> {
    distance: u64,
    author: UserId,
    outbox: &'a AuthorBox,
    /// How many entries of the author are newer.
    newer: usize,
}

/// A [`Nearest`] whose author's box has been opened.
struct Head<'a> {
    nearest: Nearest<'a>,
    origin: PostId,
}

impl<'a> Nearest<'a> {
    fn of(author: UserId, known: &'a Author, seek: Seek) -> Option<Self> {
        let (post, newer) = known.nearest(seek)?;
        Some(Self {
            distance: distance(seek, post),
            author,
            outbox: &known.outbox,
            newer,
        })
    }

    fn next(self, seek: Seek) -> Option<Self> {
        let newer = match seek {
            Seek::Newest | Seek::Before(_) => self.newer + 1,
            Seek::After(_) => self.newer.checked_sub(1)?,
        };
        Some(Self {
            distance: distance(seek, self.outbox.line(newer)?.post),
            newer,
            ..self
        })
    }

    fn open(self) -> Head<'a> {
        let line = self.outbox.line(self.newer);
        let line = line.expect("an author's nearest entry is a line of their box");
        Head {
            nearest: self,
            origin: line.origin,
        }
    }
}

impl Head<'_> {
    fn entry(&self, seek: Seek) -> Entry {
        Entry {
            // Taken twice, a distance is the post again.
            post: PostId::new(distance(seek, PostId::new(self.nearest.distance))),
            author: self.nearest.author,
            origin: self.origin,
        }
    }
}

/// Grows in the direction of `seek`: the post, or its complement.
const fn distance(seek: Seek, post: PostId) -> u64 {
    match seek {
        Seek::Newest | Seek::Before(_) => !post.get(),
        Seek::After(_) => post.get(),
    }
}
