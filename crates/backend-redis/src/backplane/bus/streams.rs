//! The streams of topics, as their scripts keep them.

use std::time::Duration;

use super::{RedisBusOptions, answer};
use crate::{
    Redis,
    script::{Call, script},
    times::millis,
};
use backplane::{
    Result, Topic,
    bus::{HistoryPage, HistoryRead, Outgoing, Published},
};

script!(PUBLISH, "stream.lua", "publish.lua");
script!(READ, "stream.lua", "read.lua");

#[derive(Clone, Debug)]
pub(super) struct Streams {
    pub(super) redis: Redis,
    pub(super) options: RedisBusOptions,
}

impl Streams {
    /// The channel of a topic, and what its keys begin with.
    pub(super) fn channel(&self, topic: &Topic) -> String {
        format!("{}{{bus:{}}}", self.redis.prefix(), topic.as_str())
    }

    /// Publishes messages: one script for each topic, all at once.
    pub(super) async fn publish(&self, messages: &[Outgoing]) -> Vec<Result<Published>> {
        let topics = messages.iter().map(|message| &message.topic);
        let call = |topic: &&Topic, places: &[usize]| {
            self.publication(topic, places.iter().map(|&place| &messages[place]))
        };
        let published = self
            .redis
            .ask_each("publish", topics, call, answer::published);
        published.await
    }

    /// The script that publishes messages of one topic.
    fn publication<'a>(&self, topic: &Topic, messages: impl Iterator<Item = &'a Outgoing>) -> Call {
        let limits = &self.options.limits;
        // Redis 7 sends what is published on a shard channel within the shard, else to all nodes.
        let publish = if self.redis.is_cluster() {
            "SPUBLISH"
        } else {
            "PUBLISH"
        };
        let call = self
            .about(topic, Call::of(&PUBLISH))
            .number(limits.history as u64)
            .number(limits.idempotency_keys as u64)
            .number(millis(limits.idempotency_window))
            .bytes(publish);
        messages.fold(call, |call, message| {
            let key = message.key.map(|key| key.get().to_be_bytes().to_vec());
            call.bytes(key.unwrap_or_default())
                .bytes(&message.payload[..])
        })
    }

    /// Reads pages: one script for each, all at once.
    pub(super) async fn read(
        &self,
        op: &'static str,
        reads: &[HistoryRead],
    ) -> Vec<Result<HistoryPage>> {
        let calls: Vec<_> = reads.iter().map(|read| self.reading(read)).collect();
        self.redis.ask_all(op, &calls, answer::page).await
    }

    fn reading(&self, read: &HistoryRead) -> Call {
        let since = read.since.map(|since| since.epoch.to_string());
        let after = read.since.map_or(0, |since| since.offset);
        self.about(&read.topic, Call::reading(&READ))
            .bytes(since.unwrap_or_default())
            .number(after)
            .number(read.limit.min(self.options.limits.page) as u64)
            .number(read.bytes as u64)
    }

    /// What every script of a stream begins with.
    fn about(&self, topic: &Topic, call: Call) -> Call {
        call.family(self.channel(topic))
            .bytes(format!("{:016x}", fastrand::u64(..)))
            .number(millis(self.topic_ttl()))
            .number(millis(self.options.limits.history_ttl))
    }

    /// How long a topic is kept that nobody uses.
    pub(super) fn topic_ttl(&self) -> Duration {
        let limits = &self.options.limits;
        let remembered = limits.history_ttl.max(limits.idempotency_window);
        self.options.topic_ttl.max(remembered)
    }
}
