//! The lists of chat-core.

macro_rules! lists {
    ($redis:expr) => {
        chat_core::presence_conformance!(async {
            use chat_core::conformance::presence::{NODES, USERS};
            let options = backend_redis::RedisPresenceOptions::default()
                .with_max_nodes(NODES)
                .with_max_users(USERS)
                .with_parts(4);
            let presence = backend_redis::RedisPresence::new($redis.await, options);
            fresh::<dyn chat_core::presence::Presence>(Arc::new(presence))
        });

        chat_core::sequence_marks_conformance!(async {
            let marks = backend_redis::RedisSequenceMarks::new($redis.await);
            fresh::<dyn chat_core::sequencer::SequenceMarks>(Arc::new(marks))
        });
    };
}

pub(crate) use lists;
