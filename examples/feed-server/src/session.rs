//! `/v1/session`: where a real application has its log-in.

use axum::{Json as Answer, extract::State};
use serde::{Deserialize, Serialize};

use crate::{Account, Api, Name, Problem, Reason, Token, extract::Json};

#[derive(Deserialize)]
pub(crate) struct Credentials {
    name: String,
}

#[derive(Serialize)]
pub(crate) struct Session {
    token: Token,
    user: Account,
}

pub(crate) async fn sign_in(
    State(api): State<Api>,
    Json(credentials): Json<Credentials>,
) -> Result<Answer<Session>, Problem> {
    let name = credentials.name.trim().parse::<Name>();
    let name = name.map_err(|_| Problem::new(Reason::InvalidName))?;
    let user = api.accounts().sign_in(&name).await?;
    let token = api.accounts().token_key().issue(user.id, api.now());
    Ok(Answer(Session { token, user }))
}
