//! Presence against what it promises: tables, and random histories beside a naive account of them.
#![cfg(not(loom))]

mod account;
mod flaps;
mod histories;
mod multi_device;
mod node;
mod world;
