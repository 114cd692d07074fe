//! Cases that every [`Activity`] must pass.
#![expect(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "a case panics to fail"
)]

/// One test per guarantee of [`Activity`](crate::Activity), over the empty store that `$fresh`
/// makes, with room for 100 viewers.
#[macro_export]
macro_rules! activity_conformance {
    ($fresh:expr) => {
        $crate::conformance::conformance_cases!(activity_conformance, [$crate::conformance::activity], $fresh =>
            a_stranger_was_never_here,
            the_first_touch_is_a_visit,
            counts_visits_as_the_core_does,
            an_older_touch_changes_nothing,
            touches_a_batch_and_answers_in_the_order_asked,
            a_marker_never_moves_back,
            concurrent_marks_leave_the_newest,
            visits_and_markers_are_apart,
            an_erased_viewer_is_a_stranger,
        );
    };
}

use std::time::Duration;

use backplane::Timestamp;
use futures::future::join_all;

use super::{Fresh, awkward_ids};
use crate::{Activity, PostId, UserId, Visits};

const ANN: UserId = UserId::new(1);
const BOB: UserId = UserId::new(u64::MAX);
const CAT: UserId = UserId::new((1 << 53) + 1);
const NOON: Timestamp = Timestamp::from_millis(1_790_000_000_001);

async fn visits(activity: &dyn Activity, viewer: UserId) -> Option<Visits> {
    activity.visits(&[viewer]).await.unwrap()[0]
}

async fn mark(activity: &dyn Activity, viewer: UserId, post: u64) -> u64 {
    let marker = activity.mark_read(viewer, PostId::new(post)).await;
    marker.unwrap().get()
}

/// Of a viewer who was never here nothing is known, and nothing is read.
pub async fn a_stranger_was_never_here(fresh: &Fresh<dyn Activity>) {
    let activity = &*fresh.store;
    assert_eq!(visits(activity, ANN).await, None);
    assert_eq!(activity.marker(ANN).await.unwrap(), PostId::MIN);
    assert_eq!(activity.visits(&[]).await.unwrap(), []);
}

/// The first touch is the last visit, to the millisecond, and no rate yet.
pub async fn the_first_touch_is_a_visit(fresh: &Fresh<dyn Activity>) {
    let activity = &*fresh.store;
    activity.touch(&[ANN], NOON).await.unwrap();
    assert_eq!(visits(activity, ANN).await, Some(Visits::first(NOON)));
}

/// After every touch, near or far, a viewer's visits are what [`Visits::touched`] makes of them.
pub async fn counts_visits_as_the_core_does(fresh: &Fresh<dyn Activity>) {
    let activity = &*fresh.store;
    let mut expected = Visits::first(NOON);
    activity.touch(&[ANN], NOON).await.unwrap();
    let steps = [
        0,
        1,
        59_998,
        1,
        60_000,
        3_600_000,
        86_400_000,
        90_000,
        604_800_000,
        59_999,
    ];
    for step in steps.into_iter().cycle().take(40) {
        let at = expected.last.saturating_add(Duration::from_millis(step));
        expected = expected.touched(at);
        for _ in 0..2 {
            activity.touch(&[ANN], at).await.unwrap();
            assert_eq!(visits(activity, ANN).await, Some(expected));
        }
    }
    assert!(expected.per_day_milli > 0);
}

/// A touch from before the last visit, as a retry may bring it, changes nothing.
pub async fn an_older_touch_changes_nothing(fresh: &Fresh<dyn Activity>) {
    let activity = &*fresh.store;
    activity.touch(&[ANN], NOON).await.unwrap();
    let earlier = NOON.saturating_sub(Duration::from_secs(86_400));
    for older in [earlier, Timestamp::EPOCH] {
        activity.touch(&[ANN], older).await.unwrap();
        assert_eq!(visits(activity, ANN).await, Some(Visits::first(NOON)));
    }
}

/// A batch touches every viewer it names, and nobody else; answers come in the order asked.
pub async fn touches_a_batch_and_answers_in_the_order_asked(fresh: &Fresh<dyn Activity>) {
    let activity = &*fresh.store;
    let later = NOON.saturating_add(Duration::from_secs(3_600));
    activity.touch(&[ANN, BOB], NOON).await.unwrap();
    activity.touch(&[BOB], later).await.unwrap();
    let ann = Some(Visits::first(NOON));
    let bob = Some(Visits::first(NOON).touched(later));
    let answers = activity.visits(&[BOB, CAT, ANN, BOB]).await.unwrap();
    assert_eq!(answers, [bob, None, ann, bob]);
}

/// A marker moves forward alone, each viewer's for itself, and is exact over all 64 bits.
pub async fn a_marker_never_moves_back(fresh: &Fresh<dyn Activity>) {
    let activity = &*fresh.store;
    mark(activity, BOB, 5).await;
    let mut stands = 0;
    for post in awkward_ids() {
        assert_eq!(mark(activity, ANN, post).await, post);
        assert_eq!(mark(activity, ANN, stands).await, post);
        assert_eq!(activity.marker(ANN).await.unwrap().get(), post);
        stands = post;
    }
    assert_eq!(activity.marker(BOB).await.unwrap().get(), 5);
}

/// Of marks at the same time the newest stays, and each answer is at or above its own.
pub async fn concurrent_marks_leave_the_newest(fresh: &Fresh<dyn Activity>) {
    let activity = &*fresh.store;
    let posts = (0_u64..20).map(|n| n * 7 % 20);
    let marks = posts.map(|post| async move { (post, mark(activity, ANN, post).await) });
    for (post, answer) in join_all(marks).await {
        assert!((post..20).contains(&answer));
    }
    assert_eq!(activity.marker(ANN).await.unwrap().get(), 19);
}

/// Marking is no visit, and a visit moves no marker.
pub async fn visits_and_markers_are_apart(fresh: &Fresh<dyn Activity>) {
    let activity = &*fresh.store;
    mark(activity, ANN, 9).await;
    assert_eq!(visits(activity, ANN).await, None);
    activity.touch(&[ANN, BOB], NOON).await.unwrap();
    assert_eq!(activity.marker(ANN).await.unwrap().get(), 9);
    assert_eq!(activity.marker(BOB).await.unwrap(), PostId::MIN);
}

/// Erasing forgets a viewer's visits and marker, and nobody else's.
pub async fn an_erased_viewer_is_a_stranger(fresh: &Fresh<dyn Activity>) {
    let activity = &*fresh.store;
    for viewer in [ANN, BOB] {
        activity.touch(&[viewer], NOON).await.unwrap();
        mark(activity, viewer, 9).await;
    }
    for _ in 0..2 {
        activity.erase(ANN).await.unwrap();
        assert_eq!(visits(activity, ANN).await, None);
        assert_eq!(activity.marker(ANN).await.unwrap(), PostId::MIN);
    }
    assert_eq!(visits(activity, BOB).await, Some(Visits::first(NOON)));
    assert_eq!(activity.marker(BOB).await.unwrap().get(), 9);
    assert_eq!(mark(activity, ANN, 3).await, 3);
}
