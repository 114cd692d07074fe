//! Walking one feed in order, wherever its entries are kept.

use crate::{
    Circle, Entry, Outbox, PageSource, PostId, PostState, Result, Seek, TimelineState,
    TimelineStore, UserId,
};

/// What a scan reads.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sources<'a> {
    /// The home timeline where it is complete, outboxes elsewhere.
    Home(&'a dyn TimelineStore),
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
    state: TimelineState,
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
            state: TimelineState::Cold,
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
    pub(crate) const fn state(&self) -> TimelineState {
        self.state
    }

    /// Looks at up to about `limit` more entries and appends those that the viewer may see.
    pub(crate) async fn next(&mut self, limit: usize, visible: &mut Vec<Entry>) -> Result<()> {
        let chunk = self.candidates(limit).await?;
        self.looked_at += chunk.len();
        self.keep_visible(chunk, visible).await
    }

    async fn candidates(&mut self, limit: usize) -> Result<Vec<Entry>> {
        match self.sources {
            Sources::Home(timelines) => self.home(timelines, limit).await,
            Sources::List(members) => self.pull(members, limit).await,
            Sources::Author(author) => self.pull(&[author], limit).await,
        }
    }

    async fn home(&mut self, timelines: &dyn TimelineStore, limit: usize) -> Result<Vec<Entry>> {
        let circle = self.circle;
        let window = timelines.window(circle.viewer(), self.seek, limit).await?;
        self.state = window.state;
        match window.state {
            TimelineState::Warm { floor } if reaches(self.seek, floor) => {
                self.source = PageSource::Timeline;
                self.hybrid(window.entries, floor, limit).await
            }
            _ => self.pull(circle.sources(), limit).await,
        }
    }

    /// A chunk out of outboxes alone.
    async fn pull(&mut self, authors: &[UserId], limit: usize) -> Result<Vec<Entry>> {
        let entries = self.outbox.latest(authors, self.seek, limit).await?;
        self.ended = entries.len() < limit;
        self.source = PageSource::Outboxes;
        self.stand_at(entries.last());
        Ok(entries)
    }

    /// A chunk out of the timeline's window and the outboxes of authors who are pulled.
    ///
    /// Both may be cut off by `limit`. The chunk ends where the first of them does, or an entry of
    /// the other could be shown while a nearer one is missing.
    async fn hybrid(
        &mut self,
        window: Vec<Entry>,
        floor: PostId,
        limit: usize,
    ) -> Result<Vec<Entry>> {
        let authors: Vec<_> = self.circle.pulled_from(floor).collect();
        let pulled = if authors.is_empty() {
            Vec::new()
        } else {
            self.outbox.latest(&authors, self.seek, limit).await?
        };
        let ascending = matches!(self.seek, Seek::After(_));
        let window_end = (window.len() == limit).then(|| window[limit - 1].post);
        let pulled_end = (pulled.len() == limit).then(|| pulled[limit - 1].post);
        let edge = if ascending {
            [window_end, pulled_end].into_iter().flatten().min()
        } else {
            let window_end = window_end.unwrap_or(floor);
            Some(pulled_end.map_or(window_end, |end| end.max(window_end)))
        };
        let merged = merge(window, pulled, ascending, edge);
        match edge {
            Some(edge) if ascending => self.seek = Seek::After(edge),
            Some(edge) if edge > PostId::MIN => self.seek = Seek::Before(edge),
            _ => self.ended = true,
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

    async fn keep_visible(&self, mut chunk: Vec<Entry>, visible: &mut Vec<Entry>) -> Result<()> {
        chunk.retain(|entry| self.may_see_author(entry));
        if chunk.is_empty() {
            return Ok(());
        }
        let mut posts: Vec<_> = chunk.iter().map(|entry| entry.post).collect();
        posts.extend(chunk.iter().filter(|entry| entry.is_repost()).map(|entry| entry.origin));
        let states = self.outbox.lookup(&posts).await?;
        let (own, origins) = states.split_at(chunk.len().min(states.len()));
        let mut origins = origins.iter();
        for (entry, state) in chunk.into_iter().zip(own) {
            let origin = if entry.is_repost() { origins.next() } else { Some(state) };
            if state.live().is_some() && origin.is_some_and(|origin| self.may_see_origin(origin)) {
                visible.push(entry);
            }
        }
        Ok(())
    }

    /// Whether the viewer may see what this author posts and reposts here.
    fn may_see_author(&self, entry: &Entry) -> bool {
        let circle = self.circle;
        if entry.author == circle.viewer() {
            return true;
        }
        let settings = circle.settings(entry.author);
        let listed = match self.sources {
            Sources::Home(_) => settings.is_some() && !circle.mutes(entry.author),
            Sources::List(_) => !circle.mutes(entry.author),
            Sources::Author(_) => true,
        };
        let unwanted = entry.is_repost() && settings.is_some_and(|edge| edge.hide_reposts);
        listed && !unwanted && !circle.blocks(entry.author)
    }

    /// Whether what an entry shows is still there, and by somebody the viewer may see.
    fn may_see_origin(&self, origin: &PostState) -> bool {
        let circle = self.circle;
        origin.live().is_some_and(|origin| match self.sources {
            Sources::Author(author) if origin.author == author => true,
            _ => !circle.blocks(origin.author) && !circle.mutes(origin.author),
        })
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

/// The union of two runs in the same direction, up to and including `edge`.
fn merge(
    window: Vec<Entry>,
    pulled: Vec<Entry>,
    ascending: bool,
    edge: Option<PostId>,
) -> Vec<Entry> {
    let before = |a: PostId, b: PostId| if ascending { a < b } else { a > b };
    let within = |entry: &Entry| edge.is_none_or(|edge| !before(edge, entry.post));
    let mut window = window;
    window.retain(within);
    if pulled.is_empty() {
        return window;
    }
    let mut merged = Vec::with_capacity(window.len() + pulled.len());
    let mut window = window.into_iter().peekable();
    for entry in pulled.into_iter().take_while(within) {
        while let Some(nearer) = window.next_if(|other| before(other.post, entry.post)) {
            merged.push(nearer);
        }
        window.next_if(|other| other.post == entry.post);
        merged.push(entry);
    }
    merged.extend(window);
    merged
}

/// Which of `entries`, newest first, are shown: an entry is hidden by another of the same origin
/// among the `span` next older ones, so that of an original and its reposts the oldest stands.
///
/// The last `span` entries are judged by what is there, unless more is to come.
pub(crate) fn shown(entries: &[Entry], span: usize) -> impl Iterator<Item = (usize, &Entry)> {
    entries.iter().enumerate().filter(move |(at, entry)| {
        let older = entries.iter().skip(at + 1).take(span);
        !entry.is_repost() || !older.into_iter().any(|other| other.origin == entry.origin)
    })
}
