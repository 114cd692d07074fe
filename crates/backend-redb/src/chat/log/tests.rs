use std::sync::Arc;

use backplane::ManualClock;
use chat_core::conformance::{Fresh, TestTime};

use super::*;
use crate::scratch::Scratch;

async fn open(writer: &Writer) -> RedbMessageLog {
    RedbMessageLog::open(writer, "test", RedbMessageLogOptions::default())
        .await
        .unwrap()
}

async fn fresh() -> Fresh<dyn MessageLog> {
    Fresh {
        store: Arc::new(open(&Scratch::new().writer()).await),
        time: TestTime::Manual(ManualClock::default()),
    }
}

chat_core::message_log_conformance!(fresh());
