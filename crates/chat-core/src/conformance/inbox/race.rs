use super::{
    ANN, Advanced, Arc, BOB, BTreeMap, CAT, ConversationId, Cursor, Fresh, Inbox, ONE, Position,
    ROUNDS, START, TWO, advance, at, caught_up, deliver, enroll, entry, mark, phone, said,
};

/// Reads on and on, until it has learnt that each of `talks` has reached `top`. Returns whether it has.
async fn learns(
    inbox: &dyn Inbox,
    talks: &[ConversationId],
    mut since: Position,
    top: Position,
) -> bool {
    let mut known = BTreeMap::new();
    for _ in 0..1_000_000 {
        let page = inbox.changes(ANN, since, 1).await.unwrap();
        let tops = page
            .entries
            .iter()
            .map(|entry| (entry.conversation, entry.top));
        known.extend(tops);
        since = page.through;
        if talks.iter().all(|talk| known.get(talk) == Some(&top)) {
            return true;
        }
    }
    false
}

/// However marks and reads meet, a reader who goes on from where the last page ended learns of all.
pub async fn a_reader_beside_marks_misses_none(fresh: &Fresh<dyn Inbox>) {
    let inbox = &*fresh.store;
    let talks = [ONE, TWO, ConversationId::direct(ANN, BOB)];
    for talk in talks {
        enroll(inbox, talk, &[ANN, BOB, CAT], 1).await;
    }
    for round in 1..=ROUNDS {
        let since = caught_up(inbox, ANN).await;
        let call = move |inbox: Arc<dyn Inbox>, n: usize| async move {
            let Some(talk) = talks.get(n) else {
                return learns(&*inbox, &talks, since, at(round * 10 + 3)).await;
            };
            for seq in 1..=3 {
                mark(&*inbox, *talk, round * 10 + seq).await;
            }
            true
        };
        assert_eq!(fresh.at_once(4, call).await, [true; 4]);
    }
}

/// However deliveries and reads meet, a reader who goes on learns of all.
pub async fn a_reader_beside_deliveries_misses_none(fresh: &Fresh<dyn Inbox>) {
    let talks = [ONE, TWO];
    for round in 1..=ROUNDS {
        let call = move |inbox: Arc<dyn Inbox>, n: usize| async move {
            let Some(talk) = talks.get(n) else {
                return learns(&*inbox, &talks, START, at(round * 10 + 3)).await;
            };
            for seq in 1..=3 {
                deliver(&*inbox, *talk, &[ANN, BOB], &[said(round * 10 + seq)]).await;
            }
            true
        };
        assert_eq!(fresh.at_once(3, call).await, [true; 3]);
    }
}

/// Cursors that are moved at the same time end where the furthest goes.
pub async fn concurrent_cursors_end_at_the_furthest(fresh: &Fresh<dyn Inbox>) {
    let inbox = &*fresh.store;
    enroll(inbox, ONE, &[ANN], 1).await;
    for round in 1..=ROUNDS {
        let call = move |inbox: Arc<dyn Inbox>, n: usize| async move {
            let seq = round * 10 + n as u64;
            advance(&*inbox, phone(ANN), Cursor::Read, ONE, at(seq)).await
        };
        let answers = fresh.at_once(4, call).await;
        assert_eq!(answers[3], Advanced::Moved);
        let ann = entry(inbox, ANN, ONE).await.unwrap();
        assert_eq!(
            (ann.read, ann.received),
            (at(round * 10 + 3), at(round * 10 + 3))
        );
    }
}
