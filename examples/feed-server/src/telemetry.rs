//! What the server counts, and how `/metrics` says it.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::{
    extract::{MatchedPath, Request, State},
    http::Method,
    middleware::Next,
    response::Response,
};
use backplane::Clock;
use feed_core::Feed;
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// Upper bounds of the latency histogram, in seconds.
const BUCKETS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0,
];

const REQUESTS: &str = "http_requests_total";
const LATENCY: &str = "http_request_duration_seconds";

/// The process's recorder, installed by the first call.
pub(crate) fn recorder() -> Option<&'static PrometheusHandle> {
    static HANDLE: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
    HANDLE.get_or_init(install).as_ref()
}

fn install() -> Option<PrometheusHandle> {
    // All durations, those of the feed too.
    let matcher = Matcher::Suffix("_seconds".to_owned());
    let builder = PrometheusBuilder::new().set_buckets_for_metric(matcher, BUCKETS);
    let installed = builder.map(PrometheusBuilder::install_recorder);
    let handle = installed.ok()?.ok()?;
    describe_counter!(REQUESTS, "Requests by method, route and status.");
    describe_histogram!(
        LATENCY,
        "Time to the head of the answer, by method and route."
    );
    describe_counter!("feed_published_total", "Posts and reposts by outcome.");
    describe_counter!("feed_deliveries_total", "Entries written into timelines.");
    describe_counter!("feed_pages_total", "Pages read, by where they came from.");
    describe_gauge!("feed_live_connections", "Open live streams.");
    describe_gauge!("feed_queue_tasks", "Tasks of fanout by state.");
    describe_gauge!(
        "feed_queue_oldest_ready_seconds",
        "How long the task that has been due longest has been."
    );
    Some(handle)
}

/// Between two rounds of housekeeping.
const UPKEEP: Duration = Duration::from_secs(5);

/// Keeps what was recorded from growing while nobody asks for it. Never completes.
pub(crate) async fn keep_up(clock: Arc<dyn Clock>) {
    loop {
        clock.sleep(UPKEEP).await;
        if let Some(recorder) = recorder() {
            recorder.run_upkeep();
        }
    }
}

/// What `/metrics` answers.
pub(crate) async fn rendered(feed: &Feed) -> String {
    let Some(recorder) = recorder() else {
        return String::new();
    };
    match feed.parts().queue.stats().await {
        Ok(stats) => {
            let states = [
                ("ready", stats.ready),
                ("delayed", stats.delayed),
                ("leased", stats.leased),
                ("dead", stats.dead),
            ];
            for (state, tasks) in states {
                let tasks = u32::try_from(tasks).unwrap_or(u32::MAX);
                gauge!("feed_queue_tasks", "state" => state).set(tasks);
            }
            let oldest = stats.oldest_ready.unwrap_or_default();
            gauge!("feed_queue_oldest_ready_seconds").set(oldest.as_secs_f64());
        }
        Err(error) => tracing::warn!(%error, "the queue does not say how full it is"),
    }
    recorder.render()
}

/// Counts each request, and how long it took.
pub(crate) async fn measured(
    State(clock): State<Arc<dyn Clock>>,
    request: Request,
    next: Next,
) -> Response {
    let start = clock.monotonic();
    // What a stranger can make up, a method or a path that is no route, must not become a label.
    let method = label(request.method()).to_owned();
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or_else(|| "none".to_owned(), |route| route.as_str().to_owned());
    let response = next.run(request).await;
    let took = clock.monotonic().saturating_sub(start);
    let status = response.status().as_str().to_owned();
    let labels = [("method", method), ("route", route)];
    histogram!(LATENCY, &labels).record(took);
    let [(_, method), (_, route)] = labels;
    counter!(REQUESTS, "method" => method, "route" => route, "status" => status).increment(1);
    response
}

fn label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        Method::CONNECT => "CONNECT",
        Method::TRACE => "TRACE",
        _ => "other",
    }
}
