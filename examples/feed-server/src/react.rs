//! `/v1/posts/{id}/like` and `/v1/posts/{id}/repost`.

use axum::{Json as Answer, extract::State, response::Response};
use feed_core::{PostId, UserId};

use crate::{
    Api, Problem, Reason,
    extract::{Actor, PathPost},
    item::Reactions,
};

pub(crate) async fn like(
    State(api): State<Api>,
    Actor(viewer): Actor,
    PathPost(post): PathPost,
) -> Result<Answer<Reactions>, Problem> {
    let post = api.original(post).await?.post;
    api.feed().like(viewer, post).await?;
    api.reactions_to(viewer, post).await.map(Answer)
}

pub(crate) async fn unlike(
    State(api): State<Api>,
    Actor(viewer): Actor,
    PathPost(post): PathPost,
) -> Result<Answer<Reactions>, Problem> {
    let Some(original) = api.feed().original(post).await? else {
        return Ok(Answer(Reactions::default()));
    };
    api.feed().unlike(viewer, original.post).await?;
    api.reactions_left(viewer, original.post).await.map(Answer)
}

pub(crate) async fn repost(
    State(api): State<Api>,
    Actor(viewer): Actor,
    PathPost(post): PathPost,
) -> Result<Response, Problem> {
    let post = api.original(post).await?.post;
    let published = api.feed().repost(viewer, post).await?;
    api.receipt(viewer, published).await
}

pub(crate) async fn unrepost(
    State(api): State<Api>,
    Actor(viewer): Actor,
    PathPost(post): PathPost,
) -> Result<Answer<Reactions>, Problem> {
    let Some(original) = api.feed().original(post).await? else {
        return Ok(Answer(Reactions::default()));
    };
    api.feed().unrepost(viewer, original.post).await?;
    api.reactions_left(viewer, original.post).await.map(Answer)
}

impl Api {
    /// What a viewer is told of a post after taking something back. What was done to a post goes with
    /// it, so that there is nothing to take back of one that is gone; and one that is hidden from the
    /// viewer by now looks like that.
    async fn reactions_left(&self, viewer: UserId, post: PostId) -> Result<Reactions, Problem> {
        match self.seen(viewer, post).await? {
            Some(original) => self.reactions_to(viewer, original.post).await,
            None => Ok(Reactions::default()),
        }
    }

    async fn reactions_to(&self, viewer: UserId, post: PostId) -> Result<Reactions, Problem> {
        let reactions = self.reactions(viewer, &[post]).await?.pop();
        reactions.ok_or(Problem::new(Reason::UnknownPost))
    }
}
