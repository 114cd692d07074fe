//! Calls that end in the middle, and then a master dies that has one of the halves.

use std::time::Duration;

use engines::RedisCluster;
use redis::AsyncCommands as _;

use super::{Process, actions, client, graph};

/// By then a replica has taken over.
const IN_THE_END: Duration = Duration::from_secs(60);

/// Between two looks at what takes a while.
const INTERVAL: Duration = Duration::from_millis(20);

/// Lets the replica of a master take over, once it has all that the master has. `tag` is that of a key of the
/// master, of three.
async fn succeed(cluster: &RedisCluster, process: &Process, tag: &str) {
    let digest = crc16::State::<crc16::XMODEM>::calculate(tag.as_bytes());
    let node = usize::from(digest) % 16_384 * 3 / 16_384;
    let (client, key) = (client(&cluster.urls()[node]), format!("{{{tag}}}:last"));
    let mut master = client.get_multiplexed_async_connection().await.unwrap();
    let _: () = master.set(&key, "").await.unwrap();
    let replicas: u32 = redis::cmd("WAIT")
        .arg(1)
        .arg(10_000)
        .query_async(&mut master)
        .await
        .unwrap();
    assert_eq!(replicas, 1, "it was told all");
    cluster.kill(node).unwrap();
    let looks = async {
        let look = redis::cmd("EXISTS").arg(&key).take();
        while process.redis.command("look", &look).await.is_err() {
            tokio::time::sleep(INTERVAL).await;
        }
    };
    let waited = tokio::time::timeout(IN_THE_END, looks).await;
    assert!(waited.is_ok(), "nobody took over");
}

/// First the master that was to have a copy dies, then that of whoever had made the tie.
#[tokio::test]
async fn who_looks_ends_a_change_to_a_tie() {
    let cluster = RedisCluster::start(3, 1).unwrap();
    let process = Process::on_cluster(&cluster).await;
    for dead in [graph::BOB, graph::ANN] {
        let tag = format!("graph:{dead}");
        let halves = graph::cut_some_short(&process.with_prefix(&tag)).await;
        succeed(&cluster, &process, &tag).await;
        for half in halves {
            graph::assert_both_ends(&half).await;
        }
    }
}

/// The masters die that count some of the actions, and that note some of them.
#[tokio::test]
async fn actions_are_found_when_their_actors_are_erased() {
    let cluster = RedisCluster::start(3, 1).unwrap();
    let process = Process::on_cluster(&cluster).await;
    for tag in ["acted:1", "actions:1"] {
        let halves = actions::cut_some_short(&process.with_prefix(tag), 20).await;
        succeed(&cluster, &process, tag).await;
        for half in halves {
            actions::assert_all_found(&half, &[0, 1, 2]).await;
        }
    }
}
