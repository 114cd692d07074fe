use std::{cmp::Reverse, collections::BinaryHeap};

use feed_core::{Entry, PostId, Seek, UserId};
use redb::{Range, ReadOnlyTable};

use crate::Failure;

/// The entries of `authors` next to `seek`, at most `limit`, nearest first.
///
/// Every author's nearest entry is looked up; then only the authors of the `limit` nearest can
/// contribute, and only they are merged.
pub(super) fn merge(
    lines: &ReadOnlyTable<(u64, u64), u64>,
    authors: &[UserId],
    seek: Seek,
    limit: usize,
) -> Result<Vec<Entry>, Failure> {
    let Some(span) = span(seek) else {
        return Ok(Vec::new());
    };
    let mut heads = Vec::with_capacity(authors.len());
    for &author in authors {
        let (first, last) = span;
        let lines = lines.range((author.get(), first)..=(author.get(), last))?;
        heads.extend(Head::next(seek, author, lines)?);
    }
    if heads.len() > limit {
        heads.select_nth_unstable_by_key(limit, |head| head.distance);
        heads.truncate(limit);
    }
    let order = heads.iter().enumerate();
    let mut order: BinaryHeap<_> = order
        .map(|(at, head)| Reverse((head.distance, at)))
        .collect();
    let mut heads: Vec<_> = heads.into_iter().map(Some).collect();
    let mut page = Vec::new();
    while page.len() < limit
        && let Some(Reverse((_, at))) = order.pop()
        && let Some(head) = heads[at].take()
    {
        page.push(head.entry);
        if let Some(next) = Head::next(seek, head.entry.author, head.lines)? {
            order.push(Reverse((next.distance, at)));
            heads[at] = Some(next);
        }
    }
    Ok(page)
}

/// The nearest entry of an author that is not in the page yet.
struct Head {
    /// Grows in the direction of the seek: the post, or its complement.
    distance: u64,
    entry: Entry,
    /// What lies beyond.
    lines: Range<'static, (u64, u64), u64>,
}

impl Head {
    fn next(
        seek: Seek,
        author: UserId,
        mut lines: Range<'static, (u64, u64), u64>,
    ) -> Result<Option<Self>, Failure> {
        let line = match seek {
            Seek::Newest | Seek::Before(_) => lines.next_back(),
            Seek::After(_) => lines.next(),
        };
        let Some((key, origin)) = line.transpose()? else {
            return Ok(None);
        };
        let (_, post) = key.value();
        Ok(Some(Self {
            distance: match seek {
                Seek::Newest | Seek::Before(_) => !post,
                Seek::After(_) => post,
            },
            entry: Entry {
                post: PostId::new(post),
                author,
                origin: PostId::new(origin.value()),
            },
            lines,
        }))
    }
}

/// The first and the last post in the range of `seek`, if there can be any.
fn span(seek: Seek) -> Option<(u64, u64)> {
    match seek {
        Seek::Newest => Some((0, u64::MAX)),
        Seek::Before(bound) => Some((0, bound.get().checked_sub(1)?)),
        Seek::After(bound) => Some((bound.get().checked_add(1)?, u64::MAX)),
    }
}
