//! `/v1/me/feed` and `/v1/users/{name}/feed`: pages of posts, and how far the viewer has read.

use axum::{Json as Answer, extract::State};
use feed_core::{Cursor, Page, PageSize, PostId, UserId};
use serde::{Deserialize, Serialize};

use crate::{
    Api, Problem,
    extract::{Json, Paging, PathUser, Viewer},
    item::Item,
};

#[derive(Serialize)]
pub(crate) struct FeedPage {
    items: Vec<Item>,
    /// Goes on to older items; `null` at the end.
    next: Option<Cursor>,
    /// Goes on to newer items.
    prev: Option<Cursor>,
}

pub(crate) async fn home(
    State(api): State<Api>,
    Viewer(viewer): Viewer,
    Paging(request): Paging,
) -> Result<Answer<FeedPage>, Problem> {
    let page = api.feed().home(viewer, request).await?;
    api.page(viewer, page).await.map(Answer)
}

pub(crate) async fn author(
    State(api): State<Api>,
    Viewer(viewer): Viewer,
    PathUser(author): PathUser,
    Paging(request): Paging,
) -> Result<Answer<FeedPage>, Problem> {
    let page = api.feed().author(viewer, author.id, request).await?;
    api.page(viewer, page).await.map(Answer)
}

#[derive(Serialize)]
pub(crate) struct Unread {
    /// Up to 200.
    unread: usize,
}

pub(crate) async fn unread(
    State(api): State<Api>,
    Viewer(viewer): Viewer,
) -> Result<Answer<Unread>, Problem> {
    let most = PageSize::new(PageSize::MAX.into())?;
    let unread = api.feed().unread(viewer, most).await?;
    Ok(Answer(Unread { unread }))
}

#[derive(Deserialize, Serialize)]
pub(crate) struct Marker {
    post: PostId,
}

pub(crate) async fn mark(
    State(api): State<Api>,
    Viewer(viewer): Viewer,
    Json(marker): Json<Marker>,
) -> Result<Answer<Marker>, Problem> {
    let post = api.feed().mark_read(viewer, marker.post).await?;
    Ok(Answer(Marker { post }))
}

impl Api {
    pub(crate) async fn page(&self, viewer: UserId, page: Page) -> Result<FeedPage, Problem> {
        let Page {
            entries,
            next,
            prev,
            ..
        } = page;
        let items = self.items(viewer, &entries).await?;
        Ok(FeedPage { items, next, prev })
    }
}
