//! What operators see: counters behind the feature `metrics`, and events for `tracing`.

use std::{error::Error as StdError, time::Duration};

use crate::{Error, PageSource, Published, Result};

/// Counts, if the feature is on.
macro_rules! count {
    ($name:literal, $by:expr $(, $label:literal => $value:expr)?) => {
        #[cfg(feature = "metrics")]
        metrics::counter!($name $(, $label => $value)?).increment($by);
        #[cfg(not(feature = "metrics"))]
        let _ = ($by $(, $value)?);
    };
}

/// Goes on after a failure that costs speed and nothing else.
pub(crate) fn tolerate<T>(outcome: Result<T>, what: &'static str) {
    if let Err(error) = outcome {
        tracing::warn!(error = &error as &dyn StdError, "{what}");
        count!("feed_tolerated_failures_total", 1, "what" => what);
    }
}

/// A publication came to this end.
pub(crate) fn published(outcome: &Published) {
    let outcome = match outcome {
        Published::Accepted(_) => "accepted",
        Published::Duplicate(_) => "duplicate",
        Published::RateLimited { .. } => "rate limited",
        Published::Busy { .. } => "busy",
    };
    count!("feed_published_total", 1, "outcome" => outcome);
}

/// A post was written into so many timelines.
pub(crate) fn delivered(timelines: usize) {
    count!("feed_deliveries_total", timelines as u64);
}

/// So many timelines could not be written.
pub(crate) fn unwritten(timelines: usize) {
    tracing::warn!(timelines, "timelines not written, so their viewers pull");
    count!("feed_deliveries_pulled_total", timelines as u64);
}

/// So many of several timelines still hold a post that is gone.
pub(crate) fn kept(timelines: usize) {
    tracing::warn!(timelines, "{KEPT}");
    count!("feed_tolerated_failures_total", 1, "what" => KEPT);
}

/// A failure to take a post out of timelines.
pub(crate) const KEPT: &str = "timelines keep a post that is gone";

/// A piece of fanout was done, so long after it was asked for.
pub(crate) fn worked(waited: Duration) {
    count!("feed_fanout_pieces_total", 1, "outcome" => "done");
    #[cfg(feature = "metrics")]
    metrics::histogram!("feed_fanout_delay_seconds").record(waited);
    #[cfg(not(feature = "metrics"))]
    let _ = waited;
}

/// A piece of fanout failed and is tried again.
pub(crate) fn failed(error: &Error, attempt: u32) {
    tracing::warn!(error = error as &dyn StdError, attempt, "fanout failed");
    count!("feed_fanout_pieces_total", 1, "outcome" => "failed");
}

/// A piece of fanout is left to readers, or was of no use.
pub(crate) fn gave_up(why: &'static str) {
    tracing::error!("fanout given up: {why}");
    count!("feed_fanout_pieces_total", 1, "outcome" => "given up");
}

/// A page was read.
pub(crate) fn read(source: PageSource) {
    let source = match source {
        PageSource::Timeline => "timeline",
        PageSource::Outboxes => "outboxes",
        PageSource::Snapshot => "snapshot",
    };
    count!("feed_pages_total", 1, "source" => source);
}

/// A timeline was built of so many entries.
pub(crate) fn built(entries: usize) {
    tracing::debug!(entries, "timeline built");
    count!("feed_builds_total", 1);
}
