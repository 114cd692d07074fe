//! One read of a conversation: which events, and what they cover.

use std::ops::RangeInclusive;

use backplane::Position;
use bytes::Bytes;
use chat_core::{Answer, Event, LogRead, Page, Seek, What, Windows};

use super::{rows::TalkRow, shelf::Shelf};
use crate::Failure;

/// One read under way.
pub(super) struct Reading<'a> {
    shelf: &'a Shelf<'a>,
    row: &'a TalkRow,
    read: &'a LogRead,
    windows: Windows,
    /// The newest event that the viewer may see.
    top: u64,
}

impl<'a> Reading<'a> {
    /// A read by somebody who may read `windows`.
    pub(super) fn new(
        shelf: &'a Shelf<'a>,
        row: &'a TalkRow,
        read: &'a LogRead,
        windows: Windows,
    ) -> Self {
        Self {
            shelf,
            row,
            read,
            top: windows.end(row.top),
            windows,
        }
    }

    pub(super) fn answer(&self) -> Result<Answer, Failure> {
        let sought = self.read.seek.position();
        if sought.is_some_and(|position| self.is_stale(position)) {
            let top = Position::new(self.shelf.epoch, self.top);
            return Ok(Answer::Stale { top });
        }
        let page = match self.read.seek {
            Seek::Latest => self.before(self.top.saturating_add(1)),
            Seek::Before(position) => self.before(position.offset),
            Seek::After(position) => self.after(position.offset.saturating_add(1)),
            Seek::Around(position) => self.around(position.offset),
        };
        page.map(Answer::Page)
    }

    fn is_stale(&self, position: Position) -> bool {
        let is_past = position.offset > 0 && position.epoch != self.shelf.epoch;
        is_past || self.read.seek.is_beyond(self.row.top)
    }

    /// The events from `from` on.
    fn after(&self, from: u64) -> Result<Page, Failure> {
        let from = from.max(self.row.first);
        let LogRead { limit, bytes, .. } = *self.read;
        let (events, until) = self.forth(from, limit, bytes)?;
        Ok(self.page((from, until), events))
    }

    /// The events before `end`.
    fn before(&self, end: u64) -> Result<Page, Failure> {
        let until = end.saturating_sub(1).min(self.top);
        let (events, from) = self.back(until, self.read.limit, self.read.bytes)?;
        Ok(self.page((from, until), events))
    }

    fn around(&self, seq: u64) -> Result<Page, Failure> {
        let seq = seq.max(self.row.first);
        let LogRead { limit, bytes, .. } = *self.read;
        let (mut events, from) = self.back(self.top.min(seq - 1), limit / 2, bytes / 2)?;
        let (more, until) = self.forth(seq, limit - events.len(), bytes - bytes / 2)?;
        events.extend(more);
        Ok(self.page((from, until), events))
    }

    /// The events from `from` on, and up to where these are all.
    fn forth(&self, from: u64, limit: usize, bytes: usize) -> Result<(Vec<Event>, u64), Failure> {
        let (events, next) = self.take(self.seqs(from..=self.top), limit, bytes)?;
        let all = self.top.max(from - 1);
        Ok((events, next.map_or(all, |next| next - 1)))
    }

    /// The events up to `until`, and from where on these are all.
    fn back(&self, until: u64, limit: usize, bytes: usize) -> Result<(Vec<Event>, u64), Failure> {
        let seqs = self.seqs(self.row.first..=until).rev();
        let (mut events, next) = self.take(seqs, limit, bytes)?;
        events.reverse();
        let all = self.row.first.min(until + 1);
        Ok((events, next.map_or(all, |next| next + 1)))
    }

    /// The places of `stretch` that the viewer may see.
    fn seqs(&self, stretch: RangeInclusive<u64>) -> impl DoubleEndedIterator<Item = u64> + '_ {
        self.windows.within(stretch).flatten()
    }

    /// The events at `seqs`, and the place of the next if there are more.
    fn take(
        &self,
        mut seqs: impl Iterator<Item = u64>,
        limit: usize,
        bytes: usize,
    ) -> Result<(Vec<Event>, Option<u64>), Failure> {
        let LogRead {
            conversation,
            viewer,
            ..
        } = *self.read;
        let (mut events, mut taken) = (Vec::new(), 0);
        while events.len() < limit && taken < bytes {
            let Some(seq) = seqs.next() else { break };
            let event = self.shelf.show(conversation, seq, viewer, &self.windows)?;
            taken += event.as_ref().map_or(0, body_len);
            events.extend(event);
        }
        Ok((events, seqs.next()))
    }

    fn page(&self, covered: (u64, u64), events: Vec<Event>) -> Page {
        let (epoch, first) = (self.shelf.epoch, self.row.first);
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
