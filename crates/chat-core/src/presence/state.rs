use std::time::Duration;

use backplane::Timestamp;
use serde::{Deserialize, Serialize};

use super::Status;

/// What there is to say of a user's presence, of one device, of a node's devices, or of all.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PresenceState {
    /// How the user is to be taken.
    pub status: Status,
    /// When the user last did something, to the [granularity](Self::GRANULARITY) and by the wall clock
    /// of the node; `None` if never.
    pub last_active: Option<Timestamp>,
    /// Whether that was only just, as [`PresenceOptions::active_window`](super::PresenceOptions) says. Only
    /// who is [`Online`](Status::Online) is active.
    pub is_active: bool,
}

impl PresenceState {
    /// A user of whom nothing is known.
    pub const UNKNOWN: Self = Self {
        status: Status::Offline,
        last_active: None,
        is_active: false,
    };

    /// How much later activity must be before it is worth telling by itself: a minute, as of Matrix.
    pub const GRANULARITY: Duration = Duration::from_secs(60);

    /// Somebody of `status`, who last did something at `last_active`.
    #[must_use]
    pub fn new(status: Status, last_active: Option<Timestamp>, is_active: bool) -> Self {
        Self {
            status,
            last_active,
            is_active: is_active && status == Status::Online,
        }
    }

    /// What two devices, or two nodes, amount to: the greater status, and the later activity.
    ///
    /// It is the least upper bound of a semilattice: commutative, associative and idempotent, so parts
    /// may be merged in any order and any number of times.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        Self::new(
            self.status.max(other.status),
            self.last_active.max(other.last_active),
            self.is_active || other.is_active,
        )
    }

    /// Whether a change from `self` to `new` is worth telling those who look on: if the status differs, or whether
    /// somebody who is online is active; activity alone only if it is later by more than the
    /// [granularity](Self::GRANULARITY), and does not go on. These are the rules of Synapse
    /// (`synapse/handlers/presence.py`, `should_notify`).
    #[must_use]
    pub fn should_notify(&self, new: &Self) -> bool {
        if self == new {
            return false;
        }
        if self.status != new.status {
            return true;
        }
        let is_online = new.status == Status::Online;
        if is_online && self.is_active != new.is_active {
            return true;
        }
        self.is_much_later(new) && !(is_online && new.is_active)
    }

    fn is_much_later(&self, new: &Self) -> bool {
        let old = self.last_active.unwrap_or(Timestamp::EPOCH);
        let since = |new: Timestamp| new.saturating_since(old) > Self::GRANULARITY;
        new.last_active.is_some_and(since)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn state(status: Status, second: u64, is_active: bool) -> PresenceState {
        let at = Timestamp::from_millis(second * 1_000);
        PresenceState {
            status,
            last_active: Some(at),
            is_active,
        }
    }

    #[test]
    fn tells_what_synapse_tells() {
        use Status::{Away, DoNotDisturb, Offline, Online};
        let rules = [
            // Equal.
            ((Online, 100, true), (Online, 100, true), false),
            ((Offline, 100, false), (Offline, 100, false), false),
            // The status differs.
            ((Offline, 100, false), (Online, 100, true), true),
            ((Online, 100, false), (Away, 100, false), true),
            ((Away, 100, false), (Offline, 100, false), true),
            ((Online, 100, true), (DoNotDisturb, 100, false), true),
            // Online, and active or no longer.
            ((Online, 100, true), (Online, 100, false), true),
            ((Online, 100, false), (Online, 101, true), true),
            // Online: later activity only of who is not active now.
            ((Online, 100, true), (Online, 500, true), false),
            ((Online, 100, false), (Online, 160, false), false),
            ((Online, 100, false), (Online, 161, false), true),
            // Not online: later activity by more than a minute.
            ((Away, 100, false), (Away, 160, false), false),
            ((Away, 100, false), (Away, 161, false), true),
            ((DoNotDisturb, 100, false), (DoNotDisturb, 161, false), true),
            ((Offline, 100, false), (Offline, 161, false), true),
            // Earlier activity is none.
            ((Away, 500, false), (Away, 100, false), false),
        ];
        for (old, new, expected) in rules {
            let [from, to] =
                [old, new].map(|(status, second, active)| state(status, second, active));
            assert_eq!(from.should_notify(&to), expected, "{old:?} to {new:?}");
        }
    }

    #[test]
    fn the_first_activity_is_worth_telling() {
        let seen = state(Status::Offline, 100, false);
        assert!(PresenceState::UNKNOWN.should_notify(&seen));
    }

    fn any_state() -> impl Strategy<Value = PresenceState> {
        let statuses = [
            Status::Offline,
            Status::Away,
            Status::Online,
            Status::DoNotDisturb,
        ];
        let status = prop::sample::select(statuses.to_vec());
        (status, prop::option::of(0_u64..5), any::<bool>()).prop_map(|(status, at, is_active)| {
            PresenceState::new(status, at.map(Timestamp::from_millis), is_active)
        })
    }

    proptest! {
        #[test]
        fn merging_is_a_least_upper_bound(a in any_state(), b in any_state(), c in any_state()) {
            prop_assert_eq!(a.merge(a), a);
            prop_assert_eq!(a.merge(b), b.merge(a));
            prop_assert_eq!(a.merge(b).merge(c), a.merge(b.merge(c)));
            prop_assert_eq!(a.merge(PresenceState::UNKNOWN), a);
        }
    }
}
