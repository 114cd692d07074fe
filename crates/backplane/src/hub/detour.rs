//! The way of a live message to a subscriber that catches up.

use std::{collections::HashMap, sync::Arc};

use super::{
    catch_up::{HandOver, Mailbox},
    delivery::Missing,
    frame::{Body, Frame},
    shard::Floor,
    subscribers::Member,
};
use crate::{
    Position,
    bus::{Message, Recovered},
};

/// The subscriptions of a shard that a live message reaches on a detour, by topic and connection.
#[derive(Debug, Default)]
pub(super) struct Detours {
    ways: HashMap<(u32, u32), Detour>,
    /// Subscriptions whose detour has just ended, all of one topic.
    ended: Vec<u32>,
}

#[derive(Debug)]
enum Detour {
    /// The reader still reads the history.
    Mailbox(Arc<Mailbox>),
    /// The reader has everything up to here, some of which may still arrive live.
    Duplicates(Position),
}

/// What to do with a live message.
enum Course {
    Deliver,
    /// Deliver; and from now on, everything straight.
    DeliverStraight,
    /// The same, but something is missing in front of it.
    DeliverAfter(Missing),
    Skip,
}

impl Detours {
    pub(super) fn begin(&mut self, topic: u32, connection: u32, mailbox: Arc<Mailbox>) {
        self.ways
            .insert((topic, connection), Detour::Mailbox(mailbox));
    }

    pub(super) fn end(&mut self, topic: u32, connection: u32) {
        // Mostly there is none, and the key need not be hashed.
        if !self.ways.is_empty() {
            self.ways.remove(&(topic, connection));
        }
    }

    fn mailbox(&self, topic: u32, connection: u32) -> Option<&Arc<Mailbox>> {
        match self.ways.get(&(topic, connection))? {
            Detour::Mailbox(mailbox) => Some(mailbox),
            Detour::Duplicates(_) => None,
        }
    }

    fn course(&self, frame: &Frame, connection: u32) -> Course {
        match self.ways.get(&(frame.topic, connection)) {
            None => Course::DeliverStraight,
            Some(Detour::Mailbox(mailbox)) => hold(mailbox, frame),
            Some(Detour::Duplicates(until)) => match (&frame.body, frame.position()) {
                (Body::Payload(_), Some(position)) => after(*until, position),
                _ => Course::Deliver,
            },
        }
    }
}

/// Holds a message for a reader of the history. One without a position has no place in the history
/// and does not wait for it.
fn hold(mailbox: &Mailbox, frame: &Frame) -> Course {
    match (&frame.body, frame.position()) {
        (Body::Payload(payload), Some(position)) => {
            mailbox.hold(Message::new(position, payload.clone()));
        }
        (Body::Payload(_), None) => return Course::Deliver,
        (Body::Lost(count), resume_from) => mailbox.lose(Missing {
            count: *count,
            resume_from,
        }),
    }
    Course::Skip
}

fn after(until: Position, position: Position) -> Course {
    match missing_between(until, position) {
        _ if position.epoch == until.epoch && position.offset <= until.offset => Course::Skip,
        None => Course::DeliverStraight,
        Some(missing) => Course::DeliverAfter(missing),
    }
}

/// What lies between a reader that stands at `until` and the message at `position`.
fn missing_between(until: Position, position: Position) -> Option<Missing> {
    let count = if position.epoch == until.epoch {
        Some(position.offset.saturating_sub(until.offset + 1))
    } else {
        None
    };
    (count != Some(0)).then_some(Missing {
        count,
        resume_from: Some(until),
    })
}

impl Floor {
    /// Sends a frame on its detour. Returns false if it is to be queued after all.
    pub(super) fn take_detour(&mut self, member: Member, place: u32) -> bool {
        let topic = self.flight[place as usize].topic;
        let connection = member.connection();
        self.hand_over(topic, member);
        match self
            .detours
            .course(&self.flight[place as usize], connection)
        {
            Course::Deliver => return false,
            Course::Skip => return true,
            Course::DeliverStraight => {}
            Course::DeliverAfter(missing) => self.deliver(member, Frame::lost(topic, missing)),
        }
        self.detours.end(topic, connection);
        self.detours.ended.push(connection);
        false
    }

    /// Lets the subscriptions of `topic` whose detour has ended receive directly.
    pub(super) fn straighten(&mut self, topic: u32) {
        while let Some(connection) = self.detours.ended.pop() {
            if let Some(member) = self.topics.subscribers(topic).find(connection) {
                *member = member.without_detour();
            }
        }
    }

    /// Looks into the mailbox of a subscription.
    pub(super) fn caught_up(&mut self, topic: u32, connection: u32) {
        let member = self.topics.subscribers(topic).find(connection).copied();
        if let Some(member) = member {
            self.hand_over(topic, member);
        }
    }

    /// Delivers what a subscription missed, if its reader has just caught up.
    fn hand_over(&mut self, topic: u32, member: Member) {
        let connection = member.connection();
        let mailbox = self.detours.mailbox(topic, connection);
        let Some(HandOver {
            recovered,
            live,
            lost,
        }) = mailbox.and_then(|mailbox| mailbox.hand_over())
        else {
            return;
        };
        let mut at = self.deliver_recovered(topic, member, recovered);
        for message in live {
            let Message { position, payload } = message;
            match after(at, position) {
                Course::Skip => continue,
                Course::DeliverAfter(missing) => self.deliver(member, Frame::lost(topic, missing)),
                Course::Deliver | Course::DeliverStraight => {}
            }
            self.deliver(member, Frame::message(topic, payload, Some(position)));
            at = position;
        }
        if let Some(missing) = lost {
            self.deliver(member, Frame::lost(topic, missing));
        }
        self.detours
            .ways
            .insert((topic, connection), Detour::Duplicates(at));
    }

    fn deliver_recovered(&mut self, topic: u32, member: Member, recovered: Recovered) -> Position {
        if let Some(gap) = recovered.gap {
            self.deliver(member, Frame::lost(topic, Missing::of(gap)));
        }
        for Message { position, payload } in recovered.messages {
            self.deliver(member, Frame::message(topic, payload, Some(position)));
        }
        recovered.position
    }
}
