//! What a user amounts to does not depend on the way reports come.

use backplane::{FencingToken, Timestamp};
use chat_core::{
    UserId,
    presence::{Mode, PresenceState, Report, Setting, Status, UserRecord, Version},
};
use proptest::{collection::vec, prelude::*, sample::select};

const ANN: UserId = UserId::new(1);

fn reports() -> impl Strategy<Value = Vec<(FencingToken, Report)>> {
    let statuses = [
        Status::Offline,
        Status::Away,
        Status::Online,
        Status::DoNotDisturb,
    ];
    let said = (
        1_u64..4,
        1_u64..6,
        select(statuses.to_vec()),
        0_u64..400,
        any::<bool>(),
    );
    vec(said, 1..12).prop_map(|said| {
        let mut reports: Vec<_> = said
            .into_iter()
            .map(|(lease, sequence, status, second, is_active)| {
                let at = Some(Timestamp::from_millis(second * 1_000));
                let state = PresenceState::new(status, at, is_active);
                (FencingToken::new(lease), Report::new(ANN, sequence, state))
            })
            .collect();
        // A number is given once.
        reports.sort_by_key(|(lease, report)| (*lease, report.sequence));
        reports.dedup_by_key(|(lease, report)| (*lease, report.sequence));
        reports
    })
}

/// The reports as they were made, and three times in an order of its own, some of them twice.
fn deliveries() -> impl Strategy<Value = [Vec<(FencingToken, Report)>; 4]> {
    reports().prop_flat_map(|reports| {
        let twice = vec(select(reports.clone()), 0..6);
        let delivery = (Just(reports.clone()), twice).prop_flat_map(|(mut all, twice)| {
            all.extend(twice);
            Just(all).prop_shuffle()
        });
        let made = Just(reports).boxed();
        [
            made,
            delivery.clone().boxed(),
            delivery.clone().boxed(),
            delivery.boxed(),
        ]
    })
}

fn record(mode: Mode) -> UserRecord {
    let mut record = UserRecord::new(ANN);
    record.set(Setting::new(mode), Timestamp::EPOCH);
    record
}

fn settled(mut record: UserRecord) -> UserRecord {
    let mut last = 0;
    record.settle(Timestamp::EPOCH, || {
        last += 1;
        Version::new(last)
    });
    record
}

proptest! {
    #[test]
    fn replicas_agree_whatever_reached_them_first(
        [reports, first, second, third] in deliveries(),
        mode in select(vec![Mode::Automatic, Mode::Away, Mode::DoNotDisturb, Mode::Invisible]),
    ) {
        let replicas = [first, second, third].map(|delivery| {
            let mut record = record(mode);
            for (lease, report) in &delivery {
                record.merge(*lease, report);
            }
            settled(record)
        });
        prop_assert_eq!(&replicas[0], &replicas[1]);
        prop_assert_eq!(&replicas[1], &replicas[2]);

        // A naive account: the last thing that each node said.
        let lasts = (1..4).filter_map(|lease| {
            let said = reports.iter().filter(|(by, _)| by.get() == lease);
            said.max_by_key(|(_, report)| report.sequence)
        });
        let status = lasts.map(|(_, report)| report.state.status).max().unwrap();
        let own = replicas[0].own();
        let seen = if mode == Mode::Invisible { status } else { mode.shows(status) };
        prop_assert_eq!(own.state.status, seen);
        prop_assert_eq!(replicas[0].published().state.status, mode.shows(status));
        let last_active = reports.iter().filter_map(|(_, report)| report.state.last_active).max();
        if own.version > Version::new(1) {
            prop_assert_eq!(own.state.last_active, last_active);
        }
    }
}
