//! Presence against what it promises: tables, and random histories beside a naive account of them.
#![cfg(not(loom))]
#![expect(clippy::unwrap_used, reason = "a test panics to fail")]

mod account;
mod bounds;
mod engine;
mod faults;
mod flaps;
mod histories;
mod invisible;
mod multi_device;
mod node;
mod replicas;
mod tracker;
mod world;
