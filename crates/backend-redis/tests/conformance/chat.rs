//! The lists of chat-core.

macro_rules! lists {
    ($redis:expr) => {
        chat_core::sequence_marks_conformance!(async {
            let marks = backend_redis::RedisSequenceMarks::new($redis.await);
            fresh::<dyn chat_core::sequencer::SequenceMarks>(Arc::new(marks))
        });
    };
}

pub(crate) use lists;
