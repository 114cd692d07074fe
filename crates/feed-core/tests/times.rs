//! Each time that can be set is the one that counts.

mod house;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use backplane::BackoffOptions;
use feed_core::{
    BuildStart, Entry, Error, ErrorKind, FeedEvent, FeedEvents, FeedOptions, PageRequest, PageSize,
    PageSource, Ranker, Result, UserId,
};
use futures::FutureExt;

use crate::house::{ANN, BOB, House};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);
const NEARLY_AN_HOUR: Duration = Duration::from_secs(3_599);

fn house(options: FeedOptions) -> House {
    House::with(|parts| parts.options = options)
}

#[tokio::test]
async fn a_timeline_is_kept_up_as_long_as_its_viewer_counts_as_active() {
    for (away, is_kept) in [(NEARLY_AN_HOUR, true), (HOUR + SECOND, false)] {
        let house = house(FeedOptions::default().with_active_for(HOUR));
        house.follow(BOB, ANN).await;
        house.home(BOB, 1).await;
        house.clock.advance(away);
        let post = house.post(ANN).await;
        house.work().await;
        assert_eq!(house.timeline(BOB).await.contains(&post), is_kept);
        assert_eq!(house.home(BOB, 1).await, [post]);
    }
}

#[tokio::test]
async fn a_build_is_presumed_abandoned_after_its_time() {
    let house = house(FeedOptions::default().with_build_timeout(HOUR));
    let (timelines, now) = (&house.feed.parts().timelines, house.clock_now());
    let started = timelines.begin_build(BOB, now, now).await.unwrap();
    assert!(matches!(started, BuildStart::Started(_)));
    house.clock.advance(NEARLY_AN_HOUR);
    house.page(BOB, 1).await;
    assert_eq!(house.page(BOB, 1).await.source, PageSource::Outboxes);
    house.clock.advance(2 * SECOND);
    house.page(BOB, 1).await;
    assert_eq!(house.page(BOB, 1).await.source, PageSource::Timeline);
}

#[derive(Debug)]
struct ById;

#[async_trait]
impl Ranker for ById {
    async fn score(&self, _: UserId, candidates: &[Entry]) -> Result<Vec<f64>> {
        Ok(candidates.iter().map(|_| 0.0).collect())
    }
}

#[tokio::test]
async fn a_ranked_order_is_kept_for_its_time() {
    let house = house(FeedOptions::default().with_rank_ttl(2 * HOUR));
    house.posts(ANN, 3).await;
    let one = PageRequest::newest().with_size(PageSize::new(1).unwrap());
    let page = house.feed.ranked(ANN, &ById, one).await.unwrap();
    let next = PageRequest::at(page.next.unwrap());
    house.clock.advance(HOUR + NEARLY_AN_HOUR);
    assert!(house.feed.ranked(ANN, &ById, next).await.is_ok());
    house.clock.advance(2 * SECOND);
    let expired = house.feed.ranked(ANN, &ById, next).await;
    assert_eq!(expired.unwrap_err().kind(), ErrorKind::ExpiredCursor);
}

/// Does not take its first event: it fails, or never answers.
#[derive(Debug)]
struct Deaf {
    hangs: bool,
    is_cured: AtomicBool,
}

impl Deaf {
    fn new(hangs: bool) -> Arc<Self> {
        let is_cured = AtomicBool::new(false);
        Arc::new(Self { hangs, is_cured })
    }
}

#[async_trait]
impl FeedEvents for Deaf {
    async fn emit(&self, _: &[FeedEvent]) -> Result<()> {
        if self.is_cured.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        if self.hangs {
            std::future::pending::<()>().await;
        }
        Err(Error::bare(ErrorKind::Unavailable, "deaf"))
    }
}

#[tokio::test]
async fn a_dead_workers_piece_is_taken_over_when_its_lease_is_over() {
    let house = House::with(|parts| {
        parts.options = FeedOptions::default().with_lease_ttl(HOUR);
        parts.events = Deaf::new(true);
    });
    house.post(ANN).await;
    assert!(house.feed.work(1).now_or_never().is_none(), "it hangs");
    house.clock.advance(NEARLY_AN_HOUR);
    assert_eq!(house.feed.work(1).await.unwrap(), 0);
    house.clock.advance(2 * SECOND);
    assert_eq!(house.feed.work(1).await.unwrap(), 1);
}

#[tokio::test]
async fn a_failed_piece_waits_as_the_backoff_says() {
    let backoff = BackoffOptions::default()
        .with_base(HOUR)
        .with_max_delay(HOUR);
    let house = House::with(|parts| {
        parts.options = FeedOptions::default().with_backoff(backoff);
        parts.events = Deaf::new(false);
    });
    house.post(ANN).await;
    assert_eq!(house.feed.work(1).await.unwrap(), 1, "which fails");
    // The delay is drawn from up to an hour, by the token of the lease: the same in every run.
    house.clock.advance(SECOND);
    assert_eq!(house.feed.work(1).await.unwrap(), 0);
    house.clock.advance(HOUR);
    assert_eq!(house.feed.work(1).await.unwrap(), 1);
}
