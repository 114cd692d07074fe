use super::{
    message::{HistoryPage, HistoryRead, Message},
    recovery::{Recovered, Recovery, RecoveryOptions, Step},
};
use crate::{Position, Topic};

/// Keeps one reader of one topic on an unbroken run of messages, for as long as it reads.
///
/// Where [`Recovery`] joins once, a follower goes on: a message that does not follow the last one
/// makes it recover, and what arrives meanwhile is held back.
#[derive(Debug)]
pub(super) struct Follower {
    at: Position,
    recovery: Option<Box<Recovery>>,
    /// Whether something may have been lost after the recovery in progress began.
    doubtful: bool,
    /// Whether the page to recover from does not decode, so that only the top is asked for.
    unreadable: bool,
}

/// What follows from a message that arrived.
#[derive(Debug)]
pub(super) enum Followed {
    /// It is the next one.
    Next(Message),
    /// It was seen before, or is held back.
    Nothing,
    /// A recovery has begun: the history is to be read.
    Read,
}

impl Follower {
    /// Follows the messages after `start`.
    pub(super) const fn new(start: Position) -> Self {
        Self {
            at: start,
            recovery: None,
            doubtful: false,
            unreadable: false,
        }
    }

    /// The last position that was passed on.
    pub(super) const fn at(&self) -> Position {
        self.at
    }

    /// Whether it recovers, for which the history is to be read.
    pub(super) fn is_recovering(&self) -> bool {
        self.recovery.is_some()
    }

    /// What to read of `topic` next: a page to recover from, or its top to check the position.
    pub(super) fn read(&self, topic: Topic) -> HistoryRead {
        match &self.recovery {
            Some(recovery) if !self.unreadable => {
                let (since, limit) = (Some(recovery.at()), recovery.limit());
                HistoryRead::new(topic, since, limit).with_bytes(recovery.byte_limit())
            }
            _ => HistoryRead::top(topic),
        }
    }

    pub(super) fn message(&mut self, message: Message, bounds: &RecoveryOptions) -> Followed {
        let position = message.position;
        if let Some(recovery) = &mut self.recovery {
            recovery.live(message);
            return Followed::Nothing;
        }
        if position.epoch == self.at.epoch {
            if position.offset <= self.at.offset {
                return Followed::Nothing;
            }
            if position.offset - self.at.offset == 1 {
                self.at = position;
                return Followed::Next(message);
            }
        }
        self.recover(bounds).live(message);
        Followed::Read
    }

    /// Notes that messages up to `until` are missing. Returns whether a recovery has begun.
    pub(super) fn missing(&mut self, until: Position, bounds: &RecoveryOptions) -> bool {
        if until.epoch == self.at.epoch && until.offset <= self.at.offset {
            return false; // they came from the history
        }
        if let Some(recovery) = &mut self.recovery {
            recovery.missing(until);
            return false;
        }
        self.recover(bounds).missing(until);
        true
    }

    /// Notes that messages may be missing, nobody knows up to where. Returns whether a recovery has
    /// begun.
    pub(super) fn doubt(&mut self, bounds: &RecoveryOptions) -> bool {
        self.doubtful = self.recovery.is_some();
        if !self.doubtful {
            self.recover(bounds);
        }
        !self.doubtful
    }

    /// Takes the `top` that the stream had reached after this one stood at `from`, and returns whether
    /// a recovery has begun.
    pub(super) fn check(
        &mut self,
        from: Position,
        top: Position,
        bounds: &RecoveryOptions,
    ) -> bool {
        if self.recovery.is_some() {
            return false;
        }
        if top.epoch == from.epoch && top.offset < from.offset {
            // The stream lost its end, and its epoch does not show it.
            self.recover(bounds);
            return true;
        }
        self.missing(top, bounds)
    }

    /// Takes a page of history. What it returns is to be passed on; then, if it is still
    /// [recovering](Self::is_recovering), the history is to be read again.
    pub(super) fn page(
        &mut self,
        page: HistoryPage,
        bounds: &RecoveryOptions,
    ) -> Option<Recovered> {
        let recovery = self.recovery.as_mut()?;
        let recovered = if self.unreadable {
            recovery.skip_to(page.top)
        } else if let Step::Done(recovered) = recovery.page(page) {
            recovered
        } else {
            return None;
        };
        self.unreadable = false;
        self.at = recovered.position;
        self.recovery = None;
        if std::mem::take(&mut self.doubtful) {
            self.recover(bounds);
        }
        Some(recovered)
    }

    /// Notes that what was to be read does not decode. What it returns is to be passed on; then, if it
    /// is still [recovering](Self::is_recovering), the history is to be read again.
    pub(super) fn unreadable(&mut self) -> Option<Recovered> {
        if std::mem::replace(&mut self.unreadable, self.recovery.is_some()) {
            return self.abandon();
        }
        None
    }

    /// Ends a recovery without the history. What it returns is to be passed on.
    pub(super) fn abandon(&mut self) -> Option<Recovered> {
        let recovered = self.recovery.take()?.abandon();
        self.at = recovered.position;
        self.doubtful = false;
        self.unreadable = false;
        Some(recovered)
    }

    fn recover(&mut self, bounds: &RecoveryOptions) -> &mut Recovery {
        let recovery = Recovery::new(self.at, bounds.clone());
        self.recovery.insert(Box::new(recovery))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Epoch, bus::GapReason};

    fn at(offset: u64) -> Position {
        Position::new(Epoch::new(1), offset)
    }

    fn message(offset: u64) -> Message {
        Message::new(at(offset), "x".into())
    }

    #[test]
    fn a_doubt_raised_during_a_recovery_starts_another() {
        let bounds = RecoveryOptions::default();
        let mut follower = Follower::new(at(1));
        assert!(follower.doubt(&bounds));
        assert!(!follower.doubt(&bounds), "one is under way");
        let stale = HistoryPage::new(vec![], at(1));
        assert!(follower.page(stale, &bounds).is_some());
        let topic: Topic = "a".parse().unwrap();
        assert_eq!(follower.read(topic).since, Some(at(1)));
        let fresh = HistoryPage::new(vec![message(2)], at(2));
        assert_eq!(
            follower.page(fresh, &bounds).unwrap().messages,
            [message(2)]
        );
        assert!(!follower.is_recovering());
    }

    #[test]
    fn a_page_that_does_not_decode_is_skipped_up_to_the_top_and_the_next_is_read() {
        let bounds = RecoveryOptions::default();
        let topic: Topic = "a".parse().unwrap();
        let mut follower = Follower::new(at(1));
        assert!(follower.doubt(&bounds));
        assert!(follower.unreadable().is_none());
        let top = HistoryRead::top(topic.clone());
        assert_eq!(follower.read(topic.clone()), top);
        let skipped = follower.page(HistoryPage::new(vec![], at(4)), &bounds);
        let gap = skipped.unwrap().gap.unwrap();
        assert_eq!((gap.after, gap.until), (Some(at(1)), at(4)));

        assert!(follower.doubt(&bounds));
        assert_eq!(follower.read(topic).since, Some(at(4)), "a page again");
        assert!(follower.unreadable().is_none());
        assert_eq!(follower.unreadable().unwrap().position, at(4));
        assert!(!follower.is_recovering());
    }

    #[test]
    fn a_check_that_a_message_overtook_starts_nothing() {
        let bounds = RecoveryOptions::default();
        let mut follower = Follower::new(at(1));
        assert!(matches!(
            follower.message(message(2), &bounds),
            Followed::Next(_)
        ));
        assert!(!follower.check(at(1), at(1), &bounds));
        assert!(!follower.check(at(1), at(2), &bounds));
        assert!(follower.check(at(1), at(3), &bounds));
    }

    #[test]
    fn a_stream_that_lost_its_end_is_a_gap_back_to_its_top() {
        let bounds = RecoveryOptions::default();
        let mut follower = Follower::new(at(7));
        assert!(follower.check(at(7), at(5), &bounds));
        let page = HistoryPage::new(vec![], at(5));
        let gap = follower.page(page, &bounds).unwrap().gap.unwrap();
        assert_eq!((gap.after, gap.until), (Some(at(7)), at(5)));
        assert_eq!(gap.reason, GapReason::Ahead);
        assert!(matches!(
            follower.message(message(6), &bounds),
            Followed::Next(_)
        ));
    }
}
