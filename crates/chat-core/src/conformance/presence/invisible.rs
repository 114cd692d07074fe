use super::{
    ANN, Away, BOB, Change, DoNotDisturb, Fresh, MINUTE, Mode, OVER_A_SECOND, Offline, Online,
    Presence, PresenceState, Report, SECOND, Setting, StateRead, at, join, lapses, own, report,
    seen, set,
};

/// Of two users who were here alike, one who leaves after having done something and one who turns invisible look alike
/// to others.
pub async fn an_invisible_user_is_seen_as_one_who_left(fresh: &Fresh<dyn Presence>) {
    let lease = join(fresh, "a", MINUTE).await;
    for (sequence, user) in [(1, ANN), (2, BOB)] {
        report(
            fresh,
            &lease,
            Report::new(user, sequence, at(Online, 5, true)),
        )
        .await;
    }
    let unseen = set(fresh, ANN, Setting::new(Mode::Invisible)).await;
    let last_active = unseen.published.state.last_active;
    let state = PresenceState::new(Offline, last_active, false);
    let left = report(fresh, &lease, Report::new(BOB, 3, state)).await;
    assert!(unseen.is_news && left.is_news);
    assert_eq!(unseen.published.state, left.published.state);
    let step = |change: &Change| change.published.version.get();
    assert!(step(&unseen) > 0 && step(&left) > 0);
}

/// While a user is invisible nothing that others can read changes, whatever the devices and the nodes do.
pub async fn nothing_shows_what_an_invisible_user_does(fresh: &Fresh<dyn Presence>) {
    let [a, b] = [
        join(fresh, "a", SECOND).await,
        join(fresh, "b", MINUTE).await,
    ];
    report(fresh, &a, Report::new(ANN, 1, at(Online, 5, true))).await;
    let unseen = set(fresh, ANN, Setting::new(Mode::Invisible))
        .await
        .published;
    let later = unseen.state.last_active.unwrap();
    for (sequence, status) in (2..).zip([Online, Away, DoNotDisturb, Offline, Online]) {
        for lease in [&a, &b] {
            let last_active = later.saturating_add(MINUTE * 2 * u32::try_from(sequence).unwrap());
            let state = PresenceState::new(status, Some(last_active), true);
            let change = report(fresh, lease, Report::new(ANN, sequence, state)).await;
            assert!(!change.is_news);
            assert_eq!(change.published, unseen);
        }
    }
    // A longer one, and a node that dies.
    let end = fresh.time.now().saturating_add(SECOND);
    let again = set(fresh, ANN, Setting::new(Mode::Invisible).until(end)).await;
    assert_eq!(again.published, unseen);
    fresh.time.pass(OVER_A_SECOND).await;
    assert_eq!(seen(fresh, ANN).await, unseen);
    let lapses = lapses(fresh, &[], 9).await;
    assert!(
        lapses
            .iter()
            .all(|lapse| lapse.published == unseen && !lapse.is_news)
    );
}

/// Whoever turns visible shows nothing of what was done before.
pub async fn what_was_done_unseen_stays_so(fresh: &Fresh<dyn Presence>) {
    let lease = join(fresh, "a", MINUTE).await;
    report(fresh, &lease, Report::new(ANN, 1, at(Online, 5, true))).await;
    let unseen = set(fresh, ANN, Setting::new(Mode::Invisible)).await;
    let secret = unseen
        .published
        .state
        .last_active
        .unwrap()
        .saturating_add(MINUTE * 9);
    let state = PresenceState::new(Offline, Some(secret), false);
    report(fresh, &lease, Report::new(ANN, 2, state)).await;
    let gone = set(fresh, ANN, Setting::AUTOMATIC).await;
    assert_eq!(gone.published, unseen.published);
    assert_eq!(gone.own.state.last_active, Some(secret));
}

/// What was done unseen is not shown either if it is reported only once the user is visible again.
pub async fn what_was_done_unseen_and_comes_late_stays_so(fresh: &Fresh<dyn Presence>) {
    let lease = join(fresh, "a", MINUTE).await;
    let left = report(fresh, &lease, Report::new(ANN, 1, at(Offline, 5, false))).await;
    set(fresh, ANN, Setting::new(Mode::Invisible)).await;
    set(fresh, ANN, Setting::AUTOMATIC).await;
    let late = report(fresh, &lease, Report::new(ANN, 2, at(Offline, 900, false))).await;
    assert_eq!(late.published, left.published);
    assert_eq!(late.own.state, at(Offline, 900, false));
}

/// Of who was invisible from the first day on there is nothing to read.
pub async fn whoever_was_never_seen_is_a_stranger(fresh: &Fresh<dyn Presence>) {
    let lease = join(fresh, "a", MINUTE).await;
    set(fresh, ANN, Setting::new(Mode::Invisible)).await;
    report(fresh, &lease, Report::new(ANN, 1, at(Online, 5, true))).await;
    assert_eq!(
        fresh.store.states(&[StateRead::new(ANN)]).await.unwrap(),
        [None]
    );
}

/// To themself an invisible user is there, as their devices say.
pub async fn an_invisible_user_sees_themself(fresh: &Fresh<dyn Presence>) {
    let lease = join(fresh, "a", MINUTE).await;
    let unseen = set(fresh, ANN, Setting::new(Mode::Invisible)).await;
    assert!(unseen.is_own_news);
    for (sequence, state) in (1..).zip([at(Online, 5, true), at(Away, 6, false)]) {
        let change = report(fresh, &lease, Report::new(ANN, sequence, state)).await;
        assert!(change.is_own_news);
        assert_eq!(
            (change.own.setting.mode, change.own.state),
            (Mode::Invisible, state)
        );
        assert_eq!(own(fresh, ANN).await, change.own);
    }
}
