use async_trait::async_trait;
use backplane::Epoch;
use chat_core::{
    ConversationId, Result,
    sequencer::{MarkReplaced, SequenceMark, SequenceMarks},
};
use redis::Value;

use crate::{
    Redis,
    answer::{Maybe, bytes},
    script::{Call, script},
};

/// [`SequenceMarks`] on Redis, which all nodes share.
///
/// A call is one round trip and one script. A conversation is one key, which is kept for ever.
///
/// # What Redis may lose
///
/// A mark that a server acknowledged may be gone when it dies, and an older one be there in its place: numbers after
/// that were given already. So a mark counts only on the server that it was written on. On another, which was started
/// since, was a replica of the former or was handed the slot, there is none: the next keeper of the conversation begins
/// an epoch, as after a loss, and devices read anew. A keeper that was open finds its mark gone and is closed.
///
/// A master that is taken for dead goes on until it is told, and so may its keeper; that one numbers in the former
/// epoch, so no position is given twice.
#[derive(Clone, Debug)]
pub struct RedisSequenceMarks {
    redis: Redis,
}

script!(LOAD, "sequence_marks/mark.lua", "sequence_marks/load.lua");
script!(
    REPLACE,
    "sequence_marks/mark.lua",
    "sequence_marks/replace.lua"
);

impl RedisSequenceMarks {
    /// Marks whose keys begin with the prefix of `redis` and `sequence:`.
    #[must_use]
    pub const fn new(redis: Redis) -> Self {
        Self { redis }
    }

    fn about(&self, conversation: ConversationId, call: Call) -> Call {
        call.key(format!("{}sequence:{conversation}", self.redis.prefix()))
    }
}

#[async_trait]
impl SequenceMarks for RedisSequenceMarks {
    async fn load(&self, conversation: ConversationId) -> Result<Option<SequenceMark>> {
        let call = self.about(conversation, Call::reading(&LOAD));
        let found = self.redis.ask("load a mark", &call, mark).await?;
        Ok(found.0)
    }

    async fn replace(
        &self,
        conversation: ConversationId,
        expected: Option<SequenceMark>,
        mark: SequenceMark,
    ) -> Result<MarkReplaced> {
        let call = self
            .about(conversation, Call::of(&REPLACE))
            .bytes(expected.map_or_else(Vec::new, row))
            .bytes(row(mark));
        Ok(self.redis.ask("replace a mark", &call, replaced).await?)
    }
}

/// Its parts, eight bytes each, big endian.
fn row(mark: SequenceMark) -> Vec<u8> {
    let parts = [mark.epoch.get(), mark.until, mark.settled, mark.holder];
    parts.map(u64::to_be_bytes).concat()
}

fn mark(answer: &Value) -> Option<Maybe<SequenceMark>> {
    let row = bytes(answer)?;
    if row.is_empty() {
        return Some(Maybe(None));
    }
    let (parts, rest) = row.as_chunks();
    let parts: Vec<_> = parts.iter().copied().map(u64::from_be_bytes).collect();
    let (&[epoch, until, settled, holder], []) = (&parts[..], rest) else {
        return None;
    };
    Some(Maybe(Some(SequenceMark {
        epoch: Epoch::new(epoch),
        until,
        settled,
        holder,
    })))
}

fn replaced(answer: &Value) -> Option<MarkReplaced> {
    if *answer == Value::Int(1) {
        return Some(MarkReplaced::Done);
    }
    let Maybe(mark) = mark(answer)?;
    Some(MarkReplaced::Moved { mark })
}
