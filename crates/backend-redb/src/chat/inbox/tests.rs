use std::sync::Arc;

use backplane::ManualClock;
use chat_core::conformance::{
    Fresh, TestTime,
    histories::{few_cases, inbox},
};
use proptest::prelude::*;
use tokio::runtime::Builder;

use super::*;
use crate::scratch::Scratch;

async fn open(writer: &Writer, options: RedbInboxOptions) -> RedbInbox {
    RedbInbox::open(writer, "test", options).await.unwrap()
}

async fn fresh() -> Fresh<dyn Inbox> {
    let options = RedbInboxOptions::default().with_max_copies(10);
    Fresh {
        store: Arc::new(open(&Scratch::new().writer(), options).await),
        time: TestTime::Manual(ManualClock::default()),
    }
}

chat_core::inbox_conformance!(fresh());

proptest! {
    #![proptest_config(few_cases())]

    /// They answer as inboxes in memory do, however often the file is opened again.
    #[test]
    fn answers_as_inboxes_in_memory_do(history in inbox::histories()) {
        let runtime = Builder::new_current_thread().build().unwrap();
        let scratch = Scratch::new();
        let options = RedbInboxOptions::default()
            .with_max_copies(inbox::MAX_COPIES)
            .with_max_devices(inbox::MAX_DEVICES);
        let open = async || Arc::new(open(&scratch.writer(), options.clone()).await);
        runtime.block_on(inbox::play(&history, open));
    }
}
