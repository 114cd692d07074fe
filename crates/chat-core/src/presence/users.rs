use backplane::Timestamp;
use hashbrown::{HashMap, hash_map::Entry};
use smallvec::SmallVec;

use super::PresenceState;
use crate::UserId;

/// The users who have a session on this node, numbered densely.
#[derive(Debug, Default)]
pub(super) struct Users {
    numbers: HashMap<UserId, u32>,
    known: Vec<LocalUser>,
    free: Vec<u32>,
}

/// A user as this node sees them.
#[derive(Clone, Debug)]
pub(super) struct LocalUser {
    pub(super) id: UserId,
    /// The slots of their sessions; of a number that is free, none.
    pub(super) slots: SmallVec<[u32; 4]>,
    /// The latest activity of sessions that ended or were counted.
    pub(super) last_active: Option<Timestamp>,
    /// What the engine was last told, or is about to be.
    pub(super) reported: PresenceState,
}

impl Users {
    pub(super) fn number(&self, user: UserId) -> Option<u32> {
        self.numbers.get(&user).copied()
    }

    /// The number of `user`, who is known from now on.
    pub(super) fn enter(&mut self, user: UserId) -> u32 {
        let slot = match self.numbers.entry(user) {
            Entry::Occupied(known) => return *known.get(),
            Entry::Vacant(slot) => slot,
        };
        let stranger = LocalUser {
            id: user,
            slots: SmallVec::new(),
            last_active: None,
            reported: PresenceState::UNKNOWN,
        };
        let number = self.free.pop().unwrap_or_else(|| {
            self.known.push(stranger.clone());
            u32::try_from(self.known.len() - 1).expect("a user has a session, and those fit")
        });
        self.known[number as usize] = stranger;
        *slot.insert(number)
    }

    /// Forgets a user without sessions.
    pub(super) fn leave(&mut self, number: u32) {
        self.numbers.remove(&self.known[number as usize].id);
        self.free.push(number);
    }

    pub(super) fn user(&self, number: u32) -> &LocalUser {
        &self.known[number as usize]
    }

    pub(super) fn user_mut(&mut self, number: u32) -> &mut LocalUser {
        &mut self.known[number as usize]
    }

    /// How many numbers there are, those included that are free.
    pub(super) fn numbers(&self) -> u32 {
        u32::try_from(self.known.len()).expect("numbers have 32 bits")
    }

    /// How many users there are.
    pub(super) fn len(&self) -> usize {
        self.numbers.len()
    }
}
