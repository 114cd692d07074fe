//! A message's way: it gets an id, is stored, and all whom it concerns are told.

mod tell;

use std::time::Duration;

use backplane::id::IdError;
use bytes::Bytes;

use crate::{
    Act, Appended, Chat, ClientId, ConversationId, Device, Error, ErrorKind, Event, Founded,
    NewEvent, NewGroup, Receipt, Refusal, Result, Stamp, What,
};

/// What became of something that a device or the application wants to happen.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
#[must_use = "what was refused did not happen"]
pub enum Sent {
    /// It is stored, and every member will learn of it.
    Stored(Receipt),
    /// It was stored by an earlier attempt, with this receipt.
    Duplicate(Receipt),
    /// The device has used the name for something else, with this receipt. Nothing happened.
    Conflict(Receipt),
    /// The conversation does not allow it. Nothing happened.
    Refused(Refusal),
    /// Ids have run out for the moment, or the clock was set back by more than they may run ahead of it.
    /// Nothing happened.
    Busy {
        /// When to try again.
        retry_after: Duration,
    },
}

impl Sent {
    /// The receipt, if it is stored: by this call, or by an earlier one.
    #[must_use]
    pub const fn receipt(self) -> Option<Receipt> {
        match self {
            Self::Stored(receipt) | Self::Duplicate(receipt) => Some(receipt),
            _ => None,
        }
    }
}

impl Chat {
    /// Says `body` in a conversation.
    ///
    /// # Errors
    ///
    /// As [`act`](Self::act).
    ///
    /// # Cancel safety
    ///
    /// As there.
    pub async fn send(
        &self,
        from: Device,
        conversation: ConversationId,
        key: ClientId,
        body: impl Into<Bytes> + Send,
    ) -> Result<Sent> {
        self.act(from, conversation, key, Act::Message(body.into()))
            .await
    }

    /// Does something in a conversation, under the device's own name for it, by which a retry is known.
    ///
    /// Once this answers that it is stored, every member can read it. That they learn of it does not hang
    /// on this call: should it end early, [`redeliver`](Self::redeliver) sees to it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::OversizedBody`] if the body is longer than
    /// [`max_body`](crate::ChatOptions::max_body), [`ErrorKind::Invalid`] if a description is longer than
    /// [`MAX_ABOUT`](crate::MAX_ABOUT), [`ErrorKind::Closed`] if there will be no more ids: nothing
    /// happened. On [`ErrorKind::Unavailable`] it may be stored or not, and a retry under the same name
    /// finds out.
    ///
    /// # Cancel safety
    ///
    /// As for [`ErrorKind::Unavailable`].
    pub async fn act(
        &self,
        from: Device,
        conversation: ConversationId,
        key: ClientId,
        act: Act,
    ) -> Result<Sent> {
        self.happen(Some(from), conversation, Some(key), act).await
    }

    /// Does something in a conversation on behalf of the application, which may do everything. Without
    /// `key`, a retry does it again.
    ///
    /// # Errors
    ///
    /// As [`act`](Self::act).
    ///
    /// # Cancel safety
    ///
    /// As there.
    pub async fn announce(
        &self,
        conversation: ConversationId,
        key: Option<ClientId>,
        act: Act,
    ) -> Result<Sent> {
        self.happen(None, conversation, key, act).await
    }

    /// Founds a group. `None` if there is one of that id already.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] if the group breaks the limits of [`NewGroup`], and as [`act`](Self::act);
    /// [`ErrorKind::Full`] too while ids have run out.
    ///
    /// # Cancel safety
    ///
    /// The group is founded or not; a retry finds out.
    pub async fn found(&self, group: NewGroup) -> Result<Option<Receipt>> {
        let Ok(stamp) = self.stamp()? else {
            return Err(Error::bare(ErrorKind::Full, "found a group"));
        };
        let conversation = ConversationId::Group(group.group);
        let (members, about) = (group.roster(), group.about.clone());
        let count = u32::try_from(members.len()).unwrap_or(u32::MAX);
        let founded = self.parts.log.found(&[(group, stamp)]).await?;
        let Some(Founded::New(receipt)) = founded.first().copied() else {
            return Ok(None);
        };
        let what = What::Found { members, about };
        let event = Event::new(1, receipt.id, receipt.at, None, None, what);
        self.tell_soon(conversation, receipt, event, count).await;
        Ok(Some(receipt))
    }

    async fn happen(
        &self,
        from: Option<Device>,
        conversation: ConversationId,
        key: Option<ClientId>,
        act: Act,
    ) -> Result<Sent> {
        self.check_body(&act)?;
        let stamp = match self.stamp()? {
            Ok(stamp) => stamp,
            Err(retry_after) => return Ok(Sent::Busy { retry_after }),
        };
        let mut event = NewEvent::new(conversation, stamp.id, stamp.at, from, act);
        event.key = key;
        let appended = self.parts.log.append(std::slice::from_ref(&event)).await?;
        Ok(match appended.first() {
            Some(Appended::Stored { receipt, members }) => {
                let (receipt, members) = (*receipt, *members);
                let event = event.into_event(receipt.position.offset);
                self.tell_soon(conversation, receipt, event, members).await;
                Sent::Stored(receipt)
            }
            Some(Appended::Duplicate(receipt)) => Sent::Duplicate(*receipt),
            Some(Appended::Conflict(receipt)) => Sent::Conflict(*receipt),
            Some(Appended::Refused(refusal)) => Sent::Refused(*refusal),
            None => return Err(Error::bare(ErrorKind::Corrupt, "append")),
        })
    }

    fn check_body(&self, act: &Act) -> Result<()> {
        match act {
            Act::Message(body) | Act::Edit { body, .. }
                if body.len() > self.parts.options.max_body =>
            {
                Err(Error::bare(ErrorKind::OversizedBody, "send"))
            }
            _ => Ok(()),
        }
    }

    /// An id and the time, or how long to wait for an id.
    fn stamp(&self) -> Result<Result<Stamp, Duration>> {
        let at = self.parts.clock.now();
        match self.parts.ids.next_id() {
            Ok(id) => Ok(Ok(Stamp { id: id.into(), at })),
            Err(error) => match (error.retry_after(), error) {
                (Some(retry_after), _) => Ok(Err(retry_after)),
                // Whoever keeps the node tries again by itself.
                (_, IdError::AwaitingMark | IdError::LeaseExpired) => Ok(Err(KEEPER)),
                _ => Err(Error::new(ErrorKind::Closed, "send", error)),
            },
        }
    }
}

/// What a keeper of ids may need to renew what it holds.
const KEEPER: Duration = Duration::from_millis(250);
