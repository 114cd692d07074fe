//! What holds for all [`NodeLeases`].
#![expect(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "a case panics to fail"
)]

use std::{collections::HashSet, sync::Arc, time::Duration};

use crate::{
    ErrorKind, Timestamp,
    conformance::{Fresh, ROUNDS},
    id::{Acquired, NodeLease, NodeLeases, Renewed},
};

/// How many nodes the store of a case has.
pub const NODES: u32 = 3;

/// A lease that a case waits out. On a real engine the wait is real.
const SHORT: Duration = Duration::from_millis(400);

/// A lease that no case outlives.
const LONG: Duration = Duration::from_secs(60);

/// One test per case, over the store of [`NODES`] free nodes that `$fresh` makes.
#[macro_export]
macro_rules! node_leases_conformance {
    ($fresh:expr) => {
        $crate::conformance_cases!(node_leases_conformance, [$crate::conformance::node_leases], $fresh =>
            a_node_has_one_holder_at_a_time,
            when_all_are_taken_it_says_how_long,
            a_lease_runs_out_and_its_node_is_leased_again,
            a_renewed_lease_outlives_its_first_term,
            a_lease_that_ran_out_cannot_be_renewed,
            a_former_holder_cannot_renew,
            a_lease_of_no_time_is_refused,
            tokens_of_a_node_grow,
            a_new_holder_starts_above_all_that_was_allowed,
            an_earlier_mark_does_not_move_a_later_one_back,
            a_released_node_is_free_with_the_mark_it_was_given,
            a_former_holder_cannot_release,
            releasing_twice_is_releasing_once,
            concurrent_acquires_get_different_nodes,
        );
    };
}

const fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

async fn acquire(leases: &dyn NodeLeases, ttl: Duration, until: Timestamp) -> NodeLease {
    match leases.acquire(ttl, until).await.unwrap() {
        Acquired::Granted(lease) => lease,
        Acquired::AllTaken { .. } => panic!("a node is free"),
    }
}

/// Takes nodes until it has the one that `lease` was for, which is free.
async fn acquire_again(leases: &dyn NodeLeases, lease: &NodeLease, until: Timestamp) -> NodeLease {
    for _ in 0..NODES {
        let next = acquire(leases, LONG, until).await;
        if next.node == lease.node {
            return next;
        }
    }
    panic!("the node is free");
}

/// No node is leased while another lease of it lasts.
pub async fn a_node_has_one_holder_at_a_time(fresh: &Fresh<dyn NodeLeases>) {
    let mut nodes = HashSet::new();
    for _ in 0..NODES {
        let lease = acquire(&*fresh.store, LONG, at(1_000)).await;
        assert!(lease.node < NODES);
        assert!(nodes.insert(lease.node));
    }
}

/// When every node is held, the refusal says when the first lease runs out.
pub async fn when_all_are_taken_it_says_how_long(fresh: &Fresh<dyn NodeLeases>) {
    acquire(&*fresh.store, LONG / 2, at(1_000)).await;
    for _ in 1..NODES {
        acquire(&*fresh.store, LONG, at(1_000)).await;
    }
    let acquired = fresh.store.acquire(LONG, at(1_000)).await.unwrap();
    let Acquired::AllTaken { retry_after } = acquired else {
        panic!("every node is held");
    };
    assert!(retry_after > Duration::ZERO && retry_after <= LONG / 2);
}

/// A lease that is not renewed runs out, and its node is leased again.
pub async fn a_lease_runs_out_and_its_node_is_leased_again(fresh: &Fresh<dyn NodeLeases>) {
    let lease = acquire(&*fresh.store, SHORT, at(1_000)).await;
    fresh.time.pass(SHORT).await;
    acquire_again(&*fresh.store, &lease, at(1_000)).await;
}

/// A renewed lease lasts from the renewal on.
pub async fn a_renewed_lease_outlives_its_first_term(fresh: &Fresh<dyn NodeLeases>) {
    let lease = acquire(&*fresh.store, SHORT, at(1_000)).await;
    let renewed = fresh.store.renew(&lease, LONG, at(2_000)).await.unwrap();
    assert_eq!(renewed, Renewed::Held);
    fresh.time.pass(SHORT).await;
    for _ in 1..NODES {
        let other = acquire(&*fresh.store, LONG, at(1_000)).await;
        assert_ne!(other.node, lease.node);
    }
    let acquired = fresh.store.acquire(LONG, at(1_000)).await.unwrap();
    assert!(matches!(acquired, Acquired::AllTaken { .. }));
}

/// A lease that ran out is lost, even if nobody has taken its node.
pub async fn a_lease_that_ran_out_cannot_be_renewed(fresh: &Fresh<dyn NodeLeases>) {
    let lease = acquire(&*fresh.store, SHORT, at(1_000)).await;
    fresh.time.pass(SHORT).await;
    let renewed = fresh.store.renew(&lease, LONG, at(2_000)).await.unwrap();
    assert_eq!(renewed, Renewed::Lost);
}

/// A holder whose node was leased to another cannot renew, nor disturb the other's lease.
pub async fn a_former_holder_cannot_renew(fresh: &Fresh<dyn NodeLeases>) {
    let former = acquire(&*fresh.store, SHORT, at(1_000)).await;
    fresh.time.pass(SHORT).await;
    let holder = acquire_again(&*fresh.store, &former, at(1_000)).await;
    let renewed = fresh.store.renew(&former, LONG, at(9_000)).await.unwrap();
    assert_eq!(renewed, Renewed::Lost);
    let renewed = fresh.store.renew(&holder, LONG, at(2_000)).await.unwrap();
    assert_eq!(renewed, Renewed::Held);
}

/// A lease of no time is neither granted nor made of one that lasts.
pub async fn a_lease_of_no_time_is_refused(fresh: &Fresh<dyn NodeLeases>) {
    let leases = &*fresh.store;
    let refused = leases.acquire(Duration::ZERO, at(1_000)).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid);
    let lease = acquire(leases, LONG, at(1_000)).await;
    assert_eq!(lease.floor, None, "the refused call has moved no mark");
    let refused = leases.renew(&lease, Duration::ZERO, at(2_000)).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid);
    let renewed = leases.renew(&lease, LONG, at(1_000)).await.unwrap();
    assert_eq!(renewed, Renewed::Held);
    leases.release(&lease, at(1_000)).await.unwrap();
}

/// The tokens of one node grow from lease to lease.
pub async fn tokens_of_a_node_grow(fresh: &Fresh<dyn NodeLeases>) {
    for _ in 1..NODES {
        acquire(&*fresh.store, LONG, at(1_000)).await;
    }
    // One node is left, and goes from hand to hand.
    let mut lease = acquire(&*fresh.store, LONG, at(1_000)).await;
    for _ in 0..3 {
        fresh.store.release(&lease, at(1_000)).await.unwrap();
        let next = acquire(&*fresh.store, LONG, at(1_000)).await;
        assert_eq!(next.node, lease.node);
        assert!(next.token > lease.token);
        lease = next;
    }
}

/// A new holder's floor is the furthest time that any former holder was allowed.
pub async fn a_new_holder_starts_above_all_that_was_allowed(fresh: &Fresh<dyn NodeLeases>) {
    let lease = acquire(&*fresh.store, SHORT, at(5_000)).await;
    assert_eq!(lease.floor, None);
    fresh.store.renew(&lease, SHORT, at(7_000)).await.unwrap();
    fresh.time.pass(SHORT).await;
    let next = acquire_again(&*fresh.store, &lease, at(6_000)).await;
    assert_eq!(next.floor, Some(at(7_000)));
}

/// Asking for an earlier time than was allowed before leaves the mark where it is.
pub async fn an_earlier_mark_does_not_move_a_later_one_back(fresh: &Fresh<dyn NodeLeases>) {
    let lease = acquire(&*fresh.store, SHORT, at(5_000)).await;
    fresh.store.renew(&lease, SHORT, at(3_000)).await.unwrap();
    fresh.time.pass(SHORT).await;
    let next = acquire_again(&*fresh.store, &lease, at(4_000)).await;
    assert_eq!(next.floor, Some(at(5_000)));
}

/// A released node is free at once, and its mark is what the holder said it used.
pub async fn a_released_node_is_free_with_the_mark_it_was_given(fresh: &Fresh<dyn NodeLeases>) {
    let lease = acquire(&*fresh.store, LONG, at(5_000)).await;
    fresh.store.release(&lease, at(4_000)).await.unwrap();
    let renewed = fresh.store.renew(&lease, LONG, at(6_000)).await.unwrap();
    assert_eq!(renewed, Renewed::Lost);
    let next = acquire_again(&*fresh.store, &lease, at(5_000)).await;
    assert_eq!(next.floor, Some(at(4_000)));
}

/// A holder whose node was leased to another can neither free it nor move its mark.
pub async fn a_former_holder_cannot_release(fresh: &Fresh<dyn NodeLeases>) {
    let former = acquire(&*fresh.store, SHORT, at(5_000)).await;
    fresh.time.pass(SHORT).await;
    let holder = acquire_again(&*fresh.store, &former, at(6_000)).await;
    fresh.store.release(&former, at(1_000)).await.unwrap();
    let renewed = fresh.store.renew(&holder, SHORT, at(6_000)).await.unwrap();
    assert_eq!(renewed, Renewed::Held);
    fresh.time.pass(SHORT).await;
    let next = acquire_again(&*fresh.store, &holder, at(6_000)).await;
    assert_eq!(next.floor, Some(at(6_000)));
}

/// Releasing a lease again changes nothing.
pub async fn releasing_twice_is_releasing_once(fresh: &Fresh<dyn NodeLeases>) {
    let lease = acquire(&*fresh.store, LONG, at(5_000)).await;
    fresh.store.release(&lease, at(4_000)).await.unwrap();
    fresh.store.release(&lease, at(1_000)).await.unwrap();
    let next = acquire_again(&*fresh.store, &lease, at(5_000)).await;
    assert_eq!(next.floor, Some(at(4_000)));
    fresh.store.release(&lease, at(1_000)).await.unwrap();
    let renewed = fresh.store.renew(&next, LONG, at(6_000)).await.unwrap();
    assert_eq!(renewed, Renewed::Held);
}

/// Concurrent acquires get different nodes, and as many as there are succeed.
pub async fn concurrent_acquires_get_different_nodes(fresh: &Fresh<dyn NodeLeases>) {
    let acquire_two = |leases: Arc<dyn NodeLeases>, _| async move {
        let first = leases.acquire(LONG, at(1_000)).await.unwrap();
        [first, leases.acquire(LONG, at(1_000)).await.unwrap()]
    };
    for _ in 0..ROUNDS {
        let acquired = fresh.at_once(NODES as usize, acquire_two).await;
        let granted: Vec<_> = acquired
            .into_iter()
            .flatten()
            .filter_map(|acquired| match acquired {
                Acquired::Granted(lease) => Some(lease),
                Acquired::AllTaken { .. } => None,
            })
            .collect();
        let nodes: HashSet<_> = granted.iter().map(|lease| lease.node).collect();
        assert_eq!(
            (granted.len(), nodes.len()),
            (NODES as usize, granted.len())
        );
        for lease in granted {
            fresh.store.release(&lease, at(1_000)).await.unwrap();
        }
    }
}
