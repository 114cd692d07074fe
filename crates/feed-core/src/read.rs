use std::sync::Arc;

use futures::join;

use crate::{
    BuildStart, Circle, Feed, Habit, ListId, Page, PageRequest, PageSize, PostId, Result, Seek,
    TimelineState, UserId, cursor::FeedName, reader::Reader, scan::Sources, telemetry,
};

impl Feed {
    /// A page of what `viewer` and the authors they follow have posted and reposted.
    ///
    /// A viewer whose timeline is cold, or cannot be read, gets a page out of the outboxes. A cold one
    /// is built before this returns, unless another call is building it, an engine fails, or the policy
    /// [never pushes](crate::FanoutPolicy::ever_pushes). What the page shows is the same.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::ForeignCursor`](crate::ErrorKind::ForeignCursor) for a cursor of another feed or
    /// viewer; otherwise fails if an engine does.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may leave a timeline that is being built to whoever reads it after
    /// [`FeedOptions::build_timeout`](crate::FeedOptions::build_timeout).
    pub async fn home(&self, viewer: UserId, request: PageRequest) -> Result<Page> {
        let place = request.seek_in(FeedName::Home, viewer)?;
        let circle = match place {
            Seek::Newest | Seek::After(_) => self.visit(viewer).await?,
            Seek::Before(_) => self.circle(viewer).await?,
        };
        let mut reader = self.home_reader(&circle, FeedName::Home);
        let page = reader.page(place, request.size).await?;
        self.prepare(viewer, reader.timeline()).await;
        Ok(page)
    }

    /// A page of what `author` has posted and reposted, as `viewer` may see it.
    ///
    /// # Errors
    ///
    /// As for [`home`](Self::home).
    pub async fn author(
        &self,
        viewer: UserId,
        author: UserId,
        request: PageRequest,
    ) -> Result<Page> {
        let name = FeedName::Author(author);
        let place = request.seek_in(name, viewer)?;
        let circle = self.circle(viewer).await?;
        let mut reader = self.reader(&circle, name, Sources::Author(author));
        reader.page(place, request.size).await
    }

    /// A page of what the members of one of `viewer`'s lists have posted and reposted, whether or not
    /// the viewer follows them.
    ///
    /// # Errors
    ///
    /// As for [`home`](Self::home).
    pub async fn list(&self, viewer: UserId, list: ListId, request: PageRequest) -> Result<Page> {
        let name = FeedName::List(list);
        let place = request.seek_in(name, viewer)?;
        let circle = self.circle(viewer).await?;
        let members = self.parts.graph.list(viewer, list).await?;
        let mut reader = self.reader(&circle, name, Sources::List(&members));
        reader.page(place, request.size).await
    }

    /// Moves the viewer's marker forward to `post`; it never moves back. Answers where it stands.
    ///
    /// # Errors
    ///
    /// Fails if an engine does.
    pub async fn mark_read(&self, viewer: UserId, post: PostId) -> Result<PostId> {
        self.parts.activity.mark_read(viewer, post).await
    }

    /// How many entries of the home feed are newer than the viewer's marker and not the viewer's own,
    /// among the newest `most`.
    ///
    /// # Errors
    ///
    /// Fails if an engine does.
    pub async fn unread(&self, viewer: UserId, most: PageSize) -> Result<usize> {
        let marker = self.parts.activity.marker(viewer).await?;
        let circle = self.circle(viewer).await?;
        let mut reader = self.home_reader(&circle, FeedName::Home);
        let newest = reader.page(Seek::Newest, most).await?;
        let unread = newest
            .entries
            .iter()
            .take_while(|entry| entry.post > marker)
            .filter(|entry| entry.author != viewer);
        Ok(unread.count())
    }

    /// What a read of a home feed begins with.
    pub(crate) async fn visit(&self, viewer: UserId) -> Result<Arc<Circle>> {
        let now = self.parts.clock.now();
        let viewers = [viewer];
        let visit = self.parts.activity.note(Habit::Visit, &viewers, now);
        let (noted, circle) = join!(visit, self.circle(viewer));
        // Who is not known to be here is served without a timeline, and sees the same.
        telemetry::tolerate(noted, "visit not noted");
        circle
    }

    /// What a read of a home feed ends with: if the timeline was cold, the next finds it warm. One
    /// that is being built may be so for ever, if its builder has died.
    pub(crate) async fn prepare(&self, viewer: UserId, found: Option<TimelineState>) {
        if !self.parts.policy.ever_pushes() {
            return;
        }
        if let Some(TimelineState::Cold | TimelineState::Building) = found {
            telemetry::tolerate(self.build(viewer).await, "timeline not built");
        }
    }

    /// Builds a cold timeline and answers whether it is warm now; not, if another call builds it or
    /// has turned it cold again.
    pub(crate) async fn build(&self, viewer: UserId) -> Result<bool> {
        let parts = &self.parts;
        let now = parts.clock.now();
        let stale = now.saturating_sub(parts.options.build_timeout);
        let ticket = match parts.timelines.begin_build(viewer, now, stale).await? {
            BuildStart::Started(ticket) => ticket,
            BuildStart::Underway => return Ok(false),
            BuildStart::Warm => return Ok(true),
        };
        // Read after the build has begun: an author followed from now on counts on pushes.
        let circle = self.circle(viewer).await?;
        let wanted = parts.options.build;
        let entries = parts
            .outbox
            .latest(circle.sources(), Seek::Newest, wanted)
            .await?;
        let floor = match entries.last() {
            Some(last) if entries.len() == wanted => last.post,
            _ => PostId::MIN,
        };
        let committed = parts
            .timelines
            .commit_build(ticket, &entries, floor)
            .await?;
        if committed {
            telemetry::built(entries.len());
        }
        Ok(committed)
    }

    /// Reads the home feed from outboxes alone, whatever is in timelines.
    pub(crate) fn outbox_reader<'a>(&'a self, circle: &'a Circle) -> Reader<'a> {
        self.reader(circle, FeedName::Home, Sources::Home(None))
    }

    pub(crate) fn home_reader<'a>(&'a self, circle: &'a Circle, name: FeedName) -> Reader<'a> {
        self.reader(circle, name, Sources::Home(Some(&*self.parts.timelines)))
    }

    fn reader<'a>(
        &'a self,
        circle: &'a Circle,
        name: FeedName,
        sources: Sources<'a>,
    ) -> Reader<'a> {
        let parts = &self.parts;
        Reader::new(&*parts.outbox, &parts.options, circle, name, sources)
    }
}

impl PageRequest {
    fn seek_in(&self, feed: FeedName, viewer: UserId) -> Result<Seek> {
        match &self.cursor {
            None => Ok(Seek::Newest),
            Some(cursor) => cursor.seek_in(feed, viewer),
        }
    }
}
