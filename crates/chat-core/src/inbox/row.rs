//! What an inbox keeps of a conversation: the rules that every store applies, apart from how it keeps it.

use backplane::Position;

use crate::{Advance, ConversationId, Cursor, DeviceId, InboxEntry, START, log::forward};

/// What the inbox of a user knows of a conversation, but for marks. For stores.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct InboxRow {
    /// Up to where something has happened.
    pub top: Position,
    /// The number of the last change that is no mark. The store's.
    pub changed: u64,
    /// Whether marks are for the user.
    pub is_enrolled: bool,
    /// Where that was decided.
    pub(crate) decided: Position,
    /// Up to where the user has read.
    pub(crate) read: Position,
    /// The last event that was put into the queue.
    pub(crate) queued: Position,
    /// Up to where each device has received.
    pub(crate) received: Vec<(DeviceId, Position)>,
}

/// What the last mark of a conversation says. For stores.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct InboxMark {
    /// Up to where something has happened.
    pub top: Position,
    /// The number of the change. The store's.
    pub changed: u64,
}

impl InboxRow {
    /// Of a conversation of which nothing is known.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            top: START,
            changed: 0,
            is_enrolled: false,
            decided: START,
            read: START,
            queued: START,
            received: Vec::new(),
        }
    }

    /// Decides whether marks are for the user, unless that was decided further on. Returns whether they
    /// are since now, or were until now.
    pub fn decide(&mut self, is_enrolled: bool, at: Position) -> bool {
        forward(&mut self.top, at);
        let counts = forward(&mut self.decided, at) || self.decided == START;
        counts && std::mem::replace(&mut self.is_enrolled, is_enrolled) != is_enrolled
    }

    /// Notes that the conversation has reached `top`. Returns whether that is news.
    pub fn reach(&mut self, top: Position) -> bool {
        forward(&mut self.top, top)
    }

    /// Notes that the event at a place is put into the queue. Returns whether it is to be put there.
    pub fn queue(&mut self, at: Position) -> bool {
        forward(&mut self.queued, at)
    }

    /// Moves a cursor, of no more than `devices` that are known. Returns whether it moved.
    pub fn advance(&mut self, advance: &Advance, devices: usize) -> bool {
        let received = self.receive(advance.device.id, advance.to, devices);
        match advance.cursor {
            Cursor::Received => received,
            Cursor::Read => forward(&mut self.read, advance.to),
        }
    }

    /// Notes that `device` has received up to `to`. Of more than `most` devices, the one furthest behind
    /// is forgotten.
    fn receive(&mut self, device: DeviceId, to: Position, most: usize) -> bool {
        if let Some((_, at)) = self.received.iter_mut().find(|(id, _)| *id == device) {
            return forward(at, to);
        }
        if self.received.len() >= most {
            let behind = self.received.iter().enumerate();
            let behind = behind.min_by_key(|(_, (_, at))| (at.epoch == to.epoch, at.offset));
            if let Some((place, _)) = behind {
                self.received.swap_remove(place);
            }
        }
        self.received.push((device, to));
        to.offset > 0
    }

    /// How far `device` has received.
    #[must_use]
    pub fn received_by(&self, device: DeviceId) -> Position {
        let known = self.received.iter().find(|(id, _)| *id == device);
        known.map_or(START, |(_, position)| *position)
    }

    /// Forgets how far `device` has received. Returns whether that was known.
    pub fn forget(&mut self, device: DeviceId) -> bool {
        let known = self.received.len();
        self.received.retain(|(id, _)| *id != device);
        self.received.len() < known
    }

    /// The row as others read it.
    #[must_use]
    pub fn show(&self, conversation: ConversationId) -> InboxEntry {
        InboxEntry::new(conversation, self.top, self.read, self.furthest())
    }

    /// How far any device has received.
    fn furthest(&self) -> Position {
        let mut furthest = START;
        for (_, position) in &self.received {
            if position.epoch == self.top.epoch || furthest == START {
                forward(&mut furthest, *position);
            }
        }
        furthest
    }
}

impl Default for InboxRow {
    fn default() -> Self {
        Self::new()
    }
}

impl InboxMark {
    /// Of a conversation that has not been marked.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            top: START,
            changed: 0,
        }
    }

    /// Notes that the conversation has reached `top`. Returns whether that is news.
    pub fn reach(&mut self, top: Position) -> bool {
        forward(&mut self.top, top)
    }

    /// Says the same in the entry of somebody whom the mark is for.
    pub fn show(&self, entry: &mut InboxEntry) {
        forward(&mut entry.top, self.top);
    }
}

impl Default for InboxMark {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use backplane::Epoch;

    use super::*;

    fn at(epoch: u64, offset: u64) -> Position {
        Position::new(Epoch::new(epoch), offset)
    }

    #[test]
    fn the_furthest_device_is_that_of_the_epoch() {
        let mut row = InboxRow::new();
        row.top = at(2, 9);
        for (device, position) in [(1, at(1, 8)), (2, at(2, 3)), (3, at(2, 2)), (4, at(1, 9))] {
            row.receive(DeviceId::new(device), position, 9);
        }
        assert_eq!(row.furthest(), at(2, 3));
    }

    #[test]
    fn the_device_furthest_behind_makes_room() {
        let mut row = InboxRow::new();
        for (device, position) in [(1, at(2, 3)), (2, at(1, 9)), (3, at(2, 5)), (4, at(2, 1))] {
            row.receive(DeviceId::new(device), position, 2);
        }
        let known = [1, 2, 3, 4].map(|device| row.received_by(DeviceId::new(device)));
        assert_eq!(known, [START, START, at(2, 5), at(2, 1)]);
    }
}
