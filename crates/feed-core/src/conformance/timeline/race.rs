use super::{
    Arc, BuildStart, CAPACITY, CAT, Entry, Fresh, LATER, NOW, ROUNDS, Seek, TimelineState,
    TimelineStore, UserId, all, begin, build, commit, entries, entry, post, push, state, warm,
};

/// Whose timeline a round is about.
const fn owner(round: u64) -> UserId {
    UserId::new(1_000 + round)
}

/// Pushes, removals, merges and purges of one timeline at the same time all take effect.
pub async fn concurrent_changes_all_take_effect(fresh: &Fresh<dyn TimelineStore>) {
    let timelines = &*fresh.store;
    for owner in (0..ROUNDS).map(owner) {
        let line = [entry(1), entry(2), Entry::original(post(3), CAT)];
        let ticket = begin(timelines, owner).await;
        let committed = timelines.commit_build(ticket, &line, post(0)).await;
        assert!(committed.unwrap());
        let change = |timelines: Arc<dyn TimelineStore>, n| async move {
            match n {
                0 => {
                    let failed = timelines.remove_many(&[owner], post(1)).await.unwrap();
                    assert_eq!(failed, []);
                }
                1 => {
                    timelines.purge_many(&[owner], CAT).await.unwrap();
                }
                2 => {
                    let merged = timelines.merge(owner, &entries([4, 5])).await.unwrap();
                    assert_eq!(merged, warm(0));
                }
                n => assert_eq!(push(&*timelines, owner, n as u64 + 3).await.reached, 1),
            }
        };
        fresh.at_once(6, change).await;
        assert_eq!(all(timelines, owner).await, [8, 7, 6, 5, 4, 2]);
        assert_eq!(state(timelines, owner).await, warm(0));
    }
}

/// Of those who begin a build at the same time one does, also where a stale build is in their way.
pub async fn one_of_many_concurrent_builds_begins(fresh: &Fresh<dyn TimelineStore>) {
    for owner in (0..ROUNDS).map(owner) {
        let mut last = None;
        for (now, stale) in [(NOW, NOW), (LATER, LATER)] {
            let ask = move |timelines: Arc<dyn TimelineStore>, _| async move {
                timelines.begin_build(owner, now, stale).await.unwrap()
            };
            let answers = fresh.at_once(4, ask).await;
            let started = answers.iter().filter_map(|answer| match answer {
                BuildStart::Started(ticket) => Some(*ticket),
                BuildStart::Underway => None,
                BuildStart::Warm => panic!("nobody has committed"),
            });
            let started: Vec<_> = started.collect();
            assert_eq!(started.len(), 1);
            assert_ne!(last.replace(started[0]), Some(started[0]));
        }
        assert!(commit(&*fresh.store, last.unwrap(), [7], 0).await);
    }
}

/// What is pushed while a build commits is in the timeline, beside what the build had read.
pub async fn a_push_while_a_build_commits_is_kept(fresh: &Fresh<dyn TimelineStore>) {
    let timelines = &*fresh.store;
    for owner in (0..ROUNDS).map(owner) {
        let ticket = begin(timelines, owner).await;
        let change = move |timelines: Arc<dyn TimelineStore>, n| async move {
            if n == 1 {
                assert!(commit(&*timelines, ticket, [1, 2], 0).await);
            } else {
                for raw in [n as u64 * 2 + 3, n as u64 * 2 + 4] {
                    assert_eq!(push(&*timelines, owner, raw).await.reached, 1);
                }
            }
        };
        fresh.at_once(3, change).await;
        assert_eq!(all(timelines, owner).await, [8, 7, 4, 3, 2, 1]);
    }
}

/// Of commits of one ticket at the same time one takes effect.
pub async fn concurrent_commits_take_effect_once(fresh: &Fresh<dyn TimelineStore>) {
    let timelines = &*fresh.store;
    for owner in (0..ROUNDS).map(owner) {
        let ticket = begin(timelines, owner).await;
        let end = move |timelines: Arc<dyn TimelineStore>, n| async move {
            commit(&*timelines, ticket, [n as u64 + 1], 0).await
        };
        let committed = fresh.at_once(4, end).await;
        let winners: Vec<_> = (1..).zip(committed).filter(|one| one.1).collect();
        assert_eq!(winners.len(), 1);
        assert_eq!(all(timelines, owner).await, [winners[0].0]);
    }
}

/// A timeline that is dropped while entries are pushed to it and its build commits is cold.
pub async fn a_drop_beats_whatever_happens_beside_it(fresh: &Fresh<dyn TimelineStore>) {
    let timelines = &*fresh.store;
    for owner in (0..ROUNDS).map(owner) {
        let ticket = begin(timelines, owner).await;
        let change = move |timelines: Arc<dyn TimelineStore>, n| async move {
            match n {
                0 => assert_eq!(timelines.drop_many(&[owner]).await.unwrap(), []),
                1 => drop(commit(&*timelines, ticket, [1, 2], 0).await),
                n => drop(push(&*timelines, owner, n as u64 + 1).await),
            }
        };
        fresh.at_once(4, change).await;
        assert_eq!(state(timelines, owner).await, TimelineState::Cold);
        build(timelines, owner, [], 0).await;
        assert_eq!(all(timelines, owner).await, []);
    }
}

/// A window shows the entries and the floor of one instant, whatever is pushed beside it.
pub async fn a_window_is_of_one_instant(fresh: &Fresh<dyn TimelineStore>) {
    for owner in (0..ROUNDS).map(owner) {
        build(&*fresh.store, owner, 1..=CAPACITY, 1).await;
        let use_it = move |timelines: Arc<dyn TimelineStore>, n| async move {
            for raw in CAPACITY + 1..=2 * CAPACITY {
                if n == 0 {
                    push(&*timelines, owner, raw).await;
                    continue;
                }
                let window = timelines.window(owner, Seek::Newest, 99).await.unwrap();
                let posts: Vec<_> = window.entries.iter().map(|one| one.post.get()).collect();
                let oldest = posts[0] + 1 - CAPACITY;
                assert_eq!(posts, (oldest..=posts[0]).rev().collect::<Vec<_>>());
                assert_eq!(window.state, warm(oldest));
            }
        };
        fresh.at_once(3, use_it).await;
    }
}
