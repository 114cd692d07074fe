//! What happened to a timeline, as an element of its list says it: a letter, and what belongs to it.

use feed_core::{Entry, PostId, UserId};

use super::{
    block::{put_block, take_block},
    varint::{put, put_difference, take, take_difference},
};

const PUSHED: u8 = b'p';
const REPOSTED: u8 = b'r';
const REMOVED: u8 = b'd';
const PURGED: u8 = b'a';
const MERGED: u8 = b'm';
const COMMITTED: u8 = b'c';

/// A change, of which a timeline is what comes out when all are made in the order of the list.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Change {
    Pushed(Entry),
    Removed(PostId),
    /// An author's entries were taken out.
    Purged(UserId),
    /// Entries were added, whose posts ascend and differ.
    Merged(Vec<Entry>),
    /// As merged, and the floor has risen before.
    Committed {
        floor: PostId,
        entries: Vec<Entry>,
    },
}

impl Change {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(24);
        match self {
            Self::Pushed(entry) => {
                bytes.push(if entry.is_repost() { REPOSTED } else { PUSHED });
                put(&mut bytes, entry.post.get());
                put(&mut bytes, entry.author.get());
                if entry.is_repost() {
                    put_difference(&mut bytes, entry.post.get(), entry.origin.get());
                }
            }
            Self::Removed(post) => {
                bytes.push(REMOVED);
                put(&mut bytes, post.get());
            }
            Self::Purged(author) => {
                bytes.push(PURGED);
                put(&mut bytes, author.get());
            }
            Self::Merged(entries) => {
                bytes.push(MERGED);
                put_block(&mut bytes, entries);
            }
            Self::Committed { floor, entries } => {
                bytes.push(COMMITTED);
                put(&mut bytes, floor.get());
                put_block(&mut bytes, entries);
            }
        }
        bytes
    }

    pub(super) fn decode(element: &[u8]) -> Option<Self> {
        let (letter, mut rest) = element.split_first()?;
        let from = &mut rest;
        let change = match *letter {
            letter @ (PUSHED | REPOSTED) => {
                let (post, author) = (take(from)?, take(from)?);
                let origin = match letter {
                    PUSHED => post,
                    _ => take_difference(from, post)?,
                };
                Self::Pushed(Entry {
                    post: PostId::new(post),
                    author: UserId::new(author),
                    origin: PostId::new(origin),
                })
            }
            REMOVED => Self::Removed(PostId::new(take(from)?)),
            PURGED => Self::Purged(UserId::new(take(from)?)),
            MERGED => return take_block(from).map(Self::Merged),
            COMMITTED => {
                let floor = PostId::new(take(from)?);
                let entries = take_block(from)?;
                return Some(Self::Committed { floor, entries });
            }
            _ => return None,
        };
        from.is_empty().then_some(change)
    }
}

/// As a merge takes them: of two entries of one post, the first.
pub(super) fn ascending(entries: &[Entry]) -> Vec<Entry> {
    let mut entries = entries.to_vec();
    entries.sort_by_key(|entry| entry.post);
    entries.dedup_by_key(|entry| entry.post);
    entries
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::Index};

    use super::{super::block::tests::lines, *};

    fn change() -> impl Strategy<Value = Change> {
        let entry = (any::<u64>(), any::<u64>(), any::<Option<u64>>());
        let entry = entry.prop_map(|(post, author, origin)| Entry {
            post: PostId::new(post),
            author: UserId::new(author),
            origin: PostId::new(origin.unwrap_or(post)),
        });
        prop_oneof![
            entry.prop_map(Change::Pushed),
            any::<u64>().prop_map(|post| Change::Removed(PostId::new(post))),
            any::<u64>().prop_map(|author| Change::Purged(UserId::new(author))),
            lines().prop_map(Change::Merged),
            (any::<u64>(), lines()).prop_map(|(floor, entries)| Change::Committed {
                floor: PostId::new(floor),
                entries,
            }),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_change_is_read_as_it_was_written(change in change()) {
            prop_assert_eq!(Change::decode(&change.encode()), Some(change));
        }

        #[test]
        fn what_was_cut_is_refused(change in change(), end in any::<Index>()) {
            let bytes = change.encode();
            prop_assert_eq!(Change::decode(&bytes[..end.index(bytes.len())]), None);
        }

        #[test]
        fn what_nobody_wrote_does_not_panic(bytes in vec(any::<u8>(), 0..60)) {
            Change::decode(&bytes);
        }
    }
}
