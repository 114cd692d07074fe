//! Cases that every [`Presence`] must pass.
#![expect(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "a case panics to fail"
)]

mod bound;
mod invisible;
mod lapse;
mod lease;
mod race;
mod report;
mod setting;

pub use bound::*;
pub use invisible::*;
pub use lapse::*;
pub use lease::*;
pub use race::*;
pub use report::*;
pub use setting::*;

/// One test per guarantee of [`Presence`](crate::presence::Presence), over the empty one that `$fresh` makes, with room for
/// [`NODES`](crate::conformance::presence::NODES) nodes and for at most
/// [`USERS`](crate::conformance::presence::USERS) users.
#[macro_export]
macro_rules! presence_conformance {
    ($fresh:expr) => {
        $crate::conformance::conformance_cases!(presence_conformance, [$crate::conformance::presence], $fresh =>
            a_stranger_is_offline,
            a_report_is_seen_at_once,
            answers_in_the_order_asked,
            several_nodes_amount_to_the_greatest_status,
            the_last_activity_of_all_nodes_counts,
            a_report_that_comes_late_changes_nothing,
            a_report_that_is_repeated_is_the_same_news,
            what_was_not_acknowledged_is_news_again,
            reports_amount_to_the_same_in_any_order,
            versions_grow_with_what_is_worth_telling,
            a_reader_is_not_told_what_it_has,
            a_reader_ahead_is_told_what_is_so,
            a_lease_that_passes_takes_its_own_sessions,
            a_lease_that_is_renewed_keeps_its_sessions,
            renewing_never_shortens_a_lease,
            a_node_that_leaves_takes_its_sessions,
            a_later_incarnation_ends_the_sessions_of_an_earlier_one,
            refuses_an_earlier_incarnation,
            joining_again_ends_the_first_lease,
            a_lost_lease_changes_nothing,
            whoever_was_online_at_a_node_that_died_was_active_until_its_last_renewal,
            a_setting_dominates_the_devices,
            a_setting_outlives_the_devices,
            a_setting_that_ends_gives_way_to_the_one_before,
            a_setting_without_an_end_replaces_one_with_an_end,
            a_setting_that_has_ended_already_never_holds,
            an_invisible_user_is_seen_as_one_who_left,
            nothing_shows_what_an_invisible_user_does,
            what_was_done_unseen_stays_so,
            what_was_done_unseen_and_comes_late_stays_so,
            whoever_was_never_seen_is_a_stranger,
            an_invisible_user_sees_themself,
            what_time_changes_is_told_until_it_is_settled,
            a_setting_that_ends_is_told,
            lapses_come_a_few_at_a_time,
            nothing_lapses_without_time,
            an_erased_user_is_a_stranger,
            refuses_more_nodes_and_users_than_fit,
            rejects_what_breaks_the_limits,
            empty_batches_are_accepted,
            concurrent_reports_all_count,
            concurrent_changes_share_no_version,
        );
    };
}

use std::{sync::Arc, time::Duration};

use backplane::{
    Timestamp,
    directory::{Incarnation, MAX_NAME, Tenure},
};

use super::{Fresh, ROUNDS};
use crate::{
    ErrorKind, UserId,
    presence::{
        Change, Mode, NodeJoined, NodeLease, OwnPresence, Presence, PresenceState, Published,
        Report, Reported, Setting, StateRead,
        Status::{self, Away, DoNotDisturb, Offline, Online},
        Version,
    },
};

/// How many nodes the store of a case has room for.
pub const NODES: usize = 8;

/// How many users it has room for at most.
pub const USERS: usize = 300;

const ANN: UserId = UserId::new(1);
const BOB: UserId = UserId::new(u64::MAX);
const CAT: UserId = UserId::new((1 << 53) + 1);
const SECOND: Duration = Duration::from_secs(1);
const OVER_A_SECOND: Duration = Duration::from_millis(1_100);
const MINUTE: Duration = Duration::from_secs(60);
/// Before the time of any test.
const NOON: u64 = 1_700_000_000_000;

/// Somebody of `status`, who did something `second` seconds after noon.
fn at(status: Status, second: u64, is_active: bool) -> PresenceState {
    let at = Timestamp::from_millis(NOON + second * 1_000);
    PresenceState::new(status, Some(at), is_active)
}

fn status(change: &Change) -> Status {
    change.published.state.status
}

async fn join(fresh: &Fresh<dyn Presence>, node: &str, ttl: Duration) -> NodeLease {
    join_as(fresh, node, 1, ttl).await
}

async fn join_as(
    fresh: &Fresh<dyn Presence>,
    node: &str,
    incarnation: u64,
    ttl: Duration,
) -> NodeLease {
    let joined = fresh
        .store
        .join(node, Incarnation::new(incarnation), ttl)
        .await;
    match joined.unwrap() {
        NodeJoined::Held(lease) => lease,
        refused @ NodeJoined::Superseded { .. } => panic!("may join, but {refused:?}"),
    }
}

async fn report(fresh: &Fresh<dyn Presence>, lease: &NodeLease, report: Report) -> Change {
    held(fresh.store.report(lease, &[report]).await.unwrap()).remove(0)
}

fn held(reported: Reported) -> Vec<Change> {
    match reported {
        Reported::Held(changes) => changes,
        Reported::Lost => panic!("the lease is held"),
    }
}

async fn set(fresh: &Fresh<dyn Presence>, user: UserId, setting: Setting) -> Change {
    fresh.store.set(&[(user, setting)]).await.unwrap().remove(0)
}

async fn seen(fresh: &Fresh<dyn Presence>, user: UserId) -> Published {
    let seen = fresh.store.states(&[StateRead::new(user)]).await.unwrap();
    seen[0].unwrap_or_else(|| Published::unknown(user))
}

async fn own(fresh: &Fresh<dyn Presence>, user: UserId) -> OwnPresence {
    fresh.store.own(&[user]).await.unwrap()[0]
}

/// Those whom time has changed, by user.
async fn lapses(fresh: &Fresh<dyn Presence>, settled: &[Change], limit: usize) -> Vec<Change> {
    let mut lapses = fresh.store.lapsed(settled, limit).await.unwrap();
    lapses.sort_by_key(|lapse| lapse.published.user);
    lapses
}

async fn assert_lost(fresh: &Fresh<dyn Presence>, lease: &NodeLease) {
    let (store, late) = (
        &fresh.store,
        [Report::new(ANN, 99, at(DoNotDisturb, 9, false))],
    );
    assert_eq!(store.report(lease, &late).await.unwrap(), Reported::Lost);
    assert_eq!(store.renew(lease, MINUTE).await.unwrap(), Tenure::Lost);
    assert_eq!(store.leave(lease).await.unwrap(), Tenure::Lost);
}
