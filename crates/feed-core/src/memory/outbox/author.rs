use std::collections::{BTreeSet, VecDeque};

use hashbrown::HashMap;

use crate::{Entry, IdempotencyKey, PostId, Seek};

/// What the table of authors holds for each: 16 bytes, of which a merge mostly needs the first half.
pub(super) struct Author {
    /// The newest live post; [`PostId::MIN`] if there is none, or if that is its id.
    newest: PostId,
    pub(super) outbox: Box<AuthorBox>,
}

/// One author's live posts, and what is remembered of their past: one cache line.
#[derive(Default)]
#[repr(align(64))]
pub(super) struct AuthorBox {
    /// Ascending by post: appending is the common case.
    lines: Vec<Line>,
    /// The last two lines, newest first, as far as there are any: most pages hold no more of an
    /// author, and need not fetch the others.
    recent: [Line; 2],
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
    pub(super) fn newest(&self) -> Option<PostId> {
        (self.newest != PostId::MIN || !self.outbox.lines.is_empty()).then_some(self.newest)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.outbox.lines.is_empty() && self.outbox.past.as_deref().is_none_or(Past::is_empty)
    }

    /// The nearest post in the range of `seek`, if there is any, and how many are newer.
    pub(super) fn nearest(&self, seek: Seek) -> Option<(PostId, usize)> {
        let newest = self.newest()?;
        let newer = match seek {
            Seek::Newest => 0,
            Seek::Before(bound) if newest < bound => 0,
            Seek::Before(bound) => self.outbox.count_from(bound),
            Seek::After(bound) if newest <= bound => return None,
            Seek::After(bound) => self.outbox.count_above(bound) - 1,
        };
        match newer {
            0 => Some((newest, 0)),
            _ => Some((self.outbox.line(newer)?.post, newer)),
        }
    }

    /// Adds a line, which is not there yet.
    pub(super) fn insert(&mut self, entry: Entry) {
        let line = Line {
            post: entry.post,
            origin: entry.origin,
        };
        let lines = &mut self.outbox.lines;
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
        if let Ok(at) = self
            .outbox
            .lines
            .binary_search_by_key(&post, |line| line.post)
        {
            self.outbox.lines.remove(at);
            self.refresh();
        }
    }

    pub(super) fn published(&self, key: &IdempotencyKey) -> Option<PostId> {
        self.outbox.past.as_ref()?.published.get(key).copied()
    }

    /// Keeps `key`, which is not there yet, as one of the newest `bound` keys.
    pub(super) fn remember(&mut self, key: &IdempotencyKey, post: PostId, bound: usize) {
        let past = self.outbox.past.get_or_insert_default();
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
        let past = self.outbox.past.as_ref();
        past.is_some_and(|past| Some(post) <= past.retracted_to)
    }

    /// Keeps `post` as one of the `bound` retractions with the largest ids. Answers the one that
    /// this pushes out, which the author's watermark covers from now on.
    pub(super) fn retract(&mut self, post: PostId, bound: usize) -> Option<PostId> {
        let past = self.outbox.past.get_or_insert_default();
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
        let lines = &mut self.outbox.lines;
        let keep = lines.len().saturating_sub(limit);
        let live: Vec<_> = lines.drain(keep..).map(|line| line.post).collect();
        let mut retracted = Vec::new();
        if let Some(past) = &mut self.outbox.past {
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
        let AuthorBox { lines, recent, .. } = &mut *self.outbox;
        for (recent, line) in recent.iter_mut().zip(lines.iter().rev()) {
            *recent = *line;
        }
        self.newest = lines.last().map_or(PostId::MIN, |line| line.post);
    }
}

impl AuthorBox {
    /// The line that so many others are newer than.
    pub(super) fn line(&self, newer: usize) -> Option<Line> {
        let at = self.lines.len().checked_sub(newer + 1)?;
        match newer {
            0 => Some(self.recent[0]),
            1 => Some(self.recent[1]),
            _ => self.lines.get(at).copied(),
        }
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

impl Default for Line {
    fn default() -> Self {
        Self {
            post: PostId::MIN,
            origin: PostId::MIN,
        }
    }
}

impl Default for Author {
    fn default() -> Self {
        Self {
            newest: PostId::MIN,
            outbox: Box::default(),
        }
    }
}

impl Past {
    fn is_empty(&self) -> bool {
        self.published.is_empty() && self.retracted.is_empty() && self.retracted_to.is_none()
    }
}
