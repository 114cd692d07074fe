//! Edges that differ from their copies, since a server has lost a change to either.

use std::iter::zip;

use feed_core::{EdgeRoute, Result};
use redis::cmd;

use super::{
    RedisGraph, answer, row,
    ties::{Kind, Tie},
};
use crate::{answer::Maybe, script::script};

script!(HEAL, "../../lua/numbers.lua", "user.lua", "heal.lua");

impl RedisGraph {
    /// Looks at the copies of edges that were not found as the caller has seen them. With each edge comes its
    /// number, when nothing was pending: the copy had it too then, or a later one.
    ///
    /// Where the caller has seen what the copy is, and the edge is another and stays so, one of them was lost.
    pub(super) async fn heal(
        &self,
        op: &'static str,
        doubts: Vec<(EdgeRoute, Vec<u8>)>,
    ) -> Result<()> {
        let look = |(edge, _): &(EdgeRoute, _)| {
            let viewer = row::bytes(edge.viewer);
            let mut look = cmd("ZRANGEBYLEX");
            look.arg(self.key(edge.author, "followers"))
                .arg([b"[", &viewer[..]].concat())
                .arg([b"(", &viewer[..], &[u8::MAX]].concat());
            look
        };
        let looks: Vec<_> = doubts.iter().map(look).collect();
        let copies = self.redis.read_all(op, &looks, answer::copied).await;
        let (mut ties, mut calls) = (Vec::new(), Vec::new());
        for ((edge, seen), copy) in zip(doubts, copies) {
            let Maybe(copy) = copy?;
            let Some(copy) = copy.filter(|copy| copy.stamp == edge.stamp) else {
                continue;
            };
            ties.push(Tie::new(Kind::Edge, edge.viewer, edge.author));
            let call = self.call(&HEAL, edge.viewer);
            calls.push(
                call.bytes(row::bytes(edge.author))
                    .bytes(seen)
                    .bytes(copy.number.to_be_bytes()),
            );
        }
        let answers = self.redis.ask_all(op, &calls, answer::owed).await;
        let mut owed = Vec::new();
        for (tie, answer) in zip(ties, answers) {
            owed.extend(answer?.0.map(|change| tie.owed(change)));
        }
        self.pay(op, owed).await
    }
}
