//! Calls that end in the middle, and then a master dies that has one of the halves.

use engines::RedisCluster;

use crate::house::{Operator, master_of, until};

use super::{Process, actions, graph};

/// Lets the replica of a master take over, once it has all that the master has. `tag` is that of a key of the
/// master, of three.
async fn succeed(cluster: &RedisCluster, process: &Process, tag: &str) {
    let (node, key) = (master_of(tag), format!("{{{tag}}}:last"));
    let master = Operator::of(&cluster.urls()[node]).await;
    master.order(&format!("SET {key} any")).await;
    until("the replica was told all", async || {
        master.ask::<u32>("WAIT 1 100").await == 1
    })
    .await;
    cluster.kill(node).unwrap();
    until("a replica has taken over", async || {
        let look = redis::cmd("EXISTS").arg(&key).take();
        process.redis.command("look", &look).await.is_ok()
    })
    .await;
}

/// First the master that was to have a copy dies, then that of whoever had made the tie.
#[tokio::test]
async fn who_looks_ends_a_change_to_a_tie() {
    let cluster = RedisCluster::start(3, 1).unwrap();
    let process = Process::at(&cluster.urls()).await;
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
    let process = Process::at(&cluster.urls()).await;
    for tag in ["acted:1", "actions:1"] {
        let halves = actions::cut_some_short(&process.with_prefix(tag), 20).await;
        succeed(&cluster, &process, tag).await;
        for half in halves {
            actions::assert_all_found(&half, &[0, 1, 2]).await;
        }
    }
}
