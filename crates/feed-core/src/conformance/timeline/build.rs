use super::{
    ANN, BOB, BuildStart, CAPACITY, Fresh, LATER, NOW, Seek, TimelineState, TimelineStore, UserId,
    all, begin, build, commit, entry, post, push, state, warm,
};

/// Nothing is written to a cold timeline, and nothing is read from it.
pub async fn a_cold_timeline_takes_nothing(fresh: &Fresh<dyn TimelineStore>) {
    let timelines = &*fresh.store;
    let report = push(timelines, ANN, 7).await;
    assert_eq!((report.reached, report.cold), (0, 1));
    let merged = timelines.merge(ANN, &[entry(7)]).await.unwrap();
    assert_eq!(merged, TimelineState::Cold);
    timelines.purge_many(&[ANN], ANN).await.unwrap();
    timelines.remove_many(&[ANN], post(7)).await.unwrap();
    timelines.drop_many(&[ANN]).await.unwrap();
    let window = timelines.window(ANN, Seek::Newest, 9).await.unwrap();
    assert_eq!(
        (window.entries, window.state),
        (vec![], TimelineState::Cold)
    );
    build(timelines, ANN, [], 0).await;
    assert_eq!(all(timelines, ANN).await, []);
}

/// A committed build shows what it was given, and is complete from its floor on.
pub async fn a_build_makes_a_timeline_warm(fresh: &Fresh<dyn TimelineStore>) {
    let timelines = &*fresh.store;
    let ticket = begin(timelines, ANN).await;
    assert_eq!(ticket.owner, ANN);
    assert_eq!(state(timelines, ANN).await, TimelineState::Building);
    assert!(commit(timelines, ticket, [5, 9, 7], 5).await);
    assert_eq!(state(timelines, ANN).await, warm(5));
    assert_eq!(all(timelines, ANN).await, [9, 7, 5]);
}

/// A build of nothing is warm, and takes pushes.
pub async fn a_timeline_with_nothing_in_it_is_warm(fresh: &Fresh<dyn TimelineStore>) {
    let timelines = &*fresh.store;
    build(timelines, ANN, [], 0).await;
    assert_eq!(state(timelines, ANN).await, warm(0));
    assert_eq!(push(timelines, ANN, 0).await.reached, 1);
    assert_eq!(all(timelines, ANN).await, [0]);
}

/// Nobody is asked to build a warm timeline, however old it is.
pub async fn a_warm_timeline_is_not_built_again(fresh: &Fresh<dyn TimelineStore>) {
    let timelines = &*fresh.store;
    build(timelines, ANN, [7], 3).await;
    let again = timelines.begin_build(ANN, LATER, LATER).await.unwrap();
    assert_eq!(again, BuildStart::Warm);
    assert_eq!(state(timelines, ANN).await, warm(3));
    assert_eq!(all(timelines, ANN).await, [7]);
}

/// While a build is under way that is not stale, no other begins.
pub async fn one_build_at_a_time(fresh: &Fresh<dyn TimelineStore>) {
    let timelines = &*fresh.store;
    let ticket = begin(timelines, ANN).await;
    let second = timelines.begin_build(ANN, LATER, NOW).await.unwrap();
    assert_eq!(second, BuildStart::Underway);
    assert!(commit(timelines, ticket, [7], 0).await);
    assert_eq!(all(timelines, ANN).await, [7]);
}

/// A build that began before the stale time gives way to another, and cannot commit any more.
pub async fn a_stale_build_is_superseded(fresh: &Fresh<dyn TimelineStore>) {
    let timelines = &*fresh.store;
    let dead = begin(timelines, ANN).await;
    let BuildStart::Started(ticket) = timelines.begin_build(ANN, LATER, LATER).await.unwrap()
    else {
        panic!("the first build is stale");
    };
    assert!(!commit(timelines, dead, [3], 3).await);
    assert_eq!(state(timelines, ANN).await, TimelineState::Building);
    assert!(commit(timelines, ticket, [7], 5).await);
    assert!(!commit(timelines, dead, [3], 3).await);
    assert_eq!(state(timelines, ANN).await, warm(5));
    assert_eq!(all(timelines, ANN).await, [7]);
}

/// A ticket that has committed does nothing when it is used again.
pub async fn a_ticket_commits_once(fresh: &Fresh<dyn TimelineStore>) {
    let timelines = &*fresh.store;
    let ticket = begin(timelines, ANN).await;
    for (raw, committed) in [(7, true), (9, false)] {
        assert_eq!(commit(timelines, ticket, [raw], raw).await, committed);
    }
    assert_eq!(state(timelines, ANN).await, warm(7));
    assert_eq!(all(timelines, ANN).await, [7]);
}

/// A build whose timeline was dropped meanwhile cannot commit, also not into the next build.
pub async fn a_dropped_build_cannot_commit(fresh: &Fresh<dyn TimelineStore>) {
    let timelines = &*fresh.store;
    let lost = begin(timelines, ANN).await;
    timelines.drop_many(&[ANN]).await.unwrap();
    assert!(!commit(timelines, lost, [7], 0).await);
    assert_eq!(state(timelines, ANN).await, TimelineState::Cold);
    begin(timelines, ANN).await;
    assert!(!commit(timelines, lost, [7], 0).await);
    assert_eq!(state(timelines, ANN).await, TimelineState::Building);
}

/// Every build of a timeline has a generation of its own, also after the timeline was dropped.
pub async fn no_generation_is_given_twice(fresh: &Fresh<dyn TimelineStore>) {
    let timelines = &*fresh.store;
    let mut generations = Vec::new();
    for _ in 0..5 {
        let ticket = begin(timelines, ANN).await;
        generations.push(ticket.generation);
        commit(timelines, ticket, [], 0).await;
        timelines.drop_many(&[ANN]).await.unwrap();
    }
    generations.sort_unstable();
    generations.dedup();
    assert_eq!(generations.len(), 5);
}

/// What is pushed while a build reads is in the timeline once it has committed, beside what was
/// read.
pub async fn a_push_during_a_build_is_kept(fresh: &Fresh<dyn TimelineStore>) {
    let timelines = &*fresh.store;
    let ticket = begin(timelines, ANN).await;
    for raw in [9, 6, 8] {
        let report = push(timelines, ANN, raw).await;
        assert_eq!((report.reached, report.cold), (1, 0));
    }
    let window = timelines.window(ANN, Seek::Newest, 9).await.unwrap();
    assert_eq!(
        (window.entries, window.state),
        (vec![], TimelineState::Building)
    );
    assert!(commit(timelines, ticket, [7, 8, 5], 5).await);
    assert_eq!(all(timelines, ANN).await, [9, 8, 7, 6, 5]);
}

/// What was pushed and taken out again while a build reads does not come back with the build.
pub async fn a_removal_during_a_build_is_kept(fresh: &Fresh<dyn TimelineStore>) {
    let timelines = &*fresh.store;
    let ticket = begin(timelines, ANN).await;
    for raw in [7, 8] {
        push(timelines, ANN, raw).await;
    }
    timelines.remove_many(&[ANN], post(7)).await.unwrap();
    assert!(commit(timelines, ticket, [], 0).await);
    assert_eq!(all(timelines, ANN).await, [8]);
}

/// A build holds nothing below its floor, whether read or pushed.
pub async fn nothing_below_the_floor_is_committed(fresh: &Fresh<dyn TimelineStore>) {
    let timelines = &*fresh.store;
    let ticket = begin(timelines, ANN).await;
    for raw in [3, 9] {
        push(timelines, ANN, raw).await;
    }
    assert!(commit(timelines, ticket, [2, 5, 4], 5).await);
    assert_eq!(state(timelines, ANN).await, warm(5));
    assert_eq!(all(timelines, ANN).await, [9, 5]);
}

/// Of a build above capacity the newest stay, and the floor lies just above the others.
pub async fn a_build_above_capacity_raises_the_floor(fresh: &Fresh<dyn TimelineStore>) {
    let timelines = &*fresh.store;
    let read = (0..CAPACITY + 3).map(|n| 100 + 10 * n);
    build(timelines, ANN, read, 100).await;
    assert_eq!(state(timelines, ANN).await, warm(121));
    let newest: Vec<_> = (3..CAPACITY + 3).rev().map(|n| 100 + 10 * n).collect();
    assert_eq!(all(timelines, ANN).await, newest);

    build(timelines, BOB, (0..CAPACITY).map(|n| 100 + 10 * n), 90).await;
    assert_eq!(state(timelines, BOB).await, warm(90));
}

/// Where more is pushed during a build than a timeline holds, the floor is above what was lost.
pub async fn pushes_above_capacity_during_a_build_raise_the_floor(
    fresh: &Fresh<dyn TimelineStore>,
) {
    let timelines = &*fresh.store;
    let ticket = begin(timelines, ANN).await;
    for n in 0..CAPACITY + 3 {
        push(timelines, ANN, 100 + 10 * n).await;
    }
    // The builder read before the pushes.
    assert!(commit(timelines, ticket, [50, 60], 50).await);
    assert_eq!(state(timelines, ANN).await, warm(121));
    let newest: Vec<_> = (3..CAPACITY + 3).rev().map(|n| 100 + 10 * n).collect();
    assert_eq!(all(timelines, ANN).await, newest);
}

/// A dropped timeline is cold and empty, and others are not.
pub async fn dropping_turns_cold(fresh: &Fresh<dyn TimelineStore>) {
    let timelines = &*fresh.store;
    for owner in [ANN, BOB] {
        build(timelines, owner, [7], 0).await;
    }
    for _ in 0..2 {
        timelines.drop_many(&[ANN]).await.unwrap();
        assert_eq!(state(timelines, ANN).await, TimelineState::Cold);
        assert_eq!(push(timelines, ANN, 8).await.cold, 1);
    }
    assert_eq!(all(timelines, BOB).await, [7]);
    build(timelines, ANN, [], 0).await;
    assert_eq!(all(timelines, ANN).await, []);
}

/// Of many timelines, whatever their state, exactly those turn cold whose owners are refused.
pub async fn retaining_turns_all_others_cold(fresh: &Fresh<dyn TimelineStore>) {
    let timelines = &*fresh.store;
    let owners: Vec<_> = (1_000..1_600).map(UserId::new).collect();
    for (raw, &owner) in (0..).zip(&owners) {
        let ticket = begin(timelines, owner).await;
        if raw % 5 > 0 {
            assert!(commit(timelines, ticket, [9], raw % 7).await);
        }
    }
    let kept = |owner: UserId| owner.get().is_multiple_of(3);
    for expected in [400, 0] {
        assert_eq!(timelines.retain(&kept).await.unwrap(), expected);
        for (raw, &owner) in (0..).zip(&owners) {
            let expected = match raw % 5 {
                _ if !kept(owner) => TimelineState::Cold,
                0 => TimelineState::Building,
                _ => warm(raw % 7),
            };
            assert_eq!(state(timelines, owner).await, expected, "{owner}");
        }
    }
}

/// A build whose owner was refused cannot commit, also not into the next build.
pub async fn a_build_that_is_not_retained_cannot_commit(fresh: &Fresh<dyn TimelineStore>) {
    let timelines = &*fresh.store;
    let (lost, kept) = (begin(timelines, ANN).await, begin(timelines, BOB).await);
    let dropped = timelines.retain(&|owner| owner == BOB).await;
    assert_eq!(dropped.unwrap(), 1);
    assert!(!commit(timelines, lost, [7], 0).await);
    begin(timelines, ANN).await;
    assert!(!commit(timelines, lost, [7], 0).await);
    assert!(commit(timelines, kept, [7], 0).await);
    assert_eq!(all(timelines, BOB).await, [7]);
}

/// Where no owner is refused, entries and floors stay as they are.
pub async fn retaining_all_changes_nothing(fresh: &Fresh<dyn TimelineStore>) {
    let timelines = &*fresh.store;
    assert_eq!(timelines.retain(&|_| false).await.unwrap(), 0);
    build(timelines, ANN, [5, 7, 9], 2).await;
    assert_eq!(timelines.retain(&|_| true).await.unwrap(), 0);
    assert_eq!(all(timelines, ANN).await, [9, 7, 5]);
    assert_eq!(state(timelines, ANN).await, warm(2));
}
