use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use parking_lot::Mutex;

use crate::{
    Clock, Error, ErrorKind, Result, Timestamp,
    id::{Acquired, NodeLease, NodeLeases, Renewed},
};

/// [`NodeLeases`] in process memory, for the generators of one process.
///
/// Of the free nodes it leases the one whose mark lies furthest back, so that a new holder need not
/// wait for the clock to pass it.
#[derive(Debug)]
pub struct MemoryNodeLeases {
    nodes: Mutex<Vec<Node>>,
    clock: Arc<dyn Clock>,
}

#[derive(Clone, Debug, Default)]
struct Node {
    mark: Option<Timestamp>,
    token: u64,
    expires: Duration,
}

impl MemoryNodeLeases {
    /// The nodes `0..count`, all free, whose leases are measured by `clock`.
    #[must_use]
    pub fn new(count: u32, clock: Arc<dyn Clock>) -> Self {
        let nodes = (0..count).map(|_| Node::default()).collect();
        Self {
            nodes: Mutex::new(nodes),
            clock,
        }
    }

    /// Leases a free node.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] if `ttl` is zero.
    pub fn acquire(&self, ttl: Duration, until: Timestamp) -> Result<Acquired> {
        check_ttl("acquire", ttl)?;
        let now = self.clock.monotonic();
        let mut nodes = self.nodes.lock();
        let free = (0..)
            .zip(nodes.iter_mut())
            .filter(|(_, node)| node.expires <= now);
        if let Some((number, node)) = free.min_by_key(|(_, node)| node.mark) {
            let lease = node.lease(number, now.saturating_add(ttl), until);
            return Ok(Acquired::Granted(lease));
        }
        let next = nodes.iter().map(|node| node.expires).min();
        Ok(Acquired::AllTaken {
            retry_after: next.map_or(Duration::MAX, |next| next.saturating_sub(now)),
        })
    }

    /// Lets `lease` last for `ttl` from now.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] if `ttl` is zero.
    pub fn renew(&self, lease: &NodeLease, ttl: Duration, until: Timestamp) -> Result<Renewed> {
        check_ttl("renew", ttl)?;
        let now = self.clock.monotonic();
        let mut nodes = self.nodes.lock();
        match held(&mut nodes, lease) {
            Some(node) if now < node.expires => {
                node.expires = now.saturating_add(ttl);
                node.mark = node.mark.max(Some(until));
                Ok(Renewed::Held)
            }
            _ => Ok(Renewed::Lost),
        }
    }

    /// Gives the node of `lease` back.
    pub fn release(&self, lease: &NodeLease, until: Timestamp) {
        let mut nodes = self.nodes.lock();
        if let Some(node) = held(&mut nodes, lease) {
            node.expires = Duration::ZERO;
            node.mark = Some(until);
            // So that what was given back cannot be given back again.
            node.token += 1;
        }
    }
}

impl Node {
    fn lease(&mut self, number: u32, expires: Duration, until: Timestamp) -> NodeLease {
        self.token += 1;
        self.expires = expires;
        let floor = self.mark;
        self.mark = floor.max(Some(until));
        NodeLease {
            node: number,
            token: self.token,
            floor,
        }
    }
}

fn check_ttl(op: &'static str, ttl: Duration) -> Result<()> {
    if ttl.is_zero() {
        return Err(Error::new(ErrorKind::Invalid, op, "a lease of no time"));
    }
    Ok(())
}

/// The node of `lease`, if that is its latest.
fn held<'a>(nodes: &'a mut [Node], lease: &NodeLease) -> Option<&'a mut Node> {
    let node = nodes.get_mut(usize::try_from(lease.node).ok()?)?;
    (node.token == lease.token).then_some(node)
}

#[async_trait]
impl NodeLeases for MemoryNodeLeases {
    async fn acquire(&self, ttl: Duration, until: Timestamp) -> Result<Acquired> {
        self.acquire(ttl, until)
    }

    async fn renew(&self, lease: &NodeLease, ttl: Duration, until: Timestamp) -> Result<Renewed> {
        self.renew(lease, ttl, until)
    }

    async fn release(&self, lease: &NodeLease, until: Timestamp) -> Result<()> {
        self.release(lease, until);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ManualClock,
        conformance::{Fresh, TestTime, node_leases::NODES},
    };

    crate::node_leases_conformance!(async {
        let clock = ManualClock::default();
        Fresh::<dyn NodeLeases> {
            store: Arc::new(MemoryNodeLeases::new(NODES, Arc::new(clock.clone()))),
            time: TestTime::Manual(clock),
        }
    });

    #[test]
    fn the_node_that_waited_longest_is_leased_first() {
        let leases = MemoryNodeLeases::new(2, Arc::new(ManualClock::default()));
        let [early, late] = [1_000, 9_000].map(Timestamp::from_millis);
        let acquire = || match leases.acquire(Duration::from_secs(1), early).unwrap() {
            Acquired::Granted(lease) => lease,
            Acquired::AllTaken { .. } => panic!("a node is free"),
        };
        let (first, second) = (acquire(), acquire());
        leases.release(&first, late);
        leases.release(&second, early);
        assert_eq!(acquire().node, second.node);
    }

    #[test]
    fn no_nodes_means_all_taken_for_good() {
        let leases = MemoryNodeLeases::new(0, Arc::new(ManualClock::default()));
        let retry_after = Duration::MAX;
        let acquired = leases.acquire(Duration::from_secs(1), Timestamp::EPOCH);
        assert_eq!(acquired.unwrap(), Acquired::AllTaken { retry_after });
    }
}
