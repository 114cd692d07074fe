//! What the stores do on a server and on a Cluster.
#![expect(clippy::unwrap_used, reason = "a test panics to fail")]

mod bus;
mod feed;
mod half_moved;
mod halfway;
mod histories;
mod outbox;
mod queue;
mod refusals;
mod round_trips;
mod sizes;
mod slots;
mod timelines;
