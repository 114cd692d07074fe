//! Those who watch a feed see what those who read it see.
#![expect(clippy::unwrap_used, reason = "a test panics to fail")]

use std::{collections::BTreeSet, sync::Arc};

use backplane::{
    ManualClock,
    bus::Bus,
    hub::{Hub, HubOptions},
    memory::{MemoryBus, MemoryBusOptions},
};
use feed_core::{
    Cursor, EdgeSettings, Entry, ErrorKind, Feed, FeedParts, LiveChange, LiveFeed, LiveFeeds,
    LiveRequest, NewPost, PageRequest, PostId, PostState, Publication, Published, UserId,
};
use futures::FutureExt;
use proptest::prelude::*;

const ANN: UserId = UserId::new(1);
const BOB: UserId = UserId::new(2);
const CAT: UserId = UserId::new(3);

struct House {
    feed: Feed,
    live: LiveFeeds,
}

impl House {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut FeedParts)) -> Self {
        let live = LiveFeeds::new(HubOptions::inline());
        let mut parts = FeedParts::in_memory();
        parts.events = Arc::new(live.clone());
        change(&mut parts);
        Self {
            feed: Feed::new(parts),
            live,
        }
    }

    fn hub(&self) -> &Hub {
        self.live.hub()
    }

    async fn follow(&self, viewer: UserId, author: UserId) {
        let settings = EdgeSettings::default();
        self.feed.follow(viewer, author, settings).await.unwrap();
    }

    async fn repost(&self, actor: UserId, post: PostId) -> PostId {
        match self.feed.repost(actor, post).await.unwrap() {
            Published::Accepted(repost) => repost,
            other => panic!("{other:?}"),
        }
    }

    async fn post(&self, author: UserId, body: &'static str) -> PostId {
        match self.feed.publish(author, NewPost::new(body)).await.unwrap() {
            Published::Accepted(post) => post,
            other => panic!("{other:?}"),
        }
    }

    async fn watch(&self, viewer: UserId, resume: Option<Cursor>) -> LiveFeed {
        let mut request = LiveRequest::default();
        request.resume = resume;
        self.live.watch(&self.feed, viewer, request).await.unwrap()
    }

    async fn work(&self) {
        while self.feed.work(16).await.unwrap() > 0 {}
    }
}

/// What a screen shows, and where it goes on.
#[derive(Debug, Default)]
struct Screen {
    shown: BTreeSet<Entry>,
    revised: Vec<(PostId, u32)>,
    resets: usize,
    resume: Option<Cursor>,
}

impl Screen {
    /// Takes what has come so far.
    fn update(&mut self, hub: &Hub, live: &mut LiveFeed) {
        loop {
            while hub.run_once() > 0 {}
            match live.next().now_or_never() {
                Some(event) => self.apply(event.unwrap().expect("the hub is open")),
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

    fn posts(&self) -> Vec<PostId> {
        self.shown.iter().map(|entry| entry.post).collect()
    }
}

#[tokio::test]
async fn a_reader_gets_a_page_and_then_what_happens() {
    let house = House::new();
    house.follow(BOB, ANN).await;
    let first = house.post(ANN, "one").await;
    house.work().await;
    let (mut live, mut screen) = (house.watch(BOB, None).await, Screen::default());
    screen.update(house.hub(), &mut live);
    assert_eq!((screen.posts(), screen.resets), (vec![first], 1));

    let second = house.post(ANN, "two").await;
    house
        .feed
        .edit(ANN, first, "one, better".into())
        .await
        .unwrap();
    house.work().await;
    screen.update(house.hub(), &mut live);
    assert_eq!(screen.posts(), [first, second]);
    assert_eq!(screen.revised.len(), 1);

    house.feed.delete(ANN, first).await.unwrap();
    house.work().await;
    screen.update(house.hub(), &mut live);
    assert_eq!((screen.posts(), screen.resets), (vec![second], 1));
}

#[tokio::test]
async fn what_the_viewer_may_not_see_does_not_come() {
    let house = House::new();
    house.follow(BOB, ANN).await;
    house.follow(CAT, ANN).await;
    let hide = EdgeSettings::default().with_hide_reposts(true);
    house.feed.follow(CAT, BOB, hide).await.unwrap();
    let (mut bobs, mut cats) = (house.watch(BOB, None).await, house.watch(CAT, None).await);
    let (mut bob, mut cat) = (Screen::default(), Screen::default());
    bob.update(house.hub(), &mut bobs);
    cat.update(house.hub(), &mut cats);

    let post = house.post(ANN, "seen by both").await;
    house.feed.mute(BOB, ANN, true).await.unwrap();
    house.feed.repost(BOB, post).await.unwrap();
    house.work().await;
    bob.update(house.hub(), &mut bobs);
    cat.update(house.hub(), &mut cats);
    assert_eq!(cat.posts(), [post]);
    assert_eq!(bob.posts(), []);
    assert_eq!(bob.resets, 2, "muting somebody shows another page");
}

#[tokio::test]
async fn a_repost_of_what_is_shown_does_not_come() {
    let house = House::new();
    house.follow(CAT, ANN).await;
    house.follow(CAT, BOB).await;
    let (mut live, mut screen) = (house.watch(CAT, None).await, Screen::default());
    let post = house.post(ANN, "once is enough").await;
    house.feed.repost(BOB, post).await.unwrap();
    house.work().await;
    screen.update(house.hub(), &mut live);
    assert_eq!(screen.posts(), [post]);
}

#[tokio::test]
async fn a_follow_brings_the_authors_posts_and_word_of_the_next() {
    let house = House::new();
    let before = house.post(ANN, "before").await;
    house.work().await;
    let (mut live, mut screen) = (house.watch(BOB, None).await, Screen::default());
    screen.update(house.hub(), &mut live);
    assert_eq!(screen.posts(), []);

    house.follow(BOB, ANN).await;
    screen.update(house.hub(), &mut live);
    assert_eq!(screen.posts(), [before]);
    let after = house.post(ANN, "after").await;
    house.work().await;
    screen.update(house.hub(), &mut live);
    assert_eq!(screen.posts(), [before, after]);

    house.feed.unfollow(BOB, ANN).await.unwrap();
    house.post(ANN, "unheard").await;
    house.work().await;
    screen.update(house.hub(), &mut live);
    assert_eq!(screen.posts(), []);
}

#[tokio::test]
async fn work_done_twice_adds_a_post_once() {
    let house = House::new();
    house.follow(BOB, ANN).await;
    let (mut live, mut screen) = (house.watch(BOB, None).await, Screen::default());
    let post = house.post(ANN, "once").await;
    house.work().await;
    screen.update(house.hub(), &mut live);
    let entry = Entry::original(post, ANN);
    let event = feed_core::FeedEvent::Post {
        entry,
        change: feed_core::Change::Published,
        audience: feed_core::Audience::Author,
    };
    house.feed.parts().events.emit(&[event]).await.unwrap();
    screen.update(house.hub(), &mut live);
    assert_eq!(screen.posts(), [post]);
}

#[tokio::test]
async fn a_reader_who_was_away_is_told_what_came_meanwhile() {
    let house = House::new();
    house.follow(BOB, ANN).await;
    let first = house.post(ANN, "one").await;
    house.work().await;
    let page = house.feed.home(BOB, &PageRequest::newest()).await.unwrap();
    let second = house.post(ANN, "two").await;
    house.work().await;

    let mut screen = Screen::default();
    screen.shown.extend(page.entries.iter().copied());
    let mut live = house.watch(BOB, page.prev).await;
    screen.update(house.hub(), &mut live);
    assert_eq!((screen.posts(), screen.resets), (vec![first, second], 0));

    drop(live);
    let third = house.post(ANN, "three").await;
    house.work().await;
    let mut live = house.watch(BOB, screen.resume).await;
    screen.update(house.hub(), &mut live);
    assert_eq!(
        (screen.posts(), screen.resets),
        (vec![first, second, third], 0)
    );
}

#[tokio::test]
async fn a_post_that_appears_below_the_newest_is_not_missed() {
    let house = House::new();
    house.follow(BOB, ANN).await;
    let slow = house.feed.parts().ids.next_id().unwrap();
    let fast = house.post(ANN, "overtakes").await;
    house.work().await;
    let (mut live, mut screen) = (house.watch(BOB, None).await, Screen::default());
    screen.update(house.hub(), &mut live);
    assert_eq!(screen.posts(), [fast]);
    drop(live);

    let slow = Entry::original(PostId::from(slow), ANN);
    let late = Publication::new(slow, "was under way".into());
    house.feed.parts().outbox.append(&[late]).await.unwrap();
    let mut live = house.watch(BOB, screen.resume).await;
    screen.update(house.hub(), &mut live);
    assert_eq!(screen.posts(), [slow.post, fast]);
}

#[tokio::test]
async fn a_post_taken_back_meanwhile_is_gone_after_a_resumption() {
    let house = House::new();
    house.follow(BOB, ANN).await;
    let first = house.post(ANN, "one").await;
    let second = house.post(ANN, "two").await;
    house.work().await;
    let (mut live, mut screen) = (house.watch(BOB, None).await, Screen::default());
    screen.update(house.hub(), &mut live);
    drop(live);
    house.feed.delete(ANN, first).await.unwrap();
    house.work().await;
    let mut live = house.watch(BOB, screen.resume).await;
    screen.update(house.hub(), &mut live);
    assert_eq!(screen.posts(), [second]);
}

#[tokio::test]
async fn the_repost_behind_one_that_is_taken_back_comes_up() {
    let house = House::new();
    house.follow(CAT, ANN).await;
    house.follow(CAT, BOB).await;
    let post = house.post(UserId::new(9), "by a stranger").await;
    let (mut live, mut screen) = (house.watch(CAT, None).await, Screen::default());
    let first = house.repost(ANN, post).await;
    let second = house.repost(BOB, post).await;
    house.work().await;
    screen.update(house.hub(), &mut live);
    assert_eq!(screen.posts(), [first]);
    house.feed.unrepost(ANN, post).await.unwrap();
    house.work().await;
    screen.update(house.hub(), &mut live);
    assert_eq!(screen.posts(), [second]);
}

#[tokio::test]
async fn what_is_gone_far_down_the_screen_is_noticed() {
    let house = House::with(|parts| {
        parts.options = parts.options.clone().with_post_quota(None);
    });
    house.follow(BOB, ANN).await;
    let mut posts = Vec::new();
    for _ in 0..120 {
        posts.push(house.post(ANN, "x").await);
    }
    house.work().await;
    let (mut live, mut screen) = (house.watch(BOB, None).await, Screen::default());
    screen.update(house.hub(), &mut live);
    drop(live);
    house.feed.delete(ANN, posts[25]).await.unwrap();
    house.work().await;
    let mut live = house.watch(BOB, screen.resume).await;
    screen.update(house.hub(), &mut live);
    assert_eq!(screen.resets, 2);
}

#[tokio::test]
async fn an_empty_feed_that_filled_meanwhile_is_shown_as_a_page() {
    let house = House::with(|parts| {
        parts.options = parts.options.clone().with_post_quota(None);
    });
    let (mut live, mut screen) = (house.watch(BOB, None).await, Screen::default());
    screen.update(house.hub(), &mut live);
    drop(live);
    for _ in 0..400 {
        house.post(ANN, "x").await;
    }
    house.follow(BOB, ANN).await;
    let mut live = house.watch(BOB, screen.resume).await;
    screen.update(house.hub(), &mut live);
    assert_eq!((screen.resets, screen.shown.len()), (2, 20));
}

#[tokio::test]
async fn an_erased_users_posts_leave_the_screen() {
    let house = House::new();
    house.follow(BOB, ANN).await;
    house.post(ANN, "x").await;
    let (mut live, mut screen) = (house.watch(BOB, None).await, Screen::default());
    screen.update(house.hub(), &mut live);
    assert_eq!(screen.shown.len(), 1);
    house.feed.erase_user(ANN).await.unwrap();
    screen.update(house.hub(), &mut live);
    assert_eq!(screen.shown.len(), 0);
}

#[tokio::test]
async fn a_reader_who_is_too_slow_starts_over() {
    let house = House::with(|parts| {
        parts.options = parts.options.clone().with_post_quota(None);
    });
    house.follow(BOB, ANN).await;
    let mut live = house.watch(BOB, None).await;
    let mut newest = PostId::MIN;
    for _ in 0..20_000 {
        newest = house.post(ANN, "x").await;
        house.work().await;
        house.hub().run_once();
    }
    let mut screen = Screen::default();
    screen.update(house.hub(), &mut live);
    assert_eq!(screen.resets, 2);
    assert_eq!(screen.shown.last().unwrap().post, newest);
    let next = house.post(ANN, "and on").await;
    house.work().await;
    screen.update(house.hub(), &mut live);
    assert_eq!(screen.shown.last().unwrap().post, next);
}

#[tokio::test]
async fn other_cursors_and_a_closed_hub_are_refused() {
    let house = House::new();
    house.post(ANN, "mine").await;
    house.post(ANN, "mine again").await;
    let page = house.feed.home(ANN, &PageRequest::newest()).await.unwrap();
    let watch = |viewer, resume: Cursor| {
        let request = LiveRequest::default().with_resume(resume);
        house
            .live
            .watch(&house.feed, viewer, request)
            .map(Result::unwrap_err)
    };
    let foreign = watch(BOB, page.prev.unwrap()).await;
    assert_eq!(foreign.kind(), ErrorKind::ForeignCursor);
    let one = PageRequest::newest().with_size(feed_core::PageSize::new(1).unwrap());
    let older = house.feed.home(ANN, &one).await.unwrap().next.unwrap();
    assert_eq!(watch(ANN, older).await.kind(), ErrorKind::InvalidCursor);

    let mut live = house.watch(ANN, None).await;
    assert!(live.next().await.unwrap().is_some());
    house.follow(ANN, BOB).await;
    house.hub().close();
    while house.hub().run_once() > 0 {}
    assert_eq!(live.next().await.unwrap(), None);
    assert_eq!(
        watch(ANN, page.prev.unwrap()).await.kind(),
        ErrorKind::Closed
    );
}

#[tokio::test]
async fn a_post_at_one_node_comes_up_at_another() {
    let clock = Arc::new(ManualClock::default());
    let bus = MemoryBus::new(MemoryBusOptions::default(), Arc::clone(&clock) as _);
    let node = || {
        let bus: Arc<dyn Bus> = Arc::new(bus.node());
        LiveFeeds::across(bus, Arc::clone(&clock) as _, HubOptions::inline())
    };
    let (oslo, lima) = (node(), node());
    let parts = FeedParts::in_memory();
    let at = |live: &LiveFeeds| {
        let mut parts = parts.clone();
        parts.events = Arc::new(live.clone());
        Feed::new(parts)
    };
    let (in_oslo, in_lima) = (at(&oslo), at(&lima));
    in_oslo
        .follow(BOB, ANN, EdgeSettings::default())
        .await
        .unwrap();

    let script = async {
        let mut live = lima
            .watch(&in_lima, BOB, LiveRequest::default())
            .await
            .unwrap();
        let first = live.next().await.unwrap().unwrap();
        assert!(matches!(first.change, LiveChange::Reset(_)));
        in_oslo
            .publish(ANN, NewPost::new("from Oslo"))
            .await
            .unwrap();
        in_oslo.work(16).await.unwrap();
        loop {
            while lima.hub().run_once() > 0 {}
            match live.next().now_or_never() {
                Some(event) => return event.unwrap().unwrap().change,
                None => tokio::task::yield_now().await,
            }
        }
    };
    let change = tokio::select! {
        change = script => change,
        ended = lima.run() => panic!("the relay ended: {ended:?}"),
    };
    assert!(matches!(change, LiveChange::Added(entry) if entry.author == ANN));
}

#[derive(Clone, Debug)]
enum Step {
    Follow(u64, u64),
    Unfollow(u64, u64),
    Mute(u64, u64, bool),
    Block(u64, u64, bool),
    Post(u64),
    Repost(u64, usize),
    Unrepost(u64, usize),
    Delete(usize),
    Work,
    Read,
    Leave,
    Return,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let user = || 1..5_u64;
    let step = prop_oneof![
        3 => (user(), user()).prop_map(|(a, b)| Step::Follow(a, b)),
        1 => (user(), user()).prop_map(|(a, b)| Step::Unfollow(a, b)),
        1 => (user(), user(), any::<bool>()).prop_map(|(a, b, on)| Step::Mute(a, b, on)),
        1 => (user(), user(), any::<bool>()).prop_map(|(a, b, on)| Step::Block(a, b, on)),
        5 => user().prop_map(Step::Post),
        2 => (user(), 0..64_usize).prop_map(|(by, of)| Step::Repost(by, of)),
        1 => (user(), 0..64_usize).prop_map(|(by, of)| Step::Unrepost(by, of)),
        1 => (0..64_usize).prop_map(Step::Delete),
        4 => Just(Step::Work),
        3 => Just(Step::Read),
        1 => Just(Step::Leave),
        2 => Just(Step::Return),
    ];
    prop::collection::vec(step, 1..60)
}

/// The watcher's screen, who comes and goes.
struct Watcher {
    viewer: UserId,
    live: Option<LiveFeed>,
    screen: Screen,
}

impl Watcher {
    async fn step(&mut self, house: &House, step: &Step) {
        match step {
            Step::Leave => self.live = None,
            Step::Return if self.live.is_none() => {
                self.live = Some(house.watch(self.viewer, self.screen.resume).await);
            }
            Step::Read => self.read(house),
            _ => {}
        }
    }

    fn read(&mut self, house: &House) {
        if let Some(live) = &mut self.live {
            self.screen.update(house.hub(), live);
        }
    }
}

async fn take(house: &House, posts: &mut Vec<Entry>, step: &Step) {
    let feed = &house.feed;
    let user = UserId::new;
    match *step {
        Step::Follow(a, b) if a != b => {
            // A block is in the way, perhaps.
            let _ = feed.follow(user(a), user(b), EdgeSettings::default()).await;
        }
        Step::Unfollow(a, b) if a != b => {
            feed.unfollow(user(a), user(b)).await.unwrap();
        }
        Step::Mute(a, b, on) if a != b => {
            feed.mute(user(a), user(b), on).await.unwrap();
        }
        Step::Block(a, b, on) if a != b => {
            feed.block(user(a), user(b), on).await.unwrap();
        }
        Step::Post(by) => {
            let post = house.post(user(by), "x").await;
            posts.push(Entry::original(post, user(by)));
        }
        Step::Repost(by, of) if !posts.is_empty() => {
            let of = posts[of % posts.len()];
            // What was deleted, or is across a block, cannot be reposted.
            if let Ok(Published::Accepted(repost)) = feed.repost(user(by), of.post).await {
                posts.push(Entry::repost(repost, user(by), of.origin));
            }
        }
        Step::Unrepost(by, of) if !posts.is_empty() => {
            let of = posts[of % posts.len()].post;
            feed.unrepost(user(by), of).await.unwrap();
        }
        Step::Delete(at) if !posts.is_empty() => {
            let Entry { post, author, .. } = posts[at % posts.len()];
            feed.delete(author, post).await.unwrap();
        }
        Step::Work => house.work().await,
        _ => {}
    }
}

proptest! {
    /// Whatever happens, and however often the watcher comes and goes: in the end the screen shows
    /// what a read shows, but for reposts of what somebody outside the circle has deleted.
    #[test]
    fn the_screen_shows_what_a_read_shows(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let house = House::new();
            let mut posts = Vec::new();
            let mut watcher = Watcher {
                viewer: ANN,
                live: Some(house.watch(ANN, None).await),
                screen: Screen::default(),
            };
            for step in &steps {
                take(&house, &mut posts, step).await;
                watcher.step(&house, step).await;
            }
            house.work().await;
            watcher.step(&house, &Step::Return).await;
            watcher.read(&house);

            let page = PageRequest::newest().with_size(feed_core::PageSize::new(200).unwrap());
            let read = house.feed.home(ANN, &page).await.unwrap();
            let read: BTreeSet<_> = read.entries.into_iter().collect();
            let missing: Vec<_> = read.difference(&watcher.screen.shown).collect();
            prop_assert!(missing.is_empty(), "not on the screen: {missing:?}");
            for extra in watcher.screen.shown.difference(&read) {
                let origin = house.feed.parts().outbox.lookup(&[extra.origin]).await.unwrap();
                let gone = extra.is_repost() && origin == [PostState::Retracted];
                prop_assert!(gone, "should not be on the screen: {extra:?}");
            }
            Ok(())
        })?;
    }
}
