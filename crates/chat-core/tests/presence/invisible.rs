//! Nothing that an invisible user does makes a difference to others.

use std::{sync::Arc, time::Duration};

use backplane::{Clock, ManualClock, directory::Incarnation};
use chat_core::{
    MemoryPresence, MemoryPresenceOptions, UserId,
    presence::{
        Mode, NodeJoined, NodeLease, PresenceState, Published, Report, Setting, StateRead, Status,
    },
};
use proptest::{collection::vec, prelude::*, sample::select};

const ANN: UserId = UserId::new(1);
const BOB: UserId = UserId::new(2);

/// What Ann does unseen, or what happens to her.
#[derive(Clone, Copy, Debug)]
enum Secret {
    Report(usize, Status),
    /// The node dies, and comes back.
    Crash(usize),
    /// Invisible for some seconds, and then as before.
    Timed(u64),
    Pass(u64),
}

fn secret() -> impl Strategy<Value = Secret> {
    let statuses = [
        Status::Offline,
        Status::Away,
        Status::Online,
        Status::DoNotDisturb,
    ];
    prop_oneof![
        6 => (0_usize..2, select(statuses.to_vec())).prop_map(|(node, status)| Secret::Report(node, status)),
        1 => (0_usize..2).prop_map(Secret::Crash),
        1 => (1_u64..100).prop_map(Secret::Timed),
        3 => (1_u64..200).prop_map(Secret::Pass),
    ]
}

struct World {
    store: MemoryPresence,
    clock: ManualClock,
    leases: [NodeLease; 2],
    incarnation: u64,
    sequence: u64,
    news: usize,
}

impl World {
    fn new() -> Self {
        let clock = ManualClock::default();
        let store = MemoryPresence::new(Arc::new(clock.clone()), MemoryPresenceOptions::default());
        let leases = ["a", "b"].map(|node| join(&store, node, 1));
        Self {
            store,
            clock,
            leases,
            incarnation: 1,
            sequence: 0,
            news: 0,
        }
    }

    fn report(&mut self, node: usize, user: UserId, status: Status) {
        self.sequence += 1;
        let state = PresenceState::new(status, Some(self.clock.now()), true);
        let report = Report::new(user, self.sequence, state);
        let chat_core::presence::Reported::Held(changes) =
            self.store.report(&self.leases[node], &[report]).unwrap()
        else {
            panic!("the lease is held");
        };
        self.news += usize::from(changes[0].is_news);
    }

    fn set(&mut self, setting: Setting) {
        let changes = self.store.set(&[(ANN, setting)]).unwrap();
        self.news += usize::from(changes[0].is_news);
    }

    fn act(&mut self, secret: Secret) {
        match secret {
            Secret::Report(node, status) => self.report(node, ANN, status),
            Secret::Crash(node) => {
                self.incarnation += 1;
                self.leases[node] = join(&self.store, ["a", "b"][node], self.incarnation);
            }
            Secret::Timed(seconds) => {
                let end = self
                    .clock
                    .now()
                    .saturating_add(Duration::from_secs(seconds));
                self.set(Setting::new(Mode::Invisible).until(end));
            }
            Secret::Pass(seconds) => self.clock.advance(Duration::from_secs(seconds)),
        }
        self.news += self
            .store
            .lapsed(&[], 9)
            .iter()
            .filter(|lapse| lapse.is_news)
            .count();
    }

    fn seen(&self, user: UserId) -> Published {
        let read = self.store.states(&[StateRead::new(user)]);
        read[0].unwrap_or_else(|| Published::unknown(user))
    }
}

fn join(store: &MemoryPresence, node: &str, incarnation: u64) -> NodeLease {
    match store
        .join(node, Incarnation::new(incarnation), Duration::MAX)
        .unwrap()
    {
        NodeJoined::Held(lease) => lease,
        refused => panic!("{refused:?}"),
    }
}

proptest! {
    #[test]
    fn others_see_one_who_left(
        is_there in any::<bool>(),
        secrets in vec(secret(), 0..40),
    ) {
        let mut world = World::new();
        world.report(0, BOB, Status::Online);
        if is_there {
            world.report(0, ANN, Status::Online);
        }
        world.set(Setting::new(Mode::Invisible));
        let (ann, news) = (world.seen(ANN), world.news);
        prop_assert_eq!(ann.state.status, Status::Offline);
        for secret in secrets {
            world.act(secret);
            prop_assert_eq!(world.seen(ANN), ann);
        }
        // She turns visible once she has gone: nothing comes to light.
        for node in 0..2 {
            world.report(node, ANN, Status::Offline);
        }
        world.set(Setting::AUTOMATIC);
        prop_assert_eq!(world.seen(ANN), ann);
        let crashes = usize::from(world.seen(BOB).state.status == Status::Offline);
        prop_assert!(world.news == news || crashes == 1);
    }
}
