//! One conversation, read without a hole.

use std::{collections::BTreeMap, mem};

use backplane::{Epoch, Position};

use crate::{Answer, Event, Page, Refusal};

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
pub struct Follow {
    at: Position,
    /// The furthest place that is known to have happened, in the epoch of `at`.
    known: u64,
    /// How much of that was known when the reader asked last.
    asked: u64,
    /// Events further on than the next.
    held: BTreeMap<u64, Event>,
    /// Whether something of another epoch was seen.
    is_doubtful: bool,
}

/// What a reader learns.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "what can become of a run of events"
)]
pub enum Step {
    /// The next event.
    Next(Event),
    /// What lies `from` there `until` there does not come by itself: it was trimmed, or is too much. The
    /// next event is behind it. What is retained of it can be read page by page, backwards.
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
}

impl Follow {
    /// The most events that are held back; of more, those furthest on are left to be asked for.
    pub const MAX_HELD: usize = 256;

    /// A reader who has read up to `at`.
    #[must_use]
    pub const fn new(at: Position) -> Self {
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

    /// Notes that the reader asks for what is missing. The answer is weighed by what was known then.
    pub fn ask(&mut self) {
        self.asked = self.known;
    }

    /// Takes an event that was pushed.
    pub fn push(&mut self, epoch: Epoch, event: Event, steps: &mut Vec<Step>) {
        if !self.reach(Position::new(epoch, event.seq)) {
            return;
        }
        if event.seq > self.at.offset {
            self.held.insert(event.seq, event);
            self.pass_on(steps);
        }
        while self.held.len() > Self::MAX_HELD {
            self.held.pop_last();
        }
    }

    /// Notes that something has happened up to `top`. Returns whether that is in the reader's epoch.
    pub fn reach(&mut self, top: Position) -> bool {
        if self.at.offset == 0 && self.at.epoch != top.epoch {
            // Who has read nothing is at the start of any epoch.
            *self = Self::new(Position::new(top.epoch, 0));
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
    pub fn answer(&mut self, since: Position, answer: Answer, steps: &mut Vec<Step>) {
        match answer {
            Answer::Page(page) => self.page(since, page, steps),
            Answer::Stale { top } if since == self.at => {
                *self = Self::new(Position::new(top.epoch, 0));
                self.known = top.offset;
                steps.push(Step::Reset);
            }
            Answer::Stale { .. } => self.is_doubtful = true, // the reader has moved on since
            Answer::Refused(refusal) => {
                *self = Self::new(self.at);
                steps.push(Step::Refused(refusal));
            }
        }
    }

    fn page(&mut self, since: Position, page: Page, steps: &mut Vec<Step>) {
        let end = Position::new(page.epoch, page.top);
        if !self.reach(end) {
            return;
        }
        self.is_doubtful = false;
        if page.from > self.at.offset + 1 {
            if since.offset != self.at.offset {
                return; // the question was another
            }
            self.jump(&page, steps);
        }
        let asked = mem::take(&mut self.asked);
        let (top, until, has_after) = (page.top, page.until, page.has_after());
        for event in page.events {
            if event.seq > self.at.offset {
                self.at.offset = event.seq;
                steps.push(Step::Next(event));
            }
        }
        self.at.offset = self.at.offset.max(until);
        if !has_after {
            self.forget_until(asked, top);
        }
        self.pass_on(steps);
    }

    /// What the log does not have, though it was known before the log was asked, is lost.
    fn forget_until(&mut self, asked: u64, top: u64) {
        if asked <= top {
            return;
        }
        self.held.retain(|seq, _| *seq <= top || *seq > asked);
        let furthest = self.held.last_key_value().map_or(0, |(seq, _)| *seq);
        self.known = if self.known > asked {
            self.known
        } else {
            top.max(furthest)
        };
    }

    fn jump(&mut self, page: &Page, steps: &mut Vec<Step>) {
        let from = self.at.offset + 1;
        steps.push(Step::Jump {
            from,
            until: page.from - 1,
            is_retained: page.first <= from,
        });
        self.at.offset = page.from - 1;
    }

    /// Passes on what is next among what is held back.
    fn pass_on(&mut self, steps: &mut Vec<Step>) {
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
