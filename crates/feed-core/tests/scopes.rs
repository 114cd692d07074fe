//! What a viewer's wishes hide, and on which pages.
#![expect(clippy::unwrap_used, reason = "a test panics to fail")]

mod house;

use feed_core::{FollowSettings, ListId, PageRequest, PostId};

use crate::house::{ANN, BOB, CAT, House};

/// Who follows Ann, has her on a list, and opens her page. She has posted, and reposted Cat.
struct Viewer {
    house: House,
    post: PostId,
    repost: PostId,
}

const LIST: ListId = ListId::new(1);

impl Viewer {
    async fn new(settings: FollowSettings) -> Self {
        let house = House::new();
        house.feed.follow_with(BOB, ANN, settings).await.unwrap();
        house.feed.set_list(BOB, LIST, &[ANN]).await.unwrap();
        let (cats, post) = (house.post(CAT).await, house.post(ANN).await);
        let repost = house.repost(ANN, cats).await;
        house.work().await;
        Self {
            house,
            post,
            repost,
        }
    }

    /// Which of Ann's post and repost are on the home page, the list's and her own.
    async fn sees(&self) -> [(bool, bool); 3] {
        let (feed, request) = (&self.house.feed, PageRequest::newest());
        let pages = [
            feed.home(BOB, request).await,
            feed.list(BOB, LIST, request).await,
            feed.author(BOB, ANN, request).await,
        ];
        pages.map(|page| {
            let page = page.unwrap();
            let shows = |post| page.entries.iter().any(|entry| entry.post == post);
            (shows(self.post), shows(self.repost))
        })
    }
}

const ALL: (bool, bool) = (true, true);
const NONE: (bool, bool) = (false, false);
const NO_REPOST: (bool, bool) = (true, false);

#[tokio::test]
async fn hidden_reposts_are_on_their_authors_page_alone() {
    let viewer = Viewer::new(FollowSettings::default()).await;
    assert_eq!(viewer.sees().await, [ALL, ALL, ALL]);
    let viewer = Viewer::new(FollowSettings::default().with_hide_reposts(true)).await;
    assert_eq!(viewer.sees().await, [NO_REPOST, NO_REPOST, ALL]);
}

#[tokio::test]
async fn who_is_muted_is_on_their_own_page_alone() {
    let viewer = Viewer::new(FollowSettings::default()).await;
    let feed = &viewer.house.feed;
    feed.mute(BOB, ANN).await.unwrap();
    assert_eq!(viewer.sees().await, [NONE, NONE, ALL]);
    feed.unmute(BOB, ANN).await.unwrap();
    // What a muted author has written is hidden wherever somebody else shows it.
    feed.mute(BOB, CAT).await.unwrap();
    assert_eq!(viewer.sees().await, [NO_REPOST; 3]);
}

#[tokio::test]
async fn who_blocks_or_is_blocked_is_on_no_page() {
    for (by, other) in [(BOB, ANN), (ANN, BOB)] {
        let viewer = Viewer::new(FollowSettings::default()).await;
        viewer.house.feed.block(by, other).await.unwrap();
        assert_eq!(viewer.sees().await, [NONE; 3]);
    }
    for (by, other) in [(BOB, CAT), (CAT, BOB)] {
        let viewer = Viewer::new(FollowSettings::default()).await;
        viewer.house.feed.block(by, other).await.unwrap();
        assert_eq!(viewer.sees().await, [NO_REPOST; 3]);
    }
}
