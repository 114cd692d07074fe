//! What a home feed is, said as plainly as possible: every live entry by the viewer and those they
//! follow, less what they do not want to see, less repeated reposts.

use std::collections::{BTreeMap, BTreeSet};

use feed_core::{Entry, FollowSettings, PostId, UserId};

#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    pub(crate) entries: BTreeMap<PostId, Entry>,
    pub(crate) follows: BTreeMap<(UserId, UserId), FollowSettings>,
    pub(crate) blocks: BTreeSet<(UserId, UserId)>,
    pub(crate) mutes: BTreeSet<(UserId, UserId)>,
}

impl Model {
    /// The home feed as shown, newest first.
    pub(crate) fn home(&self, viewer: UserId, span: usize) -> Vec<PostId> {
        let eligible = self.eligible(viewer);
        let hidden = |at: usize| {
            let entry = eligible[at];
            let older = eligible[at + 1..].iter().take(span);
            entry.is_repost() && older.into_iter().any(|other| other.origin == entry.origin)
        };
        (0..eligible.len())
            .filter(|&at| !hidden(at))
            .map(|at| eligible[at].post)
            .collect()
    }

    /// What `viewer` may see in the home feed, newest first.
    pub(crate) fn eligible(&self, viewer: UserId) -> Vec<Entry> {
        let newest_first = self.entries.values().rev().copied();
        newest_first
            .filter(|entry| self.may_see(viewer, entry))
            .collect()
    }

    fn may_see(&self, viewer: UserId, entry: &Entry) -> bool {
        let Some(origin) = self.entries.get(&entry.origin) else {
            return false;
        };
        if self.hides(viewer, origin.author) {
            return false;
        }
        if entry.author == viewer {
            return true;
        }
        let Some(settings) = self.follows.get(&(viewer, entry.author)) else {
            return false;
        };
        !(self.hides(viewer, entry.author) || entry.is_repost() && settings.hide_reposts)
    }

    pub(crate) fn blocked(&self, user: UserId, other: UserId) -> bool {
        self.blocks.contains(&(user, other)) || self.blocks.contains(&(other, user))
    }

    fn hides(&self, viewer: UserId, other: UserId) -> bool {
        self.blocked(viewer, other) || self.mutes.contains(&(viewer, other))
    }
}
