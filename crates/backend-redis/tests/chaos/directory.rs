//! Nodes of a service, and those who watch it.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use backend_redis::{Redis, RedisDirectory};
use backplane::{
    Error,
    directory::{Directory, DirectoryOptions, Incarnation, Joined, Node, Tenure, View, ViewEpoch},
};
use engines::{Proxy, RedisCluster};

use crate::{
    house::{INTERVAL, master_of, until},
    on_cluster, on_server,
    trouble::{TROUBLES, Trouble},
};

const LEASE: Duration = Duration::from_secs(1);

/// How long trouble lasts of which nobody need notice anything.
const LASTING: Duration = Duration::from_millis(300);

fn directory(redis: Redis) -> RedisDirectory {
    RedisDirectory::new(redis, DirectoryOptions::default()).with_poll_every(INTERVAL)
}

/// What a node and a watcher were told.
#[derive(Debug, Default)]
struct Told {
    tokens: Mutex<Vec<u64>>,
    view: Mutex<Option<View>>,
    /// How often a view was older than the one before it.
    returns: AtomicU64,
}

impl Told {
    /// Keeps a node in the service, again whenever its membership was lost.
    async fn stay(&self, directory: &RedisDirectory) {
        loop {
            let node = Node::new("a", Incarnation::new(1), "");
            let member = match directory.join("chat", node, LEASE).await {
                Ok(Joined::Member(member)) => member,
                Ok(other) => panic!("{other:?}"),
                Err(error) => {
                    check(&error);
                    continue;
                }
            };
            self.tokens.lock().unwrap().push(member.token.get());
            loop {
                tokio::time::sleep(INTERVAL).await;
                match directory.renew(&member, LEASE).await {
                    Ok(Tenure::Held) => {}
                    Ok(Tenure::Lost) => break,
                    Err(error) => check(&error),
                }
            }
        }
    }

    async fn watch(&self, directory: &RedisDirectory) {
        let mut seen = ViewEpoch::ZERO;
        loop {
            match directory.changed("chat", seen).await {
                Ok(view) => {
                    assert_ne!(view.epoch, seen, "it has not changed");
                    self.returns
                        .fetch_add(u64::from(view.epoch < seen), Ordering::Relaxed);
                    seen = view.epoch;
                    *self.view.lock().unwrap() = Some(view);
                }
                Err(error) => check(&error),
            }
        }
    }

    /// Has a node stay in the service and somebody watch it while `story` goes on, and until what was seen
    /// is what is so.
    async fn while_watching(
        &self,
        [member, watcher, judge]: [&RedisDirectory; 3],
        story: impl AsyncFnOnce(),
    ) {
        let script = async {
            self.sees_the_truth(judge, 1).await;
            story().await;
            self.sees_the_truth(judge, 1).await;
        };
        tokio::select! {
            () = script => {}
            () = self.stay(member) => unreachable!("it stays for ever"),
            () = self.watch(watcher) => unreachable!("it watches for ever"),
        }
        let tokens = self.tokens.lock().unwrap();
        assert!(tokens.is_sorted_by(|a, b| a < b), "{tokens:?}");
    }

    /// Waits until the service has as many nodes, and the watcher knows.
    async fn sees_the_truth(&self, judge: &RedisDirectory, nodes: usize) {
        until("the watcher sees what is so", async || {
            let Ok(truth) = judge.members("chat").await else {
                return false;
            };
            truth.nodes.len() == nodes && self.view.lock().unwrap().as_ref() == Some(&truth)
        })
        .await;
    }
}

fn check(error: &Error) {
    assert!(error.is_retryable(), "{error:?}");
}

async fn three<T: Copy, F: Future<Output = Redis>>(
    of: T,
    connect: impl Fn(T) -> F,
) -> [RedisDirectory; 3] {
    [
        directory(connect(of).await),
        directory(connect(of).await),
        directory(connect(of).await),
    ]
}

/// The server is well, but what is between it and a node is not: the node is gone as long as it cannot renew, and
/// watchers learn of that and of its return.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_is_gone_while_its_network_is() {
    let server = engines::Redis::start().unwrap();
    let proxy = Proxy::start(server.address()).unwrap();
    let member = directory(on_server(&proxy.url()).await);
    let [watcher, judge, _] = three(&*server.url(), on_server).await;
    let told = Told::default();
    told.while_watching([&member, &watcher, &judge], async || {
        for trouble in TROUBLES {
            trouble.begin(&proxy);
            if trouble.keeps_from_server() {
                told.sees_the_truth(&judge, 0).await;
            } else {
                tokio::time::sleep(LASTING).await;
            }
            Trouble::end(&proxy);
            told.sees_the_truth(&judge, 1).await;
        }
    })
    .await;
    assert_eq!(told.returns.load(Ordering::Relaxed), 0, "nothing was lost");
}

/// A watcher behind a bad network misses no change that lasts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watcher_sees_the_truth_after_its_network_was_bad() {
    let server = engines::Redis::start().unwrap();
    let proxy = Proxy::start(server.address()).unwrap();
    let watcher = directory(on_server(&proxy.url()).await);
    let [member, judge, other] = three(&*server.url(), on_server).await;
    let told = Told::default();
    told.while_watching([&member, &watcher, &judge], async || {
        for (incarnation, trouble) in (1..).zip(TROUBLES) {
            trouble.begin(&proxy);
            let node = Node::new("b", Incarnation::new(incarnation), "");
            let joined = other.join("chat", node, Duration::MAX).await.unwrap();
            tokio::time::sleep(LASTING).await;
            Trouble::end(&proxy);
            told.sees_the_truth(&judge, 2).await;
            let Joined::Member(member) = joined else {
                panic!("{joined:?}");
            };
            other.leave(&member).await.unwrap();
            told.sees_the_truth(&judge, 1).await;
        }
    })
    .await;
    assert_eq!(told.returns.load(Ordering::Relaxed), 0, "nothing was lost");
}

/// The server loses everything: the node joins again, under a later token.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_joins_again_after_a_server_has_lost_everything() {
    let server = engines::Redis::start().unwrap();
    let [member, watcher, judge] = three(&*server.url(), on_server).await;
    let told = Told::default();
    told.while_watching([&member, &watcher, &judge], async || {
        let before = told.tokens.lock().unwrap().len();
        server.restart_empty().unwrap();
        until("the node joined again", async || {
            told.tokens.lock().unwrap().len() > before
        })
        .await;
    })
    .await;
}

/// A master is taken for dead and goes on later: in the end all see what its replica says.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_is_that_of_the_replica_that_took_over() {
    let cluster = RedisCluster::start(3, 1).unwrap();
    let node = master_of("directory");
    let [member, watcher, judge] = three(&cluster, on_cluster).await;
    let told = Told::default();
    told.while_watching([&member, &watcher, &judge], async || {
        let before = told.tokens.lock().unwrap().len();
        cluster.pause(node).unwrap();
        until("the node joined again", async || {
            told.tokens.lock().unwrap().len() > before
        })
        .await;
        told.sees_the_truth(&judge, 1).await;
        cluster.resume(node).unwrap();
        let idle = directory(on_cluster(&cluster).await);
        told.sees_the_truth(&idle, 1).await;
    })
    .await;
}
