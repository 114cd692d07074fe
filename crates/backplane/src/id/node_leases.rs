use std::{fmt, time::Duration};

use async_trait::async_trait;

use crate::{Result, Timestamp};

/// Hands out node numbers, each to one holder at a time, and with each the points of time that its
/// identifiers may carry.
///
/// Nodes are numbered from zero; how many there are is the store's option. Each has a *mark*, which
/// outlives its leases: the last point of time that any holder so far was allowed. A new holder
/// starts above it, so that two holders' identifiers differ even if the clocks of their machines do
/// not agree, and even if the former one still believes that it holds the node.
///
/// The store measures a lease by its own clock, from the moment at which it grants it. The holder
/// counts from before it asked, so its lease ends first.
#[async_trait]
pub trait NodeLeases: fmt::Debug + Send + Sync {
    /// Leases a node that nobody holds for `ttl`, and moves its mark to `until` unless it lies
    /// further already. A lease of [`Duration::MAX`] never runs out: if its holder dies, the node is
    /// gone for good.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) if `ttl` is zero; nothing is leased. On
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) a node may have been leased; it
    /// is free again after `ttl`.
    ///
    /// # Cancel safety
    ///
    /// As after an error.
    async fn acquire(&self, ttl: Duration, until: Timestamp) -> Result<Acquired>;

    /// Lets `lease` last for `ttl` from now, and moves the mark to `until` unless it lies further
    /// already. A lease that ran out is lost, even if nobody has taken its node since.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) if `ttl` is zero; the lease is as it was. On
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) the lease may have been renewed
    /// and the mark moved; renewing again is safe.
    ///
    /// # Cancel safety
    ///
    /// As after an error.
    async fn renew(&self, lease: &NodeLease, ttl: Duration, until: Timestamp) -> Result<Renewed>;

    /// Gives the node back and sets its mark to `until`, which may lie before it: the holder vows
    /// that it used nothing past `until` and never will. Changes nothing if the node has had
    /// another holder since.
    ///
    /// # Errors
    ///
    /// On [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) the node may be free already;
    /// releasing again is safe.
    ///
    /// # Cancel safety
    ///
    /// As after an error.
    async fn release(&self, lease: &NodeLease, until: Timestamp) -> Result<()>;
}

/// A node held for a time.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct NodeLease {
    /// The node's number.
    pub node: u32,
    /// Grows with each lease of the node: what a resource asks for to refuse a former holder.
    pub token: u64,
    /// The node's mark when it was leased: the holder's identifiers lie above it. Absent for a node
    /// that was never leased.
    pub floor: Option<Timestamp>,
}

/// What became of an [`acquire`](NodeLeases::acquire).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "granted or not")]
pub enum Acquired {
    /// The caller holds the node.
    Granted(NodeLease),
    /// Every node is held.
    AllTaken {
        /// When the first of the leases runs out, unless it is renewed.
        retry_after: Duration,
    },
}

/// What became of a [`renew`](NodeLeases::renew).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "renewed or not")]
pub enum Renewed {
    /// The lease goes on.
    Held,
    /// The lease ran out, was given back, or the node has another holder.
    Lost,
}
