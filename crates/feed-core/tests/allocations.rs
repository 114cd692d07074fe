//! What reads allocate: the answer, and nothing else.

use allocation_counter::measure;
use feed_core::{
    EdgeSettings, Entry, MemoryGraph, MemoryOutbox, PostId, Publication, Seek, UserId,
};

fn outbox(authors: &[UserId]) -> MemoryOutbox {
    let outbox = MemoryOutbox::default();
    let authors = authors.iter().cycle();
    for (post, &author) in (0..5_000).map(PostId::new).zip(authors) {
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
    let posts: Vec<_> = (0..20).map(PostId::new).collect();
    let allocated = measure(|| assert_eq!(outbox.lookup(&posts).len(), 20));
    assert_eq!(allocated.count_total, 1);
}

#[test]
fn a_circle_that_is_kept_allocates_nothing() {
    let (graph, ann, bob) = (MemoryGraph::default(), UserId::new(1), UserId::new(2));
    let settings = EdgeSettings::default();
    graph.follow(ann, bob, settings).expect("there is room");
    drop(graph.circle(ann));
    let allocated = measure(|| assert!(graph.circle(ann).follows(bob)));
    assert_eq!(allocated.count_total, 0);
}
