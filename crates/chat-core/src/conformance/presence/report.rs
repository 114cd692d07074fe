use super::{
    ANN, Away, BOB, CAT, DoNotDisturb, Fresh, MINUTE, Mode, Offline, Online, OwnPresence, Presence,
    Published, Report, Setting, StateRead, UserId, Version, at, held, join, own, report, seen,
    status,
};

/// Of a user nobody has ever heard of there is nothing to read, to others and to themself.
pub async fn a_stranger_is_offline(fresh: &Fresh<dyn Presence>) {
    assert_eq!(
        fresh.store.states(&[StateRead::new(ANN)]).await.unwrap(),
        [None]
    );
    assert_eq!(own(fresh, ANN).await, OwnPresence::unknown(ANN));
}

/// What a report changes is in its answer, and whoever reads from then on sees it, others as well as the user.
pub async fn a_report_is_seen_at_once(fresh: &Fresh<dyn Presence>) {
    let lease = join(fresh, "a", MINUTE).await;
    let state = at(Online, 5, true);
    let change = report(fresh, &lease, Report::new(ANN, 1, state)).await;
    assert!(change.is_news && change.is_own_news);
    assert_eq!(
        (change.published.user, change.published.state),
        (ANN, state)
    );
    assert_eq!((change.own.user, change.own.state), (ANN, state));
    assert_eq!(seen(fresh, ANN).await, change.published);
    assert_eq!(own(fresh, ANN).await, change.own);
    assert_eq!(change.own.setting, Setting::AUTOMATIC);
}

/// A batch is answered in its order, for each user it names, however often.
pub async fn answers_in_the_order_asked(fresh: &Fresh<dyn Presence>) {
    let lease = join(fresh, "a", MINUTE).await;
    let reports = [
        Report::new(BOB, 1, at(Away, 5, false)),
        Report::new(ANN, 2, at(Online, 5, true)),
        Report::new(BOB, 3, at(DoNotDisturb, 5, false)),
    ];
    let answers = held(fresh.store.report(&lease, &reports).await.unwrap());
    let answers: Vec<_> = answers
        .iter()
        .map(|change| (change.published.user, status(change)))
        .collect();
    assert_eq!(answers, [(BOB, Away), (ANN, Online), (BOB, DoNotDisturb)]);

    let reads = [BOB, CAT, ANN, BOB].map(StateRead::new);
    let states = fresh.store.states(&reads).await.unwrap();
    let states: Vec<_> = states
        .iter()
        .map(|state| state.map(|known| known.state.status))
        .collect();
    assert_eq!(
        states,
        [Some(DoNotDisturb), None, Some(Online), Some(DoNotDisturb)]
    );

    let users: Vec<_> = fresh.store.own(&[CAT, BOB]).await.unwrap();
    assert_eq!(
        users.iter().map(|own| own.user).collect::<Vec<_>>(),
        [CAT, BOB]
    );

    let settings = [
        (BOB, Setting::new(Mode::Away)),
        (CAT, Setting::new(Mode::Invisible)),
    ];
    let answers = fresh.store.set(&settings).await.unwrap();
    let answers: Vec<_> = answers
        .iter()
        .map(|change| (change.own.user, change.own.setting))
        .collect();
    assert_eq!(answers, settings);
}

/// A user who is at several nodes has the greatest status of them, and when one ends, that of the others.
pub async fn several_nodes_amount_to_the_greatest_status(fresh: &Fresh<dyn Presence>) {
    let [a, b] = [
        join(fresh, "a", MINUTE).await,
        join(fresh, "b", MINUTE).await,
    ];
    let mut sequence = 0;
    for (first, second) in [
        (Away, Online),
        (DoNotDisturb, Online),
        (Online, Offline),
        (Offline, Away),
    ] {
        sequence += 1;
        report(fresh, &a, Report::new(ANN, sequence, at(first, 5, false))).await;
        let both = report(fresh, &b, Report::new(ANN, sequence, at(second, 5, false))).await;
        assert_eq!(status(&both), first.max(second));
    }
    report(fresh, &b, Report::new(ANN, 9, at(Offline, 5, false))).await;
    assert_eq!(seen(fresh, ANN).await.state.status, Offline);
}

/// The last activity is the latest of all nodes, to the millisecond, also of one where the user is no longer.
pub async fn the_last_activity_of_all_nodes_counts(fresh: &Fresh<dyn Presence>) {
    let [a, b] = [
        join(fresh, "a", MINUTE).await,
        join(fresh, "b", MINUTE).await,
    ];
    report(fresh, &a, Report::new(ANN, 1, at(Online, 100, true))).await;
    report(fresh, &b, Report::new(ANN, 1, at(Away, 300, false))).await;
    report(fresh, &b, Report::new(ANN, 2, at(Offline, 301, false))).await;
    let gone = report(fresh, &a, Report::new(ANN, 2, at(Offline, 200, false))).await;
    assert_eq!(gone.published.state, at(Offline, 301, false));
    assert_eq!(
        gone.own.state.last_active,
        at(Offline, 301, false).last_active
    );
}

/// A report that was made before one that is recorded changes nothing and is no news.
pub async fn a_report_that_comes_late_changes_nothing(fresh: &Fresh<dyn Presence>) {
    let lease = join(fresh, "a", MINUTE).await;
    report(fresh, &lease, Report::new(ANN, 5, at(Online, 40, true))).await;
    let gone = report(fresh, &lease, Report::new(ANN, 7, at(Offline, 50, false))).await;
    let late = report(fresh, &lease, Report::new(ANN, 6, at(Online, 40, true))).await;
    assert!(!late.is_news && !late.is_own_news);
    assert_eq!(late.published, gone.published);
    let back = report(fresh, &lease, Report::new(ANN, 8, at(Away, 50, false))).await;
    assert_eq!(status(&back), Away);
}

/// A report that is made again, as its answer may have been lost, changes nothing, and is the news that it was.
pub async fn a_report_that_is_repeated_is_the_same_news(fresh: &Fresh<dyn Presence>) {
    let lease = join(fresh, "a", MINUTE).await;
    let here = Report::new(ANN, 1, at(Online, 50, true));
    let still = Report::new(ANN, 2, at(Online, 51, true));
    for (said, is_news) in [(here, true), (still, false)] {
        let first = report(fresh, &lease, said).await;
        assert_eq!((first.is_news, first.is_own_news), (is_news, is_news));
        assert_eq!(report(fresh, &lease, said).await, first);
    }
}

/// What a report has changed is news to the next one that was made without its answer, whatever that says.
pub async fn what_was_not_acknowledged_is_news_again(fresh: &Fresh<dyn Presence>) {
    let lease = join(fresh, "a", MINUTE).await;
    let here = Report::new(ANN, 4, at(Online, 50, true));
    assert!(report(fresh, &lease, here).await.is_news);
    for (sequence, acknowledged, is_news) in [(6, 3, true), (7, 3, true), (8, 4, false)] {
        let still = Report::new(ANN, sequence, at(Online, 51, true));
        let change = report(fresh, &lease, still.with_acknowledged(acknowledged)).await;
        assert_eq!(
            (change.is_news, change.is_own_news),
            (is_news, is_news),
            "{sequence}"
        );
    }
}

/// Of two nodes' reports any order, with any of them repeated, leads to the same state.
pub async fn reports_amount_to_the_same_in_any_order(fresh: &Fresh<dyn Presence>) {
    let leases = [
        join(fresh, "a", MINUTE).await,
        join(fresh, "b", MINUTE).await,
    ];
    let said = [
        (0, 1, at(Online, 100, true)),
        (0, 2, at(Away, 160, false)),
        (1, 1, at(DoNotDisturb, 130, false)),
        (1, 2, at(Online, 260, true)),
    ];
    let mut user = 10;
    for first in 0..4 {
        for second in 0..4 {
            user += 1;
            let rest = (0..4).rev().chain(0..4);
            for n in [first, second, second].into_iter().chain(rest) {
                let (node, sequence, state) = said[n];
                let said = Report::new(UserId::new(user), sequence, state);
                report(fresh, &leases[node], said).await;
            }
            let end = seen(fresh, UserId::new(user)).await.state;
            assert_eq!(
                (end.status, end.is_active),
                (Online, true),
                "{first} {second}"
            );
            assert_eq!(own(fresh, UserId::new(user)).await.state.status, Online);
        }
    }
}

/// What others see takes a greater version with each change that is worth telling, and stands with its version
/// otherwise.
pub async fn versions_grow_with_what_is_worth_telling(fresh: &Fresh<dyn Presence>) {
    let lease = join(fresh, "a", MINUTE).await;
    let mut last = Published::unknown(ANN);
    let steps = [
        at(Online, 100, true),
        at(Online, 500, true),
        at(Online, 500, false),
        at(Online, 560, false),
        at(Online, 561, false),
        at(Away, 561, false),
        at(Away, 621, false),
        at(Away, 622, false),
        at(Offline, 622, false),
        at(Offline, 622, false),
    ];
    for (sequence, state) in (1..).zip(steps) {
        let change = report(fresh, &lease, Report::new(ANN, sequence, state)).await;
        let is_news = last.state.should_notify(&state);
        assert_eq!(change.is_news, is_news, "{state:?}");
        if is_news {
            assert!(change.published.version > last.version);
            assert_eq!(change.published.state, state);
        } else {
            assert_eq!(change.published, last);
        }
        last = change.published;
        assert_eq!(seen(fresh, ANN).await, last);
    }
}

/// A reader who has the present version of a state is told so, and gets every other.
pub async fn a_reader_is_not_told_what_it_has(fresh: &Fresh<dyn Presence>) {
    let lease = join(fresh, "a", MINUTE).await;
    let first = report(fresh, &lease, Report::new(ANN, 1, at(Online, 5, true))).await;
    let known = StateRead::since(ANN, first.published.version);
    assert_eq!(fresh.store.states(&[known]).await.unwrap(), [None]);
    let second = report(fresh, &lease, Report::new(ANN, 2, at(Away, 5, false))).await;
    let read = fresh.store.states(&[known]).await.unwrap();
    assert_eq!(read, [Some(second.published)]);
}

/// A reader with a version that was never reached, as of an engine that lost its data, gets what is so.
pub async fn a_reader_ahead_is_told_what_is_so(fresh: &Fresh<dyn Presence>) {
    let lease = join(fresh, "a", MINUTE).await;
    let change = report(fresh, &lease, Report::new(ANN, 1, at(Online, 5, true))).await;
    let ahead = Version::new(u64::MAX);
    let reads = [ANN, BOB].map(|user| StateRead::since(user, ahead));
    let read = fresh.store.states(&reads).await.unwrap();
    assert_eq!(
        read,
        [Some(change.published), Some(Published::unknown(BOB))]
    );
}
