use super::{
    Bus, BusEvent, BusNetwork, Duration, Fresh, IdempotencyKey, Outgoing, Position, StreamExt, all,
    is_quiet, publish, topic,
};

/// A node whose connection was lost subscribes anew by itself and says so for each of its topics; what
/// is published after that arrives.
pub async fn a_lost_connection_is_told_topic_by_topic(fresh: &Fresh<dyn BusNetwork>) {
    let (reader, writer) = (fresh.store.join().await, fresh.store.join().await);
    let mut left = ["a", "b"].map(topic).to_vec();
    all(reader.subscribe(&left).await);
    all(reader.subscribe(&[topic("left")]).await);
    reader.unsubscribe(&[topic("left")]).await.unwrap();
    publish(&*writer, "a", 3).await;
    let mut events = reader.events();
    fresh.store.cut().await;
    while !left.is_empty() {
        match events.next().await {
            Some(BusEvent::Resubscribed { topic }) => {
                let told = left.iter().position(|waiting| *waiting == topic);
                left.remove(told.expect("each topic is told once"));
            }
            Some(BusEvent::Message { .. } | BusEvent::Gap { .. }) => {}
            None => panic!("the connection is lost, not the node"),
        }
    }
    for (name, offset) in [("b", 1), ("a", 4)] {
        let position = publish_at_last(fresh, &*writer, name).await;
        assert_eq!(position.offset, offset);
        let Some(BusEvent::Message { message, .. }) = events.next().await else {
            panic!("the message of {name} arrives next");
        };
        assert_eq!(message.position, position);
    }
    assert!(is_quiet(&*reader, &mut events).await);
}

/// Publishes one message through a node that may still be on its way back.
async fn publish_at_last(fresh: &Fresh<dyn BusNetwork>, node: &dyn Bus, name: &str) -> Position {
    let message = Outgoing::new(topic(name), "x").with_key(IdempotencyKey::of(name));
    loop {
        let published = node.publish(std::slice::from_ref(&message)).await;
        match published.and_then(|mut published| published.remove(0)) {
            Ok(published) => return published.position(),
            Err(error) => assert!(error.is_retryable(), "{error}"),
        }
        fresh.time.pass(Duration::from_millis(20)).await;
    }
}
