//! Everything that can be wrong with a request, and what is answered.

use std::{num::NonZero, sync::Arc, time::Duration};

use backplane::{ManualClock, memory::MemoryQueue, queue::QueueOptions, rate::Quota};
use feed_core::{FeedOptions, MemorySharedCache, MemorySharedCacheOptions};
use feed_server::{MAX_REQUEST_BODY, MAX_TEXT, Reason};
use hyper::Method;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::yield_now,
    time::timeout,
};

use crate::{
    client::{Answer, Client},
    house::House,
};

/// A request, and the status and problem it is answered with.
struct Wrong<'a> {
    method: Method,
    path: &'a str,
    headers: &'a [(&'a str, &'a str)],
    body: &'a str,
    status: u16,
    slug: &'a str,
}

const JSON: (&str, &str) = ("content-type", "application/json");

const GET: Method = Method::GET;
const POST: Method = Method::POST;
const PUT: Method = Method::PUT;
const PATCH: Method = Method::PATCH;
const DELETE: Method = Method::DELETE;

const fn wrong<'a>(method: Method, path: &'a str, status: u16, slug: &'a str) -> Wrong<'a> {
    Wrong {
        method,
        path,
        headers: &[JSON],
        body: "",
        status,
        slug,
    }
}

/// A publication that is refused.
const fn post<'a>(body: &'a str, status: u16, slug: &'a str) -> Wrong<'a> {
    let mut wrong = wrong(POST, "/v1/me/feed", status, slug);
    wrong.body = body;
    wrong
}

impl<'a> Wrong<'a> {
    const fn with(mut self, body: &'a str) -> Self {
        self.body = body;
        self
    }

    const fn under(mut self, headers: &'a [(&'a str, &'a str)]) -> Self {
        self.headers = headers;
        self
    }
}

async fn assert_refused<const N: usize>(who: &Client, requests: [Wrong<'_>; N]) {
    for request in requests {
        let Wrong {
            method,
            path,
            headers,
            body,
            ..
        } = request;
        let what = format!("{method} {path} {}", &body[..body.len().min(40)]);
        let answer = who.send(method, path, headers, body).await;
        assert_problem(&answer, request.status, request.slug, &what);
    }
}

fn assert_problem(answer: &Answer, status: u16, slug: &str, what: &str) {
    assert_eq!(answer.status, status, "{what}: {answer:?}");
    let kind = answer.header("content-type");
    assert_eq!(kind, "application/problem+json", "{what}");
    let body = answer.json();
    assert_eq!(body["type"], format!("/problems/{slug}"), "{what}");
    assert_eq!(body["status"], status, "{what}");
    assert!(body["title"].is_string(), "{what}");
}

#[tokio::test]
async fn whoever_has_not_signed_in_is_refused() {
    let house = House::new().await;
    let nobody = house.stranger();
    let requests = [
        wrong(GET, "/v1/me/feed", 401, "unauthenticated"),
        wrong(GET, "/v1/me/feed/live", 401, "unauthenticated"),
        wrong(PUT, "/v1/posts/1/like", 401, "unauthenticated"),
        wrong(GET, "/v1/me", 401, "unauthenticated").under(&[("authorization", "Basic YTpi")]),
        wrong(POST, "/v1/session", 422, "invalid-name").with(r#"{"name":"not a name"}"#),
        wrong(POST, "/v1/session", 422, "invalid-body").with("{}"),
    ];
    assert_refused(&nobody, requests).await;
    let liar = Client {
        token: Some("A".repeat(64)),
        ..nobody
    };
    assert_refused(&liar, [wrong(GET, "/v1/me", 401, "unauthenticated")]).await;
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let requests = [
        wrong(GET, "/v1/nowhere", 404, "not-found"),
        wrong(POST, "/v1/me", 405, "method-not-allowed"),
        wrong(DELETE, "/healthz", 405, "method-not-allowed"),
        wrong(GET, "/v1/users/nobody", 404, "unknown-user"),
        wrong(GET, "/v1/users/not%20a%20name/feed", 404, "unknown-user"),
        wrong(PUT, "/v1/me/following/nobody", 404, "unknown-user"),
        wrong(GET, "/v1/posts/1", 404, "unknown-post"),
        wrong(GET, "/v1/posts/first", 404, "unknown-post"),
        wrong(PUT, "/v1/posts/1/like", 404, "unknown-post"),
        wrong(PUT, "/v1/posts/1/repost", 404, "unknown-post"),
        wrong(DELETE, "/v1/posts/1", 404, "unknown-post"),
        wrong(PATCH, "/v1/posts/1", 404, "unknown-post").with(r#"{"body":"hello"}"#),
    ];
    assert_refused(&ann, requests).await;
}

#[tokio::test]
async fn a_page_needs_a_cursor_of_its_own_and_a_size_in_range() {
    let house = House::new().await;
    let (ann, bob) = (house.person("ann").await, house.person("bob").await);
    bob.publish("hello").await;
    let page = bob.get("/v1/me/feed").await.json();
    let cursor = page["prev"].as_str().unwrap();
    let foreign = format!("/v1/me/feed?cursor={cursor}");
    let resume = &[("last-event-id", cursor)];
    let requests = [
        wrong(GET, &foreign, 400, "invalid-cursor"),
        wrong(GET, "/v1/me/feed?cursor=garbage", 400, "invalid-cursor"),
        wrong(GET, "/v1/me/feed?cursor=", 400, "invalid-cursor"),
        wrong(GET, "/v1/me/feed/top?cursor=garbage", 400, "invalid-cursor"),
        wrong(
            GET,
            "/v1/users/bob/feed?cursor=garbage",
            400,
            "invalid-cursor",
        ),
        wrong(GET, "/v1/me/feed/live", 400, "invalid-cursor").under(resume),
        wrong(GET, "/v1/me/feed/live", 400, "invalid-cursor")
            .under(&[("last-event-id", "garbage")]),
        wrong(GET, "/v1/me/feed?limit=0", 400, "page-size"),
        wrong(GET, "/v1/me/feed?limit=201", 400, "page-size"),
        wrong(GET, "/v1/me/feed?limit=many", 400, "malformed-query"),
        wrong(
            GET,
            "/v1/me/feed?limit=99999999999999999999",
            400,
            "malformed-query",
        ),
    ];
    assert_refused(&ann, requests).await;
}

#[tokio::test]
async fn a_post_needs_a_body_in_json_and_in_bounds() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let long = json!({ "body": "x".repeat(MAX_TEXT + 1) }).to_string();
    let huge = json!({ "body": "x".repeat(MAX_REQUEST_BODY) }).to_string();
    let long_key = "k".repeat(65);
    let no_key = [JSON, ("idempotency-key", "")];
    let long_key = [JSON, ("idempotency-key", &long_key)];
    let hello = r#"{"body":"hello"}"#;
    let requests = [
        post("{", 400, "malformed-body"),
        post("", 400, "malformed-body"),
        post(r#"{"body":1}"#, 422, "invalid-body"),
        post(hello, 415, "unsupported-media-type").under(&[("content-type", "text/plain")]),
        post(hello, 415, "unsupported-media-type").under(&[]),
        post(r#"{"body":" \n"}"#, 422, "empty-post"),
        post(&long, 413, "oversized-post"),
        post(&huge, 413, "oversized-body"),
        post(r#"{"body":"to whom?","reply_to":"1"}"#, 404, "unknown-post"),
        post(r#"{"body":"to whom?","reply_to":1}"#, 422, "invalid-body"),
        post(hello, 400, "idempotency-key").under(&no_key),
        post(hello, 400, "idempotency-key").under(&long_key),
    ];
    assert_refused(&ann, requests).await;
    assert_eq!(ann.get("/v1/me/feed").await.bodies(), [""; 0]);
}

#[tokio::test]
async fn nobody_waits_for_a_body_without_end() {
    let clock = ManualClock::default();
    let house = House::with(|parts| parts.clock = Arc::new(clock.clone())).await;
    let head = "POST /v1/session HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n";
    let mut slow = TcpStream::connect(house.address).await.unwrap();
    let half = format!("{head}content-length: 100\r\n\r\n{{");
    slow.write_all(half.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let answered = timeout(Duration::from_secs(60), slow.read_to_string(&mut answer));
    let time = async {
        loop {
            clock.advance(Duration::from_secs(1));
            yield_now().await;
        }
    };
    tokio::select! {
        ended = answered => ended.unwrap().unwrap(),
        () = time => unreachable!(),
    };
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("/problems/slow-body"), "{answer}");
}

#[tokio::test]
async fn a_key_names_one_post() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let under_key = [JSON, ("idempotency-key", "once")];
    let hello = r#"{"body":"hello"}"#;
    let first = ann.send(POST, "/v1/me/feed", &under_key, hello).await;
    assert_eq!(first.status, 201);
    let other = post(r#"{"body":"goodbye"}"#, 422, "reused-key").under(&under_key);
    assert_refused(&ann, [other]).await;
    assert_eq!(ann.get("/v1/me/feed").await.bodies(), ["hello"]);
}

#[tokio::test]
async fn nobody_acts_on_themselves_or_on_what_others_wrote() {
    let house = House::new().await;
    let (ann, bob) = (house.person("ann").await, house.person("bob").await);
    let path = format!("/v1/posts/{}", bob.publish("hello").await);
    let requests = [
        wrong(PUT, "/v1/me/following/ann", 422, "oneself"),
        wrong(PUT, "/v1/me/muted/ann", 422, "oneself"),
        wrong(PUT, "/v1/me/blocked/ann", 422, "oneself"),
        wrong(PATCH, &path, 403, "not-author").with(r#"{"body":"bye"}"#),
        wrong(DELETE, &path, 403, "not-author"),
    ];
    assert_refused(&ann, requests).await;
    assert_eq!(bob.get("/v1/me/feed").await.bodies(), ["hello"]);

    bob.put("/v1/me/blocked/ann").await;
    let across = [
        wrong(PUT, "/v1/me/following/bob", 403, "blocked"),
        wrong(GET, &path, 404, "unknown-post"),
        wrong(PATCH, &path, 404, "unknown-post").with(r#"{"body":"bye"}"#),
        wrong(DELETE, &path, 404, "unknown-post"),
    ];
    assert_refused(&ann, across).await;
}

#[tokio::test]
async fn who_follows_too_many_is_told_so() {
    let house = House::with(|parts| parts.options = FeedOptions::default().with_max_followees(1));
    let house = house.await;
    let ann = house.person("ann").await;
    for name in ["bob", "cat"] {
        house.person(name).await;
    }
    assert_eq!(ann.put("/v1/me/following/bob").await.status, 200);
    let cat = wrong(PUT, "/v1/me/following/cat", 422, "too-many-followees");
    assert_refused(&ann, [cat]).await;
}

#[tokio::test]
async fn a_refusal_says_what_would_help() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let unsigned = house.stranger().get("/v1/me").await;
    assert_eq!(unsigned.header("www-authenticate"), "Bearer realm=\"feed\"");
    let wrong_method = ann.post("/v1/me", json!({})).await;
    assert_eq!(wrong_method.header("allow"), "GET,HEAD");
}

#[tokio::test]
async fn who_posts_too_much_is_told_when_to_come_back() {
    let house = House::with(|parts| {
        let quota = Quota::new(2, Duration::from_secs(3_600)).ok();
        parts.options = FeedOptions::default().with_post_quota(quota);
    });
    let house = house.await;
    let ann = house.person("ann").await;
    ann.publish("one").await;
    let second = ann.publish("two").await;
    let third = ann.post("/v1/me/feed", json!({ "body": "three" })).await;
    assert_problem(&third, 429, "rate-limited", "publish");
    let wait: u64 = third.header("retry-after").parse().unwrap();
    assert!((1..=1_800).contains(&wait), "{wait}");
    let repost = ann.put(&format!("/v1/posts/{second}/repost")).await;
    assert_problem(&repost, 429, "rate-limited", "repost");
}

#[tokio::test]
async fn who_does_too_much_is_told_when_to_come_back_and_may_read_and_post() {
    let quota = Quota::new(2, Duration::from_secs(3_600)).ok();
    let house = House::with_action_quota(quota).await;
    let ann = house.person("ann").await;
    let post = format!("/v1/posts/{}", ann.publish("hello").await);
    let [like, repost] = ["like", "repost"].map(|reaction| format!("{post}/{reaction}"));
    let metered = [
        (PATCH, post.as_str()),
        (DELETE, post.as_str()),
        (PUT, like.as_str()),
        (DELETE, like.as_str()),
        (PUT, repost.as_str()),
        (DELETE, repost.as_str()),
        (PUT, "/v1/me/following/ann"),
        (DELETE, "/v1/me/following/ann"),
        (PUT, "/v1/me/muted/ann"),
        (DELETE, "/v1/me/muted/ann"),
        (PUT, "/v1/me/blocked/ann"),
        (DELETE, "/v1/me/blocked/ann"),
    ];
    for (number, (method, path)) in metered.into_iter().enumerate() {
        let person = house.person(&format!("person_{number}")).await;
        for _ in 0..2 {
            assert_eq!(person.put("/v1/me/following/ann").await.status, 200);
        }
        let what = format!("{method} {path}");
        let edit = json!({ "body": "bye" });
        let refused = person.send_json(method, path, edit).await;
        assert_problem(&refused, 429, "rate-limited", &what);
        let wait: u64 = refused.header("retry-after").parse().unwrap();
        assert!((1..=1_800).contains(&wait), "{wait}");
        person.publish("posts have a quota of their own").await;
        assert_eq!(person.get(&post).await.json()["likes"], 0, "{what}");
    }
    // Others are not in the way of the author.
    let edit = json!({ "body": "hello, edited" });
    assert_eq!(ann.send_json(PATCH, &post, edit).await.status, 200);
}

#[tokio::test]
async fn without_a_quota_nobody_does_too_much() {
    let house = House::with_action_quota(None).await;
    let ann = house.person("ann").await;
    // More than there is at once by default.
    for _ in 0..=600 {
        assert_eq!(ann.delete("/v1/posts/1/like").await.status, 200);
    }
}

#[tokio::test]
async fn a_full_queue_stores_nothing_and_says_when_to_come_back() {
    let house = House::with(|parts| {
        let options = QueueOptions::default().with_capacity(1);
        parts.queue = Arc::new(MemoryQueue::new(Arc::clone(&parts.clock), options));
    });
    let house = house.await;
    let ann = house.person("ann").await;
    let one = format!("/v1/posts/{}", ann.publish("one").await);
    let second = ann.post("/v1/me/feed", json!({ "body": "two" })).await;
    assert_problem(&second, 503, "busy", "publish");
    let wait: NonZero<u64> = second.header("retry-after").parse().unwrap();
    assert!(wait.get() < 60);
    for method in [PATCH, DELETE] {
        let what = format!("{method} of a post");
        let edit = json!({ "body": "edited" });
        let refused = ann.send_json(method, &one, edit).await;
        assert_problem(&refused, 503, "busy", &what);
        assert_eq!(refused.header("retry-after"), "1", "{what}");
    }
    assert_eq!(ann.get("/v1/me/feed").await.bodies(), ["one"]);

    house.settle().await;
    let repost = format!("{one}/repost");
    assert_eq!(ann.put(&repost).await.status, 201);
    assert_problem(&ann.delete(&repost).await, 503, "busy", "unrepost");
    assert_eq!(ann.get(&one).await.json()["reposted"], true);
    house.settle().await;
    ann.publish("two").await;
}

#[tokio::test]
async fn a_server_that_cannot_write_any_more_says_so_and_promises_nothing() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    ann.publish("one").await;
    assert_eq!(ann.get("/healthz").await.status, 200);
    let bug = house
        .writer
        .run(|_| -> Result<(), _> { panic!("on purpose") });
    bug.await.unwrap_err();
    let health = ann.get("/healthz").await;
    assert_problem(&health, 503, "unavailable", "healthz");
    let refused = ann.post("/v1/me/feed", json!({ "body": "two" })).await;
    assert_problem(&refused, 503, "unavailable", "publish");
    assert_eq!(refused.header("retry-after"), "");
    assert_eq!(ann.get("/v1/me/feed").await.bodies(), ["one"]);
}

#[tokio::test]
async fn a_cursor_whose_order_is_not_kept_has_expired() {
    let house = House::with(|parts| {
        let no_room = MemorySharedCacheOptions::default().with_max_bytes(0);
        let cache = MemorySharedCache::new(Arc::clone(&parts.clock), no_room);
        parts.snapshots = Arc::new(cache);
    });
    let house = house.await;
    let ann = house.person("ann").await;
    ann.publish("one").await;
    ann.publish("two").await;
    let page = ann.get("/v1/me/feed/top?limit=1").await.json();
    let next = page["next"].as_str().unwrap();
    let expired = ann.get(&format!("/v1/me/feed/top?cursor={next}")).await;
    assert_problem(&expired, 410, "expired-cursor", "top");
}

#[tokio::test]
async fn every_problem_explains_itself_where_its_type_points() {
    let house = House::new().await;
    for reason in Reason::ALL {
        let path = format!("/problems/{}", reason.slug());
        let text = house.stranger().get(&path).await;
        assert_eq!(text.status, 200);
        let text = String::from_utf8(text.body.to_vec()).unwrap();
        assert!(text.contains(reason.title()), "{text}");
    }
    for unknown in ["/problems/none", "/problems/%FF"] {
        let answer = house.stranger().get(unknown).await;
        assert_problem(&answer, 404, "not-found", unknown);
    }
}
