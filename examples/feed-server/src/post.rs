//! `/v1/posts/{id}`: one post.

use axum::{Json as Answer, extract::State, http::StatusCode};
use feed_core::{Entry, Post, PostId, UserId};
use serde::Deserialize;

use crate::{
    Api, Content, Problem, Reason,
    extract::{Json, PathPost, Viewer},
    item::PostView,
};

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
    Viewer(viewer): Viewer,
    PathPost(post): PathPost,
    Json(revision): Json<Revision>,
) -> Result<Answer<PostView>, Problem> {
    let unknown = || Problem::new(Reason::UnknownPost);
    let earlier = api.own(viewer, post).await?;
    if earlier.entry.is_repost() {
        return Err(unknown());
    }
    // What a post answers never changes, so that nothing is lost between this read and the write.
    let parent = Content::from_bytes(&earlier.body)?.reply_to;
    let body = Content::new(revision.body, parent)?.to_bytes()?;
    api.feed().edit(viewer, post, body).await?;
    let item = api.item(viewer, earlier.entry).await?;
    Ok(Answer(item.ok_or_else(unknown)?.post))
}

pub(crate) async fn delete(
    State(api): State<Api>,
    Viewer(viewer): Viewer,
    PathPost(post): PathPost,
) -> Result<StatusCode, Problem> {
    api.own(viewer, post).await?;
    api.feed().delete(viewer, post).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl Api {
    /// A post of the viewer's own.
    async fn own(&self, viewer: UserId, post: PostId) -> Result<Post, Problem> {
        let mut posts = self.feed().parts().outbox.posts(&[post]).await?;
        let own = posts.pop().flatten();
        let own = own.ok_or(Problem::new(Reason::UnknownPost))?;
        if own.entry.author != viewer {
            return Err(Problem::new(Reason::NotAuthor));
        }
        Ok(own)
    }

    /// The entry of a post that is there.
    pub(crate) async fn entry(&self, post: PostId) -> Result<Option<Entry>, Problem> {
        let mut states = self.feed().parts().outbox.lookup(&[post]).await?;
        Ok(states.pop().and_then(|state| state.live()))
    }

    /// The original that `post` shows, if it is there.
    pub(crate) async fn shown(&self, post: PostId) -> Result<Option<Entry>, Problem> {
        match self.entry(post).await? {
            Some(entry) if entry.is_repost() => self.entry(entry.origin).await,
            entry => Ok(entry),
        }
    }

    /// The same, or a problem.
    pub(crate) async fn original(&self, post: PostId) -> Result<Entry, Problem> {
        let original = self.shown(post).await?;
        original.ok_or(Problem::new(Reason::UnknownPost))
    }

    /// The same, of an author who does not block the viewer and is not blocked.
    pub(crate) async fn visible(&self, viewer: UserId, post: PostId) -> Result<Entry, Problem> {
        let original = self.original(post).await?;
        if self.circle(viewer).await?.blocks(original.author) {
            return Err(Problem::new(Reason::UnknownPost));
        }
        Ok(original)
    }
}
