use feed_core::{Action, ActionKind, Counts, Entry, PostId, UserId};

use crate::row::Reader;

pub(super) type DoneKey = (u64, u8, u64, u64);
pub(super) type MadeKey = (u64, u64, u8, u64);
pub(super) type DrawnKey = (u64, u64, u64, u8, u64);

/// An [`Action`] as its tables have it.
#[derive(Clone, Copy)]
pub(super) struct Done {
    pub(super) actor: u64,
    pub(super) kind: u8,
    pub(super) post: u64,
    pub(super) item: u64,
}

/// The counts of a post, and whose it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Count {
    pub(super) author: u64,
    pub(super) counts: Counts,
}

impl Count {
    pub(super) fn of_kind(&mut self, kind: u8) -> &mut u64 {
        match kind {
            LIKE => &mut self.counts.likes,
            REPLY => &mut self.counts.replies,
            _ => &mut self.counts.reposts,
        }
    }
}

impl Done {
    /// The order in which actions are looked for.
    pub(super) const fn key(self) -> DoneKey {
        (self.actor, self.kind, self.post, self.item)
    }

    pub(super) const fn of_made((actor, item, kind, post): MadeKey) -> Self {
        Self {
            actor,
            kind,
            post,
            item,
        }
    }

    pub(super) const fn made(self) -> Option<MadeKey> {
        match self.kind {
            LIKE => None,
            _ => Some((self.actor, self.item, self.kind, self.post)),
        }
    }

    pub(super) const fn of_drawn((_, post, actor, kind, item): DrawnKey) -> Self {
        Self {
            actor,
            kind,
            post,
            item,
        }
    }

    pub(super) const fn drawn(self, author: u64) -> DrawnKey {
        (author, self.post, self.actor, self.kind, self.item)
    }

    pub(super) fn action(self, author: u64) -> Option<Action> {
        let (actor, item) = (UserId::new(self.actor), PostId::new(self.item));
        let original = Entry::original(PostId::new(self.post), UserId::new(author));
        match self.kind {
            LIKE => Some(Action::like(actor, original)),
            REPLY => Some(Action::reply(actor, original, item)),
            REPOST => Some(Action::repost(actor, original, item)),
            _ => None,
        }
    }
}

pub(super) const LIKE: u8 = 0;
pub(super) const REPLY: u8 = 1;
pub(super) const REPOST: u8 = 2;

/// The number of a kind, if this version knows it.
pub(super) const fn number_of(kind: ActionKind) -> Option<u8> {
    match kind {
        ActionKind::Like => Some(LIKE),
        ActionKind::Reply => Some(REPLY),
        ActionKind::Repost => Some(REPOST),
        _ => None,
    }
}

const VERSION: u8 = 2;

pub(super) fn encode(count: &Count) -> Vec<u8> {
    let Count { author, counts } = count;
    let mut row = vec![VERSION];
    for long in [*author, counts.likes, counts.replies, counts.reposts] {
        row.extend(long.to_le_bytes());
    }
    row
}

pub(super) fn decode(row: &[u8]) -> Option<Count> {
    let mut row = Reader::of_version(VERSION, row)?;
    let author = row.long()?;
    let mut counts = Counts::default();
    for count in [&mut counts.likes, &mut counts.replies, &mut counts.reposts] {
        *count = row.long()?;
    }
    row.end(Count { author, counts })
}
