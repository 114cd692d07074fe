//! The reader of all of a user's conversations, on a device.

use std::{fmt, time::Duration};

use backplane::{Backoff, Epoch, Position};
use fastrand::Rng;
use hashbrown::{HashMap, hash_map::Entry};

use super::{Carried, ClientSyncOptions, Delta, Follow, Head, Step, SyncBatch, SyncRequest};
use crate::{ConversationId, Event, START, log::forward};

/// Keeps a device in step with its user's conversations, whatever the way to the server loses, doubles or
/// turns round. It does no IO: the application hands it what arrives, and sends what it asks for.
///
/// Pushed events are applied at once where they are next. Where one is missing, the machine waits a
/// little, since it may only be late, and then asks. After every connection, and now and then, it asks
/// what happened meanwhile. Once a server has answered all that it asks, the device has all that its user may read,
/// but what a [jump](Step::Jump) has named.
///
/// Times are of a monotonic clock of the application's, from any beginning.
///
/// ```
/// use std::time::Duration;
/// use chat_core::{START, sync::{ClientSync, ClientSyncOptions, SyncBatch}};
///
/// let mut sync = ClientSync::new(ClientSyncOptions::default());
/// let (now, mut steps) = (Duration::ZERO, Vec::new());
/// sync.connected(now);
/// let request = sync.poll(now).expect("a device that connects asks what it missed");
/// assert_eq!(request.inbox, Some(START));
///
/// // … which the server answers:
/// let batch = SyncBatch::new(vec![], vec![], Some(START), false);
/// sync.answered(now, batch, &mut steps);
/// assert!(sync.is_settled(now));
/// ```
pub struct ClientSync<E = Event> {
    options: ClientSyncOptions,
    backoff: Backoff,
    conversations: HashMap<ConversationId, Reader<E>>,
    /// Those of which something is missing, or was when they were put here.
    lagging: Vec<ConversationId>,
    /// Where the last answer ended.
    heard: Position,
    /// Where one ended after which the device had all that it knew of.
    inbox: Position,
    /// When to ask whether the inbox has gone on.
    due_inbox: Duration,
    link: Link,
    /// Empty but while an event is taken.
    told: Vec<Step<E>>,
}

/// One conversation.
#[derive(Debug)]
struct Reader<E> {
    follow: Follow<E>,
    /// When what is missing is asked for.
    due: Option<Duration>,
    /// How far the user has read, as far as is known.
    read: Position,
}

/// How things stand with the server.
#[derive(Clone, Copy, Debug)]
enum Link {
    Down,
    /// Nothing was asked, or all was answered.
    Idle,
    Asked,
    /// The last question failed.
    Waiting {
        until: Duration,
    },
}

impl ClientSync {
    /// The machine of a device that has nothing yet.
    #[must_use]
    pub fn new(options: ClientSyncOptions) -> Self {
        Self::of(options)
    }
}

impl<E: Carried> ClientSync<E> {
    /// The machine of a device that has nothing yet, for events in any form.
    #[must_use]
    pub fn of(options: ClientSyncOptions) -> Self {
        let rng = Rng::with_seed(options.seed);
        Self {
            backoff: Backoff::new(options.backoff.clone(), rng),
            options,
            conversations: HashMap::new(),
            lagging: Vec::new(),
            heard: START,
            inbox: START,
            due_inbox: Duration::ZERO,
            link: Link::Down,
            told: Vec::new(),
        }
    }

    /// The same machine of a device that stored its positions: where it is in the inbox, and in each
    /// conversation. What it applied after it stored them comes again.
    #[must_use]
    pub fn resuming(
        mut self,
        inbox: Position,
        positions: impl IntoIterator<Item = (ConversationId, Position)>,
    ) -> Self {
        (self.inbox, self.heard) = (inbox, inbox);
        let readers = positions.into_iter().map(|(id, at)| (id, Reader::new(at)));
        self.conversations.extend(readers);
        self
    }

    /// Up to where in the inbox the device has everything. To be stored with the
    /// [positions](Self::positions), at one time with what it applied.
    #[must_use]
    pub const fn inbox(&self) -> Position {
        self.inbox
    }

    /// Where the device is in each conversation that it knows.
    pub fn positions(&self) -> impl Iterator<Item = (ConversationId, Position)> + '_ {
        self.conversations
            .iter()
            .map(|(id, reader)| (*id, reader.follow.at()))
    }

    /// Where the device is in `conversation`.
    #[must_use]
    pub fn position(&self, conversation: ConversationId) -> Option<Position> {
        Some(self.conversations.get(&conversation)?.follow.at())
    }

    /// A connection stands. What happened before it may have been missed.
    pub fn connected(&mut self, now: Duration) {
        self.link = Link::Idle;
        self.due_inbox = now;
        self.backoff.reset();
        for id in &self.lagging {
            if let Some(reader) = self.conversations.get_mut(id) {
                reader.hasten(now);
            }
        }
    }

    /// Something may have happened in the inbox that did not come by itself.
    pub fn look(&mut self, now: Duration) {
        self.due_inbox = self.due_inbox.min(now);
    }

    /// Something may have happened in `conversation` that did not come by itself.
    pub fn doubt(&mut self, now: Duration, conversation: ConversationId) {
        self.tell(now, conversation, &mut Vec::new(), |follow, _| {
            follow.doubt();
        });
        self.hasten(now, conversation);
    }

    /// The connection is gone, and whatever was asked with it.
    pub fn disconnected(&mut self) {
        self.link = Link::Down;
    }

    /// An event came by itself.
    pub fn pushed(
        &mut self,
        now: Duration,
        conversation: ConversationId,
        epoch: Epoch,
        event: E,
        steps: &mut Vec<(ConversationId, Step<E>)>,
    ) {
        self.tell(now, conversation, steps, |follow, steps| {
            follow.push(epoch, event, steps);
        });
    }

    /// Whether an event is the next of a conversation of which nothing is missing.
    pub(crate) fn is_next(&self, conversation: ConversationId, position: Position) -> bool {
        let reader = self.conversations.get(&conversation);
        reader.is_some_and(|reader| reader.follow.is_next(position))
    }

    /// Notes that what [is next](Self::is_next), and what follows it up to `position`, was applied.
    pub(crate) fn pass(&mut self, conversation: ConversationId, position: Position) {
        if let Some(reader) = self.conversations.get_mut(&conversation) {
            reader.follow.pass(position);
        }
    }

    /// Word came by itself of how a conversation stands.
    pub fn reached(
        &mut self,
        now: Duration,
        head: Head,
        steps: &mut Vec<(ConversationId, Step<E>)>,
    ) {
        self.tell(now, head.conversation, steps, |follow, _| {
            follow.reach(head.top);
        });
        self.note_read(head, steps);
    }

    /// The server answered what was asked last.
    pub fn answered(
        &mut self,
        now: Duration,
        batch: SyncBatch,
        steps: &mut Vec<(ConversationId, Step<E>)>,
    ) {
        if !matches!(self.link, Link::Asked) {
            return; // it comes from a connection that is gone
        }
        self.link = Link::Idle;
        self.backoff.reset();
        for delta in batch.deltas {
            let Delta {
                conversation,
                since,
                answer,
            } = delta;
            let before = self.position(conversation);
            self.tell(now, conversation, steps, |follow, steps| {
                follow.answer(since, answer, steps);
            });
            if self.position(conversation) != before {
                self.hasten(now, conversation); // there is more where that came from
            }
        }
        for head in batch.heads {
            self.reached(now, head, steps);
            self.hasten(now, head.conversation);
        }
        if let Some(inbox) = batch.inbox {
            self.heard = inbox;
            let pause = if batch.more {
                Duration::ZERO
            } else {
                self.options.check
            };
            self.due_inbox = now.saturating_add(pause);
        }
        if !self.is_lagging() {
            self.inbox = self.heard;
        }
    }

    /// What was asked last brought nothing.
    pub fn failed(&mut self, now: Duration) {
        if matches!(self.link, Link::Asked) {
            let delay = self
                .backoff
                .next(None)
                .unwrap_or(self.options.backoff.max_delay);
            self.link = Link::Waiting { until: now + delay };
        }
    }

    /// What to ask the server now, if anything. There is at most one question at a time: the next comes
    /// once it was answered or has failed.
    pub fn poll(&mut self, now: Duration) -> Option<SyncRequest> {
        match self.link {
            Link::Down | Link::Asked => return None,
            Link::Waiting { until } if now < until => return None,
            Link::Waiting { .. } | Link::Idle => {}
        }
        let have = self.due(now);
        let inbox = (self.due_inbox <= now).then_some(self.heard);
        if have.is_empty() && inbox.is_none() {
            return None;
        }
        self.link = Link::Asked;
        let request = SyncRequest::new(inbox, have, self.options.limit);
        Some(request.with_most(self.options.most))
    }

    /// When to [`poll`](Self::poll) again, if nothing arrives before.
    #[must_use]
    pub fn next_poll(&self) -> Option<Duration> {
        let readers = self
            .lagging
            .iter()
            .filter_map(|id| self.conversations.get(id));
        let earliest = readers.filter_map(|reader| reader.due).min();
        let due = earliest.map_or(self.due_inbox, |due| due.min(self.due_inbox));
        match self.link {
            Link::Down | Link::Asked => None,
            Link::Waiting { until } => Some(due.max(until)),
            Link::Idle => Some(due),
        }
    }

    /// Whether the device has all that it knows of, and all that there was when it asked last.
    #[must_use]
    pub fn is_settled(&self, now: Duration) -> bool {
        matches!(self.link, Link::Idle) && self.due_inbox > now && !self.is_lagging()
    }

    fn is_lagging(&self) -> bool {
        let mut readers = (self.lagging.iter()).filter_map(|id| self.conversations.get(id));
        readers.any(|reader| reader.due.is_some())
    }

    /// Tells the reader of `conversation`, and notes whether it misses something.
    fn tell(
        &mut self,
        now: Duration,
        conversation: ConversationId,
        steps: &mut Vec<(ConversationId, Step<E>)>,
        news: impl FnOnce(&mut Follow<E>, &mut Vec<Step<E>>),
    ) {
        let reader = match self.conversations.entry(conversation) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(Reader::new(START)),
        };
        news(&mut reader.follow, &mut self.told);
        steps.extend(self.told.drain(..).map(|step| (conversation, step)));
        let was_due = reader.due.is_some();
        reader.due = match (reader.follow.misses(), reader.due) {
            (None, _) => None,
            (Some(_), None) => Some(now + self.options.hold),
            (Some(_), due) => due,
        };
        if reader.due.is_some() && !was_due {
            self.lagging.push(conversation);
        }
    }

    /// Passes on how far was read, if that is news.
    fn note_read(&mut self, head: Head, steps: &mut Vec<(ConversationId, Step<E>)>) {
        if let Some(reader) = self.conversations.get_mut(&head.conversation)
            && forward(&mut reader.read, head.read)
        {
            steps.push((head.conversation, Step::Read(head.read)));
        }
    }

    /// What a server said is missing is not late.
    fn hasten(&mut self, now: Duration, conversation: ConversationId) {
        if let Some(reader) = self.conversations.get_mut(&conversation) {
            reader.hasten(now);
        }
    }

    /// Where to ask from in the conversations whose time has come, those that have waited longest first.
    fn due(&mut self, now: Duration) -> Vec<(ConversationId, Position)> {
        let Self {
            conversations,
            lagging,
            ..
        } = self;
        lagging.retain(|id| {
            conversations
                .get(id)
                .is_some_and(|reader| reader.due.is_some())
        });
        let due = |id: &ConversationId| conversations.get(id).and_then(|reader| reader.due);
        lagging.sort_unstable_by_key(|id| (due(id), *id));
        lagging.dedup();
        let ripe = lagging
            .iter()
            .filter(|id| due(id).is_some_and(|due| due <= now));
        let ripe: Vec<_> = ripe.take(self.options.conversations).copied().collect();
        let mut have = Vec::with_capacity(ripe.len());
        for id in ripe {
            if let Some(reader) = conversations.get_mut(&id) {
                reader.follow.ask();
                reader.due = Some(now + self.options.hold); // if the answer does not bring it
                have.extend(reader.follow.misses().map(|at| (id, at)));
            }
        }
        have
    }
}

impl<E> Reader<E> {
    const fn new(at: Position) -> Self {
        Self {
            follow: Follow::after(at),
            due: None,
            read: START,
        }
    }

    /// Asks now for what is missing, if anything is.
    fn hasten(&mut self, now: Duration) {
        self.due = self.due.map(|due| due.min(now));
    }
}

impl<E> fmt::Debug for ClientSync<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientSync")
            .field("conversations", &self.conversations.len())
            .field("lagging", &self.lagging.len())
            .field("inbox", &self.inbox)
            .field("link", &self.link)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use backplane::Timestamp;

    use super::*;
    use crate::{Answer, GroupId, Message, MessageId, Page, What};

    const TALK: ConversationId = ConversationId::Group(GroupId::new(1));
    const EPOCH: Epoch = Epoch::new(7);
    const SECOND: Duration = Duration::from_secs(1);

    fn event(seq: u64) -> Event {
        let what = What::Message(Message::default());
        Event::new(seq, MessageId::new(seq), Timestamp::EPOCH, None, None, what)
    }

    fn batch(inbox: u64, more: bool) -> SyncBatch {
        let inbox = Position::new(EPOCH, inbox);
        SyncBatch::new(vec![], vec![], Some(inbox), more)
    }

    /// A device that is connected and has asked and heard of everything.
    fn settled() -> ClientSync {
        let mut sync = ClientSync::new(ClientSyncOptions::default().with_seed(1));
        sync.connected(Duration::ZERO);
        sync.poll(Duration::ZERO).unwrap();
        sync.answered(Duration::ZERO, batch(1, false), &mut Vec::new());
        assert!(sync.is_settled(Duration::ZERO));
        sync
    }

    fn push(sync: &mut ClientSync, now: Duration, seq: u64) {
        sync.pushed(now, TALK, EPOCH, event(seq), &mut Vec::new());
    }

    #[test]
    fn what_may_be_late_is_waited_for_and_then_asked_for() {
        let mut sync = settled();
        push(&mut sync, SECOND, 1);
        push(&mut sync, SECOND, 3);
        let due = SECOND + Duration::from_millis(500);
        assert_eq!((sync.poll(SECOND), sync.next_poll()), (None, Some(due)));
        let request = sync.poll(due).unwrap();
        assert_eq!(request.have, [(TALK, Position::new(EPOCH, 1))]);
        assert_eq!(request.inbox, None);
        assert_eq!((sync.poll(due), sync.next_poll()), (None, None));
    }

    #[test]
    fn what_arrives_in_time_is_not_asked_for() {
        let mut sync = settled();
        for seq in [1, 3, 2] {
            push(&mut sync, SECOND, seq);
        }
        assert_eq!(sync.poll(SECOND * 2), None);
        assert!(sync.is_settled(SECOND * 2));
    }

    #[test]
    fn asks_again_after_every_connection_and_after_a_while() {
        let mut sync = settled();
        let inbox = Some(Position::new(EPOCH, 1));
        assert_eq!(sync.next_poll(), Some(SECOND * 60));
        assert_eq!(sync.poll(SECOND * 60).unwrap().inbox, inbox);
        sync.answered(SECOND * 60, batch(1, false), &mut Vec::new());
        sync.disconnected();
        assert_eq!(sync.poll(SECOND * 200), None);
        sync.connected(SECOND * 61);
        assert_eq!(sync.poll(SECOND * 61).unwrap().inbox, inbox);
    }

    #[test]
    fn goes_on_while_there_is_more() {
        let mut sync = settled();
        sync.poll(SECOND * 60).unwrap();
        sync.answered(SECOND * 60, batch(5, true), &mut Vec::new());
        let request = sync.poll(SECOND * 60).unwrap();
        assert_eq!(request.inbox, Some(Position::new(EPOCH, 5)));
    }

    #[test]
    fn a_long_conversation_is_read_on_at_once() {
        let mut sync = settled();
        push(&mut sync, SECOND, 9);
        sync.poll(SECOND * 2).unwrap();
        let page = Page::new(EPOCH, 1, 9, (1, 2), vec![event(1), event(2)]);
        let delta = Delta {
            conversation: TALK,
            since: Position::new(EPOCH, 0),
            answer: Answer::Page(page),
        };
        let batch = SyncBatch::new(vec![], vec![delta], None, false);
        sync.answered(SECOND * 2, batch, &mut Vec::new());
        let request = sync.poll(SECOND * 2).unwrap();
        assert_eq!(request.have, [(TALK, Position::new(EPOCH, 2))]);
    }

    #[test]
    fn an_answer_of_a_dead_connection_is_not_heard() {
        let mut sync = settled();
        sync.poll(SECOND * 60).unwrap();
        sync.disconnected();
        sync.connected(SECOND * 61);
        sync.answered(SECOND * 61, batch(5, false), &mut Vec::new());
        assert_eq!(sync.inbox(), Position::new(EPOCH, 1));
    }

    #[test]
    fn waits_longer_after_every_failure() {
        let mut sync = settled();
        let (mut now, mut longest) = (SECOND * 60, Duration::ZERO);
        for _ in 0..20 {
            sync.poll(now).unwrap();
            sync.failed(now);
            let again = sync.next_poll().unwrap();
            assert!(again <= now + SECOND * 60);
            let too_early = again.saturating_sub(Duration::from_nanos(1));
            assert!(again == now || sync.poll(too_early).is_none());
            longest = longest.max(again.saturating_sub(now));
            now = again;
        }
        assert!(longest > SECOND * 4, "{longest:?}");
    }

    #[test]
    fn what_was_announced_and_not_fetched_is_not_forgotten_by_a_restart() {
        let mut sync = settled();
        sync.poll(SECOND * 60).unwrap();
        let top = Position::new(EPOCH, 2);
        let mut news = batch(9, false);
        let read = Position::new(EPOCH, 1);
        news.heads.push(Head {
            conversation: TALK,
            top,
            read,
        });
        let mut steps = Vec::new();
        sync.answered(SECOND * 60, news, &mut steps);
        assert_eq!(steps, [(TALK, Step::Read(read))]);
        assert_eq!(sync.inbox(), Position::new(EPOCH, 1));

        let request = sync.poll(SECOND * 60).unwrap();
        let since = request.have[0].1;
        let page = Page::new(EPOCH, 1, 2, (1, 2), vec![event(1), event(2)]);
        let delta = Delta {
            conversation: TALK,
            since,
            answer: Answer::Page(page),
        };
        let batch = SyncBatch::new(vec![], vec![delta], None, false);
        let mut steps = Vec::new();
        sync.answered(SECOND * 60, batch, &mut steps);
        assert_eq!(steps.len(), 2);
        assert_eq!(sync.inbox(), Position::new(EPOCH, 9));
    }

    #[test]
    fn an_answer_that_brings_nothing_is_not_asked_for_at_once_again() {
        let mut sync = settled();
        push(&mut sync, SECOND, 2);
        sync.poll(SECOND * 2).unwrap();
        let nothing = SyncBatch::new(vec![], vec![], None, false);
        sync.answered(SECOND * 2, nothing, &mut Vec::new());
        assert_eq!(sync.poll(SECOND * 2), None);
        assert!(sync.poll(SECOND * 3).is_some());
    }
}
