use super::Status;
use crate::Device;

/// A device's session on this node: what heartbeats are sent by. It ends with the session and means nothing to other
/// nodes.
///
/// Eight bytes: the slot of the session, and which of the slot's sessions it is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct DeviceSession {
    pub(super) slot: u32,
    pub(super) generation: u32,
}

/// Whether a session was still one when it was used.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a session either goes on or does not"
)]
pub enum Liveness {
    /// It goes on.
    Alive,
    /// It had ended, and does not come back: the device must connect again.
    Ended,
}

/// How a device goes.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "it says so or it does not")]
pub enum Departure {
    /// It has said so: it is gone at once.
    Graceful,
    /// Its connection broke: it may come back within the [grace](super::PresenceOptions::grace).
    Lost,
}

/// Why a session ended that its device had not ended.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum EndReason {
    /// The device was silent for too long.
    TimedOut,
    /// The device has connected again.
    Replaced,
}

/// A session that ended without its device's doing: its connection may be closed.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct SessionEnd {
    /// The session.
    pub session: DeviceSession,
    /// Whose it was.
    pub device: Device,
    /// Why it ended.
    pub reason: EndReason,
}

/// What the core knows of the session in one slot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Session {
    /// The number of its user.
    pub(super) user: u32,
    pub(super) generation: u32,
    pub(super) device: Device,
    pub(super) declared: Status,
    pub(super) rest: Rest,
    pub(super) stage: Stage,
    /// When its user last did something with it, unless it is awake: then the slot says.
    pub(super) slept: u32,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stage {
    Free,
    Live,
    /// Lost at this tick, and not gone yet.
    Lingering(u32),
}

/// For how long nothing was done.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Rest {
    Active,
    /// Not active, but not idle.
    Quiet,
    Idle,
}

impl Session {
    /// A session that begins at `now`, which is an act of its user.
    pub(super) fn new(user: u32, device: Device, declared: Status, now: u32) -> Self {
        Self {
            user,
            generation: 0,
            device,
            declared,
            rest: Rest::Active,
            stage: Stage::Live,
            slept: now,
        }
    }

    /// Goes on where the device's `earlier` session ended: that its connection broke is no act of its user.
    pub(super) fn resume(&mut self, earlier: Self) {
        if self.declared == earlier.declared {
            self.rest = earlier.rest;
            self.slept = earlier.slept;
        }
    }

    /// As what the device counts.
    pub(super) fn status(&self) -> Status {
        match (self.declared, self.rest) {
            (Status::Online, Rest::Idle) => Status::Away,
            (declared, _) => declared,
        }
    }

    /// Its end, by another hand than that of its device.
    pub(super) fn ended(&self, slot: u32, reason: EndReason) -> SessionEnd {
        let generation = self.generation;
        SessionEnd {
            session: DeviceSession { slot, generation },
            device: self.device,
            reason,
        }
    }
}
