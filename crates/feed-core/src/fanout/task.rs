//! What the queue carries for a feed: references and a place to go on from, never bodies or lists of
//! followers.

use backplane::queue::{Lane, NewTask};
use bytes::{BufMut, Bytes, BytesMut};

use crate::{Entry, PostId, UserId};

/// A piece of fanout, in 39 bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct FanoutTask {
    pub(crate) errand: Errand,
    pub(crate) entry: Entry,
    pub(crate) stage: Stage,
}

/// What followers get.
///
/// A task is enqueued before the write that it goes with, so that no write is without its task, and
/// begins once it finds the write done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Errand {
    /// The post, whose body the feed keeps or the application does, and which answers another or none.
    Deliver { elsewhere: bool, reply: bool },
    /// Word of a body above this version.
    Revise { above: u32 },
    /// The post taken away.
    Retract,
    /// An author's own timeline that could not be written is given up.
    Drop,
    /// The queue may have lost tasks, so all timelines are given up.
    Mend,
}

/// How far it has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Stage {
    /// Nothing was done.
    Start,
    /// The author, and followers up to this one, are served.
    After(UserId),
    /// All are rid of a post, and what was done to it remains to be forgotten.
    Forget,
}

/// Why bytes are no task.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Unreadable {
    /// A later release has written them.
    Newer,
    /// No release has.
    Garbage,
}

const VERSION: u8 = 1;
const LEN: usize = 1 + 1 + 4 + Entry::LEN + 1 + 8;

impl FanoutTask {
    pub(crate) const fn new(errand: Errand, entry: Entry) -> Self {
        Self {
            errand,
            entry,
            stage: Stage::Start,
        }
    }

    /// Drops the timeline of the entry's author, which misses the entry.
    pub(crate) const fn dropping(entry: Entry) -> Self {
        Self::new(Errand::Drop, Entry::original(entry.post, entry.author))
    }

    /// Of nobody's post.
    pub(crate) const fn mending() -> Self {
        Self::new(Errand::Mend, Entry::original(PostId::MIN, UserId::new(0)))
    }

    pub(crate) const fn after(mut self, follower: UserId) -> Self {
        self.stage = Stage::After(follower);
        self
    }

    pub(crate) const fn forgetting(mut self) -> Self {
        self.stage = Stage::Forget;
        self
    }

    /// The task for the queue, in the lane of its author: lanes are served in turn, so an author with
    /// very many followers delays nobody else.
    pub(crate) fn queued(&self) -> NewTask {
        NewTask::new(self.encode()).with_lane(Lane::new(self.entry.author.get()))
    }

    pub(crate) fn encode(&self) -> Bytes {
        let (errand, version) = match self.errand {
            Errand::Deliver {
                elsewhere: false,
                reply,
            } => (0, u32::from(reply)),
            Errand::Revise { above } => (1, above),
            Errand::Retract => (2, 0),
            Errand::Drop => (3, 0),
            Errand::Mend => (5, 0),
            Errand::Deliver {
                elsewhere: true,
                reply,
            } => (4, u32::from(reply)),
        };
        let (stage, follower) = match self.stage {
            Stage::Start => (0, 0),
            Stage::After(follower) => (1, follower.get()),
            Stage::Forget => (2, 0),
        };
        let mut bytes = BytesMut::with_capacity(LEN);
        bytes.put_u8(VERSION);
        bytes.put_u8(errand);
        bytes.put_u32(version);
        self.entry.put(&mut bytes);
        bytes.put_u8(stage);
        bytes.put_u64(follower);
        bytes.freeze()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        match bytes.first() {
            Some(&version) if version > VERSION => Err(Unreadable::Newer),
            _ => Self::decode_this_version(bytes).ok_or(Unreadable::Garbage),
        }
    }

    fn decode_this_version(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; LEN] = bytes.try_into().ok()?;
        let version = bytes[2..6].try_into().map(u32::from_be_bytes).ok()?;
        let errand = match (bytes[0], bytes[1], version) {
            (VERSION, kind @ (0 | 4), reply @ 0..=1) => Errand::Deliver {
                elsewhere: kind == 4,
                reply: reply == 1,
            },
            (VERSION, 1, above) => Errand::Revise { above },
            (VERSION, 2, 0) => Errand::Retract,
            (VERSION, 3, 0) => Errand::Drop,
            (VERSION, 5, 0) => Errand::Mend,
            _ => return None,
        };
        let follower = bytes[31..].try_into().map(u64::from_be_bytes).ok()?;
        let stage = match (bytes[30], follower) {
            (0, 0) => Stage::Start,
            (1, follower) => Stage::After(UserId::new(follower)),
            (2, 0) => Stage::Forget,
            _ => return None,
        };
        let entry = Entry::take(&mut &bytes[6..])?;
        Some(Self {
            errand,
            entry,
            stage,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bytes_and_back_is_exact(
            errand in prop_oneof![
                any::<(bool, bool)>()
                    .prop_map(|(elsewhere, reply)| Errand::Deliver { elsewhere, reply }),
                any::<u32>().prop_map(|above| Errand::Revise { above }),
                Just(Errand::Retract),
                Just(Errand::Drop),
                Just(Errand::Mend),
            ],
            ids in any::<[u64; 3]>(),
            stage in prop_oneof![
                Just(Stage::Start),
                any::<u64>().prop_map(|follower| Stage::After(UserId::new(follower))),
                Just(Stage::Forget),
            ],
        ) {
            let [post, author, origin] = ids;
            let entry = Entry::repost(PostId::new(post), UserId::new(author), PostId::new(origin));
            let task = FanoutTask { stage, ..FanoutTask::new(errand, entry) };
            prop_assert_eq!(FanoutTask::decode(&task.encode()), Ok(task));
        }

        #[test]
        fn other_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            prop_assume!(bytes.first() != Some(&VERSION) || bytes.len() != LEN);
            let newer = bytes.first().is_some_and(|version| *version > VERSION);
            let why = if newer { Unreadable::Newer } else { Unreadable::Garbage };
            prop_assert_eq!(FanoutTask::decode(&bytes), Err(why));
        }
    }
}
