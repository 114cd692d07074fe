//! The program as people use it: in a browser, in a file of its own and with others on Redis.
#![expect(
    clippy::unwrap_used,
    reason = "a test fails by a panic, in its helpers too"
)]

mod kill;
mod place;
mod shell;
