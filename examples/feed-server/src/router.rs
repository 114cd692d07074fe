use axum::{
    Router,
    extract::DefaultBodyLimit,
    routing::{get, post, put},
};

use crate::{
    Api, Problem, Reason, follow, live, post as one_post, react, session, timeline, top, user,
};

/// The largest body of a request, in bytes.
pub const MAX_REQUEST_BODY: usize = 64 * 1024;

/// The API, to be merged into a server's router or nested in it.
///
/// What is at no path of it is left to that server: it may have a fallback of its own.
pub fn router(api: Api) -> Router {
    Router::new()
        .route("/v1/session", post(session::sign_in))
        .route("/v1/me", get(user::me))
        .route("/v1/me/feed", get(timeline::home).post(one_post::publish))
        .route("/v1/me/feed/top", get(top::read))
        .route("/v1/me/feed/live", get(live::stream))
        .route("/v1/me/feed/unread", get(timeline::unread))
        .route("/v1/me/feed/marker", put(timeline::mark))
        .route("/v1/me/following", get(follow::list))
        .route(
            "/v1/me/following/{name}",
            put(follow::follow).delete(follow::unfollow),
        )
        .route(
            "/v1/me/muted/{name}",
            put(follow::mute).delete(follow::unmute),
        )
        .route(
            "/v1/me/blocked/{name}",
            put(follow::block).delete(follow::unblock),
        )
        .route("/v1/users/{name}", get(user::read))
        .route("/v1/users/{name}/feed", get(timeline::author))
        .route(
            "/v1/posts/{id}",
            get(one_post::read)
                .patch(one_post::edit)
                .delete(one_post::delete),
        )
        .route(
            "/v1/posts/{id}/like",
            put(react::like).delete(react::unlike),
        )
        .route(
            "/v1/posts/{id}/repost",
            put(react::repost).delete(react::unrepost),
        )
        .method_not_allowed_fallback(|| async { Problem::new(Reason::MethodNotAllowed) })
        .layer(DefaultBodyLimit::max(MAX_REQUEST_BODY))
        .with_state(api)
}
