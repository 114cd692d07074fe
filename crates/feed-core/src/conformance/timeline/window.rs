use super::{
    ANN, BOB, CAPACITY, CAT, Entry, Fresh, Seek, TimelineStore, UserId, all, awkward_ids, begin,
    build, post, push, window,
};

/// A window runs from the newest or down from a post, or up from one, and never includes it.
pub async fn windows_run_in_both_directions(fresh: &Fresh<dyn TimelineStore>) {
    let timelines = &*fresh.store;
    build(timelines, ANN, [2, 4, 6, 8], 0).await;
    let cases: [(Seek, usize, &[u64]); 11] = [
        (Seek::Newest, 2, &[8, 6]),
        (Seek::Newest, 9, &[8, 6, 4, 2]),
        (Seek::Newest, 0, &[]),
        (Seek::Before(post(6)), 1, &[4]),
        (Seek::Before(post(6)), usize::MAX, &[4, 2]),
        (Seek::Before(post(2)), 9, &[]),
        (Seek::Before(post(u64::MAX)), 1, &[8]),
        (Seek::After(post(4)), 1, &[6]),
        (Seek::After(post(4)), usize::MAX, &[6, 8]),
        (Seek::After(post(8)), 9, &[]),
        (Seek::After(post(0)), 3, &[2, 4, 6]),
    ];
    for (seek, limit, expected) in cases {
        let found = window(timelines, ANN, seek, limit).await;
        assert_eq!(found, expected, "{seek:?} {limit}");
    }
}

/// Walking a timeline in either direction shows every entry once, whatever the size of a page and
/// whatever is pushed above.
pub async fn pages_show_every_entry_once(fresh: &Fresh<dyn TimelineStore>) {
    let timelines = &*fresh.store;
    for size in 1..=3 {
        let owner = UserId::new(100 + size as u64);
        // Enough of them that the first are lost again.
        build(timelines, owner, [], 0).await;
        for raw in 1..2 * CAPACITY {
            push(timelines, owner, raw).await;
        }
        let (mut seek, mut down) = (Seek::Newest, Vec::new());
        loop {
            let page = window(timelines, owner, seek, size).await;
            let Some(&last) = page.last() else { break };
            assert!(page.len() <= size);
            down.extend(page);
            seek = Seek::Before(post(last));
        }
        let held: Vec<_> = (CAPACITY..2 * CAPACITY).rev().collect();
        assert_eq!(down, held);

        let (mut bound, mut up) = (0, Vec::new());
        loop {
            let page = window(timelines, owner, Seek::After(post(bound)), size).await;
            let Some(&last) = page.last() else { break };
            up.extend(page);
            bound = last;
        }
        up.reverse();
        assert_eq!(up, held);
    }
}

/// A window starts at the next post where the one it is to start from was removed.
pub async fn a_window_starts_at_a_post_that_is_gone(fresh: &Fresh<dyn TimelineStore>) {
    let timelines = &*fresh.store;
    build(timelines, ANN, [2, 4, 6, 8], 0).await;
    timelines.remove_many(&[ANN], post(6)).await.unwrap();
    assert_eq!(window(timelines, ANN, Seek::Before(post(6)), 1).await, [4]);
    assert_eq!(window(timelines, ANN, Seek::After(post(6)), 1).await, [8]);
}

/// Every entry comes back whole: its author, and the origin of a repost.
pub async fn reposts_keep_their_origins(fresh: &Fresh<dyn TimelineStore>) {
    let timelines = &*fresh.store;
    let line: Vec<_> = (0..3 * CAPACITY)
        .map(|n| match n % 3 {
            0 => Entry::original(post(10 + n), BOB),
            1 => Entry::repost(post(10 + n), CAT, post(n)),
            _ => Entry::repost(post(10 + n), ANN, post(u64::MAX)),
        })
        .collect();
    let ticket = begin(timelines, ANN).await;
    let committed = timelines.commit_build(ticket, &line[..4], post(0)).await;
    assert!(committed.unwrap());
    for (count, &entry) in line.iter().enumerate().skip(4) {
        timelines.push_many(&[ANN], entry).await.unwrap();
        let held = (count + 1).min(usize::try_from(CAPACITY).unwrap());
        let newest = &line[count + 1 - held..=count];
        let up = timelines.window(ANN, Seek::After(post(0)), 99);
        assert_eq!(up.await.unwrap().entries, newest);
        let down = timelines.window(ANN, Seek::Newest, 99).await.unwrap();
        assert!(down.entries.iter().eq(newest.iter().rev()));
        let middle = newest[held / 2].post;
        let below = timelines.window(ANN, Seek::Before(middle), 1).await;
        assert_eq!(below.unwrap().entries, [newest[held / 2 - 1]]);
    }
}

/// No timeline shows what was pushed to another.
pub async fn timelines_are_apart(fresh: &Fresh<dyn TimelineStore>) {
    let timelines = &*fresh.store;
    let owners: Vec<_> = awkward_ids().into_iter().map(UserId::new).collect();
    for (raw, &owner) in (1..).zip(&owners) {
        build(timelines, owner, [], 0).await;
        push(timelines, owner, raw).await;
    }
    for (raw, &owner) in (1..).zip(&owners) {
        assert_eq!(all(timelines, owner).await, [raw]);
    }
}

/// Posts at both ends of their range and above 2^53 are distinguished and ordered exactly.
pub async fn awkward_ids_are_exact(fresh: &Fresh<dyn TimelineStore>) {
    let timelines = &*fresh.store;
    let ids = awkward_ids();
    let room = usize::try_from(CAPACITY).unwrap();
    build(timelines, ANN, [], 0).await;
    for &raw in &ids[..room] {
        assert_eq!(push(timelines, ANN, raw).await.reached, 1);
    }
    for (count, &raw) in ids.iter().enumerate().skip(room) {
        assert_eq!(push(timelines, ANN, raw).await.reached, 1);
        let held: Vec<_> = ids[count + 1 - room..=count]
            .iter()
            .rev()
            .copied()
            .collect();
        assert_eq!(all(timelines, ANN).await, held);
        let before = window(timelines, ANN, Seek::Before(post(raw)), 1).await;
        assert_eq!(before, held[1..2]);
        let after = window(timelines, ANN, Seek::After(post(held[1])), 9).await;
        assert_eq!(after, [raw]);
    }
}
