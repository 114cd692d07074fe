//! Joining a live stream without a hole: history and live messages merged by position.

use std::mem;

use super::{
    live_buffer::{Held, LiveBuffer},
    message::{Gap, GapReason, HistoryPage, Message},
};
use crate::Position;

/// Catches one reader of one topic up from a known position, without a lock held and without time.
///
/// The order of calls is what makes it exact:
///
/// 1. start to feed live messages ([`live`](Self::live)), that is, subscribe;
/// 2. only then read a page of history after [`at`](Self::at), of at most [`limit`](Self::limit)
///    messages and [`byte_limit`](Self::byte_limit) bytes, and hand it to [`page`](Self::page), while
///    live messages keep being fed;
/// 3. on [`Step::Read`] read the next page; on [`Step::Done`] deliver the [`Recovered`] run, then live
///    messages.
///
/// Whoever publishes never waits for a recovery: feeding a live message is one insertion into a
/// bounded buffer. When the buffer is full it forgets its oldest message, which the history has.
///
/// The run continues the reader's position exactly if the stream is of the same epoch, has reached
/// that position, and history and buffer together hold every offset after it. Otherwise the run is
/// preceded by one [`Gap`], and continues from where the gap ends. These are the rules of Centrifuge's
/// stream recovery, with paging, and with a second look at the history where it can still heal a
/// hole.
///
/// ```
/// use backplane::{Epoch, Position};
/// use backplane::bus::{HistoryPage, Message, Recovery, RecoveryOptions, Step};
///
/// let at = |offset| Position::new(Epoch::new(7), offset);
/// let message = |offset| Message::new(at(offset), "hello".into());
///
/// let mut recovery = Recovery::new(at(3), RecoveryOptions::default());
/// recovery.live(message(6)); // arrives while the history is being read
/// let page = HistoryPage::new(vec![message(4), message(5), message(6)], at(6));
/// let Step::Done(recovered) = recovery.page(page) else { panic!("nothing is missing") };
/// assert_eq!(recovered.gap, None);
/// assert_eq!(recovered.messages, [message(4), message(5), message(6)]);
/// ```
#[derive(Debug)]
pub struct Recovery {
    since: Position,
    options: RecoveryOptions,
    /// The point before the first message of `run`.
    start: Position,
    /// The last position that `run` covers.
    at: Position,
    run: Vec<Message>,
    gap: Option<GapReason>,
    buffer: LiveBuffer,
    reads: usize,
    read_messages: usize,
    read_bytes: usize,
    /// Whether a live message came after the page now awaited was asked for, so that the page may
    /// be older than it.
    raced: bool,
}

/// The bounds of a [`Recovery`].
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct RecoveryOptions {
    /// Most messages taken from the history; more missing is a gap. Default 1,000.
    pub max_messages: usize,
    /// Most payload bytes taken from the history; more missing is a gap. Default 1 MiB.
    pub max_bytes: usize,
    /// Most live messages held back. Default 1,000.
    pub max_buffered: usize,
    /// Most payload bytes of live messages held back. Default 1 MiB.
    pub max_buffered_bytes: usize,
    /// Most pages read; wanting more is a gap. At least 2 for a look at what a changing epoch left.
    /// Default 16.
    pub max_reads: usize,
}

/// What a [`Recovery`] needs next.
#[derive(Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a driver that does not know a step cannot take it"
)]
pub enum Step {
    /// Read the history after [`Recovery::at`] and hand the page to [`Recovery::page`].
    Read,
    /// The reader has caught up; the recovery is spent.
    Done(Recovered),
}

/// The result of a [`Recovery`]: perhaps a gap, then a run of messages without a hole.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
#[must_use = "the gap must reach the reader"]
pub struct Recovered {
    /// What the reader will not get; it is told so before the messages.
    pub gap: Option<Gap>,
    /// In order of offset: every message after the reader's position, or after the gap's end, up to
    /// `position`, but for those that were [`filtered`](Recovery::filtered).
    pub messages: Vec<Message>,
    /// Where the reader stands now. Live messages at or before it are duplicates.
    pub position: Position,
}

impl Recovery {
    /// Starts to catch up a reader whose last message stood at `since`.
    #[must_use]
    pub fn new(since: Position, options: RecoveryOptions) -> Self {
        Self {
            since,
            options,
            start: since,
            at: since,
            run: Vec::new(),
            gap: None,
            buffer: LiveBuffer::default(),
            reads: 0,
            read_messages: 0,
            read_bytes: 0,
            raced: false,
        }
    }

    /// The position after which the next page of history is to be read.
    #[must_use]
    pub const fn at(&self) -> Position {
        self.at
    }

    /// How many messages to ask the next page for: one more than may still be recovered.
    #[must_use]
    pub const fn limit(&self) -> usize {
        self.recoverable().saturating_add(1)
    }

    /// How many payload bytes to ask the next page for: what may still be recovered.
    #[must_use]
    pub const fn byte_limit(&self) -> usize {
        self.options.max_bytes.saturating_sub(self.read_bytes)
    }

    /// Holds back a message that arrived live, in any order and any number of times.
    pub fn live(&mut self, message: Message) {
        self.hold(message.position, Held::Message(message.payload));
    }

    /// Notes that the message at `position` arrived live but is not for this reader, so that its
    /// absence does not look like a loss.
    pub fn filtered(&mut self, position: Position) {
        self.hold(position, Held::Filtered);
    }

    /// Notes that messages up to `until` did not arrive live, so that they are not forgotten where
    /// the history lacks them too.
    pub(super) fn missing(&mut self, until: Position) {
        self.raced = true;
        self.buffer.reach(until);
    }

    /// Takes a page of the history after [`at`](Self::at), read after the live messages began.
    pub fn page(&mut self, page: HistoryPage) -> Step {
        let top = page.top;
        self.reads += 1;
        let foreign = self.buffer.is_foreign_to(top.epoch);
        if self.raced && (foreign || self.buffer.is_mixed()) {
            return self.read_on(GapReason::EpochChanged, top);
        }
        if foreign {
            self.buffer = LiveBuffer::default();
        }
        if top.epoch != self.at.epoch {
            return self.give_up(GapReason::EpochChanged, top);
        }
        if top.offset < self.at.offset {
            return self.give_up(GapReason::Ahead, top);
        }
        let before = self.at;
        self.extend(page.messages);
        if self.is_out_of_bounds() {
            return self.give_up(GapReason::TooFar, top);
        }
        self.join_buffer();
        if self.at.offset < top.offset {
            if self.at == before {
                return self.give_up(GapReason::Trimmed, top);
            }
            return self.read_on(GapReason::TooFar, top);
        }
        if !self.buffer.has_after(self.at) {
            return self.done();
        }
        // A live message lies beyond a hole. A page asked for after it arrived has the last word.
        if self.raced {
            return self.read_on(GapReason::Lost, top);
        }
        self.give_up(GapReason::Lost, top)
    }

    /// Ends without what the history has up to `top`, since it does not decode.
    pub(super) fn skip_to(&mut self, top: Position) -> Recovered {
        if top == self.at {
            return self.abandon();
        }
        let reason = if top.epoch != self.at.epoch {
            GapReason::EpochChanged
        } else if top.offset < self.at.offset {
            GapReason::Ahead
        } else {
            GapReason::Lost
        };
        self.jump(reason, top);
        self.recovered()
    }

    /// Ends without what the history still has: if live messages lie beyond a hole, or are known to be
    /// missing, with a gap that reaches to the last one.
    pub(super) fn abandon(&mut self) -> Recovered {
        if let Some(epoch) = self.buffer.epoch()
            && epoch != self.at.epoch
        {
            self.at = Position::new(epoch, 0);
            self.restart(GapReason::EpochChanged, 0);
        }
        self.skip_holes(GapReason::Lost);
        self.recovered()
    }

    const fn recoverable(&self) -> usize {
        self.options.max_messages.saturating_sub(self.read_messages)
    }

    const fn is_out_of_bounds(&self) -> bool {
        self.read_messages > self.options.max_messages || self.read_bytes > self.options.max_bytes
    }

    fn hold(&mut self, position: Position, held: Held) {
        self.raced = true;
        self.buffer.insert(position, held);
        self.buffer
            .shrink_to(self.options.max_buffered, self.options.max_buffered_bytes);
    }

    fn extend(&mut self, messages: Vec<Message>) {
        for message in messages {
            let position = message.position;
            if position.epoch != self.at.epoch || position.offset <= self.at.offset {
                continue;
            }
            if position.offset - self.at.offset > 1 {
                self.restart(GapReason::Trimmed, position.offset - 1);
            }
            self.read_messages += 1;
            self.read_bytes += message.payload.len();
            self.at = position;
            self.run.push(message);
        }
    }

    /// Moves what follows the run without a hole from the buffer to the run.
    fn join_buffer(&mut self) {
        self.buffer.discard_through(self.at);
        while let Some(held) = self.buffer.take(self.at.next()) {
            self.at = self.at.next();
            if let Held::Message(payload) = held {
                self.run.push(Message::new(self.at, payload));
            }
        }
    }

    fn read_on(&mut self, otherwise: GapReason, top: Position) -> Step {
        if self.reads >= self.options.max_reads {
            return self.give_up(otherwise, top);
        }
        self.raced = false;
        self.buffer.settle();
        Step::Read
    }

    /// Ends with a gap that reaches to `top`, or to the last hole in the live messages after it.
    fn give_up(&mut self, reason: GapReason, top: Position) -> Step {
        self.jump(reason, top);
        self.done()
    }

    fn jump(&mut self, reason: GapReason, top: Position) {
        // A buffer that is still foreign is of an epoch younger than the page.
        self.at = match self.buffer.epoch() {
            Some(epoch) if epoch != top.epoch => Position::new(epoch, 0),
            _ => top,
        };
        self.restart(reason, self.at.offset);
        self.skip_holes(reason);
    }

    /// Moves to the newest live message.
    fn skip_holes(&mut self, reason: GapReason) {
        self.join_buffer();
        if self.buffer.has_after(self.at) {
            self.restart(reason, self.buffer.point_before_last_run());
            self.join_buffer();
        }
    }

    fn restart(&mut self, reason: GapReason, offset: u64) {
        self.gap.get_or_insert(reason);
        self.run.clear();
        self.at = Position::new(self.at.epoch, offset);
        self.start = self.at;
    }

    fn done(&mut self) -> Step {
        Step::Done(self.recovered())
    }

    fn recovered(&mut self) -> Recovered {
        Recovered {
            gap: self
                .gap
                .map(|reason| Gap::new(Some(self.since), self.start, reason)),
            messages: mem::take(&mut self.run),
            position: self.at,
        }
    }
}

impl RecoveryOptions {
    /// Takes at most `messages` messages of `bytes` payload bytes in total from the history.
    #[must_use]
    pub fn with_recovered(mut self, messages: usize, bytes: usize) -> Self {
        self.max_messages = messages;
        self.max_bytes = bytes;
        self
    }

    /// Holds back at most `messages` live messages of `bytes` payload bytes in total.
    #[must_use]
    pub fn with_buffered(mut self, messages: usize, bytes: usize) -> Self {
        self.max_buffered = messages;
        self.max_buffered_bytes = bytes;
        self
    }

    /// Reads at most `reads` pages of history.
    #[must_use]
    pub fn with_max_reads(mut self, reads: usize) -> Self {
        self.max_reads = reads;
        self
    }
}

impl Default for RecoveryOptions {
    fn default() -> Self {
        Self {
            max_messages: 1_000,
            max_bytes: 1 << 20,
            max_buffered: 1_000,
            max_buffered_bytes: 1 << 20,
            max_reads: 16,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Epoch;

    const OLD: Epoch = Epoch::new(1);
    const NEW: Epoch = Epoch::new(2);

    fn message(epoch: Epoch, offset: u64) -> Message {
        Message::new(Position::new(epoch, offset), offset.to_string().into())
    }

    fn page(epoch: Epoch, offsets: impl IntoIterator<Item = u64>, top: u64) -> HistoryPage {
        let messages = offsets.into_iter().map(|offset| message(epoch, offset));
        HistoryPage::new(messages.collect(), Position::new(epoch, top))
    }

    fn recovery(since: u64) -> Recovery {
        Recovery::new(Position::new(OLD, since), RecoveryOptions::default())
    }

    #[track_caller]
    fn done(step: Step) -> (Option<(u64, GapReason)>, Vec<u64>, Position) {
        let Step::Done(recovered) = step else {
            panic!("wants another page");
        };
        let gap = recovered.gap.map(|gap| (gap.until.offset, gap.reason));
        let offsets = recovered.messages.iter().map(|m| m.position.offset);
        (gap, offsets.collect(), recovered.position)
    }

    #[test]
    fn a_reader_at_the_top_has_missed_nothing() {
        let step = recovery(3).page(page(OLD, [], 3));
        assert_eq!(done(step), (None, vec![], Position::new(OLD, 3)));
    }

    #[test]
    fn history_and_live_overlap_without_duplicates_in_any_order() {
        let mut recovery = recovery(3);
        for offset in [7, 5, 6, 5] {
            recovery.live(message(OLD, offset));
        }
        let step = recovery.page(page(OLD, 4..=6, 6));
        assert_eq!(done(step), (None, vec![4, 5, 6, 7], Position::new(OLD, 7)));
    }

    #[test]
    fn pages_are_read_until_they_meet_the_live_messages() {
        let mut recovery = recovery(0);
        assert!(matches!(recovery.page(page(OLD, 1..=2, 6)), Step::Read));
        assert_eq!(recovery.at(), Position::new(OLD, 2));
        recovery.live(message(OLD, 7));
        let step = recovery.page(page(OLD, 3..=6, 6));
        assert_eq!(done(step).1, [1, 2, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn a_stream_lost_and_made_again_is_a_gap_though_it_has_the_offsets() {
        let step = recovery(3).page(page(NEW, [], 4));
        let gap = Some((4, GapReason::EpochChanged));
        assert_eq!(done(step), (gap, vec![], Position::new(NEW, 4)));
    }

    #[test]
    fn a_position_from_the_future_is_not_recovered() {
        let mut recovery = recovery(9);
        let step = recovery.page(page(OLD, [], 4));
        let gap = Some((4, GapReason::Ahead));
        assert_eq!(done(step), (gap, vec![], Position::new(OLD, 4)));
    }

    #[test]
    fn the_largest_position_a_client_can_claim_is_only_a_gap() {
        let mut recovery = recovery(u64::MAX);
        recovery.live(message(OLD, 5));
        let step = recovery.page(page(OLD, [], 4));
        assert_eq!(done(step).1, [5]);
    }

    #[test]
    fn what_survives_a_trim_follows_the_gap() {
        let step = recovery(2).page(page(OLD, 5..=6, 6));
        let gap = Some((4, GapReason::Trimmed));
        assert_eq!(done(step), (gap, vec![5, 6], Position::new(OLD, 6)));
    }

    #[test]
    fn an_expired_history_is_a_gap_up_to_the_top() {
        let mut recovery = recovery(2);
        recovery.live(message(OLD, 7));
        let step = recovery.page(page(OLD, [], 6));
        let gap = Some((6, GapReason::Trimmed));
        assert_eq!(done(step), (gap, vec![7], Position::new(OLD, 7)));
    }

    #[test]
    fn a_gap_counts_what_is_missing_within_one_epoch() {
        let Step::Done(recovered) = recovery(2).page(page(OLD, 5..=6, 6)) else {
            panic!("wants another page");
        };
        assert_eq!(recovered.gap.unwrap().missed(), Some(2));
        let Step::Done(recovered) = recovery(2).page(page(NEW, [], 6)) else {
            panic!("wants another page");
        };
        assert_eq!(recovered.gap.unwrap().missed(), None);
    }

    #[test]
    fn filtered_messages_are_no_gap() {
        let mut recovery = recovery(3);
        recovery.filtered(Position::new(OLD, 4));
        recovery.live(message(OLD, 5));
        recovery.filtered(Position::new(OLD, 6));
        let step = recovery.page(page(OLD, [], 3));
        assert_eq!(done(step), (None, vec![5], Position::new(OLD, 6)));
    }

    #[test]
    fn a_full_buffer_forgets_what_the_history_still_has() {
        let options = RecoveryOptions::default().with_buffered(2, 1_000);
        let mut recovery = Recovery::new(Position::new(OLD, 0), options);
        for offset in 2..=6 {
            recovery.live(message(OLD, offset));
        }
        assert!(matches!(recovery.page(page(OLD, [1], 1)), Step::Read));
        let step = recovery.page(page(OLD, 2..=6, 6));
        assert_eq!(done(step), (None, (1..=6).collect(), Position::new(OLD, 6)));
    }

    #[test]
    fn a_message_too_large_for_the_buffer_is_not_forgotten() {
        let options = RecoveryOptions::default().with_buffered(10, 0);
        let mut recovery = Recovery::new(Position::new(OLD, 0), options);
        recovery.live(message(OLD, 1));
        assert!(matches!(recovery.page(page(OLD, [], 0)), Step::Read));
        assert_eq!(
            done(recovery.page(page(OLD, [], 0))).0,
            Some((1, GapReason::Lost))
        );
    }

    #[test]
    fn a_live_loss_is_healed_by_a_second_look_at_the_history() {
        let mut recovery = recovery(3);
        recovery.live(message(OLD, 6));
        assert!(matches!(recovery.page(page(OLD, [4], 4)), Step::Read));
        let step = recovery.page(page(OLD, 5..=6, 6));
        assert_eq!(done(step), (None, vec![4, 5, 6], Position::new(OLD, 6)));
    }

    #[test]
    fn more_than_may_be_recovered_is_a_gap_and_the_live_run_follows() {
        let options = RecoveryOptions::default().with_recovered(2, 1_000);
        let mut recovery = Recovery::new(Position::new(OLD, 0), options);
        assert_eq!(recovery.limit(), 3);
        recovery.live(message(OLD, 5));
        let step = recovery.page(page(OLD, 1..=3, 4));
        let gap = Some((4, GapReason::TooFar));
        assert_eq!(done(step), (gap, vec![5], Position::new(OLD, 5)));
    }

    #[test]
    fn what_does_not_decode_is_a_gap_up_to_the_top_and_the_live_messages_follow() {
        let mut behind = recovery(3);
        behind.live(message(OLD, 6));
        let gap = Some((5, GapReason::Lost));
        let run = Step::Done(behind.skip_to(Position::new(OLD, 5)));
        assert_eq!(done(run), (gap, vec![6], Position::new(OLD, 6)));

        let mut level = recovery(3);
        let run = Step::Done(level.skip_to(Position::new(OLD, 3)));
        assert_eq!(done(run), (None, vec![], Position::new(OLD, 3)));

        let mut foreign = recovery(3);
        let gap = Some((3, GapReason::EpochChanged));
        let run = Step::Done(foreign.skip_to(Position::new(NEW, 3)));
        assert_eq!(done(run), (gap, vec![], Position::new(NEW, 3)));
    }

    #[test]
    fn what_is_abandoned_is_a_gap_up_to_the_live_messages() {
        let mut nothing_live = recovery(3);
        assert!(matches!(nothing_live.page(page(OLD, [4], 6)), Step::Read));
        let run = Step::Done(nothing_live.abandon());
        assert_eq!(done(run), (None, vec![4], Position::new(OLD, 4)));

        let mut holed = recovery(3);
        assert!(matches!(holed.page(page(OLD, [4], 6)), Step::Read));
        holed.live(message(OLD, 7));
        holed.live(message(OLD, 9));
        let gap = Some((8, GapReason::Lost));
        let run = Step::Done(holed.abandon());
        assert_eq!(done(run), (gap, vec![9], Position::new(OLD, 9)));

        let mut foreign = recovery(3);
        foreign.live(message(NEW, 1));
        let gap = Some((0, GapReason::EpochChanged));
        let run = Step::Done(foreign.abandon());
        assert_eq!(done(run), (gap, vec![1], Position::new(NEW, 1)));
    }

    #[test]
    fn a_page_of_an_ended_epoch_is_read_again() {
        let mut recovery = recovery(3);
        recovery.live(message(NEW, 1));
        assert!(matches!(recovery.page(page(OLD, [4], 4)), Step::Read));
        let step = recovery.page(page(NEW, [], 1));
        let gap = Some((1, GapReason::EpochChanged));
        assert_eq!(done(step), (gap, vec![], Position::new(NEW, 1)));
    }

    #[test]
    fn a_straggler_of_an_ended_epoch_is_ignored() {
        let mut recovery = Recovery::new(Position::new(NEW, 1), RecoveryOptions::default());
        recovery.live(message(OLD, 9));
        assert!(matches!(recovery.page(page(NEW, [2], 2)), Step::Read));
        let step = recovery.page(page(NEW, [2], 2));
        assert_eq!(done(step), (None, vec![2], Position::new(NEW, 2)));
    }

    #[test]
    fn what_a_straggler_displaced_from_the_buffer_is_read_again() {
        let mut recovery = Recovery::new(Position::new(NEW, 1), RecoveryOptions::default());
        for message in [message(NEW, 3), message(OLD, 9), message(NEW, 2)] {
            recovery.live(message);
        }
        assert!(matches!(recovery.page(page(NEW, [], 1)), Step::Read));
        let step = recovery.page(page(NEW, 2..=3, 3));
        assert_eq!(done(step), (None, vec![2, 3], Position::new(NEW, 3)));
    }
}
