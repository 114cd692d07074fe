use super::{
    ANN, Appended, Arc, BOB, Bytes, Entry, Fresh, Outbox, PostState, Publication, ROUNDS,
    Retracted, Revised, Seek, append, body, item, key, latest, live, post, publish, retract, state,
};

/// Of attempts under one key at the same time, one is stored and all others name it.
pub async fn concurrent_retries_store_one_post(fresh: &Fresh<dyn Outbox>) {
    let outbox = &*fresh.store;
    for round in 0..ROUNDS {
        let raw = move |n| (round + 1) * 10 + n as u64;
        let attempt = move |outbox: Arc<dyn Outbox>, n| async move {
            let attempt = item(ANN, raw(n)).with_key(key(&round.to_string()));
            append(&*outbox, attempt).await
        };
        let answers = fresh.at_once(4, attempt).await;
        let stored = answers.iter().position(|one| *one == Appended::Stored);
        let stored = raw(stored.unwrap());
        let others = answers
            .iter()
            .filter(|one| **one == Appended::Duplicate(post(stored)));
        assert_eq!(others.count(), 3);
        assert_eq!(latest(outbox, &[ANN], Seek::Newest, 1).await, [stored]);
    }
    let all = latest(outbox, &[ANN], Seek::Newest, 999).await;
    assert_eq!(all.len() as u64, ROUNDS);
}

/// Of appends of one post at the same time, whoever its author, one is stored with its body.
pub async fn concurrent_appends_of_one_post_store_one_body(fresh: &Fresh<dyn Outbox>) {
    let outbox = &*fresh.store;
    for raw in 1..=ROUNDS {
        let author = |n| if n < 2 { ANN } else { BOB };
        let attempt = move |outbox: Arc<dyn Outbox>, n: usize| async move {
            let entry = Entry::original(post(raw), author(n));
            append(&*outbox, Publication::new(entry, n.to_string().into())).await
        };
        let answers = fresh.at_once(4, attempt).await;
        let stored = answers.iter().filter(|one| **one == Appended::Stored);
        assert_eq!(stored.count(), 1);
        let winner = answers.iter().position(|one| *one == Appended::Stored);
        let winner = winner.unwrap();
        assert_eq!(body(outbox, raw).await, Some(winner.to_string().into()));
        assert_eq!(state(outbox, raw).await, live(author(winner), raw, 1));
        let shown = latest(outbox, &[ANN, BOB], Seek::After(post(raw - 1)), 9).await;
        assert_eq!(shown, [raw]);
    }
}

/// Revisions at the same time each have a version of their own, and the body is that of the last.
pub async fn concurrent_revisions_have_versions_of_their_own(fresh: &Fresh<dyn Outbox>) {
    let outbox = &*fresh.store;
    for raw in 1..=ROUNDS {
        publish(outbox, ANN, [raw]).await;
        let revise = move |outbox: Arc<dyn Outbox>, n: usize| async move {
            let body = Bytes::from(n.to_string());
            outbox.revise(ANN, post(raw), body).await.unwrap()
        };
        let answers = fresh.at_once(4, revise).await;
        let mut versions: Vec<_> = (0..).zip(&answers).map(|(n, one)| (*one, n)).collect();
        versions.sort_by_key(|&(answer, _)| match answer {
            Revised::Stored(version) => version,
            other => panic!("{other:?}"),
        });
        let expected = [2, 3, 4, 5].map(Revised::Stored);
        assert!(versions.iter().map(|one| one.0).eq(expected), "{answers:?}");
        let last: u64 = versions[3].1;
        assert_eq!(state(outbox, raw).await, live(ANN, raw, 5));
        assert_eq!(body(outbox, raw).await, Some(last.to_string().into()));
    }
}

/// Of retractions of one post at the same time, one removes it.
pub async fn concurrent_retractions_remove_once(fresh: &Fresh<dyn Outbox>) {
    let outbox = &*fresh.store;
    for raw in 1..=ROUNDS {
        publish(outbox, ANN, [raw]).await;
        let take_back =
            move |outbox: Arc<dyn Outbox>, _| async move { retract(&*outbox, ANN, raw).await };
        let answers = fresh.at_once(4, take_back).await;
        let removed = Retracted::Removed(Entry::original(post(raw), ANN));
        assert_eq!(answers.iter().filter(|one| **one == removed).count(), 1);
        let absent = answers.iter().filter(|one| **one == Retracted::Absent);
        assert_eq!(absent.count(), 3);
        assert_eq!(state(outbox, raw).await, PostState::Retracted);
    }
}

/// A post that is appended while it is retracted is not live once both have answered.
pub async fn a_retraction_beats_an_append_beside_it(fresh: &Fresh<dyn Outbox>) {
    let outbox = &*fresh.store;
    for raw in 1..=ROUNDS {
        let call = move |outbox: Arc<dyn Outbox>, n| async move {
            if n == 0 {
                append(&*outbox, item(ANN, raw)).await == Appended::Stored
            } else {
                retract(&*outbox, ANN, raw).await != Retracted::Absent
            }
        };
        let answers = fresh.at_once(3, call).await;
        let removed = answers[1..].iter().filter(|&&removed| removed).count();
        assert_eq!(removed, usize::from(answers[0]));
        assert_eq!(state(outbox, raw).await, PostState::Retracted);
        assert_eq!(latest(outbox, &[ANN], Seek::Newest, 9).await, []);
    }
}
