//! What handlers take out of a request, and the problems of requests that do not have it.

use std::{pin::pin, time::Duration};

use axum::{
    extract::{
        FromRequest, FromRequestParts, OptionalFromRequestParts, Path, Query, Request,
        rejection::JsonRejection,
    },
    http::{HeaderMap, header, request::Parts},
};
use feed_core::{Cursor, IdempotencyKey, PageRequest, PageSize, PostId, UserId};
use futures::future::{Either, select};
use serde::{Deserialize, de::DeserializeOwned};

use crate::{Account, Api, Name, Problem, Reason};

/// The user who has signed in: the account that the bearer token names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Viewer(pub(crate) UserId);

impl FromRequestParts<Api> for Viewer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let token = bearer(&parts.headers).ok_or(Problem::new(Reason::Unauthenticated))?;
        let verified = api.accounts().token_key().verify(token, api.now());
        verified
            .map(Self)
            .map_err(|error| Problem::new(Reason::Unauthenticated).with_detail(error.to_string()))
    }
}

/// The same, who is about to change something: one more of what their account may do for now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Actor(pub(crate) UserId);

impl FromRequestParts<Api> for Actor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let Viewer(viewer) = Viewer::from_request_parts(parts, api).await?;
        api.admit(viewer).await?;
        Ok(Self(viewer))
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?
        .split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim_start())
}

/// The account that the path names.
#[derive(Clone, Debug)]
pub(crate) struct PathUser(pub(crate) Account);

impl FromRequestParts<Api> for PathUser {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let unknown = || Problem::new(Reason::UnknownUser);
        let text: String = in_path(parts, api).await.ok_or_else(unknown)?;
        let name: Name = text.parse().map_err(|_| unknown())?;
        api.accounts()
            .find(&name)
            .await?
            .map(Self)
            .ok_or_else(unknown)
    }
}

/// The post that the path names; it may not exist.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PathPost(pub(crate) PostId);

impl FromRequestParts<Api> for PathPost {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let post = in_path(parts, api).await;
        post.map(Self).ok_or(Problem::new(Reason::UnknownPost))
    }
}

/// What the path has in its one variable place, if that parses.
async fn in_path<T: DeserializeOwned + Send>(parts: &mut Parts, api: &Api) -> Option<T> {
    let path = <Path<T> as FromRequestParts<Api>>::from_request_parts(parts, api).await;
    path.ok().map(|Path(part)| part)
}

/// The part of a feed that the query asks for.
#[derive(Clone, Debug)]
pub(crate) struct Paging(pub(crate) PageRequest);

#[derive(Deserialize)]
struct PagingQuery {
    cursor: Option<String>,
    limit: Option<usize>,
}

impl FromRequestParts<Api> for Paging {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, Problem> {
        let query = Query::<PagingQuery>::try_from_uri(&parts.uri);
        let Query(PagingQuery { cursor, limit }) = query.map_err(|rejection| {
            Problem::new(Reason::MalformedQuery).with_detail(rejection.body_text())
        })?;
        let mut request = PageRequest::newest();
        if let Some(text) = cursor {
            request.cursor = Some(text.parse::<Cursor>()?);
        }
        if let Some(items) = limit {
            request.size = PageSize::new(items)?;
        }
        Ok(Self(request))
    }
}

/// The `Idempotency-Key` header.
#[derive(Clone, Debug)]
pub(crate) struct ClientKey(pub(crate) IdempotencyKey);

impl OptionalFromRequestParts<Api> for ClientKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Option<Self>, Problem> {
        let Some(value) = parts.headers.get("idempotency-key") else {
            return Ok(None);
        };
        let key = value.to_str().ok().and_then(|text| text.parse().ok());
        match key {
            Some(key) => Ok(Some(Self(key))),
            None => Err(Problem::new(Reason::IdempotencyKey)),
        }
    }
}

/// How long a body may take to come.
const PATIENCE: Duration = Duration::from_secs(5);

/// A JSON body.
#[derive(Clone, Debug)]
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Api> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Problem> {
        let body = pin!(axum::Json::from_request(request, api));
        let late = api.feed().parts().clock.sleep(PATIENCE);
        match select(body, late).await {
            Either::Left((body, _)) => body.map(|axum::Json(body)| Self(body)).map_err(refused),
            Either::Right(_) => Err(Problem::new(Reason::SlowBody)),
        }
    }
}

fn refused(rejection: JsonRejection) -> Problem {
    let detail = rejection.body_text();
    let reason = match rejection {
        JsonRejection::MissingJsonContentType(_) => Reason::UnsupportedMediaType,
        JsonRejection::JsonDataError(_) => Reason::InvalidBody,
        JsonRejection::BytesRejection(inner) if inner.status() == 413 => Reason::OversizedBody,
        _ => Reason::MalformedBody,
    };
    Problem::new(reason).with_detail(detail)
}
