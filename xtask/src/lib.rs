//! The examples in the workspace's documents, compiled and run as doc tests.

/// The front page.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;

/// The guide to the feed.
#[cfg(doctest)]
#[doc = include_str!("../../docs/feed.md")]
pub struct Feed;
