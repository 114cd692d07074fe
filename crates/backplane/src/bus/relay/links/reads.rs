//! What is read from the history.

use super::{Follower, Links, Output, State};
use crate::{
    Position, Topic,
    bus::{HistoryPage, HistoryRead, Recovered},
};

/// Pages to read in one call, and which links they are for.
#[derive(Debug, Default)]
pub(in crate::bus::relay) struct Reads {
    pub(in crate::bus::relay) reads: Vec<HistoryRead>,
    /// The generation of the link that each is for, and what for.
    purposes: Vec<(u64, Purpose)>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Purpose {
    Recover,
    /// Of a reader that stood here.
    Check(Position),
}

impl Links {
    /// The next pages to read, if any.
    pub(in crate::bus::relay) fn next_reads(&mut self) -> Option<Reads> {
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
                Purpose::Check(follower.at())
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

    pub(in crate::bus::relay) fn paged(
        &mut self,
        reads: Reads,
        pages: Vec<HistoryPage>,
        out: &mut Vec<Output>,
    ) {
        self.to_read.succeeded();
        let bounds = self.options.recovery.clone();
        for ((topic, generation, purpose), page) in reads.parts().zip(pages) {
            let Some(follower) = self.follower(&topic, generation) else {
                continue;
            };
            let again = match purpose {
                Purpose::Check(from) => follower.check(from, page.top, &bounds),
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

    /// Takes reads back of which some are refused: fewer are made next, and what is not even read
    /// by itself is skipped.
    pub(in crate::bus::relay) fn undecoded(&mut self, reads: Reads, out: &mut Vec<Output>) {
        if reads.reads.len() > 1 {
            return self.reread(reads);
        }
        self.to_read.failed(1);
        for (topic, generation, purpose) in reads.parts() {
            if matches!(purpose, Purpose::Check(_)) {
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

    /// Takes reads back that failed, so that they are made again, fewer at a time.
    pub(in crate::bus::relay) fn reread(&mut self, reads: Reads) {
        self.to_read.failed(reads.reads.len());
        for (topic, generation, _) in reads.parts() {
            if self.follower(&topic, generation).is_some() {
                self.queue_read(&topic);
            }
        }
    }

    /// Ends every recovery, since no history can be read any more.
    pub(in crate::bus::relay) fn abandon(&mut self, out: &mut Vec<Output>) {
        for (topic, link) in &mut self.by_topic {
            if let State::Following(follower) = &mut link.state {
                pass_on(topic, follower.abandon(), out);
            }
        }
    }

    /// Reads of `topic` what it wants, once.
    pub(super) fn queue_read(&mut self, topic: &Topic) {
        if let Some(link) = self.by_topic.get_mut(topic)
            && !link.read_queued
        {
            link.read_queued = true;
            self.to_read.push((topic.clone(), link.generation));
        }
    }

    fn follower(&mut self, topic: &Topic, generation: u64) -> Option<&mut Follower> {
        match &mut self.link(topic, generation)?.state {
            State::Following(follower) => Some(follower),
            State::Joining(_) | State::Leaving => None,
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
