use super::{
    ANN, Act, Answer, Appended, BOB, Bytes, CAT, Epoch, Fresh, GROUP, LogRead, MessageLog,
    Position, Refusal, START, Seek, TALK, Unread, UnreadAsk, Viewer, answer, append, direct, does,
    done, found, join, numbers, page, place, refusal, says, stored,
};

const BOBS: Viewer = Viewer::User(BOB);

async fn say(log: &dyn MessageLog, raws: std::ops::RangeInclusive<u64>) {
    let events: Vec<_> = raws.map(|raw| says(direct(), ANN, raw)).collect();
    let answers = log.append(&events).await.unwrap();
    assert!(
        answers
            .iter()
            .all(|answer| matches!(answer, Appended::Stored { .. }))
    );
}

/// Pages of any size, from either end, show every event once and in order, also while others write.
pub async fn pages_lead_to_both_ends(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    say(log, 1..=10).await;
    let mut top = 10;
    for limit in 1..=12 {
        let mut forth = page(log, LogRead::new(direct(), BOBS, Seek::After(START), limit)).await;
        let mut read = forth.events.clone();
        while forth.has_after() {
            if read.len() == limit {
                top += 1; // somebody writes while the reader goes on
                say(log, top..=top).await;
            }
            let seek = Seek::After(forth.through());
            forth = page(log, LogRead::new(direct(), BOBS, seek, limit)).await;
            assert!(forth.events.len() <= limit);
            read.extend(forth.events.clone());
        }
        assert_eq!(
            numbers(&read),
            (1..=top).collect::<Vec<_>>(),
            "forth by {limit}"
        );

        let mut back = page(log, LogRead::new(direct(), BOBS, Seek::Latest, limit)).await;
        let mut read = numbers(&back.events);
        while back.has_before() {
            let seek = Seek::Before(Position::new(back.epoch, back.from));
            back = page(log, LogRead::new(direct(), BOBS, seek, limit)).await;
            read.splice(0..0, numbers(&back.events));
        }
        assert_eq!(read, (1..=top).collect::<Vec<_>>(), "back by {limit}");
    }
}

/// A jump brings what is on both sides, no more than asked for, and says where that is.
pub async fn a_page_lies_around_a_position(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    say(log, 1..=10).await;
    for (seq, limit, from, until) in [
        (5, 4, 3, 6),
        (5, 5, 3, 7),
        (5, 1, 5, 5),
        (1, 4, 1, 4),
        (2, 4, 1, 4),
        (10, 4, 8, 10),
        (9, 4, 7, 10),
        (5, 99, 1, 10),
    ] {
        let seek = Seek::Around(place(log, direct(), seq).await);
        let page = page(log, LogRead::new(direct(), BOBS, seek, limit)).await;
        assert_eq!(
            (page.from, page.until),
            (from, until),
            "{limit} around {seq}"
        );
        assert_eq!(numbers(&page.events), (from..=until).collect::<Vec<_>>());
    }
}

/// A page takes no further event once its bodies are long enough, but takes one.
pub async fn a_page_ends_where_its_bytes_do(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    for raw in 1..=6 {
        let body = Bytes::from(vec![0; 100]);
        stored(log, does(direct(), ANN, raw, Act::Message(body))).await;
    }
    for (bytes, count) in [(1, 1), (100, 1), (101, 2), (250, 3), (9_999, 6)] {
        for seek in [Seek::After(START), Seek::Latest] {
            let read = LogRead::new(direct(), BOBS, seek, 99).with_bytes(bytes);
            let page = page(log, read).await;
            assert_eq!(page.events.len(), count, "{bytes} bytes");
            assert_eq!(page.until - page.from + 1, count as u64);
        }
    }
    let seek = Seek::Around(place(log, direct(), 3).await);
    let read = LogRead::new(direct(), BOBS, seek, 99).with_bytes(200);
    assert_eq!(numbers(&page(log, read).await.events), [2, 3]);
}

/// A page without events says where the conversation ends, and covers nothing that is left out.
pub async fn an_empty_page_says_where_it_is(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    say(log, 1..=3).await;
    let end = place(log, direct(), 3).await;
    let caught_up = page(log, LogRead::new(direct(), BOBS, Seek::After(end), 9)).await;
    assert_eq!((caught_up.events.len(), caught_up.top), (0, 3));
    assert_eq!((caught_up.through(), caught_up.has_after()), (end, false));
    let one = place(log, direct(), 1).await;
    let first = page(log, LogRead::new(direct(), BOBS, Seek::Before(one), 9)).await;
    assert_eq!((first.events.len(), first.has_before()), (0, false));
    for seek in [
        Seek::Latest,
        Seek::After(one),
        Seek::Before(end),
        Seek::Around(one),
    ] {
        let none = page(log, LogRead::new(direct(), BOBS, seek, 0)).await;
        assert_eq!((none.events.len(), none.top), (0, 3));
        assert_eq!(none.until + 1, none.from, "{seek:?} covers nothing");
    }
}

/// What a viewer may not see is covered by a page and not in it.
pub async fn a_page_passes_over_what_is_not_for_the_viewer(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    found(log).await;
    stored(log, done(TALK, 2, Act::Leave { user: BOB })).await;
    for raw in 3..=7 {
        stored(log, says(TALK, ANN, raw)).await;
    }
    stored(log, done(TALK, 8, join(BOB))).await;
    stored(log, says(TALK, BOB, 9)).await;
    let two = page(log, LogRead::new(TALK, BOBS, Seek::After(START), 2)).await;
    assert_eq!((numbers(&two.events), two.until), (vec![1, 2], 7));
    let more = page(log, LogRead::new(TALK, BOBS, Seek::After(two.through()), 1)).await;
    assert_eq!(
        (numbers(&more.events), more.from, more.until),
        (vec![8], 8, 8)
    );
    let back = page(log, LogRead::new(TALK, BOBS, Seek::Latest, 2)).await;
    assert_eq!((numbers(&back.events), back.from), (vec![8, 9], 3));
    let middle = Seek::Around(place(log, TALK, 5).await);
    let around = page(log, LogRead::new(TALK, BOBS, middle, 2)).await;
    assert_eq!(
        (numbers(&around.events), around.from, around.until),
        (vec![2, 8], 2, 8)
    );
}

/// A position of another epoch is refused, with the one where the conversation ends.
pub async fn a_position_of_another_epoch_is_stale(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    say(log, 1..=3).await;
    let top = place(log, direct(), 3).await;
    let other = Position::new(Epoch::new(top.epoch.get() ^ 1), 2);
    for seek in [Seek::After(other), Seek::Before(other), Seek::Around(other)] {
        let read = LogRead::new(direct(), BOBS, seek, 9);
        assert_eq!(answer(log, read).await, Answer::Stale { top });
    }
}

/// A position that the conversation has not reached is refused too: the log lost what was there.
pub async fn a_position_beyond_the_end_is_stale(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    say(log, 1..=3).await;
    let top = place(log, direct(), 3).await;
    for (offset, is_stale) in [(3, false), (4, true), (u64::MAX, true)] {
        let seek = Seek::After(Position::new(top.epoch, offset));
        let answer = answer(log, LogRead::new(direct(), BOBS, seek, 9)).await;
        assert_eq!(answer == Answer::Stale { top }, is_stale, "{offset}");
    }
}

/// Who has read nothing reads everything, in whatever epoch.
pub async fn the_start_is_never_stale(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    say(log, 1..=3).await;
    for epoch in [0, 1, u64::MAX] {
        let start = Position::new(Epoch::new(epoch), 0);
        let page = page(log, LogRead::new(direct(), BOBS, Seek::After(start), 9)).await;
        assert_eq!(numbers(&page.events), [1, 2, 3]);
        assert!(!page.is_truncated(start));
    }
}

/// A direct conversation in which nothing was said can be read, by its two, and is at its start.
pub async fn a_direct_conversation_is_empty_before_it_begins(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    let _ = append(log, says(direct(), CAT, 1)).await;
    for seek in [
        Seek::Latest,
        Seek::After(START),
        Seek::Before(START),
        Seek::Around(START),
    ] {
        let page = page(log, LogRead::new(direct(), BOBS, seek, 9)).await;
        assert_eq!((page.top, page.through(), page.events.len()), (0, START, 0));
        assert!(!page.has_before() && !page.has_after());
    }
    let strangers = LogRead::new(direct(), Viewer::User(CAT), Seek::Latest, 9);
    assert_eq!(
        answer(log, strangers).await,
        Answer::Refused(Refusal::NotMember)
    );
    let lost = Seek::After(Position::new(Epoch::new(7), 1));
    let stale = answer(log, LogRead::new(direct(), BOBS, lost, 9)).await;
    assert_eq!(stale, Answer::Stale { top: START });
    let ask = UnreadAsk {
        conversation: direct(),
        user: BOB,
        read: START,
        cap: 9,
    };
    assert_eq!(log.unread(&[ask]).await.unwrap(), [Unread::NONE]);
}

/// A group that nobody founded takes, shows and has nothing.
pub async fn a_group_that_was_never_founded_is_unknown(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    let unknown = Refusal::UnknownConversation;
    assert_eq!(refusal(log, says(TALK, ANN, 1)).await, unknown);
    assert_eq!(refusal(log, done(TALK, 1, join(ANN))).await, unknown);
    for viewer in [BOBS, Viewer::Application] {
        let read = LogRead::new(TALK, viewer, Seek::Latest, 9);
        assert_eq!(answer(log, read).await, Answer::Refused(unknown));
    }
    assert_eq!(log.members(TALK, 1, None, 9).await.unwrap(), []);
    assert_eq!(log.groups(&[GROUP]).await.unwrap(), [None]);
    assert_eq!(log.trim(TALK, 9).await.unwrap(), 1);
}
