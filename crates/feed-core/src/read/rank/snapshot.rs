//! A ranked order, frozen in the shared cache.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::{CacheItem, Entry, Error, ErrorKind, Feed, PostId, Result, Seek, UserId};

/// The entries of a ranked window in their order, and where the feed goes on below it.
#[derive(Debug)]
pub(super) struct Snapshot {
    viewer: UserId,
    id: u64,
    entries: Vec<Entry>,
    older: Option<Seek>,
}

const VERSION: u8 = 1;

impl Snapshot {
    pub(super) fn new(viewer: UserId, entries: Vec<Entry>, older: Option<Seek>) -> Self {
        let mut snapshot = Self {
            viewer,
            id: 0,
            entries,
            older,
        };
        // Named by what it holds, so that two that are frozen at once cannot be taken for each other.
        snapshot.id = xxhash_rust::xxh3::xxh3_64(&snapshot.encode());
        snapshot
    }

    pub(super) const fn id(&self) -> u64 {
        self.id
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(super) const fn older(&self) -> Option<Seek> {
        self.older
    }

    fn key(viewer: UserId, id: u64) -> Bytes {
        let mut key = BytesMut::with_capacity(17);
        key.put_u8(b'r');
        key.put_u64(viewer.get());
        key.put_u64(id);
        key.freeze()
    }

    fn encode(&self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(10 + Entry::LEN * self.entries.len());
        bytes.put_u8(VERSION);
        match self.older {
            Some(Seek::Before(post)) => {
                bytes.put_u8(1);
                bytes.put_u64(post.get());
            }
            _ => bytes.put_u8(0),
        }
        for entry in &self.entries {
            entry.put(&mut bytes);
        }
        bytes.freeze()
    }

    /// `None` for bytes that are no snapshot, or were written for another viewer.
    fn decode(viewer: UserId, id: u64, bytes: &[u8]) -> Option<Self> {
        if xxhash_rust::xxh3::xxh3_64(bytes) != id {
            return None;
        }
        let mut rest = bytes;
        if rest.try_get_u8().ok()? != VERSION {
            return None;
        }
        let older = match rest.try_get_u8().ok()? {
            0 => None,
            _ => Some(Seek::Before(PostId::new(rest.try_get_u64().ok()?))),
        };
        let mut entries = Vec::with_capacity(rest.len() / Entry::LEN);
        while rest.has_remaining() {
            entries.push(Entry::take(&mut rest)?);
        }
        Some(Self {
            viewer,
            id,
            entries,
            older,
        })
    }
}

impl Feed {
    pub(super) async fn freeze(&self, snapshot: &Snapshot) -> Result<()> {
        let key = Snapshot::key(snapshot.viewer, snapshot.id);
        let item = CacheItem::new(key, snapshot.encode(), self.parts.options.rank_ttl)?;
        self.parts.snapshots.put_many(&[item]).await
    }

    pub(super) async fn thaw(&self, viewer: UserId, id: u64) -> Result<Snapshot> {
        let key = Snapshot::key(viewer, id);
        let values = self.parts.snapshots.get_many(&[key]).await?;
        let bytes = values.into_iter().next().flatten();
        bytes
            .and_then(|bytes| Snapshot::decode(viewer, id, &bytes))
            .ok_or_else(|| Error::bare(ErrorKind::ExpiredCursor, "read"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bytes_and_back_is_exact(
            ids in prop::collection::vec(any::<[u64; 3]>(), 0..40),
            older in any::<Option<u64>>(),
        ) {
            let entries: Vec<_> = ids
                .iter()
                .map(|&[post, author, origin]| {
                    Entry::repost(PostId::new(post), UserId::new(author), PostId::new(origin))
                })
                .collect();
            let older = older.map(|post| Seek::Before(PostId::new(post)));
            let viewer = UserId::new(1);
            let snapshot = Snapshot::new(viewer, entries.clone(), older);
            let bytes = snapshot.encode();
            let read = Snapshot::decode(viewer, snapshot.id, &bytes).unwrap();
            prop_assert_eq!(read.entries, entries);
            prop_assert_eq!(read.older, older);
            if let Some(cut) = bytes.len().checked_sub(1) {
                prop_assert!(Snapshot::decode(viewer, snapshot.id, &bytes[..cut]).is_none());
            }
        }
    }
}
