mod bytes;

use std::mem;

use backplane::{FencingToken, Timestamp};
use smallvec::SmallVec;

use super::{
    Change, Mode, OwnPresence, PresenceState, Published, Report, Setting, Status, Version,
};
use crate::UserId;

/// What a store keeps of one user, and how it changes. For implementations of [`Presence`](super::Presence).
///
/// Reports of several nodes may arrive in any order and any number of times: the record is the same. What others
/// see changes with [`settle`](Self::settle) alone. A store that cannot run this where the record lies keeps it
/// as [bytes](Self::encode), and replaces those that it has changed.
#[derive(Clone, Debug, PartialEq)]
pub struct UserRecord {
    user: UserId,
    mode: Mode,
    timed: Option<(Mode, Timestamp)>,
    /// What each node said last. One that said that the user is gone stays as long as the lease, so that what it
    /// had said before and comes late changes nothing.
    parts: SmallVec<[Part; 1]>,
    /// The last activity, of whatever node.
    last_active: Option<Timestamp>,
    /// The last activity that others may know of.
    shown_active: Option<Timestamp>,
    /// Since when the user is not invisible. What was done before is not shown.
    visible_from: Timestamp,
    published: Published,
    own: OwnPresence,
    /// Whether later versions may have been told than those here.
    is_set_back: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Part {
    lease: FencingToken,
    sequence: u64,
    state: PresenceState,
    news: News,
}

/// Which report was the last to be news to others, and to the user; zero for none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct News {
    others: u64,
    own: u64,
}

impl UserRecord {
    /// A user of whom nothing is known.
    #[must_use]
    pub fn new(user: UserId) -> Self {
        Self {
            user,
            mode: Mode::Automatic,
            timed: None,
            parts: SmallVec::new(),
            last_active: None,
            shown_active: None,
            visible_from: Timestamp::EPOCH,
            published: Published::unknown(user),
            own: OwnPresence::unknown(user),
            is_set_back: false,
        }
    }

    /// Takes in what the node that holds `lease` says, and answers what the user amounts to, as [`settle`](Self::settle)
    /// does. What is older than something it said changes nothing. All that the node's reports changed since the one that
    /// it has the answer to is news.
    pub fn report(
        &mut self,
        lease: FencingToken,
        report: &Report,
        now: Timestamp,
        versions: impl FnMut() -> Version,
    ) -> Change {
        let is_taken = self.merge(lease, report);
        let mut change = self.settle(now, versions);
        if let Some(part) = self.parts.iter_mut().find(|part| part.lease == lease) {
            if is_taken && change.is_news {
                part.news.others = report.sequence;
            }
            if is_taken && change.is_own_news {
                part.news.own = report.sequence;
            }
            let since = |news| (report.acknowledged + 1..=report.sequence).contains(&news);
            change.is_news = since(part.news.others);
            change.is_own_news = since(part.news.own);
        }
        change
    }

    /// Takes in what the node that holds `lease` says, without any consequence before the next
    /// [`settle`](Self::settle). Answers whether it was later than all that the node has said.
    pub fn merge(&mut self, lease: FencingToken, report: &Report) -> bool {
        self.note(report.state.last_active);
        let part = Part {
            lease,
            sequence: report.sequence,
            state: report.state,
            news: News::default(),
        };
        match self.parts.iter_mut().find(|part| part.lease == lease) {
            Some(known) if known.sequence >= report.sequence => return false,
            Some(known) => {
                let news = known.news;
                *known = Part { news, ..part };
            }
            None => {
                let after = self.parts.partition_point(|part| part.lease < lease);
                self.parts.insert(after, part);
            }
        }
        true
    }

    /// Ends the sessions of nodes whose lease has: `last_renewed` says when such a lease was renewed last, and until
    /// then whoever was online there is taken to have been active.
    pub fn end_leases(&mut self, last_renewed: impl Fn(FencingToken) -> Option<Timestamp>) {
        let mut seen = None;
        self.parts.retain(|part| match last_renewed(part.lease) {
            None => true,
            Some(renewed) => {
                let was_online = part.state.status == Status::Online;
                seen = seen.max(was_online.then_some(renewed));
                false
            }
        });
        self.note(seen);
    }

    /// Sets `setting` at `now`, which is an act of the user if they are there.
    pub fn set(&mut self, setting: Setting, now: Timestamp) {
        self.end_setting(now);
        self.act(now);
        let was_visible = self.is_visible();
        match setting.until {
            None => (self.mode, self.timed) = (setting.mode, None),
            Some(until) => self.timed = Some((setting.mode, until)),
        }
        self.turn(was_visible, now);
        self.end_setting(now);
    }

    /// Brings what the user amounts to up to `now`, and answers it; where it changed, under the next of `versions`,
    /// each greater than any before.
    pub fn settle(&mut self, now: Timestamp, mut versions: impl FnMut() -> Version) -> Change {
        self.end_setting(now);
        let before = (self.published.version, self.own.version);
        let shown = self.shown();
        let is_set_back = mem::take(&mut self.is_set_back);
        if self.published.state.should_notify(&shown) || is_set_back && self.is_visible() {
            self.published = Published::new(self.user, versions(), shown);
        }
        let (setting, state) = (self.setting(), self.own_state());
        let is_other = self.own.setting != setting || self.own.state.should_notify(&state);
        if is_other || is_set_back {
            self.own = OwnPresence::new(self.user, versions(), setting, state);
        }
        Change::since(before, self.published, self.own)
    }

    /// Notes that a store has lost what this record was last, so that later versions may have been told: the next
    /// [`settle`](Self::settle) gives others, and it, although nothing has changed. It leaves what others see
    /// of who is invisible.
    pub const fn doubt(&mut self) {
        self.is_set_back = true;
    }

    /// What others see, as of the last [`settle`](Self::settle).
    #[must_use]
    pub const fn published(&self) -> Published {
        self.published
    }

    /// What the user sees, as of the last [`settle`](Self::settle).
    #[must_use]
    pub const fn own(&self) -> OwnPresence {
        self.own
    }

    /// What holds, and until when.
    #[must_use]
    pub fn setting(&self) -> Setting {
        match self.timed {
            Some((mode, until)) => Setting::new(mode).until(until),
            None => Setting::new(self.mode),
        }
    }

    /// The leases under which something was said of the user, in order, and as what the user counts at each.
    pub fn leases(&self) -> impl Iterator<Item = (FencingToken, Status)> {
        let parts = self.parts.iter();
        parts.map(|part| (part.lease, part.state.status))
    }

    fn is_visible(&self) -> bool {
        self.setting().mode != Mode::Invisible
    }

    /// What the devices say.
    fn devices(&self) -> PresenceState {
        let states = self.parts.iter().map(|part| part.state);
        states.fold(PresenceState::UNKNOWN, PresenceState::merge)
    }

    fn shown(&self) -> PresenceState {
        let (mode, devices) = (self.setting().mode, self.devices());
        let status = mode.shows(devices.status);
        PresenceState::new(status, self.shown_active, devices.is_active)
    }

    fn own_state(&self) -> PresenceState {
        let (mode, devices) = (self.setting().mode, self.devices());
        let status = match mode {
            Mode::Invisible => devices.status,
            mode => mode.shows(devices.status),
        };
        PresenceState::new(status, self.last_active, devices.is_active)
    }

    /// Takes in that the user was active.
    fn note(&mut self, at: Option<Timestamp>) {
        self.last_active = self.last_active.max(at);
        if self.is_visible() && at >= Some(self.visible_from) {
            self.shown_active = self.shown_active.max(at);
        }
    }

    fn act(&mut self, now: Timestamp) {
        if self.devices().status != Status::Offline {
            self.note(Some(now));
        }
    }

    fn end_setting(&mut self, now: Timestamp) {
        if let Some((_, until)) = self.timed
            && until <= now
        {
            let was_visible = self.is_visible();
            self.timed = None;
            self.turn(was_visible, until);
        }
    }

    /// Whoever comes into sight does so as if they came there: as of then.
    fn turn(&mut self, was_visible: bool, now: Timestamp) {
        if !was_visible && self.is_visible() {
            self.visible_from = now;
            self.act(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_set_back_is_told_again_but_of_nobody_who_is_invisible() {
        let (ann, now) = (UserId::new(1), Timestamp::from_millis(5));
        let (mut record, mut last) = (UserRecord::new(ann), 0);
        let mut next = || {
            last += 1;
            Version::new(last)
        };
        let here = PresenceState::new(Status::Online, Some(now), true);
        let report = Report::new(ann, 1, here);
        record.report(FencingToken::new(1), &report, now, &mut next);
        record.doubt();
        let again = record.settle(now, &mut next);
        assert!(again.is_news && again.is_own_news);
        assert_eq!(again.published.state, here);
        let once = record.settle(now, &mut next);
        assert!(!once.is_news && !once.is_own_news);
        record.set(Setting::new(Mode::Invisible), now);
        record.settle(now, &mut next);
        record.doubt();
        let unseen = record.settle(now, &mut next);
        assert!(!unseen.is_news && unseen.is_own_news);
    }
}
