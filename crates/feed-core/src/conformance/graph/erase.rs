use super::{
    ANN, BOB, CAT, CLOSE, DAN, Fresh, Graph, Hide, Route, UserId, circle, degree, follow,
    followers, hide, members, reroute, sources,
};

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
