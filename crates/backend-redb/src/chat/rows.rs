//! Tables of what [`codec`] writes, and conversations as keys.

use std::{fmt, marker::PhantomData};

use bytes::Bytes;
use chat_core::{
    ConversationId, GroupId, UserId,
    codec::{self, Wire},
};
use redb::{Key, ReadOnlyTable, ReadTransaction, ReadableTable, Table, WriteTransaction};

use crate::{Failure, store::Named};

/// A conversation as the beginning of a key: 0 and its two users, the lower first, or 1, its group, and 0.
pub(super) type TalkKey = (u8, u64, u64);

pub(super) const fn talk_key(talk: ConversationId) -> TalkKey {
    match talk {
        ConversationId::Direct(pair) => (0, pair.low().get(), pair.high().get()),
        ConversationId::Group(group) => (1, group.get(), 0),
    }
}

/// The conversation of a key.
pub(super) fn talk_of((kind, one, other): TalkKey) -> ConversationId {
    match kind {
        0 => ConversationId::direct(UserId::new(one), UserId::new(other)),
        _ => ConversationId::Group(GroupId::new(one)),
    }
}

/// A table of rows that are encoded values.
pub(super) struct Rows<K, R> {
    named: Named<K, &'static [u8]>,
    row: PhantomData<fn() -> R>,
}

impl<K, R: Wire> Rows<K, R>
where
    K: for<'a> Key<SelfType<'a> = K> + Copy + fmt::Debug + 'static,
{
    pub(super) fn new(kind: &str, store: &str, part: &str) -> Self {
        Self {
            named: Named::new(kind, store, part),
            row: PhantomData,
        }
    }

    pub(super) fn create(&self, txn: &WriteTransaction) -> Result<(), Failure> {
        self.named.create(txn)
    }

    pub(super) fn read(
        &self,
        txn: &ReadTransaction,
    ) -> Result<ReadOnlyTable<K, &'static [u8]>, Failure> {
        self.named.read(txn)
    }

    pub(super) fn write<'txn>(
        &self,
        txn: &'txn WriteTransaction,
    ) -> Result<Table<'txn, K, &'static [u8]>, Failure> {
        self.named.write(txn)
    }

    pub(super) fn get(
        &self,
        table: &impl ReadableTable<K, &'static [u8]>,
        key: K,
    ) -> Result<Option<R>, Failure> {
        let row = table.get(key)?;
        row.map(|row| self.decode(key, row.value())).transpose()
    }

    /// What a row of the table is.
    pub(super) fn decode(&self, key: K, row: &[u8]) -> Result<R, Failure> {
        let row = codec::decode(Bytes::copy_from_slice(row));
        self.named.intact(key, row.ok())
    }

    /// Says that a row of the table does not decode.
    pub(super) fn damaged<T>(&self, key: K) -> Result<T, Failure> {
        self.named.intact(key, None)
    }
}

/// Makes `row` the row of `key`.
pub(super) fn put<K: Key + 'static>(
    table: &mut Table<'_, K, &'static [u8]>,
    key: K::SelfType<'_>,
    row: &impl Wire,
) -> Result<(), Failure> {
    let mut bytes = Vec::with_capacity(64);
    codec::encode(row, &mut bytes);
    table.insert(key, &*bytes)?;
    Ok(())
}

impl<K, R> fmt::Debug for Rows<K, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.named.fmt(f)
    }
}
