use std::sync::Arc;

use backplane::{Epoch, Position};
use futures::future::select;
use parking_lot::Mutex;

use super::{
    MarkReplaced, Permit, ReserveError, SequenceMark, SequenceMarks, Sequencer, SequencerOptions,
    Tombstones,
};
use crate::{ConversationId, Error, ErrorKind, Result};

/// The sequencer of a conversation whose numbers outlive processes: it leases them in blocks from
/// durable marks, and has what nobody knows about decided in the store of rows.
///
/// ```
/// # use std::{ops::Range, sync::Arc};
/// # use chat_core::{ConversationId, GroupId, Result};
/// use backplane::Epoch;
/// use chat_core::{MemorySequenceMarks, sequencer::{SequenceKeeper, SequencerOptions, Tombstones}};
/// # #[derive(Debug)] struct Rows;
/// # #[async_trait::async_trait]
/// # impl Tombstones for Rows {
/// #     async fn decide(&self, _: ConversationId, _: Epoch, _: Range<u64>) -> Result<()> { Ok(()) }
/// # }
/// # impl Rows { async fn insert(&self, _: u64, _: &str) -> Result<()> { Ok(()) } }
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<()> {
/// # let rows = Arc::new(Rows);
/// let marks = Arc::new(MemorySequenceMarks::default());
/// let (conversation, options) = (ConversationId::Group(GroupId::new(1)), SequencerOptions::default());
/// let epoch = Epoch::new(0x00c0_ffee); // a random one, as a rule
/// let keeper = SequenceKeeper::open(marks, rows.clone(), conversation, epoch, options).await?;
///
/// let permit = keeper.reserve(1).await?;
/// let position = permit.position();
/// rows.insert(position.offset, "hello").await?; // a failure drops the permit
/// permit.commit();
/// keeper.visible(position.offset).await?; // now it is acknowledged
/// assert_eq!(keeper.sequencer().position(), position);
/// # Ok(()) }
/// ```
///
/// # Restarts
///
/// A keeper that opens takes the mark over, so that a former one gets no further block, and has all
/// numbers decided that the former one may have reserved and that are not known to be settled. They are
/// complete then, as messages or as tombstones, and numbers go on after them: there is no hole that
/// nobody can explain, and no number is given twice. The epoch stays, since no acknowledged position has
/// become invalid. It changes only with [`begin_epoch`](Self::begin_epoch), and with a mark that is not
/// there any more.
///
/// One keeper of a conversation at a time is what the application sees to, as by a
/// [`HashRing`](backplane::ring::HashRing) over its nodes. If two are open, nothing is numbered twice,
/// and the one that was opened first finds out when it asks for its next block; until then its readers
/// do not see what the other one's do.
///
/// # Numbers that are given up
///
/// The watermark waits at them, and they count as outstanding, until they are decided: by whoever waits
/// for a number to be [`visible`](Self::visible), or calls [`settle`](Self::settle). No task is needed, and
/// a caller that is dropped leaves the work to the next. One whose row had arrived becomes a message,
/// though its sender was not told so; whoever sends it again needs the id it gave it to find that out.
#[derive(Debug)]
pub struct SequenceKeeper {
    sequencer: Sequencer,
    conversation: ConversationId,
    marks: Arc<dyn SequenceMarks>,
    tombstones: Arc<dyn Tombstones>,
    mark: Mutex<SequenceMark>,
    block: u32,
}

impl SequenceKeeper {
    /// Opens `conversation`. If it has no mark, it begins with number 1 of `epoch`, which must not have
    /// been used for it before: a random one.
    ///
    /// # Errors
    ///
    /// If the stores fail, or hold a mark that cannot be one ([`ErrorKind::Corrupt`]); also if another
    /// keeper opened the conversation in the same moment ([`ErrorKind::Unavailable`]). A former keeper may
    /// have lost it all the same.
    ///
    /// # Cancel safety
    ///
    /// As after an error.
    pub async fn open(
        marks: Arc<dyn SequenceMarks>,
        tombstones: Arc<dyn Tombstones>,
        conversation: ConversationId,
        epoch: Epoch,
        options: SequencerOptions,
    ) -> Result<Self> {
        let found = marks.load(conversation).await?;
        let mark = found.unwrap_or_else(|| SequenceMark::begun(epoch));
        if !mark.is_sound() {
            return Err(Error::bare(ErrorKind::Corrupt, "open"));
        }
        let keeper = Self::of(marks, tombstones, conversation, mark, options);
        keeper.take_over(found).await?;
        if mark.settled < mark.until {
            let unknown = mark.settled + 1..mark.until + 1;
            let decided = keeper.tombstones.decide(conversation, mark.epoch, unknown);
            decided.await?;
        }
        Ok(keeper)
    }

    /// Opens `conversation` with number 1 of `epoch`, whatever its mark is: for one whose rows were
    /// lost, or set back, after they were acknowledged. Positions of other epochs are invalid from then
    /// on; rows of theirs that are still there are not of this epoch.
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open); [`ErrorKind::Invalid`] if `epoch` is the one that there is.
    ///
    /// # Cancel safety
    ///
    /// As after an error.
    pub async fn begin_epoch(
        marks: Arc<dyn SequenceMarks>,
        tombstones: Arc<dyn Tombstones>,
        conversation: ConversationId,
        epoch: Epoch,
        options: SequencerOptions,
    ) -> Result<Self> {
        let found = marks.load(conversation).await?;
        if found.is_some_and(|mark| mark.epoch == epoch) {
            return Err(Error::bare(ErrorKind::Invalid, "begin an epoch"));
        }
        let mark = SequenceMark::begun(epoch);
        let keeper = Self::of(marks, tombstones, conversation, mark, options);
        keeper.take_over(found).await?;
        Ok(keeper)
    }

    fn of(
        marks: Arc<dyn SequenceMarks>,
        tombstones: Arc<dyn Tombstones>,
        conversation: ConversationId,
        mark: SequenceMark,
        options: SequencerOptions,
    ) -> Self {
        let start = Position::new(mark.epoch, mark.until);
        Self {
            sequencer: Sequencer::kept(start, options),
            conversation,
            marks,
            tombstones,
            mark: Mutex::new(mark),
            block: options.block.max(1),
        }
    }

    /// Takes the mark of the conversation over from whoever left it as it was `found`.
    async fn take_over(&self, found: Option<SequenceMark>) -> Result<()> {
        let mark = self.mark.lock().succeeding(found);
        match self.marks.replace(self.conversation, found, mark).await? {
            MarkReplaced::Done => *self.mark.lock() = mark,
            MarkReplaced::Moved { .. } => return Err(Error::bare(ErrorKind::Unavailable, "open")),
        }
        Ok(())
    }

    /// The sequencer, for readers, and for writers that would rather be refused than wait for a block.
    #[must_use]
    pub const fn sequencer(&self) -> &Sequencer {
        &self.sequencer
    }

    /// Reserves the next `count` numbers. Waits only if they are not leased, for the next block.
    ///
    /// # Errors
    ///
    /// What [`ReserveError`] says, as the source; if the marks fail; [`ErrorKind::Closed`] if the
    /// conversation has another keeper. Nothing is reserved.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future reserves nothing. A block may have been leased, of which the next call makes
    /// use.
    pub async fn reserve(&self, count: u32) -> Result<Permit<'_>> {
        loop {
            match self.sequencer.reserve(count) {
                Err(ReserveError::AwaitingLease) => self.lease(count).await?,
                reserved => return Ok(reserved?),
            }
        }
    }

    /// Leases another block ahead of need: where a message now and then should not wait for it.
    ///
    /// # Errors
    ///
    /// If the marks fail; [`ErrorKind::Closed`] if the conversation has another keeper.
    ///
    /// # Cancel safety
    ///
    /// As for [`reserve`](Self::reserve).
    pub async fn extend(&self) -> Result<()> {
        self.lease(0).await
    }

    async fn lease(&self, count: u32) -> Result<()> {
        if self.sequencer.is_closed() {
            return Err(closed());
        }
        let held = *self.mark.lock();
        let next = SequenceMark {
            until: (held.until + u64::from(self.block.max(count))).min(Sequencer::LAST),
            settled: self.sequencer.watermark(),
            ..held
        };
        let marks = &self.marks;
        let replaced = marks.replace(self.conversation, Some(held), next);
        match replaced.await? {
            MarkReplaced::Done => self.hold(next),
            // Of another call, or of an earlier one whose outcome was not known.
            MarkReplaced::Moved { mark: Some(mark) } if mark.holder == held.holder => {
                self.hold(mark);
            }
            MarkReplaced::Moved { .. } => {
                self.sequencer.close();
                return Err(closed());
            }
        }
        Ok(())
    }

    fn hold(&self, mark: SequenceMark) {
        *self.mark.lock() = mark;
        self.sequencer.allow(mark.until);
    }

    /// Waits until `number` and all before it can be read. On the way it has numbers decided that were
    /// given up, so that it waits only for writers that are at work.
    ///
    /// # Errors
    ///
    /// If the store of rows fails. The number may be visible later.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves what is to be decided to other callers. A future that is kept and not
    /// polled any more holds up those who wait for the same numbers.
    pub async fn visible(&self, number: u64) -> Result<()> {
        while self.sequencer.watermark() < number {
            let abandonment = self.sequencer.abandonment.listen();
            self.settle().await?;
            select(self.sequencer.reached(number), abandonment).await;
        }
        Ok(())
    }

    /// Has numbers decided that were given up, all that nobody else is deciding.
    ///
    /// # Errors
    ///
    /// If the store of rows fails. Calling again goes on.
    ///
    /// # Cancel safety
    ///
    /// As after an error.
    pub async fn settle(&self) -> Result<()> {
        while let Some(claim) = self.sequencer.claim() {
            let (conversation, epoch) = (self.conversation, self.sequencer.epoch());
            let decided = self.tombstones.decide(conversation, epoch, claim.numbers());
            decided.await?;
            claim.settle();
        }
        Ok(())
    }

    /// Gives the conversation up, and the rest of its block back. Permits may still be committed; those
    /// that are not when this is called are decided by the next keeper.
    ///
    /// # Errors
    ///
    /// If the marks fail. Nothing more is reserved all the same; the next keeper finds more to decide
    /// than it need.
    ///
    /// # Cancel safety
    ///
    /// As after an error.
    pub async fn close(&self) -> Result<()> {
        let (settled, until) = self.sequencer.close();
        let held = *self.mark.lock();
        let left = SequenceMark {
            until,
            settled,
            ..held
        };
        let replace = |expected| {
            let marks = &self.marks;
            marks.replace(self.conversation, Some(expected), left)
        };
        if let MarkReplaced::Moved { mark: Some(mark) } = replace(held).await?
            && mark.holder == held.holder
        {
            replace(mark).await?;
        }
        Ok(())
    }
}

fn closed() -> Error {
    Error::bare(ErrorKind::Closed, "lease numbers")
}
