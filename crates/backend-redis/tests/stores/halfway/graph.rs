use std::{collections::BTreeMap, pin::pin};

use backend_redis::RedisGraph;
use feed_core::{
    EdgeRoute, FollowSettings, Followed, Follower, Graph, Hide, ListId, Route, RouteStamp, UserId,
};
use futures::{future::join_all, poll};

use crate::house::until;

use super::{POLLS, Place, Process, cut_short, late::Tape, on_each_place};

pub(crate) const ANN: UserId = UserId::new(1);
pub(crate) const BOB: UserId = UserId::new(u64::MAX);
const CAT: UserId = UserId::new(3);

const USERS: [UserId; 3] = [ANN, BOB, CAT];
const LIST: ListId = ListId::new(7);

impl Process {
    fn graph(&self) -> RedisGraph {
        RedisGraph::new(self.redis.clone())
    }
}

/// Something to be cut short.
#[derive(Clone, Copy, Debug)]
enum Op {
    Follow(bool),
    Unfollow,
    Reroute(Route),
    Hide(Hide, bool),
    List(bool),
}

const OPS: [Op; 10] = [
    Op::Follow(false),
    Op::Follow(true),
    Op::Unfollow,
    Op::Reroute(Route::PUSH),
    Op::Reroute(Route::Pull),
    Op::Hide(Hide::Block, true),
    Op::Hide(Hide::Block, false),
    Op::Hide(Hide::Mute, true),
    Op::List(true),
    Op::List(false),
];

async fn apply(graph: &dyn Graph, op: Op, (viewer, author): (UserId, UserId)) {
    match op {
        Op::Follow(hide) => {
            let settings = FollowSettings::default().with_hide_reposts(hide);
            graph.follow(viewer, author, Some(settings)).await.unwrap();
        }
        Op::Unfollow => {
            graph.unfollow(viewer, author).await.unwrap();
        }
        Op::Reroute(route) => {
            let stamp = stamp(graph, viewer, author).await;
            let edge = EdgeRoute {
                viewer,
                author,
                stamp,
                route,
            };
            graph.reroute(&[edge]).await.unwrap();
        }
        Op::Hide(how, on) => {
            graph.hide(viewer, author, how, on).await.unwrap();
        }
        Op::List(on) => {
            let members = [author];
            let members = if on { &members[..] } else { &[] };
            graph.set_list(viewer, LIST, members).await.unwrap();
        }
    }
}

const fn row(user: UserId) -> [u8; 8] {
    user.get().to_be_bytes()
}

async fn stamp(graph: &dyn Graph, viewer: UserId, author: UserId) -> RouteStamp {
    let followers = graph.followers(author, None, 9).await.unwrap();
    let edge = followers.into_iter().find(|one| one.viewer == viewer);
    edge.map_or_else(RouteStamp::default, |edge| edge.stamp)
}

/// Both ends of every tie say the same, and nothing is pending.
pub(crate) async fn assert_both_ends(process: &Process) {
    let graph = process.graph();
    // Whoever looks first sees each circle by itself.
    graph.circles(&USERS).await.unwrap();
    let circles = graph.circles(&USERS).await.unwrap();
    let degrees = graph.degrees(&USERS).await.unwrap();
    let circles: BTreeMap<_, _> = USERS.into_iter().zip(circles).collect();
    for (author, degree) in USERS.into_iter().zip(degrees) {
        let followers = graph.followers(author, None, 9).await.unwrap();
        let found: BTreeMap<_, _> = followers.iter().map(|one| (one.viewer, one)).collect();
        for viewer in USERS {
            let circle = &circles[&viewer];
            let settings = found.get(&viewer).map(|one| one.settings);
            assert_eq!(circle.settings(author), settings);
            let pulled = circle.pulled_from(feed_core::PostId::MAX).contains(&author);
            let is_pulled = |one: &&Follower| one.route != Route::PUSH;
            assert_eq!(pulled, found.get(&viewer).is_some_and(is_pulled));
            assert_eq!(circle.blocks(author), circles[&author].blocks(viewer));
            let hidden = graph.hidden_from(author, &[viewer]).await.unwrap();
            assert_eq!(hidden, [circle.blocks(author) || circle.mutes(author)]);
        }
        assert_eq!(degree.followers, found.len() as u64);
        assert_eq!(
            degree.followees,
            circles[&author].followees().count() as u64
        );
        let key = format!("{{graph:{author}}}:pending");
        assert!(!process.order::<bool>("EXISTS", &key, &[]).await);
        assert_noted(process, author).await;
    }
}

/// Each member of a list is noted to be one, so that they are found there when they are erased.
async fn assert_noted(process: &Process, owner: UserId) {
    for member in process.graph().list(owner, LIST).await.unwrap() {
        let key = format!("{{graph:{member}}}:listed");
        let listing = [owner.get(), LIST.get()].map(u64::to_be_bytes).concat();
        let noted: Option<String> = process.order("ZSCORE", &key, &[&listing]).await;
        assert!(noted.is_some(), "{owner} lists {member}");
    }
}

on_each_place! {
    #[tokio::test] who_looks_ends_what_was_cut_short,
    #[tokio::test(flavor = "multi_thread")] a_crowd_that_dies_in_the_middle_leaves_both_ends_alike,
    #[tokio::test] late_commands_leave_both_ends_alike,
    #[tokio::test] a_copy_that_is_refused_gets_another_number,
    #[tokio::test] a_copy_that_is_ahead_of_its_tie_is_overtaken,
    #[tokio::test] an_edge_that_one_end_has_lost_is_healed_by_who_reroutes_it,
    #[tokio::test] who_reroutes_ends_what_is_pending,
    #[tokio::test] a_number_that_is_ahead_of_its_list_is_overtaken,
}

async fn who_looks_ends_what_was_cut_short(place: Place) {
    let processes = Process::start(place).await;
    for (case, (before, op)) in OPS.iter().flat_map(|a| OPS.map(|b| (a, b))).enumerate() {
        let process = processes.with_prefix(&format!("graph{case}"));
        for half in cut_everywhere(&process, *before, op).await {
            assert_both_ends(&half).await;
        }
    }
}

/// What ANN does to BOB is cut short after each poll, in a part of the key space each.
async fn cut_everywhere(process: &Process, before: Op, op: Op) -> Vec<Process> {
    let mut halves = Vec::new();
    for polls in 1..POLLS {
        let prefix = format!("{}.{polls}:", process.redis.prefix());
        let half = process.with_prefix(&prefix);
        let graph = half.graph();
        for op in [Op::Follow(false), before] {
            apply(&graph, op, (ANN, BOB)).await;
        }
        let ended = cut_short(apply(&graph, op, (ANN, BOB)), polls).await;
        half.arrives().await;
        halves.push(half);
        if ended.is_some() {
            return halves;
        }
    }
    panic!("{op:?} never ends");
}

/// Each operation is cut short, in parts of the key space that begin with the prefix of the process.
pub(crate) async fn cut_some_short(process: &Process) -> Vec<Process> {
    let mut halves = Vec::new();
    for (case, op) in OPS.into_iter().enumerate() {
        for before in [Op::Hide(Hide::Block, true), Op::List(true)] {
            let prefix = format!("{}{case}{before:?}", process.redis.prefix());
            let process = process.with_prefix(&prefix.replace(['{', '}'], ""));
            halves.extend(cut_everywhere(&process, before, op).await);
        }
    }
    halves
}

/// Several processes that die now and then, over a few users, leave both ends of every tie alike, and
/// nothing of who is erased.
async fn a_crowd_that_dies_in_the_middle_leaves_both_ends_alike(place: Place) {
    for round in 0..place.rounds(10) {
        let prefix = format!("crowd{round}:");
        let start = async |_| Process::start(place).await.with_prefix(&prefix);
        let crowd = join_all((0..4).map(start)).await;
        let work = crowd.iter().zip(0..).map(|(process, seed)| {
            let (process, seed) = (process.clone(), round * 4 + seed);
            tokio::spawn(async move {
                let mut rng = fastrand::Rng::with_seed(seed);
                for _ in 0..60 {
                    let (op, pair) = any(&mut rng);
                    let graph = process.graph();
                    cut_short(apply(&graph, op, pair), rng.usize(1..POLLS)).await;
                }
                process.arrives().await;
            })
        });
        for worked in join_all(work).await {
            worked.unwrap();
        }
        let process = &crowd[0];
        assert_both_ends(process).await;
        assert_all_found(process).await;
    }
}

/// Whatever arrives once more, however late, leaves both ends of every tie alike, and nothing that is not
/// found when its user is erased.
async fn late_commands_leave_both_ends_alike(place: Place) {
    let mut tape = Tape::new(place).await;
    let mut rng = fastrand::Rng::with_seed(7);
    for round in 0..place.rounds(400) {
        let (mut op, pair) = any(&mut rng);
        if rng.u8(..3) == 0 {
            op = Op::List(rng.bool());
        }
        apply(&tape.process().graph(), op, pair).await;
        tape.remember().await;
        for _ in 0..rng.usize(..3) {
            tape.replay(&mut rng).await;
        }
        assert_both_ends(tape.process()).await;
        if round % 40 == 39 {
            assert_all_found(tape.process()).await;
        }
        tape.forget().await;
    }
}

fn any(rng: &mut fastrand::Rng) -> (Op, (UserId, UserId)) {
    let at = rng.usize(..3);
    let pair = (USERS[at], USERS[(at + rng.usize(1..3)) % 3]);
    match OPS[rng.usize(..OPS.len())] {
        Op::List(_) => (Op::List(rng.bool()), pair),
        op => (op, pair),
    }
}

/// Nothing is left once all are erased.
async fn assert_all_found(process: &Process) {
    for user in USERS {
        while process.graph().erase(user, 3).await.unwrap() > 0 {}
    }
    assert_both_ends(process).await;
    for user in USERS {
        assert_eq!(process.graph().list(user, LIST).await.unwrap(), []);
        for kind in [
            "followees",
            "followers",
            "ties",
            "muted_by",
            "lists",
            "listed",
        ] {
            let key = format!("{{graph:{user}}}:{kind}");
            assert!(!process.order::<bool>("EXISTS", &key, &[]).await, "{key}");
        }
    }
}

/// A removal at the same author by a viewer whose server's clock is ahead keeps nobody from following.
async fn a_copy_that_is_refused_gets_another_number(place: Place) {
    let process = Process::start(place).await.with_prefix("ahead:");
    let graph = process.graph();
    let ahead = "2000000000000000";
    process
        .order::<i64>(
            "HSET",
            &format!("{{graph:{BOB}}}"),
            &[b"gone", ahead.as_bytes()],
        )
        .await;
    let followed = graph.follow(ANN, BOB, None).await.unwrap();
    graph.hide(ANN, BOB, Hide::Block, true).await.unwrap();
    graph.hide(ANN, BOB, Hide::Mute, true).await.unwrap();
    assert_both_ends(&process).await;
    let stamp = stamp(&graph, ANN, BOB).await;
    assert_eq!(followed, Followed::Added(stamp));
    let [route] = [Route::PUSH].map(|route| EdgeRoute {
        viewer: ANN,
        author: BOB,
        stamp,
        route,
    });
    assert!(graph.reroute(&[route]).await.unwrap()[0].is_some());
    assert_both_ends(&process).await;
    assert!(graph.unfollow(ANN, BOB).await.unwrap());
    assert_both_ends(&process).await;
}

/// A copy whose tie was lost by a server with a clock that was ahead is in nobody's way.
async fn a_copy_that_is_ahead_of_its_tie_is_overtaken(place: Place) {
    let process = Process::start(place).await.with_prefix("overtaken:");
    let graph = process.graph();
    let ahead = 2_000_000_000_000_000_u64;
    let edge = [&[0][..], &ahead.to_be_bytes()].concat();
    let follower = [&row(ANN)[..], &edge].concat();
    let copy = async || {
        let followers = format!("{{graph:{BOB}}}:followers");
        process
            .order::<i64>("ZADD", &followers, &[b"0", &follower])
            .await;
        let block = [b"b", &row(ANN)[..]].concat();
        let ties = format!("{{graph:{BOB}}}:ties");
        process
            .order::<i64>("HSET", &ties, &[&block, &ahead.to_be_bytes()])
            .await;
        let muted_by = format!("{{graph:{BOB}}}:muted_by");
        process
            .order::<i64>(
                "ZADD",
                &muted_by,
                &[ahead.to_string().as_bytes(), &row(ANN)],
            )
            .await;
    };
    copy().await;
    graph.follow(ANN, BOB, None).await.unwrap();
    graph.hide(ANN, BOB, Hide::Block, true).await.unwrap();
    graph.hide(ANN, BOB, Hide::Mute, true).await.unwrap();
    assert_both_ends(&process).await;
    let followers = graph.followers(BOB, None, 9).await.unwrap();
    assert_eq!(followers[0].stamp, stamp(&graph, ANN, BOB).await);
    assert!(graph.erase(ANN, 9).await.unwrap() > 0);

    copy().await;
    until("what has no tie is gone", async || {
        graph.erase(BOB, 9).await.unwrap() == 0
    })
    .await;
    assert_eq!(graph.degrees(&[BOB]).await.unwrap()[0].followers, 0);
    assert_both_ends(&process).await;
}

/// What a server loses at one end alone, with the edge that was there before: nothing, or the older one.
async fn an_edge_that_one_end_has_lost_is_healed_by_who_reroutes_it(place: Place) {
    let followees = &*format!("{{graph:{ANN}}}:followees");
    let followers = &*format!("{{graph:{BOB}}}:followers");
    for (case, (lost_at_viewer, is_new)) in [(true, true), (true, false), (false, false)]
        .into_iter()
        .enumerate()
    {
        let process = Process::start(place).await;
        let process = process.with_prefix(&format!("lost{case}:"));
        let graph = process.graph();
        let first = match graph.follow(ANN, BOB, None).await.unwrap() {
            Followed::Added(stamp) => stamp,
            Followed::Existing(..) => panic!("{case}"),
        };
        let author = BOB.get().to_be_bytes();
        let edge: Vec<u8> = process.order("HGET", followees, &[&author]).await;
        let copies: Vec<Vec<u8>> = process.order("ZRANGE", followers, &[b"0", b"-1"]).await;
        let route = |stamp, route| EdgeRoute {
            viewer: ANN,
            author: BOB,
            stamp,
            route,
        };
        let pulled = graph.reroute(&[route(first, Route::Pull)]).await.unwrap();
        let seen = if lost_at_viewer {
            let (name, rest) = if is_new {
                ("HDEL", &[&author[..]][..])
            } else {
                ("HSET", &[&author[..], &edge][..])
            };
            process.order::<i64>(name, followees, rest).await;
            pulled[0].unwrap()
        } else {
            process.order::<i64>("DEL", followers, &[]).await;
            process
                .order::<i64>("ZADD", followers, &[b"0", &copies[0]])
                .await;
            first
        };
        let stale = graph.reroute(&[route(seen, Route::PUSH)]).await.unwrap();
        assert_eq!(stale, [None]);
        assert_both_ends(&process).await;
        let found = graph.followers(BOB, None, 9).await.unwrap();
        let routes: Vec<_> = found.iter().map(|one| one.route).collect();
        assert_eq!(routes, if is_new { vec![] } else { vec![Route::Both] });
    }
}

/// Somebody who has seen another state of the edge.
async fn who_reroutes_ends_what_is_pending(place: Place) {
    let process = Process::start(place).await.with_prefix("rerouted:");
    let graph = process.graph();
    let Followed::Added(stamp) = graph.follow(ANN, BOB, None).await.unwrap() else {
        panic!("there was an edge");
    };
    let followers = format!("{{graph:{BOB}}}:followers");
    process.order::<i64>("DEL", &followers, &[]).await;
    let (pending, edge) = (
        format!("{{graph:{ANN}}}:pending"),
        [b"F", &row(BOB)[..]].concat(),
    );
    let number = stamp.get().to_be_bytes();
    process
        .order::<i64>("HSET", &pending, &[&edge, &number])
        .await;
    let older = EdgeRoute {
        viewer: ANN,
        author: BOB,
        stamp: RouteStamp::default(),
        route: Route::PUSH,
    };
    assert_eq!(graph.reroute(&[older]).await.unwrap(), [None]);
    assert!(!process.order::<bool>("EXISTS", &pending, &[]).await);
    assert_both_ends(&process).await;
    assert_eq!(graph.followers(BOB, None, 9).await.unwrap().len(), 1);
}

/// The owner's server has lost what its number was, and its clock is behind.
async fn a_number_that_is_ahead_of_its_list_is_overtaken(place: Place) {
    let process = Process::start(place).await.with_prefix("ahead of list:");
    let graph = process.graph();
    // The server knows the scripts.
    graph.set_list(ANN, LIST, &[CAT]).await.unwrap();
    let (ahead, owner) = (b"2000000000000000", format!("{{graph:{ANN}}}"));
    process
        .order::<i64>("HSET", &owner, &[b"last", ahead])
        .await;
    {
        let mut set = pin!(graph.set_list(ANN, LIST, &[BOB]));
        assert!(poll!(&mut set).is_pending());
        // It has its number.
        process.arrives().await;
        process.order::<i64>("HDEL", &owner, &[b"last"]).await;
        set.await.unwrap();
    }
    graph.set_list(ANN, LIST, &[BOB, CAT]).await.unwrap();
    assert_eq!(graph.list(ANN, LIST).await.unwrap(), [BOB, CAT]);

    process.order::<i64>("HDEL", &owner, &[b"last"]).await;
    assert_eq!(graph.erase(BOB, 9).await.unwrap(), 1);
    assert_eq!(graph.erase(BOB, 9).await.unwrap(), 0);
    assert_eq!(graph.list(ANN, LIST).await.unwrap(), [CAT]);
}
