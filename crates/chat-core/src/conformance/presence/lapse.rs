use super::{
    ANN, BOB, CAT, Fresh, MINUTE, Mode, OVER_A_SECOND, Offline, Online, Presence, Report, SECOND,
    Setting, UserId, at, join, lapses, report, seen, set, status,
};

/// Whom a lease that ended has changed is told to whoever asks until it is settled, as they are then, also if somebody
/// has read them in between.
pub async fn what_time_changes_is_told_until_it_is_settled(fresh: &Fresh<dyn Presence>) {
    let [a, b] = [
        join(fresh, "a", SECOND).await,
        join(fresh, "b", MINUTE).await,
    ];
    report(fresh, &a, Report::new(ANN, 1, at(Online, 5, true))).await;
    report(fresh, &a, Report::new(BOB, 2, at(Online, 5, true))).await;
    report(fresh, &b, Report::new(CAT, 1, at(Online, 5, true))).await;
    fresh.time.pass(OVER_A_SECOND).await;
    let ann = seen(fresh, ANN).await;
    for _ in 0..2 {
        let told = lapses(fresh, &[], 9).await;
        let users: Vec<_> = told.iter().map(|lapse| lapse.published.user).collect();
        assert_eq!(users, [ANN, BOB]);
        assert_eq!(told[0].published, ann);
        assert!(told.iter().all(|lapse| lapse.is_news && lapse.is_own_news));
    }
    let told = lapses(fresh, &[], 9).await;
    // Bob is back before it was announced that he went: what is settled is not what is so.
    report(fresh, &b, Report::new(BOB, 2, at(Online, 9, true))).await;
    let left = lapses(fresh, &told, 9).await;
    assert_eq!(left.len(), 1);
    assert_eq!((left[0].published.user, status(&left[0])), (BOB, Online));
    assert_eq!(lapses(fresh, &left, 9).await, []);
}

/// A user whose setting ended is told as one whom time has changed.
pub async fn a_setting_that_ends_is_told(fresh: &Fresh<dyn Presence>) {
    let lease = join(fresh, "a", MINUTE).await;
    report(fresh, &lease, Report::new(ANN, 1, at(Online, 5, true))).await;
    let end = fresh.time.now().saturating_add(SECOND);
    set(fresh, ANN, Setting::new(Mode::DoNotDisturb).until(end)).await;
    assert_eq!(lapses(fresh, &[], 9).await, []);
    fresh.time.pass(OVER_A_SECOND).await;
    let told = lapses(fresh, &[], 9).await;
    assert_eq!(told.len(), 1);
    assert_eq!(
        (status(&told[0]), told[0].own.setting),
        (Online, Setting::AUTOMATIC)
    );
    assert_eq!(lapses(fresh, &told, 9).await, []);
}

/// Of many whom time has changed as many are told as asked for, and all of them in the end.
pub async fn lapses_come_a_few_at_a_time(fresh: &Fresh<dyn Presence>) {
    let lease = join(fresh, "a", MINUTE).await;
    let count = 25;
    for user in 0..count {
        let state = at(Online, 5, true);
        report(
            fresh,
            &lease,
            Report::new(UserId::new(user), user + 1, state),
        )
        .await;
    }
    fresh.store.leave(&lease).await.unwrap();
    let (mut told, mut settled) = (Vec::new(), Vec::new());
    loop {
        settled = lapses(fresh, &settled, 10).await;
        assert!(settled.len() <= 10);
        if settled.is_empty() {
            break;
        }
        told.extend(settled.iter().map(|lapse| lapse.published.user.get()));
    }
    told.sort_unstable();
    assert_eq!(told, (0..count).collect::<Vec<_>>());
}

/// What a call has changed is told to its caller, and is no lapse.
pub async fn nothing_lapses_without_time(fresh: &Fresh<dyn Presence>) {
    let lease = join(fresh, "a", MINUTE).await;
    report(fresh, &lease, Report::new(ANN, 1, at(Online, 5, true))).await;
    set(fresh, BOB, Setting::new(Mode::Away)).await;
    report(fresh, &lease, Report::new(ANN, 2, at(Offline, 5, false))).await;
    assert_eq!(lapses(fresh, &[], 9).await, []);
}
