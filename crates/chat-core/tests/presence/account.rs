//! A naive account of one node: what its devices did, and what may therefore be so.

use std::{collections::BTreeMap, time::Duration};

use chat_core::{
    Device, UserId,
    presence::{Departure, DeviceSession, EndReason, PresenceOptions, Status},
};

/// How much later than it could be anything happens, on a clock that is looked at every second.
const LATE: Duration = Duration::from_millis(1_000 + 1_000 + 1_000 + 400);

/// Who is idle is found in one of eight sweeps.
const IDLE_LATE: Duration = Duration::from_secs(7);

pub(crate) struct Account {
    options: PresenceOptions,
    now: Duration,
    /// Since when the clock can be trusted.
    trusted: Duration,
    devices: BTreeMap<Device, Known>,
    /// Sessions that ended.
    pub(crate) ended: Vec<DeviceSession>,
}

#[derive(Clone, Debug)]
struct Known {
    session: DeviceSession,
    declared: Status,
    since: Duration,
    heard: Duration,
    /// When its user last did something with it: between these.
    acted: (Duration, Duration),
    /// When it was lost, and as what it may have counted then.
    lost: Option<(Duration, Vec<Status>)>,
}

impl Account {
    pub(crate) fn new(options: PresenceOptions) -> Self {
        Self {
            options,
            now: Duration::ZERO,
            trusted: Duration::ZERO,
            devices: BTreeMap::new(),
            ended: Vec::new(),
        }
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    /// The clock did something else than to go on, or was not looked at.
    pub(crate) fn distrust(&mut self) {
        self.trusted = self.now;
    }

    pub(crate) fn connect(&mut self, device: Device, declared: Status, session: DeviceSession) {
        let earlier = self.devices.remove(&device);
        self.ended
            .extend(earlier.iter().map(|earlier| earlier.session));
        let resumed = earlier.filter(|earlier| earlier.declared == declared);
        let known = Known {
            session,
            declared,
            since: self.now,
            heard: self.now,
            acted: resumed.map_or((self.now, self.now), |earlier| self.acted_if_back(&earlier)),
            lost: None,
        };
        self.devices.insert(device, known);
    }

    /// Whether a session must be alive, or must not be.
    pub(crate) fn must_live(&self, session: DeviceSession) -> Option<bool> {
        let mut known = self.devices.values();
        let Some(known) = known.find(|known| known.session == session && known.lost.is_none())
        else {
            return Some(false);
        };
        if self.since(known.heard) < self.options.timeout {
            return Some(true);
        }
        self.is_certain(known.heard, self.options.timeout)
            .then_some(false)
    }

    pub(crate) fn hear(&mut self, session: DeviceSession) {
        let now = self.now;
        self.with(session, |known| known.heard = now);
    }

    pub(crate) fn act(&mut self, session: DeviceSession, declared: Option<Status>) {
        let now = self.now;
        self.with(session, |known| {
            (known.heard, known.acted) = (now, (now, now));
            known.declared = declared.unwrap_or(known.declared);
        });
    }

    pub(crate) fn disconnect(&mut self, session: DeviceSession, departure: Departure) {
        self.lose(session);
        if departure == Departure::Graceful {
            self.devices.retain(|_, known| known.session != session);
        }
    }

    /// Checks that a session that the node ended by itself could have ended.
    pub(crate) fn end(&mut self, session: DeviceSession, reason: EndReason) {
        let silent = self.devices.values().find(|known| known.session == session);
        match (reason, silent) {
            (EndReason::TimedOut, Some(known)) => {
                assert!(known.lost.is_none(), "it had ended before");
                let silence = self.since(known.heard);
                assert!(silence >= self.options.timeout, "ended after {silence:?}");
                self.lose(session);
            }
            (EndReason::TimedOut, None) => panic!("{session:?} had ended before"),
            _ => {}
        }
    }

    /// As what a user may count now.
    pub(crate) fn may_be(&self, user: UserId) -> Vec<Status> {
        let mut possible = vec![Status::Offline];
        for (device, known) in &self.devices {
            if device.user == user {
                let choices = self.counts_as(known);
                let pairs = possible
                    .iter()
                    .flat_map(|&a| choices.iter().map(move |&b| a.max(b)));
                possible = pairs.collect();
            }
        }
        possible
    }

    /// Sessions of devices that must have timed out by now, and have not.
    pub(crate) fn overdue(&self) -> usize {
        let live = self.devices.values().filter(|known| known.lost.is_none());
        live.filter(|known| self.is_certain(known.heard, self.options.timeout))
            .count()
    }

    /// When the user last did something that counts.
    pub(crate) fn last_act(&self, user: UserId) -> Option<Duration> {
        let theirs = self
            .devices
            .iter()
            .filter(|(device, _)| device.user == user);
        let counting = theirs.filter(|(_, known)| known.declared != Status::Offline);
        counting.map(|(_, known)| known.acted.0).max()
    }

    fn counts_as(&self, known: &Known) -> Vec<Status> {
        let Some((since, mut as_what)) = known.lost.clone() else {
            return self.lives_as(known);
        };
        if self.since(since) < self.options.grace {
            return as_what;
        }
        if self.is_certain(since, self.options.grace) {
            return vec![Status::Offline];
        }
        as_what.push(Status::Offline);
        as_what
    }

    fn lives_as(&self, known: &Known) -> Vec<Status> {
        if known.declared != Status::Online || self.since(known.acted.0) < self.options.idle {
            return vec![known.declared];
        }
        let is_looked_at = self.is_certain(known.since, IDLE_LATE);
        if is_looked_at && self.is_certain(known.acted.1, self.options.idle + IDLE_LATE) {
            return vec![Status::Away];
        }
        vec![Status::Online, Status::Away]
    }

    fn since(&self, earlier: Duration) -> Duration {
        self.now.saturating_sub(earlier)
    }

    /// Whether what was to happen `wait` after `since` has happened, even if late.
    fn is_certain(&self, since: Duration, wait: Duration) -> bool {
        self.since(since.max(self.trusted)) > wait + LATE
    }

    fn lose(&mut self, session: DeviceSession) {
        let found = self.devices.values().find(|known| known.session == session);
        let as_what = found.map(|known| self.lives_as(known)).unwrap_or_default();
        let now = self.now;
        self.with(session, |known| known.lost = Some((now, as_what)));
        self.ended.push(session);
    }

    /// When a device that comes back now last did something: if it was gone, now.
    fn acted_if_back(&self, earlier: &Known) -> (Duration, Duration) {
        let Some((since, _)) = earlier.lost else {
            return earlier.acted;
        };
        if self.is_certain(since, self.options.grace) {
            return (self.now, self.now);
        }
        if self.since(since) < self.options.grace {
            return earlier.acted;
        }
        (earlier.acted.0, self.now)
    }

    fn with(&mut self, session: DeviceSession, change: impl FnOnce(&mut Known)) {
        let mut known = self.devices.values_mut();
        if let Some(known) = known.find(|known| known.session == session) {
            change(known);
        }
    }
}
