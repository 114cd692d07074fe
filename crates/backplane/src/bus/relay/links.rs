mod agenda;
mod lane;

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use fastrand::Rng;

use self::{agenda::Agenda, lane::Lane};
use crate::{
    ErrorKind, Position, Topic,
    bus::{
        BusEvent, BusLimits, Gap, HistoryPage, HistoryRead, Message, Recovered, RelayOptions,
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
    /// Most payload bytes of a page.
    page_bytes: usize,
    by_topic: HashMap<Topic, Link>,
    /// Distinguishes a link from an earlier one of the same topic.
    generation: u64,
    to_subscribe: Lane<Topic>,
    to_unsubscribe: Lane<Topic>,
    /// Of both kinds of change, the one that was made last: they take turns.
    subscribed_last: bool,
    /// Topics of which the bus refused a change, until it is tried again.
    refused: Agenda,
    jitter: Rng,
    /// Links by topic and generation.
    to_read: Lane<(Topic, u64)>,
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
    /// How often the bus has refused the change that is queued or under way.
    refusals: u32,
    /// Why the bus will not let the node join, unless something changes there.
    refused_as: Option<ErrorKind>,
    /// Whether a message came since the last check of the position.
    active: bool,
}

#[derive(Debug)]
enum State {
    /// A subscription is queued or under way; what arrives before its position is known is held.
    Joining {
        held: Vec<Message>,
        bytes: usize,
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
    /// The bus will not let the node join.
    Refused(Topic, ErrorKind),
    Message(Topic, Message),
    Gap(Topic, Gap),
}

impl Links {
    pub(super) fn new(mut options: RelayOptions, limits: &BusLimits) -> Self {
        let batch = limits.batch.max(1);
        // What was checked must not be due again at once.
        options.check_every = options.check_every.max(Duration::from_millis(1));
        Self {
            page_bytes: options.recovery.max_bytes.max(limits.payload),
            to_subscribe: Lane::new(batch),
            to_unsubscribe: Lane::new(batch),
            subscribed_last: false,
            refused: Agenda::default(),
            jitter: Rng::with_seed(options.seed),
            options,
            by_topic: HashMap::new(),
            generation: 0,
            to_read: Lane::new(batch),
            lingering: VecDeque::new(),
            unchecked: VecDeque::new(),
        }
    }

    /// How many topics the node has to do with.
    pub(super) fn len(&self) -> usize {
        self.by_topic.len()
    }

    /// The position that the node has reached in `topic`, or why it will not be joined as far as can be
    /// told; nothing while it is about to be.
    pub(super) fn outcome(&self, topic: &Topic) -> Option<Result<Position, ErrorKind>> {
        let link = self.by_topic.get(topic);
        let Some(link) = link.filter(|link| link.unwanted_since.is_none()) else {
            return Some(Err(ErrorKind::Invalid));
        };
        match &link.state {
            State::Following(follower) => Some(Ok(follower.at())),
            State::Joining { .. } => link.refused_as.map(Err),
            State::Leaving => None,
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
        let bounds = &self.options.recovery;
        match (&mut link.state, event) {
            (State::Leaving, _) => {}
            (State::Joining { held, bytes, .. }, BusEvent::Message { message, .. })
                if held.len() < bounds.max_buffered
                    && message.payload.len()
                        <= bounds.max_buffered_bytes.saturating_sub(*bytes) =>
            {
                *bytes += message.payload.len();
                held.push(message);
            }
            (State::Joining { lossy, .. }, _) => *lossy = true,
            (State::Following(follower), BusEvent::Message { topic, message }) => {
                match follower.message(message, bounds) {
                    Followed::Nothing => {}
                    Followed::Next(message) => out.push(Output::Message(topic, message)),
                    Followed::Read => self.queue_read(&topic),
                }
            }
            (
                State::Following(follower),
                BusEvent::Gap { topic, .. } | BusEvent::Resubscribed { topic },
            ) => {
                if follower.doubt(bounds) {
                    self.queue_read(&topic);
                }
            }
        }
    }

    /// Does what is due: topics that lingered long enough are left, positions are checked, and
    /// what was refused is tried again.
    pub(super) fn tick(&mut self, now: Duration) {
        while let Some(topic) = self.refused.pop_due(now) {
            self.change_again(topic);
        }
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
        let refused = self.refused.next();
        linger.into_iter().chain(check).chain(refused).min()
    }

    /// The next change of subscriptions to make, if any.
    pub(super) fn next_control(&mut self) -> Option<Control> {
        let subscribe = self.to_unsubscribe.is_empty()
            || !self.subscribed_last && !self.to_subscribe.is_empty();
        self.subscribed_last = subscribe;
        let (lane, control): (_, fn(_) -> _) = if subscribe {
            (&mut self.to_subscribe, Control::Subscribe)
        } else {
            (&mut self.to_unsubscribe, Control::Unsubscribe)
        };
        let topics = lane.take_batch();
        (!topics.is_empty()).then(|| control(topics))
    }

    pub(super) fn subscribed(
        &mut self,
        topics: Vec<Topic>,
        positions: Vec<Position>,
        now: Duration,
        out: &mut Vec<Output>,
    ) {
        self.to_subscribe.succeeded();
        for (topic, position) in topics.into_iter().zip(positions) {
            self.join(topic, position, now, out);
        }
    }

    pub(super) fn unsubscribed(&mut self, topics: Vec<Topic>) {
        self.to_unsubscribe.succeeded();
        for topic in topics {
            let link = self.by_topic.remove(&topic);
            if link.is_some_and(|link| link.unwanted_since.is_none()) {
                self.open(&topic);
            }
        }
    }

    /// Takes a change back that failed, so that it is made again.
    pub(super) fn retry(&mut self, control: Control) {
        let (lane, topics) = self.lane(control);
        topics.into_iter().for_each(|topic| lane.push(topic));
    }

    /// Takes a change back that the bus refused: a smaller one is made next, and a topic that was
    /// refused by itself waits.
    pub(super) fn refused(
        &mut self,
        control: Control,
        kind: ErrorKind,
        now: Duration,
        out: &mut Vec<Output>,
    ) {
        let joining = matches!(control, Control::Subscribe(_));
        let (lane, topics) = self.lane(control);
        lane.refused(topics.len());
        if topics.len() > 1 {
            return topics.into_iter().for_each(|topic| lane.push(topic));
        }
        for topic in topics {
            let Some(link) = self.by_topic.get_mut(&topic) else {
                continue;
            };
            let delay = self
                .options
                .backoff
                .delay(link.refusals, None, &mut self.jitter);
            let again = now.saturating_add(delay);
            self.refused.insert(again, link.generation, topic.clone());
            link.refusals = link.refusals.saturating_add(1);
            link.refused_as = (joining && kind != ErrorKind::Full).then_some(kind);
            out.extend(link.refused_as.map(|kind| Output::Refused(topic, kind)));
        }
    }

    /// The next pages to read, if any.
    pub(super) fn next_reads(&mut self) -> Option<Reads> {
        let mut reads = Reads::default();
        let mut room = self.options.max_read_bytes;
        while reads.reads.len() < self.to_read.batch()
            && (room >= self.page_bytes || reads.reads.is_empty())
            && let Some((topic, generation)) = self.to_read.pop()
        {
            let Some(link) = self.link(&topic, generation) else {
                continue;
            };
            link.read_queued = false;
            let State::Following(follower) = &link.state else {
                continue;
            };
            let purpose = if follower.is_recovering() {
                Purpose::Recover
            } else {
                Purpose::Check
            };
            let read = follower.read(topic);
            if read.limit > 0 {
                room = room.saturating_sub(self.page_bytes);
            }
            reads.reads.push(read);
            reads.purposes.push((generation, purpose));
        }
        (!reads.reads.is_empty()).then_some(reads)
    }

    pub(super) fn paged(&mut self, reads: Reads, pages: Vec<HistoryPage>, out: &mut Vec<Output>) {
        self.to_read.succeeded();
        let bounds = self.options.recovery.clone();
        for ((topic, generation, purpose), page) in reads.parts().zip(pages) {
            let Some(follower) = self.follower(&topic, generation) else {
                continue;
            };
            let again = match purpose {
                Purpose::Check => follower.check(page.top, &bounds),
                Purpose::Recover => {
                    let recovered = follower.page(page, &bounds);
                    let again = follower.is_recovering();
                    pass_on(&topic, recovered, out);
                    again
                }
            };
            if again {
                self.queue_read(&topic);
            }
        }
    }

    /// Takes reads back of which some do not decode: fewer are made next, and what is not even read
    /// by itself is skipped.
    pub(super) fn undecoded(&mut self, reads: Reads, out: &mut Vec<Output>) {
        let count = reads.reads.len();
        self.to_read.refused(count);
        if count > 1 {
            return self.reread(reads);
        }
        for (topic, generation, purpose) in reads.parts() {
            if purpose == Purpose::Check {
                continue; // the next check may tell
            }
            let Some(follower) = self.follower(&topic, generation) else {
                continue;
            };
            let recovered = follower.unreadable();
            let again = follower.is_recovering();
            pass_on(&topic, recovered, out);
            if again {
                self.queue_read(&topic);
            }
        }
    }

    /// Takes reads back that failed, so that they are made again.
    pub(super) fn reread(&mut self, reads: Reads) {
        for (topic, generation, _) in reads.parts() {
            if self.follower(&topic, generation).is_some() {
                self.queue_read(&topic);
            }
        }
    }

    /// Ends every recovery, since no history can be read any more.
    pub(super) fn abandon(&mut self, out: &mut Vec<Output>) {
        for (topic, link) in &mut self.by_topic {
            if let State::Following(follower) = &mut link.state {
                pass_on(topic, follower.abandon(), out);
            }
        }
    }

    /// The link of `topic`, if it is still the same.
    fn link(&mut self, topic: &Topic, generation: u64) -> Option<&mut Link> {
        let link = self.by_topic.get_mut(topic);
        link.filter(|link| link.generation == generation)
    }

    fn follower(&mut self, topic: &Topic, generation: u64) -> Option<&mut Follower> {
        match &mut self.link(topic, generation)?.state {
            State::Following(follower) => Some(follower),
            State::Joining { .. } | State::Leaving => None,
        }
    }

    fn open(&mut self, topic: &Topic) {
        self.generation += 1;
        let link = Link {
            generation: self.generation,
            unwanted_since: None,
            state: State::Joining {
                held: Vec::new(),
                bytes: 0,
                lossy: false,
            },
            linger_queued: false,
            read_queued: false,
            refusals: 0,
            refused_as: None,
            active: false,
        };
        self.by_topic.insert(topic.clone(), link);
        self.to_subscribe.push(topic.clone());
    }

    fn join(&mut self, topic: Topic, start: Position, now: Duration, out: &mut Vec<Output>) {
        let Some(link) = self.by_topic.get_mut(&topic) else {
            return;
        };
        let follower = Follower::new(start);
        let joined = std::mem::replace(&mut link.state, State::Following(follower));
        (link.refusals, link.refused_as) = (0, None);
        let (generation, overdue) = (link.generation, !link.linger_queued);
        if overdue {
            // The time to leave may have come before there was anything to leave.
            self.leave_or_linger(topic.clone(), now);
        }
        let check = now.saturating_add(self.options.check_every);
        self.unchecked
            .push_back((check, (topic.clone(), generation)));
        out.push(Output::Joined(topic.clone(), start));
        let State::Joining { held, lossy, .. } = joined else {
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
            self.to_unsubscribe.push(topic);
        }
    }

    fn lane(&mut self, control: Control) -> (&mut Lane<Topic>, Vec<Topic>) {
        match control {
            Control::Subscribe(topics) => (&mut self.to_subscribe, topics),
            Control::Unsubscribe(topics) => (&mut self.to_unsubscribe, topics),
        }
    }

    fn change_again(&mut self, topic: Topic) {
        let Some(link) = self.by_topic.get_mut(&topic) else {
            return;
        };
        if matches!(link.state, State::Joining { .. }) && link.unwanted_since.is_none() {
            self.to_subscribe.push(topic);
        } else {
            // Perhaps the bus refused no more than to say where the topic stands.
            link.state = State::Leaving;
            self.to_unsubscribe.push(topic);
        }
    }

    fn queue_read(&mut self, topic: &Topic) {
        if let Some(link) = self.by_topic.get_mut(topic)
            && !link.read_queued
        {
            link.read_queued = true;
            self.to_read.push((topic.clone(), link.generation));
        }
    }
}

impl Reads {
    fn parts(self) -> impl Iterator<Item = (Topic, u64, Purpose)> {
        let reads = self.reads.into_iter().zip(self.purposes);
        reads.map(|(read, (generation, purpose))| (read.topic, generation, purpose))
    }
}

fn pass_on(topic: &Topic, recovered: Option<Recovered>, out: &mut Vec<Output>) {
    let Some(recovered) = recovered else {
        return;
    };
    out.extend(recovered.gap.map(|gap| Output::Gap(topic.clone(), gap)));
    let messages = recovered.messages.into_iter();
    out.extend(messages.map(|message| Output::Message(topic.clone(), message)));
}

fn pop_due<T>(queue: &mut VecDeque<(Duration, T)>, now: Duration) -> Option<T> {
    if queue.front()?.0 > now {
        return None;
    }
    queue.pop_front().map(|(_, due)| due)
}

#[cfg(test)]
mod tests;
