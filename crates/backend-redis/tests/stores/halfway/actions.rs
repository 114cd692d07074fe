use backend_redis::RedisActions;
use feed_core::{Action, ActionKind, Actions, Counters, Entry, PostId, UserId};
use futures::future::join_all;

use super::{POLLS, Place, Process, cut_short, late::Tape, on_each_place};

const USERS: [UserId; 3] = [UserId::new(1), UserId::new(2), UserId::new(u64::MAX)];
const POSTS: [PostId; 3] = [PostId::new(1), PostId::new(2), PostId::new(u64::MAX)];

impl Process {
    fn actions(&self) -> RedisActions {
        RedisActions::new(self.redis.clone())
    }
}

/// Something to be cut short.
#[derive(Clone, Debug)]
enum Op {
    Record(Vec<Action>),
    Withdraw(Vec<Action>),
    WithdrawItems(UserId, Vec<PostId>),
    Forget(PostId),
    Erase(UserId),
}

fn action(rng: &mut fastrand::Rng) -> Action {
    let actor = USERS[rng.usize(..3)];
    let at = rng.usize(..3);
    // Now and then somebody is mistaken about the author.
    let author = if rng.u8(..8) == 0 { rng.usize(..3) } else { at };
    let original = Entry::original(POSTS[at], USERS[author]);
    match rng.u8(..3) {
        0 => Action::like(actor, original),
        1 => Action::reply(actor, original, PostId::new(rng.u64(20..23))),
        _ => Action::repost(actor, original, PostId::new(rng.u64(20..23))),
    }
}

fn any(rng: &mut fastrand::Rng) -> Op {
    match rng.u8(..12) {
        0..5 => Op::Record((0..rng.usize(1..4)).map(|_| action(rng)).collect()),
        5..8 => Op::Withdraw((0..rng.usize(1..4)).map(|_| action(rng)).collect()),
        8..10 => Op::WithdrawItems(USERS[rng.usize(..3)], vec![PostId::new(rng.u64(20..23))]),
        10 => Op::Forget(POSTS[rng.usize(..3)]),
        _ => Op::Erase(USERS[rng.usize(..3)]),
    }
}

async fn apply(actions: &dyn Actions, op: &Op) {
    match op {
        Op::Record(all) => drop(actions.record(all).await.unwrap()),
        Op::Withdraw(all) => drop(actions.withdraw(all).await.unwrap()),
        Op::WithdrawItems(actor, items) => {
            drop(actions.withdraw_items(*actor, items).await.unwrap());
        }
        Op::Forget(post) => drop(actions.forget(&[*post], 2).await.unwrap()),
        Op::Erase(user) => drop(actions.erase(*user, 3).await.unwrap()),
    }
}

async fn total(process: &Process) -> u64 {
    let counts = process.actions().counts(&POSTS).await.unwrap();
    let all = counts
        .iter()
        .map(|one| one.likes + one.replies + one.reposts);
    all.sum()
}

/// Whatever is counted is found when its actor is erased, or the post's author, as `by` says; and then no
/// note of anything is left.
pub(crate) async fn assert_all_found(process: &Process, by: &[usize]) {
    let actions = process.actions();
    let (mut left, mut erased) = (total(process).await, 0);
    for &user in by {
        loop {
            let some = actions.erase(USERS[user], 2).await.unwrap() as u64;
            if some == 0 {
                break;
            }
            erased += some;
        }
        for kind in [ActionKind::Like, ActionKind::Reply, ActionKind::Repost] {
            let acted = actions.acted(USERS[user], kind, &POSTS).await.unwrap();
            assert_eq!(acted, [None; 3]);
        }
    }
    left -= erased;
    assert_eq!((left, total(process).await), (0, 0));
    for user in USERS {
        for kind in ["likes", "made", "posts"] {
            let key = format!("{{actions:{user}}}:{kind}");
            assert!(!process.order::<bool>("EXISTS", &key, &[]).await, "{key}");
        }
    }
}

on_each_place! {
    #[tokio::test] what_was_cut_short_is_found_when_its_actor_is_erased,
    #[tokio::test(flavor = "multi_thread")] a_crowd_that_dies_in_the_middle_leaves_nothing_unfound,
    #[tokio::test] late_commands_leave_nothing_unfound,
}

async fn what_was_cut_short_is_found_when_its_actor_is_erased(place: Place) {
    let processes = Process::start(place).await;
    for half in cut_some_short(&processes, 60).await {
        assert_all_found(&half, &[0, 1, 2]).await;
    }
}

/// What somebody does is cut short after each poll, in a part of the key space each.
pub(crate) async fn cut_some_short(process: &Process, cases: u64) -> Vec<Process> {
    let (mut rng, mut halves) = (fastrand::Rng::with_seed(1), Vec::new());
    for case in 0..cases {
        let (before, op) = (any(&mut rng), any(&mut rng));
        for polls in 1..POLLS {
            let prefix = format!("{}actions{case}.{polls}:", process.redis.prefix());
            let half = process.with_prefix(&prefix);
            let actions = half.actions();
            apply(&actions, &before).await;
            let ended = cut_short(apply(&actions, &op), polls).await.is_some();
            half.arrives().await;
            halves.push(half);
            if ended {
                break;
            }
            assert!(polls + 1 < POLLS, "{op:?} never ends");
        }
    }
    halves
}

async fn a_crowd_that_dies_in_the_middle_leaves_nothing_unfound(place: Place) {
    for round in 0..place.rounds(20) {
        let prefix = format!("actors{round}:");
        let start = async |_| Process::start(place).await.with_prefix(&prefix);
        let crowd = join_all((0..4).map(start)).await;
        let work = crowd.iter().zip(0..).map(|(process, seed)| {
            let (process, seed) = (process.clone(), round * 4 + seed);
            tokio::spawn(async move {
                let mut rng = fastrand::Rng::with_seed(seed);
                for _ in 0..80 {
                    let op = any(&mut rng);
                    let actions = process.actions();
                    cut_short(apply(&actions, &op), rng.usize(1..POLLS)).await;
                }
                process.arrives().await;
            })
        });
        for worked in join_all(work).await {
            worked.unwrap();
        }
        assert_all_found(&crowd[0], &[2, 0, 1]).await;
    }
}

async fn late_commands_leave_nothing_unfound(place: Place) {
    let mut tape = Tape::new(place).await;
    let mut rng = fastrand::Rng::with_seed(9);
    for round in 0..place.rounds(600) {
        let op = any(&mut rng);
        apply(&tape.process().actions(), &op).await;
        tape.remember().await;
        for _ in 0..rng.usize(..4) {
            tape.replay(&mut rng).await;
        }
        if round % 10 == 9 {
            assert_all_found(tape.process(), &[1, 2, 0]).await;
        }
        tape.forget().await;
    }
}
