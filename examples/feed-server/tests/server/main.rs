//! The server as its clients see it: over HTTP, as a process, and in a browser.
#![expect(
    clippy::unwrap_used,
    reason = "a test fails by a panic, in its helpers too"
)]

mod browser;
mod client;
mod flows;
mod house;
mod line;
mod live;
mod problems;
mod process;
mod service;
