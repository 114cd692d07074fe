//! A part of a hub's connections, and the thread of control that owns it.

use std::{hint, mem, sync::Arc, time::Duration};

use super::{
    catch_up::Mailbox,
    core::Core,
    delivery::{CloseReason, Missing},
    detour::Detours,
    frame::Frame,
    inbox::{Command, Inbox},
    outbox::Outbox,
    retention::Resumed,
    shelf::Shelf,
    subscribers::Member,
    tenant::{AHEAD, Tenant},
    topics::Topics,
};
use crate::{
    Topic,
    sync::{AtomicUsize, Mutex, Ordering},
};

/// A shard: the inbox that anybody may put commands into, and the floor that one thread at a time
/// works on.
#[derive(Debug)]
pub(super) struct Shard {
    pub(super) inbox: Inbox,
    floor: Mutex<Floor>,
    /// Bytes queued for connections after the last run.
    queued_bytes: AtomicUsize,
}

/// Everything that only the running thread touches.
#[derive(Debug, Default)]
pub(super) struct Floor {
    pub(super) topics: Topics,
    /// The frames of this run: outboxes hold their places.
    pub(super) flight: Vec<Frame>,
    /// The frames that outlast a run: backlogs hold their places.
    pub(super) shelf: Shelf,
    /// Frames on the shelf that are in flight too.
    pub(super) lent: Vec<u32>,
    /// By connection.
    pub(super) outboxes: Vec<Outbox>,
    pub(super) detours: Detours,
    /// Connections with something in their outbox.
    pub(super) due: Vec<u32>,
    /// Connections that the floor closed, for the core to clear up after.
    pub(super) departed: Vec<Departed>,
    /// How many connections have a backlog.
    pub(super) stalled: usize,
    /// The cost of everything in backlogs.
    pub(super) backlog_bytes: usize,
    /// Frames on the shelf that leave a backlog.
    pub(super) leaving: Vec<u32>,
    commands: Vec<Command>,
    /// How many frames of the flight were broadcast.
    pub(super) sent: u32,
    /// How many commands and frames came since the sinks were called.
    uncalled: u32,
    /// Whether nothing follows in this run.
    is_last: bool,
    vacated_connections: Vec<u32>,
}

/// A connection that the floor closed.
#[derive(Debug)]
pub(super) struct Departed {
    pub(super) tenant: Box<Tenant>,
    pub(super) reason: CloseReason,
}

/// How many commands and frames come before the sinks are called. Also how many lookups overlap.
const WINDOW: u32 = 256;

impl Shard {
    pub(super) fn new(inbox_bytes: usize) -> Self {
        Self {
            inbox: Inbox::new(inbox_bytes),
            floor: Mutex::default(),
            queued_bytes: AtomicUsize::new(0),
        }
    }

    /// Obeys the commands that wait, unless another thread is at it. Returns how many there were.
    pub(super) fn try_run(&self, core: &Core) -> usize {
        self.floor
            .try_lock()
            .map_or(0, |mut floor| self.run_on(&mut floor, core))
    }

    /// Obeys commands until the inbox is shut and empty.
    pub(super) fn run_until_shut(&self, core: &Core) {
        while self.inbox.wait() {
            self.run_on(&mut self.floor.lock(), core);
        }
    }

    pub(super) fn queued_bytes(&self) -> usize {
        self.queued_bytes.load(Ordering::Relaxed)
    }

    fn run_on(&self, floor: &mut Floor, core: &Core) -> usize {
        let obeyed = floor.run(&self.inbox, core);
        self.queued_bytes
            .store(floor.backlog_bytes, Ordering::Relaxed);
        obeyed
    }
}

impl Floor {
    fn run(&mut self, inbox: &Inbox, core: &Core) -> usize {
        let mut commands = mem::take(&mut self.commands);
        inbox.take(
            &mut commands,
            &mut self.flight,
            self.topics.vacated(),
            &mut self.vacated_connections,
        );
        let obeyed = commands.len() + self.flight.len();
        let mut left = commands.len();
        for command in commands.drain(..) {
            left -= 1;
            self.is_last = left == 0;
            self.obey(command, core);
        }
        self.call_sinks(core);
        self.land();
        self.commands = commands;
        obeyed
    }

    /// Flushes what is due, and clears up behind sinks that are closed.
    fn call_sinks(&mut self, core: &Core) {
        self.uncalled = 0;
        self.flush_due();
        for Departed { tenant, reason } in mem::take(&mut self.departed) {
            core.vacate(tenant.seat(), reason);
        }
    }

    /// Broadcasts the next `frames` of the flight.
    fn send(&mut self, frames: u32, core: &Core) {
        let is_last = self.is_last;
        let end = self.sent + frames;
        while self.sent < end {
            let window = self.sent..end.min(self.sent + WINDOW - self.uncalled);
            self.warm(&self.flight[window.start as usize..window.end as usize]);
            for place in window.clone() {
                self.is_last = is_last && place + 1 == end;
                self.broadcast(place);
            }
            self.sent = window.end;
            self.count(window.end - window.start, core);
        }
    }

    /// Counts what was done since the sinks were last called, and calls them if it is time.
    fn count(&mut self, done: u32, core: &Core) {
        self.uncalled += done;
        if self.uncalled == WINDOW {
            self.call_sinks(core);
        }
    }

    /// Loads what the frames will touch, with loads that do not depend on each other.
    fn warm(&self, frames: &[Frame]) {
        let sum = frames.iter().fold(0, |sum: u32, frame| {
            sum.wrapping_add(match frame.sole {
                None => self.topics.glance(frame.topic),
                Some(member) => {
                    let outbox = self.outboxes.get(member.connection() as usize);
                    outbox.map_or(0, Outbox::bytes)
                }
            })
        });
        hint::black_box(sum);
    }

    fn obey(&mut self, command: Command, core: &Core) {
        match command {
            Command::Send { frames } => return self.send(frames, core),
            Command::Connect {
                connection,
                tenant,
                budget,
            } => self.connect(connection, tenant, budget),
            Command::Open { topic, name } => self.open(topic, name),
            Command::Subscribe {
                topic,
                member,
                resumed,
            } => self.subscribe(topic, member, resumed),
            Command::CatchUp {
                topic,
                member,
                mailbox,
            } => self.catch_up(topic, member, mailbox),
            Command::CaughtUp { topic, connection } => self.caught_up(topic, connection),
            Command::Unsubscribe { topic, connection } => self.unsubscribe(topic, connection),
            Command::Retire { topic } => self.topics.retire(topic),
            Command::Ready { connection } => self.flush_ready(connection),
            Command::Close { connection, reason } => self.close(connection, reason),
            Command::Drain { window, seed } => self.drain(window, seed),
            Command::Shut => self.shut(),
        }
        self.count(1, core);
    }

    /// Queues a frame for every subscriber of its topic.
    #[inline]
    fn broadcast(&mut self, place: u32) {
        let Frame { topic, sole, .. } = self.flight[place as usize];
        let Some(member) = sole else {
            return self.broadcast_to_all(topic, place);
        };
        debug_assert!(
            self.topics.subscribers(topic).is_sole(member),
            "the publisher knew better",
        );
        self.give(&[member], place, self.is_alone());
    }

    fn broadcast_to_all(&mut self, topic: u32, place: u32) {
        let is_alone = self.is_alone();
        // Taken out, since what one subscriber does must not disturb the walk.
        let subscribers = mem::take(self.topics.subscribers(topic));
        for chunk in subscribers.chunks() {
            self.give(chunk, place, is_alone);
        }
        *self.topics.subscribers(topic) = subscribers;
        self.straighten(topic);
    }

    /// Whether no frame comes before this one or after it that a sink could take with it.
    fn is_alone(&self) -> bool {
        self.is_last && self.due.is_empty()
    }

    #[inline]
    fn give(&mut self, members: &[Member], place: u32, is_alone: bool) {
        if is_alone {
            self.hand_out(members, place);
        } else {
            self.post(members, place);
        }
    }

    /// Puts a frame into the outboxes of `members`.
    #[inline]
    fn post(&mut self, members: &[Member], place: u32) {
        let cost = self.flight[place as usize].cost();
        for &member in members {
            let connection = member.connection();
            let outbox = &mut self.outboxes[connection as usize];
            if !member.takes_detour() && outbox.push(place, cost) {
                if outbox.has_one() {
                    self.due.push(connection);
                }
            } else {
                self.broadcast_slowly(member, place);
            }
        }
    }

    /// Has the sinks of `members` take a frame at once, with what waits before it: no frame follows
    /// that they could take with it. It need not pass through an outbox where none waits.
    fn hand_out(&mut self, members: &[Member], place: u32) {
        let cost = self.flight[place as usize].cost();
        for some in members.chunks(AHEAD) {
            self.warm_tenants(some.iter().map(|member| member.connection()));
            for &member in some {
                let connection = member.connection();
                if !member.takes_detour() && self.outboxes[connection as usize].may_pass(cost) {
                    self.offer_straight(connection, place);
                } else {
                    self.broadcast_slowly(member, place);
                    self.flush_outbox(connection);
                }
            }
        }
    }

    fn broadcast_slowly(&mut self, member: Member, place: u32) {
        if !(member.takes_detour() && self.take_detour(member, place)) {
            self.queue(member, place);
        }
    }

    /// Queues a frame for one subscriber.
    pub(super) fn deliver(&mut self, member: Member, frame: Frame) {
        let place = u32::try_from(self.flight.len()).expect("budgets keep frames far below 2^32");
        self.flight.push(frame);
        self.queue(member, place);
    }

    fn connect(&mut self, connection: u32, tenant: Box<Tenant>, budget: u32) {
        let slot = connection as usize;
        if self.outboxes.len() <= slot {
            self.outboxes.resize_with(slot + 1, Outbox::shut);
        }
        self.outboxes[slot] = Outbox::open(tenant, budget);
    }

    fn open(&mut self, topic: u32, name: Topic) {
        self.topics.open(topic, name);
    }

    fn subscribe(&mut self, topic: u32, member: Member, resumed: Option<Box<Resumed>>) {
        self.topics.subscribers(topic).insert(member);
        let Some(resumed) = resumed else {
            return;
        };
        if let Some(gap) = resumed.gap {
            self.deliver(member, Frame::lost(topic, Missing::of(gap)));
        }
        for message in resumed.messages {
            let frame = Frame::message(topic, message.payload, Some(message.position));
            self.deliver(member, frame);
        }
    }

    fn catch_up(&mut self, topic: u32, member: Member, mailbox: Arc<Mailbox>) {
        self.topics.subscribers(topic).insert(member);
        self.detours.begin(topic, member.connection(), mailbox);
    }

    fn unsubscribe(&mut self, topic: u32, connection: u32) {
        self.topics.subscribers(topic).remove(connection);
        self.detours.end(topic, connection);
        self.forget_queued(topic, connection);
    }

    fn close(&mut self, connection: u32, reason: CloseReason) {
        self.flush(connection);
        self.depart(connection, reason);
        self.vacated_connections.push(connection);
    }

    fn drain(&mut self, window: Duration, seed: u64) {
        let mut rng = fastrand::Rng::with_seed(seed);
        for connection in self.connections() {
            let reason = CloseReason::Draining {
                reconnect_after: window.mul_f64(rng.f64()),
            };
            self.depart_when_empty(connection, reason);
        }
    }

    fn shut(&mut self) {
        for connection in self.connections() {
            self.flush(connection);
            self.depart(connection, CloseReason::HubClosed);
        }
    }

    fn connections(&self) -> impl Iterator<Item = u32> + use<> {
        0..u32::try_from(self.outboxes.len()).unwrap_or(u32::MAX)
    }
}
