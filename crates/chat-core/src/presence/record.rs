use backplane::{FencingToken, Timestamp};
use smallvec::SmallVec;

use super::{
    Change, Mode, OwnPresence, PresenceState, Published, Report, Setting, Status, Version,
};
use crate::UserId;

/// What a store keeps of one user, and how it changes. For implementations of [`Presence`](super::Presence).
///
/// Reports of several nodes may arrive in any order and any number of times: the record is the same. What others
/// see changes with [`settle`](Self::settle) alone.
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
        if self.published.state.should_notify(&shown) {
            self.published = Published::new(self.user, versions(), shown);
        }
        let (setting, state) = (self.setting(), self.own_state());
        if self.own.setting != setting || self.own.state.should_notify(&state) {
            self.own = OwnPresence::new(self.user, versions(), setting, state);
        }
        Change::since(before, self.published, self.own)
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
