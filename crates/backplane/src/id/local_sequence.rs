use super::{Id, IdError, IdGenerator, sequence::Sequence};

/// The [`IdGenerator`] that just counts: the numbers after one that is given, without a gap.
///
/// Its identifiers are unique within one group, of which one process at a time has the sequence, and
/// nowhere else: messages of two groups have the same ones. Whoever starts it vouches for the last number
/// that was issued, which has to be kept with what is numbered.
///
/// It is for numbering what lives and dies in one process, and for ids that are looked at inside their
/// group only. Not for the messages of a chat: `chat-core` numbers the events of a conversation by
/// itself, durably and over all nodes, and addresses them by identifiers that are unique everywhere.
///
/// ```
/// use backplane::id::{Id, LocalSequence};
/// let ids = LocalSequence::after(Id::new(41));
/// assert_eq!(ids.next_id()?, Id::new(42));
/// # Ok::<_, backplane::id::IdError>(())
/// ```
#[derive(Debug)]
pub struct LocalSequence {
    sequence: Sequence,
}

impl LocalSequence {
    /// The numbers after `last`; those after zero, in a new group.
    #[must_use]
    pub fn after(last: Id) -> Self {
        Self {
            sequence: Sequence::after(last.get().min(LAST)),
        }
    }

    /// The next identifier.
    ///
    /// # Errors
    ///
    /// [`IdError::Ended`], after 2^64 - 2.
    #[inline]
    pub fn next_id(&self) -> Result<Id, IdError> {
        self.take(1).map(Id::new)
    }

    /// Fills `ids` with the next identifiers in one step.
    ///
    /// # Errors
    ///
    /// As for [`next_id`](Self::next_id). Nothing is issued, and `ids` is as it was.
    pub fn fill(&self, ids: &mut [Id]) -> Result<(), IdError> {
        if ids.is_empty() {
            return Ok(());
        }
        let first = self.take(ids.len() as u64)?;
        for (id, raw) in ids.iter_mut().zip(first..) {
            *id = Id::new(raw);
        }
        Ok(())
    }

    /// The last identifier issued: where the next process starts after.
    #[must_use]
    pub fn last(&self) -> Id {
        Id::new(self.sequence.last())
    }

    #[inline]
    fn take(&self, count: u64) -> Result<u64, IdError> {
        let taken = self.sequence.take(count, 0, LAST);
        taken.map_err(|_| IdError::Ended)
    }
}

/// The last number that a sequence issues.
const LAST: u64 = Sequence::ENDED - 1;

impl IdGenerator for LocalSequence {
    fn next_id(&self) -> Result<Id, IdError> {
        self.next_id()
    }

    fn fill(&self, ids: &mut [Id]) -> Result<(), IdError> {
        self.fill(ids)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        ManualClock,
        conformance::{Fresh, TestTime},
    };

    crate::id_generator_conformance!(async {
        Fresh::<dyn IdGenerator> {
            store: Arc::new(LocalSequence::after(Id::new(0))),
            time: TestTime::Manual(ManualClock::default()),
        }
    });

    #[test]
    fn numbers_have_no_gap_and_go_on_where_a_process_ended() {
        let ids = LocalSequence::after(Id::new(0));
        let mut batch = [Id::new(0); 3];
        assert_eq!(ids.next_id(), Ok(Id::new(1)));
        ids.fill(&mut batch).unwrap();
        assert_eq!(batch, [2, 3, 4].map(Id::new));
        let reopened = LocalSequence::after(ids.last());
        assert_eq!(reopened.next_id(), Ok(Id::new(5)));
    }

    #[test]
    fn the_numbers_end_and_do_not_wrap() {
        let ids = LocalSequence::after(Id::new(LAST - 2));
        let mut batch = [Id::new(7); 3];
        assert_eq!(ids.fill(&mut batch), Err(IdError::Ended));
        assert_eq!(batch, [Id::new(7); 3]);
        ids.fill(&mut batch[..2]).unwrap();
        assert_eq!((batch[1], ids.last()), (Id::new(LAST), Id::new(LAST)));
        assert_eq!(ids.next_id(), Err(IdError::Ended));
        let ended = LocalSequence::after(Id::new(u64::MAX));
        assert_eq!(ended.next_id(), Err(IdError::Ended));
    }
}
