//! Who is notified of what was said while they were away, and who is not.
#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use backplane::{
    Clock, ManualClock, Position,
    directory::Incarnation,
    memory::MemoryQueue,
    queue::{NewTask, QueueOptions, TaskQueue},
};
use chat_core::{
    Act, Chat, ChatEvents, ChatParts, ConversationId, Cursor, Device, DeviceId, Error, ErrorKind,
    Event, GroupId, MemoryPresence, MemoryPresenceOptions, Message, MessageRef, NewGroup, News,
    Receipt, Result, Role, UserId, What,
    offline::{Offline, OfflineNotice, OfflineOptions, OfflineSink, Wish, Wishes},
    presence::{Mode, NodeJoined, NodeLease, PresenceState, Report, Setting, Status},
};

const ANN: Device = Device::new(UserId::new(1), DeviceId::new(1));
const BOB: Device = Device::new(UserId::new(2), DeviceId::new(1));
const CAT: Device = Device::new(UserId::new(3), DeviceId::new(1));
const GROUP: GroupId = GroupId::new(7);
const TALK: ConversationId = ConversationId::Group(GROUP);
const PATIENCE: Duration = Duration::from_secs(60);

fn direct() -> ConversationId {
    ConversationId::direct(ANN.user, BOB.user)
}

/// Notes who was notified of what, unless it is to fail.
#[derive(Debug, Default)]
struct Sink {
    notified: Mutex<Vec<(UserId, Position)>>,
    fails: AtomicBool,
}

#[async_trait]
impl OfflineSink for Sink {
    async fn notify(&self, notices: &[OfflineNotice]) -> Result<()> {
        if self.fails.load(Ordering::Relaxed) {
            return Err(Error::bare(ErrorKind::Unavailable, "notify"));
        }
        let notices = notices.iter().map(|notice| (notice.user, notice.position));
        self.notified.lock().unwrap().extend(notices);
        Ok(())
    }
}

/// What users wish, whatever is said.
#[derive(Debug)]
struct Wished(Wish);

#[async_trait]
impl Wishes for Wished {
    async fn wishes(&self, _: ConversationId, _: &Event, users: &[UserId]) -> Result<Vec<Wish>> {
        Ok(vec![self.0; users.len()])
    }
}

struct World {
    chat: Chat,
    offline: Offline,
    sink: Arc<Sink>,
    presence: Arc<MemoryPresence>,
    lease: NodeLease,
    queue: Arc<MemoryQueue>,
    clock: ManualClock,
}

impl World {
    fn new() -> Self {
        Self::with(Wish::Notify, QueueOptions::default())
    }

    fn with(wish: Wish, queue: QueueOptions) -> Self {
        let clock = ManualClock::default();
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let presence = MemoryPresence::new(Arc::clone(&shared), MemoryPresenceOptions::default());
        let queue = Arc::new(MemoryQueue::new(Arc::clone(&shared), queue));
        let (presence, sink) = (Arc::new(presence), Arc::new(Sink::default()));
        let mut parts = ChatParts::in_memory_at(shared);
        let offline = Offline::with_wishes(
            &parts,
            Arc::<MemoryPresence>::clone(&presence),
            Arc::<MemoryQueue>::clone(&queue),
            (Arc::<Sink>::clone(&sink), Arc::new(Wished(wish))),
            OfflineOptions::default().with_patience(PATIENCE),
        );
        offline.attach(&mut parts);
        let day = Duration::from_secs(86_400);
        let NodeJoined::Held(lease) = presence.join("a", Incarnation::new(1), day).unwrap() else {
            panic!("nobody else is there");
        };
        Self {
            chat: Chat::new(parts),
            offline,
            sink,
            presence,
            lease,
            queue,
            clock,
        }
    }

    async fn say(&self, from: Device, talk: ConversationId, text: &'static str) -> Receipt {
        let key = text.parse().unwrap();
        let sent = self.chat.send(from, talk, key, text).await.unwrap();
        sent.receipt().unwrap()
    }

    fn connect(&self, user: UserId) {
        let online = PresenceState::new(Status::Online, None, true);
        let report = Report::new(user, 1, online);
        self.presence.report(&self.lease, &[report]).unwrap();
    }

    /// Does all that is to be decided now, and answers who was notified by it.
    async fn work(&self) -> Vec<(UserId, Position)> {
        while self.offline.work(10).await.unwrap() > 0 {}
        std::mem::take(&mut self.sink.notified.lock().unwrap())
    }
}

#[tokio::test]
async fn who_is_connected_nowhere_is_notified_at_once_and_once() {
    let world = World::new();
    let said = world.say(ANN, direct(), "a").await;
    assert_eq!(world.work().await, [(BOB.user, said.position)]);
    // A message that is told of again is one that they were notified of.
    let what = What::Message(Message::new("a".into()));
    let events = [Event::new(1, said.id, said.at, Some(ANN), None, what)];
    let news = News::new(direct(), said.position.epoch, (1, 1), &events);
    world.offline.happened(&news).await.unwrap();
    world.clock.advance(PATIENCE * 2);
    assert_eq!(world.work().await, []);
}

#[tokio::test]
async fn who_is_connected_is_notified_of_what_no_device_received_in_time() {
    let world = World::new();
    world.connect(BOB.user);
    let first = world.say(ANN, direct(), "a").await.position;
    let second = world.say(ANN, direct(), "b").await.position;
    assert_eq!(world.work().await, []);
    let received = world
        .chat
        .acknowledge(BOB, direct(), Cursor::Received, first);
    received.await.unwrap();
    world.clock.advance(PATIENCE);
    assert_eq!(world.work().await, [(BOB.user, second)]);
    world.clock.advance(PATIENCE * 2);
    assert_eq!(world.work().await, []);
}

#[tokio::test]
async fn who_has_read_it_elsewhere_is_not_notified() {
    let world = World::new();
    let said = world.say(ANN, direct(), "a").await.position;
    let other = Device::new(BOB.user, DeviceId::new(2));
    let read = world.chat.acknowledge(other, direct(), Cursor::Read, said);
    read.await.unwrap();
    assert_eq!(world.work().await, []);
}

#[tokio::test]
async fn wishes_are_heard() {
    for (wish, is_busy, count) in [
        (Wish::Mute, false, 0),
        (Wish::Notify, true, 0),
        (Wish::Insist, true, 1),
        (Wish::Notify, false, 1),
    ] {
        let world = World::with(wish, QueueOptions::default());
        if is_busy {
            let busy = Setting::new(Mode::DoNotDisturb);
            world.presence.set(&[(BOB.user, busy)]).unwrap();
        }
        world.say(ANN, direct(), "a").await;
        assert_eq!(world.work().await.len(), count, "{wish:?} {is_busy}");
    }
}

#[tokio::test]
async fn all_members_of_a_group_are_notified_and_nobody_else() {
    let world = World::new();
    let others = (10..500).map(UserId::new);
    let members: Vec<_> = others.chain([BOB.user, CAT.user]).collect();
    let group = NewGroup::new(GROUP, Some(ANN.user))
        .with_members(members.iter().copied())
        .with_limit(1_000);
    world.chat.found(group).await.unwrap().unwrap();
    let act = async |from: Device, key: &str, act| {
        let acted = world.chat.act(from, TALK, key.parse().unwrap(), act).await;
        acted.unwrap().receipt().unwrap();
    };
    act(CAT, "bye", Act::Leave { user: CAT.user }).await;
    world.say(ANN, TALK, "a").await;
    // Who goes, or comes, before it is decided is not notified of it either.
    act(BOB, "bye", Act::Leave { user: BOB.user }).await;
    let role = Role::Member;
    let user = CAT.user;
    act(ANN, "come", Act::Join { user, role }).await;
    let notified = world.work().await.into_iter().map(|(user, _)| user);
    let mut notified: Vec<_> = notified.collect();
    notified.sort_unstable();
    assert_eq!(notified, (10..500).map(UserId::new).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_is_deleted_in_time_notifies_nobody() {
    let world = World::new();
    let said = world.say(ANN, direct(), "a").await;
    let target = MessageRef {
        seq: said.position.offset,
        id: said.id,
    };
    let delete = Act::Delete { target };
    let deleted = world.chat.act(ANN, direct(), "b".parse().unwrap(), delete);
    deleted.await.unwrap().receipt().unwrap();
    assert_eq!(world.work().await, []);
}

#[tokio::test]
async fn a_sink_that_fails_is_told_again() {
    let world = World::new();
    world.sink.fails.store(true, Ordering::Relaxed);
    let said = world.say(ANN, direct(), "a").await.position;
    assert_eq!(world.work().await, []);
    world.sink.fails.store(false, Ordering::Relaxed);
    world.clock.advance(Duration::from_secs(5));
    assert_eq!(world.work().await, [(BOB.user, said)]);
}

#[tokio::test]
async fn what_a_full_queue_refuses_is_owed_and_told_again() {
    let world = World::with(Wish::Notify, QueueOptions::default().with_capacity(1));
    let first = world.say(ANN, direct(), "a").await.position;
    let second = world.say(ANN, direct(), "b").await.position;
    assert_eq!(world.work().await, [(BOB.user, first)]);
    world.clock.advance(PATIENCE);
    assert_eq!(world.chat.redeliver(10).await.unwrap(), 1);
    assert_eq!(world.work().await, [(BOB.user, second)]);
}

#[tokio::test]
async fn a_task_of_somebody_else_is_buried() {
    let world = World::new();
    let tasks = [NewTask::new("not of a chat")];
    TaskQueue::enqueue(&*world.queue, &tasks).await.unwrap();
    assert_eq!(world.work().await, []);
    let dead = TaskQueue::dead_letters(&*world.queue, None, 9).await;
    assert_eq!(dead.unwrap().len(), 1);
}
