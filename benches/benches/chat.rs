//! What a message costs in memory: through the engine, to the inboxes of a group, and to live sessions beside the
//! hub alone.

use std::time::Duration;

use backplane::{
    Topic,
    hub::{Connection, ConnectionOptions, Deliveries, Delivery, Hub, HubOptions, SubscribeOptions},
};
use bench::{Bars, CpuTime, Row};
use bytes::Bytes;
use chat_core::{
    Act, Chat, ChatOptions, ChatParts, ClientId, ConversationId, Device, DeviceId, GroupId,
    NewGroup, Role, Sent, UserId,
    session::{Session, SessionEvent, Sessions},
    sync::Step,
};
use criterion::{BenchmarkId, Criterion, SamplingMode, criterion_group};
use futures::{FutureExt, StreamExt};

const SEND: &str = "chat_send";
const FANOUT: &str = "chat_fanout";
const MEMBERS: u32 = 500;
const SIZES: [u32; 2] = [1_000, 100_000];
const PAIRS: u64 = 10_000;
static BODY: &[u8] = &[7; 128];
const TALK: ConversationId = ConversationId::Group(GroupId::new(1));
const ANN: Device = Device::new(UserId::new(0), DeviceId::new(1));

fn main() -> std::io::Result<()> {
    let mut sends = Bars::new("chat in memory: CPU ns a message, and a recipient of one");
    sends.row(Row::new(SEND, "direct").bar(1_000.0));
    sends.row(Row::new(SEND, "group_of_500").items(MEMBERS).bar(10.0));
    let mut fanouts = Bars::new(
        "chat, sessions of a group: CPU ns a delivery of 128 bytes, from the push to what each session says",
    );
    for size in SIZES {
        let row = |name: &str| Row::new(FANOUT, format!("{name}/{size}")).items(size);
        fanouts.row(row("sessions"));
        fanouts.peer(row("hub_alone"));
    }
    benches();
    sends.print()?;
    fanouts.print()
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(CpuTime::Thread).sample_size(30);
    targets = direct, group, hub_alone, sessions
}

/// The answer of a chat whose stores are in memory, which never waits.
fn now<T>(call: impl Future<Output = chat_core::Result<T>>) -> T {
    let answer = call.now_or_never().expect("memory never waits");
    answer.expect("nothing fails in memory")
}

fn key(number: u64) -> ClientId {
    number.to_string().parse().expect("a short name")
}

fn send(chat: &Chat, from: Device, talk: ConversationId, number: u64) {
    let sent = now(chat.send(from, talk, key(number), Bytes::from_static(BODY)));
    assert!(matches!(sent, Sent::Stored(_)), "{sent:?}");
}

/// Messages of many pairs, each stored, and in both inboxes.
fn direct(criterion: &mut Criterion<CpuTime>) {
    let chat = Chat::in_memory();
    let mut number = 0;
    criterion
        .benchmark_group(SEND)
        .bench_function("direct", |bencher| {
            bencher.iter(|| {
                number += 1;
                let user = UserId::new(number % PAIRS);
                let talk = ConversationId::direct(user, UserId::new(user.get() + PAIRS));
                send(&chat, Device::new(user, DeviceId::new(1)), talk, number);
            });
        });
}

/// A group of `members` beside Ann, of which nothing but the last event is kept.
fn found(chat: &Chat, members: u32) {
    let group = NewGroup::new(GroupId::new(1), Some(ANN.user)).with_limit(members + 1);
    now(chat.found(group)).expect("it is new");
    let mut last = None;
    for number in 1..=u64::from(members) {
        let join = Act::Join {
            user: UserId::new(number),
            role: Role::Member,
        };
        last = now(chat.announce(TALK, None, join)).receipt();
    }
    let last = last.expect("somebody joined").position;
    now(chat.parts().log.trim(TALK, last.offset));
}

/// Messages in a group, each stored, and marked in the inboxes of its members.
fn group(criterion: &mut Criterion<CpuTime>) {
    let mut parts = ChatParts::in_memory();
    parts.options = ChatOptions::default().with_queue_limit(0);
    let chat = Chat::new(parts);
    found(&chat, MEMBERS);
    let mut number = 0;
    criterion
        .benchmark_group(SEND)
        .bench_function("group_of_500", |bencher| {
            bencher.iter(|| {
                number += 1;
                send(&chat, ANN, TALK, number);
            });
        });
}

fn subscriber(hub: &Hub, topic: &Topic) -> (Connection, Deliveries) {
    let (connection, deliveries) = hub
        .connect_stream(&ConnectionOptions::default())
        .expect("there is room");
    let subscribed = connection.subscribe(topic, &SubscribeOptions::default());
    subscribed.expect("there is room");
    (connection, deliveries)
}

/// What the hub takes to bring a message to streams that are read.
fn hub_alone(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group(FANOUT);
    group
        .sampling_mode(SamplingMode::Flat)
        .measurement_time(Duration::from_secs(3));
    for size in SIZES {
        let (hub, topic) = (Hub::new(HubOptions::inline()), "chat:group:1".parse());
        let topic: Topic = topic.expect("a short name");
        let mut streams: Vec<_> = (0..size).map(|_| subscriber(&hub, &topic)).collect();
        while hub.run_once() > 0 {}
        group.bench_function(BenchmarkId::new("hub_alone", size), |bencher| {
            bencher.iter(|| {
                let _ = hub.publish(&topic, Bytes::from_static(BODY));
                while hub.run_once() > 0 {}
                for (_, deliveries) in &mut streams {
                    let delivery = deliveries.next().now_or_never().flatten();
                    assert!(matches!(delivery, Some(Delivery::Message { .. })));
                }
            });
        });
    }
}

fn open(sessions: &Sessions, chat: &Chat, user: u64) -> Session {
    let device = Device::new(UserId::new(user), DeviceId::new(1));
    let mut session = now(sessions.open(chat, device, None));
    while let Some(Some(event)) = session.next().now_or_never() {
        assert!(!matches!(event, SessionEvent::Closed(_)));
    }
    session
}

/// What a message takes to be said by the sessions of a group's members: in order, once, and to those alone who may
/// read it. The message is sent, and stored, beforehand.
fn sessions(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group(FANOUT);
    group
        .sampling_mode(SamplingMode::Flat)
        .measurement_time(Duration::from_secs(3));
    for size in SIZES {
        let hub = Sessions::new(HubOptions::inline());
        let mut parts = ChatParts::in_memory();
        hub.attach(&mut parts);
        let chat = Chat::new(parts);
        found(&chat, size);
        let mut open: Vec<_> = (1..=u64::from(size))
            .map(|user| open(&hub, &chat, user))
            .collect();
        let mut number = 0;
        group.bench_function(BenchmarkId::new("sessions", size), |bencher| {
            bencher.iter(|| {
                number += 1;
                send(&chat, ANN, TALK, number);
                while hub.hub().run_once() > 0 {}
                for session in &mut open {
                    let event = session.next().now_or_never().flatten();
                    let is_next = matches!(event, Some(SessionEvent::Step(_, Step::Next(_))));
                    assert!(is_next, "{event:?}");
                }
            });
        });
    }
}
