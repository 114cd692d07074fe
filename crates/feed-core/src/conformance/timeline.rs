//! Cases that every [`TimelineStore`] must pass.
#![expect(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "a case panics to fail"
)]

mod build;
mod push;
mod race;
mod window;

pub use build::*;
pub use push::*;
pub use race::*;
pub use window::*;

use std::sync::Arc;

use backplane::Timestamp;

use super::{Fresh, ROUNDS, awkward_ids};
use crate::{
    BuildStart, BuildTicket, Entry, PostId, PushReport, Seek, TimelineState, TimelineStore, UserId,
};

/// One test per guarantee of [`TimelineStore`](crate::TimelineStore), over the empty store that
/// `$fresh` makes: with room for eight entries in each timeline.
#[macro_export]
macro_rules! timeline_conformance {
    ($fresh:expr) => {
        $crate::conformance::conformance_cases!(timeline_conformance, [$crate::conformance::timeline], $fresh =>
            a_cold_timeline_takes_nothing,
            a_build_makes_a_timeline_warm,
            a_timeline_with_nothing_in_it_is_warm,
            a_warm_timeline_is_not_built_again,
            one_build_at_a_time,
            a_stale_build_is_superseded,
            a_ticket_commits_once,
            a_dropped_build_cannot_commit,
            no_generation_is_given_twice,
            a_push_during_a_build_is_kept,
            a_removal_during_a_build_is_kept,
            nothing_below_the_floor_is_committed,
            a_build_above_capacity_raises_the_floor,
            pushes_above_capacity_during_a_build_raise_the_floor,
            dropping_turns_cold,
            retaining_turns_all_others_cold,
            a_build_that_is_not_retained_cannot_commit,
            retaining_all_changes_nothing,
            a_pushed_entry_is_in_every_warm_timeline,
            pushing_twice_leaves_one,
            a_large_batch_reaches_every_owner,
            a_push_below_the_floor_is_not_stored,
            a_full_timeline_keeps_exactly_the_newest,
            adding_again_changes_nothing_when_full,
            an_older_entry_changes_nothing_when_full,
            a_late_entry_is_sorted_in,
            a_late_entry_pushes_out_the_oldest,
            the_order_of_pushes_does_not_matter,
            a_removed_post_is_gone,
            removing_again_changes_nothing,
            a_removed_post_makes_room,
            a_purge_takes_one_authors_entries,
            a_purge_of_many_is_a_purge_of_each,
            a_purge_of_a_stranger_takes_nothing,
            a_purge_during_a_build_is_kept,
            a_merge_adds_older_entries,
            a_merge_does_not_reach_below_the_floor,
            a_merge_above_capacity_keeps_the_newest,
            a_merge_during_a_build_adds_nothing,
            windows_run_in_both_directions,
            pages_show_every_entry_once,
            a_window_starts_at_a_post_that_is_gone,
            reposts_keep_their_origins,
            timelines_are_apart,
            awkward_ids_are_exact,
            concurrent_changes_all_take_effect,
            one_of_many_concurrent_builds_begins,
            a_push_while_a_build_commits_is_kept,
            concurrent_commits_take_effect_once,
            a_drop_beats_whatever_happens_beside_it,
            a_window_is_of_one_instant,
        );
    };
}

const ANN: UserId = UserId::new(1);
const BOB: UserId = UserId::new(u64::MAX);
const CAT: UserId = UserId::new((1 << 53) + 1);

/// Of the timelines of a fresh store.
const CAPACITY: u64 = 8;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const LATER: Timestamp = Timestamp::from_millis(1_790_000_000_001);

const fn post(raw: u64) -> PostId {
    PostId::new(raw)
}

/// Ann's post.
const fn entry(raw: u64) -> Entry {
    Entry::original(post(raw), ANN)
}

fn entries(posts: impl IntoIterator<Item = u64>) -> Vec<Entry> {
    posts.into_iter().map(entry).collect()
}

const fn warm(floor: u64) -> TimelineState {
    TimelineState::Warm { floor: post(floor) }
}

async fn begin(timelines: &dyn TimelineStore, owner: UserId) -> BuildTicket {
    match timelines.begin_build(owner, NOW, NOW).await.unwrap() {
        BuildStart::Started(ticket) => ticket,
        other => panic!("{other:?}"),
    }
}

/// Makes a timeline warm that is cold.
async fn build(
    timelines: &dyn TimelineStore,
    owner: UserId,
    posts: impl IntoIterator<Item = u64>,
    floor: u64,
) {
    let ticket = begin(timelines, owner).await;
    assert!(commit(timelines, ticket, posts, floor).await);
}

async fn commit(
    timelines: &dyn TimelineStore,
    ticket: BuildTicket,
    posts: impl IntoIterator<Item = u64>,
    floor: u64,
) -> bool {
    let (entries, floor) = (entries(posts), post(floor));
    let committed = timelines.commit_build(ticket, &entries, floor).await;
    committed.unwrap()
}

async fn push(timelines: &dyn TimelineStore, owner: UserId, raw: u64) -> PushReport {
    timelines.push_many(&[owner], entry(raw)).await.unwrap()
}

async fn window(
    timelines: &dyn TimelineStore,
    owner: UserId,
    seek: Seek,
    limit: usize,
) -> Vec<u64> {
    let window = timelines.window(owner, seek, limit).await.unwrap();
    window.entries.iter().map(|one| one.post.get()).collect()
}

/// All posts of a timeline, newest first.
async fn all(timelines: &dyn TimelineStore, owner: UserId) -> Vec<u64> {
    window(timelines, owner, Seek::Newest, 1_000).await
}

async fn state(timelines: &dyn TimelineStore, owner: UserId) -> TimelineState {
    let window = timelines.window(owner, Seek::Newest, 0).await.unwrap();
    assert_eq!(window.entries, []);
    window.state
}
