use super::{
    ANN, Away, DoNotDisturb, Fresh, MINUTE, Mode, OVER_A_SECOND, Offline, Online, Presence,
    Published, Report, SECOND, Setting, at, join, own, report, seen, set, status,
};

/// What is set by hand holds over what the devices say, for as long as they are there.
pub async fn a_setting_dominates_the_devices(fresh: &Fresh<dyn Presence>) {
    let lease = join(fresh, "a", MINUTE).await;
    report(fresh, &lease, Report::new(ANN, 1, at(Online, 5, true))).await;
    let mut sequence = 1;
    for (mode, shown) in [(Mode::Away, Away), (Mode::DoNotDisturb, DoNotDisturb)] {
        let change = set(fresh, ANN, Setting::new(mode)).await;
        assert_eq!((status(&change), change.own.state.status), (shown, shown));
        for devices in [Away, DoNotDisturb, Online] {
            sequence += 1;
            let change = report(
                fresh,
                &lease,
                Report::new(ANN, sequence, at(devices, 5, false)),
            )
            .await;
            assert_eq!(status(&change), shown, "{devices}");
        }
        let back = set(fresh, ANN, Setting::AUTOMATIC).await;
        assert_eq!(status(&back), Online);
    }
}

/// What is set stays set while the user is gone; nobody is there for it.
pub async fn a_setting_outlives_the_devices(fresh: &Fresh<dyn Presence>) {
    let lease = join(fresh, "a", MINUTE).await;
    let alone = set(fresh, ANN, Setting::new(Mode::DoNotDisturb)).await;
    assert_eq!(alone.published, Published::unknown(ANN));
    let there = report(fresh, &lease, Report::new(ANN, 1, at(Online, 5, true))).await;
    assert_eq!(status(&there), DoNotDisturb);
    let gone = report(fresh, &lease, Report::new(ANN, 2, at(Offline, 5, false))).await;
    assert_eq!(status(&gone), Offline);
    assert_eq!(gone.own.setting, Setting::new(Mode::DoNotDisturb));
}

/// When a setting ends, the one without an end that was set before it holds again.
pub async fn a_setting_that_ends_gives_way_to_the_one_before(fresh: &Fresh<dyn Presence>) {
    let lease = join(fresh, "a", MINUTE).await;
    report(fresh, &lease, Report::new(ANN, 1, at(Online, 5, true))).await;
    set(fresh, ANN, Setting::new(Mode::Away)).await;
    let now = fresh.time.now();
    // Another with an end leaves nothing behind.
    set(
        fresh,
        ANN,
        Setting::new(Mode::Invisible).until(now.saturating_add(MINUTE)),
    )
    .await;
    let meeting = Setting::new(Mode::DoNotDisturb).until(now.saturating_add(SECOND));
    let change = set(fresh, ANN, meeting).await;
    assert_eq!(
        (status(&change), change.own.setting),
        (DoNotDisturb, meeting)
    );
    fresh.time.pass(OVER_A_SECOND).await;
    let after = seen(fresh, ANN).await;
    assert_eq!(after.state.status, Away);
    assert!(after.version > change.published.version);
    assert_eq!(own(fresh, ANN).await.setting, Setting::new(Mode::Away));
}

/// A setting without an end takes the place of one that has not ended yet.
pub async fn a_setting_without_an_end_replaces_one_with_an_end(fresh: &Fresh<dyn Presence>) {
    let lease = join(fresh, "a", MINUTE).await;
    report(fresh, &lease, Report::new(ANN, 1, at(Online, 5, true))).await;
    let end = fresh.time.now().saturating_add(SECOND);
    set(fresh, ANN, Setting::new(Mode::DoNotDisturb).until(end)).await;
    let change = set(fresh, ANN, Setting::new(Mode::Away)).await;
    assert_eq!(
        (status(&change), change.own.setting),
        (Away, Setting::new(Mode::Away))
    );
    fresh.time.pass(OVER_A_SECOND).await;
    assert_eq!(seen(fresh, ANN).await, change.published);
}

/// A setting whose end has passed changes nothing.
pub async fn a_setting_that_has_ended_already_never_holds(fresh: &Fresh<dyn Presence>) {
    let lease = join(fresh, "a", MINUTE).await;
    report(fresh, &lease, Report::new(ANN, 1, at(Online, 5, true))).await;
    let past = fresh.time.now().saturating_sub(MINUTE);
    let change = set(fresh, ANN, Setting::new(Mode::Invisible).until(past)).await;
    assert_eq!(
        (status(&change), change.own.setting),
        (Online, Setting::AUTOMATIC)
    );
}
