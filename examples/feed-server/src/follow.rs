//! `/v1/me/following`, `/v1/me/muted` and `/v1/me/blocked`.

use axum::{Json as Answer, extract::State};
use serde::Serialize;

use crate::{
    Account, Api, Problem,
    extract::{Actor, PathUser, Viewer},
    user::Profile,
};

/// How many of the people that a viewer follows are listed.
const LISTED: usize = 200;

#[derive(Serialize)]
pub(crate) struct Following {
    /// Up to 200 of them, the oldest accounts first.
    users: Vec<Account>,
    /// How many there are.
    total: usize,
}

pub(crate) async fn list(
    State(api): State<Api>,
    Viewer(viewer): Viewer,
) -> Result<Answer<Following>, Problem> {
    let circle = api.feed().circle(viewer).await?;
    let total = circle.followees().count();
    let followees: Vec<_> = circle.followees().take(LISTED).collect();
    let users = api.accounts().of(&followees).await?.into_iter().flatten();
    Ok(Answer(Following {
        users: users.collect(),
        total,
    }))
}

pub(crate) async fn follow(
    State(api): State<Api>,
    Actor(viewer): Actor,
    PathUser(author): PathUser,
) -> Result<Answer<Profile>, Problem> {
    api.feed().follow(viewer, author.id).await?;
    api.profile(viewer, author).await.map(Answer)
}

pub(crate) async fn unfollow(
    State(api): State<Api>,
    Actor(viewer): Actor,
    PathUser(author): PathUser,
) -> Result<Answer<Profile>, Problem> {
    api.feed().unfollow(viewer, author.id).await?;
    api.profile(viewer, author).await.map(Answer)
}

pub(crate) async fn mute(
    State(api): State<Api>,
    Actor(viewer): Actor,
    PathUser(other): PathUser,
) -> Result<Answer<Profile>, Problem> {
    api.feed().mute(viewer, other.id).await?;
    api.profile(viewer, other).await.map(Answer)
}

pub(crate) async fn unmute(
    State(api): State<Api>,
    Actor(viewer): Actor,
    PathUser(other): PathUser,
) -> Result<Answer<Profile>, Problem> {
    api.feed().unmute(viewer, other.id).await?;
    api.profile(viewer, other).await.map(Answer)
}

pub(crate) async fn block(
    State(api): State<Api>,
    Actor(viewer): Actor,
    PathUser(other): PathUser,
) -> Result<Answer<Profile>, Problem> {
    api.feed().block(viewer, other.id).await?;
    api.profile(viewer, other).await.map(Answer)
}

pub(crate) async fn unblock(
    State(api): State<Api>,
    Actor(viewer): Actor,
    PathUser(other): PathUser,
) -> Result<Answer<Profile>, Problem> {
    api.feed().unblock(viewer, other.id).await?;
    api.profile(viewer, other).await.map(Answer)
}
