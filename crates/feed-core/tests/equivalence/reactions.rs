//! What users do to posts, and what is left of it.

use feed_core::{PostId, UserId};

use crate::world::{USERS, World, now};

impl World {
    pub(crate) fn like(&self, actor: UserId, nth: usize, persistent: bool) {
        let (feed, post) = (self.feed.clone(), self.pick(nth));
        if self.reach(actor, post).is_some() {
            self.call(persistent, || feed.like(actor, post));
        }
    }

    pub(crate) fn unlike(&self, actor: UserId, nth: usize, persistent: bool) {
        let (feed, post) = (self.feed.clone(), self.pick(nth));
        self.call(persistent, || feed.unlike(actor, post));
    }

    pub(crate) fn reply(&mut self, author: UserId, nth: usize, persistent: bool) -> bool {
        let parent = self.pick(nth);
        if self.reach(author, parent).is_none() {
            return true;
        }
        let reply = self.keyed().in_reply_to(parent);
        self.publish(author.get(), &reply, persistent)
    }

    /// The original that a post shows, unless it or the post is gone or across a block.
    pub(crate) fn reach(&self, actor: UserId, post: PostId) -> Option<PostId> {
        let reached = |post| {
            let entry = self.model.entries.get(post)?;
            (!self.model.blocked(actor, entry.author)).then_some(entry.origin)
        };
        let origin = reached(&post)?;
        reached(&origin)
    }

    /// Nobody has liked, answered or reposted a post that is gone, nor does one count as an answer or
    /// repost. Looks by taking away, so it comes last.
    pub(crate) fn assert_nothing_counts_that_is_gone(&self) {
        let states = now(self.sound.outbox.lookup(&self.known));
        let gone = self.known.iter().zip(states);
        let gone: Vec<_> = gone
            .filter(|(_, state)| state.live().is_none())
            .map(|(&post, _)| post)
            .collect();
        for user in (0..USERS).map(UserId::new) {
            let counted = now(self.sound.actions.withdraw_items(user, &gone));
            assert_eq!(counted, [], "they count, and are gone");
        }
        let forgotten = now(self.sound.actions.forget(&gone, usize::MAX));
        assert_eq!(forgotten, 0, "actions on posts that are gone");
    }
}
