//! That a refusal of one flavour of server means what it means of another: they say it in different words.

use backend_redis::Redis;
use backplane::ErrorKind;
use engines::Flavour;

use crate::house::Server;

use super::{guest, queue, refusal, social::refusals_of_writes};

/// How everything fails that a server is asked to write.
async fn refusals(redis: &Redis) -> (ErrorKind, Vec<feed_core::ErrorKind>) {
    let task = refusal(&queue(redis)).await;
    (task, refusals_of_writes(redis).await)
}

#[tokio::test]
async fn what_a_script_may_not_do_has_the_same_reason_everywhere() {
    for flavour in Flavour::ALL {
        let server = Server::start_as(flavour).await;
        let redis = server.redis.clone();

        server.order("CONFIG SET maxmemory 1").await;
        let full = (ErrorKind::Full, vec![feed_core::ErrorKind::Full; 7]);
        assert_eq!(refusals(&redis).await, full, "{flavour:?}");
        server.order("CONFIG SET maxmemory 0").await;

        server.order("REPLICAOF 127.0.0.1 1").await;
        let elsewhere = vec![feed_core::ErrorKind::Unavailable; 7];
        let unavailable = (ErrorKind::Unavailable, elsewhere);
        assert_eq!(refusals(&redis).await, unavailable, "{flavour:?}");
        server.order("REPLICAOF NO ONE").await;

        for rights in ["~* +@all -@write", "~other* +@all"] {
            let guest = guest(&server, rights).await;
            let invalid = (ErrorKind::Invalid, vec![feed_core::ErrorKind::Invalid; 7]);
            assert_eq!(refusals(&guest).await, invalid, "{flavour:?}: {rights}");
        }
    }
}

#[tokio::test]
async fn what_is_not_ours_is_corrupt_everywhere() {
    for flavour in Flavour::ALL {
        let server = Server::start_as(flavour).await;
        server.order("SET {queue:work} stranger").await;
        let refused = refusal(&queue(&server.redis)).await;
        assert_eq!(refused, ErrorKind::Corrupt, "{flavour:?}");
    }
}
