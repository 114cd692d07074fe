//! What a device is told by its session.
#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::{sync::Arc, time::Duration};

use backplane::{
    Clock, ManualClock, Position,
    bus::Bus,
    hub::{CloseReason, ConnectionOptions, HubOptions},
    memory::{MemoryBus, MemoryBusOptions},
};
use bytes::Bytes;
use chat_core::{
    Acknowledged, Act, Chat, ChatEvents, ChatOptions, ChatParts, ConversationId, Cursor, Device,
    DeviceId, ErrorKind, Event, GroupId, NewGroup, News, Refusal, Role, TokenKey, UserId, What,
    session::{ResumeToken, Session, SessionEvent, SessionOptions, Sessions},
    sync::Step,
};
use futures::{FutureExt, StreamExt};

const ANN: Device = Device::new(UserId::new(1), DeviceId::new(1));
const BOB: Device = Device::new(UserId::new(2), DeviceId::new(1));
const BOBS_OTHER: Device = Device::new(UserId::new(2), DeviceId::new(2));
const CAT: Device = Device::new(UserId::new(3), DeviceId::new(1));

const TALK: ConversationId = ConversationId::Group(GroupId::new(7));

fn direct() -> ConversationId {
    ConversationId::direct(ANN.user, BOB.user)
}

/// A node with its chat, whose sessions hear what happens when they are asked.
struct Node {
    chat: Chat,
    clock: ManualClock,
    sessions: Sessions,
}

impl Node {
    fn new(options: SessionOptions) -> Self {
        Self::with(Sessions::new(HubOptions::inline()).with_options(options))
    }

    fn with(sessions: Sessions) -> Self {
        let clock = ManualClock::default();
        let mut parts = ChatParts::in_memory_at(Arc::new(clock.clone()));
        sessions.attach(&mut parts);
        Self {
            chat: Chat::new(parts),
            clock,
            sessions,
        }
    }

    async fn open(&self, device: Device, resume: Option<&ResumeToken>) -> Session {
        self.sessions
            .open(&self.chat, device, resume)
            .await
            .unwrap()
    }

    /// A session of a device that has heard all that there was.
    async fn caught(&self, device: Device) -> (Session, ResumeToken) {
        let mut session = self.open(device, None).await;
        let heard = self.hear(&mut session);
        let Some(SessionEvent::Caught(token)) = heard.last() else {
            panic!("{heard:?}");
        };
        (session, *token)
    }

    /// All that a session says until it has nothing more to say.
    fn hear(&self, session: &mut Session) -> Vec<SessionEvent> {
        let mut heard = Vec::new();
        loop {
            while self.sessions.hub().run_once() > 0 {}
            match session.next().now_or_never() {
                Some(Some(event)) => heard.push(event),
                Some(None) | None => return heard,
            }
        }
    }

    async fn found(&self) {
        let group = NewGroup::new(GroupId::new(7), Some(ANN.user)).with_members([BOB.user]);
        self.chat.found(group).await.unwrap().unwrap();
    }

    async fn say(&self, from: Device, talk: ConversationId, text: &str) -> Position {
        let key = text.parse().unwrap();
        let sent = self.chat.send(from, talk, key, text.to_owned()).await;
        sent.unwrap().receipt().unwrap().position
    }

    async fn act(&self, from: Device, key: &str, act: Act) -> Position {
        let sent = self.chat.act(from, TALK, key.parse().unwrap(), act).await;
        sent.unwrap().receipt().unwrap().position
    }
}

/// What was said, of what was heard, in order.
fn said(heard: &[SessionEvent]) -> Vec<String> {
    let events = heard.iter().filter_map(|event| match event {
        SessionEvent::Step(_, Step::Next(frame)) => Some(frame.event().unwrap()),
        _ => None,
    });
    let bodies = events.filter_map(|event| match event.what {
        What::Message(message) => Some(message.body),
        _ => None,
    });
    let text = |body: Bytes| String::from_utf8(body.to_vec()).unwrap();
    bodies.map(text).collect()
}

#[tokio::test]
async fn all_devices_of_both_users_hear_what_is_said() {
    let node = Node::new(SessionOptions::default());
    let mut sessions = Vec::new();
    for device in [ANN, BOB, BOBS_OTHER, CAT] {
        sessions.push(node.caught(device).await.0);
    }
    for text in ["a", "b", "c"] {
        node.say(ANN, direct(), text).await;
    }
    let heard: Vec<_> = sessions
        .iter_mut()
        .map(|session| said(&node.hear(session)))
        .collect();
    let all = vec!["a", "b", "c"];
    assert_eq!(heard, [all.clone(), all.clone(), all, vec![]]);
}

#[tokio::test]
async fn a_device_that_resumes_is_told_what_it_missed_and_nothing_else() {
    let node = Node::new(SessionOptions::default());
    node.found().await;
    node.say(ANN, direct(), "a").await;
    let at = node.say(ANN, TALK, "b").await;
    let (session, token) = node.caught(BOB).await;
    let noted = node.chat.acknowledge(BOB, TALK, Cursor::Received, at).await;
    assert_eq!(noted.unwrap(), Acknowledged::Moved);
    drop(session);
    for text in ["c", "d"] {
        node.say(ANN, TALK, text).await;
    }
    let mut session = node.open(BOB, Some(&token)).await;
    assert_eq!(said(&node.hear(&mut session)), ["c", "d"]);
    node.say(ANN, direct(), "e").await;
    node.say(ANN, TALK, "f").await;
    assert_eq!(said(&node.hear(&mut session)), ["e", "f"]);
}

#[tokio::test]
async fn a_conversation_that_a_device_never_acknowledged_is_told_anew() {
    let node = Node::new(SessionOptions::default());
    node.say(ANN, direct(), "a").await;
    let (session, token) = node.caught(BOB).await;
    drop(session);
    node.say(ANN, direct(), "b").await;
    let mut session = node.open(BOB, Some(&token)).await;
    let heard = node.hear(&mut session);
    let SessionEvent::Step(talk, Step::Reset) = heard[0] else {
        panic!("{heard:?}");
    };
    assert_eq!(
        (talk, said(&heard)),
        (direct(), vec!["a".to_owned(), "b".to_owned()])
    );
}

#[tokio::test]
async fn a_token_is_refused_for_another_device_and_by_another_service() {
    let node = Node::new(SessionOptions::default());
    let (_session, token) = node.caught(BOB).await;
    let other = Node::new(SessionOptions::default().with_key(TokenKey::new([1; 32])));
    for (node, device) in [(&node, BOBS_OTHER), (&node, CAT), (&other, BOB)] {
        let refused = node.sessions.open(&node.chat, device, Some(&token)).await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::ForeignToken);
    }
}

#[tokio::test]
async fn a_slow_device_loses_its_session_and_no_message() {
    let connection = ConnectionOptions::default()
        .with_budget(1_000)
        .with_window(500);
    let node = Node::new(SessionOptions::default().with_connection(connection));
    let (mut session, token) = node.caught(BOB).await;
    let texts: Vec<_> = (0..100).map(|number| number.to_string()).collect();
    for text in &texts {
        node.say(ANN, direct(), text).await;
        node.sessions.hub().run_once();
    }
    let mut heard = node.hear(&mut session);
    let closed = SessionEvent::Closed(CloseReason::SlowConsumer);
    assert_eq!(heard.pop(), Some(closed));
    assert_eq!(session.next().await, None);
    let in_time = said(&heard);
    assert_eq!(in_time, texts[..in_time.len()]);

    let mut session = node.open(BOB, Some(&token)).await;
    assert_eq!(said(&node.hear(&mut session)), texts);
}

#[tokio::test]
async fn pushes_that_come_while_history_is_read_are_told_once_and_in_their_place() {
    let node = Node::new(SessionOptions::default());
    let texts: Vec<_> = (0..500).map(|number| number.to_string()).collect();
    for text in &texts[..300] {
        node.say(ANN, direct(), text).await;
    }
    let options = SessionOptions::default().with_most(u64::MAX);
    let sessions = node.sessions.clone().with_options(options);
    let mut session = sessions.open(&node.chat, BOB, None).await.unwrap();
    let mut heard = Vec::new();
    for text in &texts[300..] {
        node.say(ANN, direct(), text).await;
        while node.sessions.hub().run_once() > 0 {}
        heard.extend(session.next().now_or_never().flatten());
    }
    heard.extend(node.hear(&mut session));
    assert_eq!(said(&heard), texts);
}

#[tokio::test]
async fn who_has_left_hears_nothing_more_also_of_what_was_on_its_way() {
    let node = Node::new(SessionOptions::default());
    node.found().await;
    let (mut session, _) = node.caught(BOB).await;
    let (mut ann, _) = node.caught(ANN).await;
    // The push of his leaving comes last.
    let parts = node.chat.parts().clone();
    let silent = Chat::new(ChatParts {
        events: Vec::new(),
        ..parts
    });
    let leave = Act::Leave { user: BOB.user };
    let sent = silent
        .act(BOB, TALK, "bye".parse().unwrap(), leave.clone())
        .await;
    let left = sent.unwrap().receipt().unwrap();
    node.say(ANN, TALK, "secret").await;
    let what = What::Leave { user: BOB.user };
    let offset = left.position.offset;
    let events = [Event::new(offset, left.id, left.at, Some(BOB), None, what)];
    let news = News::new(TALK, left.position.epoch, (offset, offset), &events);
    node.sessions.happened(&news).await.unwrap();

    let heard = node.hear(&mut session);
    let SessionEvent::Step(_, Step::Next(last)) = heard.last().unwrap() else {
        panic!("{heard:?}");
    };
    assert_eq!((last.position(), said(&heard)), (left.position, vec![]));
    assert_eq!(said(&node.hear(&mut ann)), ["secret"]);
}

#[tokio::test]
async fn who_comes_hears_what_is_said_from_then_on() {
    let node = Node::new(SessionOptions::default());
    node.found().await;
    node.say(ANN, TALK, "before").await;
    let (mut session, _) = node.caught(CAT).await;
    for turn in ["1", "2"] {
        let join = Act::Join {
            user: CAT.user,
            role: Role::Member,
        };
        node.act(ANN, &format!("join {turn}"), join).await;
        let first = node.hear(&mut session);
        assert_eq!(said(&first), Vec::<String>::new());
        node.say(ANN, TALK, &format!("hello {turn}")).await;
        assert_eq!(said(&node.hear(&mut session)), [format!("hello {turn}")]);
        let leave = Act::Leave { user: CAT.user };
        node.act(CAT, &format!("leave {turn}"), leave).await;
        node.say(ANN, TALK, &format!("again {turn}")).await;
        assert_eq!(said(&node.hear(&mut session)), Vec::<String>::new());
    }
}

#[tokio::test]
async fn what_is_read_on_one_device_is_known_to_the_other_and_to_who_said_it() {
    let node = Node::new(SessionOptions::default());
    let (mut ann, _) = node.caught(ANN).await;
    let (mut other, _) = node.caught(BOBS_OTHER).await;
    let to = node.say(ANN, direct(), "a").await;
    node.hear(&mut ann);
    node.hear(&mut other);
    for cursor in [Cursor::Received, Cursor::Read] {
        let noted = node.chat.acknowledge(BOB, direct(), cursor, to).await;
        assert_eq!(noted.unwrap(), Acknowledged::Moved);
    }
    let receipt = |cursor| SessionEvent::Receipt {
        conversation: direct(),
        user: BOB.user,
        cursor,
        to,
    };
    let receipts = [Cursor::Received, Cursor::Read].map(receipt);
    assert_eq!(node.hear(&mut ann), receipts);
    let read = SessionEvent::Step(direct(), Step::Read(to));
    assert_eq!(node.hear(&mut other), [read]);
}

#[tokio::test]
async fn signals_reach_who_shows_the_conversation_and_are_not_stored() {
    let node = Node::new(SessionOptions::default());
    node.found().await;
    let (mut bob, token) = node.caught(BOB).await;
    let (mut other, _) = node.caught(BOBS_OTHER).await;
    bob.show(&[TALK]);
    for talk in [TALK, direct()] {
        let told = node.sessions.signal(&node.chat, ANN, talk, "typing").await;
        assert_eq!(told.unwrap(), None);
        // What a device says itself it does not hear.
        let told = node.sessions.signal(&node.chat, BOB, talk, "mine").await;
        assert_eq!(told.unwrap(), None);
    }
    let signal = |conversation, from, body: &'static str| SessionEvent::Signal {
        conversation,
        from,
        body: body.into(),
    };
    let typing = [TALK, direct()].map(|talk| signal(talk, ANN, "typing"));
    assert_eq!(node.hear(&mut bob), typing);
    let to_other = [
        signal(direct(), ANN, "typing"),
        signal(direct(), BOB, "mine"),
    ];
    assert_eq!(node.hear(&mut other), to_other);
    bob.show(&[]);
    let told = node.sessions.signal(&node.chat, ANN, TALK, "typing").await;
    assert_eq!((told.unwrap(), node.hear(&mut bob)), (None, vec![]));

    drop(bob);
    let mut again = node.open(BOB, Some(&token)).await;
    let heard = node.hear(&mut again);
    assert!(matches!(heard[..], [SessionEvent::Caught(_)]), "{heard:?}");
}

#[tokio::test]
async fn who_is_not_in_a_conversation_neither_signals_there_nor_hears() {
    let node = Node::new(SessionOptions::default());
    node.found().await;
    let (mut cat, _) = node.caught(CAT).await;
    cat.show(&[TALK, direct()]);
    for talk in [TALK, direct(), ConversationId::Group(GroupId::new(99))] {
        let told = node.sessions.signal(&node.chat, CAT, talk, "typing").await;
        assert_eq!(told.unwrap(), Some(Refusal::NotMember));
        let told = node.sessions.signal(&node.chat, ANN, talk, "typing").await;
        let is_ann_in = talk != ConversationId::Group(GroupId::new(99));
        assert_eq!(told.unwrap().is_none(), is_ann_in);
    }
    assert_eq!(node.hear(&mut cat), []);
    let long = vec![0; 1 + Sessions::MAX_SIGNAL];
    let refused = node.sessions.signal(&node.chat, ANN, TALK, long).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::OversizedBody);
}

#[tokio::test]
async fn signals_end_no_session_of_a_device_that_does_not_listen() {
    let connection = ConnectionOptions::default()
        .with_budget(1_000)
        .with_window(500);
    let node = Node::new(SessionOptions::default().with_connection(connection));
    let (mut session, _) = node.caught(BOB).await;
    for number in 0..100 {
        let told = node
            .sessions
            .signal(&node.chat, ANN, direct(), number.to_string());
        assert_eq!(told.await.unwrap(), None);
        node.sessions.hub().run_once();
    }
    let heard = node.hear(&mut session);
    assert!((1..100).contains(&heard.len()), "{}", heard.len());
    node.say(ANN, direct(), "a").await;
    assert_eq!(said(&node.hear(&mut session)), ["a"]);
}

#[tokio::test]
async fn what_no_push_brings_is_found_by_and_by() {
    let node = Node::new(SessionOptions::default());
    let (mut session, token) = node.caught(BOB).await;
    let parts = node.chat.parts().clone();
    let silent = Chat::new(ChatParts {
        events: Vec::new(),
        ..parts
    });
    silent
        .send(ANN, direct(), "a".parse().unwrap(), "a")
        .await
        .unwrap()
        .receipt()
        .unwrap();
    assert_eq!(node.hear(&mut session), []);
    node.clock.advance(Duration::from_secs(60));
    let heard = node.hear(&mut session);
    assert_eq!(said(&heard), ["a"]);
    let Some(SessionEvent::Caught(newer)) = heard.last() else {
        panic!("{heard:?}");
    };
    assert_ne!(*newer, token);
}

#[tokio::test]
async fn devices_are_told_when_to_come_again_when_their_node_drains() {
    let node = Node::new(SessionOptions::default());
    let (mut session, _) = node.caught(BOB).await;
    node.sessions.hub().drain(Duration::from_secs(10));
    let heard = node.hear(&mut session);
    let [
        SessionEvent::Closed(CloseReason::Draining {
            reconnect_after, ..
        }),
    ] = heard[..]
    else {
        panic!("{heard:?}");
    };
    assert!(reconnect_after <= Duration::from_secs(10));
    let refused = node.sessions.open(&node.chat, BOB, None).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Closed);
}

#[tokio::test]
async fn a_device_of_another_node_hears_what_is_said_here() {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::default());
    let bus = MemoryBus::new(MemoryBusOptions::default(), Arc::clone(&clock));
    let across = || {
        let bus: Arc<dyn Bus> = Arc::new(bus.node());
        Sessions::across(bus, Arc::clone(&clock), HubOptions::inline())
    };
    let (here, there) = (across(), across());
    let mut parts = ChatParts::in_memory_at(Arc::clone(&clock));
    parts.options = ChatOptions::default();
    let mut theirs = parts.clone();
    here.attach(&mut parts);
    there.attach(&mut theirs);
    let (chat, theirs) = (Chat::new(parts), Chat::new(theirs));

    let script = async {
        let settle = async || {
            for _ in 0..50 {
                tokio::task::yield_now().await;
                while there.hub().run_once() + here.hub().run_once() > 0 {}
            }
        };
        let mut session = there.open(&theirs, BOB, None).await.unwrap();
        let first = session.next().await.unwrap();
        assert!(matches!(first, SessionEvent::Caught(_)));
        let long = "x".repeat(64 << 10);
        for (key, text) in [("a", "a"), ("b", &long), ("c", "c")] {
            let sent = chat
                .send(ANN, direct(), key.parse().unwrap(), text.to_owned())
                .await;
            sent.unwrap().receipt().unwrap();
        }
        let mut heard = Vec::new();
        while said(&heard).len() < 3 {
            settle().await;
            heard.extend(session.next().now_or_never().flatten());
        }
        assert_eq!(said(&heard), ["a", &long, "c"]);
    };
    futures::select! {
        ended = here.run().fuse() => panic!("{ended:?}"),
        ended = there.run().fuse() => panic!("{ended:?}"),
        () = script.fuse() => {}
    }
}
