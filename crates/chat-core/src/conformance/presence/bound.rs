use super::{
    ANN, Away, BOB, CAT, Duration, ErrorKind, Fresh, Incarnation, MAX_NAME, MINUTE, Mode, NODES,
    Online, OwnPresence, Presence, PresenceState, Report, Setting, StateRead, USERS, UserId, at,
    held, join, join_as, lapses, own, report, seen, set, status,
};

/// An erased user is offline to whoever knew them, under a version they never had; what they had set is forgotten.
pub async fn an_erased_user_is_a_stranger(fresh: &Fresh<dyn Presence>) {
    let lease = join(fresh, "a", MINUTE).await;
    set(fresh, ANN, Setting::new(Mode::DoNotDisturb)).await;
    let before = report(fresh, &lease, Report::new(ANN, 1, at(Online, 5, true))).await;
    report(fresh, &lease, Report::new(BOB, 2, at(Online, 5, true))).await;
    let erased = fresh.store.erase(ANN).await.unwrap();
    assert_eq!(erased.published.state, PresenceState::UNKNOWN);
    assert!(erased.published.version > before.published.version);
    assert_eq!(
        fresh.store.states(&[StateRead::new(ANN)]).await.unwrap(),
        [None]
    );
    assert_eq!(own(fresh, ANN).await, OwnPresence::unknown(ANN));
    assert_eq!(seen(fresh, BOB).await.state.status, Online);
    let back = report(fresh, &lease, Report::new(ANN, 3, at(Online, 9, true))).await;
    assert_eq!(
        (status(&back), back.own.setting),
        (Online, Setting::AUTOMATIC)
    );
    assert!(back.published.version > erased.published.version);
    let nobody = fresh.store.erase(CAT).await.unwrap();
    assert!(!nobody.is_news && !nobody.is_own_news);
}

/// A node or a user that does not fit is refused as full, and those who are in go on.
pub async fn refuses_more_nodes_and_users_than_fit(fresh: &Fresh<dyn Presence>) {
    let mut leases = Vec::new();
    for node in 0..NODES {
        leases.push(join(fresh, &node.to_string(), MINUTE).await);
    }
    let full = fresh
        .store
        .join("one more", Incarnation::new(1), MINUTE)
        .await;
    assert_eq!(full.unwrap_err().kind(), ErrorKind::Full);
    leases[0] = join_as(fresh, "0", 2, MINUTE).await;

    // A store may keep users in several places, of which one is full before the others.
    let mut sequence = 0;
    let mut next = |user, state| {
        sequence += 1;
        Report::new(user, sequence, state)
    };
    let here = at(Online, 5, true);
    let mut users = Vec::new();
    let refused = loop {
        let user = UserId::new(users.len() as u64);
        match fresh.store.report(&leases[0], &[next(user, here)]).await {
            Ok(_) => users.push(user),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Full);
                break user;
            }
        }
        assert!(users.len() <= USERS, "there is room for no more");
    };
    let full = fresh.store.set(&[(refused, Setting::AUTOMATIC)]).await;
    assert_eq!(full.unwrap_err().kind(), ErrorKind::Full);
    assert_eq!(
        fresh
            .store
            .states(&[StateRead::new(refused)])
            .await
            .unwrap(),
        [None]
    );
    for &user in &users {
        let change = next(user, at(Away, 5, false));
        assert_eq!(status(&report(fresh, &leases[0], change).await), Away);
    }
    for user in users {
        fresh.store.erase(user).await.unwrap();
    }
    report(fresh, &leases[0], next(refused, here)).await;
}

/// What breaks a limit is refused as invalid, and nothing happens.
pub async fn rejects_what_breaks_the_limits(fresh: &Fresh<dyn Presence>) {
    let too_long = "n".repeat(MAX_NAME + 1);
    for (name, ttl) in [("", MINUTE), (&*too_long, MINUTE), ("a", Duration::ZERO)] {
        let refused = fresh.store.join(name, Incarnation::new(9), ttl).await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid);
    }
    join(fresh, "a", MINUTE).await;
    join(fresh, &"n".repeat(MAX_NAME), MINUTE).await;
}

/// A call with nothing to do succeeds.
pub async fn empty_batches_are_accepted(fresh: &Fresh<dyn Presence>) {
    let lease = join(fresh, "a", MINUTE).await;
    assert_eq!(held(fresh.store.report(&lease, &[]).await.unwrap()), []);
    assert_eq!(fresh.store.set(&[]).await.unwrap(), []);
    assert_eq!(fresh.store.states(&[]).await.unwrap(), []);
    assert_eq!(fresh.store.own(&[]).await.unwrap(), []);
    assert_eq!(lapses(fresh, &[], 0).await, []);
}
