use std::collections::{BTreeSet, VecDeque};

use hashbrown::HashMap;

use crate::{Entry, IdempotencyKey, PostId, Seek, UserId};

/// One author's live posts, and what is remembered of their past: one cache line, which is all that
/// most pages need of an author.
#[repr(align(64))]
pub(super) struct Author {
    id: UserId,
    /// The last lines, newest first, as far as there are so many.
    recent: [Line; RECENT],
    rest: Box<Rest>,
}

/// As many as the line has room for.
pub(super) const RECENT: usize = 3;

#[derive(Default)]
struct Rest {
    /// Ascending by post: appending is the common case.
    lines: Vec<Line>,
    /// Most authors have none.
    past: Option<Box<Past>>,
}

/// An [`Entry`] without its author: 16 bytes.
#[derive(Clone, Copy)]
pub(super) struct Line {
    pub(super) post: PostId,
    pub(super) origin: PostId,
}

#[derive(Default)]
struct Past {
    published: HashMap<IdempotencyKey, PostId>,
    /// The keys of `published`, oldest first.
    keys: VecDeque<IdempotencyKey>,
    retracted: BTreeSet<PostId>,
    /// Every absent post of the author up to this one counts as retracted.
    retracted_to: Option<PostId>,
}

/// What [`Author::erase`] took out.
pub(super) struct Erased {
    pub(super) live: Vec<PostId>,
    pub(super) retracted: Vec<PostId>,
}

impl Author {
    pub(super) fn new(id: UserId) -> Self {
        Self {
            id,
            recent: [Line::NONE; RECENT],
            rest: Box::default(),
        }
    }

    #[inline]
    pub(super) const fn id(&self) -> UserId {
        self.id
    }

    #[inline]
    pub(super) fn newest(&self) -> Option<PostId> {
        self.line(0).map(|line| line.post)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.lines.is_empty() && self.rest.past.as_deref().is_none_or(Past::is_empty)
    }

    /// The newest lines, newest first, if there are so many.
    #[inline]
    pub(super) fn recent(&self) -> Option<&[Line; RECENT]> {
        (self.recent[RECENT - 1].post != PostId::MIN).then_some(&self.recent)
    }

    /// The line that so many others are newer than.
    #[inline]
    pub(super) fn line(&self, newer: usize) -> Option<Line> {
        match self.recent.get(newer) {
            Some(line) if line.post != PostId::MIN => Some(*line),
            _ => self.rest.line(newer),
        }
    }

    /// The nearest post in the range of `seek`, if there is any, and how many are newer.
    #[inline]
    pub(super) fn nearest(&self, seek: Seek) -> Option<(PostId, usize)> {
        let newest = self.newest()?;
        let newer = match seek {
            Seek::Newest => 0,
            Seek::Before(bound) if newest < bound => 0,
            Seek::Before(bound) => self.rest.count_from(bound),
            Seek::After(bound) if newest <= bound => return None,
            Seek::After(bound) => self.rest.count_above(bound) - 1,
        };
        match newer {
            0 => Some((newest, 0)),
            _ => Some((self.line(newer)?.post, newer)),
        }
    }

    /// Adds a line, which is not there yet.
    pub(super) fn insert(&mut self, entry: Entry) {
        let line = Line {
            post: entry.post,
            origin: entry.origin,
        };
        let lines = &mut self.rest.lines;
        if lines.last().is_none_or(|last| last.post < line.post) {
            lines.push(line);
        } else {
            let at = lines.partition_point(|one| one.post < line.post);
            lines.insert(at, line);
        }
        self.refresh();
    }

    /// Takes a line out.
    pub(super) fn remove(&mut self, post: PostId) {
        let lines = &mut self.rest.lines;
        if let Ok(at) = lines.binary_search_by_key(&post, |line| line.post) {
            lines.remove(at);
            self.refresh();
        }
    }

    pub(super) fn published(&self, key: &IdempotencyKey) -> Option<PostId> {
        self.rest.past.as_ref()?.published.get(key).copied()
    }

    /// Keeps `key`, which is not there yet, as one of the newest `bound` keys.
    pub(super) fn remember(&mut self, key: &IdempotencyKey, post: PostId, bound: usize) {
        let past = self.rest.past.get_or_insert_default();
        past.published.insert(key.clone(), post);
        past.keys.push_back(key.clone());
        if past.keys.len() > bound
            && let Some(oldest) = past.keys.pop_front()
        {
            past.published.remove(&oldest);
        }
    }

    /// Whether `post`, of which nothing is stored, was retracted.
    pub(super) fn has_retracted(&self, post: PostId) -> bool {
        let past = self.rest.past.as_ref();
        past.is_some_and(|past| Some(post) <= past.retracted_to)
    }

    /// Keeps `post` as one of the `bound` retractions with the largest ids. Answers the one that
    /// this pushes out, which the author's watermark covers from now on.
    pub(super) fn retract(&mut self, post: PostId, bound: usize) -> Option<PostId> {
        let past = self.rest.past.get_or_insert_default();
        past.retracted.insert(post);
        if past.retracted.len() <= bound {
            return None;
        }
        let smallest = past.retracted.pop_first()?;
        past.retracted_to = past.retracted_to.max(Some(smallest));
        Some(smallest)
    }

    /// Takes out all keys and the watermark, and up to `limit` posts: live ones newest first, then
    /// retracted ones.
    pub(super) fn erase(&mut self, limit: usize) -> Erased {
        let lines = &mut self.rest.lines;
        let keep = lines.len().saturating_sub(limit);
        let live: Vec<_> = lines.drain(keep..).map(|line| line.post).collect();
        let mut retracted = Vec::new();
        if let Some(past) = &mut self.rest.past {
            past.published.clear();
            past.keys.clear();
            past.retracted_to = None;
            let more = (live.len()..limit).map_while(|_| past.retracted.pop_first());
            retracted.extend(more);
        }
        self.refresh();
        Erased { live, retracted }
    }

    fn refresh(&mut self) {
        self.recent = [Line::NONE; RECENT];
        for (recent, line) in self.recent.iter_mut().zip(self.rest.lines.iter().rev()) {
            *recent = *line;
        }
    }
}

impl Rest {
    fn line(&self, newer: usize) -> Option<Line> {
        let at = self.lines.len().checked_sub(newer + 1)?;
        self.lines.get(at).copied()
    }

    /// How many lines lie at or above `bound`.
    fn count_from(&self, bound: PostId) -> usize {
        self.lines.len() - self.lines.partition_point(|line| line.post < bound)
    }

    /// How many lines lie above `bound`.
    fn count_above(&self, bound: PostId) -> usize {
        self.lines.len() - self.lines.partition_point(|line| line.post <= bound)
    }
}

impl Line {
    /// What no line is, or only that of the oldest post there can be.
    const NONE: Self = Self {
        post: PostId::MIN,
        origin: PostId::MIN,
    };
}

impl Past {
    fn is_empty(&self) -> bool {
        self.published.is_empty() && self.retracted.is_empty() && self.retracted_to.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_author_is_one_cache_line() {
        assert_eq!(size_of::<Author>(), 64);
    }
}
