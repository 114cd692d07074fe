//! A directory as a plain list, and the one in memory held against it.

use std::{sync::Arc, time::Duration};

use proptest::{collection::vec, prelude::*, sample::Index};

use super::MemoryDirectory;
use crate::{
    ManualClock,
    conformance::directory::options,
    directory::{Incarnation, Joined, Membership, Node, NodeChange, NodeState, Tenure},
};

#[derive(Clone, Debug)]
enum Op {
    Join(usize, usize, u64, u32, u64),
    Renew(Index, u64),
    Update(Index, NodeChange),
    Leave(Index),
    Pass(u64),
}

fn op() -> impl Strategy<Value = Op> {
    let index = any::<Index>;
    let change = prop_oneof![
        (0..3_u32).prop_map(NodeChange::Weight),
        Just(NodeChange::State(NodeState::Up)),
        Just(NodeChange::State(NodeState::Draining)),
    ];
    let join = (0..2_usize, 0..4_usize, 0..3_u64, 0..2_u32, 1..40_u64);
    prop_oneof![
        4 => join.prop_map(|(service, name, incarnation, weight, ttl)| {
            Op::Join(service, name, incarnation, weight, ttl)
        }),
        3 => (index(), 0..40_u64).prop_map(|(membership, ttl)| Op::Renew(membership, ttl)),
        2 => (index(), change).prop_map(|(membership, change)| Op::Update(membership, change)),
        1 => index().prop_map(Op::Leave),
        3 => (0..30_u64).prop_map(Op::Pass),
    ]
}

/// Every membership there ever was, in the order in which they began; times in seconds.
#[derive(Default)]
struct Oracle {
    grants: Vec<Grant>,
    now: u64,
}

struct Grant {
    service: usize,
    node: Node,
    membership: Membership,
    until: u64,
}

impl Oracle {
    fn holds(&self, grant: &Grant) -> bool {
        let same_name =
            |other: &&Grant| other.service == grant.service && other.node.name == grant.node.name;
        let last = self.grants.iter().rfind(same_name);
        grant.until > self.now && last.is_some_and(|last| last.membership == grant.membership)
    }

    fn nodes(&self, service: usize) -> Vec<Node> {
        let held = |grant: &&Grant| grant.service == service && self.holds(grant);
        let nodes = self.grants.iter().filter(held);
        let mut nodes: Vec<_> = nodes.map(|grant| grant.node.clone()).collect();
        nodes.sort_by(|a, b| a.name.cmp(&b.name));
        nodes
    }

    /// The membership that `index` names among all there ever were, if it is still held.
    fn pick(&mut self, index: Index) -> Option<(Membership, Option<&mut Grant>)> {
        if self.grants.is_empty() {
            return None;
        }
        let at = index.index(self.grants.len());
        let held = self.holds(&self.grants[at]);
        let grant = &mut self.grants[at];
        Some((grant.membership.clone(), held.then_some(grant)))
    }
}

const SERVICES: [&str; 2] = ["chat", "feed"];

fn apply(directory: &MemoryDirectory, oracle: &mut Oracle, op: &Op) -> Result<(), TestCaseError> {
    let now = oracle.now;
    let expect = |held: bool| if held { Tenure::Held } else { Tenure::Lost };
    match *op {
        Op::Join(service, name, incarnation, weight, ttl) => {
            let name = ["a", "b", "c", "d"][name];
            let incarnation = Incarnation::new(incarnation);
            let node = Node::new(name, incarnation, "").with_weight(weight);
            let nodes = oracle.nodes(service);
            let current = nodes.iter().find(|node| &*node.name == name);
            let later = current.filter(|node| node.incarnation > incarnation);
            let is_full = current.is_none() && nodes.len() == options().nodes;
            let ttl_secs = Duration::from_secs(ttl);
            let joined = directory
                .join(SERVICES[service], node.clone(), ttl_secs)
                .unwrap();
            match joined {
                Joined::Member(membership) => {
                    prop_assert!(later.is_none() && !is_full);
                    let tokens = oracle
                        .grants
                        .iter()
                        .filter(|grant| grant.service == service);
                    let last = tokens.map(|grant| grant.membership.token).max();
                    prop_assert!(Some(membership.token) > last);
                    oracle.grants.push(Grant {
                        service,
                        node,
                        membership,
                        until: now + ttl,
                    });
                }
                Joined::Superseded { by } => {
                    prop_assert_eq!(later.map(|node| node.incarnation), Some(by));
                }
                Joined::Full => prop_assert!(is_full),
            }
        }
        Op::Renew(ref index, ttl) => {
            if let Some((membership, grant)) = oracle.pick(*index) {
                let renewed = directory.renew(&membership, Duration::from_secs(ttl));
                prop_assert_eq!(renewed, expect(grant.is_some()));
                if let Some(grant) = grant {
                    grant.until = grant.until.max(now + ttl);
                }
            }
        }
        Op::Update(ref index, change) => {
            if let Some((membership, grant)) = oracle.pick(*index) {
                let updated = directory.update(&membership, &[change]);
                prop_assert_eq!(updated, expect(grant.is_some()));
                match (grant, change) {
                    (Some(grant), NodeChange::State(state)) => grant.node.state = state,
                    (Some(grant), NodeChange::Weight(weight)) => grant.node.weight = weight,
                    (None, _) => {}
                }
            }
        }
        Op::Leave(ref index) => {
            if let Some((membership, grant)) = oracle.pick(*index) {
                let left = directory.leave(&membership);
                prop_assert_eq!(left, expect(grant.is_some()));
                if let Some(grant) = grant {
                    grant.until = now;
                }
            }
        }
        Op::Pass(secs) => oracle.now += secs,
    }
    Ok(())
}

proptest! {
    #[test]
    fn views_are_those_of_a_plain_list_and_epochs_count_their_changes(
        ops in vec(op(), 0..80),
    ) {
        let clock = ManualClock::default();
        let directory = MemoryDirectory::new(Arc::new(clock.clone()), options());
        let mut oracle = Oracle::default();
        let mut seen = SERVICES.map(|service| directory.members(service).unwrap());
        for op in ops {
            if let Op::Pass(secs) = op {
                clock.advance(Duration::from_secs(secs));
            }
            apply(&directory, &mut oracle, &op)?;
            for (service, seen) in seen.iter_mut().enumerate() {
                let view = directory.members(SERVICES[service]).unwrap();
                prop_assert_eq!(view.nodes.to_vec(), oracle.nodes(service));
                if view.nodes == seen.nodes {
                    prop_assert_eq!(view.epoch, seen.epoch);
                } else {
                    prop_assert!(view.epoch > seen.epoch);
                }
                *seen = view;
            }
        }
    }
}
