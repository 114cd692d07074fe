//! Servers that die and drain, and devices that go on at another.
#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::{sync::Arc, time::Duration};

use backplane::{
    Clock, ManualClock,
    bus::Bus,
    directory::{DirectoryOptions, Incarnation, Joined, Node, NodeChange, NodeState},
    hub::{CloseReason, HubOptions},
    memory::{MemoryBus, MemoryBusOptions, MemoryDirectory},
};
use chat_core::{
    Chat, ChatParts, ConversationId, Cursor, Device, DeviceId, TokenKey, UserId, What,
    placement::{NotAdmitted, Ticket, choose},
    session::{ResumeToken, Session, SessionEvent, SessionOptions, Sessions},
    sync::Step,
};
use fastrand::Rng;
use futures::{FutureExt, StreamExt};

const ANN: Device = Device::new(UserId::new(1), DeviceId::new(1));
const BOB: Device = Device::new(UserId::new(2), DeviceId::new(1));
const LEASE: Duration = Duration::from_secs(15);
const KEY: TokenKey = TokenKey::new([7; 32]);

/// One chat at two servers.
struct Service {
    clock: ManualClock,
    directory: MemoryDirectory,
    servers: [(Sessions, Chat); 2],
}

const NAMES: [&str; 2] = ["a", "b"];

impl Service {
    fn new() -> Self {
        let clock = ManualClock::default();
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let bus = MemoryBus::new(MemoryBusOptions::default(), Arc::clone(&shared));
        let parts = ChatParts::in_memory_at(Arc::clone(&shared));
        let servers = NAMES.map(|_| {
            let node: Arc<dyn Bus> = Arc::new(bus.node());
            let sessions = Sessions::across(node, Arc::clone(&shared), HubOptions::inline());
            let sessions = sessions.with_options(SessionOptions::default().with_key(KEY));
            let mut parts = parts.clone();
            sessions.attach(&mut parts);
            (sessions, Chat::new(parts))
        });
        Self {
            directory: MemoryDirectory::new(shared, DirectoryOptions::default()),
            clock,
            servers,
        }
    }

    fn join(&self, name: &str) -> backplane::directory::Membership {
        let node = Node::new(name, Incarnation::new(1), name).with_weight(9);
        match self.directory.join("chat", node, LEASE).unwrap() {
            Joined::Member(membership) => membership,
            refused => panic!("{refused:?}"),
        }
    }

    /// To which server a device is sent.
    fn place(&self) -> usize {
        let view = self.directory.members("chat").unwrap();
        let chosen = choose(&view, "", &mut Rng::with_seed(1)).unwrap();
        let expires = self.clock.now().saturating_add(LEASE);
        let ticket = Ticket::sign(&KEY, BOB, &chosen.name, expires);
        let there = NAMES
            .iter()
            .position(|name| *name == &*chosen.name)
            .unwrap();
        let admit = |name| ticket.admit(&KEY, BOB, name, self.clock.now());
        assert_eq!(admit(NAMES[there]), Ok(()));
        assert_eq!(admit(NAMES[1 - there]), Err(NotAdmitted::Foreign));
        there
    }

    async fn open(&self, server: usize, resume: Option<&ResumeToken>) -> Session {
        let (sessions, chat) = &self.servers[server];
        sessions.open(chat, BOB, resume).await.unwrap()
    }

    /// All that a session says for a while, which its device stores.
    async fn hear(&self, session: &mut Session) -> Vec<SessionEvent> {
        let mut heard = Vec::new();
        for _ in 0..100 {
            tokio::task::yield_now().await;
            for (sessions, _) in &self.servers {
                while sessions.hub().run_once() > 0 {}
            }
            let event = session.next().now_or_never().flatten();
            if let Some(SessionEvent::Step(talk, Step::Next(frame))) = &event {
                let (_, chat) = &self.servers[0];
                let noted = chat.acknowledge(BOB, *talk, Cursor::Received, frame.position());
                noted.await.unwrap();
            }
            heard.extend(event);
        }
        heard
    }

    async fn say(&self, server: usize, text: &'static str) {
        let talk = ConversationId::direct(ANN.user, BOB.user);
        let (_, chat) = &self.servers[server];
        let sent = chat.send(ANN, talk, text.parse().unwrap(), text).await;
        sent.unwrap().receipt().unwrap();
    }

    /// Runs `script` while what is said goes from server to server.
    async fn run(&self, script: impl Future<Output = ()>) {
        let [(a, _), (b, _)] = &self.servers;
        futures::select! {
            ended = a.run().fuse() => panic!("{ended:?}"),
            ended = b.run().fuse() => panic!("{ended:?}"),
            () = std::pin::pin!(script.fuse()) => {}
        }
    }
}

fn said(heard: &[SessionEvent]) -> Vec<String> {
    let events = heard.iter().filter_map(|event| match event {
        SessionEvent::Step(_, Step::Next(frame)) => Some(frame.event().unwrap().what),
        _ => None,
    });
    let bodies = events.filter_map(|what| match what {
        What::Message(message) => Some(message.body.to_vec()),
        _ => None,
    });
    bodies
        .map(|body| String::from_utf8(body).unwrap())
        .collect()
}

fn token(heard: &[SessionEvent]) -> ResumeToken {
    let tokens = heard.iter().filter_map(|event| match event {
        SessionEvent::Caught(token) => Some(*token),
        _ => None,
    });
    tokens.last().unwrap()
}

#[tokio::test]
async fn a_device_whose_server_died_goes_on_at_another() {
    let service = Service::new();
    service
        .run(async {
            let _a = service.join("a");
            assert_eq!(service.place(), 0);
            let mut session = service.open(0, None).await;
            service.say(1, "first").await;
            let heard = service.hear(&mut session).await;
            assert_eq!(said(&heard), ["first"]);
            let token = token(&heard);

            // It dies, and says so to nobody.
            drop(session);
            service.say(1, "while away").await;
            let _b = service.join("b");
            service.clock.advance(LEASE);
            let _again = service.join("b");
            assert_eq!(service.place(), 1);
            let mut session = service.open(1, Some(&token)).await;
            assert_eq!(said(&service.hear(&mut session).await), ["while away"]);
            service.say(1, "last").await;
            assert_eq!(said(&service.hear(&mut session).await), ["last"]);
        })
        .await;
}

#[tokio::test]
async fn devices_are_sent_away_from_a_server_that_drains_and_lose_nothing() {
    let service = Service::new();
    service
        .run(async {
            let (a, _b) = (service.join("a"), service.join("b"));
            let mut session = service.open(0, None).await;
            let token = token(&service.hear(&mut session).await);

            let draining = [NodeChange::State(NodeState::Draining)];
            service.directory.update(&a, &draining);
            assert_eq!(service.place(), 1);
            // What is sent at a server that drains is told like everything.
            service.say(0, "late").await;
            service.servers[0].0.hub().drain(Duration::from_secs(60));
            let heard = service.hear(&mut session).await;
            let Some(SessionEvent::Closed(CloseReason::Draining { .. })) = heard.last() else {
                panic!("{heard:?}");
            };
            service.say(0, "later").await;
            let mut session = service.open(1, Some(&token)).await;
            let after = service.hear(&mut session).await;
            let all = [said(&heard), said(&after)].concat();
            assert!(all.ends_with(&["later".to_owned()]), "{all:?}");
            assert!(all.contains(&"late".to_owned()), "{all:?}");
        })
        .await;
}
