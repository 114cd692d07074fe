//! The streams of topics, as their scripts keep them.

use std::time::Duration;

use super::{RedisBusOptions, answer};
use crate::{
    Redis,
    backplane::times::micros,
    script::{Call, script},
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

    /// Publishes messages of one topic.
    pub(super) async fn publish(
        &self,
        topic: &Topic,
        messages: impl Iterator<Item = &Outgoing>,
    ) -> Result<Vec<Published>> {
        let limits = &self.options.limits;
        // Redis sends what is published on a shard channel within the shard, else to all nodes.
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
        let call = messages.fold(call, |call, message| {
            let key = message.key.map(|key| key.get().to_be_bytes().to_vec());
            call.bytes(key.unwrap_or_default())
                .bytes(&message.payload[..])
        });
        self.redis.ask("publish", &call, answer::published).await
    }

    pub(super) async fn read(&self, op: &'static str, read: &HistoryRead) -> Result<HistoryPage> {
        let since = read.since.map(|since| since.epoch.to_string());
        let after = read.since.map_or(0, |since| since.offset);
        let call = self
            .about(&read.topic, Call::reading(&READ))
            .bytes(since.unwrap_or_default())
            .number(after)
            .number(read.limit.min(self.options.limits.page) as u64)
            .number(read.bytes as u64);
        self.redis.ask(op, &call, answer::page).await
    }

    /// What every script of a stream begins with.
    fn about(&self, topic: &Topic, call: Call) -> Call {
        call.key(self.channel(topic))
            .bytes(format!("{:016x}", fastrand::u64(..)))
            .number(millis(self.topic_ttl()))
            .number(millis(self.options.limits.history_ttl))
    }

    /// How long a topic is kept that nobody uses.
    pub(super) fn topic_ttl(&self) -> Duration {
        self.options.topic_ttl.max(self.options.limits.history_ttl)
    }
}

/// At least one, since Redis takes zero for the past.
fn millis(time: Duration) -> u64 {
    micros(time).div_ceil(1_000).max(1)
}
