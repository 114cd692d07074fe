//! What a reader has been shown, as far as it matters.

use crate::{Entry, PostId, cursor::Recent};

/// The newest entries that a reader knows, newest first.
#[derive(Debug, Default)]
pub(super) struct Known {
    entries: Vec<Entry>,
    /// Whether there are no older ones.
    whole: bool,
}

/// How many are remembered: a repetition of an older one than these is not recognised.
const REMEMBERED: usize = 300;

impl Known {
    /// Of a reader who knows these entries, of a feed that has older ones or has not.
    pub(super) fn of(entries: &[Entry], whole: bool) -> Self {
        let entries = entries.iter().take(REMEMBERED).copied().collect();
        Self { entries, whole }
    }

    /// Adds an entry and says whether it is new to the reader.
    pub(super) fn add(&mut self, entry: Entry) -> bool {
        let Err(at) = self.find(entry.post) else {
            return false;
        };
        self.entries.insert(at, entry);
        self.entries.truncate(REMEMBERED);
        true
    }

    /// Removes an entry and says whether the reader knew it.
    pub(super) fn remove(&mut self, post: PostId) -> bool {
        let found = self.find(post);
        if let Ok(at) = found {
            self.entries.remove(at);
        }
        found.is_ok()
    }

    pub(super) fn contains(&self, entry: &Entry) -> bool {
        self.find(entry.post).is_ok()
    }

    /// Whether a newer entry than this one is a repost that shows the same.
    pub(super) fn has_repost_above(&self, entry: &Entry) -> bool {
        let mut newer = self
            .entries
            .iter()
            .take_while(|known| known.post > entry.post);
        newer.any(|known| known.is_repost() && known.origin == entry.origin)
    }

    /// The newest, or where a feed begins.
    pub(super) fn newest(&self) -> PostId {
        self.entries.first().map_or(PostId::MIN, |entry| entry.post)
    }

    pub(super) fn recent(&self) -> Recent {
        let posts = self.entries.iter().map(|entry| entry.post);
        if self.whole {
            Recent::all(posts)
        } else {
            Recent::some(posts)
        }
    }

    fn find(&self, post: PostId) -> Result<usize, usize> {
        self.entries.binary_search_by(|known| post.cmp(&known.post))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::UserId;

    const fn entry(post: u64) -> Entry {
        Entry::original(PostId::new(post), UserId::new(1))
    }

    #[test]
    fn an_entry_is_new_once_and_again_after_it_was_removed() {
        let mut known = Known::default();
        assert!(known.add(entry(7)));
        assert!(!known.add(entry(7)));
        assert!(known.remove(PostId::new(7)));
        assert!(!known.remove(PostId::new(7)));
        assert!(known.add(entry(7)));
    }

    #[test]
    fn the_newest_are_remembered_in_order() {
        let mut known = Known::default();
        for post in (1..=2 * REMEMBERED as u64).rev() {
            known.add(entry(post));
        }
        assert_eq!(known.newest(), PostId::new(2 * REMEMBERED as u64));
        assert_eq!(known.entries.len(), REMEMBERED);
        assert!(known.entries.is_sorted_by(|a, b| a > b));
    }

    #[test]
    fn a_repost_above_shows_the_same() {
        let repost = Entry::repost(PostId::new(9), UserId::new(2), PostId::new(3));
        let known = Known::of(&[repost, entry(5)], false);
        assert!(known.has_repost_above(&entry(3)));
        assert!(!known.has_repost_above(&entry(2)));
        assert!(!known.has_repost_above(&repost));
    }
}
