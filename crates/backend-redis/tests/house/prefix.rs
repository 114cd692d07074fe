use std::sync::atomic::{AtomicU32, Ordering};

/// What the keys of one case begin with, so that others may use the same server.
pub(crate) fn fresh_prefix() -> String {
    static CASES: AtomicU32 = AtomicU32::new(0);
    let case = CASES.fetch_add(1, Ordering::Relaxed);
    format!("case{case}:")
}
