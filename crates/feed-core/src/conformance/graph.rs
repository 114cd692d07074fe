//! Cases that every [`Graph`] must pass.
#![expect(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "a case panics to fail"
)]

/// One test per guarantee of [`Graph`](crate::Graph), over the empty graph that `$fresh` makes, with
/// room for 2,000 edges.
#[macro_export]
macro_rules! graph_conformance {
    ($fresh:expr) => {
        $crate::conformance::conformance_cases!(graph_conformance, [$crate::conformance::graph], $fresh =>
            a_follow_shows_at_both_ends,
            a_new_edge_is_pushed_and_pulled,
            following_again_changes_the_settings_alone,
            an_unfollow_ends_the_edge,
            following_anew_starts_over,
            a_reroute_reaches_fanout_and_readers,
            a_stale_stamp_reroutes_nothing,
            a_stamp_of_an_edge_that_was_made_again_is_stale,
            reroutes_answer_in_the_order_asked,
            authors_are_pushed_unless_routed,
            an_author_route_reaches_all_followers_and_nobody_else,
            a_stale_stamp_routes_no_author,
            of_two_routes_decided_on_one_sight_one_is_set,
            followers_come_in_pages_ascending,
            a_walk_meets_every_lasting_follower_once,
            awkward_ids_are_exact,
            circles_answer_in_the_order_asked,
            a_circle_that_was_handed_out_stays_as_it_was,
            degrees_count_edges,
            concurrent_follows_make_one_edge,
            a_block_hides_in_both_directions,
            two_blocks_are_lifted_one_by_one,
            a_mute_hides_in_one_direction,
            hiding_again_changes_nothing,
            hiding_leaves_edges_alone,
            a_list_is_replaced_as_a_whole,
            a_list_belongs_to_its_owner,
            erases_every_edge_and_relation_in_slices,
            erases_lists_and_memberships,
            erases_the_route_of_an_author,
            an_erased_user_can_begin_again,
        );
    };
}

use std::{collections::BTreeSet, sync::Arc};

use futures::{future::join_all, join};

use super::{Fresh, awkward_ids};
use crate::{
    Circle, Degree, EdgeRoute, EdgeSettings, Followed, Follower, Graph, Hide, ListId, PostId,
    Route, RouteStamp, UserId,
};

const ANN: UserId = UserId::new(1);
const BOB: UserId = UserId::new(u64::MAX);
const CAT: UserId = UserId::new((1 << 53) + 1);
const DAN: UserId = UserId::new((1 << 53) + 2);
const CLOSE: ListId = ListId::new(7);

fn until(post: u64) -> Route {
    Route::Push {
        pulled_until: Some(PostId::new(post)),
    }
}

async fn follow(graph: &dyn Graph, viewer: UserId, author: UserId) -> RouteStamp {
    let settings = EdgeSettings::default();
    match graph.follow(viewer, author, settings).await.unwrap() {
        Followed::Added(stamp) => stamp,
        Followed::Existing(..) => panic!("{viewer} follows {author} already"),
    }
}

async fn reroute(
    graph: &dyn Graph,
    (viewer, author): (UserId, UserId),
    stamp: RouteStamp,
    route: Route,
) -> Option<RouteStamp> {
    let edge = EdgeRoute {
        viewer,
        author,
        stamp,
        route,
    };
    graph.reroute(&[edge]).await.unwrap()[0]
}

async fn followers(graph: &dyn Graph, author: UserId) -> Vec<Follower> {
    graph.followers(author, None, 100).await.unwrap()
}

async fn follower(graph: &dyn Graph, viewer: UserId, author: UserId) -> Follower {
    let all = followers(graph, author).await;
    all.into_iter().find(|one| one.viewer == viewer).unwrap()
}

async fn circle(graph: &dyn Graph, viewer: UserId) -> Arc<Circle> {
    graph.circles(&[viewer]).await.unwrap().remove(0)
}

async fn degree(graph: &dyn Graph, user: UserId) -> (u64, u64) {
    let degree = graph.degrees(&[user]).await.unwrap()[0];
    (degree.followers, degree.followees)
}

async fn hide(graph: &dyn Graph, viewer: UserId, other: UserId, how: Hide, on: bool) -> bool {
    graph.hide(viewer, other, how, on).await.unwrap()
}

async fn members(graph: &dyn Graph, owner: UserId, list: ListId) -> Vec<UserId> {
    let mut members = graph.list(owner, list).await.unwrap();
    members.sort_unstable();
    members
}

fn pulled(circle: &Circle, floor: u64) -> BTreeSet<UserId> {
    circle.pulled_from(PostId::new(floor)).collect()
}

fn sources(circle: &Circle) -> Vec<UserId> {
    let mut sources = circle.sources().to_vec();
    sources.sort_unstable();
    sources
}

/// A new edge is among the author's followers and in the viewer's circle, and nowhere else.
pub async fn a_follow_shows_at_both_ends(fresh: &Fresh<dyn Graph>) {
    let graph = &*fresh.store;
    let settings = EdgeSettings::default().with_notify(true);
    let Followed::Added(stamp) = graph.follow(ANN, BOB, settings).await.unwrap() else {
        panic!("the graph was empty");
    };
    let edge = Follower::new(ANN, settings, Route::Both, stamp);
    assert_eq!(followers(graph, BOB).await, [edge]);
    assert_eq!(followers(graph, ANN).await, []);
    let (ann, bob) = (circle(graph, ANN).await, circle(graph, BOB).await);
    assert_eq!((ann.viewer(), ann.settings(BOB)), (ANN, Some(settings)));
    assert_eq!(sources(&ann), [ANN, BOB]);
    assert!(!bob.follows(ANN));
    assert_eq!(sources(&bob), [BOB]);
}

/// Fanout writes along a new edge, and its reader pulls all the same.
pub async fn a_new_edge_is_pushed_and_pulled(fresh: &Fresh<dyn Graph>) {
    let graph = &*fresh.store;
    follow(graph, ANN, BOB).await;
    assert_eq!(follower(graph, ANN, BOB).await.route, Route::Both);
    assert_eq!(pulled(&*circle(graph, ANN).await, u64::MAX), [BOB].into());
}

/// Following somebody who is followed replaces the settings; route and stamp stay.
pub async fn following_again_changes_the_settings_alone(fresh: &Fresh<dyn Graph>) {
    let graph = &*fresh.store;
    let stamp = follow(graph, ANN, BOB).await;
    let stamp = reroute(graph, (ANN, BOB), stamp, until(5)).await.unwrap();
    for hide in [true, false] {
        let settings = EdgeSettings::default()
            .with_hide_reposts(hide)
            .with_notify(!hide);
        let followed = graph.follow(ANN, BOB, settings).await.unwrap();
        assert_eq!(followed, Followed::Existing(until(5), stamp));
        let edge = Follower::new(ANN, settings, until(5), stamp);
        assert_eq!(followers(graph, BOB).await, [edge]);
        assert_eq!(circle(graph, ANN).await.settings(BOB), Some(settings));
    }
    assert_eq!(degree(graph, BOB).await, (1, 0));
}

/// After an unfollow neither end knows of the edge; to repeat it changes nothing.
pub async fn an_unfollow_ends_the_edge(fresh: &Fresh<dyn Graph>) {
    let graph = &*fresh.store;
    follow(graph, ANN, BOB).await;
    follow(graph, BOB, ANN).await;
    assert!(circle(graph, ANN).await.follows(BOB));
    for there in [true, false] {
        assert_eq!(graph.unfollow(ANN, BOB).await.unwrap(), there);
        assert_eq!(followers(graph, BOB).await, []);
        let ann = circle(graph, ANN).await;
        assert!(!ann.follows(BOB) && pulled(&ann, 0).is_empty());
    }
    assert!(circle(graph, BOB).await.follows(ANN));
}

/// An edge that is made again has the route of a new edge and the settings of its last follow.
pub async fn following_anew_starts_over(fresh: &Fresh<dyn Graph>) {
    let graph = &*fresh.store;
    let settings = EdgeSettings::default().with_hide_reposts(true);
    let Followed::Added(first) = graph.follow(ANN, BOB, settings).await.unwrap() else {
        panic!("the graph was empty");
    };
    reroute(graph, (ANN, BOB), first, Route::PUSH)
        .await
        .unwrap();
    graph.unfollow(ANN, BOB).await.unwrap();
    let second = follow(graph, ANN, BOB).await;
    let edge = Follower::new(ANN, EdgeSettings::default(), Route::Both, second);
    assert_eq!(followers(graph, BOB).await, [edge]);
    assert_eq!(pulled(&*circle(graph, ANN).await, u64::MAX), [BOB].into());
}

/// Each route of an edge is what fanout finds and what readers go by, to the very post.
pub async fn a_reroute_reaches_fanout_and_readers(fresh: &Fresh<dyn Graph>) {
    let graph = &*fresh.store;
    let mut stamp = follow(graph, ANN, BOB).await;
    follow(graph, ANN, CAT).await;
    let routes = [
        Route::PUSH,
        until(9),
        until(u64::MAX),
        Route::Pull,
        until(0),
        Route::Both,
    ];
    for route in routes {
        let next = reroute(graph, (ANN, BOB), stamp, route).await.unwrap();
        assert_ne!(next, stamp);
        stamp = next;
        let found = follower(graph, ANN, BOB).await;
        assert_eq!((found.route, found.stamp), (route, stamp));
        let circle = circle(graph, ANN).await;
        for floor in [0, 1, 9, 10, u64::MAX] {
            let expected = route.is_pulled_from(PostId::new(floor));
            assert_eq!(
                pulled(&circle, floor).contains(&BOB),
                expected,
                "{route:?} {floor}"
            );
        }
    }
}

/// A change that was decided on an older sight of the edge is refused.
pub async fn a_stale_stamp_reroutes_nothing(fresh: &Fresh<dyn Graph>) {
    let graph = &*fresh.store;
    let first = follow(graph, ANN, BOB).await;
    let second = reroute(graph, (ANN, BOB), first, Route::Pull)
        .await
        .unwrap();
    assert_eq!(reroute(graph, (ANN, BOB), first, Route::PUSH).await, None);
    let found = follower(graph, ANN, BOB).await;
    assert_eq!((found.route, found.stamp), (Route::Pull, second));
    assert_eq!(pulled(&*circle(graph, ANN).await, 9), [BOB].into());
}

/// No stamp comes back, not even after the edge was removed and made again.
pub async fn a_stamp_of_an_edge_that_was_made_again_is_stale(fresh: &Fresh<dyn Graph>) {
    let graph = &*fresh.store;
    let mut stamps = Vec::new();
    for _ in 0..4 {
        let added = follow(graph, ANN, BOB).await;
        for &old in &stamps {
            assert_eq!(reroute(graph, (ANN, BOB), old, Route::PUSH).await, None);
        }
        stamps.push(added);
        stamps.push(
            reroute(graph, (ANN, BOB), added, Route::Pull)
                .await
                .unwrap(),
        );
        graph.unfollow(ANN, BOB).await.unwrap();
    }
    let distinct: BTreeSet<_> = stamps.iter().map(|stamp| stamp.get()).collect();
    assert_eq!(distinct.len(), stamps.len());
}

/// A batch of reroutes answers edge by edge; one that is refused stops no other.
pub async fn reroutes_answer_in_the_order_asked(fresh: &Fresh<dyn Graph>) {
    let graph = &*fresh.store;
    let bob = follow(graph, ANN, BOB).await;
    let cat = follow(graph, ANN, CAT).await;
    let change = |viewer, author, stamp| EdgeRoute {
        viewer,
        author,
        stamp,
        route: Route::PUSH,
    };
    let changes = [
        change(ANN, CAT, cat),
        change(BOB, ANN, bob),
        change(ANN, CAT, cat),
        change(ANN, BOB, bob),
    ];
    let answers = graph.reroute(&changes).await.unwrap();
    assert_eq!(
        answers.iter().map(Option::is_some).collect::<Vec<_>>(),
        [true, false, false, true]
    );
    assert_eq!(answers[0], Some(follower(graph, ANN, CAT).await.stamp));
    assert_eq!(answers[3], Some(follower(graph, ANN, BOB).await.stamp));
    assert_eq!(followers(graph, ANN).await, []);
    assert_eq!(graph.reroute(&[]).await.unwrap(), []);
}

/// An author is pushed until routed, and has the route that was set last.
pub async fn authors_are_pushed_unless_routed(fresh: &Fresh<dyn Graph>) {
    let graph = &*fresh.store;
    let (route, mut stamp) = graph.author_route(BOB).await.unwrap();
    assert_eq!(route, Route::PUSH);
    for route in [Route::Both, Route::Pull, until(3), Route::PUSH] {
        let next = graph
            .route_author(BOB, stamp, route)
            .await
            .unwrap()
            .unwrap();
        assert_ne!(next, stamp);
        stamp = next;
        assert_eq!(graph.author_route(BOB).await.unwrap(), (route, stamp));
    }
    assert_eq!(graph.author_route(ANN).await.unwrap().0, Route::PUSH);
}

/// A circle that was read before shows an author's new route, if its viewer follows the author.
pub async fn an_author_route_reaches_all_followers_and_nobody_else(fresh: &Fresh<dyn Graph>) {
    let graph = &*fresh.store;
    for author in [BOB, CAT] {
        let stamp = follow(graph, ANN, author).await;
        reroute(graph, (ANN, author), stamp, Route::PUSH)
            .await
            .unwrap();
    }
    let stamp = follow(graph, DAN, CAT).await;
    reroute(graph, (DAN, CAT), stamp, until(4)).await.unwrap();
    let mut stamp = graph.author_route(BOB).await.unwrap().1;
    for route in [Route::Pull, until(9), Route::Both, Route::PUSH] {
        assert_eq!(pulled(&*circle(graph, DAN).await, 4), [CAT].into());
        let set = graph.route_author(BOB, stamp, route).await.unwrap();
        stamp = set.unwrap();
        let circle = circle(graph, ANN).await;
        for floor in [9, 10] {
            let expected = route.is_pulled_from(PostId::new(floor));
            assert_eq!(pulled(&circle, floor).contains(&BOB), expected);
            assert!(!pulled(&circle, floor).contains(&CAT));
        }
        assert_eq!(follower(graph, ANN, BOB).await.route, Route::PUSH);
    }
}

/// An author's route is not set on an older sight of it.
pub async fn a_stale_stamp_routes_no_author(fresh: &Fresh<dyn Graph>) {
    let graph = &*fresh.store;
    follow(graph, ANN, BOB).await;
    let first = graph.author_route(BOB).await.unwrap().1;
    let second = graph.route_author(BOB, first, Route::Pull).await.unwrap();
    assert_eq!(
        graph.route_author(BOB, first, Route::PUSH).await.unwrap(),
        None
    );
    let found = graph.author_route(BOB).await.unwrap();
    assert_eq!(found, (Route::Pull, second.unwrap()));
}

/// Of changes at the same time that go out from one stamp, exactly one is made.
pub async fn of_two_routes_decided_on_one_sight_one_is_set(fresh: &Fresh<dyn Graph>) {
    let graph = &*fresh.store;
    let edge = follow(graph, ANN, BOB).await;
    let (one, two) = join!(
        reroute(graph, (ANN, BOB), edge, Route::Pull),
        reroute(graph, (ANN, BOB), edge, Route::PUSH),
    );
    assert!(one.is_some() != two.is_some());
    let found = follower(graph, ANN, BOB).await;
    assert_eq!(Some(found.stamp), one.or(two));

    let author = graph.author_route(BOB).await.unwrap().1;
    let (one, two) = join!(
        graph.route_author(BOB, author, Route::Pull),
        graph.route_author(BOB, author, Route::Both),
    );
    let (one, two) = (one.unwrap(), two.unwrap());
    assert!(one.is_some() != two.is_some());
    let found = graph.author_route(BOB).await.unwrap();
    assert_eq!(Some(found.1), one.or(two));
}

/// Followers come in ascending order of id, no more than asked, each once.
pub async fn followers_come_in_pages_ascending(fresh: &Fresh<dyn Graph>) {
    let graph = &*fresh.store;
    let ids = (1..=23_u64).map(|n| n * 77 % 101);
    for id in ids.clone() {
        follow(graph, UserId::new(id), BOB).await;
    }
    let mut sorted: Vec<_> = ids.collect();
    sorted.sort_unstable();
    for limit in [1, 7, 23, 24, 1_000_000] {
        let (mut walked, mut after) = (Vec::new(), None);
        loop {
            let page = graph.followers(BOB, after, limit).await.unwrap();
            assert!(page.len() <= limit);
            let Some(last) = page.last() else { break };
            after = Some(last.viewer);
            walked.extend(page.iter().map(|follower| follower.viewer.get()));
        }
        assert_eq!(walked, sorted);
    }
    assert_eq!(graph.followers(BOB, None, 0).await.unwrap(), []);
    assert_eq!(graph.followers(DAN, None, 9).await.unwrap(), []);
}

/// Edges that come and go during a walk neither hide nor repeat one that stays.
pub async fn a_walk_meets_every_lasting_follower_once(fresh: &Fresh<dyn Graph>) {
    let graph = &*fresh.store;
    for id in 100..200 {
        follow(graph, UserId::new(id), BOB).await;
    }
    let (mut walked, mut after) = (Vec::new(), None);
    for round in 0_u64.. {
        let page = graph.followers(BOB, after, 9).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.viewer);
        walked.extend(page.iter().map(|follower| follower.viewer.get()));
        // The page's last follower goes too: the next page starts from an edge that is gone.
        for gone in [last.viewer.get(), 100 + round * 2 + 1].map(UserId::new) {
            graph.unfollow(gone, BOB).await.unwrap();
        }
        follow(graph, UserId::new(round + 1), BOB).await;
        follow(graph, UserId::new(1_000 - round), BOB).await;
    }
    assert!(walked.is_sorted_by(|a, b| a < b), "{walked:?}");
    for lasting in graph
        .followers(BOB, Some(UserId::new(99)), 100)
        .await
        .unwrap()
    {
        let id = lasting.viewer.get();
        assert!(id >= 200 || walked.contains(&id), "{id}");
    }
}

/// User ids and posts of routes are exact over all 64 bits.
pub async fn awkward_ids_are_exact(fresh: &Fresh<dyn Graph>) {
    let graph = &*fresh.store;
    let author = UserId::new(5);
    let ids = awkward_ids();
    for &id in ids.iter().rev() {
        let viewer = UserId::new(id);
        let stamp = follow(graph, viewer, author).await;
        reroute(graph, (viewer, author), stamp, until(id))
            .await
            .unwrap();
    }
    let all = graph.followers(author, None, 99).await.unwrap();
    let (walked, routes): (Vec<_>, Vec<_>) =
        all.iter().map(|one| (one.viewer.get(), one.route)).unzip();
    assert_eq!(walked, ids);
    assert_eq!(routes, ids.iter().map(|&id| until(id)).collect::<Vec<_>>());
    for (n, &id) in ids.iter().enumerate() {
        let next = graph
            .followers(author, Some(UserId::new(id)), 1)
            .await
            .unwrap();
        let next = next.first().map(|follower| follower.viewer.get());
        assert_eq!(next, ids.get(n + 1).copied());
        let circle = circle(graph, UserId::new(id)).await;
        assert_eq!(pulled(&circle, id), [author].into());
        if id < u64::MAX {
            assert!(pulled(&circle, id + 1).is_empty());
        }
    }
}

/// A batch of circles answers viewer by viewer; a stranger's holds the stranger alone.
pub async fn circles_answer_in_the_order_asked(fresh: &Fresh<dyn Graph>) {
    let graph = &*fresh.store;
    follow(graph, ANN, BOB).await;
    follow(graph, BOB, CAT).await;
    let circles = graph.circles(&[BOB, DAN, ANN, BOB]).await.unwrap();
    let viewers: Vec<_> = circles.iter().map(|circle| circle.viewer()).collect();
    assert_eq!(viewers, [BOB, DAN, ANN, BOB]);
    let all: Vec<_> = circles.iter().map(|circle| sources(circle)).collect();
    let bob = vec![CAT, BOB];
    assert_eq!(all, [bob.clone(), vec![DAN], vec![ANN, BOB], bob]);
}

/// A circle is of one instant: what happens later shows in the next one.
pub async fn a_circle_that_was_handed_out_stays_as_it_was(fresh: &Fresh<dyn Graph>) {
    let graph = &*fresh.store;
    follow(graph, ANN, BOB).await;
    let before = circle(graph, ANN).await;
    follow(graph, ANN, CAT).await;
    hide(graph, ANN, BOB, Hide::Mute, true).await;
    assert!(!before.follows(CAT) && !before.mutes(BOB));
    let after = circle(graph, ANN).await;
    assert!(after.follows(CAT) && after.mutes(BOB));
}

/// Degrees count the edges at each end, in the order asked.
pub async fn degrees_count_edges(fresh: &Fresh<dyn Graph>) {
    let graph = &*fresh.store;
    for (viewer, author) in [(ANN, BOB), (CAT, BOB), (DAN, BOB), (BOB, ANN), (ANN, CAT)] {
        follow(graph, viewer, author).await;
    }
    graph.unfollow(DAN, BOB).await.unwrap();
    let degree = |followers, followees| Degree {
        followers,
        followees,
    };
    let degrees = graph.degrees(&[BOB, DAN, ANN, CAT, BOB]).await.unwrap();
    let bob = degree(2, 1);
    assert_eq!(
        degrees,
        [bob, degree(0, 0), degree(1, 2), degree(1, 1), bob]
    );
}

/// Of follows of one edge at the same time, exactly one adds it.
pub async fn concurrent_follows_make_one_edge(fresh: &Fresh<dyn Graph>) {
    let graph = &*fresh.store;
    let settings = EdgeSettings::default();
    let follows = (0..20).map(|_| graph.follow(ANN, BOB, settings));
    let answers = join_all(follows).await;
    let added = answers
        .iter()
        .filter(|one| matches!(one, Ok(Followed::Added(_))));
    assert_eq!(added.count(), 1);
    assert_eq!(degree(graph, BOB).await, (1, 0));
    assert_eq!(degree(graph, ANN).await, (0, 1));
}

/// A block is in the circles of both, whoever made it, until it is taken back.
pub async fn a_block_hides_in_both_directions(fresh: &Fresh<dyn Graph>) {
    let graph = &*fresh.store;
    for on in [true, false] {
        assert!(hide(graph, ANN, BOB, Hide::Block, on).await);
        assert_eq!(circle(graph, ANN).await.blocks(BOB), on);
        assert_eq!(circle(graph, BOB).await.blocks(ANN), on);
    }
    hide(graph, ANN, BOB, Hide::Block, true).await;
    let (ann, bob) = (circle(graph, ANN).await, circle(graph, BOB).await);
    assert!(!ann.mutes(BOB) && !bob.mutes(ANN));
    assert!(!ann.blocks(CAT) && !circle(graph, CAT).await.blocks(ANN));
}

/// Two users who block each other do so until both have taken it back.
pub async fn two_blocks_are_lifted_one_by_one(fresh: &Fresh<dyn Graph>) {
    let graph = &*fresh.store;
    assert!(hide(graph, ANN, BOB, Hide::Block, true).await);
    assert!(hide(graph, BOB, ANN, Hide::Block, true).await);
    assert!(hide(graph, ANN, BOB, Hide::Block, false).await);
    assert!(circle(graph, ANN).await.blocks(BOB) && circle(graph, BOB).await.blocks(ANN));
    assert!(hide(graph, BOB, ANN, Hide::Block, false).await);
    assert!(!circle(graph, ANN).await.blocks(BOB) && !circle(graph, BOB).await.blocks(ANN));
}

/// A mute is in the muting viewer's circle alone, and is no block.
pub async fn a_mute_hides_in_one_direction(fresh: &Fresh<dyn Graph>) {
    let graph = &*fresh.store;
    for on in [true, false] {
        assert!(hide(graph, ANN, BOB, Hide::Mute, on).await);
        let (ann, bob) = (circle(graph, ANN).await, circle(graph, BOB).await);
        assert_eq!(ann.mutes(BOB), on);
        assert!(!ann.blocks(BOB) && !bob.mutes(ANN) && !bob.blocks(ANN));
    }
}

/// A relation that is there, or is not, cannot be made or taken back once more.
pub async fn hiding_again_changes_nothing(fresh: &Fresh<dyn Graph>) {
    let graph = &*fresh.store;
    for how in [Hide::Block, Hide::Mute] {
        assert!(!hide(graph, ANN, BOB, how, false).await);
        assert!(hide(graph, ANN, BOB, how, true).await);
        assert!(!hide(graph, ANN, BOB, how, true).await);
    }
    assert!(hide(graph, ANN, BOB, Hide::Mute, false).await);
    assert!(!hide(graph, ANN, BOB, Hide::Mute, false).await);
    assert!(circle(graph, ANN).await.blocks(BOB));
}

/// Blocking and muting leave follow edges in both directions as they are.
pub async fn hiding_leaves_edges_alone(fresh: &Fresh<dyn Graph>) {
    let graph = &*fresh.store;
    follow(graph, ANN, BOB).await;
    follow(graph, BOB, ANN).await;
    let before = (followers(graph, ANN).await, followers(graph, BOB).await);
    for on in [true, false] {
        for how in [Hide::Block, Hide::Mute] {
            hide(graph, ANN, BOB, how, on).await;
        }
        assert!(circle(graph, ANN).await.follows(BOB));
        assert!(circle(graph, BOB).await.follows(ANN));
        let after = (followers(graph, ANN).await, followers(graph, BOB).await);
        assert_eq!(after, before);
    }
}

/// Setting a list leaves exactly the members given, each once; no members remove it.
pub async fn a_list_is_replaced_as_a_whole(fresh: &Fresh<dyn Graph>) {
    let graph = &*fresh.store;
    assert_eq!(members(graph, ANN, CLOSE).await, []);
    for (set, expected) in [
        (vec![BOB, CAT, BOB], vec![CAT, BOB]),
        (vec![DAN, BOB], vec![DAN, BOB]),
        (vec![ANN], vec![ANN]),
        (vec![], vec![]),
    ] {
        for _ in 0..2 {
            graph.set_list(ANN, CLOSE, &set).await.unwrap();
            assert_eq!(members(graph, ANN, CLOSE).await, expected);
        }
    }
}

/// Lists of different owners, and different lists of one owner, have nothing to do with each other.
pub async fn a_list_belongs_to_its_owner(fresh: &Fresh<dyn Graph>) {
    let graph = &*fresh.store;
    let far = ListId::new(u64::MAX);
    graph.set_list(ANN, CLOSE, &[BOB]).await.unwrap();
    graph.set_list(ANN, far, &[DAN]).await.unwrap();
    graph.set_list(BOB, CLOSE, &[CAT]).await.unwrap();
    graph.set_list(ANN, far, &[]).await.unwrap();
    assert_eq!(members(graph, ANN, CLOSE).await, [BOB]);
    assert_eq!(members(graph, ANN, far).await, []);
    assert_eq!(members(graph, BOB, CLOSE).await, [CAT]);
    assert!(!circle(graph, ANN).await.follows(BOB));
}

/// Erasing takes no more at once than asked, counts each edge and relation once, and ends at zero
/// with nothing left of the user; what ties others stays.
pub async fn erases_every_edge_and_relation_in_slices(fresh: &Fresh<dyn Graph>) {
    let graph = &*fresh.store;
    for id in 10..15 {
        follow(graph, UserId::new(id), ANN).await;
        follow(graph, ANN, UserId::new(id)).await;
        follow(graph, UserId::new(id), BOB).await;
    }
    for how in [Hide::Block, Hide::Mute] {
        hide(graph, ANN, BOB, how, true).await;
        hide(graph, CAT, ANN, how, true).await;
        hide(graph, CAT, BOB, how, true).await;
    }
    let mut slices = Vec::new();
    loop {
        let erased = graph.erase(ANN, 4).await.unwrap();
        slices.push(erased);
        if erased == 0 {
            break;
        }
    }
    assert!(slices.iter().all(|&erased| erased <= 4), "{slices:?}");
    assert_eq!(slices.iter().sum::<usize>(), 14);
    assert_eq!(degree(graph, ANN).await, (0, 0));
    assert_eq!(followers(graph, ANN).await, []);
    let ann = circle(graph, ANN).await;
    assert!(!ann.blocks(BOB) && !ann.blocks(CAT) && !ann.mutes(BOB));
    assert_eq!(sources(&ann), [ANN]);
    let (bob, cat) = (circle(graph, BOB).await, circle(graph, CAT).await);
    assert!(!bob.blocks(ANN) && !cat.blocks(ANN) && !cat.mutes(ANN));
    assert!(bob.blocks(CAT) && cat.blocks(BOB) && cat.mutes(BOB));
    assert_eq!(degree(graph, BOB).await, (5, 0));
    for id in (10..15).map(UserId::new) {
        assert_eq!(degree(graph, id).await, (0, 1));
        assert_eq!(sources(&*circle(graph, id).await), [id, BOB]);
    }
}

/// Erasing a user removes their lists and takes them out of everybody else's.
pub async fn erases_lists_and_memberships(fresh: &Fresh<dyn Graph>) {
    let graph = &*fresh.store;
    graph.set_list(ANN, CLOSE, &[BOB, CAT, ANN]).await.unwrap();
    graph.set_list(BOB, CLOSE, &[ANN, CAT]).await.unwrap();
    graph.set_list(CAT, CLOSE, &[ANN]).await.unwrap();
    graph.set_list(DAN, CLOSE, &[BOB]).await.unwrap();
    while graph.erase(ANN, 2).await.unwrap() > 0 {}
    assert_eq!(members(graph, ANN, CLOSE).await, []);
    assert_eq!(members(graph, BOB, CLOSE).await, [CAT]);
    assert_eq!(members(graph, CAT, CLOSE).await, []);
    assert_eq!(members(graph, DAN, CLOSE).await, [BOB]);
}

/// Erasing an author forgets their route, and no change decided on before can be made after.
pub async fn erases_the_route_of_an_author(fresh: &Fresh<dyn Graph>) {
    let graph = &*fresh.store;
    let unset = graph.author_route(BOB).await.unwrap().1;
    let set = graph.route_author(BOB, unset, Route::Pull).await.unwrap();
    while graph.erase(BOB, 9).await.unwrap() > 0 {}
    assert_eq!(graph.author_route(BOB).await.unwrap().0, Route::PUSH);
    for stale in [unset, set.unwrap()] {
        assert_eq!(
            graph.route_author(BOB, stale, Route::Both).await.unwrap(),
            None
        );
    }
    let now = graph.author_route(BOB).await.unwrap().1;
    assert!(
        graph
            .route_author(BOB, now, Route::Both)
            .await
            .unwrap()
            .is_some()
    );
}

/// A user who was erased has a fresh start, and stamps from before stay stale.
pub async fn an_erased_user_can_begin_again(fresh: &Fresh<dyn Graph>) {
    let graph = &*fresh.store;
    assert_eq!(graph.erase(ANN, 9).await.unwrap(), 0);
    let old = follow(graph, ANN, BOB).await;
    while graph.erase(ANN, 9).await.unwrap() > 0 {}
    let new = follow(graph, ANN, BOB).await;
    assert_eq!(reroute(graph, (ANN, BOB), old, Route::PUSH).await, None);
    assert!(reroute(graph, (ANN, BOB), new, Route::PUSH).await.is_some());
    assert_eq!(degree(graph, ANN).await, (0, 1));
}
