use super::{
    ANN, Arc, Away, DoNotDisturb, Fresh, MINUTE, Offline, Online, Presence, ROUNDS, Report, at,
    held, join, report, seen,
};

/// Reports of several nodes about one user at the same time all count, whichever comes last.
pub async fn concurrent_reports_all_count(fresh: &Fresh<dyn Presence>) {
    let mut leases = Vec::new();
    for node in ["a", "b", "c", "d"] {
        leases.push(join(fresh, node, MINUTE).await);
    }
    for sequence in 1..=ROUNDS {
        let call = |presence: Arc<dyn Presence>, n: usize| {
            let status = [Away, DoNotDisturb, Online, Offline][n];
            let report = Report::new(ANN, sequence * 2, at(status, 5, false));
            let lease = leases[n].clone();
            async move { held(presence.report(&lease, &[report]).await.unwrap()) }
        };
        fresh.at_once(4, call).await;
        assert_eq!(seen(fresh, ANN).await.state.status, DoNotDisturb);
        let gone = Report::new(ANN, sequence * 2 + 1, at(Offline, 5, false));
        for lease in &leases {
            report(fresh, lease, gone).await;
        }
        assert_eq!(seen(fresh, ANN).await.state.status, Offline);
    }
}

/// Of changes of one user at the same time each that is news has a version of its own, and the greatest stays.
pub async fn concurrent_changes_share_no_version(fresh: &Fresh<dyn Presence>) {
    let mut leases = Vec::new();
    for node in ["a", "b", "c", "d"] {
        leases.push(join(fresh, node, MINUTE).await);
    }
    for sequence in 1..=ROUNDS {
        let call = |presence: Arc<dyn Presence>, n: usize| {
            // Each node says something else each time.
            let turn = (n + usize::try_from(sequence).unwrap()) % 4;
            let status = [Away, DoNotDisturb, Online, Offline][turn];
            let report = Report::new(ANN, sequence, at(status, 5, false));
            let lease = leases[n].clone();
            async move { held(presence.report(&lease, &[report]).await.unwrap()).remove(0) }
        };
        let changes = fresh.at_once(4, call).await;
        let news = changes.iter().filter(|change| change.is_news);
        let mut told: Vec<_> = news.map(|change| change.published).collect();
        told.sort_by_key(|published| published.version);
        assert!(told.is_sorted_by(|a, b| a.version < b.version && a.state != b.state));
        if let Some(last) = told.last() {
            assert_eq!(seen(fresh, ANN).await, *last);
        }
    }
}
