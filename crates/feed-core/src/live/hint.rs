//! What travels on the topics of a live feed.

use backplane::Topic;
use bytes::{BufMut, Bytes, BytesMut};

use crate::{Change, Entry, UserId};

/// Something that those who watch may want to know.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Hint {
    /// A post of the topic's author changed.
    Post { entry: Entry, change: Change },
    /// More has changed than can be told one by one.
    Circle,
}

/// Where word of an author's posts is published.
pub(super) fn posts_of(author: UserId) -> Topic {
    topic(&format!("feed:{author}:posts"))
}

/// Where word of a viewer's circle is published.
pub(super) fn circle_of(viewer: UserId) -> Topic {
    topic(&format!("feed:{viewer}:circle"))
}

fn topic(name: &str) -> Topic {
    name.parse().expect("a number makes a valid topic")
}

const VERSION: u8 = 1;
const LEN: usize = 1 + 1 + 4 + Entry::LEN;

const PUBLISHED: u8 = 0;
const REVISED: u8 = 1;
const RETRACTED: u8 = 2;
const CIRCLE: u8 = 3;

impl Hint {
    pub(super) fn encode(self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(LEN);
        bytes.put_u8(VERSION);
        let (entry, change) = match self {
            Self::Post { entry, change } => (entry, change),
            Self::Circle => {
                bytes.put_u8(CIRCLE);
                return bytes.freeze();
            }
        };
        let (tag, version) = match change {
            Change::Published => (PUBLISHED, 0),
            Change::Revised { version } => (REVISED, version),
            Change::Retracted => (RETRACTED, 0),
        };
        bytes.put_u8(tag);
        bytes.put_u32(version);
        entry.put(&mut bytes);
        bytes.freeze()
    }

    /// `None` for what this release does not understand, such as the hints of a later one.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes == [VERSION, CIRCLE] {
            return Some(Self::Circle);
        }
        let bytes: &[u8; LEN] = bytes.try_into().ok()?;
        let version = bytes[2..6].try_into().map(u32::from_be_bytes).ok()?;
        let change = match (bytes[0], bytes[1], version) {
            (VERSION, PUBLISHED, 0) => Change::Published,
            (VERSION, REVISED, version) => Change::Revised { version },
            (VERSION, RETRACTED, 0) => Change::Retracted,
            _ => return None,
        };
        let entry = Entry::take(&mut &bytes[6..])?;
        Some(Self::Post { entry, change })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::PostId;

    proptest! {
        #[test]
        fn bytes_and_back_is_exact(
            change in prop_oneof![
                Just(Change::Published),
                any::<u32>().prop_map(|version| Change::Revised { version }),
                Just(Change::Retracted),
            ],
            ids in any::<[u64; 3]>(),
        ) {
            let [post, author, origin] = ids;
            let entry = Entry::repost(PostId::new(post), UserId::new(author), PostId::new(origin));
            let hint = Hint::Post { entry, change };
            prop_assert_eq!(Hint::decode(&hint.encode()), Some(hint));
        }

        #[test]
        fn other_bytes_are_not_understood(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            prop_assume!(bytes.first() != Some(&VERSION));
            prop_assert_eq!(Hint::decode(&bytes), None);
        }
    }

    #[test]
    fn a_changed_circle_takes_two_bytes() {
        assert_eq!(Hint::Circle.encode().len(), 2);
        assert_eq!(Hint::decode(&Hint::Circle.encode()), Some(Hint::Circle));
    }
}
