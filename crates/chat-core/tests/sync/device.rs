use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use chat_core::{
    ConversationId, DeviceId, Event, START, Seek, UserId, Viewer, What,
    sync::{ClientSync, ClientSyncOptions, Step, SyncRequest},
};

use super::server::{Push, Server, talks};

/// A device, its way to the server, and what it shows.
pub(super) struct Device {
    me: chat_core::Device,
    options: ClientSyncOptions,
    sync: ClientSync,
    now: Duration,
    is_connected: bool,
    on_their_way: Vec<Push>,
    asked: Option<SyncRequest>,
    screens: BTreeMap<ConversationId, Screen>,
}

#[derive(Default)]
struct Screen {
    events: BTreeMap<u64, Event>,
    /// Places that are left out, and whether they are retained.
    jumps: Vec<(u64, u64, bool)>,
    last: u64,
}

impl Device {
    pub(super) fn new(user: UserId, number: usize, most: u64) -> Self {
        let options = ClientSyncOptions::default()
            .with_seed(number as u64)
            .with_most(most);
        let options = options.with_limit(3).with_conversations(1);
        Self {
            me: chat_core::Device::new(user, DeviceId::new(number as u64)),
            sync: ClientSync::new(options.clone()),
            options,
            now: Duration::ZERO,
            is_connected: false,
            on_their_way: Vec::new(),
            asked: None,
            screens: BTreeMap::new(),
        }
    }

    pub(super) const fn user(&self) -> UserId {
        self.me.user
    }

    pub(super) fn acknowledge(&self, server: &Server) {
        server.acknowledge(self.me, self.sync.positions());
    }

    pub(super) fn connect(&mut self) {
        if !self.is_connected {
            self.is_connected = true;
            self.sync.connected(self.now);
        }
    }

    pub(super) fn disconnect(&mut self) {
        self.is_connected = false;
        self.on_their_way.clear();
        self.asked = None;
        self.sync.disconnected();
    }

    pub(super) fn restart(&mut self) {
        self.disconnect();
        let (inbox, positions) = (self.sync.inbox(), self.sync.positions().collect::<Vec<_>>());
        self.sync = ClientSync::new(self.options.clone()).resuming(inbox, positions);
    }

    pub(super) fn send(&mut self, push: Push) {
        if self.is_connected {
            self.on_their_way.push(push);
        }
    }

    pub(super) fn deliver(&mut self, index: usize, twice: bool) {
        let Some(push) = self.on_their_way.get(index).cloned() else {
            return;
        };
        if !twice {
            self.on_their_way.remove(index);
        }
        let mut steps = Vec::new();
        self.sync
            .pushed(self.now, push.talk, push.epoch, push.event, &mut steps);
        self.show(steps);
    }

    pub(super) fn lose(&mut self, index: usize) {
        if index < self.on_their_way.len() {
            self.on_their_way.remove(index);
        }
    }

    pub(super) fn wait(&mut self, time: Duration) {
        self.now += time;
    }

    pub(super) fn ask(&mut self) {
        if let Some(request) = self.sync.poll(self.now) {
            assert!(self.asked.is_none(), "one question at a time");
            self.asked = Some(request);
        }
    }

    pub(super) fn answer(&mut self, server: &Server) {
        if let Some(request) = self.asked.take() {
            let mut steps = Vec::new();
            let batch = server.answer(self.me, &request);
            self.sync.answered(self.now, batch, &mut steps);
            self.show(steps);
        }
    }

    pub(super) fn fail(&mut self) {
        if self.asked.take().is_some() {
            self.sync.failed(self.now);
        }
    }

    /// Connects, and asks and is answered until nothing is left to ask, also after a while in which it
    /// hears nothing.
    pub(super) fn settle(&mut self, server: &Server) {
        self.connect();
        self.on_their_way.clear();
        self.answer(server);
        for _ in 0..1_000 {
            self.now = self.sync.next_poll().unwrap_or(self.now).max(self.now);
            self.ask();
            let is_check = self
                .asked
                .as_ref()
                .is_some_and(|request| request.have.is_empty());
            let before = self.sync.inbox();
            self.answer(server);
            if is_check && self.sync.is_settled(self.now) && self.sync.inbox() == before {
                return;
            }
        }
        panic!("it never has enough: {:?}", self.sync);
    }

    fn show(&mut self, steps: Vec<(ConversationId, Step)>) {
        for (talk, step) in steps {
            let screen = self.screens.entry(talk).or_default();
            match step {
                Step::Next(event) => screen.show(event, self.me.user),
                Step::Jump {
                    from,
                    until,
                    is_retained,
                } => {
                    assert!(from > screen.last);
                    screen.last = until;
                    let from = if is_retained { 1 } else { from };
                    screen.events.retain(|seq, _| *seq < from);
                    screen.jumps.push((from, until, is_retained));
                }
                Step::Reset => *screen = Screen::default(),
                Step::Refused(_) | Step::Read(_) => {}
            }
        }
    }

    /// Compares what the device shows with what its user may read.
    pub(super) fn check(&self, server: &Server) {
        for talk in talks() {
            let viewer = Viewer::User(self.me.user);
            let expected = server.read(talk, viewer, Seek::After(START), usize::MAX);
            let none = Screen::default();
            let screen = self.screens.get(&talk).unwrap_or(&none);
            let first = expected.first().map_or(u64::MAX, |event| event.seq);
            // What is retained is left out only where it is too much.
            assert!(
                self.options.most < u64::MAX
                    || screen.jumps.iter().all(|(.., is_retained)| !is_retained)
            );
            let is_left_out = |seq| {
                let mut jumps = screen.jumps.iter();
                jumps.any(|(from, until, _)| (*from..=*until).contains(&seq))
            };
            // A deletion after a user has left is not told to the devices that hold the message.
            let readable: BTreeSet<_> = expected.iter().map(|event| event.seq).collect();
            let is_out_of_sight = |event: &&Event| matches!(event.what, What::Deleted { by } if !readable.contains(&by));
            let gone: BTreeSet<_> = expected
                .iter()
                .filter(is_out_of_sight)
                .map(|event| event.seq)
                .collect();
            let is_compared = |event: &&Event| {
                event.seq >= first && !gone.contains(&event.seq) && !is_left_out(event.seq)
            };
            let expected: Vec<_> = expected.iter().filter(is_compared).map(plain).collect();
            let shown: Vec<_> = screen
                .events
                .values()
                .filter(is_compared)
                .map(plain)
                .collect();
            assert_eq!(shown, expected, "{:?} in {talk}", self.me);
        }
    }
}

/// An event but for what depends on when it was read: an edit of a message that is deleted later says
/// something until then.
fn plain(event: &Event) -> Event {
    let mut event = event.clone();
    if let What::Edit { body, .. } = &mut event.what {
        *body = None;
    }
    event
}

impl Screen {
    /// Shows the next event, which may leave out what the user may not read.
    fn show(&mut self, event: Event, user: UserId) {
        assert!(event.seq > self.last, "{} after {}", event.seq, self.last);
        self.last = event.seq;
        if let Some(held) = event
            .target()
            .and_then(|target| self.events.get_mut(&target.seq))
        {
            held.amend(&event, user);
        }
        self.events.insert(event.seq, event);
    }
}
