use super::{
    ANN, BOB, CAPACITY, CAT, Entry, Fresh, PushReport, Seek, TimelineState, TimelineStore, UserId,
    all, begin, build, commit, entries, entry, post, push, state, warm,
};

/// A batch reaches every owner whose timeline is not cold, and the report counts them.
pub async fn a_pushed_entry_is_in_every_warm_timeline(fresh: &Fresh<dyn TimelineStore>) {
    let timelines = &*fresh.store;
    let owners = [1, 2, 3, 4, 5].map(UserId::new);
    build(timelines, owners[0], [], 0).await;
    build(timelines, owners[1], [7], 0).await;
    build(timelines, owners[2], [], 8).await;
    begin(timelines, owners[3]).await;

    let report = timelines.push_many(&owners, entry(7)).await.unwrap();
    let mut expected = PushReport::default();
    (expected.reached, expected.cold) = (4, 1);
    assert_eq!(report, expected);
    for (owner, held) in owners.into_iter().zip([true, true, false, false, false]) {
        assert_eq!(!all(timelines, owner).await.is_empty(), held, "{owner}");
    }
    let nobody = timelines.push_many(&[], entry(7)).await.unwrap();
    assert_eq!(nobody, PushReport::default());
}

/// An entry that is pushed again is there once, as it was.
pub async fn pushing_twice_leaves_one(fresh: &Fresh<dyn TimelineStore>) {
    let timelines = &*fresh.store;
    build(timelines, ANN, [], 0).await;
    for raw in [7, 9, 8] {
        push(timelines, ANN, raw).await;
    }
    for raw in [7, 9, 8] {
        let again = Entry::original(post(raw), BOB);
        let report = timelines.push_many(&[ANN], again).await.unwrap();
        assert_eq!(report.reached, 1);
    }
    let window = timelines.window(ANN, Seek::Newest, 9).await.unwrap();
    assert_eq!(window.entries, entries([9, 8, 7]));
    assert_eq!(all(timelines, ANN).await, [9, 8, 7]);
}

/// A batch of any size reaches every owner once.
pub async fn a_large_batch_reaches_every_owner(fresh: &Fresh<dyn TimelineStore>) {
    let timelines = &*fresh.store;
    let owners: Vec<_> = (0..2_500).map(UserId::new).collect();
    for &owner in owners.iter().step_by(2) {
        build(timelines, owner, [], 0).await;
    }
    let report = timelines.push_many(&owners, entry(7)).await.unwrap();
    assert_eq!((report.reached, report.cold), (1_250, 1_250));
    for &owner in owners.iter().step_by(2) {
        assert_eq!(all(timelines, owner).await, [7]);
    }
    let failed = timelines.remove_many(&owners, post(7)).await.unwrap();
    assert_eq!(failed, []);
    for &owner in owners.iter().step_by(2) {
        assert_eq!(all(timelines, owner).await, []);
    }
    let failed = timelines.drop_many(&owners).await.unwrap();
    assert_eq!(failed, []);
    let report = timelines.push_many(&owners, entry(8)).await.unwrap();
    assert_eq!(report.cold, owners.len());
}

/// A push below the floor stores nothing, and one at the floor does.
pub async fn a_push_below_the_floor_is_not_stored(fresh: &Fresh<dyn TimelineStore>) {
    let timelines = &*fresh.store;
    build(timelines, ANN, [], 5).await;
    for raw in [4, 5] {
        assert_eq!(push(timelines, ANN, raw).await.reached, 1);
    }
    assert_eq!(all(timelines, ANN).await, [5]);
    assert_eq!(state(timelines, ANN).await, warm(5));
}

/// A full timeline holds exactly as many as it has room for, the newest, and its floor lies just
/// above the last it lost.
pub async fn a_full_timeline_keeps_exactly_the_newest(fresh: &Fresh<dyn TimelineStore>) {
    let timelines = &*fresh.store;
    build(timelines, ANN, [], 0).await;
    for n in 1..=CAPACITY {
        push(timelines, ANN, 10 * n).await;
    }
    assert_eq!(state(timelines, ANN).await, warm(0));
    for n in CAPACITY + 1..4 * CAPACITY {
        assert_eq!(push(timelines, ANN, 10 * n).await.reached, 1);
        let oldest = n + 1 - CAPACITY;
        let newest: Vec<_> = (oldest..=n).rev().map(|n| 10 * n).collect();
        assert_eq!(all(timelines, ANN).await, newest);
        assert_eq!(state(timelines, ANN).await, warm(10 * (oldest - 1) + 1));
    }
}

/// A full timeline loses nothing to an entry that it holds already.
pub async fn adding_again_changes_nothing_when_full(fresh: &Fresh<dyn TimelineStore>) {
    let timelines = &*fresh.store;
    build(timelines, ANN, 1..=CAPACITY, 1).await;
    let before = all(timelines, ANN).await;
    for raw in 1..=CAPACITY {
        push(timelines, ANN, raw).await;
    }
    assert_eq!(all(timelines, ANN).await, before);
    assert_eq!(state(timelines, ANN).await, warm(1));
}

/// A full timeline loses nothing to an entry older than its last, and does not claim to hold it.
pub async fn an_older_entry_changes_nothing_when_full(fresh: &Fresh<dyn TimelineStore>) {
    let timelines = &*fresh.store;
    build(timelines, ANN, 11..=10 + CAPACITY, 0).await;
    let before = all(timelines, ANN).await;
    push(timelines, ANN, 5).await;
    assert_eq!(all(timelines, ANN).await, before);
    let TimelineState::Warm { floor } = state(timelines, ANN).await else {
        panic!("it was warm");
    };
    assert!((post(6)..=post(11)).contains(&floor), "{floor}");
}

/// An entry that comes late takes the place of its post, not of its arrival.
pub async fn a_late_entry_is_sorted_in(fresh: &Fresh<dyn TimelineStore>) {
    let timelines = &*fresh.store;
    build(timelines, ANN, [], 0).await;
    for raw in [5, 9, 7, 1, 8, 3] {
        push(timelines, ANN, raw).await;
    }
    assert_eq!(all(timelines, ANN).await, [9, 8, 7, 5, 3, 1]);
}

/// A full timeline that takes a late entry loses its oldest by post, not the one that came first.
pub async fn a_late_entry_pushes_out_the_oldest(fresh: &Fresh<dyn TimelineStore>) {
    let timelines = &*fresh.store;
    build(timelines, ANN, [], 0).await;
    let arrivals: Vec<_> = (0..CAPACITY)
        .map(|n| 20 + 10 * ((n + 3) % CAPACITY))
        .collect();
    for raw in arrivals {
        push(timelines, ANN, raw).await;
    }
    push(timelines, ANN, 35).await;
    let mut left: Vec<_> = (1..CAPACITY).map(|n| 20 + 10 * n).chain([35]).collect();
    left.sort_unstable_by(|a, b| b.cmp(a));
    assert_eq!(all(timelines, ANN).await, left);
    assert_eq!(state(timelines, ANN).await, warm(21));
}

/// The same entries in any order, however often each, leave the same timeline.
pub async fn the_order_of_pushes_does_not_matter(fresh: &Fresh<dyn TimelineStore>) {
    let timelines = &*fresh.store;
    let posts: Vec<u64> = (1..=CAPACITY + 4).collect();
    let backwards = posts.iter().rev().copied();
    let twice = posts.iter().flat_map(|&raw| [raw, (raw * 7) % 13]);
    let orders: [(UserId, Vec<u64>); 3] = [
        (ANN, posts.clone()),
        (BOB, backwards.collect()),
        (CAT, twice.filter(|raw| *raw > 0).collect()),
    ];
    for (owner, order) in orders {
        build(timelines, owner, [], 0).await;
        for raw in order {
            push(timelines, owner, raw).await;
        }
        let newest: Vec<_> = (5..=CAPACITY + 4).rev().collect();
        assert_eq!(all(timelines, owner).await, newest);
        assert_eq!(state(timelines, owner).await, warm(5));
    }
}

/// A removed post is gone from the timelines named, the floor stays, and it may be pushed again.
pub async fn a_removed_post_is_gone(fresh: &Fresh<dyn TimelineStore>) {
    let timelines = &*fresh.store;
    for owner in [ANN, BOB, CAT] {
        build(timelines, owner, [5, 7, 9], 2).await;
    }
    let owners = [ANN, UserId::new(77), BOB];
    timelines.remove_many(&owners, post(7)).await.unwrap();
    for owner in [ANN, BOB] {
        assert_eq!(all(timelines, owner).await, [9, 5]);
        assert_eq!(state(timelines, owner).await, warm(2));
    }
    assert_eq!(all(timelines, CAT).await, [9, 7, 5]);
    push(timelines, ANN, 7).await;
    assert_eq!(all(timelines, ANN).await, [9, 7, 5]);
}

/// Removing a post that is not there changes nothing.
pub async fn removing_again_changes_nothing(fresh: &Fresh<dyn TimelineStore>) {
    let timelines = &*fresh.store;
    build(timelines, ANN, [5, 7, 9], 2).await;
    for raw in [7, 7, 1, 6, u64::MAX] {
        timelines.remove_many(&[ANN], post(raw)).await.unwrap();
    }
    assert_eq!(all(timelines, ANN).await, [9, 5]);
}

/// A timeline that was full has room again for each post that was removed.
pub async fn a_removed_post_makes_room(fresh: &Fresh<dyn TimelineStore>) {
    let timelines = &*fresh.store;
    build(timelines, ANN, 11..=10 + CAPACITY, 1).await;
    timelines.remove_many(&[ANN], post(12)).await.unwrap();
    push(timelines, ANN, 5).await;
    let held = all(timelines, ANN).await;
    assert_eq!(held.len() as u64, CAPACITY);
    assert_eq!(held.last(), Some(&5));
    assert_eq!(state(timelines, ANN).await, warm(1));
}

/// A purge takes every post and repost by an author, and not what others reposted of theirs.
pub async fn a_purge_takes_one_authors_entries(fresh: &Fresh<dyn TimelineStore>) {
    let timelines = &*fresh.store;
    let line = [
        Entry::original(post(3), BOB),
        Entry::original(post(4), CAT),
        Entry::repost(post(5), CAT, post(3)),
        Entry::repost(post(6), BOB, post(4)),
        Entry::repost(post(7), CAT, post(1)),
    ];
    let ticket = begin(timelines, ANN).await;
    let committed = timelines.commit_build(ticket, &line, post(2)).await;
    assert!(committed.unwrap());
    timelines.purge_many(&[ANN], BOB).await.unwrap();
    let window = timelines.window(ANN, Seek::Newest, 9).await.unwrap();
    assert_eq!(window.entries, [line[4], line[2], line[1]]);
    assert_eq!(window.state, warm(2));
}

/// A purge of many timelines takes the author's entries out of each, and leaves the timelines of
/// others; a purge repeated takes nothing.
pub async fn a_purge_of_many_is_a_purge_of_each(fresh: &Fresh<dyn TimelineStore>) {
    let timelines = &*fresh.store;
    let line = [Entry::original(post(3), BOB), Entry::original(post(4), CAT)];
    for owner in [ANN, BOB, CAT] {
        let ticket = begin(timelines, owner).await;
        assert!(
            timelines
                .commit_build(ticket, &line, post(2))
                .await
                .unwrap()
        );
    }
    let stranger = UserId::new(77);
    let owners = [CAT, stranger, ANN];
    for _ in 0..2 {
        timelines.purge_many(&owners, BOB).await.unwrap();
    }
    for (owner, left) in [(ANN, &line[1..]), (BOB, &line[..]), (CAT, &line[1..])] {
        let window = timelines.window(owner, Seek::After(post(0)), 9).await;
        let window = window.unwrap();
        assert_eq!((&*window.entries, window.state), (left, warm(2)));
    }
    timelines.purge_many(&[], BOB).await.unwrap();
}

/// A purge of an author who has no entry takes nothing.
pub async fn a_purge_of_a_stranger_takes_nothing(fresh: &Fresh<dyn TimelineStore>) {
    let timelines = &*fresh.store;
    build(timelines, ANN, [5, 7], 2).await;
    timelines.purge_many(&[ANN], BOB).await.unwrap();
    assert_eq!(all(timelines, ANN).await, [7, 5]);
}

/// An author's entries that were pushed and purged while a build reads do not come with the build.
pub async fn a_purge_during_a_build_is_kept(fresh: &Fresh<dyn TimelineStore>) {
    let timelines = &*fresh.store;
    let ticket = begin(timelines, ANN).await;
    for (raw, author) in [(5, BOB), (6, CAT), (8, BOB)] {
        let pushed = Entry::original(post(raw), author);
        timelines.push_many(&[ANN], pushed).await.unwrap();
    }
    timelines.purge_many(&[ANN], BOB).await.unwrap();
    assert!(commit(timelines, ticket, [7], 0).await);
    assert_eq!(all(timelines, ANN).await, [7, 6]);
}

/// A merge adds entries wherever they belong, each once, and says that the timeline was warm.
pub async fn a_merge_adds_older_entries(fresh: &Fresh<dyn TimelineStore>) {
    let timelines = &*fresh.store;
    build(timelines, ANN, [5, 9], 2).await;
    for _ in 0..2 {
        let merged = timelines.merge(ANN, &entries([3, 12, 7, 5])).await;
        assert_eq!(merged.unwrap(), warm(2));
        assert_eq!(all(timelines, ANN).await, [12, 9, 7, 5, 3]);
    }
    assert_eq!(timelines.merge(ANN, &[]).await.unwrap(), warm(2));
    assert_eq!(all(timelines, ANN).await, [12, 9, 7, 5, 3]);
}

/// A merge stores nothing below the floor.
pub async fn a_merge_does_not_reach_below_the_floor(fresh: &Fresh<dyn TimelineStore>) {
    let timelines = &*fresh.store;
    build(timelines, ANN, [9], 5).await;
    let merged = timelines.merge(ANN, &entries([1, 4, 5])).await;
    assert_eq!(merged.unwrap(), warm(5));
    assert_eq!(all(timelines, ANN).await, [9, 5]);
    assert_eq!(state(timelines, ANN).await, warm(5));
}

/// A merge above capacity keeps the newest, raises the floor, and answers the floor before that.
pub async fn a_merge_above_capacity_keeps_the_newest(fresh: &Fresh<dyn TimelineStore>) {
    let timelines = &*fresh.store;
    build(timelines, ANN, [40, 41, 42, 43, 44], 10).await;
    let older: Vec<_> = (1..=CAPACITY).map(|n| 10 + 2 * n).collect();
    let merged = timelines.merge(ANN, &entries(older.iter().copied())).await;
    assert_eq!(merged.unwrap(), warm(10));
    let mut held: Vec<_> = older.into_iter().chain(40..=44).rev().collect();
    let lost = held.split_off(usize::try_from(CAPACITY).unwrap());
    assert_eq!(all(timelines, ANN).await, held);
    assert_eq!(state(timelines, ANN).await, warm(lost[0] + 1));
}

/// A merge into a timeline that is being built stores nothing and says so.
pub async fn a_merge_during_a_build_adds_nothing(fresh: &Fresh<dyn TimelineStore>) {
    let timelines = &*fresh.store;
    let ticket = begin(timelines, ANN).await;
    let merged = timelines.merge(ANN, &[entry(7)]).await.unwrap();
    assert_eq!(merged, TimelineState::Building);
    assert!(commit(timelines, ticket, [9], 0).await);
    assert_eq!(all(timelines, ANN).await, [9]);
}
