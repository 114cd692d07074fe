use std::{collections::VecDeque, mem, sync::Arc};

use backplane::{
    Topic,
    hub::{CloseReason, Connection, ConnectionOptions, Deliveries, Delivery, SubscribeOptions},
};
use futures::StreamExt;

use super::{
    LiveFeeds,
    hint::{self, Hint},
    known::Known,
};
use crate::{
    Change, Circle, Cursor, Entry, Error, ErrorKind, Feed, Page, PageSize, PostId, Result, Seek,
    UserId,
    cursor::{FeedName, Place, Recent},
    read::filter::{Candidate, Filter, Scope},
};

/// How a viewer opens their home feed.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct LiveRequest {
    /// What the reader has seen: [`LiveEvent::resume`] of the last event, or [`Page::prev`] of the
    /// newest page. Nothing yet, if there is none.
    pub resume: Option<Cursor>,
    /// How many entries a [`LiveChange::Reset`] brings at most.
    pub size: PageSize,
}

impl LiveRequest {
    /// Goes on from `cursor`.
    #[must_use]
    pub const fn with_resume(mut self, cursor: Cursor) -> Self {
        self.resume = Some(cursor);
        self
    }

    /// Resets with pages of `size`.
    #[must_use]
    pub const fn with_size(mut self, size: PageSize) -> Self {
        self.size = size;
        self
    }
}

/// A change of a home feed.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct LiveEvent {
    /// What to do to what is shown.
    pub change: LiveChange,
    /// Where to go on after this event, once the connection is lost.
    pub resume: Cursor,
}

/// What to do to what is shown.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum LiveChange {
    /// Show this page instead of everything. It is the first event of a reader who has seen nothing. It
    /// also comes when more has changed than single events can say: the viewer follows others than
    /// before, or too much happened while the connection was lost.
    Reset(Page),
    /// Show this entry too, in its place by post id: mostly, but not always, the newest.
    Added(Entry),
    /// Show this post's new body.
    Revised {
        /// The post.
        entry: Entry,
        /// The version of its body.
        version: u32,
    },
    /// Do not show this entry any more, nor any repost of it.
    Removed(Entry),
}

/// A home feed that delivers its changes.
///
/// Between two resets each of the newest 300 entries is added once, and what is shown after each event
/// is what [`Feed::home`] would show, once fanout has come to the viewer. The stream does not know what
/// happens outside the circle: when an author whom the viewer does not follow deletes a post, reposts of
/// it stay until the next read.
///
/// A resumption checks the newest 100 of the entries that the reader was shown. If they are as they
/// were, newer entries are added, up to 200; if not, a [`LiveChange::Reset`] follows. It does not check
/// older entries, nor bodies revised meanwhile: those show at the next read.
///
/// A reader who is too slow for the hub gets a reset; nothing grows without bound.
#[derive(Debug)]
pub struct LiveFeed {
    live: LiveFeeds,
    feed: Feed,
    viewer: UserId,
    size: PageSize,
    link: Link,
    /// Whose posts the link brings word of.
    sources: Vec<UserId>,
    known: Known,
    /// What the link brought and was not looked at.
    hints: Vec<Hint>,
    ready: VecDeque<LiveEvent>,
    state: State,
}

#[derive(Debug)]
struct Link {
    connection: Connection,
    deliveries: Deliveries,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Open,
    /// What is shown must be replaced.
    Stale,
    /// So it must, and the link takes no subscriptions any more.
    Lost,
    Ended,
}

/// How many entries a resumption reads: those it compares, and those it can add.
const CATCH_UP: usize = Recent::SPAN + 200;

impl LiveFeed {
    pub(super) async fn open(
        live: LiveFeeds,
        feed: Feed,
        viewer: UserId,
        request: LiveRequest,
    ) -> Result<Self> {
        let since = request.resume.map(|cursor| place(cursor, viewer));
        let since = since.transpose()?;
        let link = Link::open(&live)?;
        let mut this = Self {
            live,
            feed,
            viewer,
            size: request.size,
            link,
            sources: Vec::new(),
            known: Known::default(),
            hints: Vec::new(),
            ready: VecDeque::new(),
            state: State::Open,
        };
        let Some(circle) = this.join().await? else {
            return Err(Error::bare(ErrorKind::Closed, "watch"));
        };
        this.catch_up(&circle, since).await?;
        Ok(this)
    }

    /// The next change; `None` once the hub is drained or closed.
    ///
    /// # Errors
    ///
    /// Fails if an engine does, and with [`ErrorKind::Full`] if the hub has no room for what a reader
    /// who was too slow, or follows more authors, needs anew. Nothing is lost then: calling again goes
    /// on.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Result<Option<LiveEvent>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Some(event));
            }
            match self.state {
                State::Lost => self.relink()?,
                State::Stale => self.refresh().await?,
                State::Open | State::Ended if !self.hints.is_empty() => self.judge().await?,
                State::Open => self.listen().await,
                State::Ended => return Ok(None),
            }
        }
    }

    /// Waits for the next delivery, and takes all that have come with it.
    async fn listen(&mut self) {
        let first = self.link.deliveries.next().await;
        if first.is_none() {
            self.state = State::Ended;
        }
        let mut delivery = first;
        while let Some(next) = delivery {
            self.take(next);
            delivery = self.link.deliveries.try_next();
        }
    }

    fn take(&mut self, delivery: Delivery) {
        match delivery {
            // What comes after a loss says less than the page that is shown anew.
            Delivery::Message { payload, .. } if self.state == State::Open => {
                self.hints.extend(Hint::decode(&payload));
            }
            Delivery::Gap { .. } => self.distrust(),
            Delivery::Closed(CloseReason::SlowConsumer) => {
                self.distrust();
                self.state = State::Lost;
            }
            Delivery::Closed(_) => self.state = State::Ended,
            _ => {}
        }
    }

    /// Turns hints into events.
    ///
    /// Nothing is taken out before the last await, so a call that is dropped is made again.
    async fn judge(&mut self) -> Result<()> {
        let circle = self.feed.circle(self.viewer).await?;
        if self.hints.contains(&Hint::Circle) || circle.sources() != self.sources {
            self.distrust();
            return Ok(());
        }
        let shown = self.shown(&circle).await?;
        let gone = self.gone(&circle).await?;
        for hint in mem::take(&mut self.hints) {
            let Hint::Post { entry, change } = hint else {
                continue;
            };
            let change = match change {
                Change::Retracted if self.known.contains(&entry) || gone.contains(&entry) => {
                    self.removed(entry)
                }
                Change::Retracted => continue,
                _ if !shown.contains(&entry) => continue,
                Change::Revised { version } => LiveChange::Revised { entry, version },
                Change::Published if self.known.has_repost_above(&entry) => {
                    self.distrust();
                    continue;
                }
                Change::Published if self.known.add(entry) => LiveChange::Added(entry),
                Change::Published => continue,
            };
            self.ready.push_back(self.event(change));
        }
        Ok(())
    }

    fn removed(&mut self, entry: Entry) -> LiveChange {
        if self.known.remove(entry.post) && entry.is_repost() {
            // Another repost may have been hidden behind it.
            self.distrust();
        }
        LiveChange::Removed(entry)
    }

    /// Has the next call show the feed anew, which says all that the hints would; unless the hub is
    /// closed, and nothing is shown any more.
    fn distrust(&mut self) {
        self.hints.clear();
        if self.state == State::Open {
            self.state = State::Stale;
        }
    }

    /// Shows the feed anew, to a reader whose circle may have changed, or who has missed something.
    async fn refresh(&mut self) -> Result<()> {
        match self.join().await? {
            Some(circle) => self.catch_up(&circle, None).await?,
            None => self.state = State::Lost,
        }
        Ok(())
    }

    /// Replaces a link that was closed. It was the last one, if the hub opens no other.
    fn relink(&mut self) -> Result<()> {
        self.state = match Link::open(&self.live) {
            Ok(link) => {
                self.link = link;
                State::Stale
            }
            Err(error) if error.kind() == ErrorKind::Closed => State::Ended,
            Err(error) => return Err(error),
        };
        Ok(())
    }

    /// Which of the entries that the hints tell of are shown in the home feed.
    async fn shown(&self, circle: &Circle) -> Result<Vec<Entry>> {
        let told = self.told_of(|change| change != Change::Retracted);
        let mut visible = Vec::new();
        self.filter(circle)
            .keep(told.map(Candidate::kept).collect(), &mut visible)
            .await?;
        let mut shown = Vec::with_capacity(visible.len());
        let pager = self.feed.outbox_pager(circle);
        for entry in visible {
            if !entry.is_repost() || pager.shows(&entry).await? {
                shown.push(entry);
            }
        }
        Ok(shown)
    }

    /// Which of the entries that the hints say are gone may have been shown there.
    async fn gone(&self, circle: &Circle) -> Result<Vec<Entry>> {
        let told = self.told_of(|change| change == Change::Retracted);
        self.filter(circle).keep_gone(told.collect()).await
    }

    fn told_of(&self, is_wanted: impl Fn(Change) -> bool) -> impl Iterator<Item = Entry> {
        self.hints.iter().filter_map(move |hint| match hint {
            Hint::Post { entry, change } if is_wanted(*change) => Some(*entry),
            _ => None,
        })
    }

    fn filter<'a>(&'a self, circle: &'a Circle) -> Filter<'a> {
        Filter::new(&*self.feed.parts.outbox, circle, Scope::Home)
    }

    /// Subscribes to the viewer's circle and to its sources as they are now, and to no others: whoever
    /// the viewer follows from now on is heard of. `None` if the link takes no subscriptions any more.
    async fn join(&mut self) -> Result<Option<Arc<Circle>>> {
        let topic = [hint::circle_of(self.viewer)];
        if !self.link.subscribe(&topic)? {
            return Ok(None);
        }
        if !self.joined(&topic).await? {
            return Ok(None);
        }
        let circle = self.feed.circle(self.viewer).await?;
        let sources = circle.sources();
        let gone = |author: &&UserId| sources.binary_search(author).is_err();
        for author in self.sources.iter().filter(gone) {
            self.link.connection.unsubscribe(&hint::posts_of(*author));
        }
        self.sources = sources.to_vec();
        let topics: Vec<_> = sources.iter().copied().map(hint::posts_of).collect();
        if !self.link.subscribe(&topics)? {
            return Ok(None);
        }
        let joined = self.joined(&topics).await?;
        Ok(joined.then_some(circle))
    }

    /// Waits for what other nodes publish, and answers `false` if the link was closed meanwhile.
    async fn joined(&self, topics: &[Topic]) -> Result<bool> {
        let joined = self.live.joined(topics).await;
        if self.link.connection.is_closed() {
            return Ok(false); // and nobody wants the topics any more
        }
        joined.map(|()| true)
    }

    /// Brings the reader from what they have seen to what is there now.
    ///
    /// It reads the outboxes alone: timelines may not have yet what a hint has told of before.
    async fn catch_up(&mut self, circle: &Circle, since: Option<(PostId, Recent)>) -> Result<()> {
        let mut pager = self.feed.outbox_pager(circle);
        let (entries, older) = pager.newest(CATCH_UP).await?;
        self.hints.clear();
        self.state = State::Open;
        if let Some((post, recent)) = since {
            let newer = entries.partition_point(|entry| entry.post > post);
            let (newer, known) = entries.split_at(newer);
            let reached = older.is_none() || !known.is_empty();
            if reached && recent.matches(known.iter().map(|entry| entry.post)) {
                self.known = Known::of(known, older.is_none());
                for entry in newer.iter().rev() {
                    self.known.add(*entry);
                    self.ready.push_back(self.event(LiveChange::Added(*entry)));
                }
                return Ok(());
            }
        }
        self.known = Known::of(&entries, older.is_none());
        let page = pager.cut(entries, older, self.size);
        self.ready.push_back(self.event(LiveChange::Reset(page)));
        Ok(())
    }

    fn event(&self, change: LiveChange) -> LiveEvent {
        let place = Place::Post(Seek::After(self.known.newest()));
        let resume = Cursor::new(FeedName::Home, self.viewer, place);
        LiveEvent {
            change,
            resume: resume.with_recent(self.known.recent()),
        }
    }
}

impl Link {
    fn open(live: &LiveFeeds) -> Result<Self> {
        // The graph bounds them.
        let options = ConnectionOptions::default().with_max_subscriptions(usize::MAX);
        let (connection, deliveries) = live.hub.connect_stream(&options)?;
        Ok(Self {
            connection,
            deliveries,
        })
    }

    /// Subscribes to what it did not yet, and answers `false` if that is too late: the connection is
    /// closed, or about to be.
    fn subscribe(&self, topics: &[Topic]) -> Result<bool> {
        let options = SubscribeOptions::default();
        let all = topics.iter();
        let mut all = all.map(|topic| self.connection.subscribe(topic, &options));
        match all.find_map(Result::err) {
            None => Ok(true),
            Some(error) if error.kind() == backplane::ErrorKind::Closed => Ok(false),
            Some(error) => Err(error.into()),
        }
    }
}

/// The newest post that the reader has seen, and what they knew then.
fn place(cursor: Cursor, viewer: UserId) -> Result<(PostId, Recent)> {
    match cursor.seek_in(FeedName::Home, viewer)? {
        Seek::After(post) => Ok((post, cursor.recent())),
        _ => Err(Error::bare(ErrorKind::InvalidCursor, "watch")),
    }
}
