//! The clients of a feed, and what they make the model do.

use feed_core::{
    Entry, ErrorKind, FollowSettings, IdempotencyKey, NewPost, PostId, Published, Result, UserId,
};
use futures::FutureExt as _;

use crate::world::{World, now};

impl World {
    /// With an id of the feed's or of the application's.
    pub(crate) fn new_post(&mut self, elsewhere: bool) -> NewPost {
        if elsewhere {
            NewPost::elsewhere(self.next_id())
        } else {
            self.keyed()
        }
    }

    pub(crate) fn publish(&mut self, author: u64, post: &NewPost, persistent: bool) -> bool {
        let (feed, author) = (self.feed.clone(), UserId::new(author));
        match self.call(persistent, || feed.publish(author, post.clone())) {
            Some(Published::Accepted(post) | Published::Duplicate(post)) => {
                let entry = Entry::original(post, author);
                self.model.entries.insert(post, entry);
                self.known.push(post);
                true
            }
            Some(other) => panic!("{other:?}"),
            None => false,
        }
    }

    pub(crate) fn reply(&mut self, author: UserId, nth: usize, persistent: bool) -> bool {
        let parent = self.pick(nth);
        if self.reach(author, parent).is_none() {
            return true;
        }
        let reply = self.keyed().in_reply_to(parent);
        self.publish(author.get(), &reply, persistent)
    }

    pub(crate) fn repost(&mut self, actor: u64, nth: usize, persistent: bool) -> bool {
        let (feed, actor, post) = (self.feed.clone(), UserId::new(actor), self.pick(nth));
        let Some(origin) = self.reach(actor, post) else {
            return true;
        };
        match self.call(persistent, || feed.repost(actor, post)) {
            Some(Published::Accepted(repost) | Published::Duplicate(repost)) => {
                let entry = Entry::repost(repost, actor, origin);
                self.model.entries.insert(repost, entry);
                self.known.push(repost);
                true
            }
            Some(other) => panic!("{other:?}"),
            None => false,
        }
    }

    pub(crate) fn unrepost(&mut self, actor: u64, nth: usize, persistent: bool) -> bool {
        let (feed, actor, post) = (self.feed.clone(), UserId::new(actor), self.pick(nth));
        let Some(origin) = self.model.entries.get(&post).map(|entry| entry.origin) else {
            return true;
        };
        let done = self.call(persistent, || feed.unrepost(actor, post));
        if done.is_some() {
            self.model.entries.retain(|_, entry| {
                !(entry.is_repost() && entry.author == actor && entry.origin == origin)
            });
        }
        done.is_some()
    }

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

    pub(crate) fn edit(&self, nth: usize, persistent: bool) -> bool {
        let (feed, post) = (&self.feed, self.pick(nth));
        let entry = self.model.entries.get(&post);
        let Some(author) = entry
            .filter(|entry| !entry.is_repost())
            .map(|entry| entry.author)
        else {
            return true;
        };
        let kept = now(self.sound.outbox.posts(&[post]));
        if kept.iter().flatten().any(|post| post.body.is_empty()) {
            self.call(persistent, || feed.touch(author, post));
        } else {
            self.call(persistent, || feed.edit(author, post, "edited".into()));
        }
        true
    }

    pub(crate) fn delete(&mut self, nth: usize, persistent: bool) -> bool {
        let (feed, post) = (self.feed.clone(), self.pick(nth));
        let Some(author) = self.model.entries.get(&post).map(|entry| entry.author) else {
            return true;
        };
        let deleted = self.call(persistent, || feed.delete(author, post));
        if deleted.is_some() {
            self.model.entries.remove(&post);
        }
        deleted.is_some()
    }

    pub(crate) fn follow(
        &mut self,
        viewer: UserId,
        author: UserId,
        settings: FollowSettings,
        persistent: bool,
    ) -> bool {
        let feed = self.feed.clone();
        let follow = || feed.follow_with(viewer, author, settings);
        if self.model.blocked(viewer, author) {
            return true;
        }
        if viewer == author {
            let refused = follow().now_or_never();
            assert!(
                refused.is_none_or(|answer| answer.is_err()),
                "nobody follows themselves"
            );
            return true;
        }
        let followed = self.call(persistent, follow).is_some();
        if followed {
            self.model.follows.insert((viewer, author), settings);
        }
        followed
    }

    pub(crate) fn unfollow(&mut self, viewer: u64, author: u64, persistent: bool) -> bool {
        let feed = self.feed.clone();
        let (viewer, author) = (UserId::new(viewer), UserId::new(author));
        let ended = self.call(persistent, || feed.unfollow(viewer, author));
        if ended.is_some() {
            self.model.follows.remove(&(viewer, author));
        }
        ended.is_some()
    }

    pub(crate) fn hide(
        &mut self,
        viewer: u64,
        other: u64,
        on: bool,
        persistent: bool,
        block: bool,
    ) -> bool {
        if viewer == other {
            return true;
        }
        let feed = self.feed.clone();
        let (viewer, other) = (UserId::new(viewer), UserId::new(other));
        let hide = async || match (block, on) {
            (true, true) => feed.block(viewer, other).await,
            (true, false) => feed.unblock(viewer, other).await,
            (false, true) => feed.mute(viewer, other).await,
            (false, false) => feed.unmute(viewer, other).await,
        };
        let done = self.call(persistent, hide);
        // A relation's outcome cannot be read back, so a client that gave up tries once more.
        let done = done.or_else(|| {
            self.faults.disarm();
            self.call(true, hide)
        });
        let relations = if block {
            &mut self.model.blocks
        } else {
            &mut self.model.mutes
        };
        if on {
            relations.insert((viewer, other));
        } else {
            relations.remove(&(viewer, other));
        }
        done.is_some()
    }

    /// Calls until there is an answer. `None`: the call failed, or its process died, and the client
    /// does not try again.
    fn call<T, F>(&self, persistent: bool, call: impl Fn() -> F) -> Option<T>
    where
        F: Future<Output = Result<T>>,
    {
        for _ in 0..100 {
            match call().now_or_never() {
                Some(Ok(answer)) => return Some(answer),
                Some(Err(error)) if self.contended && error.kind() != ErrorKind::Unavailable => {
                    return None;
                }
                Some(Err(error)) => {
                    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
                }
                None => {}
            }
            if !persistent {
                return None;
            }
        }
        panic!("a call never succeeds");
    }

    /// One of the posts that clients know of.
    fn pick(&self, nth: usize) -> PostId {
        match self.known.len() {
            0 => PostId::MAX,
            len => self.known[nth % len],
        }
    }

    /// A new post under a key of its own.
    fn keyed(&mut self) -> NewPost {
        self.keys += 1;
        let key: IdempotencyKey = self.keys.to_string().parse().expect("a short key");
        NewPost::new("a post").with_key(key)
    }

    /// An id of the application's, from the range of the feed's.
    fn next_id(&self) -> PostId {
        self.sound
            .ids
            .next_id()
            .expect("a millisecond has ids")
            .into()
    }

    /// The original that a post shows, unless it or the post is gone or across a block.
    fn reach(&self, actor: UserId, post: PostId) -> Option<PostId> {
        let reached = |post| {
            let entry = self.model.entries.get(post)?;
            (!self.model.blocked(actor, entry.author)).then_some(entry.origin)
        };
        let origin = reached(&post)?;
        reached(&origin)
    }
}
