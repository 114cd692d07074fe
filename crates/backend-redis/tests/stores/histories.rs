//! Each store on a server and on a Cluster answers as the one in memory does, whatever happens to both,
//! however often the application comes back with another connection.

use std::sync::{Arc, LazyLock};

use backend_redis::{
    Redis, RedisActions, RedisActivity, RedisGraph, RedisPresence, RedisPresenceOptions, RedisQueue,
};
use backplane::{ManualClock, conformance::histories::queue};
use chat_core::conformance::histories::presence;
use feed_core::conformance::{
    actions::Subject,
    histories::{actions, activity, few_cases, graph},
};
use proptest::proptest;
use tokio::runtime::Runtime;

use crate::house::{CLUSTER, SERVER, connect, fresh_prefix};

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

/// A part of the key space for one case.
struct Part {
    on_cluster: bool,
    prefix: String,
}

impl Part {
    fn new(on_cluster: bool) -> Self {
        Self {
            on_cluster,
            prefix: fresh_prefix(),
        }
    }

    async fn open(&self) -> Redis {
        let urls = if self.on_cluster {
            CLUSTER.urls()
        } else {
            vec![SERVER.url()]
        };
        let redis = connect(&urls).await;
        redis.with_prefix(&self.prefix).unwrap()
    }
}

macro_rules! histories {
    ($on_cluster:literal) => {
        proptest! {
            #![proptest_config(few_cases())]

            #[test]
            fn actions_answer_as_memory_does(history in actions::histories()) {
                let part = Part::new($on_cluster);
                RUNTIME.block_on(actions::play(&history, async || {
                    let actions = Arc::new(RedisActions::new(part.open().await));
                    let counters = Arc::clone(&actions);
                    Arc::new(Subject { actions, counters })
                }));
            }

            #[test]
            fn activity_answers_as_memory_does(history in activity::histories()) {
                let (part, clock) = (Part::new($on_cluster), ManualClock::default());
                RUNTIME.block_on(activity::play(&history, &clock, async || {
                    Arc::new(RedisActivity::new(part.open().await))
                }));
            }

            #[test]
            fn a_graph_answers_as_memory_does(history in graph::histories()) {
                let part = Part::new($on_cluster);
                RUNTIME.block_on(graph::play(&history, async || {
                    Arc::new(RedisGraph::new(part.open().await))
                }));
            }

            #[test]
            fn presence_answers_as_memory_does(history in presence::histories()) {
                let part = Part::new($on_cluster);
                RUNTIME.block_on(presence::play(&history, async || {
                    let options = RedisPresenceOptions::default().with_parts(3);
                    Arc::new(RedisPresence::new(part.open().await, options))
                }));
            }

            #[test]
            fn a_queue_answers_as_memory_does(history in queue::histories()) {
                let part = Part::new($on_cluster);
                RUNTIME.block_on(async {
                    let queue = RedisQueue::new(part.open().await, "work", queue::options());
                    queue::play(&history, &queue).await;
                });
            }
        }
    };
}

histories!(false);

mod cluster {
    use super::*;

    histories!(true);
}
