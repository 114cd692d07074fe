//! Feeds in an order that the application chooses.

mod snapshot;

use std::{cmp::Ordering, fmt};

use async_trait::async_trait;

use self::snapshot::Snapshot;
use crate::{
    Cursor, Entry, Error, ErrorKind, Feed, Page, PageRequest, PageSize, PageSource, Result, Seek,
    UserId,
    cursor::{FeedName, Place},
    read::filter::{Candidate, Filter, Scope},
    telemetry,
};

/// Says how much a viewer wants to see each of some entries.
///
/// # Cancel safety
///
/// Dropping the future must leave nothing behind.
#[async_trait]
pub trait Ranker: fmt::Debug + Send + Sync {
    /// A score for each candidate, in their order. Higher comes first, equal ones newest first, and
    /// what has no number as its score comes last.
    ///
    /// Candidates come newest first, and are all shown on some page whatever their score: a ranker
    /// orders, it does not filter.
    ///
    /// # Errors
    ///
    /// A failure fails the read, and nothing is kept of it.
    async fn score(&self, viewer: UserId, candidates: &[Entry]) -> Result<Vec<f64>>;
}

impl Feed {
    /// A page of the viewer's home feed, its newest entries in the order of their scores.
    ///
    /// The first page takes the newest [`rank_window`](crate::FeedOptions::rank_window) entries, has
    /// them ranked once, and freezes their order for
    /// [`rank_ttl`](crate::FeedOptions::rank_ttl): the pages after it neither repeat nor skip an
    /// entry, however scores change and posts come. What the viewer may not see any more is left out
    /// of them. After the last ranked entry the feed goes on with what is older, newest first. No
    /// page has a [`prev`](Page::prev): for newer posts, start again.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::ExpiredCursor`] if the order is no longer kept, or could not be, [`ErrorKind::ForeignCursor`] for
    /// a cursor of another feed or viewer, and [`ErrorKind::Invalid`] if the ranker answers with more
    /// or fewer scores than there are candidates; otherwise fails if an engine or the ranker does.
    pub async fn ranked(
        &self,
        viewer: UserId,
        ranker: &dyn Ranker,
        request: PageRequest,
    ) -> Result<Page> {
        let place = match request.cursor {
            Some(cursor) => cursor.place_in(FeedName::Ranked, viewer)?,
            None => Place::Post(Seek::Newest),
        };
        match place {
            Place::Post(Seek::Newest) => self.rank(viewer, ranker, request.size).await,
            Place::Post(older) => self.unranked(viewer, older, request.size).await,
            Place::Ranked { snapshot, index } => {
                let snapshot = self.thaw(viewer, snapshot).await?;
                self.ranked_page(viewer, &snapshot, index, request.size)
                    .await
            }
        }
    }

    /// The first page: ranks the window, and freezes it if it is longer than the page.
    async fn rank(&self, viewer: UserId, ranker: &dyn Ranker, size: PageSize) -> Result<Page> {
        let circle = self.visit(viewer).await?;
        let mut pager = self.home_pager(&circle, FeedName::Ranked);
        let window = self.parts.options.rank_window.max(size.get());
        let (entries, older) = pager.newest(window).await?;
        self.prepare(viewer, pager.timeline()).await;
        let scores = ranker.score(viewer, &entries).await?;
        if scores.len() != entries.len() {
            return Err(Error::bare(ErrorKind::Invalid, "rank"));
        }
        let mut scored: Vec<_> = entries.into_iter().zip(scores).collect();
        // Stable, so that equal ones stay newest first.
        scored.sort_by(|(_, a), (_, b)| better_first(*a, *b));
        let ranked = scored.into_iter().map(|(entry, _)| entry).collect();
        let snapshot = Snapshot::new(viewer, ranked, older);
        if snapshot.entries().len() > size.get() {
            telemetry::tolerate(self.freeze(&snapshot).await, "ranked order not kept");
        }
        self.ranked_page(viewer, &snapshot, 0, size).await
    }

    /// A page out of a frozen order, from `index` on.
    async fn ranked_page(
        &self,
        viewer: UserId,
        snapshot: &Snapshot,
        index: u32,
        size: PageSize,
    ) -> Result<Page> {
        let circle = self.circle(viewer).await?;
        let filter = Filter::new(&*self.parts.outbox, &circle, Scope::Home);
        let mut at = usize::try_from(index).unwrap_or(usize::MAX);
        let mut entries = Vec::with_capacity(size.get());
        while entries.len() < size.get() && at < snapshot.entries().len() {
            let rest = &snapshot.entries()[at..];
            let wanted = rest.len().min(size.get() - entries.len());
            let chunk = rest[..wanted].iter().copied().map(Candidate::kept);
            filter.keep(chunk.collect(), &mut entries).await?;
            at += wanted;
        }
        let place = match u32::try_from(at) {
            Ok(index) if at < snapshot.entries().len() => Some(Place::Ranked {
                snapshot: snapshot.id(),
                index,
            }),
            _ => snapshot.older().map(Place::Post),
        };
        telemetry::read(PageSource::Snapshot);
        Ok(Page {
            entries,
            next: place.map(|place| Cursor::new(FeedName::Ranked, viewer, place)),
            prev: None,
            source: PageSource::Snapshot,
        })
    }

    /// A page of what is older than the ranked window.
    async fn unranked(&self, viewer: UserId, place: Seek, size: PageSize) -> Result<Page> {
        let circle = self.circle(viewer).await?;
        let mut pager = self.home_pager(&circle, FeedName::Ranked);
        let mut page = pager.page(place, size).await?;
        page.prev = None;
        Ok(page)
    }
}

fn better_first(a: f64, b: f64) -> Ordering {
    match (a.is_nan(), b.is_nan()) {
        // By value, for which the two zeros are one.
        (false, false) => b.partial_cmp(&a).unwrap_or(Ordering::Equal),
        (a, b) => a.cmp(&b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_zeros_are_one_score() {
        assert_eq!(better_first(0.0, -0.0), Ordering::Equal);
        assert_eq!(better_first(-0.0, 0.0), Ordering::Equal);
    }

    #[test]
    fn what_has_no_score_comes_last() {
        let mut scores = [f64::NAN, 1.0, f64::NEG_INFINITY, 2.0];
        scores.sort_by(|a, b| better_first(*a, *b));
        assert_eq!(scores[..3], [2.0, 1.0, f64::NEG_INFINITY]);
        assert!(scores[3].is_nan());
    }
}
