use super::{
    ANN, ActionKind, Arc, BOB, Fresh, PostId, ROUNDS, Recorded, Subject, UserId, like, repost_of,
};

/// What a round acts on.
const fn target(round: u64) -> PostId {
    PostId::new(10_000 + round)
}

/// Of likes at the same time each user's counts once, and exactly one of each user's is new.
pub async fn concurrent_likes_count_once_each(fresh: &Fresh<Subject>) {
    for post in (0..ROUNDS).map(target) {
        let act = move |subject: Arc<Subject>, n: usize| async move {
            let actor = UserId::new(n as u64 % 2);
            subject.record(like(actor, post)).await
        };
        let answers = fresh.at_once(4, act).await;
        let new = answers.iter().filter(|&&answer| answer == Recorded::New);
        assert_eq!(new.count(), 2);
        assert_eq!(fresh.store.counts(post).await, [2, 0, 0]);
    }
}

/// Of reposts of one post that a user makes at the same time, one counts and the others name it.
pub async fn concurrent_reposts_by_one_user_are_one(fresh: &Fresh<Subject>) {
    let subject = &fresh.store;
    for (round, post) in (0..ROUNDS).map(|round| (round, target(round))) {
        let item = move |n| 100_000 + round * 10 + n as u64;
        let act = move |subject: Arc<Subject>, n| async move {
            subject.record(repost_of(ANN, post, item(n))).await
        };
        let answers = fresh.at_once(4, act).await;
        let first = answers.iter().position(|one| *one == Recorded::New);
        let first = item(first.unwrap());
        let existing = Recorded::Existing(PostId::new(first));
        assert_eq!(answers.iter().filter(|one| **one == existing).count(), 3);
        assert_eq!(subject.counts(post).await, [0, 0, 1]);
        let acted = subject.acted(ANN, ActionKind::Repost, post).await;
        assert_eq!(acted, Some(first));
    }
}

/// Counts are the sizes of the sets also after what came and went at the same time.
pub async fn counts_are_exact_whatever_happens_at_once(fresh: &Fresh<Subject>) {
    let subject = &fresh.store;
    for post in (0..ROUNDS).map(target) {
        subject.record(like(ANN, post)).await;
        let act = move |subject: Arc<Subject>, n| async move {
            match n {
                0 => subject.withdraw(like(ANN, post)).await,
                1 => subject.record(like(ANN, post)).await == Recorded::New,
                n => {
                    let actor = UserId::new(100 + n as u64);
                    subject.record(like(actor, post)).await == Recorded::New
                }
            }
        };
        let answers = fresh.at_once(4, act).await;
        assert_eq!(answers, [true, answers[1], true, true]);
        let liked = subject.acted(ANN, ActionKind::Like, post).await;
        assert_eq!(liked.is_some(), answers[1]);
        let expected = 2 + u64::from(answers[1]);
        assert_eq!(subject.counts(post).await, [expected, 0, 0]);
        assert_eq!(subject.acted(BOB, ActionKind::Like, post).await, None);
    }
}
