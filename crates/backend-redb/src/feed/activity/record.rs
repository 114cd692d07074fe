//! How activity lies on disk.
//!
//! One table, by user: version 1 `u8`, visits, posts, marker `u64`. Visits and posts are each a tag
//! `u8`; tag 1: last time `u64` (ms), times a day in thousandths `u32`.

use ::backplane::Timestamp;
use feed_core::{Habit, PostId, Rhythm, UserId};
use redb::{ReadableTable, WriteTransaction};

use crate::{
    Failure,
    row::Reader,
    store::{Named, Tables},
};

const VERSION: u8 = 1;

#[derive(Debug)]
pub(super) struct ActivityTables {
    pub(super) users: Named<u64, &'static [u8]>,
}

impl ActivityTables {
    pub(super) fn new(store: &str) -> Self {
        Self {
            users: Named::new("feed.activity", store, "users"),
        }
    }

    /// What is on disk about `user`, given the table of users.
    pub(super) fn record(
        &self,
        users: &impl ReadableTable<u64, &'static [u8]>,
        user: UserId,
    ) -> Result<Record, Failure> {
        let Some(row) = users.get(user.get())? else {
            return Ok(Record::NONE);
        };
        self.users.intact(user, Record::decode(row.value()))
    }
}

impl Tables for ActivityTables {
    type Error = feed_core::Error;

    fn create(&self, txn: &WriteTransaction) -> Result<(), Failure> {
        self.users.create(txn)
    }
}

/// What is known of a user.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Record {
    visits: Option<Rhythm>,
    posts: Option<Rhythm>,
    pub(super) marker: PostId,
    /// Whether anything was ever noted or marked, be it that nothing is read.
    pub(super) is_known: bool,
}

impl Record {
    /// Of a stranger.
    pub(super) const NONE: Self = Self {
        visits: None,
        posts: None,
        marker: PostId::MIN,
        is_known: false,
    };

    /// Of somebody of whom there is a row, though nothing is known.
    pub(super) const EMPTY: Self = Self {
        is_known: true,
        ..Self::NONE
    };

    pub(super) const fn rhythm(&self, habit: Habit) -> Option<Rhythm> {
        match habit {
            Habit::Visit => self.visits,
            Habit::Post => self.posts,
        }
    }

    /// The record after one more note.
    pub(super) fn noted(mut self, habit: Habit, at: Timestamp) -> Self {
        let rhythm = match habit {
            Habit::Visit => &mut self.visits,
            Habit::Post => &mut self.posts,
        };
        *rhythm = Some(rhythm.map_or(Rhythm::first(at), |rhythm| rhythm.again(at)));
        self.is_known = true;
        self
    }

    /// The record once the user has read up to `post`.
    pub(super) fn read_to(mut self, post: PostId) -> Self {
        self.marker = self.marker.max(post);
        self.is_known = true;
        self
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut row = Vec::with_capacity(35);
        row.push(VERSION);
        put_rhythm(&mut row, self.visits);
        put_rhythm(&mut row, self.posts);
        row.extend(self.marker.get().to_le_bytes());
        row
    }

    pub(super) fn decode(row: &[u8]) -> Option<Self> {
        let mut row = Reader::of_version(VERSION, row)?;
        let mut record = Self::EMPTY;
        read_rhythm(&mut row, &mut record.visits)?;
        read_rhythm(&mut row, &mut record.posts)?;
        record.marker = PostId::new(row.long()?);
        row.end(record)
    }
}

fn put_rhythm(row: &mut Vec<u8>, rhythm: Option<Rhythm>) {
    match rhythm {
        None => row.push(0),
        Some(rhythm) => {
            row.push(1);
            row.extend(rhythm.last.as_millis().to_le_bytes());
            row.extend(rhythm.per_day_milli.to_le_bytes());
        }
    }
}

/// `None` if the row does not go on with a rhythm or word that there is none.
fn read_rhythm(row: &mut Reader<'_>, into: &mut Option<Rhythm>) -> Option<()> {
    match row.byte()? {
        0 => {}
        1 => {
            let rhythm = into.insert(Rhythm::first(Timestamp::from_millis(row.long()?)));
            rhythm.per_day_milli = row.int()?;
        }
        _ => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    #[test]
    fn rows_lie_on_disk_as_they_always_have() {
        let record = Record::NONE
            .noted(Habit::Visit, Timestamp::EPOCH)
            .noted(Habit::Visit, Timestamp::from_millis(0x1_0000))
            .read_to(PostId::new(9));
        let bytes = [
            1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 143, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0,
        ];
        assert_eq!(record.encode(), bytes);
        assert_eq!(Record::decode(&bytes), Some(record));
    }

    proptest! {
        #[test]
        fn a_record_reads_back_as_it_was_written(
            rhythms in any::<[Option<(u64, u32)>; 2]>(),
            marker in any::<u64>(),
        ) {
            let [visits, posts] = rhythms.map(|rhythm| {
                let (last, rate) = rhythm?;
                let mut rhythm = Rhythm::first(Timestamp::from_millis(last));
                rhythm.per_day_milli = rate;
                Some(rhythm)
            });
            let record = Record { visits, posts, marker: PostId::new(marker), is_known: true };
            prop_assert_eq!(Record::decode(&record.encode()), Some(record));
        }

        #[test]
        fn garbage_is_refused_or_was_a_row(bytes in vec(0..3_u8, 0..37)) {
            if let Some(record) = Record::decode(&bytes) {
                prop_assert_eq!(record.encode(), bytes);
            }
        }
    }
}
