//! The traits of feed-core.
