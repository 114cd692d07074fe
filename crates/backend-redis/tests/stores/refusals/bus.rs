use backend_redis::{Redis, RedisBus, RedisBusOptions};
use backplane::{
    ErrorKind, Topic,
    bus::{Bus, BusEvent, HistoryRead, IdempotencyKey, Outgoing, Published},
};
use futures::StreamExt as _;

use super::guest;
use crate::house::{Server, client};

/// A user who may use no channels publishes nothing, and leaves a stream to which others can.
#[tokio::test]
async fn a_publication_that_is_forbidden_leaves_a_whole_stream() {
    let server = Server::start().await;
    let guest = guest(&server, "~* +@all resetchannels").await;
    let bus = |redis: Redis| {
        let client = client(&server.engine.url());
        RedisBus::new(redis, client, RedisBusOptions::default())
    };
    let (guest, owner) = (bus(guest), bus(server.redis.clone()));
    let publish = async |bus: &RedisBus, key| {
        let message = Outgoing::new("room".parse().unwrap(), "x");
        let message = message.with_key(IdempotencyKey::new(key));
        let published = bus.publish(&[message]).await.unwrap().remove(0);
        published.map_err(|error| error.kind())
    };
    assert_eq!(publish(&guest, 1).await, Err(ErrorKind::Invalid));
    assert_eq!(publish(&guest, 2).await, Err(ErrorKind::Invalid));
    let third = publish(&owner, 3).await.unwrap().position();
    let read = HistoryRead::new("room".parse().unwrap(), None, 9);
    let page = owner.history(&[read]).await.unwrap().remove(0).unwrap();
    assert_eq!((page.top, page.messages.len()), (third, 3));
    let first = publish(&owner, 1).await.unwrap();
    assert!(matches!(first, Published::Duplicate(position) if position.offset < third.offset));
}

/// What a user must not hear is said, and keeps nothing else from them.
#[tokio::test]
async fn a_subscription_that_is_forbidden_stands_in_nobodys_way() {
    let server = Server::start().await;
    let guest = guest(&server, "~* +@all resetchannels &{bus:open}").await;
    let url = server
        .engine
        .url()
        .replace("redis://", "redis://guest:any@");
    let bus = RedisBus::new(guest, client(&url), RedisBusOptions::default());
    let topics: [Topic; 2] = ["closed", "open"].map(|name| name.parse().unwrap());
    let subscribed = bus.subscribe(&topics).await.unwrap();
    let [closed, open] = &subscribed[..] else {
        panic!("{subscribed:?}");
    };
    assert_eq!(closed.as_ref().unwrap_err().kind(), ErrorKind::Invalid);
    let message = Outgoing::new(topics[1].clone(), "x");
    let published = bus.publish(&[message]).await.unwrap().remove(0).unwrap();
    assert!(published.position().offset > open.as_ref().unwrap().offset);
    let event = bus.events().next().await;
    assert!(matches!(event, Some(BusEvent::Message { topic, .. }) if topic == topics[1]));
    // Who asks again is told so again.
    let again = bus.subscribe(&topics[..1]).await.unwrap().remove(0);
    assert_eq!(again.unwrap_err().kind(), ErrorKind::Invalid);
}

/// A topic that there is no room for is not made, nor a message added to one that is there; what is there
/// can be read.
#[tokio::test]
async fn a_bus_out_of_memory_is_full_and_nothing_was_added() {
    let server = Server::start().await;
    let client = client(&server.engine.url());
    let bus = RedisBus::new(server.redis.clone(), client, RedisBusOptions::default());
    let [known, other]: [Topic; 2] = ["known", "other"].map(|name| name.parse().unwrap());
    let publish = async |topic: &Topic, key| {
        let message = Outgoing::new(topic.clone(), "x").with_key(IdempotencyKey::new(key));
        let published = bus.publish(&[message]).await.unwrap().remove(0);
        published.map_err(|error| error.kind())
    };
    let top = async |topic: &Topic| {
        let read = HistoryRead::new(topic.clone(), None, 9);
        let page = bus.history(&[read]).await.unwrap().remove(0);
        page.map(|page| (page.top, page.messages.len()))
            .map_err(|error| error.kind())
    };
    let first = publish(&known, 1).await.unwrap().position();
    server.order("CONFIG SET maxmemory 1").await;
    assert_eq!(publish(&known, 2).await, Err(ErrorKind::Full));
    assert_eq!(publish(&other, 3).await, Err(ErrorKind::Full));
    assert_eq!(top(&other).await, Err(ErrorKind::Full));
    let subscribed = bus
        .subscribe(std::slice::from_ref(&other))
        .await
        .unwrap()
        .remove(0);
    assert_eq!(subscribed.unwrap_err().kind(), ErrorKind::Full);
    let heard: Vec<String> = server.ask("PUBSUB CHANNELS *").await;
    assert_eq!(heard, [""; 0]);
    assert_eq!(top(&known).await, Ok((first, 1)));
    assert_eq!(publish(&known, 1).await, Ok(Published::Duplicate(first)));
    server.order("CONFIG SET maxmemory 0").await;
    let second = publish(&known, 2).await.unwrap();
    assert_eq!(second.position().offset, first.offset + 1);
    assert_eq!(top(&known).await, Ok((second.position(), 2)));
}
