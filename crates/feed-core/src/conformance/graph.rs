//! Cases that every [`Graph`] must pass.
#![expect(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "a case panics to fail"
)]

mod erase;
mod race;
mod relation;
mod route;

pub use erase::*;
pub use race::*;
pub use relation::*;
pub use route::*;

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
            followers_come_in_pages_ascending,
            a_page_of_followers_is_short_only_at_the_end,
            a_walk_meets_every_lasting_follower_once,
            awkward_ids_are_exact,
            circles_answer_in_the_order_asked,
            a_circle_that_was_handed_out_stays_as_it_was,
            degrees_count_edges,
            a_block_hides_in_both_directions,
            two_blocks_are_lifted_one_by_one,
            a_mute_hides_in_one_direction,
            hiding_again_changes_nothing,
            hiding_leaves_edges_alone,
            an_author_is_hidden_across_a_block_and_from_who_mutes,
            a_list_is_replaced_as_a_whole,
            a_list_belongs_to_its_owner,
            erases_every_edge_and_relation_in_slices,
            erases_lists_and_memberships,
            erases_the_route_of_an_author,
            an_erased_user_can_begin_again,
            concurrent_follows_make_one_edge,
            concurrent_follows_of_different_users_are_all_made,
            an_edge_that_comes_and_goes_at_once_is_at_both_ends_or_none,
            of_routes_decided_on_one_sight_one_is_set,
            a_relation_that_comes_and_goes_at_once_is_of_both_or_none,
            concurrent_lists_are_not_mixed,
        );
    };
}

use std::{collections::BTreeSet, sync::Arc};

use super::{Fresh, ROUNDS, awkward_ids};
use crate::{
    Circle, Degree, EdgeRoute, FollowSettings, Followed, Follower, Graph, Hide, ListId, PostId,
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
    match graph.follow(viewer, author, None).await.unwrap() {
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
    let pulled = circle.pulled_from(PostId::new(floor));
    pulled.iter().copied().collect()
}

fn sources(circle: &Circle) -> Vec<UserId> {
    let mut sources = circle.sources().to_vec();
    sources.sort_unstable();
    sources
}

/// A new edge is among the author's followers and in the viewer's circle, and nowhere else.
pub async fn a_follow_shows_at_both_ends(fresh: &Fresh<dyn Graph>) {
    let graph = &*fresh.store;
    let settings = FollowSettings::default().with_notify(true);
    let Followed::Added(stamp) = graph.follow(ANN, BOB, Some(settings)).await.unwrap() else {
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

/// Following somebody who is followed replaces the settings, or keeps them if none are given; route and
/// stamp stay.
pub async fn following_again_changes_the_settings_alone(fresh: &Fresh<dyn Graph>) {
    let graph = &*fresh.store;
    let stamp = follow(graph, ANN, BOB).await;
    let stamp = reroute(graph, (ANN, BOB), stamp, until(5)).await.unwrap();
    for hide in [true, false] {
        let settings = FollowSettings::default()
            .with_hide_reposts(hide)
            .with_notify(!hide);
        for wanted in [Some(settings), None] {
            let followed = graph.follow(ANN, BOB, wanted).await.unwrap();
            assert_eq!(followed, Followed::Existing(until(5), stamp));
            let edge = Follower::new(ANN, settings, until(5), stamp);
            assert_eq!(followers(graph, BOB).await, [edge]);
            assert_eq!(circle(graph, ANN).await.settings(BOB), Some(settings));
        }
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

/// An edge that is made again has the route and, if none are given, the settings of a new edge.
pub async fn following_anew_starts_over(fresh: &Fresh<dyn Graph>) {
    let graph = &*fresh.store;
    let settings = FollowSettings::default().with_hide_reposts(true);
    let Followed::Added(first) = graph.follow(ANN, BOB, Some(settings)).await.unwrap() else {
        panic!("the graph was empty");
    };
    reroute(graph, (ANN, BOB), first, Route::PUSH)
        .await
        .unwrap();
    graph.unfollow(ANN, BOB).await.unwrap();
    let second = follow(graph, ANN, BOB).await;
    let edge = Follower::new(ANN, FollowSettings::default(), Route::Both, second);
    assert_eq!(followers(graph, BOB).await, [edge]);
    assert_eq!(pulled(&*circle(graph, ANN).await, u64::MAX), [BOB].into());
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

/// A page of fewer followers than were asked for is the last, wherever the walk begins and however many
/// there are.
pub async fn a_page_of_followers_is_short_only_at_the_end(fresh: &Fresh<dyn Graph>) {
    let graph = &*fresh.store;
    let ids: Vec<_> = (1..=300).map(|n| n * 3).collect();
    for &id in &ids {
        follow(graph, UserId::new(id), BOB).await;
    }
    // Edges that are gone fill no page.
    let (gone, left): (Vec<u64>, Vec<u64>) = ids.into_iter().partition(|id| id % 7 == 0);
    for id in gone {
        graph.unfollow(UserId::new(id), BOB).await.unwrap();
    }
    for limit in [1, 10, 100, left.len(), left.len() + 1] {
        for after in [0, 1, 7, 450, 890, 900] {
            let page = graph.followers(BOB, Some(UserId::new(after)), limit);
            let beyond = left.iter().filter(|&&id| id > after).count();
            assert_eq!(page.await.unwrap().len(), beyond.min(limit));
        }
    }
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

/// What happens after a circle was answered shows in the next one.
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
