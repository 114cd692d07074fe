//! Walking one feed in order, wherever its entries are kept.

use crate::{
    Circle, Entry, Outbox, PageSource, PostId, Result, Seek, TimelineState, TimelineStore, UserId,
    read::filter::{Candidate, Filter, Scope},
    telemetry,
};

/// What a scan reads.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sources<'a> {
    /// The home timeline where it is complete, outboxes elsewhere; without one, outboxes alone.
    Home(Option<&'a dyn TimelineStore>),
    /// The outboxes of the members of a list.
    List(&'a [UserId]),
    /// One author's outbox, as others see it.
    Author(UserId),
}

/// A walk over the entries of a feed that its viewer may see, in one direction, in chunks.
///
/// Every chunk is contiguous: no visible entry lies between its entries, or between it and the last
/// chunk, whichever store it came from.
#[derive(Debug)]
pub(crate) struct Scan<'a> {
    outbox: &'a dyn Outbox,
    circle: &'a Circle,
    sources: Sources<'a>,
    seek: Seek,
    ended: bool,
    looked_at: usize,
    source: PageSource,
    timeline: Option<TimelineState>,
}

impl<'a> Scan<'a> {
    pub(crate) fn new(
        outbox: &'a dyn Outbox,
        circle: &'a Circle,
        sources: Sources<'a>,
        seek: Seek,
    ) -> Self {
        Self {
            outbox,
            circle,
            sources,
            seek,
            ended: false,
            looked_at: 0,
            source: PageSource::Outboxes,
            timeline: None,
        }
    }

    /// Whether nothing is left to look at.
    pub(crate) const fn ended(&self) -> bool {
        self.ended
    }

    /// How many entries were looked at so far, visible or not.
    pub(crate) const fn looked_at(&self) -> usize {
        self.looked_at
    }

    /// Where the walk stands.
    pub(crate) const fn seek(&self) -> Seek {
        self.seek
    }

    /// What the last chunk was made of.
    pub(crate) const fn source(&self) -> PageSource {
        self.source
    }

    /// The state of the home timeline when it was last looked at.
    pub(crate) const fn timeline(&self) -> Option<TimelineState> {
        self.timeline
    }

    /// Looks at up to `limit` more entries and appends those that the viewer may see.
    pub(crate) async fn next(&mut self, limit: usize, visible: &mut Vec<Entry>) -> Result<()> {
        let chunk = self.candidates(limit).await?;
        self.looked_at += chunk.len();
        self.filter().keep(chunk, visible).await
    }

    fn filter(&self) -> Filter<'a> {
        let scope = match self.sources {
            Sources::Home(_) => Scope::Home,
            Sources::List(_) => Scope::List,
            Sources::Author(author) => Scope::Author(author),
        };
        Filter::new(self.outbox, self.circle, scope)
    }

    async fn candidates(&mut self, limit: usize) -> Result<Vec<Candidate>> {
        match self.sources {
            Sources::Home(Some(timelines)) => self.home(timelines, limit).await,
            Sources::Home(None) => self.pull(self.circle.sources(), limit).await,
            Sources::List(members) => self.pull(members, limit).await,
            Sources::Author(author) => self.pull(&[author], limit).await,
        }
    }

    async fn home(
        &mut self,
        timelines: &dyn TimelineStore,
        limit: usize,
    ) -> Result<Vec<Candidate>> {
        let circle = self.circle;
        let window = match timelines.window(circle.viewer(), self.seek, limit).await {
            Ok(window) => window,
            // Losing a timeline loses time, also for a while.
            Err(error) => {
                telemetry::tolerate::<()>(Err(error), "timeline not read");
                return self.pull(circle.sources(), limit).await;
            }
        };
        self.timeline = Some(window.state);
        match window.state {
            TimelineState::Warm { floor } if reaches(self.seek, floor) => {
                self.source = PageSource::Timeline;
                self.hybrid(window.entries, floor, limit).await
            }
            _ => self.pull(circle.sources(), limit).await,
        }
    }

    /// A chunk out of outboxes alone.
    async fn pull(&mut self, authors: &[UserId], limit: usize) -> Result<Vec<Candidate>> {
        let entries = self.outbox.latest(authors, self.seek, limit).await?;
        self.ended = entries.len() < limit;
        self.source = PageSource::Outboxes;
        self.stand_at(entries.last());
        Ok(entries.into_iter().map(Candidate::pulled).collect())
    }

    /// A chunk out of the timeline's window and the outboxes of authors who are pulled.
    ///
    /// Where either of them is cut off by `limit`, the chunk is full before it gets there.
    async fn hybrid(
        &mut self,
        window: Vec<Entry>,
        floor: PostId,
        limit: usize,
    ) -> Result<Vec<Candidate>> {
        let ascending = matches!(self.seek, Seek::After(_));
        let least = match self.seek {
            Seek::Newest | Seek::Before(_) if window.len() == limit => window[limit - 1].post,
            Seek::Newest | Seek::Before(_) => floor,
            Seek::After(post) => post,
        };
        let authors = self.circle.pulled_from(least);
        let pulled = if authors.is_empty() {
            Vec::new()
        } else {
            self.outbox.latest(authors, self.seek, limit).await?
        };
        let complete = if ascending {
            pulled.len()
        } else {
            pulled.partition_point(|entry| entry.post >= floor)
        };
        let merged = merge(&window, &pulled[..complete], ascending, limit);
        if merged.len() == limit {
            self.stand_at(merged.last().map(|last| &last.entry));
        } else if ascending || floor == PostId::MIN {
            self.ended = true;
        } else {
            self.seek = Seek::Before(floor);
        }
        Ok(merged)
    }

    fn stand_at(&mut self, last: Option<&Entry>) {
        if let Some(last) = last {
            self.seek = match self.seek {
                Seek::Newest | Seek::Before(_) => Seek::Before(last.post),
                Seek::After(_) => Seek::After(last.post),
            };
        }
    }
}

/// Whether the next entry in the direction of `seek` is one for which a timeline with this floor is
/// complete.
fn reaches(seek: Seek, floor: PostId) -> bool {
    match seek {
        Seek::Newest => true,
        Seek::Before(post) => post > floor,
        Seek::After(post) => post.get() >= floor.get().saturating_sub(1),
    }
}

/// The first `limit` of the union of two runs in the same direction.
fn merge(
    mut window: &[Entry],
    mut pulled: &[Entry],
    ascending: bool,
    limit: usize,
) -> Vec<Candidate> {
    let before = |a: PostId, b: PostId| if ascending { a < b } else { a > b };
    let mut merged = Vec::with_capacity(limit.min(window.len() + pulled.len()));
    while merged.len() < limit {
        let kept = window.first();
        let next = pulled.first();
        let is_kept_nearer = |kept: &&Entry| next.is_none_or(|next| before(kept.post, next.post));
        if let Some(nearer) = kept.filter(is_kept_nearer) {
            merged.push(Candidate::kept(*nearer));
            window = &window[1..];
        } else if let Some(next) = next {
            merged.push(Candidate::pulled(*next));
            let is_both = kept.is_some_and(|kept| kept.post == next.post);
            window = &window[usize::from(is_both)..];
            pulled = &pulled[1..];
        } else {
            break;
        }
    }
    merged
}
