//! What is read from the history.

use std::time::Duration;

use super::{Line, Links, Output, Reading, State, lane::Lane, later::Later};
use crate::{
    ErrorKind, Position, Topic,
    bus::{HistoryPage, HistoryRead, Recovered},
};

/// Pages to read in one call, and which links they are for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
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
    /// The next pages to read on `line`, if any.
    pub(super) fn next_reads(&mut self, line: Line) -> Option<Reads> {
        let mut reads = Reads::default();
        let mut room = self.options.max_read_bytes;
        while reads.reads.len() < self.reads(line).batch()
            && (room >= self.page_bytes || reads.reads.is_empty())
            && let Some((topic, generation)) = self.reads(line).pop()
        {
            let Some(link) = self.link(&topic, generation) else {
                continue;
            };
            link.reading = Reading::None;
            let State::Following(follower) = &link.state else {
                continue;
            };
            let purpose = if follower.is_recovering() {
                Purpose::Recover
            } else {
                Purpose::Check(follower.at())
            };
            link.reading = purpose.reading();
            let read = follower.read(topic);
            if read.limit > 0 {
                room = room.saturating_sub(self.page_bytes);
            }
            reads.reads.push(read);
            reads.purposes.push((generation, purpose));
        }
        (!reads.reads.is_empty()).then_some(reads)
    }

    /// Takes the pages that were read. What could not be read is read again later, and what can never
    /// be is skipped.
    pub(super) fn paged(
        &mut self,
        line: Line,
        reads: Reads,
        pages: Vec<Result<HistoryPage, ErrorKind>>,
        now: Duration,
        out: &mut Vec<Output>,
    ) {
        self.reads(line).ended(pages.iter());
        let mut later = Later::than(now);
        for ((topic, generation, purpose), page) in reads.parts().zip(pages) {
            match page {
                Ok(page) => self.page(&topic, generation, purpose, page, out),
                Err(ErrorKind::Unavailable) => {
                    self.reread(&topic, generation, purpose, &mut later);
                }
                Err(_) if matches!(purpose, Purpose::Check(_)) => {} // the next check may tell
                Err(_) => self.skip(&topic, generation, out),
            }
        }
    }

    fn page(
        &mut self,
        topic: &Topic,
        generation: u64,
        purpose: Purpose,
        page: HistoryPage,
        out: &mut Vec<Output>,
    ) {
        let bounds = self.options.recovery.clone();
        let Some(link) = self.link(topic, generation) else {
            return;
        };
        link.read_failures = 0;
        let State::Following(follower) = &mut link.state else {
            return;
        };
        match purpose {
            Purpose::Check(from) => {
                if follower.check(from, page.top, &bounds) {
                    self.queue_read(topic);
                    self.renew(topic);
                }
            }
            Purpose::Recover => {
                link.reading = Reading::None;
                let recovered = follower.page(page, &bounds);
                let again = follower.is_recovering();
                pass_on(topic, recovered, out);
                if again {
                    self.queue_read(topic);
                }
            }
        }
    }

    /// Goes on without what is not to be read.
    fn skip(&mut self, topic: &Topic, generation: u64, out: &mut Vec<Output>) {
        let Some(link) = self.link(topic, generation) else {
            return;
        };
        link.reading = Reading::None;
        let State::Following(follower) = &mut link.state else {
            return;
        };
        let recovered = follower.unreadable();
        let again = follower.is_recovering();
        pass_on(topic, recovered, out);
        if again {
            self.queue_read(topic);
        }
    }

    /// Has a page read again that the bus could not read.
    fn reread(&mut self, topic: &Topic, generation: u64, purpose: Purpose, later: &mut Later) {
        let Some(link) = self.by_topic.get_mut(topic) else {
            return;
        };
        if link.generation != generation || link.reading != purpose.reading() {
            return;
        }
        let at = later.at(link.read_failures, &self.options, &mut self.jitter);
        link.read_failures = link.read_failures.saturating_add(1);
        link.reading = Reading::At(at);
        self.unread.insert(at, generation, topic.clone());
    }

    pub(super) fn read_again(&mut self, topic: Topic) {
        if let Some(link) = self.by_topic.get_mut(&topic) {
            link.reading = Reading::Queued;
            self.to_read_again.push((topic, link.generation));
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
            && link.reading == Reading::None
        {
            link.reading = Reading::Queued;
            self.to_read.push((topic.clone(), link.generation));
        }
    }

    fn reads(&mut self, line: Line) -> &mut Lane<(Topic, u64)> {
        match line {
            Line::ReadAgain => &mut self.to_read_again,
            _ => &mut self.to_read,
        }
    }
}

impl Purpose {
    /// How the link stands while such a page is read. Checks may overtake each other.
    const fn reading(self) -> Reading {
        match self {
            Self::Recover => Reading::UnderWay,
            Self::Check(_) => Reading::None,
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
