//! A bus that serves some topics and not others.

use std::{sync::Arc, time::Duration};

use backplane::{
    Clock, ManualClock, bus::Bus, conformance::flaky_bus::FlakyBus, hub::HubOptions,
    memory::MemoryBus,
};
use feed_core::{
    Feed, FeedParts, LiveChange, LiveEvent, LiveFeed, LiveFeeds, LiveRequest, NewPost,
};
use futures::FutureExt;

use crate::house::{ANN, BOB};

async fn next(live: &mut LiveFeed, feeds: &LiveFeeds, clock: &ManualClock) -> LiveEvent {
    loop {
        while feeds.hub().run_once() > 0 {}
        if let Some(event) = live.next().now_or_never() {
            return event.unwrap().unwrap();
        }
        clock.advance(Duration::from_millis(10));
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_feed_opens_without_an_author_whom_the_bus_cannot_serve_and_is_shown_anew_once_it_can() {
    let clock = ManualClock::default();
    let time: Arc<dyn Clock> = Arc::new(clock.clone());
    let bus = Arc::new(FlakyBus::new(Arc::new(MemoryBus::default().node()), 1));
    bus.heal();
    bus.corrupt(&format!("feed:{ANN}:posts").parse().unwrap());
    let feeds = LiveFeeds::across(Arc::clone(&bus) as Arc<dyn Bus>, time, HubOptions::inline());
    let feed = Feed::new(FeedParts::in_memory());
    feed.follow(BOB, ANN).await.unwrap();
    let script = async {
        let opened = feeds.watch(&feed, BOB, LiveRequest::default()).await;
        let mut live = opened.unwrap();
        let first = next(&mut live, &feeds, &clock).await;
        assert!(matches!(first.change, LiveChange::Reset(page) if page.entries.is_empty()));
        // Of which nobody tells this feed.
        assert!(
            feed.publish(ANN, NewPost::new("x"))
                .await
                .unwrap()
                .post()
                .is_some()
        );
        bus.repair();
        next(&mut live, &feeds, &clock).await.change
    };
    let change = tokio::select! {
        change = script => change,
        ended = feeds.run() => panic!("the relay ended: {ended:?}"),
    };
    assert!(matches!(change, LiveChange::Reset(page) if page.entries.len() == 1));
}
