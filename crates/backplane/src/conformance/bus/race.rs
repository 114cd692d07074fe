use super::{
    Arc, Bus, BusNetwork, Fresh, IdempotencyKey, Outgoing, Published, ROUNDS, all, at_once,
    offsets, publish, receive, run, subscribe, topic,
};

async fn two_nodes(fresh: &Fresh<dyn BusNetwork>) -> [Arc<dyn Bus>; 2] {
    [fresh.store.join().await, fresh.store.join().await]
}

/// Two nodes receive the messages of a topic in one order, whichever node publishes.
pub async fn all_nodes_see_one_order(fresh: &Fresh<dyn BusNetwork>) {
    let nodes = two_nodes(fresh).await;
    let mut events = Vec::new();
    for node in &nodes {
        subscribe(&**node, "a").await;
        events.push(node.events());
    }
    for round in 0..ROUNDS {
        let publishers = nodes.clone().map(|node| async move {
            for _ in 0..4 {
                publish(&*node, "a", 1).await;
            }
        });
        at_once(publishers).await;
        let seen = receive(&mut events[0], 8).await;
        let expected: Vec<_> = (round * 8 + 1..=round * 8 + 8).collect();
        assert_eq!(offsets(&seen), expected);
        assert_eq!(seen, receive(&mut events[1], 8).await);
    }
}

/// Concurrent publishers never get one position twice, and leave no offset out.
pub async fn concurrent_publishers_share_no_position(fresh: &Fresh<dyn BusNetwork>) {
    let nodes = two_nodes(fresh).await;
    let mut positions = Vec::new();
    for _ in 0..ROUNDS {
        let publishers = (0..4).map(|n| {
            let node = Arc::clone(&nodes[n % 2]);
            async move { publish(&*node, "a", 2).await }
        });
        positions.extend(at_once(publishers).await.concat());
    }
    positions.sort_by_key(|position| position.offset);
    assert_eq!(positions, run(positions[0].epoch, 1..=8 * ROUNDS));
}

/// Of publishers that use one key at the same time, one publishes and the others learn where.
pub async fn concurrent_publishers_of_one_key_publish_once(fresh: &Fresh<dyn BusNetwork>) {
    let nodes = two_nodes(fresh).await;
    let mut last = None;
    for round in 0..ROUNDS {
        let key = IdempotencyKey::of(round.to_string());
        let message = Outgoing::new(topic("a"), "once").with_key(key);
        let publishers = (0..4).map(|n| {
            let (node, message) = (Arc::clone(&nodes[n % 2]), message.clone());
            async move { all(node.publish(&[message]).await)[0] }
        });
        let published = at_once(publishers).await;
        let position = published[0].position();
        let (new, duplicate) = (Published::New(position), Published::Duplicate(position));
        assert_eq!(published.iter().filter(|one| **one == new).count(), 1);
        assert_eq!(published.iter().filter(|one| **one == duplicate).count(), 3);
        assert_eq!(position.offset, round + 1);
        assert!(
            last.replace(position)
                .is_none_or(|last| last.next() == position)
        );
    }
}
