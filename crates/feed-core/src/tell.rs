//! Events: to whom each goes, and what a failure does.

use crate::{
    Audience, Change, Entry, Error, ErrorKind, Feed, FeedEvent, Follower, Result, UserId,
    fanout::task::{FanoutTask, Stage},
    graph::viewers,
    telemetry,
};

impl Feed {
    /// To those who watch the author, once a task.
    pub(crate) async fn tell_author(&self, task: &FanoutTask, change: Change) -> Result<()> {
        if task.stage != Stage::Start {
            return Ok(());
        }
        let event = FeedEvent::Post {
            entry: task.entry,
            change,
            audience: Audience::Author,
        };
        self.parts.events.emit(&[event]).await
    }

    /// To those of the followers who may see the post.
    pub(crate) async fn tell_followers(
        &self,
        entry: Entry,
        change: Change,
        followers: Vec<Follower>,
    ) -> Result<()> {
        let followers = self.in_sight(entry, followers).await?;
        if followers.is_empty() {
            return Ok(());
        }
        let event = FeedEvent::Post {
            entry,
            change,
            audience: Audience::Followers(followers),
        };
        self.parts.events.emit(&[event]).await
    }

    /// What a call has done, which no retry would emit again: delivered at most once.
    pub(crate) async fn mention(&self, event: FeedEvent) {
        telemetry::tolerate(self.parts.events.emit(&[event]).await, "event not told");
    }

    /// To open screens: what these viewers see has changed. Delivered at least once, so also where this
    /// call changed nothing: an earlier one may have, and have been cut short.
    pub(crate) async fn circles_changed(&self, viewers: &[UserId]) -> Result<()> {
        let changed = |&viewer: &UserId| FeedEvent::CircleChanged { viewer };
        let events: Vec<_> = viewers.iter().map(changed).collect();
        let told = self.parts.events.emit(&events).await;
        // The change itself is done.
        told.map_err(|error| Error::new(ErrorKind::Unavailable, "tell", error))
    }

    /// Leaves out followers who hide the author or are hidden from them; for a repost, also those who hide
    /// reposts or may not see what it shows.
    ///
    /// The graph is asked once for all of them, and once more for a repost: none of their circles is
    /// read.
    async fn in_sight(&self, entry: Entry, mut followers: Vec<Follower>) -> Result<Vec<Follower>> {
        let mut authors = vec![entry.author];
        if entry.is_repost() {
            followers.retain(|follower| !follower.settings.hide_reposts);
            let origin = self.state(entry.origin).await?.live();
            authors.extend(origin.map(|origin| origin.author));
        }
        for author in authors {
            if followers.is_empty() {
                break;
            }
            let viewers = viewers(&followers);
            let hidden = self.parts.graph.hidden_from(author, &viewers).await?;
            let mut hidden = hidden.into_iter();
            followers.retain(|_| hidden.next() == Some(false));
        }
        Ok(followers)
    }
}
