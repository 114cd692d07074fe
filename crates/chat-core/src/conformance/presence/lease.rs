use super::{
    ANN, Away, BOB, CAT, DoNotDisturb, Fresh, Incarnation, MINUTE, NodeJoined, OVER_A_SECOND,
    Offline, Online, Presence, Report, SECOND, Tenure, assert_lost, at, join, join_as, report,
    seen, status,
};

/// When a lease passes, the sessions at its node end, and those at other nodes go on.
pub async fn a_lease_that_passes_takes_its_own_sessions(fresh: &Fresh<dyn Presence>) {
    let [a, b] = [
        join(fresh, "a", SECOND).await,
        join(fresh, "b", MINUTE).await,
    ];
    report(fresh, &a, Report::new(ANN, 1, at(Online, 5, true))).await;
    report(fresh, &b, Report::new(BOB, 1, at(Online, 5, true))).await;
    report(fresh, &a, Report::new(CAT, 2, at(DoNotDisturb, 5, false))).await;
    report(fresh, &b, Report::new(CAT, 2, at(Away, 5, false))).await;
    let before = seen(fresh, ANN).await.version;
    fresh.time.pass(OVER_A_SECOND).await;
    let after = seen(fresh, ANN).await;
    assert_eq!(after.state.status, Offline);
    assert!(after.version > before);
    assert_eq!(seen(fresh, BOB).await.state.status, Online);
    assert_eq!(seen(fresh, CAT).await.state.status, Away);
}

/// The sessions at a node that renews in time go on.
pub async fn a_lease_that_is_renewed_keeps_its_sessions(fresh: &Fresh<dyn Presence>) {
    let lease = join(fresh, "a", SECOND).await;
    let before = report(fresh, &lease, Report::new(ANN, 1, at(Online, 5, true))).await;
    for _ in 0..3 {
        fresh.time.pass(SECOND / 2).await;
        let tenure = fresh.store.renew(&lease, SECOND).await.unwrap();
        assert_eq!(tenure, Tenure::Held);
    }
    assert_eq!(seen(fresh, ANN).await, before.published);
}

/// Renewing for less time than the lease has left leaves it as it is.
pub async fn renewing_never_shortens_a_lease(fresh: &Fresh<dyn Presence>) {
    let lease = join(fresh, "a", MINUTE).await;
    report(fresh, &lease, Report::new(ANN, 1, at(Online, 5, true))).await;
    fresh.store.renew(&lease, SECOND).await.unwrap();
    fresh.time.pass(OVER_A_SECOND).await;
    assert_eq!(seen(fresh, ANN).await.state.status, Online);
}

/// The sessions at a node that leaves end at once, and leaving twice changes nothing.
pub async fn a_node_that_leaves_takes_its_sessions(fresh: &Fresh<dyn Presence>) {
    let [a, b] = [
        join(fresh, "a", MINUTE).await,
        join(fresh, "b", MINUTE).await,
    ];
    report(fresh, &a, Report::new(ANN, 1, at(Online, 5, true))).await;
    report(fresh, &b, Report::new(BOB, 1, at(Online, 5, true))).await;
    assert_eq!(fresh.store.leave(&a).await.unwrap(), Tenure::Held);
    assert_eq!(seen(fresh, ANN).await.state.status, Offline);
    assert_eq!(seen(fresh, BOB).await.state.status, Online);
    assert_lost(fresh, &a).await;
}

/// When a later incarnation of a node joins, the sessions at the earlier one end, and no others.
pub async fn a_later_incarnation_ends_the_sessions_of_an_earlier_one(fresh: &Fresh<dyn Presence>) {
    let first = join(fresh, "a", MINUTE).await;
    let other = join(fresh, "b", MINUTE).await;
    report(fresh, &first, Report::new(ANN, 8, at(Online, 5, true))).await;
    report(fresh, &other, Report::new(BOB, 8, at(Online, 5, true))).await;
    let second = join_as(fresh, "a", 2, MINUTE).await;
    assert!(second.token > first.token);
    assert_eq!(seen(fresh, ANN).await.state.status, Offline);
    assert_eq!(seen(fresh, BOB).await.state.status, Online);
    assert_lost(fresh, &first).await;
    // Its numbers begin anew.
    let back = report(fresh, &second, Report::new(ANN, 1, at(Away, 5, false))).await;
    assert_eq!(status(&back), Away);
}

/// An earlier incarnation cannot join while a later one holds the lease, and is told so; once it has passed, it can.
pub async fn refuses_an_earlier_incarnation(fresh: &Fresh<dyn Presence>) {
    let lease = join_as(fresh, "a", 7, SECOND).await;
    report(fresh, &lease, Report::new(ANN, 1, at(Online, 5, true))).await;
    let refused = fresh
        .store
        .join("a", Incarnation::new(6), MINUTE)
        .await
        .unwrap();
    let by = Incarnation::new(7);
    assert_eq!(refused, NodeJoined::Superseded { by });
    assert_eq!(seen(fresh, ANN).await.state.status, Online);
    fresh.time.pass(OVER_A_SECOND).await;
    join_as(fresh, "a", 6, MINUTE).await;
}

/// A node that joins again, as one whose first attempt was answered too late, begins without sessions.
pub async fn joining_again_ends_the_first_lease(fresh: &Fresh<dyn Presence>) {
    let first = join(fresh, "a", MINUTE).await;
    report(fresh, &first, Report::new(ANN, 1, at(Online, 5, true))).await;
    let second = join(fresh, "a", MINUTE).await;
    assert_lost(fresh, &first).await;
    assert_eq!(seen(fresh, ANN).await.state.status, Offline);
    assert_eq!(
        fresh.store.renew(&second, MINUTE).await.unwrap(),
        Tenure::Held
    );
}

/// Under a lease that passed nothing can be reported, renewed or left, before and after the node joins again.
pub async fn a_lost_lease_changes_nothing(fresh: &Fresh<dyn Presence>) {
    let lease = join(fresh, "a", SECOND).await;
    fresh.time.pass(OVER_A_SECOND).await;
    assert_lost(fresh, &lease).await;
    let second = join(fresh, "a", MINUTE).await;
    report(fresh, &second, Report::new(ANN, 1, at(Away, 5, false))).await;
    assert_lost(fresh, &lease).await;
    assert_eq!(seen(fresh, ANN).await.state.status, Away);
}

/// Whoever was online at a node that died counts as active until the node last renewed its lease; who was away does
/// not.
pub async fn whoever_was_online_at_a_node_that_died_was_active_until_its_last_renewal(
    fresh: &Fresh<dyn Presence>,
) {
    let lease = join(fresh, "a", SECOND).await;
    let long_ago = at(Online, 5, true);
    report(fresh, &lease, Report::new(ANN, 1, long_ago)).await;
    report(fresh, &lease, Report::new(BOB, 2, at(Away, 5, false))).await;
    fresh.time.pass(SECOND / 2).await;
    let before = fresh.time.now();
    fresh.store.renew(&lease, SECOND).await.unwrap();
    let after = fresh.time.now();
    fresh.time.pass(OVER_A_SECOND).await;
    let last = seen(fresh, ANN).await.state.last_active.unwrap();
    // Clocks of an engine and a test agree to a second.
    assert!(last.saturating_add(SECOND) >= before && last <= after.saturating_add(SECOND));
    assert_eq!(seen(fresh, BOB).await.state, at(Offline, 5, false));
}
