//! What every server answers beside its own API.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Path, rejection::PathRejection},
    http::{StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::get,
};
use feed_core::Feed;

use crate::{Api, Engine, Problem, Reason, telemetry};

/// The whole server: `site` with `/healthz`, `/metrics`, `/problems/{slug}` and a problem for every
/// other path, all of it measured.
pub fn operations(site: Router, api: &Api) -> Router {
    let (measured, engine) = (api.feed().clone(), api.engine().clone());
    let clock = Arc::clone(&measured.parts().clock);
    telemetry::recorder();
    site.route("/healthz", get(move || health(engine.clone())))
        .route("/metrics", get(move || metrics(measured.clone())))
        .route("/problems/{slug}", get(explain))
        .fallback(|| async { Problem::new(Reason::NotFound) })
        .method_not_allowed_fallback(|| async { Problem::new(Reason::MethodNotAllowed) })
        .layer(middleware::from_fn_with_state(clock, telemetry::measured))
}

/// Whether the engine answers, and a file takes writes, which it never does again in this process. A Redis that
/// refuses writes, as when it is full, refuses them to every server, and all of them can still read.
async fn health(engine: Engine) -> Result<&'static str, Problem> {
    match engine.check().await {
        Ok(()) => Ok("ok\n"),
        Err(_) => Err(Problem::new(Reason::Unavailable)),
    }
}

async fn metrics(feed: Feed) -> Response {
    let text = telemetry::rendered(&feed).await;
    let format = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, format)], text).into_response()
}

/// What the `type` of a problem says to a person.
async fn explain(slug: Result<Path<String>, PathRejection>) -> Result<String, Problem> {
    let unknown = || Problem::new(Reason::NotFound);
    let Path(slug) = slug.map_err(|_| unknown())?;
    let reason = Reason::ALL.iter().find(|reason| reason.slug() == slug);
    let reason = reason.ok_or_else(unknown)?;
    let status: StatusCode = reason.status();
    Ok(format!("{status}\n{}\n", reason.title()))
}
