//! Topics that are published to all the time.

use std::{collections::HashMap, slice};

use backplane::{
    Position, Topic,
    bus::{Bus, Outgoing},
};

use crate::house::INTERVAL;

pub(crate) const TOPICS: usize = 30;

/// A node that publishes, and where the messages stand that were acknowledged.
pub(crate) struct Load<'a> {
    writer: &'a dyn Bus,
    pub(crate) topics: Vec<Topic>,
    pub(crate) acked: HashMap<Topic, Vec<Position>>,
}

impl<'a> Load<'a> {
    pub(crate) fn new(writer: &'a dyn Bus) -> Self {
        let topic = |number| format!("room:{number}").parse().unwrap();
        let topics: Vec<Topic> = (0..TOPICS).map(topic).collect();
        Self {
            writer,
            acked: topics
                .iter()
                .map(|topic| (topic.clone(), Vec::new()))
                .collect(),
            topics,
        }
    }

    /// Publishes one message to each topic.
    pub(crate) async fn round(&mut self) {
        let publish = |topic: &Topic| {
            let message = Outgoing::new(topic.clone(), "x");
            let writer = self.writer;
            async move {
                let published = writer.publish(slice::from_ref(&message)).await;
                let published = published.and_then(|mut published| published.remove(0));
                (message.topic, published)
            }
        };
        for (topic, published) in futures::future::join_all(self.topics.iter().map(publish)).await {
            match published {
                Ok(published) => self
                    .acked
                    .entry(topic)
                    .or_default()
                    .push(published.position()),
                Err(error) => assert!(error.is_retryable(), "{error:?}"),
            }
        }
    }

    /// Publishes until `count` more messages of each topic are acknowledged, slowly enough for a reader to
    /// find in the history what it has missed.
    pub(crate) async fn rounds(&mut self, count: usize) {
        let enough: HashMap<_, _> = self
            .acked
            .iter()
            .map(|(topic, acked)| (topic.clone(), acked.len() + count))
            .collect();
        while self
            .acked
            .iter()
            .any(|(topic, acked)| acked.len() < enough[topic])
        {
            self.round().await;
            tokio::time::sleep(INTERVAL).await;
        }
    }

    pub(crate) fn last(&self, topic: &Topic) -> Position {
        *self.acked[topic].last().unwrap()
    }
}
