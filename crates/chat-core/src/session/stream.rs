use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use backplane::{
    Position, Sleep,
    hub::{CloseReason, Connection, Deliveries, Delivery},
};
use bytes::Bytes;
use futures::{FutureExt, Stream, StreamExt, future::BoxFuture, ready};

use super::{
    Frame, ResumeToken, Sessions,
    groups::{Groups, Listening, listen},
    word::{Word, is_of_signals},
};
use crate::{
    Chat, ConversationId, Cursor, Device, GroupId, Result, UserId, What,
    sync::{ClientSync, Head, Step, SyncBatch},
};

/// What a session tells its device.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum SessionEvent {
    /// The service has lost what the device was told before: it forgets all that it holds, and is told anew.
    Anew,
    /// What comes next in a conversation: each event once, in order, without a hole.
    Step(ConversationId, Step<Frame>),
    /// The device has been told everything up to now. It keeps the token, to [resume](Sessions::open) by once
    /// it has stored what it was told.
    Caught(ResumeToken),
    /// Somebody else has received or read what was said in a direct conversation.
    Receipt {
        /// Where.
        conversation: ConversationId,
        /// Who.
        user: UserId,
        /// Which of the two.
        cursor: Cursor,
        /// Up to where.
        to: Position,
    },
    /// A device [says](Sessions::signal) something that is not stored.
    Signal {
        /// Where.
        conversation: ConversationId,
        /// Who.
        from: Device,
        /// What.
        body: Bytes,
    },
    /// The session is over. Nothing comes after it.
    Closed(CloseReason),
}

/// The session of a device: a stream of what it is to be told. It ends after [`SessionEvent::Closed`], or when
/// it is dropped.
///
/// What waits for a device that is slow is bounded: beyond that the session is closed, and no event of a
/// conversation is left out. The device resumes, and is told what it missed.
///
/// A device that was told an event may be told it again after it resumes, unless it has
/// [acknowledged](Chat::acknowledge) it: it knows by the event's [position](Frame::position).
///
/// # Cancel safety
///
/// Dropping an unfinished `next()`, as `select!` does, loses nothing.
#[must_use = "dropping it closes the session"]
pub struct Session {
    sessions: Sessions,
    chat: Chat,
    device: Device,
    connection: Arc<Connection>,
    deliveries: Deliveries,
    groups: Groups,
    sync: ClientSync<Frame>,
    errand: Option<BoxFuture<'static, Found>>,
    timer: Option<(Duration, Sleep)>,
    /// What `sync` has just said; empty in between.
    steps: Vec<(ConversationId, Step<Frame>)>,
    ready: VecDeque<SessionEvent>,
    /// Up to where the last token goes.
    caught: Option<Position>,
    is_over: bool,
}

/// After how long to try again to listen to groups.
const RETRY: Duration = Duration::from_secs(1);

/// What the stores and the bus answered.
enum Found {
    Missed(Result<SyncBatch>),
    Groups(Vec<GroupId>, Result<Vec<Listening>>),
}

impl Session {
    pub(super) fn new(
        sessions: Sessions,
        chat: Chat,
        device: Device,
        (connection, deliveries): (Arc<Connection>, Deliveries),
        groups: Groups,
        sync: ClientSync<Frame>,
    ) -> Self {
        Self {
            sessions,
            chat,
            device,
            connection,
            deliveries,
            groups,
            sync,
            errand: None,
            timer: None,
            steps: Vec::new(),
            ready: VecDeque::new(),
            caught: None,
            is_over: false,
        }
    }

    /// Whose session it is.
    #[must_use]
    pub const fn device(&self) -> Device {
        self.device
    }

    /// Says which conversations the device shows: of these groups it hears [signals](SessionEvent::Signal) too, and
    /// of no others.
    pub fn show(&mut self, conversations: &[ConversationId]) {
        let groups = conversations.iter().filter_map(|talk| match talk {
            ConversationId::Group(group) => Some(*group),
            ConversationId::Direct(_) => None,
        });
        self.groups.show(groups.collect());
    }

    /// Begins with what the inbox said: whether it has lost what the device was told, and of which conversations
    /// it cannot say where the device is.
    pub(super) fn begin(&mut self, is_lost: bool, lost: Vec<ConversationId>, inbox: SyncBatch) {
        let now = self.now();
        self.ready.extend(is_lost.then_some(SessionEvent::Anew));
        let resets = lost.into_iter();
        self.ready
            .extend(resets.map(|talk| SessionEvent::Step(talk, Step::Reset)));
        self.sync.connected(now);
        drop(self.sync.poll(now)); // which asks for the inbox
        self.sync.answered(now, inbox, &mut self.steps);
        self.tell();
    }

    fn now(&self) -> Duration {
        self.chat.parts.clock.monotonic()
    }

    /// Takes what the hub delivers.
    fn deliver(&mut self, delivery: Delivery) {
        match delivery {
            Delivery::Message { payload, .. } => self.hear(&payload),
            Delivery::Closed(reason) => {
                self.ready.push_back(SessionEvent::Closed(reason));
                self.is_over = true;
            }
            Delivery::Gap { topic, .. } if is_of_signals(&topic) => {}
            // What was missed is in the inbox.
            _ => self.sync.look(self.now()),
        }
    }

    fn hear(&mut self, word: &Bytes) {
        let now = self.now();
        let Some((conversation, word)) = Word::decode(word) else {
            return self.sync.look(now);
        };
        match word {
            Word::Event(frame) => {
                let epoch = frame.position().epoch;
                if !self.groups.is_left(conversation) {
                    let steps = &mut self.steps;
                    self.sync.pushed(now, conversation, epoch, frame, steps);
                }
            }
            Word::Reached(top) => self.reached(now, conversation, top, crate::START),
            Word::Read(to) => self.reached(now, conversation, to, to),
            Word::Receipt { user, cursor, to } => {
                self.ready.push_back(SessionEvent::Receipt {
                    conversation,
                    user,
                    cursor,
                    to,
                });
            }
            Word::Look => self.sync.look(now),
            Word::Signal { from, .. } if from == self.device => {}
            Word::Signal { from, body } => {
                self.ready.push_back(SessionEvent::Signal {
                    conversation,
                    from,
                    body,
                });
            }
        }
        self.tell();
    }

    fn reached(
        &mut self,
        now: Duration,
        conversation: ConversationId,
        top: Position,
        read: Position,
    ) {
        let head = Head {
            conversation,
            top,
            read,
        };
        self.sync.reached(now, head, &mut self.steps);
    }

    /// Makes events of what `sync` said.
    fn tell(&mut self) {
        let mut steps = std::mem::take(&mut self.steps);
        for (conversation, step) in steps.drain(..) {
            match &step {
                Step::Next(frame) => {
                    let was_left = self.groups.is_left(conversation);
                    self.see(conversation, frame);
                    // It was held back until the user's going was known.
                    if was_left && frame.is_pushed() && self.groups.is_left(conversation) {
                        continue;
                    }
                }
                Step::Refused(_) => self.groups.leave(conversation),
                _ => {}
            }
            self.ready.push_back(SessionEvent::Step(conversation, step));
        }
        self.steps = steps;
        let inbox = self.sync.inbox();
        if self.caught != Some(inbox) && self.sync.is_settled(self.now()) {
            self.caught = Some(inbox);
            let key = &self.sessions.options.key;
            let token = ResumeToken::sign(key, self.device, inbox);
            self.ready.push_back(SessionEvent::Caught(token));
        }
    }

    /// Sees whether the user came or went.
    fn see(&mut self, conversation: ConversationId, frame: &Frame) {
        let Some(event) = frame.of_members() else {
            return;
        };
        match event.what {
            What::Leave { user } if user == self.device.user => self.groups.leave(conversation),
            What::Join { user, .. } if user == self.device.user => self.groups.come(conversation),
            _ => {}
        }
    }

    /// What to ask next, if anything.
    fn ask(&mut self) -> Option<BoxFuture<'static, Found>> {
        let new = self.groups.take_new(self.now());
        if !new.is_empty() {
            let (sessions, chat) = (self.sessions.clone(), self.chat.clone());
            let (connection, user) = (Arc::clone(&self.connection), self.device.user);
            let listen = async move {
                let listening = listen(&sessions, &chat, &connection, user, &new).await;
                Found::Groups(new, listening)
            };
            return Some(listen.boxed());
        }
        let request = self.sync.poll(self.now())?;
        let (chat, device) = (self.chat.clone(), self.device);
        let sync = async move { Found::Missed(chat.sync(device, &request).await) };
        Some(sync.boxed())
    }

    fn find(&mut self, found: Found) {
        let now = self.now();
        match found {
            Found::Missed(Ok(batch)) => {
                for head in &batch.heads {
                    self.groups.meet(head.conversation);
                }
                self.sync.answered(now, batch, &mut self.steps);
            }
            Found::Missed(Err(_)) => self.sync.failed(now),
            Found::Groups(_, Ok(listening)) => {
                for listening in listening {
                    self.groups.note(listening);
                    if let Listening::Heard(group) = listening {
                        // What was pushed before it was heard is in the log.
                        self.sync.doubt(now, ConversationId::Group(group));
                    }
                }
            }
            Found::Groups(groups, Err(_)) => self.groups.retry(groups, now + RETRY),
        }
        self.tell();
    }

    /// Waits for when there is something to ask.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let due = [self.sync.next_poll(), self.groups.due()];
        let Some(at) = due.into_iter().flatten().min() else {
            return Poll::Pending;
        };
        let now = self.now();
        if at <= now {
            return Poll::Ready(());
        }
        let is_set = self.timer.as_ref().is_some_and(|(set, _)| *set == at);
        if !is_set {
            let pause = at.saturating_sub(now).min(Sleep::LONGEST);
            self.timer = Some((at, self.chat.parts.clock.sleep(pause)));
        }
        if let Some((_, timer)) = &mut self.timer {
            ready!(timer.poll_unpin(cx));
            self.timer = None;
        }
        Poll::Ready(())
    }
}

impl Stream for Session {
    type Item = SessionEvent;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<SessionEvent>> {
        let this = self.get_mut();
        loop {
            if let Some(event) = this.ready.pop_front() {
                return Poll::Ready(Some(event));
            }
            if this.is_over {
                return Poll::Ready(None);
            }
            if this.errand.is_none() {
                this.errand = this.ask();
            }
            if let Some(errand) = &mut this.errand
                && let Poll::Ready(found) = errand.poll_unpin(cx)
            {
                this.errand = None;
                this.find(found);
                continue;
            }
            match this.deliveries.poll_next_unpin(cx) {
                Poll::Ready(Some(delivery)) => this.deliver(delivery),
                Poll::Ready(None) => this.is_over = true,
                Poll::Pending if this.errand.is_none() => ready!(this.poll_timer(cx)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("device", &self.device)
            .field("sync", &self.sync)
            .finish_non_exhaustive()
    }
}
