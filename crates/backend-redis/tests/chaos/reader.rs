use std::{
    collections::{HashMap, HashSet},
    sync::Mutex,
};

use backplane::{
    Position, Signal, Topic,
    bus::{Audience, Gap, GapReason, Message},
};

use crate::load::Load;

/// What a node hears of its topics, in order.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    topics: Mutex<HashMap<Topic, Heard>>,
    heard: Signal,
}

#[derive(Debug)]
struct Heard {
    at: Position,
    messages: HashSet<Position>,
    gaps: Vec<Gap>,
}

impl Reader {
    /// Reads a topic from a position on.
    pub(crate) fn start(&self, topic: &Topic, at: Position) {
        let heard = Heard {
            at,
            messages: HashSet::new(),
            gaps: Vec::new(),
        };
        self.topics
            .lock()
            .unwrap()
            .entry(topic.clone())
            .or_insert(heard);
    }

    /// Waits until all topics are complete.
    pub(crate) async fn catches_up(&self, load: &Load<'_>) {
        for topic in &load.topics {
            self.reaches(topic, load.last(topic)).await;
        }
    }

    /// Waits until a topic is complete up to a position.
    async fn reaches(&self, topic: &Topic, position: Position) {
        loop {
            let heard = self.heard.listen();
            if self.topics.lock().unwrap()[topic].at == position {
                return;
            }
            heard.await;
        }
    }

    /// That every one of `acked` was heard, or is covered by a gap, which is a change of the epoch.
    /// Answers how many epochs there were after the first: one at most.
    pub(crate) fn check(&self, topic: &Topic, acked: &[Position]) -> usize {
        let topics = self.topics.lock().unwrap();
        let heard = &topics[topic];
        for position in acked {
            let is_covered = |gap: &Gap| match gap.after {
                Some(after) if after.epoch == position.epoch => after.offset < position.offset,
                _ => position.epoch == gap.until.epoch && position.offset <= gap.until.offset,
            };
            assert!(
                heard.messages.contains(position) || heard.gaps.iter().any(is_covered),
                "{topic}: {position:?} was acknowledged, and neither heard nor told as lost: {heard:?}"
            );
        }
        let reasons: Vec<_> = heard.gaps.iter().map(|gap| gap.reason).collect();
        let is_change = |reason: &GapReason| *reason == GapReason::EpochChanged;
        assert!(reasons.iter().all(is_change), "{topic}: {reasons:?}");
        assert!(reasons.len() < 2, "{topic}: one server died once");
        reasons.len()
    }
}

impl Audience for Reader {
    fn message(&self, topic: &Topic, message: Message) {
        let mut topics = self.topics.lock().unwrap();
        let position = message.position;
        if let Some(heard) = topics.get_mut(topic) {
            assert_eq!(
                position,
                heard.at.next(),
                "{topic}: a hole, or a repetition"
            );
            heard.at = position;
            heard.messages.insert(position);
        }
        self.heard.raise();
    }

    fn gap(&self, topic: &Topic, gap: Gap) {
        let mut topics = self.topics.lock().unwrap();
        if let Some(heard) = topics.get_mut(topic) {
            heard.at = gap.until;
            heard.gaps.push(gap);
        }
        self.heard.raise();
    }
}
