//! Service discovery: who is up, where, and for how long.
//!
//! A node joins a service under a lease and renews it; who stops renewing leaves by itself. Others
//! read a [`View`] and wait for the next one. A view's epoch grows with every change and is what a
//! hash ring is built for.
//!
//! ```
//! use std::time::Duration;
//! use backplane::{memory::MemoryDirectory, directory::{Incarnation, Joined, Node, NodeChange, NodeState}};
//! let directory = MemoryDirectory::default();
//! let node = Node::new("chat-7", Incarnation::new(1), "10.0.0.7:7000");
//! let Joined::Member(membership) = directory.join("chat", node, Duration::from_secs(15))? else {
//!     panic!("nobody else is there");
//! };
//! let before = directory.members("chat")?;
//! assert_eq!(before.up().count(), 1);
//!
//! directory.update(&membership, &[NodeChange::State(NodeState::Draining)]);
//! let after = directory.members("chat")?;
//! assert_eq!(after.up().count(), 0);
//! assert!(after.epoch > before.epoch);
//! # Ok::<(), backplane::Error>(())
//! ```

use std::{fmt, time::Duration};

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};

pub use self::{
    node::{Incarnation, Joined, Membership, Node, NodeChange, NodeState, Tenure},
    options::DirectoryOptions,
    view::{View, ViewEpoch},
};
use crate::{Error, ErrorKind, Result};

mod node;
mod options;
mod view;

/// Who is in which service.
///
/// A call concerns one node, because a process joins a service or two and renews every few seconds;
/// there is nothing to batch.
///
/// # Atomicity
///
/// Each method is atomic with respect to every other, on all nodes. Whoever reads a view after a
/// call returned sees what the call did.
///
/// # Leases
///
/// A membership ends when its lease passes, when it is left, or when the same name joins again: by
/// a later incarnation, or by the same one, whose first attempt may have been answered too late.
/// What is done with an ended membership is [`Tenure::Lost`] and changes nothing. An incarnation is
/// remembered as long as it is a member.
///
/// # Epochs
///
/// A view's epoch grows whenever its nodes change, at least by one, and at no other time; renewing
/// is no change. It never goes back, also when the service is empty for a while. An epoch or a token that
/// was handed out is not handed out for anything else, also if an engine has lost it; an implementation on which
/// that has a condition says so.
///
/// # Calls that come late
///
/// A call that failed as `Unavailable` may take effect after one that was made later, for as long as it is
/// on its way. A `join` that comes so late ends the membership of the repeated one: its next renewal is
/// `Lost`, and the node joins again. It may bring a node back that has left, until the lease passes. An
/// `update` that comes late undoes one that was made after it: whoever must be sure looks at the view.
///
/// # Limits
///
/// Names of services and nodes have 1 to [`MAX_NAME`] bytes, addresses and regions at most as many.
/// An implementation bounds services and nodes by [`DirectoryOptions`].
#[async_trait]
pub trait Directory: fmt::Debug + Send + Sync {
    /// Puts `node` into `service` for `ttl`. One that joins for [`Duration::MAX`] stays until it
    /// leaves, also if it dies.
    ///
    /// # Errors
    ///
    /// `Invalid` if a name breaks the limits or `ttl` is zero; nothing changed. On `Unavailable` the
    /// node may be in the directory; joining again ends that membership.
    ///
    /// # Cancel safety
    ///
    /// As for `Unavailable`.
    async fn join(&self, service: &str, node: Node, ttl: Duration) -> Result<Joined>;

    /// Makes the lease end `ttl` from now, or when it would have ended if that is later.
    ///
    /// # Errors
    ///
    /// On `Unavailable` the lease may have been renewed. A node that cannot renew must take its
    /// membership for lost when its own monotonic clock says so.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the lease renewed or as it was.
    async fn renew(&self, membership: &Membership, ttl: Duration) -> Result<Tenure>;

    /// Applies all of `changes` at once.
    ///
    /// # Errors
    ///
    /// On `Unavailable` all or none were applied, or will be; retrying is safe.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves all of them applied, or none.
    async fn update(&self, membership: &Membership, changes: &[NodeChange]) -> Result<Tenure>;

    /// Takes the node out of the service.
    ///
    /// # Errors
    ///
    /// On `Unavailable` it may be out already: retrying is safe, and then answers `Lost`.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the node in or out.
    async fn leave(&self, membership: &Membership) -> Result<Tenure>;

    /// Who is in `service` now; nobody, at [`ViewEpoch::ZERO`], if it never had a node.
    ///
    /// # Errors
    ///
    /// `Invalid` if the name breaks the limits.
    async fn members(&self, service: &str) -> Result<View>;

    /// The view of `service`, as soon as its epoch is not `since`: at once if it is not now.
    ///
    /// Views in between may be skipped, changes never: a caller who passes the epoch it saw last
    /// misses nothing that happened while it was not waiting.
    ///
    /// # Errors
    ///
    /// `Invalid` if the name breaks the limits.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    async fn changed(&self, service: &str, since: ViewEpoch) -> Result<View>;
}

/// Conveniences over any [`Directory`].
pub trait DirectoryExt: Directory {
    /// The view of `service` now, then each later one as soon as it can be had; after an error,
    /// the stream tries again when it is polled again.
    ///
    /// # Cancel safety
    ///
    /// Dropping the `next` of this stream loses nothing.
    fn watch<'a>(&'a self, service: &'a str) -> BoxStream<'a, Result<View>> {
        let views = stream::unfold(None, move |seen| async move {
            let view = match seen {
                None => self.members(service).await,
                Some(since) => self.changed(service, since).await,
            };
            let seen = view.as_ref().map_or(seen, |view| Some(view.epoch));
            Some((view, seen))
        });
        views.boxed()
    }
}

impl<T: Directory + ?Sized> DirectoryExt for T {}

/// The most bytes of a name, an address or a region.
pub const MAX_NAME: usize = 255;

/// Refuses a name that breaks the limits. For implementations.
///
/// # Errors
///
/// `Invalid`, of the operation `op`.
pub fn check_name(op: &'static str, name: &str) -> Result<()> {
    if name.is_empty() {
        return Err(Error::new(ErrorKind::Invalid, op, "an empty name"));
    }
    check_text(op, name)
}

/// Refuses a node that breaks the limits. For implementations.
///
/// # Errors
///
/// `Invalid`, of the operation `op`.
pub fn check_node(op: &'static str, node: &Node) -> Result<()> {
    check_name(op, &node.name)?;
    check_text(op, &node.address)?;
    check_text(op, &node.region)
}

fn check_text(op: &'static str, text: &str) -> Result<()> {
    if text.len() > MAX_NAME {
        return Err(Error::new(ErrorKind::Invalid, op, "a name too long"));
    }
    Ok(())
}
