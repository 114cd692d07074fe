mod agenda;
mod changes;
mod errand;
mod held;
mod lane;
mod later;
mod reads;

use std::{collections::HashMap, time::Duration};

use fastrand::Rng;

pub(super) use self::{
    errand::{Answer, Errand, Line},
    reads::Reads,
};

use self::{agenda::Agenda, held::Held, lane::Lane};
use crate::{
    ErrorKind, Position, Topic,
    bus::{
        BusEvent, BusLimits, Gap, Message, RelayOptions,
        follower::{Followed, Follower},
    },
};

/// Many topics may be joined at once, and are then due for a check at about the same time.
const CHECKS_PER_TICK: usize = 1_024;

/// What a node has to do with each topic: the relay without its input and output.
///
/// Wishes, events and the results of calls go in; calls to make and deliveries come out. Nothing
/// here waits or reads the time.
#[derive(Debug)]
pub(super) struct Links {
    options: RelayOptions,
    /// Most payload bytes of a page.
    page_bytes: usize,
    by_topic: HashMap<Topic, Link>,
    /// Distinguishes a link from an earlier one of the same topic.
    generation: u64,
    to_subscribe: Lane<Topic>,
    /// What was refused before, which may be much and in vain.
    to_subscribe_again: Lane<Topic>,
    to_unsubscribe: Lane<Topic>,
    /// Topics of which the bus refused a change, until it is tried again.
    refused: Agenda,
    jitter: Rng,
    /// Links by topic and generation.
    to_read: Lane<(Topic, u64)>,
    /// What could not be read before.
    to_read_again: Lane<(Topic, u64)>,
    /// Topics that could not be read, until they are tried again.
    unread: Agenda,
    lingering: Agenda,
    unchecked: Agenda,
}

#[derive(Debug)]
struct Link {
    generation: u64,
    /// Since when the topic has no subscriber on this node; `None` while it has.
    unwanted_since: Option<Duration>,
    state: State,
    /// Its place among those to subscribe to, until a call has named it.
    unasked: Option<u64>,
    /// When the position is to be checked, once the topic is joined.
    check_at: Option<Duration>,
    reading: Reading,
    /// How often it could not be read since it last could.
    read_failures: u32,
    /// How often the bus has refused the change that is queued or under way.
    refusals: u32,
    /// Why the bus did not let the node join.
    refused_as: Option<ErrorKind>,
    /// Whether somebody was told so, and counts on being told more.
    told: bool,
    /// Whether a subscription is queued or under way while the node follows. It is not left before that
    /// has ended, which could overtake the leaving.
    renewing: bool,
    /// Whether a message came since the last check of the position.
    active: bool,
}

impl Link {
    const fn is_leaving(&self) -> bool {
        matches!(self.state, State::Leaving)
    }
}

#[derive(Debug)]
enum State {
    /// A subscription is queued or under way.
    Joining(Held),
    Following(Follower),
    /// An unsubscription is queued or under way.
    Leaving,
}

/// Whether something is to be read of a topic.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Reading {
    None,
    Queued,
    /// A page to recover from. The next follows on it, so none is asked for before it has come.
    UnderWay,
    /// Since it could not be read before, not before then.
    At(Duration),
}

/// What the node's subscribers are to learn.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Output {
    /// From here on, every message after the position is delivered.
    Joined(Topic, Position),
    /// The bus did not let the node join yet.
    Refused(Topic, ErrorKind),
    Message(Topic, Message),
    Gap(Topic, Gap),
}

impl Links {
    pub(super) fn new(options: RelayOptions, limits: &BusLimits) -> Self {
        let batch = limits.batch.max(1);
        Self {
            page_bytes: options.recovery.max_bytes.max(limits.payload),
            to_subscribe: Lane::new(batch),
            to_subscribe_again: Lane::new(batch),
            to_unsubscribe: Lane::new(batch),
            refused: Agenda::default(),
            jitter: Rng::with_seed(options.seed),
            options,
            by_topic: HashMap::new(),
            generation: 0,
            to_read: Lane::new(batch),
            to_read_again: Lane::new(batch),
            unread: Agenda::default(),
            lingering: Agenda::default(),
            unchecked: Agenda::default(),
        }
    }

    /// How many topics the node has to do with.
    pub(super) fn len(&self) -> usize {
        self.by_topic.len()
    }

    /// The position that the node has reached in `topic`, or why it has not joined; nothing while it is
    /// about to.
    pub(super) fn outcome(&mut self, topic: &Topic) -> Option<Result<Position, ErrorKind>> {
        let link = self.by_topic.get_mut(topic);
        let Some(link) = link.filter(|link| link.unwanted_since.is_none()) else {
            return Some(Err(ErrorKind::Invalid));
        };
        match &link.state {
            State::Following(follower) => Some(Ok(follower.at())),
            State::Joining(_) => {
                link.told |= link.refused_as.is_some();
                link.refused_as.map(Err)
            }
            State::Leaving => None,
        }
    }

    /// The next call to make on `line`, if any.
    pub(super) fn errand(&mut self, line: Line) -> Option<Errand> {
        match line {
            Line::Subscribe | Line::SubscribeAgain => {
                let topics = self.next_subscriptions(line);
                (!topics.is_empty()).then_some(Errand::Subscribe(topics))
            }
            Line::Unsubscribe => {
                let topics = self.to_unsubscribe.take_batch();
                (!topics.is_empty()).then_some(Errand::Unsubscribe(topics))
            }
            Line::Read | Line::ReadAgain => self.next_reads(line).map(Errand::Read),
        }
    }

    /// Takes how a call on `line` has ended.
    pub(super) fn ended(
        &mut self,
        line: Line,
        answer: Answer,
        now: Duration,
        out: &mut Vec<Output>,
    ) {
        match answer {
            Answer::Subscribed(topics, outcomes) => {
                self.subscribed(line, topics, outcomes, now, out);
            }
            Answer::Unsubscribed(topics, outcome) => self.unsubscribed(topics, outcome, now),
            Answer::Read(reads, pages) => self.paged(line, reads, pages, now, out),
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
        if !wanted && let Some(place) = link.unasked {
            // The bus knows nothing of it that could linger.
            self.to_subscribe.remove(place);
            self.by_topic.remove(topic);
            return;
        }
        let linger = self.options.linger;
        if wanted {
            if let Some(since) = link.unwanted_since.take() {
                let until = since.saturating_add(linger);
                self.lingering.remove(until, link.generation);
            }
        } else if link.unwanted_since.is_none() {
            link.unwanted_since = Some(now);
            let until = now.saturating_add(linger);
            self.lingering.insert(until, link.generation, topic.clone());
        }
    }

    pub(super) fn event(&mut self, event: BusEvent, out: &mut Vec<Output>) {
        let Some(link) = self.by_topic.get_mut(event.topic()) else {
            return;
        };
        link.active = true;
        let bounds = &self.options.recovery;
        match (&mut link.state, event) {
            (State::Leaving, _) => {}
            (State::Joining(held), event) => held.push(event, bounds),
            (State::Following(follower), BusEvent::Message { topic, message }) => {
                match follower.message(message, bounds) {
                    Followed::Nothing => {}
                    Followed::Next(message) => out.push(Output::Message(topic, message)),
                    Followed::Read => self.queue_read(&topic),
                }
            }
            (State::Following(follower), BusEvent::Gap { topic, gap }) => {
                if follower.missing(gap.until, bounds) {
                    self.queue_read(&topic);
                }
            }
            (State::Following(follower), BusEvent::Resubscribed { topic }) => {
                if follower.doubt(bounds) {
                    self.queue_read(&topic);
                }
            }
        }
    }

    /// Does what is due: topics that lingered long enough are left, positions are checked, and
    /// what was refused or could not be read is tried again.
    pub(super) fn tick(&mut self, now: Duration) {
        while let Some(topic) = self.refused.pop_due(now) {
            self.change_again(topic);
        }
        while let Some(topic) = self.unread.pop_due(now) {
            self.read_again(topic);
        }
        while let Some(topic) = self.lingering.pop_due(now) {
            self.leave(topic);
        }
        for _ in 0..CHECKS_PER_TICK {
            let Some(topic) = self.unchecked.pop_due(now) else {
                break;
            };
            self.check(topic, now);
        }
    }

    /// When [`tick`](Self::tick) has something to do next.
    pub(super) fn next_tick(&self) -> Option<Duration> {
        let agendas = [
            &self.lingering,
            &self.unchecked,
            &self.refused,
            &self.unread,
        ];
        agendas.into_iter().filter_map(Agenda::next).min()
    }

    /// The link of `topic`, if it is still the same.
    fn link(&mut self, topic: &Topic, generation: u64) -> Option<&mut Link> {
        let link = self.by_topic.get_mut(topic);
        link.filter(|link| link.generation == generation)
    }

    fn open(&mut self, topic: &Topic) {
        self.generation += 1;
        let link = Link {
            generation: self.generation,
            unwanted_since: None,
            state: State::Joining(Held::default()),
            unasked: Some(self.to_subscribe.push(topic.clone())),
            check_at: None,
            reading: Reading::None,
            read_failures: 0,
            refusals: 0,
            refused_as: None,
            told: false,
            renewing: false,
            active: false,
        };
        self.by_topic.insert(topic.clone(), link);
    }

    fn leave(&mut self, topic: Topic) {
        if let Some(link) = self.by_topic.get_mut(&topic)
            && matches!(link.state, State::Following(_))
            && !link.renewing
        {
            link.state = State::Leaving;
            self.to_unsubscribe.push(topic);
        }
    }

    /// Compares the position with the bus, unless messages show it.
    fn check(&mut self, topic: Topic, now: Duration) {
        let link = self.by_topic.get_mut(&topic);
        if link.is_some_and(|link| !std::mem::take(&mut link.active)) {
            self.queue_read(&topic);
        }
        self.check_later(topic, now);
    }

    fn check_later(&mut self, topic: Topic, now: Duration) {
        if let Some(link) = self.by_topic.get_mut(&topic) {
            let at = now.saturating_add(self.options.next_check(&mut self.jitter));
            link.check_at = Some(at);
            self.unchecked.insert(at, link.generation, topic);
        }
    }
}

#[cfg(test)]
mod tests;
