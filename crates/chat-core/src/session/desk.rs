use std::{
    collections::VecDeque,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use backplane::{Position, Sleep, hub::Connection};
use futures::{FutureExt, future::BoxFuture, ready};

use super::{
    Frame, ResumeToken, SessionEvent, Sessions,
    groups::{Groups, Listening, listen},
    word::Word,
};
use crate::{
    Chat, ConversationId, Device, GroupId, Result, START, What,
    sync::{ClientSync, Head, Step, SyncBatch},
};

/// What a session knows of its device, and asks the stores and the bus for it.
pub(super) struct Desk {
    pub(super) sessions: Sessions,
    pub(super) chat: Chat,
    pub(super) device: Device,
    pub(super) connection: Arc<Connection>,
    pub(super) groups: Groups,
    pub(super) sync: ClientSync<Frame>,
    pub(super) errand: Option<BoxFuture<'static, Found>>,
    pub(super) timer: Option<(Duration, Sleep)>,
    /// What `sync` has just said; empty in between.
    pub(super) steps: Vec<(ConversationId, Step<Frame>)>,
    /// Up to where the last token goes.
    pub(super) caught: Option<Position>,
}

/// What the stores and the bus answered.
pub(super) enum Found {
    Missed(Result<SyncBatch>),
    Groups(Vec<GroupId>, Result<Vec<Listening>>),
}

/// What the device is to be told, in order.
type Said = VecDeque<SessionEvent>;

/// After how long to try again to listen to groups.
const RETRY: Duration = Duration::from_secs(1);

impl Desk {
    /// Begins with what the inbox said: whether it has lost what the device was told, and of which conversations
    /// it cannot say where the device is.
    pub(super) fn begin(
        &mut self,
        is_lost: bool,
        lost: Vec<ConversationId>,
        inbox: SyncBatch,
        said: &mut Said,
    ) {
        let now = self.now();
        said.extend(is_lost.then_some(SessionEvent::Anew));
        let resets = lost.into_iter();
        said.extend(resets.map(|talk| SessionEvent::Step(talk, Step::Reset)));
        self.sync.connected(now);
        drop(self.sync.poll(now)); // which asks for the inbox
        self.sync.answered(now, inbox, &mut self.steps);
        self.tell(said);
    }

    /// Something may have happened in the inbox.
    pub(super) fn look(&mut self) {
        self.sync.look(self.now());
    }

    /// Whether an event that was pushed may be told at once, and nothing else follows from it.
    pub(super) fn is_next(&self, conversation: ConversationId, frame: &Frame) -> bool {
        !self.groups.is_left(conversation) && self.sync.is_next(conversation, frame.position())
    }

    /// Takes what was pushed.
    pub(super) fn hear(&mut self, conversation: ConversationId, word: Word, said: &mut Said) {
        let now = self.now();
        match word {
            Word::Event(frame) => {
                let epoch = frame.position().epoch;
                if !self.groups.is_left(conversation) {
                    let steps = &mut self.steps;
                    self.sync.pushed(now, conversation, epoch, frame, steps);
                }
            }
            Word::Reached(top) => self.reached(now, conversation, top, START),
            Word::Read(to) => self.reached(now, conversation, to, to),
            Word::Receipt { user, cursor, to } => said.push_back(SessionEvent::Receipt {
                conversation,
                user,
                cursor,
                to,
            }),
            Word::Look => self.sync.look(now),
            Word::Signal { from, .. } if from == self.device => {}
            Word::Signal { from, body } => said.push_back(SessionEvent::Signal {
                conversation,
                from,
                body,
            }),
        }
        self.tell(said);
    }

    /// Asks what there is to ask, and waits until that is answered, or there is something to ask again.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, said: &mut Said) -> Poll<()> {
        if self.errand.is_none() {
            self.errand = self.ask();
        }
        let Some(errand) = &mut self.errand else {
            return self.poll_timer(cx);
        };
        let found = ready!(errand.poll_unpin(cx));
        self.errand = None;
        self.find(found, said);
        Poll::Ready(())
    }

    fn now(&self) -> Duration {
        self.chat.parts.clock.monotonic()
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
    fn tell(&mut self, said: &mut Said) {
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
            said.push_back(SessionEvent::Step(conversation, step));
        }
        self.steps = steps;
        let inbox = self.sync.inbox();
        if self.caught != Some(inbox) && self.sync.is_settled(self.now()) {
            self.caught = Some(inbox);
            let key = &self.sessions.options.key;
            let token = ResumeToken::sign(key, self.device, inbox);
            said.push_back(SessionEvent::Caught(token));
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
        let now = self.now();
        let new = self.groups.take_new(now);
        if !new.is_empty() {
            let (sessions, chat) = (self.sessions.clone(), self.chat.clone());
            let (connection, user) = (Arc::clone(&self.connection), self.device.user);
            let listen = async move {
                let listening = listen(&sessions, &chat, &connection, user, &new).await;
                Found::Groups(new, listening)
            };
            return Some(listen.boxed());
        }
        let request = self.sync.poll(now)?;
        let (chat, device) = (self.chat.clone(), self.device);
        let sync = async move { Found::Missed(chat.sync(device, &request).await) };
        Some(sync.boxed())
    }

    fn find(&mut self, found: Found, said: &mut Said) {
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
        self.tell(said);
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
