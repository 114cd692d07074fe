//! A news feed over HTTP: [`feed_core`] in an axum server.
//!
//! [`router`] is what you mount in a server of your own; this crate's `main.rs` does so with nothing
//! around it, and shows how to start and stop it. Everything else here is what `feed-core` leaves to
//! the application: a table of users, bodies of posts, who may do what, and how it looks as JSON.
//!
//! ```
//! use feed_server::{Api, Stop, Store, router};
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
//! let store = Store::in_memory().await?;
//! let (_trigger, stop) = Stop::new();
//! let app: axum::Router = axum::Router::new()
//!     .route("/", axum::routing::get(|| async { "your own pages" }))
//!     .merge(router(Api::new(&store, stop)));
//! # drop(app);
//! # Ok(()) }
//! ```
//!
//! # The API
//!
//! Ids are strings, times are milliseconds since 1970. All but `/v1/session` want
//! `Authorization: Bearer TOKEN`.
//!
//! | request | answer |
//! |---|---|
//! | `POST /v1/session` `{"name"}` | a token for the account of that name, which is made if missing |
//! | `GET /v1/me` | the viewer's profile |
//! | `POST /v1/me/feed` `{"body", "reply_to"?}` | 201 and the post; 200 and the earlier one, if the `Idempotency-Key` is known; 422 if that one was sent with another text |
//! | `GET /v1/me/feed?cursor=&limit=` | a page of the home feed |
//! | `GET /v1/me/feed/top?cursor=&limit=` | the same, what people react to first |
//! | `GET /v1/me/feed/live` | the home feed as it changes, as server-sent events; resumes at `Last-Event-ID` |
//! | `GET /v1/me/feed/unread` | how many items are newer than the marker |
//! | `PUT /v1/me/feed/marker` `{"post"}` | moves the marker forward |
//! | `GET /v1/me/following` | whom the viewer follows |
//! | `PUT`, `DELETE /v1/me/following/{name}` | follows, unfollows |
//! | `PUT`, `DELETE /v1/me/muted/{name}`, `/v1/me/blocked/{name}` | hides, shows again |
//! | `GET /v1/users/{name}` | a profile |
//! | `GET /v1/users/{name}/feed?cursor=&limit=` | a page of what that user has posted |
//! | `GET`, `PATCH` `{"body"}`, `DELETE /v1/posts/{id}` | reads, edits, deletes a post |
//! | `PUT`, `DELETE /v1/posts/{id}/like`, `/v1/posts/{id}/repost` | does it, takes it back |
//!
//! 429 and 503 say by `Retry-After` when to come back. An account may post by its
//! [`post_quota`](feed_core::FeedOptions::post_quota), edit, delete, follow, mute, block and react by its
//! [action quota](Api::with_action_quota), and hold 16 live streams. A queue of fanout that is full
//! refuses posts, reposts, edits and deletions before anything has changed. A 503 without the header is
//! a server that must be started again.
//!
//! Every error is an `application/problem+json` body (RFC 9457); [`Reason`] lists them. Only what is
//! not HTTP, or has a head that is too large, gets a bare status.
//!
//! # What it is not
//!
//! Not a log-in: `/v1/session` gives a token to whoever names an account. It stands where your own
//! authentication goes, so that two people can try the page. Not for the open internet: there is no
//! TLS, no limit on the accounts and connections of one address, nothing that bounds how slowly a
//! client reads, and a browser that speaks HTTP/1.1 opens six connections to a host, of which each tab
//! holds one: put a proxy with TLS and HTTP/2 before it.

mod account;
mod api;
mod content;
mod engine;
mod extract;
mod follow;
mod item;
mod live;
mod operations;
pub mod page;
mod post;
mod problem;
mod react;
mod router;
mod serve;
mod server;
mod session;
mod stop;
mod store;
mod telemetry;
mod timeline;
mod token;
mod top;
mod user;

pub use account::{Account, Accounts, InvalidName, Name};
pub use api::Api;
pub use content::{Content, MAX_TEXT, Parent};
pub use engine::Engine;
pub use operations::operations;
pub use problem::{Problem, Reason};
pub use router::{MAX_REQUEST_BODY, router};
pub use server::{Arguments, Server};
pub use stop::{Stop, Trigger};
pub use store::Store;
pub use token::{Token, TokenError, TokenKey};
