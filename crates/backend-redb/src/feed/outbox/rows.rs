//! How an outbox lies on disk.
//!
//! | table | key | row |
//! |---|---|---|
//! | posts | post | version 1 `u8`, tag `u8`; tag 1, live: author `u64`, origin `u64`, version `u32`; tag 2, live: the same, and the post that is answered `u64`; tag 0, retracted |
//! | bodies | post | the body; no row if it is empty |
//! | lines | author, post | origin, for live posts |
//! | keys | author, idempotency key | post |
//! | key order | author, number | idempotency key: a larger number is younger |
//! | retractions | author, post | nothing |
//! | pasts | author | version 1 `u8`, retractions kept `u64`, keys kept `u64`, tag `u8`; tag 1: up to which post absent ones count as retracted `u64` |

use feed_core::{Entry, PostId, PostState, Publication, UserId};
use redb::{ReadableTable, WriteTransaction};

use crate::{
    Failure,
    row::Reader,
    store::{Named, Tables},
};

const VERSION: u8 = 1;
const RETRACTED: u8 = 0;
const LIVE: u8 = 1;
const REPLY: u8 = 2;

#[derive(Debug)]
pub(super) struct OutboxTables {
    pub(super) posts: Named<u64, &'static [u8]>,
    pub(super) bodies: Named<u64, &'static [u8]>,
    pub(super) lines: Named<(u64, u64), u64>,
    pub(super) keys: Named<(u64, &'static str), u64>,
    pub(super) key_order: Named<(u64, u64), &'static str>,
    pub(super) retractions: Named<(u64, u64), ()>,
    pub(super) pasts: Named<u64, &'static [u8]>,
}

impl OutboxTables {
    pub(super) fn new(store: &str) -> Self {
        const KIND: &str = "feed.outbox";
        Self {
            posts: Named::new(KIND, store, "posts"),
            bodies: Named::new(KIND, store, "bodies"),
            lines: Named::new(KIND, store, "lines"),
            keys: Named::new(KIND, store, "keys"),
            key_order: Named::new(KIND, store, "key_order"),
            retractions: Named::new(KIND, store, "retractions"),
            pasts: Named::new(KIND, store, "pasts"),
        }
    }

    /// What is known of `post`, given the table of posts.
    pub(super) fn post(
        &self,
        posts: &impl ReadableTable<u64, &'static [u8]>,
        post: PostId,
    ) -> Result<Option<PostRow>, Failure> {
        let Some(row) = posts.get(post.get())? else {
            return Ok(None);
        };
        self.posts
            .intact(post, PostRow::decode(row.value()))
            .map(Some)
    }

    /// What is remembered of the author's past, given the table of pasts.
    pub(super) fn past(
        &self,
        pasts: &impl ReadableTable<u64, &'static [u8]>,
        author: UserId,
    ) -> Result<PastRow, Failure> {
        let Some(row) = pasts.get(author.get())? else {
            return Ok(PastRow::default());
        };
        self.pasts.intact(author, PastRow::decode(row.value()))
    }
}

impl Tables for OutboxTables {
    type Error = feed_core::Error;

    fn create(&self, txn: &WriteTransaction) -> Result<(), Failure> {
        self.posts.create(txn)?;
        self.bodies.create(txn)?;
        self.lines.create(txn)?;
        self.keys.create(txn)?;
        self.key_order.create(txn)?;
        self.retractions.create(txn)?;
        self.pasts.create(txn)
    }
}

/// A post that is live or was retracted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum PostRow {
    Live {
        author: UserId,
        origin: PostId,
        version: u32,
        reply_to: Option<PostId>,
    },
    Retracted,
}

impl PostRow {
    /// The row of a post that was just published.
    pub(super) const fn first(item: &Publication) -> Self {
        Self::Live {
            author: item.entry.author,
            origin: item.entry.origin,
            version: 1,
            reply_to: item.reply_to,
        }
    }

    pub(super) const fn state(self, post: PostId) -> PostState {
        match self {
            Self::Live {
                author,
                origin,
                version,
                ..
            } => PostState::Live {
                entry: Entry {
                    post,
                    author,
                    origin,
                },
                version,
            },
            Self::Retracted => PostState::Retracted,
        }
    }

    /// The post that it answers.
    pub(super) const fn reply_to(self) -> Option<PostId> {
        match self {
            Self::Live { reply_to, .. } => reply_to,
            Self::Retracted => None,
        }
    }

    pub(super) fn encode(self) -> Vec<u8> {
        let mut row = Vec::with_capacity(30);
        row.push(VERSION);
        match self {
            Self::Live {
                author,
                origin,
                version,
                reply_to,
            } => {
                row.push(if reply_to.is_some() { REPLY } else { LIVE });
                row.extend(author.get().to_le_bytes());
                row.extend(origin.get().to_le_bytes());
                row.extend(version.to_le_bytes());
                row.extend(reply_to.iter().flat_map(|post| post.get().to_le_bytes()));
            }
            Self::Retracted => row.push(RETRACTED),
        }
        row
    }

    fn decode(row: &[u8]) -> Option<Self> {
        let mut row = Reader::of_version(VERSION, row)?;
        let post = match row.byte()? {
            tag @ (LIVE | REPLY) => Self::Live {
                author: UserId::new(row.long()?),
                origin: PostId::new(row.long()?),
                version: row.int()?,
                reply_to: match tag {
                    REPLY => Some(PostId::new(row.long()?)),
                    _ => None,
                },
            },
            RETRACTED => Self::Retracted,
            _ => return None,
        };
        row.end(post)
    }
}

/// What is remembered of an author beside their live posts.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct PastRow {
    /// How many retractions are kept.
    pub(super) retractions: u64,
    /// How many idempotency keys are kept.
    pub(super) keys: u64,
    /// Every absent post of the author up to this one counts as retracted.
    pub(super) retracted_to: Option<PostId>,
}

impl PastRow {
    /// Whether `post`, of which nothing is stored, was retracted.
    pub(super) fn has_retracted(&self, post: PostId) -> bool {
        Some(post) <= self.retracted_to
    }

    pub(super) fn encode(self) -> Vec<u8> {
        let mut row = Vec::with_capacity(26);
        row.push(VERSION);
        row.extend(self.retractions.to_le_bytes());
        row.extend(self.keys.to_le_bytes());
        match self.retracted_to {
            None => row.push(0),
            Some(post) => {
                row.push(1);
                row.extend(post.get().to_le_bytes());
            }
        }
        row
    }

    fn decode(row: &[u8]) -> Option<Self> {
        let mut row = Reader::of_version(VERSION, row)?;
        let past = Self {
            retractions: row.long()?,
            keys: row.long()?,
            retracted_to: match row.byte()? {
                0 => None,
                1 => Some(PostId::new(row.long()?)),
                _ => return None,
            },
        };
        row.end(past)
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    #[test]
    fn rows_lie_on_disk_as_they_always_have() {
        let live = PostRow::Live {
            author: UserId::new(0x0102),
            origin: PostId::new(0x0304),
            version: 5,
            reply_to: None,
        };
        let bytes = [
            1, 1, 2, 1, 0, 0, 0, 0, 0, 0, 4, 3, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0,
        ];
        assert_eq!(live.encode(), bytes);
        let reply = PostRow::Live {
            author: UserId::new(1),
            origin: PostId::new(2),
            version: 3,
            reply_to: Some(PostId::new(4)),
        };
        let bytes = [
            1, 2, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0,
            0,
        ];
        assert_eq!(reply.encode(), bytes);
        assert_eq!(PostRow::Retracted.encode(), [1, 0]);
        let past = PastRow {
            retractions: 3,
            keys: 2,
            retracted_to: Some(PostId::new(9)),
        };
        let bytes = [
            1, 3, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1, 9, 0, 0, 0, 0, 0, 0, 0,
        ];
        assert_eq!(past.encode(), bytes);
    }

    proptest! {
        #[test]
        fn a_row_reads_back_as_it_was_written(
            numbers in any::<(u64, u64, u32)>(),
            to in any::<Option<u64>>(),
        ) {
            let (author, origin) = (UserId::new(numbers.0), PostId::new(numbers.1));
            let (version, reply_to) = (numbers.2, to.map(PostId::new));
            let live = PostRow::Live { author, origin, version, reply_to };
            for post in [live, PostRow::Retracted] {
                prop_assert_eq!(PostRow::decode(&post.encode()), Some(post));
            }
            let retracted_to = to.map(PostId::new);
            let past = PastRow { retractions: numbers.0, keys: numbers.1, retracted_to };
            prop_assert_eq!(PastRow::decode(&past.encode()), Some(past));
        }

        #[test]
        fn garbage_is_refused_or_was_a_row(bytes in vec(0..3_u8, 0..32)) {
            if let Some(post) = PostRow::decode(&bytes) {
                prop_assert_eq!(post.encode(), &bytes[..]);
            }
            if let Some(past) = PastRow::decode(&bytes) {
                prop_assert_eq!(past.encode(), bytes);
            }
        }
    }
}
