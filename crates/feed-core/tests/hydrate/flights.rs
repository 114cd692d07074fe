//! One fetch for everybody who lacks the same.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use backplane::{Clock, SystemClock};
use feed_core::{
    Error, ErrorKind, Hydrator, HydratorOptions, HydratorParts, Lack, MemoryOutbox, PostVersion,
    Result, User, UserId, UserSource,
};
use futures::{
    FutureExt,
    future::{Either, join_all, select},
    poll,
};
use parking_lot::Mutex;

use crate::world::{ANN, BOB, World};

const CAT: UserId = UserId::new(3);

#[tokio::test]
async fn callers_that_lack_the_same_share_a_fetch() {
    let world = World::default();
    let node = world.node();
    world.tables.close();
    let (mut first, mut second) = (
        Box::pin(node.users(&[ANN, BOB])),
        Box::pin(node.users(&[CAT, BOB])),
    );
    assert!(poll!(&mut first).is_pending());
    assert!(poll!(&mut second).is_pending());
    world.tables.open();
    let (first, second) = futures::join!(first, second);
    assert!(first.iter().all(Result::is_ok));
    assert!(matches!(second[..], [Err(Lack::Absent), Ok(_)]));
    assert_eq!(world.tables.user_calls(), [vec![1, 2], vec![3]]);
    assert_eq!(node.user_stats().joined, 1);
}

#[tokio::test]
async fn the_others_go_on_when_the_first_caller_is_dropped() {
    let world = World::default();
    let node = world.node();
    world.tables.close();
    let (mut first, mut second) = (
        Box::pin(node.users(&[ANN, BOB])),
        Box::pin(node.users(&[BOB])),
    );
    assert!(poll!(&mut first).is_pending());
    assert!(poll!(&mut second).is_pending());
    drop(first);
    assert!(poll!(&mut second).is_pending());
    world.tables.open();
    assert!(second.await[0].is_ok());
    assert!(node.users(&[ANN]).await[0].is_ok());
    assert_eq!(
        world.tables.user_calls(),
        [[1, 2]],
        "and bring what only the first had wanted"
    );
}

#[tokio::test]
async fn when_all_are_dropped_the_next_caller_fetches() {
    let world = World::default();
    let node = world.node();
    world.tables.close();
    let (mut first, mut second) = (Box::pin(node.users(&[ANN])), Box::pin(node.users(&[ANN])));
    assert!(poll!(&mut first).is_pending());
    assert!(poll!(&mut second).is_pending());
    drop((first, second));
    world.tables.open();
    assert!(node.users(&[ANN]).await[0].is_ok());
    assert_eq!(world.tables.user_calls().len(), 2);
}

#[tokio::test]
async fn a_failed_fetch_is_told_to_all_who_waited_and_to_nobody_else() {
    let world = World::default();
    let node = world.node();
    world.tables.close();
    world.tables.fail(true);
    let (mut first, mut second) = (Box::pin(node.users(&[ANN])), Box::pin(node.users(&[ANN])));
    assert!(poll!(&mut first).is_pending());
    assert!(poll!(&mut second).is_pending());
    world.tables.open();
    let (first, second) = futures::join!(first, second);
    let [Err(Lack::Failed(first)), Err(Lack::Failed(second))] = [&first[0], &second[0]] else {
        panic!("both have failed: {first:?} {second:?}");
    };
    assert!(Arc::ptr_eq(first, second));
    assert_eq!(world.tables.user_calls().len(), 1);
    world.tables.fail(false);
    assert!(node.users(&[ANN]).await[0].is_ok());
}

#[tokio::test]
async fn a_caller_who_wants_an_older_version_joins_and_one_who_wants_a_newer_does_not() {
    let world = World::default();
    let node = world.node();
    let entry = world.publish(ANN, 1, "first");
    world.edit(entry, 2, "second");
    world.tables.close();
    let ask = |version| {
        let node = node.clone();
        Box::pin(async move {
            node.posts(&[PostVersion::new(entry.post, version)])
                .await
                .remove(0)
        })
    };
    let (mut second, mut first, mut third) = (ask(2), ask(1), ask(3));
    assert!(poll!(&mut second).is_pending());
    assert!(poll!(&mut first).is_pending());
    assert!(poll!(&mut third).is_pending());
    world.tables.open();
    let (second, first, third) = futures::join!(second, first, third);
    assert!(second.is_ok() && first.is_ok());
    assert!(matches!(third, Err(Lack::Behind)));
    assert_eq!(world.tables.post_calls().len(), 2);
}

#[tokio::test]
async fn a_call_that_never_answers_holds_up_only_those_who_came_with_it() {
    let fetch = Duration::from_secs(2);
    let world = World::inhabited(HydratorOptions::default().with_fetch_timeout(fetch));
    let node = world.lone_node();
    let stuck = || Box::pin(node.users(&[ANN]));
    world.tables.close();
    // Each comes before the last has given up, so that somebody is always waiting.
    let (mut first, mut second) = (stuck(), stuck());
    assert!(poll!(&mut first).is_pending());
    world.pass(fetch.saturating_sub(Duration::from_millis(1)));
    assert!(poll!(&mut second).is_pending());
    drop(first);
    assert_eq!(world.tables.user_calls().len(), 1);
    world.pass(Duration::from_millis(1));
    world.tables.heal();
    let third = node.users(&[ANN]).now_or_never();
    assert!(third.expect("a new call is made")[0].is_ok());
    assert!(poll!(&mut second).is_pending());
    let kept = node.users(&[ANN]).now_or_never();
    assert!(kept.expect("what it brought is here")[0].is_ok());
    assert_eq!(world.tables.user_calls().len(), 1);
    world.tables.open();
    assert!(second.await[0].is_ok());
}

/// Answers something other than what it was asked.
#[derive(Debug)]
struct Confused(Vec<Option<User>>);

#[async_trait]
impl UserSource for Confused {
    async fn users(&self, _: &[UserId]) -> Result<Vec<Option<User>>> {
        Ok(self.0.clone())
    }
}

#[tokio::test]
async fn an_answer_to_another_question_is_refused() {
    let ann = || Some(User::new(ANN, "Ann"));
    for answer in [
        vec![],
        vec![ann()],
        vec![ann(), ann()],
        vec![ann(), None, None],
    ] {
        let clock = Arc::new(SystemClock::new());
        let source = Arc::new(Confused(answer));
        let parts = HydratorParts::new(Arc::new(MemoryOutbox::default()), source, clock);
        for user in Hydrator::new(parts).users(&[ANN, BOB]).await {
            let Err(Lack::Failed(error)) = user else {
                panic!("the source answers another question: {user:?}");
            };
            assert_eq!(error.kind(), ErrorKind::Corrupt);
        }
    }
}

/// Counts how many fetches of a user are under way at a time, and fails now and then.
#[derive(Debug, Default)]
struct Busy {
    under_way: Mutex<Vec<UserId>>,
    overlaps: AtomicU64,
    calls: AtomicU64,
}

/// Clears up also when the fetch is dropped.
struct UnderWay<'a>(&'a Busy, &'a [UserId]);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut under_way = self.0.under_way.lock();
        under_way.retain(|user| !self.1.contains(user));
    }
}

#[async_trait]
impl UserSource for Busy {
    async fn users(&self, users: &[UserId]) -> Result<Vec<Option<User>>> {
        {
            let mut under_way = self.under_way.lock();
            let twice = users.iter().filter(|user| under_way.contains(user)).count();
            self.overlaps.fetch_add(twice as u64, Ordering::Relaxed);
            under_way.extend(users);
        }
        let _under_way = UnderWay(self, users);
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        for _ in 0..call % 5 {
            tokio::task::yield_now().await;
        }
        if call % 7 == 3 {
            return Err(Error::bare(ErrorKind::Unavailable, "busy"));
        }
        let user =
            |&user: &UserId| (user.get() % 10 != 9).then(|| User::new(user, user.to_string()));
        Ok(users.iter().map(user).collect())
    }
}

/// Asks for users that others ask for too, and gives up on some of the calls, if it is to. Counts who
/// was found, who is absent, and who could not be fetched.
async fn ask_around(node: Hydrator, seed: u64, gives_up: bool) -> [usize; 3] {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut fates = [0; 3];
    for _ in 0..2_000 {
        let count = random.usize(1..6);
        let users: Vec<_> = (0..count).map(|_| UserId::new(random.u64(0..20))).collect();
        if gives_up && random.u8(0..4) == 0 {
            let mut given_up = Box::pin(node.users(&users));
            drop(poll!(&mut given_up));
            continue;
        }
        for (user, found) in users.iter().zip(node.users(&users).await) {
            let fate = match found {
                Ok(found) => {
                    assert_eq!((found.id, found.profile), (*user, user.to_string().into()));
                    0
                }
                Err(Lack::Absent) => {
                    assert_eq!(user.get() % 10, 9);
                    1
                }
                Err(Lack::Failed(_)) => 2,
                Err(lack) => panic!("users have no versions: {lack:?}"),
            };
            fates[fate] += 1;
        }
    }
    fates
}

async fn crowd(gives_up: bool) -> Arc<Busy> {
    let source = Arc::new(Busy::default());
    let users = Arc::clone(&source);
    let clock = Arc::new(SystemClock::new());
    let watchdog = clock.sleep(Duration::from_secs(60));
    let mut parts = HydratorParts::new(Arc::new(MemoryOutbox::default()), users, clock);
    // Nothing is kept, so that every call is on a flight.
    parts.options.users = parts.options.users.with_max_bytes(0);
    let node = Hydrator::new(parts);
    let readers = (0..8).map(|seed| tokio::spawn(ask_around(node.clone(), seed, gives_up)));
    let Either::Left((fates, _)) = select(join_all(readers), watchdog).await else {
        panic!("somebody hangs");
    };
    for fates in fates {
        let fates = fates.expect("no reader panics");
        assert!(fates.iter().all(|&count| count > 0), "{fates:?}");
    }
    let stats = node.user_stats();
    assert!(stats.joined > 0, "{stats:?}");
    assert_eq!((stats.hits, stats.absences, stats.entries), (0, 0, 0));
    assert_eq!(stats.source_calls, source.calls.load(Ordering::Relaxed));
    source
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn threads_never_fetch_a_user_twice_at_a_time() {
    let source = crowd(false).await;
    assert_eq!(source.overlaps.load(Ordering::Relaxed), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn threads_that_give_up_leave_nobody_hanging() {
    let source = crowd(true).await;
    assert!(source.under_way.lock().is_empty());
}
