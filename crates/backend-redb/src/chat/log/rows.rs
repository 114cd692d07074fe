//! What a log keeps beside its events.

use backplane::Timestamp;
use bytes::Bytes;
use chat_core::{
    HistoryStart, Member, Result, Role, UserId, Windows,
    codec::{Input, Wire},
};

/// How far a conversation has come. All of it can be counted anew.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct TalkRow {
    /// The number of the oldest event, or of the next if there is none.
    pub(super) first: u64,
    /// The number of the newest.
    pub(super) top: u64,
    /// Up to where all were told.
    pub(super) settled: u64,
    /// When the oldest event happened of which somebody is to be told.
    pub(super) owed_since: Option<Timestamp>,
    /// How many members there are.
    pub(super) members: u32,
}

/// What a group is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct GroupRow {
    pub(super) limit: u32,
    pub(super) history: HistoryStart,
    pub(super) about: Bytes,
}

/// What a user is to a group.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Standing {
    pub(super) role: Option<Role>,
    pub(super) windows: Windows,
}

impl TalkRow {
    /// A conversation before anything has happened.
    pub(super) const fn of(members: u32) -> Self {
        Self {
            first: 1,
            top: 0,
            settled: 0,
            owed_since: None,
            members,
        }
    }
}

impl Standing {
    /// What each of the two is to a direct conversation.
    pub(super) fn of_a_pair() -> Self {
        Self {
            role: Some(Role::Member),
            windows: Windows::all(),
        }
    }

    pub(super) fn member(self, user: UserId) -> Member {
        Member::new(user, self.role, self.windows)
    }
}

macro_rules! fields {
    ($($row:ident { $($field:ident),* })*) => {$(
        impl Wire for $row {
            fn put(&self, out: &mut Vec<u8>) {
                $(self.$field.put(out);)*
            }

            fn take(input: &mut Input) -> Result<Self> {
                Ok(Self { $($field: Wire::take(input)?),* })
            }
        }
    )*};
}

impl Wire for TalkRow {
    fn put(&self, out: &mut Vec<u8>) {
        self.first.put(out);
        self.top.put(out);
        self.settled.put(out);
        self.owed_since.put(out);
        self.members.put(out);
    }

    fn take(input: &mut Input) -> Result<Self> {
        let row = Self {
            first: Wire::take(input)?,
            top: Wire::take(input)?,
            settled: Wire::take(input)?,
            owed_since: Wire::take(input)?,
            members: Wire::take(input)?,
        };
        // So whoever counts on from here never runs out of numbers.
        let next = row.top.checked_add(1).ok_or_else(Input::corrupt)?;
        let is_sound = (1..=next).contains(&row.first) && row.settled <= row.top;
        is_sound.then_some(row).ok_or_else(Input::corrupt)
    }
}

fields! {
    GroupRow { limit, history, about }
    Standing { role, windows }
}
