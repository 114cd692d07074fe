use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use crate::{
    Position, Topic,
    bus::{
        BusEvent, Gap, HistoryPage, HistoryRead, Message, RelayOptions,
        follower::{Followed, Follower},
    },
};

/// What a node has to do with each topic: the relay without its input and output.
///
/// Wishes, events and the results of calls go in; calls to make and deliveries come out. Nothing
/// here waits or reads the time.
#[derive(Debug)]
pub(super) struct Links {
    options: RelayOptions,
    /// Most topics or reads in a call.
    batch: usize,
    by_topic: HashMap<Topic, Link>,
    /// Distinguishes a link from an earlier one of the same topic.
    generation: u64,
    to_subscribe: VecDeque<Topic>,
    to_unsubscribe: VecDeque<Topic>,
    to_read: VecDeque<Topic>,
    /// When a lingering link is to be looked at: each once, and in order of time, since all linger
    /// equally long. Likewise for the checks.
    lingering: VecDeque<(Duration, Topic)>,
    unchecked: VecDeque<(Duration, (Topic, u64))>,
}

#[derive(Debug)]
struct Link {
    generation: u64,
    /// Since when the topic has no subscriber on this node; `None` while it has.
    unwanted_since: Option<Duration>,
    state: State,
    linger_queued: bool,
    read_queued: bool,
    /// Whether a message came since the last check of the position.
    active: bool,
}

#[derive(Debug)]
enum State {
    /// A subscription is queued or under way; what arrives before its position is known is held.
    Joining {
        held: Vec<Message>,
        lossy: bool,
    },
    Following(Follower),
    /// An unsubscription is queued or under way.
    Leaving,
}

/// A call to the bus that changes what is subscribed. One is made at a time.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Control {
    Subscribe(Vec<Topic>),
    Unsubscribe(Vec<Topic>),
}

/// Pages to read in one call, and which links they are for.
#[derive(Debug, Default)]
pub(super) struct Reads {
    pub(super) reads: Vec<HistoryRead>,
    /// The generation of the link that each is for, and what for.
    purposes: Vec<(u64, Purpose)>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Purpose {
    Recover,
    Check,
}

/// What the node's subscribers are to learn.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Output {
    /// From here on, every message after the position is delivered.
    Joined(Topic, Position),
    Message(Topic, Message),
    Gap(Topic, Gap),
}

impl Links {
    pub(super) fn new(mut options: RelayOptions, batch: usize) -> Self {
        // What was checked must not be due again at once.
        options.check_every = options.check_every.max(Duration::from_millis(1));
        Self {
            options,
            batch,
            by_topic: HashMap::new(),
            generation: 0,
            to_subscribe: VecDeque::new(),
            to_unsubscribe: VecDeque::new(),
            to_read: VecDeque::new(),
            lingering: VecDeque::new(),
            unchecked: VecDeque::new(),
        }
    }

    /// How many topics the node has to do with.
    pub(super) fn len(&self) -> usize {
        self.by_topic.len()
    }

    /// The position that the node has reached in `topic`, if it is joined.
    pub(super) fn position(&self, topic: &Topic) -> Option<Position> {
        match &self.by_topic.get(topic)?.state {
            State::Following(follower) => Some(follower.at()),
            State::Joining { .. } | State::Leaving => None,
        }
    }

    /// Takes whether `topic` has subscribers on this node.
    pub(super) fn wish(&mut self, topic: &Topic, wanted: bool, now: Duration) {
        let Some(link) = self.by_topic.get_mut(topic) else {
            if wanted {
                self.open(topic);
            }
            return;
        };
        if wanted {
            link.unwanted_since = None;
        } else if link.unwanted_since.is_none() {
            link.unwanted_since = Some(now);
            if !std::mem::replace(&mut link.linger_queued, true) {
                let until = now.saturating_add(self.options.linger);
                self.lingering.push_back((until, topic.clone()));
            }
        }
    }

    pub(super) fn event(&mut self, event: BusEvent, out: &mut Vec<Output>) {
        let Some(link) = self.by_topic.get_mut(event.topic()) else {
            return;
        };
        link.active = true;
        match (&mut link.state, event) {
            (State::Leaving, _) => {}
            (State::Joining { held, .. }, BusEvent::Message { message, .. })
                if held.len() < self.options.recovery.max_buffered =>
            {
                held.push(message);
            }
            (State::Joining { lossy, .. }, _) => *lossy = true,
            (State::Following(follower), BusEvent::Message { topic, message }) => {
                match follower.message(message, &self.options.recovery) {
                    Followed::Nothing => {}
                    Followed::Next(message) => out.push(Output::Message(topic, message)),
                    Followed::Read => self.queue_read(&topic),
                }
            }
            (
                State::Following(follower),
                BusEvent::Gap { topic, .. } | BusEvent::Resubscribed { topic },
            ) => {
                if follower.doubt(&self.options.recovery) {
                    self.queue_read(&topic);
                }
            }
        }
    }

    /// Does what is due: topics that lingered long enough are left, positions are checked.
    pub(super) fn tick(&mut self, now: Duration) {
        while let Some(topic) = pop_due(&mut self.lingering, now) {
            self.leave_or_linger(topic, now);
        }
        while let Some((topic, generation)) = pop_due(&mut self.unchecked, now) {
            let Some(link) = self.by_topic.get_mut(&topic) else {
                continue;
            };
            if link.generation != generation {
                continue;
            }
            if !std::mem::take(&mut link.active) {
                self.queue_read(&topic);
            }
            let next = now.saturating_add(self.options.check_every);
            self.unchecked.push_back((next, (topic, generation)));
        }
    }

    /// When [`tick`](Self::tick) has something to do next.
    pub(super) fn next_tick(&self) -> Option<Duration> {
        let linger = self.lingering.front().map(|&(due, _)| due);
        let check = self.unchecked.front().map(|&(due, _)| due);
        linger.into_iter().chain(check).min()
    }

    /// The next change of subscriptions to make, if any.
    pub(super) fn next_control(&mut self) -> Option<Control> {
        if let Some(topics) = take_batch(&mut self.to_subscribe, self.batch) {
            return Some(Control::Subscribe(topics));
        }
        take_batch(&mut self.to_unsubscribe, self.batch).map(Control::Unsubscribe)
    }

    pub(super) fn subscribed(
        &mut self,
        topics: Vec<Topic>,
        positions: Vec<Position>,
        now: Duration,
        out: &mut Vec<Output>,
    ) {
        for (topic, position) in topics.into_iter().zip(positions) {
            self.join(topic, position, now, out);
        }
    }

    /// Whether the node has to do with `topic`.
    pub(super) fn contains(&self, topic: &Topic) -> bool {
        self.by_topic.contains_key(topic)
    }

    pub(super) fn unsubscribed(&mut self, topics: Vec<Topic>) {
        for topic in topics {
            let link = self.by_topic.remove(&topic);
            if link.is_some_and(|link| link.unwanted_since.is_none()) {
                self.open(&topic);
            }
        }
    }

    /// Takes a change back that failed, so that it is made again.
    pub(super) fn retry(&mut self, control: Control) {
        match control {
            Control::Subscribe(topics) => self.to_subscribe.extend(topics),
            Control::Unsubscribe(topics) => self.to_unsubscribe.extend(topics),
        }
    }

    /// The next pages to read, if any.
    pub(super) fn next_reads(&mut self) -> Option<Reads> {
        let mut reads = Reads::default();
        while reads.reads.len() < self.batch
            && let Some(topic) = self.to_read.pop_front()
        {
            let Some(link) = self.by_topic.get_mut(&topic) else {
                continue;
            };
            link.read_queued = false;
            let State::Following(follower) = &link.state else {
                continue;
            };
            let (read, purpose) = match follower.wanted() {
                Some((at, limit)) => (HistoryRead::new(topic, Some(at), limit), Purpose::Recover),
                None => (HistoryRead::top(topic), Purpose::Check),
            };
            reads.reads.push(read);
            reads.purposes.push((link.generation, purpose));
        }
        (!reads.reads.is_empty()).then_some(reads)
    }

    pub(super) fn paged(&mut self, reads: Reads, pages: Vec<HistoryPage>, out: &mut Vec<Output>) {
        let reads = reads.reads.into_iter().zip(reads.purposes);
        for ((read, (generation, purpose)), page) in reads.zip(pages) {
            let topic = read.topic;
            let Some(link) = self.by_topic.get_mut(&topic) else {
                continue;
            };
            let State::Following(follower) = &mut link.state else {
                continue;
            };
            if link.generation != generation {
                continue;
            }
            let again = match purpose {
                Purpose::Check => follower.check(page.top, &self.options.recovery),
                Purpose::Recover => {
                    if let Some(recovered) = follower.page(page, &self.options.recovery) {
                        out.extend(recovered.gap.map(|gap| Output::Gap(topic.clone(), gap)));
                        let messages = recovered.messages.into_iter();
                        out.extend(messages.map(|message| Output::Message(topic.clone(), message)));
                    }
                    follower.wanted().is_some()
                }
            };
            if again {
                self.queue_read(&topic);
            }
        }
    }

    /// Takes reads back that failed, so that they are made again.
    pub(super) fn reread(&mut self, reads: Reads) {
        for read in reads.reads {
            self.queue_read(&read.topic);
        }
    }

    fn open(&mut self, topic: &Topic) {
        self.generation += 1;
        let link = Link {
            generation: self.generation,
            unwanted_since: None,
            state: State::Joining {
                held: Vec::new(),
                lossy: false,
            },
            linger_queued: false,
            read_queued: false,
            active: false,
        };
        self.by_topic.insert(topic.clone(), link);
        self.to_subscribe.push_back(topic.clone());
    }

    fn join(&mut self, topic: Topic, start: Position, now: Duration, out: &mut Vec<Output>) {
        let Some(link) = self.by_topic.get_mut(&topic) else {
            return;
        };
        let follower = Follower::new(start);
        let joined = std::mem::replace(&mut link.state, State::Following(follower));
        let (generation, overdue) = (link.generation, !link.linger_queued);
        if overdue {
            // The time to leave may have come before there was anything to leave.
            self.leave_or_linger(topic.clone(), now);
        }
        let check = now.saturating_add(self.options.check_every);
        self.unchecked
            .push_back((check, (topic.clone(), generation)));
        out.push(Output::Joined(topic.clone(), start));
        let State::Joining { held, lossy } = joined else {
            return;
        };
        for message in held {
            let topic = topic.clone();
            self.event(BusEvent::Message { topic, message }, out);
        }
        if lossy {
            self.event(BusEvent::Resubscribed { topic }, out);
        }
    }

    /// Looks at a topic that nobody may want any more.
    fn leave_or_linger(&mut self, topic: Topic, now: Duration) {
        let Some(link) = self.by_topic.get_mut(&topic) else {
            return;
        };
        link.linger_queued = false;
        let Some(since) = link.unwanted_since else {
            return;
        };
        let until = since.saturating_add(self.options.linger);
        if until > now {
            link.linger_queued = true;
            self.lingering.push_back((until, topic));
        } else if matches!(link.state, State::Following(_)) {
            link.state = State::Leaving;
            self.to_unsubscribe.push_back(topic);
        }
    }

    fn queue_read(&mut self, topic: &Topic) {
        if let Some(link) = self.by_topic.get_mut(topic)
            && !link.read_queued
        {
            link.read_queued = true;
            self.to_read.push_back(topic.clone());
        }
    }
}

fn pop_due<T>(queue: &mut VecDeque<(Duration, T)>, now: Duration) -> Option<T> {
    if queue.front()?.0 > now {
        return None;
    }
    queue.pop_front().map(|(_, due)| due)
}

fn take_batch(queue: &mut VecDeque<Topic>, batch: usize) -> Option<Vec<Topic>> {
    let topics: Vec<_> = queue.drain(..queue.len().min(batch)).collect();
    (!topics.is_empty()).then_some(topics)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Epoch;

    #[test]
    fn a_check_ends_however_often_it_is_asked_for() {
        let topic: Topic = "a".parse().unwrap();
        let start = Position::new(Epoch::new(1), 3);
        let options = RelayOptions::default().with_check_every(Duration::ZERO);
        let mut links = Links::new(options, 10);
        links.wish(&topic, true, Duration::ZERO);
        assert!(links.next_control().is_some());
        let mut out = Vec::new();
        links.subscribed(vec![topic], vec![start], Duration::ZERO, &mut out);
        let due = links.next_tick().unwrap();
        links.tick(due);
        assert!(links.next_tick() > Some(due));
    }

    #[test]
    fn a_message_that_overtakes_its_subscription_needs_no_history() {
        let topic: Topic = "a".parse().unwrap();
        let at = |offset| Position::new(Epoch::new(1), offset);
        let mut links = Links::new(RelayOptions::default(), 10);
        let mut out = Vec::new();
        links.wish(&topic, true, Duration::ZERO);
        let control = links.next_control();
        assert_eq!(control, Some(Control::Subscribe(vec![topic.clone()])));
        for offset in 3..=4 {
            let message = Message::new(at(offset), "x".into());
            let topic = topic.clone();
            links.event(BusEvent::Message { topic, message }, &mut out);
        }
        assert_eq!(out, []);
        links.subscribed(vec![topic.clone()], vec![at(3)], Duration::ZERO, &mut out);
        let overtaker = Message::new(at(4), "x".into());
        let expected = [
            Output::Joined(topic.clone(), at(3)),
            Output::Message(topic, overtaker),
        ];
        assert_eq!(out, expected);
        assert!(links.next_reads().is_none());
    }
}
