use std::{fmt, sync::Arc};

use super::{Node, NodeState};

/// Who is in a service at one moment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct View {
    /// Which change of the service's nodes led to this view.
    pub epoch: ViewEpoch,
    /// The nodes, by ascending name.
    pub nodes: Arc<[Node]>,
}

impl View {
    /// The nodes that take new work.
    pub fn up(&self) -> impl Iterator<Item = &Node> {
        let is_up = |node: &&Node| node.state == NodeState::Up;
        self.nodes.iter().filter(is_up)
    }

    /// The node called `name`, if it is there.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<&Node> {
        let at = self.nodes.binary_search_by(|node| (*node.name).cmp(name));
        at.ok().map(|at| &self.nodes[at])
    }
}

/// Counts the changes of a service's nodes: two views of one epoch are equal, and a later view has
/// a larger epoch.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ViewEpoch(u64);

impl ViewEpoch {
    /// The epoch of a service that never had a node.
    pub const ZERO: Self = Self(0);

    /// Wraps a raw epoch.
    #[must_use]
    pub const fn new(raw: u64) -> Self {
        Self(raw)
    }

    /// The raw epoch.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The epoch after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for ViewEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
