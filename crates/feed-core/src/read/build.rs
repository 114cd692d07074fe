//! How timelines come to hold what they should: whole, when their viewer returns, and of one author, when
//! that one is followed.
//!
//! A timeline is `Cold`, then `Building`, then `Warm` ([`TimelineState`]). A reader who finds it cold
//! begins the build, so that pushes are kept from then on; reads the circle and the outboxes, in this
//! order; and commits. An author followed meanwhile is in that circle, or both pushed and pulled.

use crate::{
    BuildStart, EdgeRoute, Feed, PostId, Result, Route, RouteStamp, Seek, TimelineState, UserId,
    telemetry,
};

impl Feed {
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
        let wanted = parts.options.build_entries;
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

    /// Moves an edge from `Both` to `Push`: copies the author's newest posts into the timeline, and
    /// leaves what may be missing beyond them to be pulled.
    pub(crate) async fn backfill(
        &self,
        viewer: UserId,
        author: UserId,
        stamp: RouteStamp,
    ) -> Result<()> {
        let parts = &self.parts;
        let wanted = parts.options.backfill_posts;
        // One more than is copied tells whether anything is left out.
        let posts = parts
            .outbox
            .latest(&[author], Seek::Newest, wanted.saturating_add(1))
            .await?;
        let copied = &posts[..posts.len().min(wanted)];
        let pulled_until = match parts.timelines.merge(viewer, copied).await? {
            TimelineState::Warm { .. } => posts.get(wanted).map(|entry| entry.post),
            // The build may have read the graph before the edge was there.
            TimelineState::Building => posts.first().map(|entry| entry.post),
            // Whoever builds it will find the edge.
            TimelineState::Cold => None,
        };
        let edge = EdgeRoute {
            viewer,
            author,
            stamp,
            route: Route::Push { pulled_until },
        };
        parts.graph.reroute(&[edge]).await?;
        Ok(())
    }
}
