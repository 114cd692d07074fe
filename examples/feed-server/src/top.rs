//! `/v1/me/feed/top`: the home feed, what people react to first.

use std::sync::Arc;

use async_trait::async_trait;
use axum::{Json as Answer, extract::State};
use feed_core::{Counters, Entry, Ranker, UserId};

use crate::{
    Api, Problem,
    extract::{Paging, Viewer},
    timeline::FeedPage,
};

pub(crate) async fn read(
    State(api): State<Api>,
    Viewer(viewer): Viewer,
    Paging(request): Paging,
) -> Result<Answer<FeedPage>, Problem> {
    let counters = Arc::clone(&api.feed().parts().counters);
    let ranker = ByReactions { counters };
    let page = api.feed().ranked(viewer, &ranker, request).await?;
    api.page(viewer, page).await.map(Answer)
}

/// Ranks by how many people liked, answered and reposted: what took more effort counts more.
#[derive(Debug)]
struct ByReactions {
    counters: Arc<dyn Counters>,
}

#[async_trait]
impl Ranker for ByReactions {
    async fn score(&self, _: UserId, candidates: &[Entry]) -> feed_core::Result<Vec<f64>> {
        let origins: Vec<_> = candidates.iter().map(|entry| entry.origin).collect();
        let counts = self.counters.counts(&origins).await?;
        let scores = counts.iter().map(|counts| {
            let efforts = counts.replies.saturating_add(counts.reposts);
            let score = efforts.saturating_mul(2).saturating_add(counts.likes);
            f64::from(u32::try_from(score).unwrap_or(u32::MAX))
        });
        Ok(scores.collect())
    }
}
