use std::collections::VecDeque;

use hashbrown::HashMap;

use crate::{Entry, IdempotencyKey, PostId, Seek, UserId, memory::outbox::nearest::Nearest};

/// One author's live posts, and what is remembered of their past.
#[derive(Default)]
pub(super) struct AuthorBox {
    /// The last line's post, here so that a merge need not touch the lines of an author who has
    /// nothing near.
    newest: Option<PostId>,
    /// Ascending by post: appending is the common case.
    lines: Vec<Line>,
    /// Most authors have none.
    past: Option<Box<Past>>,
}

/// An [`Entry`] without its author: 16 bytes.
#[derive(Clone, Copy)]
struct Line {
    post: PostId,
    origin: PostId,
}

#[derive(Default)]
struct Past {
    published: HashMap<IdempotencyKey, PostId>,
    /// The keys of `published`, oldest first.
    keys: VecDeque<IdempotencyKey>,
    /// Oldest first.
    retracted: VecDeque<PostId>,
}

/// What [`AuthorBox::erase`] took out.
pub(super) struct Erased {
    pub(super) live: Vec<PostId>,
    pub(super) retracted: Vec<PostId>,
}

impl AuthorBox {
    pub(super) const fn newest(&self) -> Option<PostId> {
        self.newest
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.past.as_deref().is_none_or(Past::is_empty)
    }

    /// Offers the lines in the range of `nearest` to it, as many as it wants.
    pub(super) fn offer(&self, author: UserId, nearest: &mut Nearest) {
        let Some(newest) = self.newest else { return };
        let entry = |line: &Line| Entry {
            post: line.post,
            author,
            origin: line.origin,
        };
        match nearest.seek() {
            Seek::After(bound) => {
                if newest > bound {
                    let mut newer = self.lines[self.end_of(bound)..].iter();
                    while newer.next().is_some_and(|line| nearest.offer(entry(line))) {}
                }
            }
            Seek::Newest | Seek::Before(_) => {
                if nearest.wants(newest) {
                    let mut older = self.older(nearest.seek()).iter().rev();
                    while older.next().is_some_and(|line| nearest.offer(entry(line))) {}
                }
            }
        }
    }

    /// Adds a line, which is not there yet.
    pub(super) fn insert(&mut self, entry: Entry) {
        let line = Line {
            post: entry.post,
            origin: entry.origin,
        };
        if self.newest.is_none_or(|newest| newest < entry.post) {
            self.lines.push(line);
            self.newest = Some(entry.post);
        } else {
            let at = self.start_of(entry.post);
            self.lines.insert(at, line);
        }
    }

    /// Takes a line out.
    pub(super) fn remove(&mut self, post: PostId) {
        let at = self.start_of(post);
        if self.lines.get(at).is_some_and(|line| line.post == post) {
            self.lines.remove(at);
            self.newest = self.lines.last().map(|line| line.post);
        }
    }

    pub(super) fn published(&self, key: &IdempotencyKey) -> Option<PostId> {
        self.past.as_ref()?.published.get(key).copied()
    }

    /// Keeps `key`, which is not there yet, as one of the newest `bound` keys.
    pub(super) fn remember(&mut self, key: &IdempotencyKey, post: PostId, bound: usize) {
        let past = self.past.get_or_insert_default();
        past.published.insert(key.clone(), post);
        past.keys.push_back(key.clone());
        if past.keys.len() > bound
            && let Some(oldest) = past.keys.pop_front()
        {
            past.published.remove(&oldest);
        }
    }

    /// Keeps `post` as one of the newest `bound` retractions, and answers the one that this pushes
    /// out.
    pub(super) fn retract(&mut self, post: PostId, bound: usize) -> Option<PostId> {
        let retracted = &mut self.past.get_or_insert_default().retracted;
        retracted.push_back(post);
        (retracted.len() > bound).then(|| retracted.pop_front())?
    }

    /// Takes out all keys, and up to `limit` posts: live ones newest first, then retracted ones.
    pub(super) fn erase(&mut self, limit: usize) -> Erased {
        let keep = self.lines.len().saturating_sub(limit);
        let live: Vec<_> = self.lines.drain(keep..).map(|line| line.post).collect();
        self.newest = self.lines.last().map(|line| line.post);
        let mut retracted = Vec::new();
        if let Some(past) = &mut self.past {
            past.published.clear();
            past.keys.clear();
            let count = past.retracted.len().min(limit - live.len());
            retracted.extend(past.retracted.drain(..count));
        }
        Erased { live, retracted }
    }

    /// The lines that a page towards older posts may show, the nearest last.
    fn older(&self, seek: Seek) -> &[Line] {
        match seek {
            Seek::Before(bound) if self.newest.is_some_and(|newest| newest >= bound) => {
                &self.lines[..self.start_of(bound)]
            }
            _ => &self.lines,
        }
    }

    /// How many lines lie before `post`.
    fn start_of(&self, post: PostId) -> usize {
        self.lines.partition_point(|line| line.post < post)
    }

    /// How many lines lie before or at `post`.
    fn end_of(&self, post: PostId) -> usize {
        self.lines.partition_point(|line| line.post <= post)
    }
}

impl Past {
    fn is_empty(&self) -> bool {
        self.published.is_empty() && self.retracted.is_empty()
    }
}
