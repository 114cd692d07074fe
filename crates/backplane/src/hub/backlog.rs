//! What is queued for a connection whose sink is full.

use std::collections::{BTreeMap, VecDeque};

use super::{delivery::Missing, options::Overflow};
use crate::Position;

/// The queue of a connection whose sink did not take everything: in the order of publishing, and by
/// topic, since policies act on one topic's messages and never on another's.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    queue: BTreeMap<u64, Queued>,
    lanes: BTreeMap<u32, Lane>,
    next: u64,
    bytes: u32,
}

/// A queued frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Queued {
    pub(super) frame: u32,
    pub(super) topic: u32,
    cost: u32,
    /// Where it stands; if it replaced others, where the oldest of them stood.
    since: Option<Position>,
    /// How many messages it replaced.
    pub(super) skipped: u64,
    /// What was lost of the topic just before it.
    missing: Option<Missing>,
}

/// What is queued of one topic.
#[derive(Debug, Default)]
struct Lane {
    /// Keys of the queue, in order.
    entries: VecDeque<u64>,
    /// What was lost after the last entry.
    missing: Option<Missing>,
}

/// A frame on offer, and the terms.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offer {
    pub(super) frame: u32,
    pub(super) topic: u32,
    pub(super) cost: u32,
    pub(super) position: Option<Position>,
    pub(super) overflow: Overflow,
}

/// What became of an offer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Offered {
    /// The frame is queued.
    Queued,
    /// The frame is not queued, and its topic's lane says so.
    Dropped,
    /// The frame must not be lost and does not fit.
    Overflowed,
}

/// What is first in the queue.
#[derive(Clone, Copy, Debug)]
pub(super) enum Head {
    Frame(Queued),
    Gap { topic: u32, missing: Missing },
}

impl Backlog {
    /// The cost of everything queued.
    pub(super) const fn bytes(&self) -> u32 {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.lanes.is_empty()
    }

    /// Queues a frame within `budget`, or does what its policy says. Frames that leave the queue for
    /// it go to `evicted`.
    pub(super) fn offer(&mut self, offer: Offer, budget: u32, evicted: &mut Vec<u32>) -> Offered {
        if offer.overflow == Overflow::Conflate
            && let Some(outcome) = self.replace_latest(offer, budget, evicted)
        {
            return outcome;
        }
        if offer.overflow == Overflow::DropOldest {
            self.make_room(offer, budget, evicted);
        }
        if self.fits(offer.cost, budget) {
            self.append(offer);
            return Offered::Queued;
        }
        if offer.overflow == Overflow::Disconnect {
            return Offered::Overflowed;
        }
        self.lose(offer.topic, Missing::one(offer.position));
        Offered::Dropped
    }

    /// Notes a loss after everything queued of `topic`.
    pub(super) fn lose(&mut self, topic: u32, missing: Missing) {
        Missing::append(&mut self.lanes.entry(topic).or_default().missing, missing);
    }

    /// Forgets everything of `topic`.
    pub(super) fn forget(&mut self, topic: u32, evicted: &mut Vec<u32>) {
        while let Some(queued) = self.pop_oldest_of(topic) {
            evicted.push(queued.frame);
        }
        self.lanes.remove(&topic);
    }

    /// What comes next: first a loss, then the frame it precedes; losses that precede nothing come
    /// last.
    pub(super) fn head(&self) -> Option<Head> {
        let Some(queued) = self.queue.values().next() else {
            return self.lanes.iter().find_map(|(&topic, lane)| {
                let missing = lane.missing?;
                Some(Head::Gap { topic, missing })
            });
        };
        Some(match queued.missing {
            Some(missing) => Head::Gap {
                topic: queued.topic,
                missing,
            },
            None => Head::Frame(*queued),
        })
    }

    /// Removes what [`head`](Self::head) shows. Returns the frame, if it was one.
    pub(super) fn pop(&mut self) -> Option<u32> {
        let Some(mut first) = self.queue.first_entry() else {
            self.lanes.pop_first();
            return None;
        };
        if first.get_mut().missing.take().is_some() {
            return None;
        }
        let topic = first.get().topic;
        self.pop_oldest_of(topic).map(|queued| queued.frame)
    }

    /// Every frame that is queued.
    pub(super) fn frames(&self) -> impl Iterator<Item = u32> {
        self.queue.values().map(|queued| queued.frame)
    }

    fn fits(&self, cost: u32, budget: u32) -> bool {
        self.bytes
            .checked_add(cost)
            .is_some_and(|sum| sum <= budget)
    }

    fn append(&mut self, offer: Offer) {
        let key = self.next;
        self.next += 1;
        self.bytes += offer.cost;
        let lane = self.lanes.entry(offer.topic).or_default();
        lane.entries.push_back(key);
        let queued = Queued {
            frame: offer.frame,
            topic: offer.topic,
            cost: offer.cost,
            since: offer.position,
            skipped: 0,
            missing: lane.missing.take(),
        };
        self.queue.insert(key, queued);
    }

    /// Puts the frame in the place of the topic's latest, if there is one.
    fn replace_latest(
        &mut self,
        offer: Offer,
        budget: u32,
        evicted: &mut Vec<u32>,
    ) -> Option<Offered> {
        let key = *self.lanes.get(&offer.topic)?.entries.back()?;
        let latest = self.queue.get_mut(&key)?;
        let others = self.bytes - latest.cost;
        if others
            .checked_add(offer.cost)
            .is_none_or(|sum| sum > budget)
        {
            while let Some(queued) = self.pop_oldest_of(offer.topic) {
                self.count_as_lost(queued, evicted);
            }
            self.lose(offer.topic, Missing::one(offer.position));
            return Some(Offered::Dropped);
        }
        evicted.push(latest.frame);
        latest.frame = offer.frame;
        latest.cost = offer.cost;
        latest.skipped += 1;
        self.bytes = others + offer.cost;
        Some(Offered::Queued)
    }

    fn make_room(&mut self, offer: Offer, budget: u32, evicted: &mut Vec<u32>) {
        while !self.fits(offer.cost, budget) {
            let Some(oldest) = self.pop_oldest_of(offer.topic) else {
                return;
            };
            self.count_as_lost(oldest, evicted);
        }
    }

    /// Turns a frame that was popped from its lane's front into a loss in front of what follows it.
    fn count_as_lost(&mut self, popped: Queued, evicted: &mut Vec<u32>) {
        evicted.push(popped.frame);
        let own = Missing::one(popped.since);
        let replaced = Missing {
            count: Some(popped.skipped),
            resume_from: None,
        };
        let lost = popped
            .missing
            .map_or(own, |before| before.then(own))
            .then(replaced);
        let lane = self.lanes.entry(popped.topic).or_default();
        let following = match lane.entries.front() {
            Some(key) => self.queue.get_mut(key).map(|queued| &mut queued.missing),
            None => Some(&mut lane.missing),
        };
        if let Some(missing) = following {
            *missing = Some(missing.map_or(lost, |later| lost.then(later)));
        }
    }

    fn pop_oldest_of(&mut self, topic: u32) -> Option<Queued> {
        let lane = self.lanes.get_mut(&topic)?;
        let queued = self.queue.remove(&lane.entries.pop_front()?)?;
        if lane.entries.is_empty() && lane.missing.is_none() {
            self.lanes.remove(&topic);
        }
        self.bytes -= queued.cost;
        Some(queued)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Epoch;

    const BUDGET: u32 = 1_000;

    fn offer(topic: u32, number: u32, cost: u32, overflow: Overflow) -> Offer {
        Offer {
            frame: number,
            topic,
            cost,
            position: Some(Position::new(Epoch::new(1), u64::from(number))),
            overflow,
        }
    }

    /// What a reader sees of it: frame numbers, and losses as (topic, count, resume offset).
    #[derive(Clone, Debug, Eq, PartialEq)]
    enum Seen {
        Frame(u32, u64),
        Gap(u32, Option<u64>, Option<u64>),
    }

    fn drain(backlog: &mut Backlog) -> Vec<Seen> {
        let mut seen = Vec::new();
        while let Some(head) = backlog.head() {
            seen.push(match head {
                Head::Frame(queued) => Seen::Frame(queued.frame, queued.skipped),
                Head::Gap { topic, missing } => Seen::Gap(
                    topic,
                    missing.count,
                    missing.resume_from.map(|at| at.offset),
                ),
            });
            backlog.pop();
        }
        assert!(backlog.is_empty());
        assert_eq!(backlog.bytes(), 0);
        seen
    }

    fn offer_all(overflow: Overflow, costs: &[u32]) -> (Backlog, Vec<Offered>) {
        let mut backlog = Backlog::default();
        let outcomes = (1..).zip(costs).map(|(number, &cost)| {
            backlog.offer(offer(0, number, cost, overflow), BUDGET, &mut Vec::new())
        });
        let outcomes = outcomes.collect();
        (backlog, outcomes)
    }

    #[test]
    fn drop_oldest_keeps_the_newest_suffix_after_one_gap() {
        let (mut backlog, _) = offer_all(Overflow::DropOldest, &[400, 400, 400, 400]);
        assert_eq!(
            drain(&mut backlog),
            [
                Seen::Gap(0, Some(2), Some(0)),
                Seen::Frame(3, 0),
                Seen::Frame(4, 0)
            ]
        );
    }

    #[test]
    fn drop_oldest_keeps_nothing_in_front_of_a_message_that_never_fits() {
        let (mut backlog, outcomes) = offer_all(Overflow::DropOldest, &[400, 1_001]);
        assert_eq!(outcomes, [Offered::Queued, Offered::Dropped]);
        assert_eq!(drain(&mut backlog), [Seen::Gap(0, Some(2), Some(0))]);
    }

    #[test]
    fn drop_newest_keeps_what_is_queued_and_marks_each_loss_in_its_place() {
        let (mut backlog, _) = offer_all(Overflow::DropNewest, &[600, 600, 300, 300]);
        assert_eq!(
            drain(&mut backlog),
            [
                Seen::Frame(1, 0),
                Seen::Gap(0, Some(1), Some(1)),
                Seen::Frame(3, 0),
                Seen::Gap(0, Some(1), Some(3)),
            ]
        );
    }

    #[test]
    fn conflate_keeps_the_latest_and_says_how_many_it_replaced() {
        let (mut backlog, _) = offer_all(Overflow::Conflate, &[600, 900, 700]);
        assert_eq!(drain(&mut backlog), [Seen::Frame(3, 2)]);
    }

    #[test]
    fn conflate_counts_a_latest_that_does_not_fit() {
        let (mut backlog, _) = offer_all(Overflow::Conflate, &[600, 600, 1_001]);
        assert_eq!(drain(&mut backlog), [Seen::Gap(0, Some(3), Some(0))]);
    }

    #[test]
    fn a_policy_never_acts_on_another_topic() {
        let mut backlog = Backlog::default();
        let mut evicted = Vec::new();
        backlog.offer(offer(1, 1, 900, Overflow::Disconnect), BUDGET, &mut evicted);
        let outcome = backlog.offer(offer(2, 2, 200, Overflow::DropOldest), BUDGET, &mut evicted);
        assert_eq!((outcome, &evicted[..]), (Offered::Dropped, &[][..]));
        assert_eq!(
            drain(&mut backlog),
            [Seen::Frame(1, 0), Seen::Gap(2, Some(1), Some(1))]
        );
    }

    #[test]
    fn what_must_not_be_lost_overflows() {
        let (backlog, outcomes) = offer_all(Overflow::Disconnect, &[1_000, 1]);
        assert_eq!(outcomes, [Offered::Queued, Offered::Overflowed]);
        assert_eq!(backlog.bytes(), 1_000);
    }

    proptest! {
        /// For every topic: frames and counted losses add up to what was offered, in order, and the
        /// budget holds after every step.
        #[test]
        fn nothing_is_lost_without_being_counted(
            policies in proptest::array::uniform4(0_usize..3),
            steps in proptest::collection::vec((0_u32..4, 1_u32..600, 0_u8..4), 1..200),
        ) {
            let kinds = [Overflow::DropOldest, Overflow::DropNewest, Overflow::Conflate];
            let mut backlog = Backlog::default();
            let mut offered = [0_u64; 4];
            let mut told = [0_u64; 4];
            let mut newest = [0_u32; 4];
            let mut number = 0;
            let mut seen = Vec::new();
            for (topic, cost, pops) in steps {
                number += 1;
                offered[topic as usize] += 1;
                let overflow = kinds[policies[topic as usize]];
                backlog.offer(offer(topic, number, cost, overflow), BUDGET, &mut Vec::new());
                prop_assert!(backlog.bytes() <= BUDGET);
                for _ in 0..pops {
                    seen.extend(backlog.head());
                    backlog.pop();
                }
            }
            while let Some(head) = backlog.head() {
                seen.push(head);
                backlog.pop();
            }
            for head in seen {
                match head {
                    Head::Frame(queued) => {
                        let topic = queued.topic as usize;
                        prop_assert!(queued.frame > newest[topic], "order of a topic");
                        newest[topic] = queued.frame;
                        told[topic] += 1 + queued.skipped;
                    }
                    Head::Gap { topic, missing } => {
                        told[topic as usize] += missing.count.expect("every loss is counted here");
                    }
                }
            }
            prop_assert_eq!(told, offered);
            prop_assert!(backlog.is_empty());
        }
    }
}
