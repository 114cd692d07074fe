//! The page for people: static files that talk to the API.
//!
//! The feed itself is a module for browsers, `panel.js`, with a style sheet; [`site`] is a page that
//! shows nothing else. A server with more than a feed mounts [`panel`] and has its own page import
//! `mount` from the module.

use axum::{
    Router,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
    routing::{MethodRouter, get},
};

/// The feed alone at `/`, with what it needs below `/feed`.
pub fn site() -> Router {
    let index = html(include_str!("page/index.html"));
    Router::new().route("/", index).nest("/feed", panel())
}

/// `panel.js` and `panel.css`, and what they import.
pub fn panel() -> Router {
    Router::new()
        .route("/panel.css", style(include_str!("page/panel.css")))
        .route("/index.js", script(include_str!("page/index.js")))
        .route("/panel.js", script(include_str!("page/panel.js")))
        .route("/card.js", script(include_str!("page/card.js")))
        .route("/client.js", script(include_str!("page/client.js")))
        .route("/composer.js", script(include_str!("page/composer.js")))
        .route("/dom.js", script(include_str!("page/dom.js")))
        .route("/events.js", script(include_str!("page/events.js")))
        .route("/people.js", script(include_str!("page/people.js")))
        .route("/profile.js", script(include_str!("page/profile.js")))
        .route("/timeline.js", script(include_str!("page/timeline.js")))
}

/// A page.
pub fn html(text: &'static str) -> MethodRouter {
    get(move || async move { file("text/html; charset=utf-8", text) })
}

/// A module for browsers.
pub fn script(text: &'static str) -> MethodRouter {
    get(move || async move { file("text/javascript; charset=utf-8", text) })
}

/// A style sheet.
pub fn style(text: &'static str) -> MethodRouter {
    get(move || async move { file("text/css; charset=utf-8", text) })
}

/// Only what the server itself sends is run or shown: what people write is text, and a mistake in
/// the page does not make it more.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self' data:; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

fn file(kind: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        // A new release is seen at the next visit.
        (header::CACHE_CONTROL, "no-cache"),
    ];
    let headers = headers.map(|(name, value)| (name, HeaderValue::from_static(value)));
    (headers, text).into_response()
}
