//! Somebody else, who acts between two calls of a store.

use backplane::ManualClock;
use feed_core::{Feed, FeedParts, FollowSettings, NewPost, PostId, UserId};

use crate::{
    pages::page_request,
    step::Op,
    world::{USERS, lose_tasks},
};

/// Somebody whose successes the model learns from the stores.
pub(crate) struct Other {
    pub(crate) feed: Feed,
    pub(crate) sound: FeedParts,
    pub(crate) clock: ManualClock,
    pub(crate) known: Vec<PostId>,
}

impl Other {
    pub(crate) async fn apply(&self, op: &Op) {
        let (feed, user) = (&self.feed, UserId::new);
        match *op {
            Op::Publish(author, false) => {
                drop(feed.publish(user(author), NewPost::new("x")).await);
            }
            Op::Publish(author, true) => {
                let id = self.sound.ids.next_id().expect("a millisecond has ids");
                drop(
                    feed.publish(user(author), NewPost::elsewhere(id.into()))
                        .await,
                );
            }
            Op::Repost(actor, nth) => drop(feed.repost(user(actor), self.pick(nth)).await),
            Op::Unrepost(actor, nth) => drop(feed.unrepost(user(actor), self.pick(nth)).await),
            Op::Like(actor, nth) => drop(feed.like(user(actor), self.pick(nth)).await),
            Op::Unlike(actor, nth) => drop(feed.unlike(user(actor), self.pick(nth)).await),
            Op::Reply(author, nth) => {
                let reply = NewPost::new("x").in_reply_to(self.pick(nth));
                drop(feed.publish(user(author), reply).await);
            }
            Op::Delete(nth) => {
                for author in 0..USERS {
                    drop(feed.delete(user(author), self.pick(nth)).await);
                }
            }
            Op::Follow(viewer, author, hide) => {
                let settings = FollowSettings::default().with_hide_reposts(hide);
                drop(feed.follow_with(user(viewer), user(author), settings).await);
            }
            Op::Unfollow(viewer, author) => {
                drop(feed.unfollow(user(viewer), user(author)).await);
            }
            Op::Read(viewer, size) => drop(feed.home(user(viewer), page_request(size)).await),
            Op::Work(pieces) => drop(feed.work(pieces).await),
            Op::LoseTimeline(viewer) => {
                drop(self.sound.timelines.drop_many(&[user(viewer)]).await);
            }
            Op::LoseTasks => drop(lose_tasks(&*self.sound.queue).await),
            Op::Pass(time) => self.clock.advance(time),
            // What became of these could not be read back.
            Op::Edit(_) | Op::Block(..) | Op::Mute(..) | Op::Outage(..) => {}
        }
    }

    fn pick(&self, nth: usize) -> PostId {
        match self.known.len() {
            0 => PostId::MAX,
            len => self.known[nth % len],
        }
    }
}
