//! Pages as users walk them, against those of the model.

use feed_core::{PageRequest, PageSize, PostId, UserId};
use futures::FutureExt as _;

use crate::world::{SPAN, USERS, World, now};

impl World {
    /// Whatever is under way, a page shows nothing that its viewer may not see, newest first, and
    /// nothing twice; or it fails as a whole.
    pub(crate) fn read(&mut self, viewer: UserId, size: usize) {
        let pages = self.walk(viewer, size);
        let Some(shown) = pages else { return };
        assert!(
            shown.is_sorted_by(|newer, older| newer > older),
            "{shown:?}"
        );
        if self.contended {
            return;
        }
        let eligible = self.model.eligible(viewer);
        for post in shown {
            assert!(
                eligible.iter().any(|entry| entry.post == post),
                "{post} is not for {viewer}"
            );
        }
    }

    /// All that every user sees, read down and up.
    pub(crate) fn assert_agrees(&self, size: usize) {
        for viewer in (0..USERS).map(UserId::new) {
            let expected = self.model.home(viewer, SPAN);
            let walked = self.walk(viewer, size).expect("nothing fails");
            assert_eq!(walked, expected, "home of {viewer}");
            let mut up = self.walk_up(viewer, size);
            up.reverse();
            assert_eq!(up, expected, "home of {viewer}, upwards");
        }
    }

    /// The home feed from the newest page to the last; `None` if a call failed.
    fn walk(&self, viewer: UserId, size: usize) -> Option<Vec<PostId>> {
        let mut request = page_request(size);
        let mut shown = Vec::new();
        loop {
            let page = self.feed.home(viewer, request).now_or_never()?.ok()?;
            shown.extend(page.entries.iter().map(|entry| entry.post));
            match page.next {
                Some(next) => {
                    assert!(request.cursor != Some(next), "the walk stands still");
                    request = PageRequest::at(next).with_size(request.size);
                }
                None => return Some(shown),
            }
        }
    }

    /// The home feed from its oldest entry up, by cursors to newer pages.
    fn walk_up(&self, viewer: UserId, size: usize) -> Vec<PostId> {
        let size = page_size(size);
        let at = |cursor| PageRequest::at(cursor).with_size(size);
        let mut page = now(self.feed.home(viewer, page_request(1)));
        for _ in 0..10_000 {
            let Some(next) = page.next else { break };
            page = now(self.feed.home(viewer, at(next).with_size(page_size(1))));
        }
        assert_eq!(page.next, None, "the walk down does not end");
        let mut up: Vec<_> = page.entries.iter().map(|entry| entry.post).collect();
        while let Some(prev) = page.prev {
            page = now(self.feed.home(viewer, at(prev)));
            if page.entries.is_empty() {
                break;
            }
            up.extend(page.entries.iter().rev().map(|entry| entry.post));
        }
        up
    }
}

fn page_size(size: usize) -> PageSize {
    PageSize::new(size).expect("a valid size")
}

pub(crate) fn page_request(size: usize) -> PageRequest {
    PageRequest::newest().with_size(page_size(size))
}
