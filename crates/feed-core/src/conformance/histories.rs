//! Random histories of calls, to be played on two stores that must answer alike.
//!
//! A conformance case shows one guarantee; a history looks for what no case thought of. Each module
//! makes the histories of one trait with proptest and plays them on the store in memory and on one of
//! the caller's, with few users, few posts and the bounds that the module names, so that calls meet.
#![expect(
    clippy::future_not_send,
    clippy::unwrap_used,
    reason = "a test plays a history on its own thread, and panics where stores differ"
)]

pub mod actions;
pub mod activity;
pub mod feed;
pub mod graph;
pub mod outbox;
pub mod timelines;

use std::{fmt::Debug, sync::Arc};

pub use backplane::conformance::few_cases;
use proptest::{collection::vec, prelude::*, sample::select};

use crate::{ErrorKind, PostId, Result, UserId};

/// Calls in the order they are made. At `None` the caller's store is closed and opened again.
pub type History<Op> = Vec<Option<Op>>;

/// Fails unless both stores answer `$call` in the same way, errors by their kind.
macro_rules! same {
    ($reference:expr, $subject:expr, $store:ident => $call:expr) => {{
        let expected = $crate::conformance::histories::answer({
            let $store = $reference;
            $call.await
        });
        let answered = $crate::conformance::histories::answer({
            let $store = $subject;
            $call.await
        });
        assert_eq!(answered, expected);
    }};
}
use same;

fn answer<T>(answer: Result<T>) -> Result<T, ErrorKind> {
    answer.map_err(|error| error.kind())
}

fn history<Op: Clone + Debug>(op: impl Strategy<Value = Op>) -> impl Strategy<Value = History<Op>> {
    vec(prop::option::weighted(0.93, op), 1..100)
}

/// Applies `history` to the store that `open` opens, and answers the store as it is then.
async fn replay<Op, S>(
    history: &[Option<Op>],
    mut open: impl AsyncFnMut() -> Arc<S>,
    mut apply: impl AsyncFnMut(&S, &Op),
) -> Arc<S> {
    let mut store = open().await;
    for op in history {
        if let Some(op) = op {
            apply(&store, op).await;
        } else {
            drop(store);
            store = open().await;
        }
    }
    store
}

const USERS: [UserId; 3] = [
    UserId::new(0),
    UserId::new((1 << 53) + 1),
    UserId::new(u64::MAX),
];

const POSTS: [PostId; 6] = [
    PostId::new(0),
    PostId::new(1),
    PostId::new(1 << 53),
    PostId::new((1 << 53) + 1),
    PostId::new(1 << 63),
    PostId::new(u64::MAX),
];

fn user() -> impl Strategy<Value = UserId> {
    select(&USERS[..])
}

fn post() -> impl Strategy<Value = PostId> {
    select(&POSTS[..])
}
