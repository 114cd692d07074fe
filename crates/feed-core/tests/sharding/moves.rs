//! Single moves, told step by step.

use std::{pin::pin, sync::Arc};

use backplane::Timestamp;
use feed_core::{
    BuildStart, BuildTicket, Entry, ErrorKind, Feed, FeedParts, MoveStep, NewPost, PageRequest,
    Placement, PostId, PushAll, Seek, ShardedTimelines, TimelineState, TimelineStore, UserId,
};
use futures::{FutureExt as _, poll};

use crate::{
    flaky::{Fault, Faults, Strike},
    fleet::{NamedStores, flaky, shards, stores},
    world::now,
};

const MAY: &str = "the step may be taken";

const NOW: Timestamp = Timestamp::from_millis(1);

/// Timelines on the ring of some of `stores`.
fn timelines(stores: &NamedStores, members: u8) -> ShardedTimelines {
    ShardedTimelines::new(Placement::settled(shards(stores, members)))
}

fn begin_build(timelines: &ShardedTimelines, owner: UserId) -> BuildTicket {
    match now(timelines.begin_build(owner, NOW, NOW)) {
        BuildStart::Started(ticket) => ticket,
        other => panic!("{other:?}"),
    }
}

fn build(timelines: &ShardedTimelines, owner: UserId) {
    let ticket = begin_build(timelines, owner);
    assert!(now(timelines.commit_build(ticket, &[], PostId::MIN)));
}

fn entry(post: u64) -> Entry {
    Entry::original(PostId::new(post), UserId::new(u64::MAX))
}

fn shown(timelines: &ShardedTimelines, owner: UserId) -> Vec<u64> {
    let window = now(timelines.window(owner, Seek::Newest, 9));
    window
        .entries
        .iter()
        .map(|entry| entry.post.get())
        .collect()
}

fn state(timelines: &ShardedTimelines, owner: UserId) -> TimelineState {
    now(timelines.window(owner, Seek::Newest, 0)).state
}

const WARM: TimelineState = TimelineState::Warm { floor: PostId::MIN };

/// Some owners whose timelines move between the rings of these members.
fn movers(stores: &NamedStores, from: u8, to: u8) -> impl Iterator<Item = UserId> {
    let from = Placement::settled(shards(stores, from));
    let begun = from.begin(shards(stores, to)).expect("a move may begin");
    (0..1_000)
        .map(UserId::new)
        .filter(move |owner| begun.moves(*owner))
}

/// P49: a store that comes or goes takes its share with it, and every other timeline stays warm and
/// complete through all steps.
#[test]
fn only_what_moves_turns_cold() {
    const OWNERS: usize = 3_000;
    const ALL: u8 = 0b1111_1111;
    let stores = stores(8, 8);
    let owners: Vec<_> = (0..OWNERS as u64).map(UserId::new).collect();
    let removed = |n: u8| ALL & !(1 << n);
    for (from, to) in [(removed(7), ALL), (removed(2), ALL), (ALL, removed(5))] {
        let timelines = timelines(&stores, from);
        now(timelines.retain(&|_| false));
        for &owner in &owners {
            build(&timelines, owner);
        }
        timelines.begin_move(shards(&stores, to)).expect(MAY);
        let begun = timelines.placement();
        let moving = owners.iter().filter(|&&owner| begun.moves(owner)).count();
        // One in eight, and no more than 3 % of all timelines beside.
        assert!(
            (1..=OWNERS / 8 + OWNERS * 3 / 100).contains(&moving),
            "{moving}"
        );

        let report = now(timelines.push_many(&owners, entry(1)));
        assert_eq!((report.reached, report.cold), (OWNERS, 0));
        now(timelines.switch_reads());
        let report = now(timelines.push_many(&owners, entry(2)));
        assert_eq!((report.reached, report.cold), (OWNERS - moving, moving));
        let left = now(timelines.finish_move());
        // What is left at a store that leaves the ring is not looked for.
        assert_eq!(left, if to == ALL { moving } else { 0 });
        let report = now(timelines.push_many(&owners, entry(3)));
        assert_eq!((report.reached, report.cold), (OWNERS - moving, moving));
        for &owner in &owners {
            let (posts, expected): (&[u64], _) = if begun.moves(owner) {
                (&[], TimelineState::Cold)
            } else {
                (&[3, 2, 1], WARM)
            };
            assert_eq!(shown(&timelines, owner), posts);
            assert_eq!(state(&timelines, owner), expected);
        }
    }
}

/// A process that took the last steps of a move died before it dropped what had moved away.
#[test]
fn a_copy_left_by_an_earlier_move_is_never_read() {
    let stores = stores(2, 8);
    let owner = movers(&stores, 0b01, 0b11).next().expect("one moves");
    let before = timelines(&stores, 0b01);
    build(&before, owner);
    now(before.push_many(&[owner], entry(1)));

    let after = timelines(&stores, 0b11);
    assert_eq!(state(&after, owner), TimelineState::Cold);
    now(after.push_many(&[owner], entry(2)));
    after.begin_move(shards(&stores, 0b01)).expect(MAY);
    now(after.push_many(&[owner], entry(3)));
    now(after.switch_reads());
    assert_eq!(state(&after, owner), TimelineState::Cold);
    assert_eq!(shown(&before, owner), []);
}

#[test]
fn a_build_at_the_old_owner_does_not_commit_at_the_new() {
    let stores = stores(2, 8);
    let owner = movers(&stores, 0b01, 0b10).next().expect("one moves");
    let timelines = timelines(&stores, 0b01);
    timelines.begin_move(shards(&stores, 0b10)).expect(MAY);
    let old = begin_build(&timelines, owner);
    now(timelines.switch_reads());
    // The new store counts its builds from the same number on.
    let new = begin_build(&timelines, owner);
    assert!(!now(timelines.commit_build(old, &[entry(1)], PostId::MIN)));
    assert!(now(timelines.commit_build(new, &[entry(2)], PostId::MIN)));
    assert_eq!(shown(&timelines, owner), [2]);
}

#[test]
fn a_build_survives_the_last_step() {
    let stores = stores(2, 8);
    let owner = movers(&stores, 0b01, 0b10).next().expect("one moves");
    let timelines = timelines(&stores, 0b01);
    timelines.begin_move(shards(&stores, 0b10)).expect(MAY);
    now(timelines.switch_reads());
    let ticket = begin_build(&timelines, owner);
    now(timelines.finish_move());
    assert!(now(timelines.commit_build(
        ticket,
        &[entry(1)],
        PostId::MIN
    )));
    assert_eq!(shown(&timelines, owner), [1]);
}

/// Or the follower would take a timeline for complete whose builder does not know of the follow.
#[test]
fn a_merge_hears_of_a_build_at_either_store() {
    let stores = stores(2, 8);
    let owner = movers(&stores, 0b01, 0b10).next().expect("one moves");
    let lagging = timelines(&stores, 0b01);
    build(&lagging, owner);
    let leading = timelines(&stores, 0b01);
    for process in [&lagging, &leading] {
        process.begin_move(shards(&stores, 0b10)).expect(MAY);
    }
    assert_eq!(now(lagging.merge(owner, &[entry(1)])), WARM);
    now(leading.switch_reads());
    let ticket = begin_build(&leading, owner);
    let building = TimelineState::Building;
    for process in [&lagging, &leading] {
        assert_eq!(now(process.merge(owner, &[entry(2)])), building);
    }
    let floor = PostId::new(1);
    assert!(now(leading.commit_build(ticket, &[entry(1)], floor)));
    for process in [&lagging, &leading] {
        let merged = now(process.merge(owner, &[entry(3)]));
        assert_eq!(merged, TimelineState::Warm { floor });
    }
    assert_eq!(shown(&lagging, owner), [3, 2, 1]);
    assert_eq!(shown(&leading, owner), [3, 1]);
}

#[test]
fn what_is_taken_out_is_gone_from_both_copies() {
    let stores = stores(2, 8);
    let owner = movers(&stores, 0b01, 0b10).next().expect("one moves");
    let [lagging, leading] = [(); 2].map(|()| timelines(&stores, 0b01));
    build(&lagging, owner);
    for process in [&lagging, &leading] {
        process.begin_move(shards(&stores, 0b10)).expect(MAY);
    }
    now(leading.switch_reads());
    build(&leading, owner);
    for (post, process) in [(1, &lagging), (2, &leading)] {
        now(lagging.push_many(&[owner], entry(post)));
        for process in [&lagging, &leading] {
            assert_eq!(shown(process, owner), [post]);
        }
        now(process.remove_many(&[owner], PostId::new(post)));
        for process in [&lagging, &leading] {
            assert_eq!(shown(process, owner), []);
        }
    }
    for process in [&lagging, &leading] {
        now(leading.merge(owner, &[entry(3), entry(4)]));
        now(process.purge_many(&[owner], entry(3).author));
        for process in [&lagging, &leading] {
            assert_eq!(shown(process, owner), []);
        }
    }
    now(lagging.drop_many(&[owner]));
    for process in [&lagging, &leading] {
        assert_eq!(state(process, owner), TimelineState::Cold);
    }
}

/// What lands late was in the outbox before, so it is not missed where it does not land.
#[tokio::test]
async fn a_step_does_not_wait_for_calls_under_way() {
    let faults = Arc::new(Faults::default());
    let stores = flaky(&stores(2, 8), &faults);
    let timelines = timelines(&stores, 0b01);
    faults.arm(0, Strike::Fault(Fault::DieBefore));
    let owners = [UserId::new(1)];
    let mut push = pin!(timelines.push_many(&owners, entry(1)));
    assert!(poll!(&mut push).is_pending());
    timelines.begin_move(shards(&stores, 0b11)).expect(MAY);
    now(timelines.switch_reads());
    now(timelines.finish_move());
}

/// The step is taken again.
#[test]
fn reads_are_not_switched_before_stale_copies_are_gone() {
    let faults = Arc::new(Faults::default());
    let stores = flaky(&stores(2, 8), &faults);
    let timelines = timelines(&stores, 0b01);
    timelines.begin_move(shards(&stores, 0b11)).expect(MAY);
    for fault in [Fault::FailBefore, Fault::FailAfter, Fault::DieAfter] {
        faults.arm(0, Strike::Fault(fault));
        let switched = timelines.switch_reads().now_or_never();
        assert!(!matches!(switched, Some(Ok(()))));
        assert_eq!(timelines.placement().step(), MoveStep::Begun);
    }
    now(timelines.switch_reads());
    now(timelines.switch_reads());
    assert_eq!(timelines.placement().step(), MoveStep::Switched);
}

#[test]
fn a_failing_store_fails_its_own_owners() {
    let faults = Arc::new(Faults::default());
    let sound = stores(3, 8);
    let mut stores = sound.clone();
    stores[1] = flaky(&sound, &faults).swap_remove(1);
    let timelines = timelines(&stores, 0b111);
    let placement = timelines.placement();
    let is_lost = |owner: &UserId| Arc::ptr_eq(placement.reads().store(*owner), &stores[1].1);
    let owners: Vec<_> = (0..100).rev().map(UserId::new).collect();
    for &owner in &owners {
        build(&timelines, owner);
    }
    let (lost, spared): (Vec<_>, Vec<_>) = owners.iter().copied().partition(is_lost);
    faults.arm(0, Strike::Outage { store: None });
    let report = now(timelines.push_many(&owners, entry(1)));
    assert_eq!(report.failed, lost);
    assert_eq!(report.reached, spared.len());
    for owner in spared {
        assert_eq!(shown(&timelines, owner), [1]);
    }
    let all_failed = timelines.push_many(&lost, entry(1)).now_or_never();
    let error = all_failed
        .expect("no call waits")
        .expect_err("nobody was reached");
    assert_eq!(error.kind(), ErrorKind::Unavailable);

    // The others are reached all the same.
    let expected: Vec<_> = owners.iter().copied().filter(is_lost).collect();
    assert_eq!(
        now(timelines.remove_many(&owners, PostId::new(1))),
        expected
    );
    assert_eq!(now(timelines.drop_many(&owners)), expected);
    for failed in [
        timelines.remove_many(&lost, PostId::new(1)).now_or_never(),
        timelines.drop_many(&lost).now_or_never(),
    ] {
        let error = failed
            .expect("no call waits")
            .expect_err("nobody was reached");
        assert_eq!(error.kind(), ErrorKind::Unavailable);
    }
    faults.disarm();
    for owner in owners {
        let expected = if is_lost(&owner) {
            WARM
        } else {
            TimelineState::Cold
        };
        assert_eq!(state(&timelines, owner), expected);
    }
}

#[test]
fn while_it_moves_a_timeline_needs_both_stores() {
    let faults = Arc::new(Faults::default());
    let sound = stores(2, 8);
    let stores = vec![sound[0].clone(), flaky(&sound, &faults).swap_remove(1)];
    let moving: Vec<_> = movers(&stores, 0b01, 0b11).take(3).collect();
    let timelines = timelines(&stores, 0b01);
    let owners: Vec<_> = (0..20).map(UserId::new).collect();
    for &owner in &owners {
        build(&timelines, owner);
    }
    timelines.begin_move(shards(&stores, 0b11)).expect(MAY);
    faults.arm(0, Strike::Outage { store: None });
    let report = now(timelines.push_many(&owners, entry(1)));
    let begun = timelines.placement();
    let is_moving = |owner: &UserId| begun.moves(*owner);
    let expected: Vec<_> = owners.iter().copied().filter(is_moving).collect();
    assert_eq!(report.failed, expected);
    assert!(
        timelines
            .drop_many(&moving)
            .now_or_never()
            .expect("no call waits")
            .is_err()
    );
}

#[test]
fn a_lost_store_is_moved_away_from() {
    let faults = Arc::new(Faults::default());
    let sound = stores(3, 8);
    let stores = vec![
        sound[0].clone(),
        flaky(&sound, &faults).swap_remove(1),
        sound[2].clone(),
    ];
    let timelines = timelines(&stores, 0b111);
    let owner = movers(&stores, 0b111, 0b101).next().expect("one moves");
    faults.arm(0, Strike::Outage { store: None });
    let read = timelines.window(owner, Seek::Newest, 9).now_or_never();
    assert!(read.expect("no call waits").is_err());
    timelines.begin_move(shards(&stores, 0b101)).expect(MAY);
    now(timelines.switch_reads());
    build(&timelines, owner);
    assert_eq!(now(timelines.finish_move()), 0);
    assert_eq!(now(timelines.push_many(&[owner], entry(1))).reached, 1);
    assert_eq!(shown(&timelines, owner), [1]);
}

#[test]
fn a_move_given_up_leaves_all_as_it_was() {
    let stores = stores(2, 8);
    let timelines = timelines(&stores, 0b01);
    let owners: Vec<_> = (0..50).map(UserId::new).collect();
    for &owner in &owners {
        build(&timelines, owner);
    }
    timelines.begin_move(shards(&stores, 0b11)).expect(MAY);
    now(timelines.push_many(&owners, entry(1)));
    for _ in 0..2 {
        timelines.cancel_move().expect(MAY);
    }
    now(timelines.push_many(&owners, entry(2)));
    for owner in owners {
        assert_eq!(shown(&timelines, owner), [2, 1]);
    }
}

/// What the rule that processes are one step apart at most is for.
#[test]
fn a_process_two_steps_behind_makes_others_miss_its_posts() {
    let stores = stores(2, 8);
    let viewer = movers(&stores, 0b01, 0b10).next().expect("one moves");
    let author = UserId::new(1_000_000);
    let [leading, lagging] = [(); 2].map(|()| Arc::new(timelines(&stores, 0b01)));
    let mut parts = FeedParts::in_memory();
    parts.policy = Arc::new(PushAll);
    let [ahead, behind] = [&leading, &lagging].map(|timelines| {
        let timelines = Arc::clone(timelines) as Arc<dyn TimelineStore>;
        let parts = parts.clone();
        Feed::new(FeedParts { timelines, ..parts })
    });
    now(ahead.follow(viewer, author));
    let publish_behind = || {
        assert!(
            now(behind.publish(author, NewPost::new("a post")))
                .post()
                .is_some()
        );
        now(behind.work_all());
    };
    let seen_ahead = || now(ahead.home(viewer, PageRequest::newest())).entries.len();
    leading.begin_move(shards(&stores, 0b10)).expect(MAY);
    publish_behind();
    assert_eq!(seen_ahead(), 1, "one step apart");
    now(leading.switch_reads());
    assert_eq!(seen_ahead(), 1, "the timeline is built");
    publish_behind();
    assert_eq!(seen_ahead(), 1, "the post is not where it is looked for");
    lagging.begin_move(shards(&stores, 0b10)).expect(MAY);
    publish_behind();
    assert_eq!(seen_ahead(), 2, "one step apart");
}
