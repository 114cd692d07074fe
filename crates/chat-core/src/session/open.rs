//! How a session begins: what its device missed, and what it listens to.

use std::{collections::VecDeque, sync::Arc};

use backplane::{Position, hub::SubscribeOptions};
use hashbrown::HashMap;

use super::{
    ResumeToken, Session, Sessions,
    desk::Desk,
    groups::{Groups, listen, signals},
    word::{user_signals, user_topic},
};
use crate::{
    Chat, ConversationId, Device, GroupId, InboxEntry, Result, START, UserId,
    sync::{ClientSync, ClientSyncOptions, Head, SyncBatch},
};

/// How many groups are looked up at once.
const CROWD: usize = 100;

pub(super) async fn open(
    sessions: &Sessions,
    chat: &Chat,
    device: Device,
    resume: Option<&ResumeToken>,
) -> Result<Session> {
    let options = &sessions.options;
    let since = resume.map(|token| token.open(&options.key, device));
    let since = since.transpose()?;
    let (connection, deliveries) = sessions.hub.connect_stream(&options.connection)?;
    let connection = Arc::new(connection);
    let topic = user_topic(device.user);
    connection.subscribe(&topic, &SubscribeOptions::default())?;
    connection.subscribe(&user_signals(device.user), &signals())?;
    sessions.joined(&topic).await?;

    // Whatever happens from here on is pushed, or in the inbox by the second look.
    let known = Known::look(chat, device.user, START).await?;
    let is_lost = since.is_some_and(|since| since.epoch != known.through.epoch);
    let since = since.filter(|_| !is_lost);
    let mut groups = Groups::new(Arc::clone(&connection));
    for some in known.groups().chunks(CROWD) {
        for listening in listen(sessions, chat, &connection, device.user, some).await? {
            groups.note(listening);
        }
    }
    let mut changed = Known::look(chat, device.user, since.unwrap_or(known.through)).await?;
    if since.is_none() {
        for (conversation, entry) in &known.entries {
            changed.entries.entry(*conversation).or_insert(*entry);
        }
    }
    for group in changed.groups() {
        groups.meet(ConversationId::Group(group));
    }
    let (positions, lost) = match since {
        Some(_) => positions(chat, device, &known, &changed).await?,
        None => (Vec::new(), Vec::new()),
    };

    let bounds = ClientSyncOptions::default()
        .with_hold(options.hold)
        .with_check(options.check)
        .with_most(options.most);
    let sync = ClientSync::of(bounds).resuming(since.unwrap_or(START), positions);
    let mut desk = Desk {
        sessions: sessions.clone(),
        chat: chat.clone(),
        device,
        connection,
        groups,
        sync,
        errand: None,
        timer: None,
        steps: Vec::new(),
        caught: None,
    };
    let mut said = VecDeque::new();
    desk.begin(is_lost, lost, changed.into_batch(), &mut said);
    Ok(Session::new(deliveries, desk, said))
}

/// Where the device is: at the end of what did not change since its token, and where it has acknowledged
/// what did. And the conversations of which it is not known.
async fn positions(
    chat: &Chat,
    device: Device,
    known: &Known,
    changed: &Known,
) -> Result<(Vec<(ConversationId, Position)>, Vec<ConversationId>)> {
    let unchanged = known.entries.iter();
    let unchanged = unchanged.filter(|(talk, _)| !changed.entries.contains_key(*talk));
    let mut positions: Vec<_> = unchanged.map(|(talk, stand)| (*talk, stand.top)).collect();
    let asks = changed.entries.keys().map(|talk| (device, *talk));
    let asks: Vec<_> = asks.collect();
    let received = chat.parts.inbox.received(&asks).await?;
    let received = asks.into_iter().map(|(_, talk)| talk).zip(received);
    let (unknown, acknowledged): (Vec<_>, Vec<_>) = received.partition(|(_, at)| *at == START);
    positions.extend(acknowledged);
    Ok((
        positions,
        unknown.into_iter().map(|(talk, _)| talk).collect(),
    ))
}

/// What an inbox says of conversations.
struct Known {
    entries: HashMap<ConversationId, Stand>,
    through: Position,
}

/// How a conversation stands for its user.
#[derive(Clone, Copy)]
struct Stand {
    top: Position,
    read: Position,
}

impl Known {
    /// All that changed since then.
    async fn look(chat: &Chat, user: UserId, since: Position) -> Result<Self> {
        let mut known = Self {
            entries: HashMap::new(),
            through: since,
        };
        loop {
            let (inbox, limit) = (&chat.parts.inbox, chat.parts.options.changes);
            let page = inbox.changes(user, known.through, limit).await?;
            let entries = page.entries.into_iter().map(
                |InboxEntry {
                     conversation,
                     top,
                     read,
                     ..
                 }| (conversation, Stand { top, read }),
            );
            known.entries.extend(entries);
            known.through = page.through;
            if !page.more {
                return Ok(known);
            }
        }
    }

    fn groups(&self) -> Vec<GroupId> {
        let groups = self.entries.keys().filter_map(|talk| match talk {
            ConversationId::Group(group) => Some(*group),
            ConversationId::Direct(_) => None,
        });
        groups.collect()
    }

    fn into_batch(self) -> SyncBatch {
        let heads = self.entries.into_iter();
        let heads = heads.map(|(conversation, Stand { top, read })| Head {
            conversation,
            top,
            read,
        });
        SyncBatch::new(heads.collect(), Vec::new(), Some(self.through), false)
    }
}
