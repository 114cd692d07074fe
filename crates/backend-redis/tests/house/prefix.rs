use std::sync::atomic::{AtomicU32, Ordering};

use backend_redis::Redis;

use super::connection::connect;

/// A part of the key space for one case.
pub(crate) async fn connect_apart(urls: &[String]) -> Redis {
    let redis = connect(urls).await;
    redis.with_prefix(&fresh_prefix()).unwrap()
}

/// What the keys of one case begin with, so that others may use the same server.
pub(crate) fn fresh_prefix() -> String {
    static CASES: AtomicU32 = AtomicU32::new(0);
    let case = CASES.fetch_add(1, Ordering::Relaxed);
    format!("case{case}:")
}
