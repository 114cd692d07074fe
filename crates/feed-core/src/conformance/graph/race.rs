use super::{
    Arc, CLOSE, Followed, Fresh, Graph, Hide, ROUNDS, Route, RouteStamp, UserId, circle, degree,
    follow, follower, followers, hide, members, reroute,
};

/// The users of a round; no two rounds share one.
const fn user(round: u64, n: u64) -> UserId {
    UserId::new(1_000 + round * 10 + n)
}

/// Of follows of one edge at the same time, exactly one adds it.
pub async fn concurrent_follows_make_one_edge(fresh: &Fresh<dyn Graph>) {
    let graph = &*fresh.store;
    for round in 0..ROUNDS {
        let [ann, bob] = [0, 1].map(|n| user(round, n));
        let call = move |graph: Arc<dyn Graph>, _| async move {
            let followed = graph.follow(ann, bob, None).await;
            match followed.unwrap() {
                Followed::Added(stamp) => (true, stamp),
                Followed::Existing(_, stamp) => (false, stamp),
            }
        };
        let answers = fresh.at_once(4, call).await;
        assert_eq!(answers.iter().filter(|(added, _)| *added).count(), 1);
        let stamp = follower(graph, ann, bob).await.stamp;
        assert!(answers.iter().all(|(_, answered)| *answered == stamp));
        assert_eq!(degree(graph, bob).await, (1, 0));
        assert_eq!(degree(graph, ann).await, (0, 1));
    }
}

/// Edges of one user that are made at the same time, in either direction, are all made.
pub async fn concurrent_follows_of_different_users_are_all_made(fresh: &Fresh<dyn Graph>) {
    let graph = &*fresh.store;
    for round in 0..ROUNDS {
        let ann = user(round, 0);
        let call = move |graph: Arc<dyn Graph>, n| async move {
            let other = user(round, 1 + n as u64);
            if n < 2 {
                follow(&*graph, ann, other).await;
            } else {
                follow(&*graph, other, ann).await;
            }
        };
        fresh.at_once(4, call).await;
        let circle = circle(graph, ann).await;
        assert!([1, 2].iter().all(|&n| circle.follows(user(round, n))));
        let viewers = followers(graph, ann).await;
        let viewers: Vec<_> = viewers.iter().map(|one| one.viewer).collect();
        assert_eq!(viewers, [3, 4].map(|n| user(round, n)));
        assert_eq!(degree(graph, ann).await, (2, 2));
    }
}

/// An edge that is made and removed at the same time is at both of its ends afterwards or at neither,
/// as the answers say.
pub async fn an_edge_that_comes_and_goes_at_once_is_at_both_ends_or_none(fresh: &Fresh<dyn Graph>) {
    let graph = &*fresh.store;
    for round in 0..ROUNDS {
        let [ann, bob] = [0, 1].map(|n| user(round, n));
        let call = move |graph: Arc<dyn Graph>, n: usize| async move {
            let mut edges = 0;
            for step in 0..4 + n % 2 {
                if step % 2 == 0 {
                    let followed = graph.follow(ann, bob, None).await;
                    edges += i64::from(matches!(followed.unwrap(), Followed::Added(_)));
                } else {
                    edges -= i64::from(graph.unfollow(ann, bob).await.unwrap());
                }
            }
            edges
        };
        let edges: i64 = fresh.at_once(4, call).await.into_iter().sum();
        let there = circle(graph, ann).await.follows(bob);
        assert_eq!(edges, i64::from(there));
        assert_eq!(followers(graph, bob).await.len(), usize::from(there));
        assert_eq!(degree(graph, ann).await, (0, u64::from(there)));
        assert_eq!(degree(graph, bob).await, (u64::from(there), 0));
    }
}

/// Of changes at the same time that go out from one stamp, exactly one is made.
pub async fn of_routes_decided_on_one_sight_one_is_set(fresh: &Fresh<dyn Graph>) {
    const ROUTES: [Route; 3] = [Route::Pull, Route::PUSH, Route::Both];
    let graph = &*fresh.store;
    for round in 0..ROUNDS {
        let [ann, bob] = [0, 1].map(|n| user(round, n));
        let edge = follow(graph, ann, bob).await;
        let call = move |graph: Arc<dyn Graph>, n: usize| async move {
            reroute(&*graph, (ann, bob), edge, ROUTES[n]).await
        };
        let (route, stamp) = only(&ROUTES, &fresh.at_once(3, call).await);
        let found = follower(graph, ann, bob).await;
        assert_eq!((found.route, found.stamp), (route, stamp));

        let author = graph.author_route(bob).await.unwrap().1;
        let call = move |graph: Arc<dyn Graph>, n: usize| async move {
            graph.route_author(bob, author, ROUTES[n]).await.unwrap()
        };
        let set = only(&ROUTES, &fresh.at_once(3, call).await);
        assert_eq!(graph.author_route(bob).await.unwrap(), set);
    }
}

/// The one route that was set, and its stamp.
fn only(routes: &[Route], answers: &[Option<RouteStamp>]) -> (Route, RouteStamp) {
    let set = routes.iter().zip(answers);
    let set: Vec<_> = set
        .filter_map(|(route, stamp)| Some((*route, (*stamp)?)))
        .collect();
    assert_eq!(set.len(), 1, "{answers:?}");
    set[0]
}

/// A block that is made and taken back at the same time hides both afterwards or neither, as the
/// answers say.
pub async fn a_relation_that_comes_and_goes_at_once_is_of_both_or_none(fresh: &Fresh<dyn Graph>) {
    let graph = &*fresh.store;
    for round in 0..ROUNDS {
        let [ann, bob] = [0, 1].map(|n| user(round, n));
        let call = move |graph: Arc<dyn Graph>, n: usize| async move {
            let mut blocks = 0;
            for step in 0..4 + n % 2 {
                let on = step % 2 == 0;
                let changed = hide(&*graph, ann, bob, Hide::Block, on).await;
                blocks += i64::from(changed) * if on { 1 } else { -1 };
            }
            blocks
        };
        let blocks: i64 = fresh.at_once(4, call).await.into_iter().sum();
        let there = circle(graph, ann).await.blocks(bob);
        assert_eq!(blocks, i64::from(there));
        assert_eq!(circle(graph, bob).await.blocks(ann), there);
    }
}

/// Of lists that are set at the same time under one name, one stands, whole.
pub async fn concurrent_lists_are_not_mixed(fresh: &Fresh<dyn Graph>) {
    let graph = &*fresh.store;
    for round in 0..ROUNDS {
        let owner = user(round, 0);
        let list = move |n: usize| {
            let n = n as u64;
            vec![user(round, 1), user(round, 2 + n), user(round, 6 + n)]
        };
        let call = move |graph: Arc<dyn Graph>, n| async move {
            graph.set_list(owner, CLOSE, &list(n)).await.unwrap();
        };
        fresh.at_once(3, call).await;
        let found = members(graph, owner, CLOSE).await;
        assert!((0..3).any(|n| found == list(n)), "{found:?}");
    }
}
