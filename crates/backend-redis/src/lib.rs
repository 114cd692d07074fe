//! Stores on [Redis] and Valkey, on one server or a Cluster.
//!
//! [Redis]: https://redis.io
//!
//! The application makes the connection; a [`Redis`] around it is what every store takes.
//!
//! ```no_run
//! use backend_redis::{Redis, RedisQueue};
//! use backplane::queue::{NewTask, QueueOptions, TaskQueue};
//! # async fn open() -> Result<(), Box<dyn std::error::Error>> {
//! let client = redis::Client::open("redis://127.0.0.1/")?;
//! let redis = Redis::from(client.get_connection_manager().await?).with_prefix("shop:")?;
//! let queue = RedisQueue::new(redis, "mail", QueueOptions::default());
//! queue.enqueue(&[NewTask::new("welcome, ann")]).await?;
//! # Ok(()) }
//! ```
//!
//! # What is promised
//!
//! Each script is done whole or not at all, also if several nodes make changes at once. A change that is
//! about several servers, such as a post or a follow, is one script on each, and what stopped between two is
//! brought to its end by whoever meets it. What a server loses when it dies, and what a store makes of that,
//! stands with each store and in `docs/redis.md`, with all keys.
//!
//! | trait | store |
//! |---|---|
//! | `Bus` | [`RedisBus`] |
//! | `TaskQueue` | [`RedisQueue`] |
//! | `RateLimiter` | [`RedisRateLimiter`] |
//! | `Directory` | [`RedisDirectory`] |
//! | `NodeLeases`, `IdGenerator` | [`RedisNodeLeases`], [`RedisIds`] |
//! | `IdCounter` | [`RedisIdCounter`] |
//!
//! With the feature `feed`, which is on by default, those of `feed-core`: `feed_parts` makes all of them. With the
//! feature `chat`, which is too, those of `chat-core` that say who is there and number messages: `RedisPresence` and
//! `RedisSequenceMarks`.
//!
//! # Errors
//!
//! A server that is out of memory is `Full`. One that cannot be reached or does not answer in time, loads its
//! data, has become a replica or serves a slot no more is `Unavailable`; if it was reached, it may have done
//! what it was asked. A user without the right is `Invalid`, what does not decode is `Corrupt`, and a bus that
//! was drained is `Closed`.
//!
//! # What it is not
//!
//! Not a client: timeouts, TLS, credentials and reconnecting are those of the connection. Not free of
//! tokio, which the client needs. Not tried on a Redis before 6.2.

#![cfg_attr(
    not(feature = "feed"),
    expect(
        dead_code,
        reason = "some mechanics are there for the stores of cores alone"
    )
)]

mod answer;
mod backplane;
mod batches;
#[cfg(feature = "chat")]
mod chat;
mod connect;
mod connection;
mod failure;
#[cfg(feature = "feed")]
mod feed;
mod scan;
mod script;
mod slots;
mod times;

pub use redis;

pub use self::backplane::{
    RedisBus, RedisBusOptions, RedisDirectory, RedisIdCounter, RedisIds, RedisNodeLeases,
    RedisQueue, RedisRateLimiter,
};
#[cfg(feature = "chat")]
pub use self::chat::{RedisPresence, RedisPresenceOptions, RedisSequenceMarks};
#[cfg(feature = "feed")]
pub use self::feed::{
    RedisActions, RedisActivity, RedisFeedOptions, RedisGraph, RedisOutbox, RedisOutboxOptions,
    RedisSharedCache, RedisTimelines, RedisTimelinesOptions, feed_parts,
};
pub use connection::{BraceInPrefix, Redis};

/// The guide, whose code is to compile.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/redis.md")]
struct Guide;
