//! The pages of a feed.

mod build;
pub(crate) mod filter;
mod marker;
mod pager;
mod rank;
mod scan;

use std::sync::Arc;

use futures::join;

pub use self::rank::Ranker;
use self::{pager::Pager, scan::Sources};
use crate::{
    Circle, Feed, Habit, ListId, Page, PageRequest, Result, Seek, UserId, cursor::FeedName,
    telemetry,
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
    /// Dropping the future may leave a build unfinished, which a read takes up again after
    /// [`FeedOptions::build_timeout`](crate::FeedOptions::build_timeout).
    pub async fn home(&self, viewer: UserId, request: PageRequest) -> Result<Page> {
        let place = request.seek_in(FeedName::Home, viewer)?;
        let circle = match place {
            Seek::Newest | Seek::After(_) => self.visit(viewer).await?,
            Seek::Before(_) => self.circle(viewer).await?,
        };
        let mut pager = self.home_pager(&circle, FeedName::Home);
        let page = pager.page(place, request.size).await?;
        self.prepare(viewer, pager.timeline()).await;
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
        let mut pager = self.pager(&circle, name, Sources::Author(author));
        pager.page(place, request.size).await
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
        let mut pager = self.pager(&circle, name, Sources::List(&members));
        pager.page(place, request.size).await
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

    /// Reads the home feed from outboxes alone, whatever is in timelines.
    pub(crate) fn outbox_pager<'a>(&'a self, circle: &'a Circle) -> Pager<'a> {
        self.pager(circle, FeedName::Home, Sources::Home(None))
    }

    pub(crate) fn home_pager<'a>(&'a self, circle: &'a Circle, name: FeedName) -> Pager<'a> {
        self.pager(circle, name, Sources::Home(Some(&*self.parts.timelines)))
    }

    fn pager<'a>(&'a self, circle: &'a Circle, name: FeedName, sources: Sources<'a>) -> Pager<'a> {
        let parts = &self.parts;
        Pager::new(&*parts.outbox, &parts.options, circle, name, sources)
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
