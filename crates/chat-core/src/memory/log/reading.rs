//! One read of a conversation: which events, and what they cover.

use std::{borrow::Cow, ops::RangeInclusive};

use backplane::Position;
use bytes::Bytes;

use super::conversation::Conversation;
use crate::{Answer, Event, LogRead, Page, Seek, What, Windows};

/// One read under way.
pub(super) struct Reading<'a> {
    conversation: &'a Conversation,
    read: &'a LogRead,
    windows: Cow<'a, Windows>,
    /// The newest event that the viewer may see.
    top: u64,
}

impl<'a> Reading<'a> {
    /// A read by somebody who may read `windows`.
    pub(super) fn new(
        conversation: &'a Conversation,
        read: &'a LogRead,
        windows: Cow<'a, Windows>,
    ) -> Self {
        Self {
            conversation,
            read,
            top: windows.end(conversation.top()),
            windows,
        }
    }

    pub(super) fn answer(&self) -> Answer {
        let sought = self.read.seek.position();
        if sought.is_some_and(|position| self.is_stale(position)) {
            let top = Position::new(self.conversation.epoch(), self.top);
            return Answer::Stale { top };
        }
        Answer::Page(match self.read.seek {
            Seek::Latest => self.before(self.top.saturating_add(1)),
            Seek::Before(position) => self.before(position.offset),
            Seek::After(position) => self.after(position.offset.saturating_add(1)),
            Seek::Around(position) => self.around(position.offset),
        })
    }

    fn is_stale(&self, position: Position) -> bool {
        let Self { conversation, .. } = self;
        let is_past = position.offset > 0 && position.epoch != conversation.epoch();
        is_past || self.read.seek.is_beyond(conversation.top())
    }

    /// The events from `from` on.
    fn after(&self, from: u64) -> Page {
        let from = from.max(self.conversation.first());
        let LogRead { limit, bytes, .. } = *self.read;
        let (events, until) = self.forth(from, limit, bytes);
        self.page((from, until), events)
    }

    /// The events before `end`.
    fn before(&self, end: u64) -> Page {
        let until = end.saturating_sub(1).min(self.top);
        let (events, from) = self.back(until, self.read.limit, self.read.bytes);
        self.page((from, until), events)
    }

    fn around(&self, seq: u64) -> Page {
        let seq = seq.max(self.conversation.first());
        let LogRead { limit, bytes, .. } = *self.read;
        let (mut events, from) = self.back(self.top.min(seq - 1), limit / 2, bytes / 2);
        let (more, until) = self.forth(seq, limit - events.len(), bytes - bytes / 2);
        events.extend(more);
        self.page((from, until), events)
    }

    /// The events from `from` on, and up to where these are all.
    fn forth(&self, from: u64, limit: usize, bytes: usize) -> (Vec<Event>, u64) {
        let (events, next) = self.collect(self.seqs(from..=self.top), limit, bytes);
        let all = self.top.max(from - 1);
        (events, next.map_or(all, |next| next - 1))
    }

    /// The events up to `until`, and from where on these are all.
    fn back(&self, until: u64, limit: usize, bytes: usize) -> (Vec<Event>, u64) {
        let seqs = self.seqs(self.conversation.first()..=until).rev();
        let (mut events, next) = self.collect(seqs, limit, bytes);
        events.reverse();
        let all = self.conversation.first().min(until + 1);
        (events, next.map_or(all, |next| next + 1))
    }

    /// The places of `stretch` that the viewer may see.
    fn seqs(&self, stretch: RangeInclusive<u64>) -> impl DoubleEndedIterator<Item = u64> + '_ {
        self.windows.within(stretch).flatten()
    }

    /// The events at `seqs`, and the place of the next if there are more.
    fn collect(
        &self,
        mut seqs: impl Iterator<Item = u64>,
        limit: usize,
        bytes: usize,
    ) -> (Vec<Event>, Option<u64>) {
        let (mut events, mut taken) = (Vec::new(), 0);
        while events.len() < limit && taken < bytes {
            let Some(seq) = seqs.next() else { break };
            let event = self.conversation.show(seq, self.read.viewer, &self.windows);
            taken += event.as_ref().map_or(0, body_len);
            events.extend(event);
        }
        (events, seqs.next())
    }

    fn page(&self, covered: (u64, u64), events: Vec<Event>) -> Page {
        let (epoch, first) = (self.conversation.epoch(), self.conversation.first());
        Page::new(epoch, first, self.top, covered, events)
    }
}

fn body_len(event: &Event) -> usize {
    match &event.what {
        What::Message(message) => message.body.len(),
        What::Edit { body, .. } => body.as_ref().map_or(0, Bytes::len),
        What::Found { about, .. } | What::Describe(about) => about.len(),
        _ => 0,
    }
}
