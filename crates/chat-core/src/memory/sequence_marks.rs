use async_trait::async_trait;
use hashbrown::HashMap;
use parking_lot::Mutex;

use crate::{
    ConversationId, Result,
    sequencer::{MarkReplaced, SequenceMark, SequenceMarks},
};

/// [`SequenceMarks`] in process memory.
///
/// They outlive keepers, not the process: for tests, and where the rows do not outlive it either.
#[derive(Debug, Default)]
pub struct MemorySequenceMarks {
    marks: Mutex<HashMap<ConversationId, SequenceMark>>,
}

impl MemorySequenceMarks {
    /// The mark of `conversation`, if there has ever been one.
    #[must_use]
    pub fn load(&self, conversation: ConversationId) -> Option<SequenceMark> {
        self.marks.lock().get(&conversation).copied()
    }

    /// Replaces the mark of `conversation` if it is `expected`.
    pub fn replace(
        &self,
        conversation: ConversationId,
        expected: Option<SequenceMark>,
        mark: SequenceMark,
    ) -> MarkReplaced {
        let mut marks = self.marks.lock();
        let current = marks.get(&conversation).copied();
        if current != expected {
            return MarkReplaced::Moved { mark: current };
        }
        marks.insert(conversation, mark);
        MarkReplaced::Done
    }
}

#[async_trait]
impl SequenceMarks for MemorySequenceMarks {
    async fn load(&self, conversation: ConversationId) -> Result<Option<SequenceMark>> {
        Ok(self.load(conversation))
    }

    async fn replace(
        &self,
        conversation: ConversationId,
        expected: Option<SequenceMark>,
        mark: SequenceMark,
    ) -> Result<MarkReplaced> {
        Ok(self.replace(conversation, expected, mark))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use backplane::{
        ManualClock,
        conformance::{Fresh, TestTime},
    };

    use super::*;

    crate::sequence_marks_conformance!(async {
        Fresh::<dyn SequenceMarks> {
            store: Arc::new(MemorySequenceMarks::default()),
            time: TestTime::Manual(ManualClock::default()),
        }
    });
}
