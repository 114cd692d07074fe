use super::{
    ANN, BOB, CAT, CLOSE, DAN, Fresh, Graph, Hide, ListId, UserId, circle, follow, followers, hide,
    members,
};

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

/// An author is hidden from those who block them, whom they block, and who mute them, and from nobody
/// else, followers or not.
pub async fn an_author_is_hidden_across_a_block_and_from_who_mutes(fresh: &Fresh<dyn Graph>) {
    let graph = &*fresh.store;
    follow(graph, BOB, ANN).await;
    let ties = [
        (BOB, ANN, Hide::Block, [true, false, false]),
        (ANN, BOB, Hide::Block, [true, false, false]),
        (CAT, ANN, Hide::Mute, [false, true, false]),
        // Whom the author mutes sees the author.
        (ANN, DAN, Hide::Mute, [false, false, false]),
        (BOB, CAT, Hide::Block, [false, false, false]),
    ];
    for (viewer, other, how, expected) in ties {
        hide(graph, viewer, other, how, true).await;
        assert_eq!(hidden(graph, ANN, &[BOB, CAT, DAN]).await, expected);
        let [bob, cat, dan] = expected;
        assert_eq!(
            hidden(graph, ANN, &[DAN, CAT, BOB, CAT]).await,
            [dan, cat, bob, cat]
        );
        hide(graph, viewer, other, how, false).await;
        assert_eq!(hidden(graph, ANN, &[BOB, CAT, DAN]).await, [false; 3]);
    }
    assert_eq!(hidden(graph, ANN, &[]).await, []);
}

async fn hidden(graph: &dyn Graph, author: UserId, viewers: &[UserId]) -> Vec<bool> {
    graph.hidden_from(author, viewers).await.unwrap()
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
