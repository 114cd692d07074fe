//! Deliveries as a stream, in threads.

use backplane::hub::{
    CloseReason, ConnectionOptions, Delivery, Drive, Hub, HubOptions, SubscribeOptions,
};
use futures::StreamExt;

use super::{inline, payload, send, settle, topic};

#[tokio::test]
async fn a_stream_loses_nothing_however_small_its_window() {
    let hub = Hub::new(HubOptions::default().with_shards(2));
    let options = ConnectionOptions::default().with_window(1);
    let (connection, mut deliveries) = hub.connect_stream(&options).unwrap();
    connection
        .subscribe(&topic(0), &SubscribeOptions::default())
        .unwrap();
    for number in 0..1_000 {
        send(&hub, &topic(0), number.to_string());
    }
    let mut held = Vec::new();
    for number in 0..1_000 {
        if number % 100 == 0 {
            // A `next` that was polled and dropped unfinished takes nothing along.
            while futures::poll!(deliveries.next())
                .map(|first| held.push(first))
                .is_pending()
            {
                tokio::task::yield_now().await;
            }
        }
        let delivery = match held.pop() {
            Some(delivery) => delivery.unwrap(),
            None => deliveries.next().await.unwrap(),
        };
        assert_eq!(payload(&delivery), number.to_string());
    }
    connection.close();
    assert_eq!(
        deliveries.next().await,
        Some(Delivery::Closed(CloseReason::Requested))
    );
    assert_eq!(deliveries.next().await, None);
}

#[tokio::test]
async fn dropping_the_stream_closes_the_connection() {
    let hub = inline();
    let (connection, deliveries) = hub.connect_stream(&ConnectionOptions::default()).unwrap();
    connection
        .subscribe(&topic(0), &SubscribeOptions::default())
        .unwrap();
    drop(deliveries);
    settle(&hub);
    assert!(connection.is_closed());
    assert_eq!(hub.stats().topics, 0);
}

/// Publishers race on the same topics; all connections, in all shards, see one order, in which each
/// publisher's messages keep theirs.
#[tokio::test]
async fn everybody_sees_one_order_of_a_topic() {
    const PUBLISHERS: usize = 3;
    const MESSAGES: usize = 2_000;
    let options = HubOptions::default()
        .with_shards(3)
        .with_drive(Drive::Threads);
    let hub = Hub::new(options);
    let connected: Vec<_> = (0..6)
        .map(|_| {
            let options = ConnectionOptions::default().with_budget(u32::MAX);
            let (connection, deliveries) = hub.connect_stream(&options).unwrap();
            connection
                .subscribe(&topic(0), &SubscribeOptions::default())
                .unwrap();
            (connection, deliveries)
        })
        .collect();
    let publishers = (0..PUBLISHERS).map(|publisher| {
        let hub = hub.clone();
        std::thread::spawn(move || {
            for number in 0..MESSAGES {
                send(&hub, &topic(0), format!("{publisher} {number}"));
            }
        })
    });
    let publishers: Vec<_> = publishers.collect();
    let mut orders = Vec::new();
    for (_connection, deliveries) in connected {
        let seen = deliveries
            .take(PUBLISHERS * MESSAGES)
            .collect::<Vec<_>>()
            .await;
        orders.push(seen.iter().map(payload).collect::<Vec<_>>());
    }
    for publisher in publishers {
        publisher.join().unwrap();
    }
    assert!(orders.windows(2).all(|pair| pair[0] == pair[1]));
    for publisher in 0..PUBLISHERS {
        let prefix = format!("{publisher} ");
        let own = orders[0]
            .iter()
            .filter_map(|text| text.strip_prefix(&prefix));
        assert!(
            own.eq((0..MESSAGES)
                .map(|number| number.to_string())
                .collect::<Vec<_>>()
                .iter())
        );
    }
}
