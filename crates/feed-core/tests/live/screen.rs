//! A feed with those who watch it, and what they see.

use std::{collections::BTreeSet, ops::Deref};

use backplane::hub::{Hub, HubOptions};
use feed_core::{
    Cursor, Entry, FeedParts, LiveChange, LiveFeed, LiveFeeds, LiveRequest, PostId, UserId,
};
use futures::FutureExt as _;

use crate::house;

/// A house whose feed is watched.
pub(crate) struct House {
    house: house::House,
    pub(crate) live: LiveFeeds,
}

impl Deref for House {
    type Target = house::House;

    fn deref(&self) -> &house::House {
        &self.house
    }
}

impl House {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut FeedParts)) -> Self {
        Self::build(HubOptions::inline(), change)
    }

    /// One whose hub has these bounds.
    pub(crate) fn on(hub: HubOptions) -> Self {
        Self::build(hub, |_| {})
    }

    fn build(hub: HubOptions, change: impl FnOnce(&mut FeedParts)) -> Self {
        let live = LiveFeeds::new(hub);
        let house = house::House::with(|parts| {
            live.attach(parts);
            change(parts);
        });
        Self { house, live }
    }

    pub(crate) fn hub(&self) -> &Hub {
        self.live.hub()
    }

    pub(crate) async fn watch(&self, viewer: UserId, resume: Option<Cursor>) -> LiveFeed {
        let mut request = LiveRequest::default();
        request.resume = resume;
        let live = self.live.watch(&self.feed, viewer, request).await;
        live.expect("the hub is open")
    }
}

/// What a screen shows, and where it goes on.
#[derive(Debug, Default)]
pub(crate) struct Screen {
    pub(crate) shown: BTreeSet<Entry>,
    pub(crate) revised: Vec<(PostId, u32)>,
    pub(crate) resets: usize,
    pub(crate) resume: Option<Cursor>,
}

impl Screen {
    /// Takes what has come so far.
    pub(crate) fn update(&mut self, hub: &Hub, live: &mut LiveFeed) {
        loop {
            while hub.run_once() > 0 {}
            match live.next().now_or_never() {
                Some(event) => {
                    self.apply(event.expect("the stores answer").expect("the hub is open"));
                }
                None => return,
            }
        }
    }

    fn apply(&mut self, event: feed_core::LiveEvent) {
        self.resume = Some(event.resume);
        match event.change {
            LiveChange::Reset(page) => {
                self.resets += 1;
                self.shown = page.entries.into_iter().collect();
            }
            LiveChange::Added(entry) => {
                assert!(self.shown.insert(entry), "{entry:?} was added twice");
            }
            LiveChange::Revised { entry, version } => self.revised.push((entry.post, version)),
            LiveChange::Removed(gone) => self
                .shown
                .retain(|entry| entry.post != gone.post && entry.origin != gone.post),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn posts(&self) -> Vec<PostId> {
        self.shown.iter().map(|entry| entry.post).collect()
    }
}
