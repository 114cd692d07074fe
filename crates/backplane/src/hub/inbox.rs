//! What waits in front of a shard.

use std::{mem, sync::Arc, time::Duration};

use bytes::Bytes;

use super::{
    catch_up::Mailbox,
    delivery::CloseReason,
    frame::{Frame, cost_of},
    retention::Resumed,
    slots::Slots,
    subscribers::Member,
    tenant::Tenant,
};
use crate::{
    Error, ErrorKind, Result, Topic,
    sync::{Condvar, Mutex, MutexGuard},
};

/// Something for a shard to do. Commands are obeyed in the order in which they arrived, which is
/// what makes a publish reach exactly the subscribers of its moment.
#[derive(Debug)]
pub(super) enum Command {
    /// As many of the frames that wait beside the commands.
    Send {
        frames: u32,
    },
    Connect {
        connection: u32,
        tenant: Box<Tenant>,
        budget: u32,
    },
    Open {
        topic: u32,
        name: Topic,
    },
    Subscribe {
        topic: u32,
        member: Member,
        resumed: Option<Box<Resumed>>,
    },
    CatchUp {
        topic: u32,
        member: Member,
        mailbox: Arc<Mailbox>,
    },
    /// The subscription's mailbox has caught up.
    CaughtUp {
        topic: u32,
        connection: u32,
    },
    Unsubscribe {
        topic: u32,
        connection: u32,
    },
    Retire {
        topic: u32,
    },
    Ready {
        connection: u32,
    },
    Close {
        connection: u32,
        reason: CloseReason,
    },
    Drain {
        window: Duration,
        seed: u64,
    },
    Shut,
}

/// The queue in front of one shard, and the numbers it gives out.
#[derive(Debug)]
pub(super) struct Inbox {
    pending: Mutex<Pending>,
    arrived: Condvar,
    limit: usize,
}

#[derive(Debug, Default)]
pub(super) struct Pending {
    commands: Vec<Command>,
    /// What the commands send, in order.
    frames: Vec<Frame>,
    /// The cost of the frames.
    bytes: usize,
    /// Whether the shard's thread waits for the first command.
    asleep: bool,
    draining: bool,
    shut: bool,
    pub(super) topics: Slots,
    pub(super) connections: Slots,
}

impl Inbox {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            pending: Mutex::default(),
            arrived: Condvar::default(),
            limit,
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock()
    }

    /// Puts `command` into an inbox that is locked.
    #[inline]
    pub(super) fn put(&self, pending: &mut Pending, command: Command) {
        pending.commands.push(command);
        self.wake(pending);
    }

    /// Puts a message into an inbox that is locked.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "a frame is written where it stays, instead of being copied from call to call"
    )]
    pub(super) fn send(&self, pending: &mut Pending, frame: Frame) {
        pending.bytes += frame.cost() as usize;
        pending.frames.push(frame);
        match pending.commands.last_mut() {
            Some(Command::Send { frames }) => *frames += 1,
            _ => pending.commands.push(Command::Send { frames: 1 }),
        }
        self.wake(pending);
    }

    #[inline]
    fn wake(&self, pending: &mut Pending) {
        if mem::take(&mut pending.asleep) {
            self.arrived.notify_one();
        }
    }

    pub(super) fn push(&self, command: Command) {
        self.put(&mut self.lock(), command);
    }

    /// Whether a message of `payload` may be put, now that the inbox is locked.
    #[inline]
    pub(super) fn has_room(&self, pending: &Pending, payload: &Bytes) -> bool {
        !pending.shut && (pending.bytes == 0 || pending.bytes + cost_of(payload) <= self.limit)
    }

    /// Fails if a new connection or subscription may not be put, now that the inbox is locked. What
    /// undoes one always may.
    pub(super) fn check(&self, pending: &Pending, op: &'static str) -> Result<()> {
        if pending.shut || pending.draining {
            return Err(Error::bare(ErrorKind::Closed, op));
        }
        if pending.bytes > self.limit || pending.commands.len() >= Self::MAX_COMMANDS {
            return Err(Error::new(ErrorKind::Full, op, "the shard is behind"));
        }
        Ok(())
    }

    /// Closes the inbox to new connections and subscriptions.
    pub(super) fn drain(&self, window: Duration, seed: u64) {
        let mut pending = self.lock();
        if !mem::replace(&mut pending.draining, true) {
            self.put(&mut pending, Command::Drain { window, seed });
        }
    }

    /// Closes the inbox to everything but what undoes, and has the shard close its connections.
    pub(super) fn shut(&self) {
        let mut pending = self.lock();
        if !mem::replace(&mut pending.shut, true) {
            self.put(&mut pending, Command::Shut);
        }
    }

    /// Moves all commands and frames to `commands` and `frames`, which are empty, and takes numbers
    /// back.
    pub(super) fn take(
        &self,
        commands: &mut Vec<Command>,
        frames: &mut Vec<Frame>,
        topics: &mut Vec<u32>,
        connections: &mut Vec<u32>,
    ) {
        let mut pending = self.lock();
        pending.topics.give_back(topics.drain(..));
        pending.connections.give_back(connections.drain(..));
        mem::swap(&mut pending.commands, commands);
        mem::swap(&mut pending.frames, frames);
        pending.bytes = 0;
    }

    /// Blocks until there is a command. Returns whether the inbox is still open.
    pub(super) fn wait(&self) -> bool {
        let mut pending = self.lock();
        while pending.commands.is_empty() {
            if pending.shut {
                return false;
            }
            pending.asleep = true;
            self.arrived.wait(&mut pending);
        }
        true
    }

    /// Commands that create something and still wait; far more than a shard takes at once.
    const MAX_COMMANDS: usize = 1 << 20;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_one_cache_line() {
        assert!(size_of::<Command>() <= 64, "{}", size_of::<Command>());
    }

    #[test]
    fn one_message_always_fits_and_then_the_limit_holds() {
        let inbox = Inbox::new(10);
        let payload = Bytes::from_static(&[0; 100]);
        let mut pending = inbox.lock();
        assert!(inbox.has_room(&pending, &payload));
        let frame = Frame::message(0, payload.clone(), None);
        inbox.send(&mut pending, frame);
        assert!(!inbox.has_room(&pending, &payload));
    }
}
