use std::time::Duration;

/// What is to happen in the end has happened by then.
pub(crate) const IN_THE_END: Duration = Duration::from_secs(90);

/// Between two looks at what takes a while.
pub(crate) const INTERVAL: Duration = Duration::from_millis(50);

/// Looks until it is so.
pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let looks = async {
        while !is_so().await {
            tokio::time::sleep(INTERVAL).await;
        }
    };
    let waited = tokio::time::timeout(IN_THE_END, looks).await;
    assert!(waited.is_ok(), "it was never so: {what}");
}
