//! One post: publishing it to `/v1/me/feed`, and `/v1/posts/{id}`.

use axum::{
    Json as Answer,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use feed_core::{Entry, IdempotencyKey, NewPost, Post, PostId, Published, UserId};
use serde::{Deserialize, Serialize};

use crate::{
    Api, Content, Problem, Reason,
    content::Parent,
    extract::{Actor, ClientKey, Json, PathPost, Viewer},
    item::PostView,
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
    api.receipt(viewer, published).await
}

pub(crate) async fn read(
    State(api): State<Api>,
    Viewer(viewer): Viewer,
    PathPost(post): PathPost,
) -> Result<Answer<PostView>, Problem> {
    let original = api.visible(viewer, post).await?;
    let item = api.item(viewer, original).await?;
    let item = item.ok_or(Problem::new(Reason::UnknownPost))?;
    Ok(Answer(item.post))
}

#[derive(Deserialize)]
pub(crate) struct Revision {
    body: String,
}

pub(crate) async fn edit(
    State(api): State<Api>,
    Actor(viewer): Actor,
    PathPost(post): PathPost,
    Json(revision): Json<Revision>,
) -> Result<Answer<PostView>, Problem> {
    let unknown = || Problem::new(Reason::UnknownPost);
    let earlier = api.own(viewer, post).await?;
    if earlier.entry.is_repost() {
        return Err(unknown());
    }
    // What a post answers never changes, so that nothing is lost between this read and the write.
    let parent = Content::of(&earlier).ok_or_else(unknown)?.reply_to;
    let body = Content::new(revision.body, parent)?.to_bytes()?;
    api.feed().edit(viewer, post, body).await?;
    let item = api.item(viewer, earlier.entry).await?;
    Ok(Answer(item.ok_or_else(unknown)?.post))
}

pub(crate) async fn delete(
    State(api): State<Api>,
    Actor(viewer): Actor,
    PathPost(post): PathPost,
) -> Result<StatusCode, Problem> {
    api.own(viewer, post).await?;
    api.feed().delete(viewer, post).await?;
    Ok(StatusCode::NO_CONTENT)
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
        if let Some(post) = posts.pop().flatten()
            && let Some(content) = Content::of(&post)
        {
            // Nobody knows any more with what text an edited post began.
            if post.version == 1 && content.body != draft.body {
                return Err(Problem::new(Reason::ReusedKey));
            }
            let again = NewPost::new(post.body).with_key(key.clone());
            let published = self.feed().publish(viewer, again).await?;
            return self.receipt(viewer, published).await;
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
        let item = match self.feed().original(id).await? {
            Some(original) => self.item(viewer, original).await?,
            None => None,
        };
        let post = item.map(|item| item.post);
        let mut response = (status, Answer(Receipt { id, post })).into_response();
        if let Ok(location) = HeaderValue::try_from(format!("/v1/posts/{id}")) {
            response.headers_mut().insert(header::LOCATION, location);
        }
        Ok(response)
    }

    /// A post of the viewer's own.
    async fn own(&self, viewer: UserId, post: PostId) -> Result<Post, Problem> {
        let mut posts = self.feed().parts().outbox.posts(&[post]).await?;
        let own = posts.pop().flatten();
        let own = own.ok_or(Problem::new(Reason::UnknownPost))?;
        if own.entry.author != viewer {
            // Of what is hidden from the viewer not even whose it is.
            self.visible(viewer, post).await?;
            return Err(Problem::new(Reason::NotAuthor));
        }
        Ok(own)
    }

    /// The original that `post` shows, or a problem.
    pub(crate) async fn original(&self, post: PostId) -> Result<Entry, Problem> {
        let original = self.feed().original(post).await?;
        original.ok_or(Problem::new(Reason::UnknownPost))
    }

    /// The original that `post` shows, if it is there and the viewer may see it.
    pub(crate) async fn seen(
        &self,
        viewer: UserId,
        post: PostId,
    ) -> Result<Option<Entry>, Problem> {
        let visible = self.feed().visible(viewer, &[post]).await?;
        Ok(visible.into_iter().next().flatten())
    }

    /// The same, or a problem.
    pub(crate) async fn visible(&self, viewer: UserId, post: PostId) -> Result<Entry, Problem> {
        let original = self.seen(viewer, post).await?;
        original.ok_or(Problem::new(Reason::UnknownPost))
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
