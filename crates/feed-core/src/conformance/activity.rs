//! Cases that every [`Activity`] must pass.
#![expect(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "a case panics to fail"
)]

/// One test per guarantee of [`Activity`](crate::Activity), over the empty store that `$fresh`
/// makes, with room for 100 users.
#[macro_export]
macro_rules! activity_conformance {
    ($fresh:expr) => {
        $crate::conformance::conformance_cases!(activity_conformance, [$crate::conformance::activity], $fresh =>
            a_stranger_was_never_here,
            the_first_time_has_no_rate,
            counts_times_as_the_core_does,
            an_older_note_changes_nothing,
            notes_a_batch_and_answers_in_the_order_asked,
            a_marker_never_moves_back,
            concurrent_marks_leave_the_newest,
            visits_posts_and_markers_are_apart,
            an_erased_viewer_is_a_stranger,
            concurrent_notes_and_marks_all_take_effect,
        );
    };
}

use std::{sync::Arc, time::Duration};

use backplane::Timestamp;

use super::{Fresh, ROUNDS, awkward_ids};
use crate::{Activity, Habit, PostId, Rhythm, UserId};

const ANN: UserId = UserId::new(1);
const BOB: UserId = UserId::new(u64::MAX);
const CAT: UserId = UserId::new((1 << 53) + 1);
const NOON: Timestamp = Timestamp::from_millis(1_790_000_000_001);

async fn visits(activity: &dyn Activity, viewer: UserId) -> Option<Rhythm> {
    activity.rhythms(Habit::Visit, &[viewer]).await.unwrap()[0]
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
    assert_eq!(activity.rhythms(Habit::Visit, &[]).await.unwrap(), []);
}

/// The first visit is the last one, to the millisecond, and makes no rate yet.
pub async fn the_first_time_has_no_rate(fresh: &Fresh<dyn Activity>) {
    let activity = &*fresh.store;
    activity.note(Habit::Visit, &[ANN], NOON).await.unwrap();
    assert_eq!(visits(activity, ANN).await, Some(Rhythm::first(NOON)));
}

/// After every note, near or far, a user's rhythm is what [`Rhythm::again`] makes of it, for each
/// habit by itself.
pub async fn counts_times_as_the_core_does(fresh: &Fresh<dyn Activity>) {
    let activity = &*fresh.store;
    for habit in [Habit::Visit, Habit::Post] {
        let expected = note_often(activity, habit).await;
        activity.note(habit, &[BOB], NOON).await.unwrap();
        let rhythms = activity.rhythms(habit, &[ANN, BOB]).await.unwrap();
        assert_eq!(rhythms, [Some(expected), Some(Rhythm::first(NOON))]);
    }
}

async fn note_often(activity: &dyn Activity, habit: Habit) -> Rhythm {
    let mut expected = Rhythm::first(NOON);
    activity.note(habit, &[ANN], NOON).await.unwrap();
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
        expected = expected.again(at);
        for _ in 0..2 {
            activity.note(habit, &[ANN], at).await.unwrap();
            let rhythms = activity.rhythms(habit, &[ANN]).await.unwrap();
            assert_eq!(rhythms, [Some(expected)]);
        }
    }
    assert!(expected.per_day_milli > 0);
    expected
}

/// A note from before the last one, as a retry may bring it, changes nothing.
pub async fn an_older_note_changes_nothing(fresh: &Fresh<dyn Activity>) {
    let activity = &*fresh.store;
    activity.note(Habit::Visit, &[ANN], NOON).await.unwrap();
    let earlier = NOON.saturating_sub(Duration::from_secs(86_400));
    for older in [earlier, Timestamp::EPOCH] {
        activity.note(Habit::Visit, &[ANN], older).await.unwrap();
        assert_eq!(visits(activity, ANN).await, Some(Rhythm::first(NOON)));
    }
}

/// A batch notes every user it names, and nobody else; answers come in the order asked.
pub async fn notes_a_batch_and_answers_in_the_order_asked(fresh: &Fresh<dyn Activity>) {
    let activity = &*fresh.store;
    let later = NOON.saturating_add(Duration::from_secs(3_600));
    activity
        .note(Habit::Visit, &[ANN, BOB], NOON)
        .await
        .unwrap();
    activity.note(Habit::Visit, &[BOB], later).await.unwrap();
    let ann = Some(Rhythm::first(NOON));
    let bob = Some(Rhythm::first(NOON).again(later));
    let answers = activity
        .rhythms(Habit::Visit, &[BOB, CAT, ANN, BOB])
        .await
        .unwrap();
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

/// Marking is no visit, a visit no post, and neither moves a marker.
pub async fn visits_posts_and_markers_are_apart(fresh: &Fresh<dyn Activity>) {
    let activity = &*fresh.store;
    mark(activity, ANN, 9).await;
    activity.note(Habit::Post, &[ANN], NOON).await.unwrap();
    assert_eq!(visits(activity, ANN).await, None);
    let posts = activity.rhythms(Habit::Post, &[ANN, BOB]).await.unwrap();
    assert_eq!(posts, [Some(Rhythm::first(NOON)), None]);
    activity
        .note(Habit::Visit, &[ANN, BOB], NOON)
        .await
        .unwrap();
    assert_eq!(activity.marker(ANN).await.unwrap().get(), 9);
    assert_eq!(activity.marker(BOB).await.unwrap(), PostId::MIN);
}

/// Erasing forgets a user's rhythms and marker, and nobody else's.
pub async fn an_erased_viewer_is_a_stranger(fresh: &Fresh<dyn Activity>) {
    let activity = &*fresh.store;
    for viewer in [ANN, BOB] {
        activity.note(Habit::Visit, &[viewer], NOON).await.unwrap();
        activity.note(Habit::Post, &[viewer], NOON).await.unwrap();
        mark(activity, viewer, 9).await;
    }
    for _ in 0..2 {
        activity.erase(ANN).await.unwrap();
        assert_eq!(visits(activity, ANN).await, None);
        let posts = activity.rhythms(Habit::Post, &[ANN]).await.unwrap();
        assert_eq!(posts, [None]);
        assert_eq!(activity.marker(ANN).await.unwrap(), PostId::MIN);
    }
    assert_eq!(visits(activity, BOB).await, Some(Rhythm::first(NOON)));
    assert_eq!(activity.marker(BOB).await.unwrap().get(), 9);
    assert_eq!(mark(activity, ANN, 3).await, 3);
}

/// Of marks at the same time the newest stays, and each answer is at or above its own.
pub async fn concurrent_marks_leave_the_newest(fresh: &Fresh<dyn Activity>) {
    let activity = &*fresh.store;
    for round in 0..ROUNDS {
        let move_on = move |activity: Arc<dyn Activity>, n| async move {
            let post = round * 4 + [3, 1, 4, 2][n];
            (post, mark(&*activity, ANN, post).await)
        };
        let newest = round * 4 + 4;
        for (post, answer) in fresh.at_once(4, move_on).await {
            assert!((post..=newest).contains(&answer));
        }
        assert_eq!(activity.marker(ANN).await.unwrap().get(), newest);
    }
}

/// Notes and marks of one user at the same time all take effect, and the newest note stands.
pub async fn concurrent_notes_and_marks_all_take_effect(fresh: &Fresh<dyn Activity>) {
    let activity = &*fresh.store;
    let later = NOON.saturating_add(Duration::from_secs(3_600));
    for user in (0..ROUNDS).map(|round| UserId::new(100 + round)) {
        let call = move |activity: Arc<dyn Activity>, n| async move {
            match n {
                0 => activity.note(Habit::Visit, &[user], NOON).await.unwrap(),
                1 => activity.note(Habit::Visit, &[user], later).await.unwrap(),
                2 => activity.note(Habit::Post, &[user], NOON).await.unwrap(),
                _ => assert_eq!(mark(&*activity, user, 9).await, 9),
            }
        };
        fresh.at_once(4, call).await;
        assert_eq!(visits(activity, user).await.unwrap().last, later);
        let posts = activity.rhythms(Habit::Post, &[user]).await.unwrap();
        assert_eq!(posts, [Some(Rhythm::first(NOON))]);
        assert_eq!(activity.marker(user).await.unwrap().get(), 9);
    }
}
