use backplane::Timestamp;
use smallvec::SmallVec;

use super::{Status, index::Index};
use crate::UserId;

/// The users who have a session on this node, numbered densely.
#[derive(Debug, Default)]
pub(super) struct Users {
    numbers: Index,
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
    /// The status and the activity that the engine was last told, or is about to be.
    pub(super) told: (Status, bool),
}

impl Users {
    pub(super) fn number(&self, user: UserId) -> Option<u32> {
        let is_theirs = |number: u32| self.known[number as usize].id == user;
        self.numbers.find(user, is_theirs)
    }

    /// The number of `user`, who is known from now on.
    pub(super) fn enter(&mut self, user: UserId) -> u32 {
        if let Some(number) = self.number(user) {
            return number;
        }
        let stranger = LocalUser {
            id: user,
            slots: SmallVec::new(),
            last_active: None,
            told: (Status::Offline, false),
        };
        let number = if let Some(free) = self.free.pop() {
            self.known[free as usize] = stranger;
            free
        } else {
            self.known.push(stranger);
            u32::try_from(self.known.len() - 1).expect("a user has a session, and those fit")
        };
        let known = &self.known;
        let key_of = |number: u32| known[number as usize].id;
        self.numbers.insert(user, number, key_of);
        number
    }

    /// Forgets a user without sessions.
    pub(super) fn leave(&mut self, number: u32) {
        self.numbers.remove(self.known[number as usize].id, number);
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
