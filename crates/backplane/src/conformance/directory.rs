//! Cases that every [`Directory`] must pass.
#![expect(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "a case panics to fail"
)]

/// One test per guarantee of [`Directory`](crate::directory::Directory), over the empty directory
/// that `$fresh` makes with the bounds of [`options`](crate::conformance::directory::options).
#[macro_export]
macro_rules! directory_conformance {
    ($fresh:expr) => {
        $crate::conformance_cases!(directory_conformance, [$crate::conformance::directory], $fresh =>
            shows_whoever_joined,
            sorts_nodes_by_name,
            keeps_services_apart,
            drops_a_node_that_stops_renewing,
            keeps_a_node_that_renews,
            renewing_never_shortens_a_lease,
            drops_a_node_that_leaves,
            a_lost_membership_can_change_nothing,
            a_later_incarnation_ends_an_earlier_one,
            refuses_an_earlier_incarnation,
            joining_again_ends_the_first_membership,
            tokens_grow_with_every_join,
            shows_changes_of_state_and_weight,
            the_epoch_grows_with_every_change,
            the_epoch_stands_while_nothing_changes,
            the_epoch_outlives_the_last_node,
            refuses_more_nodes_and_services_than_fit,
            rejects_what_breaks_the_limits,
            tells_at_once_what_was_missed,
            tells_at_once_of_an_epoch_that_is_not_reached,
            tells_whoever_waits_of_a_join,
            tells_whoever_waits_of_a_lease_that_passed,
            a_watch_begins_with_the_present,
            concurrent_joins_of_one_name_leave_one_member,
            concurrent_joins_share_the_room,
        );
    };
}

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, join};

use super::{Fresh, ROUNDS};
use crate::{
    ErrorKind,
    directory::{
        Directory, DirectoryExt, DirectoryOptions, Incarnation, Joined, MAX_NAME, Membership, Node,
        NodeChange, NodeState, Tenure, View, ViewEpoch,
    },
};

/// The bounds of the directory that a case gets.
#[must_use]
pub fn options() -> DirectoryOptions {
    DirectoryOptions::default().with_services(2).with_nodes(3)
}

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
/// Longer than a second, by more than an engine's clock is coarse.
const OVER_A_SECOND: Duration = Duration::from_millis(1_100);

/// Whoever joined is in the next view that anybody reads, as it described itself.
pub async fn shows_whoever_joined(fresh: &Fresh<dyn Directory>) {
    assert_eq!(view(fresh).await.nodes.len(), 0);
    let described = node("a", 7)
        .with_region("eu-west")
        .with_weight(3)
        .with_state(NodeState::Draining);
    join(fresh, described.clone(), MINUTE).await;
    let view = view(fresh).await;
    assert_eq!(*view.nodes, [described]);
    assert_eq!(view.node("a").map(|node| node.weight), Some(3));
    assert!(view.node("b").is_none());
    assert_eq!(view.up().count(), 0, "a draining node takes nothing new");
}

/// A view lists its nodes by name, whatever the order in which they joined.
pub async fn sorts_nodes_by_name(fresh: &Fresh<dyn Directory>) {
    for name in ["b", "c", "a"] {
        join(fresh, node(name, 1), MINUTE).await;
    }
    assert_eq!(names(&view(fresh).await), ["a", "b", "c"]);
}

/// A node of one service is not seen in another, nor does it change the other's epoch.
pub async fn keeps_services_apart(fresh: &Fresh<dyn Directory>) {
    join(fresh, node("a", 1), MINUTE).await;
    let other = fresh.store.members("other").await.unwrap();
    assert_eq!((other.nodes.len(), other.epoch), (0, ViewEpoch::ZERO));
}

/// A node whose lease passed is gone from the next view.
pub async fn drops_a_node_that_stops_renewing(fresh: &Fresh<dyn Directory>) {
    join(fresh, node("a", 1), SECOND).await;
    join(fresh, node("b", 1), MINUTE).await;
    fresh.time.pass(OVER_A_SECOND).await;
    assert_eq!(names(&view(fresh).await), ["b"]);
}

/// A node that renews in time stays.
pub async fn keeps_a_node_that_renews(fresh: &Fresh<dyn Directory>) {
    let membership = join(fresh, node("a", 1), SECOND).await;
    for _ in 0..4 {
        fresh.time.pass(SECOND / 2).await;
        let renewed = fresh.store.renew(&membership, SECOND).await.unwrap();
        assert_eq!(renewed, Tenure::Held);
    }
    assert_eq!(names(&view(fresh).await), ["a"]);
}

/// Renewing for less time than the lease has left leaves it as it is.
pub async fn renewing_never_shortens_a_lease(fresh: &Fresh<dyn Directory>) {
    let membership = join(fresh, node("a", 1), MINUTE).await;
    fresh.store.renew(&membership, SECOND).await.unwrap();
    fresh.time.pass(OVER_A_SECOND).await;
    assert_eq!(names(&view(fresh).await), ["a"]);
}

/// A node that leaves is gone at once, and leaving twice changes nothing.
pub async fn drops_a_node_that_leaves(fresh: &Fresh<dyn Directory>) {
    let membership = join(fresh, node("a", 1), MINUTE).await;
    assert_eq!(fresh.store.leave(&membership).await.unwrap(), Tenure::Held);
    let left = view(fresh).await;
    assert_eq!(left.nodes.len(), 0);
    assert_eq!(fresh.store.leave(&membership).await.unwrap(), Tenure::Lost);
    assert_eq!(view(fresh).await, left);
}

/// A node whose lease passed can neither renew, change nor leave, before and after it joins again.
pub async fn a_lost_membership_can_change_nothing(fresh: &Fresh<dyn Directory>) {
    let stalled = join(fresh, node("a", 1), SECOND).await;
    fresh.time.pass(OVER_A_SECOND).await;
    assert_lost(fresh, &stalled).await;
    join(fresh, node("a", 1), MINUTE).await;
    let before = view(fresh).await;
    assert_lost(fresh, &stalled).await;
    assert_eq!(view(fresh).await, before);
}

/// A node that joins with a later incarnation replaces the earlier one, whose membership is lost.
pub async fn a_later_incarnation_ends_an_earlier_one(fresh: &Fresh<dyn Directory>) {
    let earlier = join(fresh, node("a", 1), MINUTE).await;
    let before = view(fresh).await;
    let later = join(fresh, node("a", 2), MINUTE).await;
    let after = view(fresh).await;
    assert_eq!(*after.nodes, [node("a", 2)]);
    assert!(after.epoch > before.epoch);
    assert_lost(fresh, &earlier).await;
    let renewed = fresh.store.renew(&later, MINUTE).await.unwrap();
    assert_eq!(renewed, Tenure::Held);
}

/// A node whose later incarnation is a member is told so, and changes nothing.
pub async fn refuses_an_earlier_incarnation(fresh: &Fresh<dyn Directory>) {
    let later = join(fresh, node("a", 2), MINUTE).await;
    let before = view(fresh).await;
    let refused = fresh.store.join("chat", node("a", 1), MINUTE).await;
    let by = Incarnation::new(2);
    assert_eq!(refused.unwrap(), Joined::Superseded { by });
    assert_eq!(view(fresh).await, before);
    let renewed = fresh.store.renew(&later, MINUTE).await.unwrap();
    assert_eq!(renewed, Tenure::Held);
}

/// A process that joins twice has the second membership only.
pub async fn joining_again_ends_the_first_membership(fresh: &Fresh<dyn Directory>) {
    let first = join(fresh, node("a", 1), MINUTE).await;
    let second = join(fresh, node("a", 1).with_weight(2), MINUTE).await;
    assert_lost(fresh, &first).await;
    assert_eq!(view(fresh).await.nodes[0].weight, 2);
    assert_eq!(fresh.store.leave(&second).await.unwrap(), Tenure::Held);
}

/// Each membership of a service has a larger token than those before it.
pub async fn tokens_grow_with_every_join(fresh: &Fresh<dyn Directory>) {
    let mut last = None;
    for name in ["a", "b", "a", "b"] {
        let membership = join(fresh, node(name, 1), MINUTE).await;
        assert!(Some(membership.token) > last);
        last = Some(membership.token);
        fresh.store.leave(&membership).await.unwrap();
    }
}

/// Changes of state and weight are in the next view, all of a call at once.
pub async fn shows_changes_of_state_and_weight(fresh: &Fresh<dyn Directory>) {
    let membership = join(fresh, node("a", 1), MINUTE).await;
    let before = view(fresh).await;
    let changes = [
        NodeChange::State(NodeState::Draining),
        NodeChange::Weight(9),
    ];
    let updated = fresh.store.update(&membership, &changes).await.unwrap();
    assert_eq!(updated, Tenure::Held);
    let after = view(fresh).await;
    let changed = node("a", 1).with_state(NodeState::Draining).with_weight(9);
    assert_eq!(*after.nodes, [changed]);
    assert!(after.epoch > before.epoch);
}

/// The epoch is larger after each join, change, leave and lease that passed.
pub async fn the_epoch_grows_with_every_change(fresh: &Fresh<dyn Directory>) {
    let mut last = view(fresh).await.epoch;
    let mut grew = async || {
        let epoch = view(fresh).await.epoch;
        let grew = epoch > last;
        last = epoch;
        grew
    };
    let membership = join(fresh, node("a", 1), MINUTE).await;
    assert!(grew().await);
    let drain = [NodeChange::State(NodeState::Draining)];
    fresh.store.update(&membership, &drain).await.unwrap();
    assert!(grew().await);
    fresh.store.leave(&membership).await.unwrap();
    assert!(grew().await);
    join(fresh, node("a", 1), SECOND).await;
    assert!(grew().await);
    fresh.time.pass(OVER_A_SECOND).await;
    assert!(grew().await);
}

/// Renewing, an update that says what is so already, and reading leave the epoch as it is.
pub async fn the_epoch_stands_while_nothing_changes(fresh: &Fresh<dyn Directory>) {
    let membership = join(fresh, node("a", 1), MINUTE).await;
    let before = view(fresh).await;
    fresh.store.renew(&membership, MINUTE).await.unwrap();
    let same = [NodeChange::State(NodeState::Up), NodeChange::Weight(1)];
    fresh.store.update(&membership, &same).await.unwrap();
    assert_eq!(view(fresh).await, before);
}

/// The epoch goes on growing after the service was empty.
pub async fn the_epoch_outlives_the_last_node(fresh: &Fresh<dyn Directory>) {
    let membership = join(fresh, node("a", 1), MINUTE).await;
    fresh.store.leave(&membership).await.unwrap();
    let empty = view(fresh).await.epoch;
    join(fresh, node("a", 1), MINUTE).await;
    assert!(view(fresh).await.epoch > empty);
}

/// A node or a service that does not fit is told so; who is in already may join again.
pub async fn refuses_more_nodes_and_services_than_fit(fresh: &Fresh<dyn Directory>) {
    for name in ["a", "b", "c"] {
        join(fresh, node(name, 1), MINUTE).await;
    }
    let full = fresh.store.join("chat", node("d", 1), MINUTE).await;
    assert_eq!(full.unwrap(), Joined::Full);
    let again = join(fresh, node("c", 2), MINUTE).await;
    fresh.store.leave(&again).await.unwrap();
    join(fresh, node("d", 1), MINUTE).await;

    let second = fresh.store.join("feed", node("a", 1), MINUTE).await;
    assert!(matches!(second.unwrap(), Joined::Member(_)));
    let third = fresh.store.join("geo", node("a", 1), MINUTE).await;
    assert_eq!(third.unwrap(), Joined::Full);
}

/// What breaks a limit is refused as invalid, and nothing happens.
pub async fn rejects_what_breaks_the_limits(fresh: &Fresh<dyn Directory>) {
    let longest = "n".repeat(MAX_NAME);
    let too_long = "n".repeat(MAX_NAME + 1);
    let incarnation = Incarnation::new(1);
    let refused = [
        ("", node("a", 1), MINUTE),
        (&*too_long, node("a", 1), MINUTE),
        ("chat", node("", 1), MINUTE),
        ("chat", node(&too_long, 1), MINUTE),
        ("chat", Node::new("a", incarnation, &*too_long), MINUTE),
        ("chat", node("a", 1).with_region(&*too_long), MINUTE),
        ("chat", node("a", 1), Duration::ZERO),
    ];
    for (service, node, ttl) in refused {
        let error = fresh.store.join(service, node, ttl).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
    let error = fresh.store.members("").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let error = fresh.store.changed("", ViewEpoch::ZERO).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(view(fresh).await.epoch, ViewEpoch::ZERO);
    let fits = Node::new(&*longest, incarnation, &*longest).with_region(&*longest);
    let joined = fresh.store.join(&longest, fits, MINUTE).await.unwrap();
    assert!(matches!(joined, Joined::Member(_)));
}

/// Whoever asks for what changed since an earlier epoch gets the present view at once.
pub async fn tells_at_once_what_was_missed(fresh: &Fresh<dyn Directory>) {
    let before = view(fresh).await.epoch;
    join(fresh, node("a", 1), MINUTE).await;
    join(fresh, node("b", 1), MINUTE).await;
    let changed = fresh.store.changed("chat", before).await.unwrap();
    assert_eq!(names(&changed), ["a", "b"]);
}

/// Whoever asks with an epoch that the service has not reached, as of a directory that was lost, gets
/// the present view at once.
pub async fn tells_at_once_of_an_epoch_that_is_not_reached(fresh: &Fresh<dyn Directory>) {
    join(fresh, node("a", 1), MINUTE).await;
    let present = view(fresh).await;
    for since in [present.epoch.get() + 1, u64::MAX] {
        let since = ViewEpoch::new(since);
        let changed = fresh.store.changed("chat", since).await.unwrap();
        assert_eq!(changed, present);
    }
}

/// Whoever waits for a change learns of a join, and not before it.
pub async fn tells_whoever_waits_of_a_join(fresh: &Fresh<dyn Directory>) {
    let before = view(fresh).await.epoch;
    let unchanged = fresh.store.changed("chat", before);
    assert!(fresh.keeps_waiting(unchanged).await);
    let wait = fresh.store.changed("chat", before);
    let (changed, _) = join!(wait, join(fresh, node("a", 1), MINUTE));
    assert_eq!(names(&changed.unwrap()), ["a"]);
}

/// Whoever waits for a change learns of a lease that passed, though nobody else looks.
pub async fn tells_whoever_waits_of_a_lease_that_passed(fresh: &Fresh<dyn Directory>) {
    join(fresh, node("a", 1), SECOND).await;
    let before = view(fresh).await.epoch;
    let wait = fresh.store.changed("chat", before);
    let (changed, ()) = join!(wait, fresh.time.pass(OVER_A_SECOND));
    assert_eq!(changed.unwrap().nodes.len(), 0);
}

/// A watch yields the present view first, then one for what changed since.
pub async fn a_watch_begins_with_the_present(fresh: &Fresh<dyn Directory>) {
    join(fresh, node("a", 1), MINUTE).await;
    let mut watch = fresh.store.watch("chat");
    let first = watch.next().await.unwrap().unwrap();
    assert_eq!(names(&first), ["a"]);
    assert!(fresh.keeps_waiting(watch.next()).await);
    join(fresh, node("b", 1), MINUTE).await;
    join(fresh, node("c", 1), MINUTE).await;
    let second = watch.next().await.unwrap().unwrap();
    assert_eq!(names(&second), ["a", "b", "c"]);
    assert!(second.epoch > first.epoch);
}

/// Of joins under one name at the same time the last membership alone is held.
pub async fn concurrent_joins_of_one_name_leave_one_member(fresh: &Fresh<dyn Directory>) {
    for _ in 0..ROUNDS {
        let call = |directory: Arc<dyn Directory>, _| async move {
            let joined = directory.join("chat", node("a", 1), MINUTE).await;
            match joined.unwrap() {
                Joined::Member(membership) => membership,
                refused => panic!("may join, but {refused:?}"),
            }
        };
        let mut memberships = fresh.at_once(4, call).await;
        assert_eq!(names(&view(fresh).await), ["a"]);
        memberships.sort_by_key(|membership| membership.token);
        assert!(memberships.is_sorted_by(|a, b| a.token < b.token));
        let last = memberships.remove(3);
        for lost in &memberships {
            assert_lost(fresh, lost).await;
        }
        assert_eq!(fresh.store.leave(&last).await.unwrap(), Tenure::Held);
    }
}

/// Of joins at the same time as many succeed as there is room for, and the others are told so.
pub async fn concurrent_joins_share_the_room(fresh: &Fresh<dyn Directory>) {
    for _ in 0..ROUNDS {
        let call = |directory: Arc<dyn Directory>, n: usize| async move {
            let joining = node(["a", "b", "c", "d", "e"][n], 1);
            directory.join("chat", joining, MINUTE).await.unwrap()
        };
        let joined = fresh.at_once(5, call).await;
        let full = joined.iter().filter(|one| **one == Joined::Full);
        assert_eq!(full.count(), 2);
        assert_eq!(view(fresh).await.nodes.len(), 3);
        for one in joined {
            if let Joined::Member(membership) = one {
                assert_eq!(fresh.store.leave(&membership).await.unwrap(), Tenure::Held);
            }
        }
    }
}

fn node(name: &str, incarnation: u64) -> Node {
    Node::new(name, Incarnation::new(incarnation), "127.0.0.1:7000")
}

async fn join(fresh: &Fresh<dyn Directory>, node: Node, ttl: Duration) -> Membership {
    match fresh.store.join("chat", node, ttl).await.unwrap() {
        Joined::Member(membership) => membership,
        refused => panic!("may join, but {refused:?}"),
    }
}

async fn view(fresh: &Fresh<dyn Directory>) -> View {
    fresh.store.members("chat").await.unwrap()
}

fn names(view: &View) -> Vec<&str> {
    view.nodes.iter().map(|node| &*node.name).collect()
}

async fn assert_lost(fresh: &Fresh<dyn Directory>, membership: &Membership) {
    let store = &fresh.store;
    assert_eq!(store.renew(membership, MINUTE).await.unwrap(), Tenure::Lost);
    let change = [NodeChange::Weight(99)];
    assert_eq!(
        store.update(membership, &change).await.unwrap(),
        Tenure::Lost
    );
    assert_eq!(store.leave(membership).await.unwrap(), Tenure::Lost);
}
