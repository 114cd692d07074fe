//! Cases that every pair of [`Actions`] and [`Counters`] must pass.
#![expect(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "a case panics to fail"
)]

mod race;

pub use race::*;

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
            the_author_of_the_first_action_counts_for_all,
            replies_and_reposts_are_withdrawn_by_their_items,
            what_one_item_did_is_answered_by_kind_and_post,
            withdrawing_items_leaves_likes_and_others_alone,
            a_forgotten_post_has_no_counts_and_nobody_acted_on_it,
            forgets_in_slices,
            forgetting_leaves_other_posts_alone,
            what_comes_after_forgetting_counts,
            erases_in_slices,
            erasing_leaves_others_alone,
            erasing_takes_along_what_was_done_to_ones_posts,
            concurrent_likes_count_once_each,
            concurrent_reposts_by_one_user_are_one,
            counts_are_exact_whatever_happens_at_once,
        );
    };
}

use std::{collections::BTreeSet, sync::Arc};

use super::{Fresh, ROUNDS, awkward_ids};
use crate::{Action, ActionKind, Actions, Counters, Counts, Entry, PostId, Recorded, UserId};

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
/// Whose posts are acted on.
const CAT: UserId = UserId::new(2);
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

fn like(actor: UserId, post: PostId) -> Action {
    Action::like(actor, Entry::original(post, CAT))
}

fn reply(actor: UserId, item: u64) -> Action {
    Action::reply(actor, Entry::original(POST, CAT), PostId::new(item))
}

fn repost(actor: UserId, item: u64) -> Action {
    repost_of(actor, POST, item)
}

fn repost_of(actor: UserId, post: PostId, item: u64) -> Action {
    Action::repost(actor, Entry::original(post, CAT), PostId::new(item))
}

/// One action of each kind on [`POST`].
fn each_kind(actor: UserId, item: u64) -> [Action; 3] {
    [like(actor, POST), reply(actor, item), repost(actor, item)]
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
    assert_eq!(subject.record(like(ANN, POST)).await, Recorded::New);
    for _ in 0..3 {
        let again = subject.record(like(ANN, POST)).await;
        assert_eq!(again, Recorded::Existing(POST));
    }
    assert_eq!(subject.counts(POST).await, [1, 0, 0]);
    assert_eq!(subject.record(like(BOB, POST)).await, Recorded::New);
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
    for action in [like(ANN, POST), reply(ANN, 20), repost(ANN, 20)] {
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
    let like = like(ANN, POST);
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

/// A post's author is who the first action on it named, for what is answered and for erasing.
pub async fn the_author_of_the_first_action_counts_for_all(fresh: &Fresh<Subject>) {
    let subject = &fresh.store;
    let wrong = UserId::new(77);
    subject.record(like(BOB, POST)).await;
    subject.record(repost(BOB, 30)).await;
    let mistaken = Action::reply(ANN, Entry::original(POST, wrong), PostId::new(20));
    assert_eq!(subject.record(mistaken).await, Recorded::New);
    assert_eq!(subject.actions.erase(wrong, 9).await.unwrap(), 0);
    let items = [mistaken.item];
    let withdrawn = subject.actions.withdraw_items(ANN, &items).await.unwrap();
    assert_eq!(withdrawn, [reply(ANN, 20)]);
    subject.record(mistaken).await;
    assert_eq!(subject.actions.erase(CAT, 9).await.unwrap(), 3);
    assert_eq!(subject.counts(POST).await, [0; 3]);
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
    for action in each_kind(ANN, 20) {
        assert!(!subject.withdraw(action).await);
    }
    assert_eq!(subject.counts(POST).await, [0; 3]);
    subject.actions.record(&each_kind(BOB, 20)).await.unwrap();
    for action in each_kind(ANN, 20) {
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
    subject.record(like(ANN, POST)).await;
    subject.record(like(BOB, POST)).await;
    subject.record(like(ANN, OTHER)).await;
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
        subject.record(like(actor, post)).await;
        subject.record(repost_of(ANN, post, !id)).await;
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
        let like = like(actor, POST);
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

/// A reply or a repost is taken back by its item alone, and answered as it was recorded.
pub async fn replies_and_reposts_are_withdrawn_by_their_items(fresh: &Fresh<Subject>) {
    let subject = &fresh.store;
    let made = [
        reply(ANN, 20),
        repost(ANN, 21),
        repost_of(ANN, OTHER, u64::MAX),
    ];
    subject.actions.record(&made).await.unwrap();
    let items = [u64::MAX, 77, 20, 21].map(PostId::new);
    let withdrawn = subject.actions.withdraw_items(ANN, &items).await.unwrap();
    assert_eq!(withdrawn, [made[2], made[0], made[1]]);
    let again = subject.actions.withdraw_items(ANN, &items).await.unwrap();
    assert_eq!(again, []);
    assert_eq!(subject.counts(POST).await, [0; 3]);
    assert_eq!(subject.counts(OTHER).await, [0; 3]);
    assert_eq!(subject.acted(ANN, ActionKind::Reply, POST).await, None);
    assert_eq!(subject.record(repost(ANN, 22)).await, Recorded::New);
}

/// Of what one item did, the replies are answered before the reposts, and each kind by post.
pub async fn what_one_item_did_is_answered_by_kind_and_post(fresh: &Fresh<Subject>) {
    let subject = &fresh.store;
    let item = PostId::new(20);
    let reply_to = |post| Action::reply(ANN, Entry::original(post, CAT), item);
    let answered = [
        reply_to(PostId::new(9)),
        reply_to(POST),
        reply_to(OTHER),
        repost_of(ANN, POST, 20),
        repost_of(ANN, OTHER, 20),
    ];
    for made in [4, 1, 3, 0, 2] {
        subject.record(answered[made]).await;
    }
    let later = reply(ANN, 21);
    subject.record(later).await;
    let items = [item, later.item, item];
    let withdrawn = subject.actions.withdraw_items(ANN, &items).await.unwrap();
    assert_eq!(withdrawn[..5], answered);
    assert_eq!(withdrawn[5..], [later]);
}

/// Withdrawing by items leaves likes, other items and what others did.
pub async fn withdrawing_items_leaves_likes_and_others_alone(fresh: &Fresh<Subject>) {
    let subject = &fresh.store;
    for actor in [ANN, BOB] {
        subject.actions.record(&each_kind(actor, 20)).await.unwrap();
    }
    subject.record(reply(ANN, 30)).await;
    let items = [POST, PostId::new(20)];
    let withdrawn = subject.actions.withdraw_items(ANN, &items).await.unwrap();
    assert_eq!(withdrawn, [reply(ANN, 20), repost(ANN, 20)]);
    assert_eq!(subject.counts(POST).await, [2, 2, 1]);
    assert_eq!(subject.acted(ANN, ActionKind::Reply, POST).await, Some(30));
    assert_eq!(subject.acted(BOB, ActionKind::Repost, POST).await, Some(20));
}

/// Once a post is forgotten its counts are zero, no user has acted on it, and forgetting it again
/// finds nothing.
pub async fn a_forgotten_post_has_no_counts_and_nobody_acted_on_it(fresh: &Fresh<Subject>) {
    let subject = &fresh.store;
    for actor in [ANN, BOB, CAT] {
        subject.actions.record(&each_kind(actor, 20)).await.unwrap();
        subject.record(reply(actor, 21)).await;
    }
    assert_eq!(subject.actions.forget(&[POST], 100).await.unwrap(), 12);
    assert_eq!(subject.actions.forget(&[POST], 100).await.unwrap(), 0);
    assert_eq!(subject.counts(POST).await, [0; 3]);
    for actor in [ANN, BOB, CAT] {
        for kind in [ActionKind::Like, ActionKind::Reply, ActionKind::Repost] {
            assert_eq!(subject.acted(actor, kind, POST).await, None);
        }
        assert!(!subject.withdraw(like(actor, POST)).await);
        let items = [20, 21].map(PostId::new);
        let withdrawn = subject.actions.withdraw_items(actor, &items).await.unwrap();
        assert_eq!(withdrawn, []);
        assert_eq!(subject.actions.erase(actor, 100).await.unwrap(), 0);
    }
}

/// Forgetting takes no more actions at once than asked, uncounts each, and ends at zero.
pub async fn forgets_in_slices(fresh: &Fresh<Subject>) {
    let subject = &fresh.store;
    for item in 20..25 {
        subject.record(reply(ANN, item)).await;
    }
    let more = [like(ANN, POST), like(BOB, POST), like(BOB, OTHER)];
    subject.actions.record(&more).await.unwrap();
    assert_eq!(subject.actions.forget(&[POST], 0).await.unwrap(), 0);
    let mut left = 8;
    while left > 0 {
        let forgotten = subject.actions.forget(&[OTHER, POST], 3).await.unwrap();
        assert!((1..=3).contains(&forgotten));
        left -= forgotten;
        let counts = subject.counters.counts(&[POST, OTHER]).await.unwrap();
        let sum: u64 = counts.iter().map(|one| one.likes + one.replies).sum();
        assert_eq!(sum, left as u64);
    }
    assert_eq!(subject.actions.forget(&[OTHER, POST], 3).await.unwrap(), 0);
}

/// Forgetting posts leaves every other post's counts, and what the same users did to it.
pub async fn forgetting_leaves_other_posts_alone(fresh: &Fresh<Subject>) {
    let subject = &fresh.store;
    let next = PostId::new(POST.get() + 1);
    for actor in [ANN, BOB] {
        let all = [POST, next, OTHER].map(|post| like(actor, post));
        subject.actions.record(&all).await.unwrap();
        subject.record(repost_of(actor, OTHER, 30)).await;
    }
    let absent = PostId::new(77);
    let gone = [next, absent, POST];
    assert_eq!(subject.actions.forget(&gone, 100).await.unwrap(), 4);
    assert_eq!(subject.actions.forget(&[], 100).await.unwrap(), 0);
    assert_eq!(subject.counts(OTHER).await, [2, 0, 2]);
    let kept = subject.acted(ANN, ActionKind::Like, OTHER).await;
    assert_eq!(kept, Some(OTHER.get()));
    assert_eq!(
        subject.record(like(BOB, OTHER)).await,
        Recorded::Existing(OTHER)
    );
}

/// What is done after a post was forgotten is new, and counts from zero.
pub async fn what_comes_after_forgetting_counts(fresh: &Fresh<Subject>) {
    let subject = &fresh.store;
    subject.record(repost(ANN, 20)).await;
    subject.actions.forget(&[POST], 100).await.unwrap();
    assert_eq!(subject.record(repost(ANN, 21)).await, Recorded::New);
    assert_eq!(subject.counts(POST).await, [0, 0, 1]);
    assert_eq!(subject.actions.forget(&[POST], 100).await.unwrap(), 1);
}

/// Erasing takes no more actions at once than asked, uncounts each, and ends at zero.
pub async fn erases_in_slices(fresh: &Fresh<Subject>) {
    let subject = &fresh.store;
    for item in 20..25 {
        subject.record(reply(ANN, item)).await;
    }
    let more = [like(ANN, POST), like(ANN, OTHER), repost(ANN, 30)];
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
    assert_eq!(subject.record(like(ANN, POST)).await, Recorded::New);
}

/// Erasing one user leaves everybody else's actions and their counts.
pub async fn erasing_leaves_others_alone(fresh: &Fresh<Subject>) {
    let subject = &fresh.store;
    for actor in [ANN, BOB] {
        subject.actions.record(&each_kind(actor, 21)).await.unwrap();
    }
    while subject.actions.erase(ANN, 2).await.unwrap() > 0 {}
    assert_eq!(subject.counts(POST).await, [1; 3]);
    assert_eq!(subject.acted(BOB, ActionKind::Repost, POST).await, Some(21));
}

/// Erasing a user takes along what others did to their posts, and nothing else of theirs.
pub async fn erasing_takes_along_what_was_done_to_ones_posts(fresh: &Fresh<Subject>) {
    let subject = &fresh.store;
    let others = Action::like(BOB, Entry::original(PostId::new(11), ANN));
    subject.record(others).await;
    for actor in [ANN, BOB, CAT] {
        subject.actions.record(&each_kind(actor, 21)).await.unwrap();
        subject.record(like(actor, OTHER)).await;
    }
    let mut erased = 0;
    loop {
        match subject.actions.erase(CAT, 5).await.unwrap() {
            0 => break,
            some @ 1..=5 => erased += some,
            more => panic!("{more} of 5"),
        }
    }
    assert_eq!(erased, 12);
    assert_eq!(subject.counts(POST).await, [0; 3]);
    assert_eq!(subject.counts(OTHER).await, [0; 3]);
    assert_eq!(subject.acted(BOB, ActionKind::Repost, POST).await, None);
    assert_eq!(subject.counts(others.post).await, [1, 0, 0]);
    assert_eq!(subject.actions.erase(BOB, 5).await.unwrap(), 1);
}
