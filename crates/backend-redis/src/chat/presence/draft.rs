use std::error::Error as StdError;

use backplane::{FencingToken, Timestamp};
use chat_core::{
    UserId,
    presence::{Change, OwnPresence, Published, Report, Setting, Status, UserRecord, Version},
};

use super::view::View;
use crate::script::Arguments;

/// What is to become of a user's record, if it is still the one that was found.
#[derive(Debug)]
pub(super) struct Draft {
    user: UserId,
    found: Vec<u8>,
    record: Option<UserRecord>,
    before: Noted,
    versions: Versions,
    now: Timestamp,
    lapse: Lapse,
    /// Leases under which the user is looked for and is no more.
    astray: Vec<FencingToken>,
    /// Whether the user is looked for since what was set has ended.
    is_due: bool,
}

/// What is noted of a user beside the record.
#[derive(Debug, Default)]
struct Noted {
    /// The leases under which the user is there.
    leases: Vec<FencingToken>,
    /// When what is set ends.
    until: Option<Timestamp>,
}

/// To whom it is news what time has changed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lapse {
    pub(super) others: bool,
    pub(super) own: bool,
}

/// Gives versions, greater than any before.
#[derive(Debug)]
struct Versions {
    last: u64,
    /// Also greater than those that were lost, as these were of an earlier time.
    floor: u64,
}

impl Draft {
    /// Begins with the record that was `found`, empty for none, where `last` was the last version of the part.
    /// A record that does not decode is passed over, loudly: what is reported next takes its place.
    pub(super) fn of(user: UserId, found: Vec<u8>, last: u64) -> Self {
        let record = (!found.is_empty()).then(|| UserRecord::decode(user, &found));
        let record = record.and_then(|record| match record {
            Ok(record) => Some(record),
            Err(error) => {
                let error = &error as &dyn StdError;
                tracing::error!(%user, error, "passed over a presence that does not decode");
                None
            }
        });
        let given = record.as_ref().map_or(0, last_version);
        Self {
            user,
            found,
            before: record.as_ref().map_or_else(Noted::default, Noted::of),
            record,
            versions: Versions {
                last: last.max(given),
                floor: 0,
            },
            now: Timestamp::EPOCH,
            lapse: Lapse::default(),
            astray: Vec::new(),
            is_due: false,
        }
    }

    pub(super) const fn user(&self) -> UserId {
        self.user
    }

    /// Whether the record is of a lease that began after the `view`.
    pub(super) fn is_after(&self, view: &View) -> bool {
        let mut leases = self.record.iter().flat_map(UserRecord::leases);
        leases.any(|(lease, _)| view.is_before(lease))
    }

    /// Notes that the record may be older than what was told, if it has a version and that is before this one.
    pub(super) fn doubt_before(&mut self, version: u64) {
        if let Some(record) = &mut self.record
            && (1..version).contains(&last_version(record))
        {
            record.doubt();
        }
    }

    /// Brings the record up to the `view`.
    pub(super) fn bring_up(&mut self, view: &View) {
        (self.now, self.versions.floor) = (view.now(), view.micros);
        if let Some(record) = &mut self.record {
            record.end_leases(|lease| view.ended(lease));
            let change = record.settle(self.now, || self.versions.next());
            self.lapse = Lapse::of(&change);
        }
    }

    /// What the user amounts to, if there is a record.
    pub(super) fn change(&self) -> Option<Change> {
        let record = self.record.as_ref()?;
        let (published, own) = (record.published(), record.own());
        let mut change = Change::since((published.version, own.version), published, own);
        (change.is_news, change.is_own_news) = (self.lapse.others, self.lapse.own);
        Some(change)
    }

    /// See [`UserRecord::report`].
    pub(super) fn report(&mut self, lease: FencingToken, report: &Report) -> Change {
        let record = self
            .record
            .get_or_insert_with(|| UserRecord::new(self.user));
        record.report(lease, report, self.now, || self.versions.next())
    }

    /// See [`UserRecord::set`].
    pub(super) fn set(&mut self, setting: Setting) -> Change {
        let record = self
            .record
            .get_or_insert_with(|| UserRecord::new(self.user));
        record.set(setting, self.now);
        record.settle(self.now, || self.versions.next())
    }

    /// Forgets the user, and answers that to be announced.
    pub(super) fn erase(&mut self) -> Change {
        self.record = None;
        let mut published = Published::unknown(self.user);
        let mut own = OwnPresence::unknown(self.user);
        if !self.found.is_empty() {
            (published.version, own.version) = (self.versions.next(), self.versions.next());
        }
        Change::since((Version::ZERO, Version::ZERO), published, own)
    }

    /// Notes that the user was looked for under `lease`, or as one whose setting has ended.
    pub(super) fn was_sought(&mut self, lease: Option<FencingToken>) {
        match lease {
            Some(lease) => self.astray.push(lease),
            None => self.is_due = true,
        }
    }

    pub(super) const fn lapse(&self) -> Lapse {
        self.lapse
    }

    pub(super) const fn last_version(&self) -> u64 {
        self.versions.last
    }

    pub(super) fn is_changed(&self) -> bool {
        self.row() != self.found
    }

    fn row(&self) -> Vec<u8> {
        self.record
            .as_ref()
            .map_or_else(Vec::new, UserRecord::encode)
    }

    /// What the script is told that writes it.
    pub(super) fn write_to(&self, arguments: Arguments) -> Arguments {
        let after = self.record.as_ref().map_or_else(Noted::default, Noted::of);
        let (before, is_due) = (&self.before, self.is_due);
        let until = match after.until {
            until if until == before.until && !is_due => String::new(),
            // Beyond what a score holds exactly no time ever comes.
            Some(until) => until.as_millis().min(1 << 53).to_string(),
            None => "-".to_owned(),
        };
        let comes = without(&after.leases, &before.leases);
        let gone = [&before.leases[..], &self.astray].concat();
        arguments
            .bytes(self.user.get().to_be_bytes())
            .bytes(&self.found)
            .bytes(self.row())
            .number(self.lapse.code())
            .bytes(until)
            .bytes(comes)
            .bytes(without(&gone, &after.leases))
    }
}

impl Noted {
    fn of(record: &UserRecord) -> Self {
        let leases = record.leases();
        let there = leases.filter(|(_, status)| *status != Status::Offline);
        Self {
            leases: there.map(|(lease, _)| lease).collect(),
            until: record.setting().until,
        }
    }
}

impl Lapse {
    const fn of(change: &Change) -> Self {
        Self {
            others: change.is_news,
            own: change.is_own_news,
        }
    }

    pub(super) const fn any(self) -> bool {
        self.others || self.own
    }

    /// As bits: 1 for others, 2 for the user.
    fn code(self) -> u8 {
        u8::from(self.others) | u8::from(self.own) << 1
    }

    pub(super) const fn of_code(code: u8) -> Self {
        Self {
            others: code & 1 != 0,
            own: code & 2 != 0,
        }
    }
}

impl Versions {
    fn next(&mut self) -> Version {
        self.last = self.last.saturating_add(1).max(self.floor);
        Version::new(self.last)
    }
}

fn last_version(record: &UserRecord) -> u64 {
    let (published, own) = (record.published(), record.own());
    published.version.max(own.version).get()
}

/// The leases that are not among the `others`, with a space between.
fn without(leases: &[FencingToken], others: &[FencingToken]) -> String {
    let leases = leases.iter().filter(|lease| !others.contains(lease));
    let leases: Vec<_> = leases.map(FencingToken::to_string).collect();
    leases.join(" ")
}
