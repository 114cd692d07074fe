//! Marks on servers that may have older ones.

use std::{ops::Range, sync::Arc};

use async_trait::async_trait;
use backend_redis::RedisSequenceMarks;
use backplane::{Epoch, Position};
use chat_core::{
    ConversationId, ErrorKind, GroupId, Result,
    sequencer::{SequenceKeeper, SequenceMarks, SequencerOptions, Tombstones},
};

use crate::house::Server;

const HERE: ConversationId = ConversationId::Group(GroupId::new(7));

/// Rows of which nobody asks.
#[derive(Debug)]
struct Rows;

#[async_trait]
impl Tombstones for Rows {
    async fn decide(&self, _: ConversationId, _: Epoch, _: Range<u64>) -> Result<()> {
        Ok(())
    }
}

async fn open(marks: &RedisSequenceMarks, epoch: u64) -> SequenceKeeper {
    let (marks, epoch) = (Arc::new(marks.clone()), Epoch::new(epoch));
    let options = SequencerOptions::default().with_block(10);
    let keeper = SequenceKeeper::open(marks, Arc::new(Rows), HERE, epoch, options);
    keeper.await.unwrap()
}

async fn number(keeper: &SequenceKeeper) -> Result<Position> {
    let permit = keeper.reserve(1).await?;
    let position = permit.position();
    permit.commit();
    Ok(position)
}

/// On a server that may have an older mark, or none, numbers begin in another epoch, and whoever had the former gets no
/// more.
#[tokio::test]
async fn numbers_begin_anew_on_a_server_that_may_have_lost_some() {
    let server = Server::start().await;
    let marks = RedisSequenceMarks::new(server.redis.clone());
    for (epoch, losses) in (1..).zip([
        &["REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE"][..],
        &["FLUSHALL"],
    ]) {
        let keeper = open(&marks, epoch).await;
        let first = number(&keeper).await.unwrap();
        assert_eq!(first, Position::new(Epoch::new(epoch), 1));
        // The same goes on where nothing was lost.
        let keeper = open(&marks, 99).await;
        assert_eq!(number(&keeper).await.unwrap().epoch, first.epoch);
        for &loss in losses {
            server.order(loss).await;
        }
        assert_eq!(marks.load(HERE).await.unwrap(), None);
        let mut closed = number(&keeper).await;
        while closed.is_ok() {
            closed = number(&keeper).await;
        }
        assert_eq!(closed.unwrap_err().kind(), ErrorKind::Closed);
    }
    assert_eq!(number(&open(&marks, 9).await).await.unwrap().offset, 1);
}

#[tokio::test]
async fn what_is_no_mark_is_corrupt() {
    let server = Server::start().await;
    let marks = RedisSequenceMarks::new(server.redis.clone());
    for stranger in ["SET sequence:group:7 stranger", "HSET sequence:group:7 a b"] {
        server.order("FLUSHALL").await;
        server.order(stranger).await;
        let refused = marks.load(HERE).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Corrupt);
    }
}
