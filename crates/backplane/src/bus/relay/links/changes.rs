//! What is subscribed, and what is not any more.

use std::time::Duration;

use super::{Follower, Link, Links, Output, State, lane::Lane};
use crate::{ErrorKind, Position, Topic};

/// A call to the bus that changes what is subscribed. One is made at a time.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::bus::relay) enum Control {
    Subscribe(Vec<Topic>),
    /// To topics that were refused before.
    SubscribeAgain(Vec<Topic>),
    Unsubscribe(Vec<Topic>),
}

impl Links {
    /// The next change of subscriptions to make, if any.
    pub(in crate::bus::relay) fn next_control(&mut self) -> Option<Control> {
        for _ in 0..3 {
            self.went_last = (self.went_last + 1) % 3;
            let (lane, control): (_, fn(_) -> _) = match self.went_last {
                0 => (&mut self.to_subscribe_again, Control::SubscribeAgain),
                1 => (&mut self.to_subscribe, Control::Subscribe),
                _ => (&mut self.to_unsubscribe, Control::Unsubscribe),
            };
            let topics = lane.take_batch();
            if !topics.is_empty() {
                self.asked(&topics);
                return Some(control(topics));
            }
        }
        None
    }

    /// Takes where the topics stand that a call has subscribed.
    pub(in crate::bus::relay) fn subscribed(
        &mut self,
        control: Control,
        positions: Vec<Position>,
        now: Duration,
        out: &mut Vec<Output>,
    ) {
        let (lane, topics) = self.lane(control);
        lane.succeeded();
        for (topic, position) in topics.into_iter().zip(positions) {
            self.join(&topic, position, now, out);
        }
    }

    pub(in crate::bus::relay) fn unsubscribed(&mut self, topics: Vec<Topic>) {
        self.to_unsubscribe.succeeded();
        for topic in topics {
            let Some(link) = self.by_topic.remove(&topic) else {
                continue;
            };
            if let Some(at) = link.check_at {
                self.unchecked.remove(at, link.generation);
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

    /// Takes a change back that failed, so that it is made again in smaller parts.
    pub(in crate::bus::relay) fn retry(&mut self, control: Control) {
        let (lane, topics) = self.lane(control);
        lane.take_back(topics);
    }

    /// Takes a change back that the bus refused: a smaller one is made next, and a topic that was
    /// refused by itself waits.
    pub(in crate::bus::relay) fn refused(
        &mut self,
        control: Control,
        kind: ErrorKind,
        now: Duration,
        out: &mut Vec<Output>,
    ) {
        let joining = !matches!(control, Control::Unsubscribe(_));
        let (lane, topics) = self.lane(control);
        if topics.len() > 1 {
            return lane.take_back(topics);
        }
        lane.failed(topics.len());
        for topic in topics {
            let Some(link) = self.by_topic.get_mut(&topic) else {
                continue;
            };
            if let State::Joining(held) = &mut link.state {
                held.let_go();
            }
            let delay = self.options.delay(link.refusals, &mut self.jitter);
            let again = now.saturating_add(delay);
            self.refused.insert(again, link.generation, topic.clone());
            link.refusals = link.refusals.saturating_add(1);
            link.refused_as = (joining && kind != ErrorKind::Full).then_some(kind);
            out.extend(link.refused_as.map(|kind| Output::Refused(topic, kind)));
        }
    }

    /// Makes a change again that was refused, if it is still wanted.
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

    fn asked(&mut self, topics: &[Topic]) {
        for topic in topics {
            if let Some(link) = self.by_topic.get_mut(topic) {
                link.unasked = None;
            }
        }
    }

    fn join(&mut self, topic: &Topic, start: Position, now: Duration, out: &mut Vec<Output>) {
        let Some(link) = self.by_topic.get_mut(topic) else {
            return;
        };
        let follower = Follower::new(start);
        let joined = std::mem::replace(&mut link.state, State::Following(follower));
        (link.refusals, link.refused_as) = (0, None);
        let linger = self.options.linger;
        let until = link
            .unwanted_since
            .map(|since| since.saturating_add(linger));
        if until.is_some_and(|until| until <= now) {
            // The time to leave came before there was anything to leave.
            self.leave(topic.clone());
        }
        self.check_later(topic.clone(), now);
        if self.by_topic.get(topic).is_some_and(Link::is_leaving) {
            return; // who wants it again waits for the next subscription
        }
        out.push(Output::Joined(topic.clone(), start));
        let State::Joining(held) = joined else {
            return;
        };
        for event in held.into_events(topic) {
            self.event(event, out);
        }
    }

    fn lane(&mut self, control: Control) -> (&mut Lane<Topic>, Vec<Topic>) {
        match control {
            Control::Subscribe(topics) => (&mut self.to_subscribe, topics),
            Control::SubscribeAgain(topics) => (&mut self.to_subscribe_again, topics),
            Control::Unsubscribe(topics) => (&mut self.to_unsubscribe, topics),
        }
    }
}
