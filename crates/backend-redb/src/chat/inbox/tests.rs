use std::sync::Arc;

use backplane::ManualClock;
use chat_core::conformance::{Fresh, TestTime};

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
