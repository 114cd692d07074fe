//! `/v1/me` and `/v1/users/{name}`.

use axum::{Json as Answer, extract::State};
use feed_core::UserId;
use serde::Serialize;

use crate::{
    Account, Api, Problem, Reason,
    extract::{PathUser, Viewer},
};

/// A user, as one viewer sees them.
#[derive(Serialize)]
pub(crate) struct Profile {
    #[serde(flatten)]
    account: Account,
    followers: u64,
    following: u64,
    /// Whether the viewer follows them.
    followed: bool,
    /// Whether the viewer mutes them.
    muted: bool,
    /// Whether one of the two blocks the other.
    blocked: bool,
}

pub(crate) async fn me(
    State(api): State<Api>,
    Viewer(viewer): Viewer,
) -> Result<Answer<Profile>, Problem> {
    let account = api.accounts().of(&[viewer]).await?.pop().flatten();
    let account = account.ok_or(Problem::new(Reason::UnknownUser))?;
    api.profile(viewer, account).await.map(Answer)
}

pub(crate) async fn read(
    State(api): State<Api>,
    Viewer(viewer): Viewer,
    PathUser(user): PathUser,
) -> Result<Answer<Profile>, Problem> {
    api.profile(viewer, user).await.map(Answer)
}

impl Api {
    pub(crate) async fn profile(
        &self,
        viewer: UserId,
        account: Account,
    ) -> Result<Profile, Problem> {
        let degree = self.feed().degree(account.id).await?;
        let circle = self.feed().circle(viewer).await?;
        Ok(Profile {
            followers: degree.followers,
            following: degree.followees,
            followed: circle.follows(account.id),
            muted: circle.mutes(account.id),
            blocked: circle.blocks(account.id),
            account,
        })
    }
}
