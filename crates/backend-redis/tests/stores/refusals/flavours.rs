//! That a refusal of one flavour of server means what it means of another: they say it in different words.

use backend_redis::{Redis, RedisQueue};
use backplane::{ErrorKind, queue::QueueOptions};
use engines::Flavour;
use redis::Client;

use super::{House, refusal, refusals_of_writes};

/// How everything fails that a house is asked to write, by the connection of its own or of a guest.
async fn refusals(redis: &Redis) -> (ErrorKind, Vec<feed_core::ErrorKind>) {
    let queue = RedisQueue::new(redis.clone(), "work", QueueOptions::default());
    (refusal(&queue).await, refusals_of_writes(redis).await)
}

/// A connection of a user who may not do everything.
async fn guest(house: &mut House, rights: &str) -> Redis {
    let user = format!("ACL SETUSER guest reset on nopass {rights}");
    house.order(&user).await;
    let url = house.server.url().replace("redis://", "redis://guest:any@");
    let client = Client::open(url).unwrap();
    client.get_connection_manager().await.unwrap().into()
}

#[tokio::test]
async fn what_a_script_may_not_do_has_the_same_reason_everywhere() {
    for flavour in Flavour::ALL {
        let mut house = House::of(flavour).await;
        let redis = house.redis.clone();

        house.order("CONFIG SET maxmemory 1").await;
        let full = (ErrorKind::Full, vec![feed_core::ErrorKind::Full; 7]);
        assert_eq!(refusals(&redis).await, full, "{flavour:?}");
        house.order("CONFIG SET maxmemory 0").await;

        house.order("REPLICAOF 127.0.0.1 1").await;
        let elsewhere = vec![feed_core::ErrorKind::Unavailable; 7];
        let unavailable = (ErrorKind::Unavailable, elsewhere);
        assert_eq!(refusals(&redis).await, unavailable, "{flavour:?}");
        house.order("REPLICAOF NO ONE").await;

        for rights in ["~* +@all -@write", "~other* +@all"] {
            let guest = guest(&mut house, rights).await;
            let invalid = (ErrorKind::Invalid, vec![feed_core::ErrorKind::Invalid; 7]);
            assert_eq!(refusals(&guest).await, invalid, "{flavour:?}: {rights}");
        }
    }
}

#[tokio::test]
async fn what_is_not_ours_is_corrupt_everywhere() {
    for flavour in Flavour::ALL {
        let mut house = House::of(flavour).await;
        house.order("SET {queue:work} stranger").await;
        let refused = refusal(&house.queue()).await;
        assert_eq!(refused, ErrorKind::Corrupt, "{flavour:?}");
    }
}
