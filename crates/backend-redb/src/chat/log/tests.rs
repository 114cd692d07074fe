use std::sync::Arc;

use backplane::ManualClock;
use chat_core::conformance::{
    Fresh, TestTime,
    histories::{few_cases, log},
};
use proptest::prelude::*;
use tokio::runtime::Builder;

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

proptest! {
    #![proptest_config(few_cases())]

    /// It answers as the log in memory does, however often the file is opened again.
    #[test]
    fn answers_as_the_log_in_memory_does(history in log::histories()) {
        let runtime = Builder::new_current_thread().build().unwrap();
        let scratch = Scratch::new();
        let open = async || Arc::new(open(&scratch.writer()).await);
        runtime.block_on(log::play(&history, open));
    }
}
