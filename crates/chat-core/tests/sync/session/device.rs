use std::collections::BTreeMap;

use backplane::Position;
use chat_core::{
    ConversationId, Cursor, DeviceId, UserId,
    session::{Frame, ResumeToken, Session, SessionEvent, Sessions},
    sync::Step,
};
use futures::{FutureExt, StreamExt};

use crate::{
    screen::Screens,
    server::{Server, now},
};

/// A device with a session, or without, and what it shows.
pub(super) struct Device {
    me: chat_core::Device,
    session: Option<Session>,
    shown: Shown,
    /// What it has after a restart.
    stored: Shown,
}

#[derive(Clone, Default)]
struct Shown {
    screens: Screens,
    at: BTreeMap<ConversationId, Position>,
    token: Option<ResumeToken>,
}

impl Device {
    pub(super) fn new(user: UserId, number: usize) -> Self {
        Self {
            me: chat_core::Device::new(user, DeviceId::new(number as u64)),
            session: None,
            shown: Shown::default(),
            stored: Shown::default(),
        }
    }

    pub(super) fn connect(&mut self, sessions: &Sessions, server: &Server) {
        if self.session.is_some() {
            return;
        }
        let token = self.shown.token;
        if token.is_none() {
            self.shown = Shown::default();
        }
        let session = sessions.open(&server.chat, self.me, token.as_ref());
        self.session = Some(now(session));
    }

    pub(super) fn disconnect(&mut self) {
        self.session = None;
    }

    pub(super) fn restart(&mut self) {
        self.disconnect();
        self.shown = self.stored.clone();
    }

    /// Stores what it shows, and says so.
    pub(super) fn acknowledge(&mut self, server: &Server) {
        self.stored = self.shown.clone();
        if self.stored.token.is_none() {
            return; // it begins anew after a restart
        }
        for (talk, at) in &self.stored.at {
            let noted = server
                .chat
                .acknowledge(self.me, *talk, Cursor::Received, *at);
            let _ = now(noted);
        }
    }

    /// Shows up to so many things that its session has for it. Returns whether there were as many.
    pub(super) fn hear(&mut self, most: usize, sessions: &Sessions) -> bool {
        for _ in 0..most {
            while sessions.hub().run_once() > 0 {}
            let Some(session) = &mut self.session else {
                return false;
            };
            let Some(event) = session.next().now_or_never() else {
                return false;
            };
            match event.expect("it does not end by itself") {
                SessionEvent::Anew => self.shown = Shown::default(),
                SessionEvent::Step(talk, step) => self.show(talk, step),
                SessionEvent::Caught(token) => {
                    self.shown.token = Some(token);
                }
                SessionEvent::Receipt { .. } => {}
                event => panic!("{event:?}"),
            }
        }
        true
    }

    fn show(&mut self, talk: ConversationId, step: Step<Frame>) {
        let last = self.shown.screens.last(talk);
        let step = match step {
            Step::Next(frame) => {
                let position = frame.position();
                if position.offset <= last {
                    return; // it comes again
                }
                self.shown.at.insert(talk, position);
                Step::Next(frame.event().unwrap())
            }
            Step::Jump {
                from,
                until,
                is_retained,
            } => {
                if until <= last {
                    return;
                }
                Step::Jump {
                    from: from.max(last + 1),
                    until,
                    is_retained,
                }
            }
            Step::Reset => {
                self.shown.at.remove(&talk);
                Step::Reset
            }
            Step::Refused(refusal) => Step::Refused(refusal),
            Step::Read(to) => Step::Read(to),
        };
        self.shown.screens.show(talk, step, self.me.user);
    }

    pub(super) fn check(&self, server: &Server, most: u64) {
        self.shown.screens.check(server, self.me.user, most);
    }
}
