use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
};

use futures::Stream;

use super::{BusEvent, BusEvents, Gap, GapReason, Message};
use crate::{Position, Topic, sync::Mutex};

/// One node's events: bounded, and never silent about what did not fit. For implementations.
///
/// What does not fit is counted per topic until there is room again, and then told as one gap, which
/// stands where the dropped messages would have stood.
#[derive(Debug)]
pub struct EventQueue {
    max_events: usize,
    max_bytes: usize,
    /// Changes under the lock of `state`; apart from it so that a publisher need not take that.
    closed: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    events: VecDeque<BusEvent>,
    bytes: usize,
    /// The first and the last position dropped, per topic with a gap that is not queued yet.
    dropped: BTreeMap<Topic, (Position, Position)>,
    topics: HashSet<Topic>,
    /// Counts the streams handed out; only the newest yields events.
    reader: u64,
    waker: Option<Waker>,
}

impl EventQueue {
    /// An empty queue for as many events, and as many bytes of payload.
    #[must_use]
    pub fn new(max_events: usize, max_bytes: usize) -> Self {
        Self {
            max_events,
            max_bytes,
            closed: AtomicBool::new(false),
            state: Mutex::new(State::default()),
        }
    }

    /// Queues a message, and returns whom to wake once no lock is held.
    #[must_use = "nobody hears of the message until the waker is woken"]
    pub fn push(&self, topic: &Topic, message: Message) -> Option<Waker> {
        let mut state = self.state.lock();
        if self.is_closed() {
            return None;
        }
        if state.dropped.contains_key(topic) && self.has_room(&state, 2, message.payload.len()) {
            state.queue_gap_of(topic);
        }
        let position = message.position;
        if let Some((_, last)) = state.dropped.get_mut(topic) {
            *last = position;
        } else if self.has_room(&state, 1, message.payload.len()) {
            state.bytes += message.payload.len();
            state.events.push_back(BusEvent::Message {
                topic: topic.clone(),
                message,
            });
        } else {
            state.dropped.insert(topic.clone(), (position, position));
        }
        state.waker.take()
    }

    /// Queues word of a subscription that was renewed.
    ///
    /// There is always room for it. Where nobody reads while connections come and go, it may take the place of all
    /// that is queued, of which each topic is told then.
    pub fn renewed(&self, topic: &Topic) {
        let mut state = self.state.lock();
        if self.is_closed() || !state.topics.contains(topic) {
            return;
        }
        if state.events.len() < self.max_events.saturating_add(state.topics.len()) {
            state.queue_gap_of(topic);
            let topic = topic.clone();
            state.events.push_back(BusEvent::Resubscribed { topic });
        } else {
            state.cut();
        }
        let waker = state.waker.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }

    /// Loses what is queued, and says so for each topic.
    pub fn cut(&self) {
        let mut state = self.state.lock();
        if self.is_closed() {
            return;
        }
        state.cut();
        let waker = state.waker.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }

    /// Notes a subscription; `false` if the queue is closed.
    #[must_use]
    pub fn track(&self, topic: &Topic) -> bool {
        let mut state = self.state.lock();
        let open = !self.is_closed();
        if open {
            state.topics.insert(topic.clone());
        }
        open
    }

    /// Forgets a subscription.
    pub fn untrack(&self, topic: &Topic) {
        let mut state = self.state.lock();
        state.topics.remove(topic);
        if !self.is_closed() {
            state.dropped.remove(topic);
        }
    }

    /// What is subscribed.
    #[must_use]
    pub fn topics(&self) -> Vec<Topic> {
        self.state.lock().topics.iter().cloned().collect()
    }

    /// Whether the node is off the bus.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Takes no further events, and returns what was subscribed.
    pub fn close(&self) -> HashSet<Topic> {
        let mut state = self.state.lock();
        self.closed.store(true, Ordering::Release);
        let (topics, waker) = (std::mem::take(&mut state.topics), state.waker.take());
        drop(state);
        waker.into_iter().for_each(Waker::wake);
        topics
    }

    /// The stream of what is queued, which ends every earlier one.
    #[must_use]
    pub fn events(self: &Arc<Self>) -> BusEvents {
        let mut state = self.state.lock();
        state.reader += 1;
        let (reader, waker) = (state.reader, state.waker.take());
        drop(state);
        waker.into_iter().for_each(Waker::wake);
        BusEvents::new(QueuedEvents {
            queue: Arc::clone(self),
            reader,
        })
    }

    fn has_room(&self, state: &State, events: usize, bytes: usize) -> bool {
        state.events.is_empty()
            || (state.events.len() + events <= self.max_events
                && state.bytes + bytes <= self.max_bytes)
    }
}

impl State {
    fn cut(&mut self) {
        let renewed = |topic: &Topic| BusEvent::Resubscribed {
            topic: topic.clone(),
        };
        self.events = self.topics.iter().map(renewed).collect();
        self.bytes = 0;
        self.dropped.clear();
    }

    fn pop(&mut self) -> Option<BusEvent> {
        if let Some(event) = self.events.pop_front() {
            if let BusEvent::Message { message, .. } = &event {
                self.bytes -= message.payload.len();
            }
            return Some(event);
        }
        let (topic, dropped) = self.dropped.pop_first()?;
        Some(gap_event(topic, dropped))
    }

    fn queue_gap_of(&mut self, topic: &Topic) {
        if let Some((topic, dropped)) = self.dropped.remove_entry(topic) {
            self.events.push_back(gap_event(topic, dropped));
        }
    }
}

fn gap_event(topic: Topic, (first, last): (Position, Position)) -> BusEvent {
    let after = Position::new(first.epoch, first.offset - 1);
    let gap = Gap::new(Some(after), last, GapReason::Overflow);
    BusEvent::Gap { topic, gap }
}

struct QueuedEvents {
    queue: Arc<EventQueue>,
    reader: u64,
}

impl Stream for QueuedEvents {
    type Item = BusEvent;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<BusEvent>> {
        let mut state = self.queue.state.lock();
        if state.reader != self.reader {
            return Poll::Ready(None);
        }
        if let Some(event) = state.pop() {
            return Poll::Ready(Some(event));
        }
        if self.queue.is_closed() {
            return Poll::Ready(None);
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, StreamExt};

    use super::*;
    use crate::Epoch;

    #[test]
    fn a_topic_that_is_left_is_told_of_no_more() {
        let queue = Arc::new(EventQueue::new(1, 1_000));
        let [a, b]: [Topic; 2] = ["a", "b"].map(|name| name.parse().unwrap());
        for topic in [&a, &b] {
            assert!(queue.track(topic));
            for offset in 1..=2 {
                let position = Position::new(Epoch::new(1), offset);
                let _ = queue.push(topic, Message::new(position, "x".into()));
            }
        }
        queue.untrack(&b);
        let events = queue.events().take(2).collect::<Vec<_>>().now_or_never();
        let topics: Vec<_> = events.unwrap().iter().map(|e| e.topic().clone()).collect();
        assert_eq!(topics, [a.clone(), a], "a message and a gap");
        assert!(queue.state.lock().dropped.is_empty());
    }

    #[test]
    fn connections_that_come_and_go_while_nobody_reads_fill_no_memory() {
        let queue = Arc::new(EventQueue::new(2, 1_000));
        let topics: [Topic; 3] = ["a", "b", "c"].map(|name| name.parse().unwrap());
        for topic in &topics {
            assert!(queue.track(topic));
        }
        let position = Position::new(Epoch::new(1), 1);
        let _ = queue.push(&topics[0], Message::new(position, "x".into()));
        for _ in 0..9 {
            for topic in &topics {
                queue.renewed(topic);
            }
        }
        queue.close();
        let events = queue.events().collect::<Vec<_>>().now_or_never().unwrap();
        assert!(events.len() <= 2 + topics.len(), "{events:?}");
        for topic in topics {
            let renewed = BusEvent::Resubscribed { topic };
            assert!(events.contains(&renewed), "{renewed:?}");
        }
    }
}
