//! The tabs of the page, one for each core that has a server.

use axum::{Json, routing::MethodRouter};
use serde::Serialize;

/// A tab: a module for browsers whose `mount(element)` fills it, and that module's style sheet.
#[derive(Clone, Copy, Debug, Serialize)]
struct Tab {
    /// In the page's address, behind the `#`.
    name: &'static str,
    title: &'static str,
    module: &'static str,
    style: &'static str,
}

/// Another core adds its line here, and mounts its router in `main`.
const TABS: &[Tab] = &[Tab::new(
    "feed",
    "Feed",
    "/feed/panel.js",
    "/feed/panel.css",
)];

impl Tab {
    const fn new(
        name: &'static str,
        title: &'static str,
        module: &'static str,
        style: &'static str,
    ) -> Self {
        Self {
            name,
            title,
            module,
            style,
        }
    }
}

/// Tells the page which tabs there are.
pub(crate) fn route() -> MethodRouter {
    axum::routing::get(|| async { Json(TABS) })
}
