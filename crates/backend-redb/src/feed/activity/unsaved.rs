use std::collections::{HashMap, HashSet, VecDeque};

use feed_core::UserId;
use futures::future::{BoxFuture, FutureExt};

use super::record::Record;
use crate::Failure;

/// The records that are not on disk yet as they are here.
///
/// Changes are numbered. Each piece of work for the writer takes all changes that no earlier one
/// took, so once it is on disk, every change up to its last is.
#[derive(Default)]
pub(super) struct Unsaved {
    /// Each with the number of its last change.
    records: HashMap<UserId, (Record, u64)>,
    /// All changes that may not be on disk, oldest first.
    changes: VecDeque<(u64, UserId)>,
    last: u64,
    /// The writer has all changes up to this one.
    taken: u64,
    /// What nobody waits for, and the number of its last change.
    pub(super) saving: Option<(u64, BoxFuture<'static, Result<(), Failure>>)>,
}

impl Unsaved {
    pub(super) fn get(&self, user: UserId) -> Option<Record> {
        self.records.get(&user).map(|&(record, _)| record)
    }

    /// How many changes may not be on disk.
    pub(super) fn len(&self) -> usize {
        self.changes.len()
    }

    pub(super) fn change(&mut self, user: UserId, record: Record) {
        self.last += 1;
        self.records.insert(user, (record, self.last));
        self.changes.push_back((self.last, user));
    }

    /// Whether there are changes that the writer does not have.
    pub(super) fn has_new(&self) -> bool {
        self.taken < self.last
    }

    /// The changed records that the writer does not have, and the number of the last change.
    pub(super) fn take(&mut self) -> (u64, Vec<(UserId, Record)>) {
        let new = self.changes.iter().rev();
        let new = new.take_while(|(number, _)| *number > self.taken);
        let users: HashSet<_> = new.map(|&(_, user)| user).collect();
        let records = users
            .into_iter()
            .filter_map(|user| Some((user, self.get(user)?)));
        let records = records.collect();
        self.taken = self.last;
        (self.last, records)
    }

    /// Looks whether what nobody waits for is on disk by now. If that failed, the writer has stopped.
    pub(super) fn settle(&mut self) {
        let Some((number, saved)) = &mut self.saving else {
            return;
        };
        let number = *number;
        if let Some(saved) = saved.now_or_never() {
            self.saving = None;
            if saved.is_ok() {
                self.forget(number);
            }
        }
    }

    /// Forgets what is on disk: all changes up to this one.
    pub(super) fn forget(&mut self, saved: u64) {
        while let Some(&(number, user)) = self.changes.front()
            && number <= saved
        {
            self.changes.pop_front();
            if self.records.get(&user).is_some_and(|one| one.1 == number) {
                self.records.remove(&user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use feed_core::PostId;

    use super::*;

    const ANN: UserId = UserId::new(1);
    const BOB: UserId = UserId::new(2);

    fn read_to(post: u64) -> Record {
        Record::NONE.read_to(PostId::new(post))
    }

    #[test]
    fn a_record_stays_until_its_last_change_is_saved() {
        let mut unsaved = Unsaved::default();
        unsaved.change(ANN, read_to(1));
        unsaved.change(BOB, read_to(1));
        let (first, records) = unsaved.take();
        assert_eq!(records.len(), 2);
        unsaved.change(ANN, read_to(2));
        unsaved.forget(first);
        assert_eq!(
            (unsaved.get(ANN), unsaved.get(BOB)),
            (Some(read_to(2)), None)
        );

        assert!(unsaved.has_new());
        let (second, records) = unsaved.take();
        assert_eq!(records, [(ANN, read_to(2))]);
        assert!(!unsaved.has_new());
        unsaved.forget(second);
        assert_eq!((unsaved.len(), unsaved.records.len()), (0, 0));
    }

    #[test]
    fn what_is_saved_later_vouches_for_what_was_taken_before() {
        let mut unsaved = Unsaved::default();
        unsaved.change(ANN, read_to(1));
        let (first, _) = unsaved.take();
        unsaved.change(BOB, read_to(1));
        let (second, records) = unsaved.take();
        assert_eq!(records, [(BOB, read_to(1))]);
        unsaved.forget(second);
        unsaved.forget(first);
        assert_eq!(unsaved.len(), 0);
    }
}
