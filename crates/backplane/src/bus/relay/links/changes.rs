//! What is subscribed, and what is not any more.

use std::{iter, time::Duration};

use super::{Follower, Line, Link, Links, Output, Reading, State, lane::Lane, later::Later};
use crate::{
    ErrorKind, Position, Topic,
    bus::{Gap, GapReason},
};

impl Links {
    /// The next topics to subscribe to on `line`.
    pub(super) fn next_subscriptions(&mut self, line: Line) -> Vec<Topic> {
        let topics = self.subscriptions(line).take_batch();
        for topic in &topics {
            if let Some(link) = self.by_topic.get_mut(topic) {
                link.unasked = None;
            }
        }
        topics
    }

    /// Takes where the topics stand that a call has subscribed, or why it has not.
    pub(super) fn subscribed(
        &mut self,
        line: Line,
        topics: Vec<Topic>,
        outcomes: Vec<Result<Position, ErrorKind>>,
        now: Duration,
        out: &mut Vec<Output>,
    ) {
        self.subscriptions(line).ended(outcomes.iter());
        let mut later = Later::than(now);
        for (topic, outcome) in topics.into_iter().zip(outcomes) {
            match outcome {
                _ if self.is_renewing(&topic) => self.renewed(&topic, outcome.ok(), now),
                Ok(position) => self.join(&topic, position, now, out),
                Err(kind) => {
                    if let Some(link) = self.by_topic.get_mut(&topic) {
                        link.refused_as = Some(kind);
                        out.push(Output::Refused(topic.clone(), kind));
                    }
                    self.postpone(topic, &mut later);
                }
            }
        }
    }

    pub(super) fn unsubscribed(
        &mut self,
        topics: Vec<Topic>,
        outcome: Result<(), ErrorKind>,
        now: Duration,
    ) {
        let outcomes = iter::repeat_n(&outcome, topics.len());
        self.to_unsubscribe.ended(outcomes);
        let mut later = Later::than(now);
        for topic in topics {
            if outcome.is_err() {
                self.postpone(topic, &mut later);
                continue;
            }
            let Some(link) = self.by_topic.remove(&topic) else {
                continue;
            };
            if let Some(at) = link.check_at {
                self.unchecked.remove(at, link.generation);
            }
            if let Reading::At(at) = link.reading {
                self.unread.remove(at, link.generation);
            }
            match link.unwanted_since {
                Some(since) => {
                    let until = since.saturating_add(self.options.linger);
                    self.lingering.remove(until, link.generation);
                }
                None => self.open(&topic),
            }
        }
    }

    /// Notes that whoever wants `topic` was told that the node has not joined it yet.
    pub(in crate::bus::relay) fn told(&mut self, topic: &Topic) {
        if let Some(link) = self.by_topic.get_mut(topic) {
            link.told = true;
        }
    }

    /// Makes a change again that the bus refused, if it is still wanted.
    pub(super) fn change_again(&mut self, topic: Topic) {
        let Some(link) = self.by_topic.get_mut(&topic) else {
            return;
        };
        if matches!(link.state, State::Joining(_)) && link.unwanted_since.is_none() {
            self.to_subscribe_again.push(topic);
        } else {
            // Perhaps the bus refused no more than to say where the topic stands.
            link.state = State::Leaving;
            self.to_unsubscribe.push(topic);
        }
    }

    /// Subscribes anew to a topic of which messages were missed: perhaps the bus has dropped the
    /// subscription.
    pub(super) fn renew(&mut self, topic: &Topic) {
        if let Some(link) = self.by_topic.get_mut(topic)
            && matches!(link.state, State::Following(_))
            && !std::mem::replace(&mut link.renewing, true)
        {
            self.to_subscribe_again.push(topic.clone());
        }
    }

    fn is_renewing(&self, topic: &Topic) -> bool {
        self.by_topic.get(topic).is_some_and(|link| link.renewing)
    }

    /// Where it failed, the next check may tell.
    fn renewed(&mut self, topic: &Topic, top: Option<Position>, now: Duration) {
        let Some(link) = self.by_topic.get_mut(topic) else {
            return;
        };
        link.renewing = false;
        if let (State::Following(follower), Some(top)) = (&mut link.state, top)
            && follower.missing(top, &self.options.recovery)
        {
            self.queue_read(topic);
        }
        self.leave_if_overdue(topic, now);
    }

    /// Lets a change wait that was refused.
    fn postpone(&mut self, topic: Topic, later: &mut Later) {
        let Some(link) = self.by_topic.get_mut(&topic) else {
            return;
        };
        if let State::Joining(held) = &mut link.state {
            held.let_go();
        }
        let again = later.at(link.refusals, &self.options, &mut self.jitter);
        link.refusals = link.refusals.saturating_add(1);
        self.refused.insert(again, link.generation, topic);
    }

    fn join(&mut self, topic: &Topic, start: Position, now: Duration, out: &mut Vec<Output>) {
        let Some(link) = self.by_topic.get_mut(topic) else {
            return;
        };
        let follower = Follower::new(start);
        let joined = std::mem::replace(&mut link.state, State::Following(follower));
        (link.refusals, link.refused_as) = (0, None);
        let told = std::mem::take(&mut link.told);
        self.leave_if_overdue(topic, now);
        self.check_later(topic.clone(), now);
        if self.by_topic.get(topic).is_some_and(Link::is_leaving) {
            return; // who wants it again waits for the next subscription
        }
        out.push(Output::Joined(topic.clone(), start));
        if told {
            let gap = Gap::new(None, start, GapReason::Late);
            out.push(Output::Gap(topic.clone(), gap));
        }
        let State::Joining(held) = joined else {
            return;
        };
        for event in held.into_events(topic) {
            self.event(event, out);
        }
    }

    /// Leaves a topic if the time came while it could not be left.
    fn leave_if_overdue(&mut self, topic: &Topic, now: Duration) {
        let linger = self.options.linger;
        let since = self
            .by_topic
            .get(topic)
            .and_then(|link| link.unwanted_since);
        if since.is_some_and(|since| since.saturating_add(linger) <= now) {
            self.leave(topic.clone());
        }
    }

    fn subscriptions(&mut self, line: Line) -> &mut Lane<Topic> {
        match line {
            Line::SubscribeAgain => &mut self.to_subscribe_again,
            _ => &mut self.to_subscribe,
        }
    }
}
