use std::{sync::Arc, time::Duration};

use backend_redis::{RedisDirectory, RedisIds, RedisNodeLeases};
use backplane::{
    Clock, ErrorKind, SystemClock, Timestamp,
    directory::{
        Directory, DirectoryOptions, Incarnation, Joined, Membership, Node, NodeChange, NodeState,
        Tenure,
    },
    id::{Acquired, IdGenerator, KeeperOptions, Layout, NodeLease, NodeLeases, Renewed},
    queue::TaskQueue,
};

use super::{MINUTE, queue, ready_after_one_more};
use crate::house::Server;

async fn join(directory: &RedisDirectory) -> Membership {
    let node = Node::new("a", Incarnation::new(1), "");
    match directory.join("chat", node, MINUTE).await.unwrap() {
        Joined::Member(membership) => membership,
        other => panic!("{other:?}"),
    }
}

async fn node_token(leases: &RedisNodeLeases) -> u64 {
    match leases.acquire(MINUTE, Timestamp::EPOCH).await.unwrap() {
        Acquired::Granted(lease) => lease.token,
        Acquired::AllTaken { .. } => panic!("one node is free"),
    }
}

/// Who would see to it that memory gets free is not taken for gone meanwhile.
#[tokio::test]
async fn leases_are_kept_where_memory_is_full() {
    let server = Server::start().await;
    let directory = RedisDirectory::new(server.redis.clone(), DirectoryOptions::default());
    let leases = RedisNodeLeases::new(server.redis.clone(), "ids", 1);
    let membership = join(&directory).await;
    let lease = lease(&leases).await.unwrap();
    server.order("CONFIG SET maxmemory 1").await;
    let held = directory.renew(&membership, MINUTE).await.unwrap();
    assert_eq!(held, Tenure::Held);
    let change = [NodeChange::State(NodeState::Draining)];
    let held = directory.update(&membership, &change).await.unwrap();
    assert_eq!(held, Tenure::Held);
    let mark = Timestamp::from_millis(9);
    let renewed = leases.renew(&lease, MINUTE, mark).await.unwrap();
    assert_eq!(renewed, Renewed::Held);
    leases.release(&lease, mark).await.unwrap();
    let node = Node::new("b", Incarnation::new(1), "");
    let joined = directory.join("chat", node, MINUTE).await;
    assert_eq!(joined.unwrap_err().kind(), ErrorKind::Full);
}

/// A late settlement, renewal or view of before the loss must not be taken for one of after it.
#[tokio::test]
async fn numbers_go_on_above_all_that_were_lost() {
    let server = Server::start().await;
    let queue = queue(&server.redis);
    let directory = RedisDirectory::new(server.redis.clone(), DirectoryOptions::default());
    let leases = RedisNodeLeases::new(server.redis.clone(), "ids", 1);
    let mut seen = Vec::new();
    for _ in 0..2 {
        assert_eq!(ready_after_one_more(&queue).await, 1);
        let leased = queue.lease(1, MINUTE).await.unwrap()[0].key;
        let membership = join(&directory).await;
        let epoch = directory.members("chat").await.unwrap().epoch;
        seen.push([
            leased.task.get(),
            leased.token.get(),
            membership.token.get(),
            epoch.get(),
            node_token(&leases).await,
        ]);
        server.order("FLUSHALL").await;
    }
    for (before, after) in seen[0].iter().zip(seen[1]) {
        assert!(after > *before, "{seen:?}");
    }
}

async fn lease(nodes: &RedisNodeLeases) -> Option<NodeLease> {
    match nodes.acquire(MINUTE, Timestamp::EPOCH).await.unwrap() {
        Acquired::Granted(lease) => Some(lease),
        Acquired::AllTaken { .. } => None,
    }
}

/// Where there are to be fewer nodes than there were, nobody is given one of the others.
#[tokio::test]
async fn nodes_are_leased_out_of_so_many() {
    let server = Server::start().await;
    let nodes = |count| RedisNodeLeases::new(server.redis.clone(), "ids", count);
    let (many, few) = (nodes(3), nodes(1));
    let mut leased = Vec::new();
    for node in 0..3 {
        leased.extend(lease(&many).await);
        assert_eq!(leased[node].node as usize, node);
    }
    many.release(&leased[2], Timestamp::EPOCH).await.unwrap();
    many.release(&leased[1], Timestamp::EPOCH).await.unwrap();
    assert_eq!(lease(&few).await, None);
    many.release(&leased[0], Timestamp::EPOCH).await.unwrap();
    assert_eq!(lease(&few).await.unwrap().node, 0);
    let others = RedisNodeLeases::new(server.redis.clone(), "others", 1);
    assert_eq!(lease(&others).await.unwrap().node, 0);
    for _ in 0..2 {
        assert_ne!(lease(&many).await.unwrap().node, 0);
    }
}

/// A node whose lease the server has lost leases another, and issues nothing twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ids_go_on_after_their_lease_was_lost() {
    let server = Server::start().await;
    let options = KeeperOptions::default().with_ttl(Duration::from_millis(300));
    let clock = SystemClock::new();
    let time = Arc::new(clock.clone());
    let ids = RedisIds::open(server.redis.clone(), Layout::TWITTER, time, options);
    let ids = ids.await.unwrap();
    let mut last = ids.next_id().unwrap();
    server.order("FLUSHALL").await;
    let mut was_lost = false;
    loop {
        match ids.next_id() {
            Ok(id) => {
                assert!(id > last);
                last = id;
                if was_lost {
                    return;
                }
            }
            Err(_) => was_lost = true,
        }
        clock.sleep(Duration::from_millis(1)).await;
    }
}
