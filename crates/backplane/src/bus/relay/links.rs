mod agenda;
mod lane;

use std::{collections::HashMap, time::Duration};

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
    lingering: Agenda,
    unchecked: Agenda,
}

#[derive(Debug)]
struct Link {
    generation: u64,
    /// Since when the topic has no subscriber on this node; `None` while it has.
    unwanted_since: Option<Duration>,
    state: State,
    /// When the position is to be checked, once the topic is joined.
    check_at: Option<Duration>,
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
            lingering: Agenda::default(),
            unchecked: Agenda::default(),
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
        while let Some(topic) = self.lingering.pop_due(now) {
            self.leave(topic);
        }
        while let Some(topic) = self.unchecked.pop_due(now) {
            self.check(topic, now);
        }
    }

    /// When [`tick`](Self::tick) has something to do next.
    pub(super) fn next_tick(&self) -> Option<Duration> {
        let agendas = [&self.lingering, &self.unchecked, &self.refused];
        agendas.into_iter().filter_map(Agenda::next).min()
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
            check_at: None,
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
        let linger = self.options.linger;
        let until = link
            .unwanted_since
            .map(|since| since.saturating_add(linger));
        if until.is_some_and(|until| until <= now) {
            // The time to leave came before there was anything to leave.
            self.leave(topic.clone());
        }
        self.check_later(topic.clone(), now);
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

    fn leave(&mut self, topic: Topic) {
        if let Some(link) = self.by_topic.get_mut(&topic)
            && matches!(link.state, State::Following(_))
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
            let at = now.saturating_add(self.options.check_every);
            link.check_at = Some(at);
            self.unchecked.insert(at, link.generation, topic);
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

#[cfg(test)]
mod tests;
