//! What reads allocate: the answer, and nothing else. What timelines take: what they say.

use std::sync::Arc;

use allocation_counter::measure;
use async_trait::async_trait;
use backplane::ManualClock;
use backplane::Timestamp;
use feed_core::{
    BuildStart, Entry, Hydrator, HydratorParts, MemoryGraph, MemoryOutbox, MemoryTimelines, PostId,
    Publication, Result, Seek, User, UserId, UserSource,
};
use futures::FutureExt;

fn outbox(authors: &[UserId]) -> MemoryOutbox {
    let outbox = MemoryOutbox::default();
    let authors = authors.iter().cycle();
    for (post, &author) in (1..=5_000).map(PostId::new).zip(authors) {
        let entry = Entry::original(post, author);
        let item = Publication::new(entry, "a body".into());
        outbox.append(&[item]).expect("there is room");
    }
    outbox
}

#[test]
fn a_merge_allocates_its_page() {
    let authors: Vec<_> = (0..256).map(UserId::new).collect();
    let outbox = outbox(&authors);
    let middle = PostId::new(2_500);
    for count in [1, 50, 256] {
        for seek in [Seek::Newest, Seek::Before(middle), Seek::After(middle)] {
            let allocated = measure(|| {
                assert_eq!(outbox.latest(&authors[..count], seek, 9).len(), 9);
            });
            assert_eq!(allocated.count_total, 1, "{count} {seek:?}");
        }
    }
}

#[test]
fn a_lookup_allocates_its_answer() {
    let outbox = outbox(&[UserId::new(1)]);
    let posts: Vec<_> = (1..=20).map(PostId::new).collect();
    let allocated = measure(|| assert_eq!(outbox.lookup(&posts).len(), 20));
    assert_eq!(allocated.count_total, 1);
}

#[test]
fn a_circle_that_is_kept_allocates_nothing() {
    let (graph, ann, bob) = (MemoryGraph::default(), UserId::new(1), UserId::new(2));
    graph.follow(ann, bob, None).expect("there is room");
    drop(graph.circle(ann));
    let allocated = measure(|| assert!(graph.circle(ann).follows(bob)));
    assert_eq!(allocated.count_total, 0);
}

#[derive(Debug)]
struct Names;

#[async_trait]
impl UserSource for Names {
    async fn users(&self, users: &[UserId]) -> Result<Vec<Option<User>>> {
        Ok(users
            .iter()
            .map(|&user| Some(User::new(user, "name")))
            .collect())
    }
}

#[test]
fn a_cached_page_allocates_as_little_for_many_items_as_for_few() {
    let outbox = Arc::new(outbox(&[UserId::new(1), UserId::new(2), UserId::new(3)]));
    let entries: Vec<_> = outbox.latest(&[UserId::new(1), UserId::new(2)], Seek::Newest, 200);
    let clock = Arc::new(ManualClock::default());
    let parts = HydratorParts::new(Arc::<MemoryOutbox>::clone(&outbox), Arc::new(Names), clock);
    let hydrator = Hydrator::new(parts);
    for count in [20, 200] {
        let entries = &entries[..count];
        let hydrate = || {
            let page = hydrator.hydrate(entries).now_or_never();
            let page = page.expect("nothing waits").expect("an outbox in memory");
            assert_eq!(page.items.len(), count);
        };
        hydrate();
        let allocated = measure(hydrate);
        let batches = allocated.count_total;
        // The lookup takes three: the origins, its answer, and the box of its future.
        assert_eq!(batches, 3 + 5, "ids, posts, ids, users and items: {count}");
    }
}

/// Timelines of these owners, with forty entries each.
fn timelines(owners: &[UserId]) -> MemoryTimelines {
    let (timelines, now) = (MemoryTimelines::default(), Timestamp::EPOCH);
    for &owner in owners {
        let BuildStart::Started(ticket) = timelines.begin_build(owner, now, now) else {
            panic!("{owner} is built once");
        };
        assert!(timelines.commit_build(ticket, &[], PostId::MIN));
    }
    for post in 1..=20 {
        timelines.push_many(owners, entry(2 * post));
        timelines.push_many(owners, repost(2 * post + 1));
    }
    timelines
}

fn entry(post: u64) -> Entry {
    Entry::original(PostId::new(post), UserId::new(7))
}

fn repost(post: u64) -> Entry {
    Entry::repost(PostId::new(post), UserId::new(7), PostId::MIN)
}

#[test]
fn timelines_take_as_many_bytes_as_they_say() {
    let owners: Vec<_> = (0..1_000).map(UserId::new).collect();
    let mut made = None;
    let allocated = measure(|| made = Some(timelines(&owners)));
    let timelines = made.expect("it was made");
    let bytes = i64::try_from(timelines.bytes()).expect("less than an exabyte");
    assert_eq!(allocated.bytes_current, bytes);
    let freed = measure(|| timelines.drop_many(&owners));
    assert_eq!(freed.bytes_current, -allocated.bytes_current);
}

#[test]
fn a_push_allocates_nothing_where_there_is_room() {
    let owners: Vec<_> = (0..5_000).map(UserId::new).collect();
    let timelines = timelines(&owners);
    for entry in [entry(1_000), repost(1_001), entry(30), entry(500)] {
        let pushed = measure(|| {
            timelines.push_many(&owners, entry);
        });
        assert_eq!(pushed.count_total, 0, "{entry:?}");
    }
}

#[test]
fn a_window_allocates_its_entries() {
    let owner = UserId::new(1);
    let timelines = timelines(&[owner]);
    let middle = PostId::new(20);
    for seek in [Seek::Newest, Seek::Before(middle), Seek::After(middle)] {
        let read = measure(|| assert_eq!(timelines.window(owner, seek, 9).entries.len(), 9));
        assert_eq!(read.count_total, 1, "{seek:?}");
        assert_eq!(read.bytes_max, 9 * size_of::<Entry>() as u64);
    }
}
