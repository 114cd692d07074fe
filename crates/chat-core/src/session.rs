//! Live sessions of devices: what happens comes by itself, in order and without a hole.
//!
//! [`Sessions`] brings what happens to the devices that are connected to this node, and hands out a
//! [`Session`] to each. A session tells its device what it missed, and then what happens, until it is
//! dropped, or the device is too slow for it.
//!
//! # How it works
//!
//! What is stored goes to the inboxes of those whom it concerns, and then, as a push, to their sessions: to
//! the two users of a direct conversation, or to whoever listens to a group, by a [`Hub`] in each process and a
//! [`Bus`] between them. A push is a hint, and the log the truth. A session keeps the place that its device has
//! reached in each conversation, passes on a push that is next, and reads from the log what no push brought.

mod desk;
mod frame;
mod groups;
mod open;
mod options;
mod stream;
mod token;
mod word;

use std::sync::Arc;

use async_trait::async_trait;
use backplane::{
    Clock, Position, Topic,
    bus::{self, Bus, Relay, RelayOptions},
    hub::{self, Hub, HubOptions, Interest},
};
use bytes::Bytes;

use self::word::{Word, group_signals, group_topic, user_signals, user_topic};
pub use self::{
    frame::Frame,
    options::SessionOptions,
    stream::{Session, SessionEvent},
    token::ResumeToken,
};
use crate::{
    Advance, Chat, ChatEvents, ChatParts, ConversationId, Cursor, Device, Error, ErrorKind, Event,
    News, Refusal, Result, UserId, What,
};

/// Brings what happens in a chat to the devices that are connected. Clones share one hub.
///
/// ```
/// use backplane::hub::HubOptions;
/// use chat_core::{Chat, ChatParts, ConversationId, Device, DeviceId, UserId, What};
/// use chat_core::session::{SessionEvent, Sessions};
/// use chat_core::sync::Step;
/// use futures::StreamExt;
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> chat_core::Result<()> {
/// let sessions = Sessions::new(HubOptions::default());
/// let mut parts = ChatParts::in_memory();
/// sessions.attach(&mut parts);
/// let chat = Chat::new(parts);
///
/// let [ann, bob] = [1, 2].map(|user| Device::new(UserId::new(user), DeviceId::new(1)));
/// let mut phone = sessions.open(&chat, bob, None).await?;
/// let Some(SessionEvent::Caught(token)) = phone.next().await else { panic!("it missed nothing") };
///
/// let talk = ConversationId::direct(ann.user, bob.user);
/// chat.send(ann, talk, "my-first".parse()?, "hello").await?.receipt().expect("stored");
/// let Some(SessionEvent::Step(of, Step::Next(frame))) = phone.next().await else { panic!("it is connected") };
/// assert_eq!(of, talk);
/// assert!(matches!(frame.event()?.what, What::Message(message) if message.body == "hello"));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Sessions {
    hub: Hub,
    nodes: Option<Nodes>,
    options: Arc<SessionOptions>,
}

/// What joins the hubs of several nodes.
#[derive(Clone, Debug)]
struct Nodes {
    bus: Arc<dyn Bus>,
    relay: Arc<Relay>,
}

impl Sessions {
    /// The longest signal, in bytes.
    pub const MAX_SIGNAL: usize = 1 << 10;

    /// For a chat whose devices all connect to this process.
    ///
    /// # Panics
    ///
    /// If the operating system refuses a thread.
    #[must_use]
    pub fn new(options: HubOptions) -> Self {
        Self {
            hub: Hub::new(options),
            nodes: None,
            options: Arc::default(),
        }
    }

    /// For a chat of several processes, each with a node of one bus. Nothing arrives unless
    /// [`run`](Self::run) runs. They are given one [key](SessionOptions::key).
    ///
    /// # Panics
    ///
    /// If the operating system refuses a thread.
    #[must_use]
    pub fn across(bus: Arc<dyn Bus>, clock: Arc<dyn Clock>, options: HubOptions) -> Self {
        let relay = Arc::new(Relay::new(Arc::clone(&bus), clock, RelayOptions::default()));
        let interest: Arc<dyn Interest> = Arc::<Relay>::clone(&relay);
        Self {
            hub: Hub::with_interest(options, interest),
            nodes: Some(Nodes { bus, relay }),
            options: Arc::default(),
        }
    }

    /// The same with other bounds, and another key.
    #[must_use]
    pub fn with_options(mut self, options: SessionOptions) -> Self {
        self.options = Arc::new(options);
        self
    }

    /// Has a chat that is to be made of these parts tell this what happens.
    ///
    /// To be called before [`Chat::new`], in every process.
    pub fn attach(&self, parts: &mut ChatParts) {
        parts.events.push(Arc::new(self.clone()));
    }

    /// Brings here what happens at other nodes, until this node is drained off the bus, once. In a
    /// single process there is nothing to bring, and it returns at once.
    ///
    /// # Errors
    ///
    /// Fails if it was run before, and if somebody else reads the events of the node.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends it for good: nothing arrives from other nodes any more.
    pub async fn run(&self) -> Result<()> {
        match &self.nodes {
            Some(nodes) => Ok(nodes.relay.run(&self.hub).await?),
            None => Ok(()),
        }
    }

    /// The hub that feeds the sessions: to drain it before the process ends, and to see how much it holds.
    #[must_use]
    pub const fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Opens the session of a device, which is told first what it missed since `resume`, the last token that
    /// an earlier session gave it. Without a token it begins anew, and is told everything that its user may read,
    /// or the newest [`most`](SessionOptions::most) of each conversation.
    ///
    /// A conversation in which something happened since goes on from where the device has
    /// [acknowledged](Chat::acknowledge) it. One that it has never acknowledged is told anew, after a
    /// [reset](crate::sync::Step::Reset). So a device stores what it is told, then acknowledges that, and with it
    /// stores the newest token.
    ///
    /// This must be [attached](Self::attach) to the chat: otherwise nothing arrives by itself.
    ///
    /// Among several nodes it waits until the bus brings what happens at the others, for which
    /// [`run`](Self::run) must run.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::ForeignToken`] if the token is of another device or another service;
    /// [`ErrorKind::Full`] if the hub has no room, [`ErrorKind::Closed`] if it drains; otherwise fails if an
    /// engine does.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    pub async fn open(
        &self,
        chat: &Chat,
        device: Device,
        resume: Option<&ResumeToken>,
    ) -> Result<Session> {
        open::open(self, chat, device, resume).await
    }

    /// Tells those who are connected something that is not stored, as that somebody is typing: the users of a
    /// direct conversation, and in a group whoever [shows](Session::show) it. It may be lost, and newer signals take
    /// the place of older ones that wait for a device. `None` if it was told.
    ///
    /// It says that the user is there: do not let those signal who do not want to be seen.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::OversizedBody`] if it is longer than [`MAX_SIGNAL`](Self::MAX_SIGNAL); otherwise fails if an
    /// engine does.
    ///
    /// # Cancel safety
    ///
    /// It is told or not.
    pub async fn signal(
        &self,
        chat: &Chat,
        from: Device,
        conversation: ConversationId,
        body: impl Into<Bytes> + Send,
    ) -> Result<Option<Refusal>> {
        let body = body.into();
        if body.len() > Self::MAX_SIGNAL {
            return Err(Error::bare(ErrorKind::OversizedBody, "signal"));
        }
        let asks = [(conversation, from.user)];
        let member = chat.parts.log.lookup(&asks).await?.pop().flatten();
        if member.is_none_or(|member| member.role.is_none()) {
            return Ok(Some(Refusal::NotMember));
        }
        let word = Word::signal(conversation, from, &body);
        let pushes = match conversation {
            ConversationId::Direct(pair) => {
                let to_each = pair.users().map(|user| (user_signals(user), word.clone()));
                to_each.collect()
            }
            ConversationId::Group(group) => vec![(group_signals(group), word)],
        };
        self.publish(pushes).await?;
        Ok(None)
    }

    async fn publish(&self, words: Vec<(Topic, Bytes)>) -> Result<()> {
        let Some(nodes) = &self.nodes else {
            let outgoing = |(topic, word)| hub::Outgoing::new(topic, word);
            let mut batch: Vec<_> = words.into_iter().map(outgoing).collect();
            self.hub.publish_batch(&mut batch);
            let refused = |sent: &hub::Outgoing| sent.outcome == Some(hub::Published::Refused);
            if batch.iter().any(refused) {
                return Err(Error::bare(ErrorKind::Unavailable, "push"));
            }
            return Ok(());
        };
        let outgoing = |(topic, word)| bus::Outgoing::new(topic, word);
        let words: Vec<_> = words.into_iter().map(outgoing).collect();
        let mut failure = None;
        for batch in words.chunks(nodes.bus.limits().batch.max(1)) {
            let published = nodes.bus.publish(batch).await?;
            failure = published.into_iter().find_map(Result::err).or(failure);
        }
        failure.map_or(Ok(()), |error| Err(error.into()))
    }

    /// An event, or that there is one, if it reads differently for some, or is too long for the bus.
    fn word(&self, news: &News<'_>, event: &Event) -> Bytes {
        if event.is_fresh() {
            let word = Word::event(news.conversation, news.epoch, event);
            let limit = self.nodes.as_ref().map(|nodes| nodes.bus.limits().payload);
            if limit.is_none_or(|limit| word.len() <= limit) {
                return word;
            }
        }
        let at = Position::new(news.epoch, event.seq);
        Word::reached(news.conversation, at)
    }
}

/// Those who came into the conversation by what happened.
fn newcomers<'a>(news: &'a News<'_>) -> impl Iterator<Item = UserId> + 'a {
    news.events.iter().flat_map(|event| match &event.what {
        What::Found { members, .. } => members.iter().map(|(user, _)| *user).collect(),
        What::Join { user, .. } => vec![*user],
        _ => Vec::new(),
    })
}

#[async_trait]
impl ChatEvents for Sessions {
    async fn happened(&self, news: &News<'_>) -> Result<()> {
        let conversation = news.conversation;
        let words = news.events.iter().map(|event| self.word(news, event));
        let pushes = match conversation {
            ConversationId::Direct(pair) => {
                let topics: Vec<_> = pair.users().map(user_topic).collect();
                let to_both = words.flat_map(|word| {
                    let to = topics.iter().cloned();
                    to.map(move |topic| (topic, word.clone()))
                });
                to_both.collect()
            }
            ConversationId::Group(group) => {
                let topic = group_topic(group);
                let to_all = words.map(|word| (topic.clone(), word));
                let word = Word::look(conversation);
                let new = newcomers(news).map(|user| (user_topic(user), word.clone()));
                to_all.chain(new).collect()
            }
        };
        self.publish(pushes).await
    }

    async fn acknowledged(&self, advance: &Advance) -> Result<()> {
        let Advance {
            device,
            conversation,
            cursor,
            to,
        } = *advance;
        let mut pushes = Vec::new();
        if cursor == Cursor::Read {
            let word = Word::read(conversation, to);
            pushes.push((user_topic(device.user), word));
        }
        if let Some(pair) = conversation.pair() {
            let word = Word::receipt(conversation, device.user, cursor, to);
            let others = pair.users().filter(|user| *user != device.user);
            pushes.extend(others.map(|user| (user_topic(user), word.clone())));
        }
        self.publish(pushes).await
    }
}
