use std::{fmt, sync::Arc};

use crate::FencingToken;

/// What a service's directory says about one of its nodes.
///
/// ```
/// use backplane::directory::{Incarnation, Node};
/// let node = Node::new("chat-7", Incarnation::new(1_735_689_600_000), "10.0.0.7:7000")
///     .with_region("eu-west")
///     .with_weight(4);
/// assert_eq!(&*node.region, "eu-west");
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Node {
    /// Its name, unique within the service.
    pub name: Arc<str>,
    /// Which process of that name it is.
    pub incarnation: Incarnation,
    /// Where the other nodes reach it.
    pub address: Arc<str>,
    /// Where it stands; empty unless set.
    pub region: Arc<str>,
    /// Its share of the work, relative to the others; 1 unless set, 0 for none.
    pub weight: u32,
    /// Whether it takes new work; [`NodeState::Up`] unless set.
    pub state: NodeState,
}

impl Node {
    /// A node of weight 1 that is up, of no region.
    #[must_use]
    pub fn new(
        name: impl Into<Arc<str>>,
        incarnation: Incarnation,
        address: impl Into<Arc<str>>,
    ) -> Self {
        Self {
            name: name.into(),
            incarnation,
            address: address.into(),
            region: Arc::default(),
            weight: 1,
            state: NodeState::Up,
        }
    }

    /// Puts the node into `region`.
    #[must_use]
    pub fn with_region(mut self, region: impl Into<Arc<str>>) -> Self {
        self.region = region.into();
        self
    }

    /// Gives the node `weight`.
    #[must_use]
    pub fn with_weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }

    /// Puts the node into `state`.
    #[must_use]
    pub fn with_state(mut self, state: NodeState) -> Self {
        self.state = state;
        self
    }
}

/// Which of the processes that bore one name: a later one has a larger number.
///
/// The start time of the process in milliseconds serves well. If the wall clock was set back in
/// between, a later process is [`Superseded`](Joined::Superseded) by its predecessor until that
/// one's lease has passed: joining again after a lease's time succeeds. A number that is kept, and
/// counted up at each start, has no such wait.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Incarnation(u64);

impl Incarnation {
    /// Wraps a raw number.
    #[must_use]
    pub const fn new(raw: u64) -> Self {
        Self(raw)
    }

    /// The raw number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whether a node takes new work. A node that is down is not in the directory.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum NodeState {
    /// It does.
    Up,
    /// It finishes what it has and takes nothing new.
    Draining,
}

/// A node's wish to be seen differently.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum NodeChange {
    /// Take it for being in this state.
    State(NodeState),
    /// Give it this share of the work.
    Weight(u32),
}

/// Proof that a node is in the directory, for as long as its lease lasts.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Membership {
    /// Of which service.
    pub service: Arc<str>,
    /// Under which name.
    pub node: Arc<str>,
    /// Larger than that of any earlier membership of the service.
    pub token: FencingToken,
}

/// What became of an attempt to join.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Joined {
    /// The node is in the directory.
    Member(Membership),
    /// A later incarnation of the node is, so this one must stop; or the clock that its
    /// [`Incarnation`] was taken from was set back. Nothing changed.
    Superseded {
        /// The later one.
        by: Incarnation,
    },
    /// The service has as many nodes as it may have, or the directory as many services. Nothing
    /// changed.
    Full,
}

/// Whether a membership still was one when it was used.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a membership is either held or it is not"
)]
pub enum Tenure {
    /// It was, and what was asked for is done.
    Held,
    /// It had ended. Nothing changed; the node must stop, or join again.
    Lost,
}
