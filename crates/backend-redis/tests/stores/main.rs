//! What the stores do on a server and on a Cluster.
#![expect(clippy::unwrap_used, reason = "a test panics to fail")]

mod bus;
mod cluster;
mod feed;
mod half_moved;
mod halfway;
mod histories;
mod id_counter;
mod outbox;
mod presence;
mod queue;
mod refusals;
mod round_trips;
mod sequence_marks;
mod sizes;
mod slots;
mod timelines;

/// What tests share.
#[path = "../house"]
mod house {
    mod client;
    mod connection;
    mod moving;
    mod operator;
    mod prefix;
    mod server;
    mod shared;
    mod slot;
    mod takeover;
    mod until;

    pub(crate) use self::{
        client::{client, cluster_client},
        connection::{connect, connect_one_by_one},
        moving::MovingSlot,
        operator::Operator,
        prefix::{connect_apart, fresh_prefix},
        server::Server,
        shared::{CLUSTER, SERVER},
        slot::{master_of, slot_of},
        takeover::take_over,
        until::{IN_THE_END, until},
    };
}
