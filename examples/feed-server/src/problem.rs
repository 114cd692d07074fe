use std::{error::Error as StdError, time::Duration};

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use feed_core::ErrorKind;
use serde::Serialize;

/// An error as clients see it: a problem body after RFC 9457.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    reason: Reason,
    detail: Option<String>,
    retry_after: Option<Duration>,
}

/// The kinds of problem. `type` in the body is `/problems/` and the name that
/// [`slug`](Self::slug) gives, where the server explains it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Reason {
    /// 400: the body is not JSON.
    MalformedBody,
    /// 400: the query has a parameter that does not parse.
    MalformedQuery,
    /// 400: the cursor is not one that this server has made, for this feed and viewer.
    InvalidCursor,
    /// 400: the page size is 0 or too large.
    PageSize,
    /// 400: an idempotency key has 1 to 64 characters of ASCII.
    IdempotencyKey,
    /// 401: no token, or one that is not good.
    Unauthenticated,
    /// 403: the post is somebody else's.
    NotAuthor,
    /// 403: one of the two users blocks the other.
    Blocked,
    /// 404: there is nothing at this path.
    NotFound,
    /// 404: there is no such user.
    UnknownUser,
    /// 404: there is no such post, it was deleted, or it is hidden from the viewer.
    UnknownPost,
    /// 405: the path knows other methods; see the `Allow` header.
    MethodNotAllowed,
    /// 408: the request's body took too long to come.
    SlowBody,
    /// 410: the cursor was good once. Start again from the first page.
    ExpiredCursor,
    /// 413: the request's body is too large.
    OversizedBody,
    /// 413: the text of the post is too long.
    OversizedPost,
    /// 415: the body must be `application/json`.
    UnsupportedMediaType,
    /// 422: the body is JSON of another shape.
    InvalidBody,
    /// 422: a post needs a text that is more than white space.
    EmptyPost,
    /// 422: not a name.
    InvalidName,
    /// 422: the idempotency key was used for a post with another text.
    ReusedKey,
    /// 422: nobody can follow, mute or block themselves.
    Oneself,
    /// 422: the viewer follows as many as may be.
    TooManyFollowees,
    /// 429: too many posts, or too many changes of other kinds; see the `Retry-After` header.
    RateLimited,
    /// 429: too many live connections of this viewer; see the `Retry-After` header.
    TooManyConnections,
    /// 500: a bug, or stored data that does not decode.
    Internal,
    /// 503: no room in a queue, for the moment; see the `Retry-After` header.
    Busy,
    /// 503: the store cannot be reached. Whether the request took effect is unknown.
    Unavailable,
}

/// The shape of the body.
#[derive(Serialize)]
struct Body<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
}

/// How long a client is to wait if the feed has not said.
pub(crate) const MOMENT: Duration = Duration::from_secs(1);

impl Problem {
    /// A problem of this kind.
    #[must_use]
    pub const fn new(reason: Reason) -> Self {
        Self {
            reason,
            detail: None,
            retry_after: None,
        }
    }

    /// The same with a sentence about this occurrence.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// The same with the time to wait before another attempt, in the `Retry-After` header.
    #[must_use]
    pub const fn with_retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// Which kind it is.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        self.reason
    }

    /// A bug: logged with its causes, of which the client learns nothing.
    pub(crate) fn internal(error: &(dyn StdError + 'static)) -> Self {
        tracing::error!(error, "request failed");
        Self::new(Reason::Internal)
    }
}

impl From<feed_core::Error> for Problem {
    fn from(error: feed_core::Error) -> Self {
        let reason = Reason::from(error.kind());
        match reason {
            Reason::Internal => return Self::internal(&error),
            Reason::Unavailable => tracing::warn!(error = &error as &dyn StdError, "store failed"),
            _ => {}
        }
        let problem = Self::new(reason);
        if error.is_retryable() {
            problem.with_retry_after(MOMENT)
        } else {
            problem
        }
    }
}

impl From<backplane::Error> for Problem {
    fn from(error: backplane::Error) -> Self {
        feed_core::Error::from(error).into()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let reason = self.reason;
        let status = reason.status();
        let body = Body {
            r#type: format!("/problems/{}", reason.slug()),
            title: reason.title(),
            status: status.as_u16(),
            detail: self.detail.as_deref(),
        };
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Some(wait) = self.retry_after {
            let whole = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(whole.max(1)));
        }
        if reason == Reason::Unauthenticated {
            let challenge = HeaderValue::from_static("Bearer realm=\"feed\"");
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

impl From<ErrorKind> for Reason {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Unavailable | ErrorKind::Closed => Self::Unavailable,
            ErrorKind::Full => Self::Busy,
            ErrorKind::EmptyPost => Self::EmptyPost,
            ErrorKind::OversizedPost => Self::OversizedPost,
            ErrorKind::UnknownUser => Self::UnknownUser,
            ErrorKind::UnknownPost => Self::UnknownPost,
            ErrorKind::NotAuthor => Self::NotAuthor,
            ErrorKind::Blocked => Self::Blocked,
            ErrorKind::Oneself => Self::Oneself,
            ErrorKind::TooManyFollowees => Self::TooManyFollowees,
            ErrorKind::InvalidCursor | ErrorKind::ForeignCursor => Self::InvalidCursor,
            ErrorKind::ExpiredCursor => Self::ExpiredCursor,
            ErrorKind::PageSize => Self::PageSize,
            // Handlers check what they pass on, so that any other kind is a bug.
            _ => Self::Internal,
        }
    }
}

/// Slug, status and title of each reason, in one place.
macro_rules! reasons {
    ($($reason:ident $slug:literal $status:ident $title:literal)+) => {
        impl Reason {
            /// Every reason.
            pub const ALL: &[Self] = &[$(Self::$reason),+];

            /// Its name in `type`.
            #[must_use]
            pub const fn slug(self) -> &'static str {
                match self { $(Self::$reason => $slug),+ }
            }

            /// The status of the answer.
            #[must_use]
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$reason => StatusCode::$status),+ }
            }

            /// What it means, in a sentence.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$reason => $title),+ }
            }
        }
    };
}

reasons! {
    MalformedBody "malformed-body" BAD_REQUEST "The body is not JSON."
    MalformedQuery "malformed-query" BAD_REQUEST "A query parameter does not parse."
    InvalidCursor "invalid-cursor" BAD_REQUEST "The cursor is not one of this feed and viewer."
    PageSize "page-size" BAD_REQUEST "A page holds 1 to 200 items."
    IdempotencyKey "idempotency-key" BAD_REQUEST "An idempotency key has 1 to 64 characters of ASCII."
    Unauthenticated "unauthenticated" UNAUTHORIZED "Sign in first."
    NotAuthor "not-author" FORBIDDEN "The post is somebody else's."
    Blocked "blocked" FORBIDDEN "One of the two users blocks the other."
    NotFound "not-found" NOT_FOUND "There is nothing here."
    UnknownUser "unknown-user" NOT_FOUND "There is no such user."
    UnknownPost "unknown-post" NOT_FOUND "There is no such post."
    MethodNotAllowed "method-not-allowed" METHOD_NOT_ALLOWED "The path does not know this method."
    SlowBody "slow-body" REQUEST_TIMEOUT "The request's body took too long."
    ExpiredCursor "expired-cursor" GONE "The cursor has expired; start again from the first page."
    OversizedBody "oversized-body" PAYLOAD_TOO_LARGE "The request's body is too large."
    OversizedPost "oversized-post" PAYLOAD_TOO_LARGE "The post is too long."
    UnsupportedMediaType "unsupported-media-type" UNSUPPORTED_MEDIA_TYPE "The body must be application/json."
    InvalidBody "invalid-body" UNPROCESSABLE_ENTITY "The body does not have the shape that is wanted here."
    EmptyPost "empty-post" UNPROCESSABLE_ENTITY "A post needs a text."
    InvalidName "invalid-name" UNPROCESSABLE_ENTITY "A name has 1 to 30 letters, digits and underscores."
    ReusedKey "reused-key" UNPROCESSABLE_ENTITY "The idempotency key was used for another post."
    Oneself "oneself" UNPROCESSABLE_ENTITY "Nobody can do this to themselves."
    TooManyFollowees "too-many-followees" UNPROCESSABLE_ENTITY "You follow as many as may be."
    RateLimited "rate-limited" TOO_MANY_REQUESTS "That was too much for now."
    TooManyConnections "too-many-connections" TOO_MANY_REQUESTS "Too many live connections."
    Internal "internal" INTERNAL_SERVER_ERROR "The server failed."
    Busy "busy" SERVICE_UNAVAILABLE "There is no room for the moment."
    Unavailable "unavailable" SERVICE_UNAVAILABLE "The store cannot be reached."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_rounded_up_to_whole_seconds() {
        for (wait, header) in [
            (0, "1"),
            (1, "1"),
            (1_000, "1"),
            (1_001, "2"),
            (90_000, "90"),
        ] {
            let problem = Problem::new(Reason::Busy).with_retry_after(Duration::from_millis(wait));
            assert_eq!(
                problem.into_response().headers()[header::RETRY_AFTER],
                header
            );
        }
    }

    #[test]
    fn an_expired_cursor_is_gone_and_says_what_to_do() {
        let error = feed_core::Error::bare(ErrorKind::ExpiredCursor, "read");
        let problem = Problem::from(error);
        assert_eq!(problem.reason(), Reason::ExpiredCursor);
        assert_eq!(problem.into_response().status(), StatusCode::GONE);
    }

    #[test]
    fn what_may_pass_says_when_to_come_back() {
        for kind in [ErrorKind::Full, ErrorKind::Unavailable] {
            let response = Problem::from(feed_core::Error::bare(kind, "test")).into_response();
            assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert!(response.headers().contains_key(header::RETRY_AFTER));
        }
    }

    #[test]
    fn slugs_are_distinct() {
        let slugs: std::collections::BTreeSet<_> = Reason::ALL.iter().map(|r| r.slug()).collect();
        assert_eq!(slugs.len(), Reason::ALL.len());
    }
}
