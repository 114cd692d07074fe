mod calls;
mod hub;
mod links;
mod options;
mod waiting;

use std::{
    collections::HashMap,
    fmt,
    future::poll_fn,
    pin::pin,
    sync::Arc,
    task::{Poll, Waker},
    time::Duration,
};

use futures::{FutureExt, StreamExt, select_biased};

pub use self::options::RelayOptions;

use self::{
    calls::Calls,
    links::{Line, Links, Output},
    waiting::Waiting,
};
use super::{Bus, BusEvent, Gap, Message};
use crate::{Clock, Error, ErrorKind, Position, Result, Sleep, Topic, sync::Mutex};

/// How many events are taken from the bus before the audience hears of them.
const EVENTS_PER_TURN: usize = 256;

/// After how many turns other tasks of the executor may run, whatever is ready.
const TURNS_PER_POLL: usize = 8;

/// Who a node's messages are for: its hub.
///
/// It is called from [`Relay::run`] only, in order, and must return at once.
pub trait Audience: fmt::Debug + Send + Sync {
    /// The next message of `topic`.
    fn message(&self, topic: &Topic, message: Message);

    /// Messages of `topic` that will not come; the next is the one after [`Gap::until`].
    fn gap(&self, topic: &Topic, gap: Gap);
}

/// Joins a node's audience to the bus.
///
/// It subscribes at the bus to the topics that somebody on the node [`want`](Self::want)s, leaves them
/// a while after the last one was [`release`](Self::release)d, and passes on what arrives: per topic
/// each message once, in order, without a hole, or a gap in the place of what is missing. Whatever
/// the bus drops, repeats or reorders is healed from the history where that still has it. A loss
/// that nothing later shows is found by comparing positions from time to time.
///
/// [`run`](Self::run) is the future that does all this, once. Any executor will do. Before it is polled
/// nothing arrives and whoever waits for a topic waits on; when it has ended, or was dropped after it
/// had been polled, the relay has stopped for good, and knows no topic any more.
#[derive(Debug)]
pub struct Relay {
    bus: Arc<dyn Bus>,
    clock: Arc<dyn Clock>,
    options: RelayOptions,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    links: Links,
    phase: Phase,
    waiting: HashMap<Topic, Waiting>,
    stirred: bool,
    waker: Option<Waker>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    Idle,
    Running,
    Stopped,
}

/// Stops the relay when it is dropped, as it is with the future that runs.
struct Run<'a>(&'a Relay);

impl Relay {
    /// A relay that does nothing until it is [`run`](Self::run).
    ///
    /// Nobody else may read the [`events`](Bus::events) of `bus`, which has but one stream of them: each
    /// relay, and each other reader, takes a node of its own.
    #[must_use]
    pub fn new(bus: Arc<dyn Bus>, clock: Arc<dyn Clock>, options: RelayOptions) -> Self {
        let links = Links::new(options.clone(), &bus.limits());
        Self {
            bus,
            clock,
            options,
            state: Mutex::new(State {
                links,
                phase: Phase::Idle,
                waiting: HashMap::new(),
                stirred: false,
                waker: None,
            }),
        }
    }

    /// Notes that `topic` has a subscriber on this node, and had none. Returns at once.
    ///
    /// It sets a flag, and counts nothing: after two calls, one [`release`](Self::release) is enough
    /// for the topic to be left. A [`Hub`](crate::hub::Hub) counts its subscribers and calls once.
    pub fn want(&self, topic: &Topic) {
        self.wish(topic, true);
    }

    /// Notes that `topic` has no subscriber on this node any more, however often it was
    /// [`want`](Self::want)ed. Returns at once.
    pub fn release(&self, topic: &Topic) {
        self.wish(topic, false);
    }

    /// Waits until the node is joined to `topic`, which must be [`want`](Self::want)ed, and returns a
    /// position after which every message reaches the audience, or is covered by a gap.
    ///
    /// A reader who resumes from a position waits for this before it reads the history: of what
    /// is published in between, only the history knows.
    ///
    /// It waits for as long as [`run`](Self::run) is not polled and the bus does not answer.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] if nobody wants the topic, or it is released meanwhile;
    /// [`ErrorKind::Closed`] if the relay has stopped, or stops meanwhile. Otherwise the error with which
    /// the bus refused the topic. It is tried again for as long as it is wanted, and when the node
    /// joins after somebody was told otherwise, the audience hears of it as a gap
    /// ([`GapReason::Late`](super::GapReason::Late)).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub async fn joined(&self, topic: &Topic) -> Result<Position> {
        let joined = {
            let mut state = self.state.lock();
            if state.phase == Phase::Stopped {
                return Err(Error::bare(ErrorKind::Closed, "joined"));
            }
            if let Some(outcome) = state.links.outcome(topic) {
                return outcome.map_err(|kind| Error::bare(kind, "joined"));
            }
            state.waiting.entry(topic.clone()).or_default().join()
        };
        let outcome = joined.await.unwrap_or(Err(ErrorKind::Closed));
        outcome.map_err(|kind| Error::bare(kind, "joined"))
    }

    /// How many topics the node is joined to, or about to join or leave.
    #[must_use]
    pub fn topics(&self) -> usize {
        self.state.lock().links.len()
    }

    /// Relays to `audience` until the node is drained, and then what it had queued.
    ///
    /// What fails for one topic is tried again for as long as it is wanted, after delays of its own as
    /// [`backoff`](RelayOptions::backoff) says; the others join, leave and are read meanwhile, and what the
    /// bus delivers is passed on. Where the history of a topic that has joined does not decode, or can be
    /// read no more, the audience is told of a gap up to the newest position that is known.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Closed`] if the relay was run before, and so may have missed messages;
    /// [`ErrorKind::Invalid`] if somebody else asks for the [`events`](Bus::events) of the node, which
    /// ends those that the relay reads. Fails if the bus cannot say which of the two it is.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops the relay for good: calls under way are lost with it. If it was never
    /// polled, dropping it changes nothing.
    pub async fn run(&self, audience: &dyn Audience) -> Result<()> {
        let _run = self.begin()?;
        let mut events = self.bus.events().ready_chunks(EVENTS_PER_TURN).fuse();
        let mut calls = Calls::new(Arc::clone(&self.bus));
        let mut turns = 0;
        loop {
            turns += 1;
            if turns == TURNS_PER_POLL {
                turns = 0;
                yield_now().await;
            }
            // Calls may end at once without an end: every other turn what has arrived goes first.
            if turns % 2 == 0
                && let Some(chunk) = events.next().now_or_never()
            {
                let Some(chunk) = chunk else { break };
                self.heard(chunk, audience);
            }
            let wake_at = self.advance(&mut calls);
            let mut timer = pin!(self.sleep_until(wake_at).fuse());
            let mut stirred = pin!(self.stirred().fuse());
            select_biased! {
                (line, answer) = calls.next() => {
                    calls.ended(line, &answer);
                    if calls.are_closed() {
                        self.stop();
                    }
                    let now = self.clock.monotonic();
                    self.change(audience, |links, out| links.ended(line, answer, now, out));
                }
                chunk = events.next() => match chunk {
                    Some(chunk) => self.heard(chunk, audience),
                    None => break,
                },
                () = stirred => {}
                () = timer => {}
            }
        }
        self.stop();
        self.change(audience, Links::abandon);
        self.end().await
    }

    /// Why the events have ended: a node that was drained takes no calls either.
    async fn end(&self) -> Result<()> {
        match self.bus.history(&[]).await {
            Err(error) if error.kind() == ErrorKind::Closed => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Err(Error::new(
                ErrorKind::Invalid,
                "run",
                "the events of the node were asked for a second time",
            )),
        }
    }

    fn begin(&self) -> Result<Run<'_>> {
        let mut state = self.state.lock();
        if state.phase != Phase::Idle {
            return Err(Error::bare(ErrorKind::Closed, "run"));
        }
        state.phase = Phase::Running;
        Ok(Run(self))
    }

    /// Takes no more wishes, and lets nobody wait.
    fn stop(&self) {
        let mut state = self.state.lock();
        state.phase = Phase::Stopped;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        drop(waiting); // wakes who waits
    }

    fn wish(&self, topic: &Topic, wanted: bool) {
        let now = self.clock.monotonic();
        let mut state = self.state.lock();
        if state.phase == Phase::Stopped {
            return;
        }
        state.links.wish(topic, wanted, now);
        let waiting = if wanted {
            None
        } else {
            state.waiting.remove(topic)
        };
        state.stirred = true;
        let waker = state.waker.take();
        drop(state);
        if let Some(waiting) = waiting {
            waiting.answer(Err(ErrorKind::Invalid));
        }
        waker.into_iter().for_each(Waker::wake);
    }

    /// Does what is due and makes the calls that are wanted; returns when to look again.
    fn advance(&self, calls: &mut Calls) -> Option<Duration> {
        let now = self.clock.monotonic();
        let mut state = self.state.lock();
        state.links.tick(now);
        for line in Line::ALL {
            calls.make(line, || state.links.errand(line));
        }
        state.links.next_tick()
    }

    fn heard(&self, events: Vec<BusEvent>, audience: &dyn Audience) {
        self.change(audience, |links, out| {
            for event in events {
                links.event(event, out);
            }
        });
    }

    /// Changes the links, and tells what follows.
    fn change(&self, audience: &dyn Audience, change: impl FnOnce(&mut Links, &mut Vec<Output>)) {
        let mut out = Vec::new();
        change(&mut self.state.lock().links, &mut out);
        self.deliver(out, audience);
    }

    /// Called without the lock, since the audience may call [`want`](Self::want) under a lock of its
    /// own.
    fn deliver(&self, out: Vec<Output>, audience: &dyn Audience) {
        for output in out {
            match output {
                Output::Message(topic, message) => audience.message(&topic, message),
                Output::Gap(topic, gap) => audience.gap(&topic, gap),
                Output::Joined(topic, position) => {
                    let waiting = self.state.lock().waiting.remove(&topic);
                    waiting.unwrap_or_default().answer(Ok(position));
                }
                Output::Refused(topic, kind) => {
                    let mut state = self.state.lock();
                    let waiting = state.waiting.remove(&topic);
                    if waiting.is_some() {
                        state.links.told(&topic);
                    }
                    drop(state);
                    waiting.unwrap_or_default().answer(Err(kind));
                }
            }
        }
    }

    async fn sleep_until(&self, wake_at: Option<Duration>) {
        match wake_at {
            Some(at) => {
                let now = self.clock.monotonic();
                let nap = at.saturating_sub(now).min(Sleep::LONGEST);
                self.clock.sleep(nap).await;
            }
            None => std::future::pending().await,
        }
    }

    /// Completes when a wish was made since the last time.
    async fn stirred(&self) {
        poll_fn(|cx| {
            let mut state = self.state.lock();
            if std::mem::take(&mut state.stirred) {
                return Poll::Ready(());
            }
            state.waker = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        self.0.stop();
        let nothing = Links::new(self.0.options.clone(), &self.0.bus.limits());
        let links = std::mem::replace(&mut self.0.state.lock().links, nothing);
        drop(links); // once no lock is held
    }
}

#[cfg(test)]
mod tests;
