//! What devices say of what they were sent: that they have it, and that it was read.

use backplane::Position;

use crate::{
    Advance, Advanced, Answer, Chat, ConversationId, Cursor, Device, LogRead, Refusal, Result,
    START, Seek, Unread, UnreadAsk, UserId, Viewer,
};

/// What became of an acknowledgement.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Acknowledged {
    /// It is noted.
    Moved,
    /// As much was noted before.
    Behind,
    /// Nothing has happened there yet, or nothing that the user may see. Nothing was noted.
    Ahead {
        /// Where the conversation ends for the user.
        top: Position,
    },
    /// The position is of an epoch that is past. Nothing was noted; the device begins the conversation
    /// anew.
    Stale {
        /// Where it ends now.
        top: Position,
    },
    /// The user may read nothing of the conversation.
    Refused(Refusal),
}

impl Chat {
    /// Notes that a device has received, or its user has read there, everything up to `to`.
    ///
    /// # Errors
    ///
    /// Fails if an engine does; retrying is safe.
    ///
    /// # Cancel safety
    ///
    /// It is noted or not; retrying is safe.
    pub async fn acknowledge(
        &self,
        device: Device,
        conversation: ConversationId,
        cursor: Cursor,
        to: Position,
    ) -> Result<Acknowledged> {
        if let Some(refused) = self.weigh(device.user, conversation, to).await? {
            return Ok(refused);
        }
        let advance = [Advance {
            device,
            conversation,
            cursor,
            to,
        }];
        let mut advanced = self.parts.inbox.advance(&advance).await?;
        if advanced == [Advanced::Unknown] {
            // Word of the conversation is still on its way to the inbox.
            let users = [device.user];
            self.parts
                .inbox
                .deliver(conversation, &users, to, &[])
                .await?;
            advanced = self.parts.inbox.advance(&advance).await?;
        }
        if advanced != [Advanced::Moved] {
            return Ok(Acknowledged::Behind);
        }
        for listener in &self.parts.events {
            // Whoever does not hear of it finds it in the inbox.
            drop(listener.acknowledged(&advance[0]).await);
        }
        Ok(Acknowledged::Moved)
    }

    /// Why a user cannot be at `position`, if they cannot.
    async fn weigh(
        &self,
        user: UserId,
        conversation: ConversationId,
        position: Position,
    ) -> Result<Option<Acknowledged>> {
        let read = LogRead::new(conversation, Viewer::User(user), Seek::After(position), 0);
        let answer = self.parts.log.read(&[read]).await?.pop();
        Ok(match answer {
            Some(Answer::Page(page)) if page.top >= position.offset => None,
            Some(Answer::Page(page)) => Some(Acknowledged::Ahead {
                top: Position::new(page.epoch, page.top),
            }),
            Some(Answer::Stale { top }) if top.epoch == position.epoch => {
                Some(Acknowledged::Ahead { top })
            }
            Some(Answer::Stale { top }) => Some(Acknowledged::Stale { top }),
            Some(Answer::Refused(refusal)) => Some(Acknowledged::Refused(refusal)),
            None => Some(Acknowledged::Stale { top: START }),
        })
    }

    /// How many messages a user has not read in each conversation, counted up to `cap`.
    ///
    /// # Errors
    ///
    /// Fails if an engine does.
    pub async fn unread(
        &self,
        user: UserId,
        conversations: &[ConversationId],
        cap: u32,
    ) -> Result<Vec<Unread>> {
        let asks: Vec<_> = conversations.iter().map(|talk| (user, *talk)).collect();
        let entries = self.parts.inbox.entries(&asks).await?;
        let asks = conversations
            .iter()
            .zip(entries)
            .map(|(&conversation, entry)| UnreadAsk {
                conversation,
                user,
                read: entry.map_or(START, |entry| entry.read),
                cap,
            });
        self.parts.log.unread(&asks.collect::<Vec<_>>()).await
    }
}
