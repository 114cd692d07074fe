//! Cases that every pair of [`Actions`] and [`Counters`] must pass.
#![expect(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "a case panics to fail"
)]

/// One test per guarantee of [`Actions`](crate::Actions) and [`Counters`](crate::Counters), over the
/// empty pair that `$fresh` makes, with room for 1,000 actions.
#[macro_export]
macro_rules! actions_conformance {
    ($fresh:expr) => {
        $crate::conformance::conformance_cases!(actions_conformance, [$crate::conformance::actions], $fresh =>
            what_nobody_did_counts_zero,
            a_like_counts_once_however_often_it_is_sent,
            a_second_repost_is_no_other,
            every_reply_counts_and_none_twice,
            kinds_are_counted_apart,
            a_batch_takes_effect_in_the_order_given,
            withdrawing_takes_back_once,
            never_counts_below_zero,
            a_replaced_repost_stays,
            acted_answers_in_the_order_asked,
            awkward_ids_are_exact,
            retries_leave_counts_exact,
            concurrent_likes_count_once_each,
            erases_in_slices,
            erasing_leaves_others_alone,
        );
    };
}

use std::{collections::BTreeSet, sync::Arc};

use futures::future::join_all;

use super::{Fresh, awkward_ids};
use crate::{Action, ActionKind, Actions, Counters, Counts, PostId, Recorded, UserId};

/// Sets of actions, and the counters that show their sizes.
#[derive(Clone, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a test's subject is made by its test"
)]
pub struct Subject {
    /// The sets.
    pub actions: Arc<dyn Actions>,
    /// Their sizes.
    pub counters: Arc<dyn Counters>,
}

const ANN: UserId = UserId::new(1);
const BOB: UserId = UserId::new(u64::MAX);
const POST: PostId = PostId::new(10);
const OTHER: PostId = PostId::new((1 << 53) + 1);

impl Subject {
    async fn record(&self, action: Action) -> Recorded {
        self.actions.record(&[action]).await.unwrap()[0]
    }

    async fn withdraw(&self, action: Action) -> bool {
        self.actions.withdraw(&[action]).await.unwrap()[0]
    }

    async fn acted(&self, actor: UserId, kind: ActionKind, post: PostId) -> Option<u64> {
        let acted = self.actions.acted(actor, kind, &[post]).await.unwrap()[0];
        acted.map(PostId::get)
    }

    /// Likes, replies and reposts.
    async fn counts(&self, post: PostId) -> [u64; 3] {
        let counts = self.counters.counts(&[post]).await.unwrap()[0];
        [counts.likes, counts.replies, counts.reposts]
    }
}

fn reply(actor: UserId, item: u64) -> Action {
    Action::reply(actor, POST, PostId::new(item))
}

fn repost(actor: UserId, item: u64) -> Action {
    Action::repost(actor, POST, PostId::new(item))
}

/// A post that nobody acted on has counts of zero, and nobody has acted on it.
pub async fn what_nobody_did_counts_zero(fresh: &Fresh<Subject>) {
    let subject = &fresh.store;
    assert_eq!(subject.counts(POST).await, [0; 3]);
    assert_eq!(subject.acted(ANN, ActionKind::Like, POST).await, None);
    assert_eq!(subject.counters.counts(&[]).await.unwrap(), []);
    assert_eq!(subject.actions.record(&[]).await.unwrap(), []);
}

/// A user's like is one, and a retry learns that it was there.
pub async fn a_like_counts_once_however_often_it_is_sent(fresh: &Fresh<Subject>) {
    let subject = &fresh.store;
    assert_eq!(subject.record(Action::like(ANN, POST)).await, Recorded::New);
    for _ in 0..3 {
        let again = subject.record(Action::like(ANN, POST)).await;
        assert_eq!(again, Recorded::Existing(POST));
    }
    assert_eq!(subject.counts(POST).await, [1, 0, 0]);
    assert_eq!(subject.record(Action::like(BOB, POST)).await, Recorded::New);
    assert_eq!(subject.counts(POST).await, [2, 0, 0]);
    assert_eq!(
        subject.acted(ANN, ActionKind::Like, POST).await,
        Some(POST.get())
    );
}

/// A user who has reposted a post has done so by the first item; another one counts for nothing.
pub async fn a_second_repost_is_no_other(fresh: &Fresh<Subject>) {
    let subject = &fresh.store;
    assert_eq!(subject.record(repost(ANN, 21)).await, Recorded::New);
    for item in [20, 21, 22] {
        let existing = Recorded::Existing(PostId::new(21));
        assert_eq!(subject.record(repost(ANN, item)).await, existing);
    }
    assert_eq!(subject.counts(POST).await, [0, 0, 1]);
    assert_eq!(subject.acted(ANN, ActionKind::Repost, POST).await, Some(21));
}

/// A user may reply any number of times; each reply is one, and the oldest is the one shown.
pub async fn every_reply_counts_and_none_twice(fresh: &Fresh<Subject>) {
    let subject = &fresh.store;
    for item in [22, 20, 21] {
        assert_eq!(subject.record(reply(ANN, item)).await, Recorded::New);
        let existing = Recorded::Existing(PostId::new(item));
        assert_eq!(subject.record(reply(ANN, item)).await, existing);
    }
    assert_eq!(subject.counts(POST).await, [0, 3, 0]);
    assert_eq!(subject.acted(ANN, ActionKind::Reply, POST).await, Some(20));
}

/// Likes, replies and reposts of one post by one user do not touch each other.
pub async fn kinds_are_counted_apart(fresh: &Fresh<Subject>) {
    let subject = &fresh.store;
    for action in [Action::like(ANN, POST), reply(ANN, 20), repost(ANN, 20)] {
        assert_eq!(subject.record(action).await, Recorded::New);
    }
    assert_eq!(subject.counts(POST).await, [1, 1, 1]);
    assert_eq!(subject.counts(OTHER).await, [0; 3]);
    assert!(subject.withdraw(reply(ANN, 20)).await);
    assert_eq!(subject.counts(POST).await, [1, 0, 1]);
    assert_eq!(subject.acted(ANN, ActionKind::Repost, POST).await, Some(20));
    assert_eq!(subject.acted(ANN, ActionKind::Reply, POST).await, None);
}

/// Of actions of one batch that exclude each other, the first counts.
pub async fn a_batch_takes_effect_in_the_order_given(fresh: &Fresh<Subject>) {
    let subject = &fresh.store;
    let like = Action::like(ANN, POST);
    let batch = [
        repost(ANN, 22),
        like,
        repost(ANN, 21),
        like,
        repost(BOB, 23),
    ];
    let answers = subject.actions.record(&batch).await.unwrap();
    let existing = |item| Recorded::Existing(PostId::new(item));
    let expected = [
        Recorded::New,
        Recorded::New,
        existing(22),
        existing(10),
        Recorded::New,
    ];
    assert_eq!(answers, expected);
    assert_eq!(subject.counts(POST).await, [1, 0, 2]);

    let batch = [like, repost(ANN, 22), like, repost(ANN, 21)];
    let answers = subject.actions.withdraw(&batch).await.unwrap();
    assert_eq!(answers, [true, true, false, false]);
    assert_eq!(subject.counts(POST).await, [0, 0, 1]);
}

/// What was withdrawn is gone, and can be done again.
pub async fn withdrawing_takes_back_once(fresh: &Fresh<Subject>) {
    let subject = &fresh.store;
    for item in [20, 21] {
        assert_eq!(subject.record(repost(ANN, item)).await, Recorded::New);
        assert!(subject.withdraw(repost(ANN, item)).await);
        assert!(!subject.withdraw(repost(ANN, item)).await);
        assert_eq!(subject.counts(POST).await, [0; 3]);
        assert_eq!(subject.acted(ANN, ActionKind::Repost, POST).await, None);
    }
}

/// Withdrawing what was never done, or somebody else did, takes nothing from any count.
pub async fn never_counts_below_zero(fresh: &Fresh<Subject>) {
    let subject = &fresh.store;
    let actions = |actor| {
        [
            Action::like(actor, POST),
            reply(actor, 20),
            repost(actor, 21),
        ]
    };
    for action in actions(ANN) {
        assert!(!subject.withdraw(action).await);
    }
    assert_eq!(subject.counts(POST).await, [0; 3]);
    subject.actions.record(&actions(BOB)).await.unwrap();
    for action in actions(ANN) {
        assert!(!subject.withdraw(action).await);
    }
    assert_eq!(subject.counts(POST).await, [1; 3]);
}

/// Withdrawing an older repost leaves the one that has taken its place.
pub async fn a_replaced_repost_stays(fresh: &Fresh<Subject>) {
    let subject = &fresh.store;
    subject.record(repost(ANN, 20)).await;
    assert!(subject.withdraw(repost(ANN, 20)).await);
    subject.record(repost(ANN, 30)).await;
    assert!(!subject.withdraw(repost(ANN, 20)).await);
    assert_eq!(subject.acted(ANN, ActionKind::Repost, POST).await, Some(30));
    assert_eq!(subject.counts(POST).await, [0, 0, 1]);
}

/// A batch is answered post by post in the order asked, also where nothing was done.
pub async fn acted_answers_in_the_order_asked(fresh: &Fresh<Subject>) {
    let subject = &fresh.store;
    let absent = PostId::new(77);
    subject.record(Action::like(ANN, POST)).await;
    subject.record(Action::like(BOB, POST)).await;
    subject.record(Action::like(ANN, OTHER)).await;
    let asked = [OTHER, absent, POST, OTHER];
    let acted = subject.actions.acted(ANN, ActionKind::Like, &asked).await;
    assert_eq!(acted.unwrap(), [Some(OTHER), None, Some(POST), Some(OTHER)]);
    let counts = subject.counters.counts(&asked).await.unwrap();
    let likes: Vec<_> = counts.iter().map(|counts| counts.likes).collect();
    assert_eq!(likes, [1, 0, 2, 1]);
    assert_eq!(counts[1], Counts::default());
}

/// Actors, posts and items are exact over all 64 bits.
pub async fn awkward_ids_are_exact(fresh: &Fresh<Subject>) {
    let subject = &fresh.store;
    let ids = awkward_ids();
    for &id in &ids {
        let (actor, post) = (UserId::new(id), PostId::new(id));
        subject.record(Action::like(actor, post)).await;
        subject
            .record(Action::repost(ANN, post, PostId::new(!id)))
            .await;
        assert_eq!(subject.record(reply(ANN, id)).await, Recorded::New);
    }
    for &id in &ids {
        let post = PostId::new(id);
        let [likes, _, reposts] = subject.counts(post).await;
        assert_eq!((likes, reposts), (1, 1));
        assert_eq!(
            subject.acted(ANN, ActionKind::Repost, post).await,
            Some(!id)
        );
        assert!(subject.withdraw(reply(ANN, id)).await);
    }
    assert_eq!(subject.counts(POST).await, [0; 3]);
}

/// Counts are the sizes of the sets whatever was recorded and withdrawn, and however often.
pub async fn retries_leave_counts_exact(fresh: &Fresh<Subject>) {
    let subject = &fresh.store;
    let mut liked = BTreeSet::new();
    let mut replied = BTreeSet::new();
    for step in 0_u64..120 {
        let actor = UserId::new(step * 7 % 5);
        let like = Action::like(actor, POST);
        let reply = reply(actor, step % 11);
        for _ in 0..=step % 3 {
            if step % 4 == 3 {
                let batch = [like, reply];
                let answers = subject.actions.withdraw(&batch).await.unwrap();
                assert_eq!(
                    answers,
                    [liked.remove(&actor), replied.remove(&(actor, step % 11))]
                );
            } else {
                subject.actions.record(&[like, reply]).await.unwrap();
                liked.insert(actor);
                replied.insert((actor, step % 11));
            }
        }
        let expected = [liked.len() as u64, replied.len() as u64, 0];
        assert_eq!(subject.counts(POST).await, expected);
    }
}

/// Of likes at the same time each user's counts once, and exactly one of each user's is new.
pub async fn concurrent_likes_count_once_each(fresh: &Fresh<Subject>) {
    let subject = &fresh.store;
    let actors = (0..30).map(|n| UserId::new(n % 3));
    let answers = join_all(actors.map(|actor| subject.record(Action::like(actor, POST)))).await;
    let new = answers.iter().filter(|&&answer| answer == Recorded::New);
    assert_eq!(new.count(), 3);
    assert_eq!(subject.counts(POST).await, [3, 0, 0]);
}

/// Erasing takes no more actions at once than asked, uncounts each, and ends at zero.
pub async fn erases_in_slices(fresh: &Fresh<Subject>) {
    let subject = &fresh.store;
    for item in 20..25 {
        subject.record(reply(ANN, item)).await;
    }
    let more = [
        Action::like(ANN, POST),
        Action::like(ANN, OTHER),
        repost(ANN, 30),
    ];
    subject.actions.record(&more).await.unwrap();
    let mut left = 8;
    while left > 0 {
        let erased = subject.actions.erase(ANN, 3).await.unwrap();
        assert!((1..=3).contains(&erased));
        left -= erased;
        let counts = subject.counters.counts(&[POST, OTHER]).await.unwrap();
        let sum: u64 = counts
            .iter()
            .map(|one| one.likes + one.replies + one.reposts)
            .sum();
        assert_eq!(sum, left as u64);
    }
    assert_eq!(subject.actions.erase(ANN, 3).await.unwrap(), 0);
    for kind in [ActionKind::Like, ActionKind::Reply, ActionKind::Repost] {
        assert_eq!(subject.acted(ANN, kind, POST).await, None);
    }
    assert_eq!(subject.record(Action::like(ANN, POST)).await, Recorded::New);
}

/// Erasing one user leaves everybody else's actions and their counts.
pub async fn erasing_leaves_others_alone(fresh: &Fresh<Subject>) {
    let subject = &fresh.store;
    for actor in [ANN, BOB] {
        let all = [
            Action::like(actor, POST),
            reply(actor, 20),
            repost(actor, 21),
        ];
        subject.actions.record(&all).await.unwrap();
    }
    while subject.actions.erase(ANN, 2).await.unwrap() > 0 {}
    assert_eq!(subject.counts(POST).await, [1; 3]);
    assert_eq!(subject.acted(BOB, ActionKind::Repost, POST).await, Some(21));
}
