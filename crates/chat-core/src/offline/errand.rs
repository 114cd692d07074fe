use std::time::Duration;

use backplane::{Position, queue::NewTask};
use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_128;

use crate::{
    ConversationId, Result, UserId,
    codec::{self, Input, Wire},
};

/// Members of whom it is to be decided whether to notify them of a message: what a task of the queue says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Errand {
    pub(super) conversation: ConversationId,
    pub(super) position: Position,
    pub(super) whom: Whom,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Whom {
    /// All members after this one, in the order of their ids.
    After(Option<UserId>),
    /// These, who have had their time to receive it.
    These(Vec<UserId>),
}

impl Errand {
    /// All members.
    pub(super) const fn first(conversation: ConversationId, position: Position) -> Self {
        Self {
            conversation,
            position,
            whom: Whom::After(None),
        }
    }

    /// The members after `last`.
    pub(super) const fn after(&self, last: UserId) -> Self {
        Self {
            conversation: self.conversation,
            position: self.position,
            whom: Whom::After(Some(last)),
        }
    }

    /// These, later.
    pub(super) fn later(&self, users: Vec<UserId>, delay: Duration) -> NewTask {
        let later = Self {
            conversation: self.conversation,
            position: self.position,
            whom: Whom::These(users),
        };
        later.task().with_delay(delay)
    }

    /// The errand as a task, which is in the queue once however often it is put there.
    pub(super) fn task(&self) -> NewTask {
        let payload = self.encode();
        let key = xxh3_128(&payload).to_be_bytes();
        let lane = self.conversation.mixed();
        NewTask::new(payload).with_lane(lane).with_key(key.to_vec())
    }

    pub(super) fn encode(&self) -> Bytes {
        let mut bytes = Vec::new();
        codec::encode(self, &mut bytes);
        bytes.into()
    }

    pub(super) fn decode(payload: &Bytes) -> Result<Self> {
        codec::decode(payload.clone())
    }
}

impl Wire for Errand {
    fn put(&self, out: &mut Vec<u8>) {
        self.conversation.put(out);
        self.position.put(out);
        match &self.whom {
            Whom::After(last) => {
                out.push(0);
                last.put(out);
            }
            Whom::These(users) => {
                out.push(1);
                users.put(out);
            }
        }
    }

    fn take(input: &mut Input) -> Result<Self> {
        let (conversation, position) = (Wire::take(input)?, Wire::take(input)?);
        let whom = match input.byte()? {
            0 => Whom::After(Wire::take(input)?),
            1 => Whom::These(Wire::take(input)?),
            _ => return Err(Input::corrupt()),
        };
        Ok(Self {
            conversation,
            position,
            whom,
        })
    }
}
