//! The reader of all of a user's conversations, on a device.

use std::{fmt, time::Duration};

use backplane::{Backoff, BackoffOptions, Epoch, Position};
use fastrand::Rng;
use hashbrown::{HashMap, hash_map::Entry};

use super::{Delta, Follow, Head, Step, SyncBatch, SyncRequest};
use crate::{ConversationId, Event, START};

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
pub struct ClientSync {
    options: ClientSyncOptions,
    backoff: Backoff,
    conversations: HashMap<ConversationId, Reader>,
    /// Those of which something is missing, or was when they were put here.
    lagging: Vec<ConversationId>,
    /// Where the last answer ended.
    inbox: Position,
    /// Where one ended after which the device had all that it knew of.
    settled: Position,
    /// When to ask whether the inbox has gone on.
    inbox_due: Duration,
    link: Link,
}

/// The bounds of a [`ClientSync`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClientSyncOptions {
    /// How long an event that is missing may be late before it is asked for. 500 ms by default.
    pub hold: Duration,
    /// How long after an answer to ask again what happened in the inbox, should the last push be lost
    /// and nothing follow it. A minute by default.
    pub check: Duration,
    /// The most events of one conversation to ask for at once. 100 by default.
    pub limit: usize,
    /// The most conversations to ask about at once. 50 by default.
    pub conversations: usize,
    /// How long to wait after a failure. Doubling from a second to a minute by default, drawn at random
    /// below that. Its limits on retries do not apply: a client goes on trying.
    pub backoff: BackoffOptions,
    /// The seed of what is drawn. From the operating system by default.
    pub seed: u64,
}

/// One conversation.
#[derive(Debug)]
struct Reader {
    follow: Follow,
    /// When what is missing is asked for.
    due: Option<Duration>,
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
        let rng = Rng::with_seed(options.seed);
        Self {
            backoff: Backoff::new(options.backoff.clone(), rng),
            options,
            conversations: HashMap::new(),
            lagging: Vec::new(),
            inbox: START,
            settled: START,
            inbox_due: Duration::ZERO,
            link: Link::Down,
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
        (self.inbox, self.settled) = (inbox, inbox);
        let readers = positions.into_iter().map(|(id, at)| (id, Reader::new(at)));
        self.conversations.extend(readers);
        self
    }

    /// Up to where in the inbox the device has everything. To be stored with the
    /// [positions](Self::positions), at one time with what it applied.
    #[must_use]
    pub const fn inbox(&self) -> Position {
        self.settled
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
        self.inbox_due = now;
        self.backoff.reset();
        for id in &self.lagging {
            if let Some(reader) = self.conversations.get_mut(id) {
                reader.hasten(now);
            }
        }
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
        event: Event,
        steps: &mut Vec<(ConversationId, Step)>,
    ) {
        self.tell(now, conversation, steps, |follow, steps| {
            follow.push(epoch, event, steps);
        });
    }

    /// Word came that a conversation has reached a place.
    pub fn reached(&mut self, now: Duration, head: Head) {
        self.tell(now, head.conversation, &mut Vec::new(), |follow, _| {
            follow.reach(head.top);
        });
    }

    /// The server answered what was asked last.
    pub fn answered(
        &mut self,
        now: Duration,
        batch: SyncBatch,
        steps: &mut Vec<(ConversationId, Step)>,
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
        for Head { conversation, top } in batch.heads {
            self.tell(now, conversation, steps, |follow, _| {
                follow.reach(top);
            });
            self.hasten(now, conversation);
        }
        if let Some(inbox) = batch.inbox {
            self.inbox = inbox;
            let pause = if batch.more {
                Duration::ZERO
            } else {
                self.options.check
            };
            self.inbox_due = now.saturating_add(pause);
        }
        if !self.is_lagging() {
            self.settled = self.inbox;
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
        let inbox = (self.inbox_due <= now).then_some(self.inbox);
        if have.is_empty() && inbox.is_none() {
            return None;
        }
        self.link = Link::Asked;
        Some(SyncRequest::new(inbox, have, self.options.limit))
    }

    /// When to [`poll`](Self::poll) again, if nothing arrives before.
    #[must_use]
    pub fn next_poll(&self) -> Option<Duration> {
        let readers = self
            .lagging
            .iter()
            .filter_map(|id| self.conversations.get(id));
        let earliest = readers.filter_map(|reader| reader.due).min();
        let due = earliest.map_or(self.inbox_due, |due| due.min(self.inbox_due));
        match self.link {
            Link::Down | Link::Asked => None,
            Link::Waiting { until } => Some(due.max(until)),
            Link::Idle => Some(due),
        }
    }

    /// Whether the device has all that it knows of, and all that there was when it asked last.
    #[must_use]
    pub fn is_settled(&self, now: Duration) -> bool {
        matches!(self.link, Link::Idle) && self.inbox_due > now && !self.is_lagging()
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
        steps: &mut Vec<(ConversationId, Step)>,
        news: impl FnOnce(&mut Follow, &mut Vec<Step>),
    ) {
        let reader = match self.conversations.entry(conversation) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(Reader::new(START)),
        };
        let mut told = Vec::new();
        news(&mut reader.follow, &mut told);
        steps.extend(told.into_iter().map(|step| (conversation, step)));
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

impl Reader {
    const fn new(at: Position) -> Self {
        Self {
            follow: Follow::new(at),
            due: None,
        }
    }

    /// Asks now for what is missing, if anything is.
    fn hasten(&mut self, now: Duration) {
        self.due = self.due.map(|due| due.min(now));
    }
}

impl fmt::Debug for ClientSync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientSync")
            .field("conversations", &self.conversations.len())
            .field("lagging", &self.lagging.len())
            .field("inbox", &self.inbox)
            .field("link", &self.link)
            .finish_non_exhaustive()
    }
}

impl ClientSyncOptions {
    /// Waits so long for what may be late.
    #[must_use]
    pub const fn with_hold(mut self, hold: Duration) -> Self {
        self.hold = hold;
        self
    }

    /// Asks again so long after an answer.
    #[must_use]
    pub const fn with_check(mut self, check: Duration) -> Self {
        self.check = check;
        self
    }

    /// Asks for at most so many events of one conversation at once.
    #[must_use]
    pub const fn with_limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Asks about at most so many conversations at once.
    #[must_use]
    pub const fn with_conversations(mut self, conversations: usize) -> Self {
        self.conversations = conversations;
        self
    }

    /// Waits so after failures.
    #[must_use]
    pub fn with_backoff(mut self, backoff: BackoffOptions) -> Self {
        self.backoff = backoff;
        self
    }

    /// Draws from `seed`.
    #[must_use]
    pub const fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }
}

impl Default for ClientSyncOptions {
    fn default() -> Self {
        Self {
            hold: Duration::from_millis(500),
            check: Duration::from_secs(60),
            limit: 100,
            conversations: 50,
            backoff: BackoffOptions::default()
                .with_base(Duration::from_secs(1))
                .with_max_delay(Duration::from_secs(60)),
            seed: fastrand::u64(..),
        }
    }
}
