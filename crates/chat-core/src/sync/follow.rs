//! One conversation, read without a hole.

use std::collections::BTreeMap;

use backplane::{Epoch, Position};

use crate::{Answer, Event, Page, Refusal};

/// An event in whatever form it is carried.
pub trait Carried {
    /// Its place in the conversation.
    fn seq(&self) -> u64;

    /// An event that was read in this epoch of the log.
    fn read(epoch: Epoch, event: Event) -> Self;
}

impl Carried for Event {
    fn seq(&self) -> u64 {
        self.seq
    }

    fn read(_: Epoch, event: Event) -> Self {
        event
    }
}

/// Keeps the reader of one conversation on an unbroken run of events, whatever arrives: twice, late, in
/// another order, or not at all.
///
/// Events come pushed, one by one, and in pages, as answers to what the reader [misses](Self::misses).
/// An event is passed on when it is the next; one further on is held back, and shows that others are
/// missing. A session of a server and a client at the other end of a wire are both such readers.
///
/// ```
/// # use chat_core::{Event, MessageId, What, Message};
/// # fn event(seq: u64) -> Event {
/// #     let what = What::Message(Message::new("hello".into()));
/// #     Event::new(seq, MessageId::new(seq), backplane::Timestamp::EPOCH, None, None, what)
/// # }
/// use backplane::{Epoch, Position};
/// use chat_core::sync::{Follow, Step};
///
/// let epoch = Epoch::new(7);
/// let mut follow = Follow::new(Position::new(epoch, 4));
/// let mut steps = Vec::new();
/// follow.push(epoch, event(6), &mut steps);
/// assert_eq!(follow.misses(), Some(Position::new(epoch, 4)));
///
/// follow.push(epoch, event(5), &mut steps); // it was late
/// assert_eq!(steps, [Step::Next(event(5)), Step::Next(event(6))]);
/// assert_eq!(follow.misses(), None);
/// ```
#[derive(Clone, Debug)]
pub struct Follow<E = Event> {
    at: Position,
    /// The furthest place that is known to have happened, in the epoch of `at`.
    known: u64,
    /// How much of that was known when the reader asked last.
    asked: u64,
    /// Events further on than the next.
    held: BTreeMap<u64, E>,
    /// Whether something of another epoch was seen.
    is_doubtful: bool,
}

/// What a reader learns.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "what can become of a run of events"
)]
pub enum Step<E = Event> {
    /// The next event.
    Next(E),
    /// What lies `from` there `until` there does not come by itself: it was trimmed, or is too much. The
    /// next event is behind it. What is retained of it can be read page by page, backwards. Then it may
    /// hold changes to messages before it, so copies of these are out of date: they are to be dropped,
    /// and read again where they are shown.
    Jump {
        /// The first place that is left out.
        from: u64,
        /// The last.
        until: u64,
        /// Whether all of it is retained.
        is_retained: bool,
    },
    /// The log has lost what the reader has read: forget the conversation, which begins anew.
    Reset,
    /// The reader may read nothing of it any more.
    Refused(Refusal),
    /// The user has read up to here, on this device or another.
    Read(Position),
}

impl Follow {
    /// The most events that are held back; of more, those furthest on are left to be asked for.
    pub const MAX_HELD: usize = 256;

    /// A reader who has read up to `at`.
    #[must_use]
    pub const fn new(at: Position) -> Self {
        Self::after(at)
    }
}

impl<E> Follow<E> {
    /// A reader who has read up to `at`, of events in any form.
    #[must_use]
    pub const fn after(at: Position) -> Self {
        Self {
            at,
            known: at.offset,
            asked: 0,
            held: BTreeMap::new(),
            is_doubtful: false,
        }
    }

    /// Up to where everything has been passed on.
    #[must_use]
    pub const fn at(&self) -> Position {
        self.at
    }

    /// The position to ask from, if something is missing.
    #[must_use]
    pub fn misses(&self) -> Option<Position> {
        (self.is_doubtful || self.known > self.at.offset).then_some(self.at)
    }

    /// Has the reader ask whether something is missing.
    pub const fn doubt(&mut self) {
        self.is_doubtful = true;
    }

    /// Notes that the reader asks for what is missing. The answer is weighed by what was known then.
    pub fn ask(&mut self) {
        self.asked = self.known;
    }

    /// Whether an event that was pushed is the next, and nothing is missing or held back.
    pub(crate) fn is_next(&self, position: Position) -> bool {
        position.epoch == self.at.epoch
            && position.offset == self.at.offset + 1
            && self.known == self.at.offset
            && !self.is_doubtful
    }

    /// Notes that what [is next](Self::is_next), and what follows it up to `position`, was passed on.
    pub(crate) const fn pass(&mut self, position: Position) {
        self.at = position;
        self.known = position.offset;
    }

    /// Takes an event that was pushed.
    pub fn push(&mut self, epoch: Epoch, event: E, steps: &mut Vec<Step<E>>)
    where
        E: Carried,
    {
        let seq = event.seq();
        if !self.reach(Position::new(epoch, seq)) {
            return;
        }
        if seq == self.at.offset + 1 {
            self.at.offset = seq;
            steps.push(Step::Next(event));
            self.pass_on(steps);
        } else if seq > self.at.offset {
            self.held.insert(seq, event);
        }
        while self.held.len() > <Follow>::MAX_HELD {
            self.held.pop_last();
        }
    }

    /// Notes that something has happened up to `top`. Returns whether that is in the reader's epoch.
    pub fn reach(&mut self, top: Position) -> bool {
        if self.known == 0 {
            self.at.epoch = top.epoch; // who knows of nothing is at the start of any epoch
        }
        let is_own = self.at.epoch == top.epoch;
        if is_own {
            self.known = self.known.max(top.offset);
        } else {
            self.is_doubtful = true;
        }
        is_own
    }

    /// Takes an answer to what was asked from `since`.
    pub fn answer(&mut self, since: Position, answer: Answer, steps: &mut Vec<Step<E>>)
    where
        E: Carried,
    {
        match answer {
            Answer::Page(page) => self.page(since, page, steps),
            Answer::Stale { top } => {
                *self = Self::after(Position::new(top.epoch, 0));
                self.known = top.offset;
                steps.push(Step::Reset);
            }
            Answer::Refused(refusal) => {
                *self = Self::after(self.at);
                steps.push(Step::Refused(refusal));
            }
        }
    }

    fn page(&mut self, since: Position, page: Page, steps: &mut Vec<Step<E>>)
    where
        E: Carried,
    {
        if self.at.offset == 0 && self.at.epoch != page.epoch {
            // Of epochs in which nothing was read yet, the log knows which is the present one.
            *self = Self::after(Position::new(page.epoch, 0));
        }
        if !self.reach(Position::new(page.epoch, page.top)) {
            return;
        }
        self.is_doubtful = false;
        if page.from > self.at.offset + 1 {
            if since.offset != self.at.offset {
                return; // the question was another
            }
            self.jump(&page, steps);
        }
        let (top, until) = (page.top, page.until);
        for event in page.events {
            if event.seq > self.at.offset {
                self.at.offset = event.seq;
                steps.push(Step::Next(E::read(page.epoch, event)));
            }
        }
        self.at.offset = self.at.offset.max(until);
        self.forget_after(top);
        self.pass_on(steps);
    }

    /// What the log does not have after `top`, though it was known before the log was asked, is lost.
    fn forget_after(&mut self, top: u64) {
        let asked = self.asked;
        self.held.retain(|seq, _| *seq <= top || *seq > asked);
        if self.known <= asked {
            self.known = top;
        }
    }

    fn jump(&mut self, page: &Page, steps: &mut Vec<Step<E>>) {
        let from = self.at.offset + 1;
        steps.push(Step::Jump {
            from,
            until: page.from - 1,
            is_retained: page.first <= from,
        });
        self.at.offset = page.from - 1;
    }

    /// Passes on what is next among what is held back.
    fn pass_on(&mut self, steps: &mut Vec<Step<E>>) {
        while let Some(first) = self.held.first_entry() {
            let seq = *first.key();
            if seq > self.at.offset + 1 {
                break;
            }
            let event = first.remove();
            if seq == self.at.offset + 1 {
                self.at.offset = seq;
                steps.push(Step::Next(event));
            }
        }
        self.known = self.known.max(self.at.offset);
    }
}

#[cfg(test)]
mod tests {
    use backplane::Timestamp;

    use super::*;
    use crate::{Message, MessageId, What};

    const EPOCH: Epoch = Epoch::new(7);

    fn at(offset: u64) -> Position {
        Position::new(EPOCH, offset)
    }

    fn event(seq: u64) -> Event {
        let what = What::Message(Message::default());
        Event::new(seq, MessageId::new(seq), Timestamp::EPOCH, None, None, what)
    }

    fn page(top: u64, covered: (u64, u64), seqs: &[u64]) -> Answer {
        let events = seqs.iter().copied().map(event).collect();
        Answer::Page(Page::new(EPOCH, 1, top, covered, events))
    }

    fn next(seqs: &[u64]) -> Vec<Step> {
        seqs.iter().copied().map(event).map(Step::Next).collect()
    }

    fn push(follow: &mut Follow, seq: u64) -> Vec<Step> {
        let mut steps = Vec::new();
        follow.push(EPOCH, event(seq), &mut steps);
        steps
    }

    fn answer(follow: &mut Follow, since: u64, answer: Answer) -> Vec<Step> {
        let mut steps = Vec::new();
        follow.answer(at(since), answer, &mut steps);
        steps
    }

    #[test]
    fn what_a_page_repeats_is_passed_on_once() {
        let mut follow = Follow::new(at(1));
        assert_eq!(push(&mut follow, 4), []);
        follow.ask();
        assert_eq!(push(&mut follow, 2), next(&[2]));
        let steps = answer(&mut follow, 1, page(5, (2, 5), &[2, 3, 4, 5]));
        assert_eq!(steps, next(&[3, 4, 5]));
        assert_eq!((follow.at(), follow.misses()), (at(5), None));
    }

    #[test]
    fn what_is_held_back_is_bounded_and_asked_for() {
        let mut follow = Follow::new(at(0));
        let last = 2 + Follow::MAX_HELD as u64;
        for seq in (2..=last + 1).rev() {
            push(&mut follow, seq);
        }
        assert_eq!(push(&mut follow, 1).len(), 1 + Follow::MAX_HELD);
        assert_eq!(follow.misses(), Some(at(last - 1)));
    }

    #[test]
    fn a_page_for_who_has_read_more_leaves_nothing_out() {
        let mut follow = Follow::new(at(1));
        let steps = answer(&mut follow, 3, page(5, (4, 5), &[4, 5]));
        assert_eq!((steps, follow.misses()), (vec![], Some(at(1))));
        let steps = answer(&mut follow, 1, page(5, (4, 5), &[4, 5]));
        let jump = Step::Jump {
            from: 2,
            until: 3,
            is_retained: true,
        };
        assert_eq!(steps[0], jump);
        assert_eq!(steps[1..], next(&[4, 5]));
    }

    #[test]
    fn what_is_not_for_the_reader_is_passed_over() {
        let mut follow = Follow::new(at(1));
        follow.reach(at(9));
        follow.ask();
        assert_eq!(answer(&mut follow, 1, page(6, (2, 6), &[2])), next(&[2]));
        assert_eq!((follow.at(), follow.misses()), (at(6), None));
    }

    #[test]
    fn what_the_log_has_lost_is_not_asked_for_again() {
        let mut follow = Follow::new(at(1));
        push(&mut follow, 5);
        follow.ask();
        push(&mut follow, 7); // after the question
        assert_eq!(answer(&mut follow, 1, page(2, (2, 2), &[2])), next(&[2]));
        assert_eq!(follow.misses(), Some(at(2)), "the log may have 7 by now");
        assert_eq!(push(&mut follow, 3), next(&[3]));
        assert_eq!(push(&mut follow, 4), next(&[4]), "5 is not what it was");
        follow.ask();
        assert_eq!(answer(&mut follow, 4, page(4, (5, 4), &[])), []);
        assert_eq!(follow.misses(), None);
    }

    #[test]
    fn another_epoch_begins_anew_when_the_log_says_so() {
        let mut follow = Follow::new(at(3));
        let other = Epoch::new(8);
        let mut steps = Vec::new();
        follow.push(other, event(4), &mut steps);
        assert_eq!((steps.len(), follow.misses()), (0, Some(at(3))));
        let top = Position::new(other, 4);
        assert_eq!(answer(&mut follow, 3, Answer::Stale { top }), [Step::Reset]);
        assert_eq!(follow.misses(), Some(Position::new(other, 0)));
    }

    #[test]
    fn a_push_of_an_epoch_that_is_past_does_not_hide_the_present_one() {
        let mut follow = Follow::new(crate::START);
        follow.reach(at(1)); // as an inbox says
        let mut steps = Vec::new();
        follow.push(Epoch::new(6), event(1), &mut steps);
        assert_eq!((steps.len(), follow.misses()), (0, Some(at(0))));
        assert_eq!(answer(&mut follow, 0, page(1, (1, 1), &[1])), next(&[1]));
        assert_eq!(follow.misses(), None);
    }

    #[test]
    fn who_may_read_no_more_asks_no_more() {
        let mut follow = Follow::new(at(3));
        follow.reach(at(9));
        let refused = Answer::Refused(Refusal::NotMember);
        let steps = answer(&mut follow, 3, refused);
        assert_eq!(steps, [Step::Refused(Refusal::NotMember)]);
        assert_eq!(follow.misses(), None);
    }
}
