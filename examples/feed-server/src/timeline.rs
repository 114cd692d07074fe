//! `/v1/me/feed` and `/v1/users/{name}/feed`: publishing and reading.

use axum::{
    Json as Answer,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use feed_core::{Cursor, IdempotencyKey, NewPost, Page, PageSize, PostId, Published, UserId};
use serde::{Deserialize, Serialize};

use crate::{
    Api, Content, Problem, Reason,
    content::Parent,
    extract::{ClientKey, Json, Named, Paging, Viewer},
    item::{Item, PostView},
};

#[derive(Deserialize)]
pub(crate) struct Draft {
    body: String,
    reply_to: Option<PostId>,
}

/// The answer to a publication.
#[derive(Serialize)]
struct Receipt {
    id: PostId,
    /// `null` if the earlier publication under this key is not there any more.
    post: Option<PostView>,
}

#[derive(Serialize)]
pub(crate) struct FeedPage {
    items: Vec<Item>,
    /// Goes on to older items; `null` at the end.
    next: Option<Cursor>,
    /// Goes on to newer items.
    prev: Option<Cursor>,
}

pub(crate) async fn publish(
    State(api): State<Api>,
    Viewer(viewer): Viewer,
    key: Option<ClientKey>,
    Json(draft): Json<Draft>,
) -> Result<Response, Problem> {
    let key = key.map(|ClientKey(key)| key);
    if let Some(key) = &key
        && let Some(first) = api.feed().parts().outbox.published(viewer, key).await?
    {
        return api.retry(viewer, key, first, &draft).await;
    }
    let parent = match draft.reply_to {
        Some(post) => Some(api.parent(viewer, post).await?),
        None => None,
    };
    let body = Content::new(draft.body, parent)?.to_bytes()?;
    let mut post = NewPost::new(body);
    post.key = key;
    post.reply_to = parent.map(|parent| parent.post);
    let published = api.feed().publish(viewer, post).await?;
    if let Some(parent) = parent {
        api.announce(parent.post);
    }
    api.receipt(viewer, published).await
}

pub(crate) async fn home(
    State(api): State<Api>,
    Viewer(viewer): Viewer,
    Paging(request): Paging,
) -> Result<Answer<FeedPage>, Problem> {
    let page = api.feed().home(viewer, &request).await?;
    api.page(viewer, page).await.map(Answer)
}

pub(crate) async fn author(
    State(api): State<Api>,
    Viewer(viewer): Viewer,
    Named(author): Named,
    Paging(request): Paging,
) -> Result<Answer<FeedPage>, Problem> {
    let page = api.feed().author(viewer, author.id, &request).await?;
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
    /// Answers a draft under a key that has published `first`. What that answers may be out of reach
    /// by now, and what was cut short behind the publication itself is done now.
    async fn retry(
        &self,
        viewer: UserId,
        key: &IdempotencyKey,
        first: PostId,
        draft: &Draft,
    ) -> Result<Response, Problem> {
        let mut posts = self.feed().parts().outbox.posts(&[first]).await?;
        if let Some(post) = posts.pop().flatten() {
            let content = Content::from_bytes(&post.body)?;
            // Nobody knows any more with what text an edited post began.
            if post.version == 1 && content.body != draft.body {
                return Err(Problem::new(Reason::ReusedKey));
            }
            let mut again = NewPost::new(post.body).with_key(key.clone());
            again.reply_to = content.reply_to.map(|parent| parent.post);
            self.feed().publish(viewer, again).await?;
            if let Some(parent) = content.reply_to {
                self.announce(parent.post);
            }
        }
        self.receipt(viewer, Published::Duplicate(first)).await
    }

    /// What a publication is answered with. A retry under a known key is as good as the first.
    pub(crate) async fn receipt(
        &self,
        viewer: UserId,
        published: Published,
    ) -> Result<Response, Problem> {
        let (id, status) = match published {
            Published::Accepted(id) => (id, StatusCode::CREATED),
            Published::Duplicate(id) => (id, StatusCode::OK),
            refused => return Err(refusal(refused)),
        };
        let item = match self.entry(id).await? {
            Some(entry) => self.item(viewer, entry).await?,
            None => None,
        };
        let post = item.map(|item| item.post);
        let mut response = (status, Answer(Receipt { id, post })).into_response();
        if let Ok(location) = HeaderValue::try_from(format!("/v1/posts/{id}")) {
            response.headers_mut().insert(header::LOCATION, location);
        }
        Ok(response)
    }

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

    /// The post that a reply to `post` answers: the original, if that is a repost.
    async fn parent(&self, viewer: UserId, post: PostId) -> Result<Parent, Problem> {
        let original = self.visible(viewer, post).await?;
        Ok(Parent {
            post: original.post,
            author: original.author,
        })
    }
}

fn refusal(published: Published) -> Problem {
    match published {
        Published::RateLimited { retry_after } => {
            Problem::new(Reason::RateLimited).with_retry_after(retry_after)
        }
        Published::Busy { retry_after } => Problem::new(Reason::Busy).with_retry_after(retry_after),
        _ => Problem::new(Reason::Internal),
    }
}
