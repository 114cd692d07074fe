use std::time::Duration;

use chat_core::{
    ConversationId, DeviceId, UserId,
    sync::{ClientSync, ClientSyncOptions, Step, SyncRequest},
};

use super::{
    screen::Screens,
    server::{Push, Server},
};

/// A device, its way to the server, and what it shows.
pub(super) struct Device {
    me: chat_core::Device,
    options: ClientSyncOptions,
    sync: ClientSync,
    now: Duration,
    is_connected: bool,
    on_their_way: Vec<Push>,
    asked: Option<SyncRequest>,
    screens: Screens,
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
            screens: Screens::default(),
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
            self.screens.show(talk, step, self.me.user);
        }
    }

    /// Compares what the device shows with what its user may read.
    pub(super) fn check(&self, server: &Server) {
        self.screens.check(server, self.me.user, self.options.most);
    }
}
