use super::{
    ANN, BOB, BTreeSet, CAT, DAN, EdgeRoute, Fresh, Graph, PostId, Route, circle, follow, follower,
    followers, pulled, reroute, until,
};

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
