use std::{collections::VecDeque, iter, ops::Range};

use crate::{PostId, Seek};

/// What the first allocation holds; each next one holds twice as much.
const FIRST: usize = 16;

/// A value for each of some posts, oldest first: 16 bytes a post where the value is an id.
///
/// The newest is appended, anything else finds its place from the newest on and moves whichever side
/// of the ring is shorter.
#[derive(Debug)]
pub(super) struct Ring<V>(VecDeque<(PostId, V)>);

impl<V: Copy> Ring<V> {
    pub(super) const fn new() -> Self {
        Self(VecDeque::new())
    }

    /// A ring of `slots`, which ascend, with room as if they had come one by one.
    pub(super) fn of(slots: impl ExactSizeIterator<Item = (PostId, V)>, bound: usize) -> Self {
        let mut ring = Self(VecDeque::with_capacity(room(slots.len(), bound)));
        ring.0.extend(slots);
        ring
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// What the slots take, free ones too.
    pub(super) fn bytes(&self) -> usize {
        self.0.capacity() * size_of::<(PostId, V)>()
    }

    pub(super) fn newest(&self) -> Option<PostId> {
        self.0.back().map(|(post, _)| *post)
    }

    /// Where `post` is, or else where it belongs.
    pub(super) fn place(&self, post: PostId) -> Result<usize, usize> {
        let at = self.older_than(post);
        match self.0.get(at) {
            Some((found, _)) if *found == post => Ok(at),
            _ => Err(at),
        }
    }

    pub(super) fn contains(&self, post: PostId) -> bool {
        self.place(post).is_ok()
    }

    /// Makes room for `len` slots, which are at most `bound`, and answers by how many bytes it grew.
    pub(super) fn reserve(&mut self, len: usize, bound: usize) -> usize {
        if len <= self.0.capacity() {
            return 0;
        }
        let before = self.bytes();
        self.0.reserve_exact(room(len, bound) - self.len());
        self.bytes() - before
    }

    /// Puts a slot where it belongs. Answers by how many bytes the ring grew, which holds fewer than
    /// `bound` slots so far.
    pub(super) fn insert(&mut self, at: usize, post: PostId, value: V, bound: usize) -> usize {
        let grown = self.reserve(self.len() + 1, bound);
        if at == self.len() {
            self.0.push_back((post, value));
        } else {
            self.0.insert(at, (post, value));
        }
        grown
    }

    pub(super) fn pop_oldest(&mut self) -> Option<PostId> {
        self.0.pop_front().map(|(post, _)| post)
    }

    /// Forgets all posts below `floor`.
    pub(super) fn pop_below(&mut self, floor: PostId) {
        while self.0.front().is_some_and(|(post, _)| *post < floor) {
            self.0.pop_front();
        }
    }

    /// Takes `post` out and says whether it was there.
    pub(super) fn remove(&mut self, post: PostId) -> bool {
        self.place(post).is_ok_and(|at| self.0.remove(at).is_some())
    }

    pub(super) fn retain(&mut self, mut keep: impl FnMut(PostId, V) -> bool) {
        self.0.retain(|&(post, value)| keep(post, value));
    }

    /// The slots in the range of `seek`, ascending.
    pub(super) fn range(
        &self,
        seek: Seek,
    ) -> impl DoubleEndedIterator<Item = (PostId, V)> + ExactSizeIterator {
        self.0.range(self.indices(seek)).copied()
    }

    fn indices(&self, seek: Seek) -> Range<usize> {
        match seek {
            Seek::Newest => 0..self.len(),
            Seek::Before(bound) => 0..self.older_than(bound),
            Seek::After(PostId::MAX) => self.len()..self.len(),
            Seek::After(bound) => self.older_than(PostId::new(bound.get() + 1))..self.len(),
        }
    }

    /// How many slots are older than `post`. What is looked for is mostly recent, so the steps start
    /// at the newest slot and double, and only the last of them is searched (Bentley and Yao, "An
    /// almost optimal algorithm for unbounded searching", 1976).
    fn older_than(&self, post: PostId) -> usize {
        let is_older = |at: usize| self.0[at].0 < post;
        let (mut start, mut end, mut step) = (0, self.len(), 1);
        while step <= end {
            let at = end - step;
            if is_older(at) {
                start = at + 1;
                break;
            }
            end = at;
            step *= 2;
        }
        while start < end {
            let middle = start + (end - start) / 2;
            if is_older(middle) {
                start = middle + 1;
            } else {
                end = middle;
            }
        }
        start
    }
}

/// How many slots a ring has for `len`, within `bound`, of which `len` is no more.
fn room(len: usize, bound: usize) -> usize {
    let sizes = iter::successors(Some(FIRST), |size| size.checked_mul(2));
    let enough = sizes
        .take_while(|size| *size < bound)
        .find(|size| *size >= len);
    if len == 0 { 0 } else { enough.unwrap_or(bound) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(ring: &mut Ring<u64>, post: u64, bound: usize) -> usize {
        let post = PostId::new(post);
        let at = ring.place(post).unwrap_err();
        ring.insert(at, post, 0, bound)
    }

    #[test]
    fn doubles_up_to_its_bound_and_never_beyond() {
        let mut ring = Ring::new();
        let mut steps = Vec::new();
        for post in 0..50 {
            let grown = push(&mut ring, post, 50);
            if grown > 0 {
                steps.push(ring.bytes() / 16);
            }
        }
        assert_eq!(steps, [16, 32, 50]);
        assert_eq!(ring.len(), 50);
    }

    #[test]
    fn every_post_has_its_place() {
        for len in 0..40_u64 {
            let slots: Vec<_> = (0..len).map(|n| (PostId::new(2 * n + 1), n)).collect();
            let ring = Ring::of(slots.into_iter(), 40);
            for post in 0..=2 * len + 1 {
                let at = usize::try_from(post / 2).unwrap();
                let expected = if post % 2 == 1 && post < 2 * len {
                    Ok(at)
                } else {
                    Err(at)
                };
                assert_eq!(ring.place(PostId::new(post)), expected, "{post} of {len}");
            }
        }
    }

    #[test]
    fn a_small_bound_is_the_first_allocation() {
        let mut ring = Ring::new();
        assert_eq!(push(&mut ring, 1, 3), 3 * 16);
        assert_eq!(push(&mut ring, 2, 3), 0);
    }

    #[test]
    fn made_at_once_it_is_as_large_as_made_one_by_one() {
        for len in [0, 1, 16, 17, 49, 50] {
            let mut slow = Ring::new();
            for post in 0..len {
                push(&mut slow, post, 50);
            }
            let slots: Vec<_> = (0..len).map(|post| (PostId::new(post), 0_u64)).collect();
            assert_eq!(Ring::of(slots.into_iter(), 50).bytes(), slow.bytes());
        }
    }
}
