//! A tie and its copy, which are on different servers.

use std::iter::zip;

use feed_core::{Error, ErrorKind, Hide, Result, UserId};

use super::{RedisGraph, answer, row};
use crate::{
    batches::BATCH,
    script::{Call, script},
};

script!(UNTIE, "../../lua/numbers.lua", "user.lua", "untie.lua");
script!(COPY, "../../lua/numbers.lua", "user.lua", "copy.lua");
script!(SETTLE, "../../lua/numbers.lua", "user.lua", "settle.lua");
script!(OWED, "../../lua/numbers.lua", "user.lua", "owed.lua");

#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Edge,
    Block,
    Mute,
}

/// What joins a user, who made it, to another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tie {
    kind: Kind,
    maker: UserId,
    other: UserId,
}

/// A change to a tie: its number, and the tie as it is since, empty if it is gone.
pub(super) struct Change {
    pub(super) number: [u8; 8],
    pub(super) tie: Vec<u8>,
}

/// A change to a tie of a known user.
pub(super) type Pending = (Kind, UserId, Change);

/// A change that the copy of a tie must follow.
pub(super) struct Owed {
    tie: Tie,
    change: Change,
}

/// Whether those scripts wait for replicas by which copies are made.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Wait {
    ForReplicas,
    No,
}

impl Wait {
    fn as_told(self, call: Call) -> Call {
        match self {
            Self::ForReplicas => call,
            Self::No => call.in_passing(),
        }
    }
}

impl Kind {
    pub(super) fn hiding(how: Hide) -> Result<Self> {
        match how {
            Hide::Block => Ok(Self::Block),
            Hide::Mute => Ok(Self::Mute),
            _ => Err(Error::new(
                ErrorKind::Invalid,
                "hide",
                "a relation of a later release",
            )),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Edge => "F",
            Self::Block => "B",
            Self::Mute => "M",
        }
    }

    pub(super) const fn named(name: &[u8]) -> Option<Self> {
        match name {
            b"F" => Some(Self::Edge),
            b"B" => Some(Self::Block),
            b"M" => Some(Self::Mute),
            _ => None,
        }
    }
}

impl Tie {
    pub(super) const fn new(kind: Kind, maker: UserId, other: UserId) -> Self {
        Self { kind, maker, other }
    }

    /// The tie that `user` has this end of.
    pub(super) fn with_end(user: UserId, end: &[u8]) -> Option<Self> {
        let (end, other) = end.split_first()?;
        let other = row::user(other)?;
        Some(match end {
            b'F' => Self::new(Kind::Edge, user, other),
            b'f' => Self::new(Kind::Edge, other, user),
            b'B' => Self::new(Kind::Block, user, other),
            b'b' => Self::new(Kind::Block, other, user),
            b'M' => Self::new(Kind::Mute, user, other),
            b'm' => Self::new(Kind::Mute, other, user),
            _ => return None,
        })
    }

    /// Names the tie to its maker.
    pub(super) fn about(&self, call: Call) -> Call {
        call.bytes(self.kind.name()).bytes(row::bytes(self.other))
    }

    pub(super) const fn owed(self, change: Change) -> Owed {
        Owed { tie: self, change }
    }
}

impl RedisGraph {
    /// Removes a tie and says whether it was there.
    pub(super) async fn cut(&self, op: &'static str, tie: Tie) -> Result<bool> {
        let call = self.untie(&tie, "0");
        let (was_there, owed) = self.redis.ask(op, &call, answer::changed).await?;
        self.pay(op, owed.map(|change| tie.owed(change))).await?;
        Ok(was_there)
    }

    /// Removes ties and copies that have lost theirs, and says how many ties there were.
    pub(super) async fn cut_all(&self, op: &'static str, ties: &[Tie]) -> Result<usize> {
        let calls: Vec<_> = ties.iter().map(|tie| self.untie(tie, "1")).collect();
        let (mut cut, mut owed) = (0, Vec::new());
        for (tie, answer) in zip(ties, self.redis.ask_all(op, &calls, answer::changed).await) {
            let (was_there, change) = answer?;
            cut += usize::from(was_there);
            owed.extend(change.map(|change| tie.owed(change)));
        }
        self.pay(op, owed).await?;
        Ok(cut)
    }

    fn untie(&self, tie: &Tie, orphan: &str) -> Call {
        tie.about(self.call(&UNTIE, tie.maker)).bytes(orphan)
    }

    /// Makes the copies of all that is pending with a user.
    pub(super) async fn pay_all(&self, op: &'static str, maker: UserId) -> Result<()> {
        loop {
            let pending = self.pending(op, maker).await?;
            let count = pending.len();
            self.pay(op, pending).await?;
            if count < BATCH {
                return Ok(());
            }
        }
    }

    /// The same for somebody who only reads: where replicas do not answer that are waited for, the copies are
    /// made nevertheless, and stay pending since they may be lost.
    pub(super) async fn show_all(&self, op: &'static str, maker: UserId) -> Result<()> {
        match self.pay_all(op, maker).await {
            Err(error) if error.kind() == ErrorKind::Unavailable => {
                let pending = self.pending(op, maker).await?;
                // Those that stay pending would be met again.
                if pending.len() == BATCH {
                    return Err(error);
                }
                self.make_copies(op, pending, Wait::No).await
            }
            paid => paid,
        }
    }

    async fn pending(&self, op: &'static str, maker: UserId) -> Result<Vec<Owed>> {
        let call = self.reading(&OWED, maker).number(BATCH as u64);
        let pending = self
            .redis
            .ask(op, &call, answer::pending)
            .await?
            .into_iter();
        let owed = |(kind, other, change)| Tie::new(kind, maker, other).owed(change);
        Ok(pending.map(owed).collect())
    }

    /// Makes copies follow the changes to their ties, which are pending no more then.
    ///
    /// A change is refused whose number is not above that of a copy which was removed, or below that of one
    /// which is there. If it is the newest, it then gets another.
    pub(super) async fn pay(
        &self,
        op: &'static str,
        owed: impl IntoIterator<Item = Owed>,
    ) -> Result<()> {
        let owed = owed.into_iter().collect();
        self.make_copies(op, owed, Wait::ForReplicas).await
    }

    async fn make_copies(&self, op: &'static str, mut owed: Vec<Owed>, wait: Wait) -> Result<()> {
        while !owed.is_empty() {
            let refused = self.copy(op, &owed, wait).await?;
            let mut made = zip(owed, refused).collect::<Vec<_>>();
            if wait == Wait::No {
                made.retain(|(_, refused)| !refused.is_empty());
            }
            owed = self.settle(op, &made, wait).await?;
        }
        Ok(())
    }

    /// Answers of each change nothing, or above what its number must be.
    async fn copy(&self, op: &'static str, owed: &[Owed], wait: Wait) -> Result<Vec<Vec<u8>>> {
        let call = |other: &UserId, places: &[usize]| {
            let call = wait.as_told(self.call(&COPY, *other));
            places.iter().fold(call, |call, &place| {
                let Owed { tie, change } = &owed[place];
                call.bytes(tie.kind.name())
                    .bytes(row::bytes(tie.maker))
                    .bytes(change.number)
                    .bytes(&change.tie[..])
            })
        };
        let others = owed.iter().map(|owed| owed.tie.other);
        let refused = self.redis.ask_each(op, others, call, answer::refused).await;
        Ok(refused.into_iter().collect::<backplane::Result<_>>()?)
    }

    /// Answers what is owed still.
    async fn settle(
        &self,
        op: &'static str,
        made: &[(Owed, Vec<u8>)],
        wait: Wait,
    ) -> Result<Vec<Owed>> {
        let call = |maker: &UserId, places: &[usize]| {
            let call = wait.as_told(self.call(&SETTLE, *maker));
            places.iter().fold(call, |call, &place| {
                let (Owed { tie, change }, refused) = &made[place];
                tie.about(call).bytes(change.number).bytes(&refused[..])
            })
        };
        let makers = made.iter().map(|(owed, _)| owed.tie.maker);
        let settled = self.redis.ask_batches(op, makers, call, answer::pending);
        let mut owed = Vec::new();
        for ((maker, _), answer) in settled.await {
            let still = answer?.into_iter();
            owed.extend(
                still.map(|(kind, other, change)| Tie::new(kind, maker, other).owed(change)),
            );
        }
        Ok(owed)
    }
}
