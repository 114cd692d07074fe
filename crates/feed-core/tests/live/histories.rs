//! Whatever happened, a screen shows what a page shows.

use std::collections::BTreeSet;

use feed_core::{Entry, LiveFeed, PageRequest, PageSize, PostState, Published, UserId};
use proptest::prelude::*;

use crate::{
    house::ANN,
    screen::{House, Screen},
};

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
            let _ = feed.follow(user(a), user(b)).await;
        }
        Step::Unfollow(a, b) if a != b => {
            feed.unfollow(user(a), user(b)).await.unwrap();
        }
        Step::Mute(a, b, true) if a != b => {
            feed.mute(user(a), user(b)).await.unwrap();
        }
        Step::Mute(a, b, false) if a != b => {
            feed.unmute(user(a), user(b)).await.unwrap();
        }
        Step::Block(a, b, true) if a != b => {
            feed.block(user(a), user(b)).await.unwrap();
        }
        Step::Block(a, b, false) if a != b => {
            feed.unblock(user(a), user(b)).await.unwrap();
        }
        Step::Post(by) => {
            let post = house.post(user(by)).await;
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

            let page = PageRequest::newest().with_size(PageSize::new(200).unwrap());
            let read = house.feed.home(ANN, page).await.unwrap();
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
