//! What people do, over HTTP.

use feed_core::{NewPost, PostId, Published, UserId};
use hyper::Method;
use serde_json::{Value, json};

use crate::{client::Client, house::House};

async fn two(house: &House) -> (Client, Client) {
    let (ann, bob) = (house.person("ann").await, house.person("bob").await);
    let followed = bob.put("/v1/me/following/ann").await;
    assert_eq!(followed.status, 200);
    assert_eq!(followed.json()["followed"], true);
    (ann, bob)
}

/// The post of this id as `viewer` sees it.
async fn seen(viewer: &Client, post: &str) -> Value {
    let answer = viewer.get(&format!("/v1/posts/{post}")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

#[tokio::test]
async fn a_follower_reads_what_an_author_writes() {
    let house = House::new().await;
    let (ann, bob) = two(&house).await;
    let post = ann.publish("hello <b>& \"you\"").await;
    assert_eq!(
        ann.get("/v1/me/feed").await.bodies(),
        ["hello <b>& \"you\""]
    );
    house.settle().await;
    let page = bob.get("/v1/me/feed").await;
    assert_eq!(page.bodies(), ["hello <b>& \"you\""]);
    let item = &page.json()["items"][0];
    assert_eq!(item["id"], *post);
    assert_eq!(item["post"]["author"], json!({ "id": "1", "name": "ann" }));
    assert_eq!(item["reposted_by"], Value::Null);
    assert!(item["post"]["created_at"].as_u64().unwrap() > 1_700_000_000_000);

    bob.delete("/v1/me/following/ann").await;
    assert_eq!(bob.get("/v1/me/feed").await.bodies(), [""; 0]);
}

#[tokio::test]
async fn the_same_name_is_the_same_account() {
    let house = House::new().await;
    let (first, second) = (house.person("ann").await, house.person(" Ann ").await);
    assert_eq!(
        first.get("/v1/me").await.json()["id"],
        second.get("/v1/me").await.json()["id"]
    );
}

#[tokio::test]
async fn a_retry_under_the_same_key_is_the_same_post() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let headers = [
        ("content-type", "application/json"),
        ("idempotency-key", "once"),
    ];
    let send = async |body: &str| ann.send(Method::POST, "/v1/me/feed", &headers, body).await;
    let first = send(r#"{"body":"hello"}"#).await;
    assert_eq!(first.status, 201);
    let second = send(r#"{"body":"hello"}"#).await;
    assert_eq!(second.status, 200);
    assert_eq!(second.json(), first.json());
    assert_eq!(second.header("location"), first.header("location"));
    assert_eq!(ann.get("/v1/me/feed").await.bodies(), ["hello"]);

    let path = first.header("location");
    let edit = json!({ "body": "hello, edited" });
    ann.send_json(Method::PATCH, path, edit).await;
    let third = send(r#"{"body":"hello"}"#).await;
    assert_eq!(third.status, 200);
    assert_eq!(third.json()["post"]["body"], "hello, edited");

    assert_eq!(ann.delete(path).await.status, 204);
    let fourth = send(r#"{"body":"hello"}"#).await;
    assert_eq!(fourth.status, 200);
    assert_eq!(fourth.json()["id"], first.json()["id"]);
    assert_eq!(fourth.json()["post"], Value::Null);
}

#[tokio::test]
async fn a_retry_is_the_same_reply_though_what_it_answers_is_out_of_reach() {
    let house = House::new().await;
    let (ann, bob) = two(&house).await;
    let (deleted, blocked) = (ann.publish("one").await, ann.publish("two").await);
    let reply = async |parent: &str| {
        let headers = [
            ("content-type", "application/json"),
            ("idempotency-key", parent),
        ];
        let draft = json!({ "body": "hello yourself", "reply_to": parent }).to_string();
        bob.send(Method::POST, "/v1/me/feed", &headers, &draft)
            .await
    };
    let first = [reply(&deleted).await, reply(&blocked).await];
    ann.delete(&format!("/v1/posts/{deleted}")).await;
    ann.put("/v1/me/blocked/bob").await;
    let again = [reply(&deleted).await, reply(&blocked).await];
    for (first, again) in first.iter().zip(&again) {
        assert_eq!((first.status.as_u16(), again.status.as_u16()), (201, 200));
        assert_eq!(first.json()["id"], again.json()["id"]);
        assert_eq!(again.json()["post"]["body"], "hello yourself");
    }
    assert_eq!(bob.get("/v1/users/bob/feed").await.bodies().len(), 2);
}

#[tokio::test]
async fn pages_join_without_gap_or_repetition_while_posts_arrive() {
    let house = House::new().await;
    let (ann, bob) = two(&house).await;
    for number in 0..25 {
        ann.publish(&number.to_string()).await;
    }
    house.settle().await;
    let mut bodies = Vec::new();
    let mut path = "/v1/me/feed?limit=10".to_owned();
    let mut sizes = Vec::new();
    loop {
        let page = bob.get(&path).await;
        sizes.push(page.bodies().len());
        bodies.extend(page.bodies());
        ann.publish("later").await;
        house.settle().await;
        let Some(next) = page.json()["next"].as_str().map(str::to_owned) else {
            break;
        };
        path = format!("/v1/me/feed?limit=10&cursor={next}");
    }
    let wanted: Vec<_> = (0..25).rev().map(|number| number.to_string()).collect();
    assert_eq!(bodies, wanted);
    assert_eq!(sizes, [10, 10, 5]);
}

#[tokio::test]
async fn likes_and_reposts_count_once_and_can_be_taken_back() {
    let house = House::new().await;
    let (ann, bob) = two(&house).await;
    let post = ann.publish("hello").await;
    let like = format!("/v1/posts/{post}/like");
    for _ in 0..2 {
        let liked = bob.put(&like).await.json();
        assert_eq!(
            (&liked["likes"], &liked["liked"]),
            (&json!(1), &json!(true))
        );
    }
    let by_ann = seen(&ann, &post).await;
    assert_eq!(
        (&by_ann["likes"], &by_ann["liked"]),
        (&json!(1), &json!(false))
    );
    for _ in 0..2 {
        assert_eq!(bob.delete(&like).await.json()["likes"], 0);
    }

    let cat = house.person("cat").await;
    cat.put("/v1/me/following/bob").await;
    let repost = format!("/v1/posts/{post}/repost");
    assert_eq!(bob.put(&repost).await.status, 201);
    assert_eq!(bob.put(&repost).await.status, 200);
    house.settle().await;
    let page = cat.get("/v1/me/feed").await.json();
    assert_eq!(page["items"][0]["reposted_by"]["name"], "bob");
    assert_eq!(page["items"][0]["post"]["author"]["name"], "ann");
    assert_eq!(page["items"][0]["post"]["reposts"], 1);
    let taken_back = bob.delete(&repost).await.json();
    assert_eq!(
        (&taken_back["reposts"], &taken_back["reposted"]),
        (&json!(0), &json!(false))
    );
    house.settle().await;
    assert_eq!(cat.get("/v1/me/feed").await.bodies(), [""; 0]);
}

#[tokio::test]
async fn the_top_feed_shows_first_what_people_react_to_and_keeps_its_order() {
    let house = House::new().await;
    let (ann, bob) = two(&house).await;
    let mut posts = Vec::new();
    for text in ["liked", "plain", "answered"] {
        posts.push(ann.publish(text).await);
    }
    house.settle().await;
    bob.put(&format!("/v1/posts/{}/like", posts[0])).await;
    let reply = json!({ "body": "a reply", "reply_to": posts[2] });
    ann.post("/v1/me/feed", reply).await;
    house.settle().await;
    let first = bob.get("/v1/me/feed/top?limit=2").await;
    assert_eq!(first.bodies(), ["answered", "liked"]);
    // Changes of the scores do not reach a reader who has begun.
    bob.delete(&format!("/v1/posts/{}/like", posts[0])).await;
    let next = first.json()["next"].as_str().unwrap().to_owned();
    let second = bob.get(&format!("/v1/me/feed/top?cursor={next}")).await;
    assert_eq!(second.bodies(), ["a reply", "plain"]);
}

#[tokio::test]
async fn a_reply_names_what_it_answers_and_is_counted() {
    let house = House::new().await;
    let (ann, bob) = two(&house).await;
    let post = ann.publish("hello").await;
    let reply = json!({ "body": "hello yourself", "reply_to": post });
    let reply = bob.post("/v1/me/feed", reply).await.json();
    assert_eq!(reply["post"]["reply_to"]["post"], *post);
    assert_eq!(reply["post"]["reply_to"]["author"]["name"], "ann");
    assert_eq!(seen(&ann, &post).await["replies"], 1);

    let edit = json!({ "body": "hello you" });
    let path = format!("/v1/posts/{}", reply["id"].as_str().unwrap());
    let edited = bob.send_json(Method::PATCH, &path, edit).await.json();
    assert_eq!(
        (&edited["body"], &edited["version"]),
        (&json!("hello you"), &json!(2))
    );
    assert_eq!(edited["reply_to"]["post"], *post);

    bob.delete(&path).await;
    assert_eq!(seen(&ann, &post).await["replies"], 0);
}

#[tokio::test]
async fn a_deleted_post_is_nowhere() {
    let house = House::new().await;
    let (ann, bob) = two(&house).await;
    let post = ann.publish("hello").await;
    house.settle().await;
    let path = format!("/v1/posts/{post}");
    assert_eq!(ann.delete(&path).await.status, 204);
    assert_eq!(bob.get("/v1/me/feed").await.bodies(), [""; 0]);
    assert_eq!(bob.get(&path).await.status, 404);
    assert_eq!(bob.put(&format!("{path}/like")).await.status, 404);
}

#[tokio::test]
async fn a_reaction_is_taken_back_though_the_post_has_gone() {
    let house = House::new().await;
    let (ann, bob) = two(&house).await;
    let post = ann.publish("hello").await;
    bob.put(&format!("/v1/posts/{post}/like")).await;
    ann.delete(&format!("/v1/posts/{post}")).await;
    for reaction in ["like", "repost"] {
        let answer = bob.delete(&format!("/v1/posts/{post}/{reaction}")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.json()["liked"], false);
    }
}

#[tokio::test]
async fn mute_and_block_hide_and_can_be_taken_back() {
    let house = House::new().await;
    let (ann, bob) = two(&house).await;
    let post = ann.publish("hello").await;
    house.settle().await;
    for relation in ["muted", "blocked"] {
        let path = format!("/v1/me/{relation}/ann");
        assert_eq!(bob.put(&path).await.json()[relation], true);
        assert_eq!(bob.get("/v1/me/feed").await.bodies(), [""; 0]);
        assert_eq!(bob.delete(&path).await.json()[relation], false);
        assert_eq!(bob.get("/v1/me/feed").await.bodies(), ["hello"]);
    }
    ann.put("/v1/me/blocked/bob").await;
    assert_eq!(bob.get(&format!("/v1/posts/{post}")).await.status, 404);
    assert_eq!(bob.put(&format!("/v1/posts/{post}/like")).await.status, 404);
}

#[tokio::test]
async fn the_marker_moves_forward_and_what_is_newer_is_unread() {
    let house = House::new().await;
    let (ann, bob) = two(&house).await;
    let first = ann.publish("one").await;
    let second = ann.publish("two").await;
    house.settle().await;
    let unread = async || bob.get("/v1/me/feed/unread").await.json()["unread"].take();
    let mark = async |post: &str| {
        let marker = json!({ "post": post });
        let answer = bob
            .send_json(Method::PUT, "/v1/me/feed/marker", marker)
            .await;
        answer.json()["post"].as_str().unwrap().to_owned()
    };
    assert_eq!(unread().await, 2);
    assert_eq!(mark(&first).await, first);
    assert_eq!(unread().await, 1);
    assert_eq!(mark(&second).await, second);
    assert_eq!(mark(&first).await, second);
    assert_eq!(unread().await, 0);
}

/// Publishes behind the server's back what it would not have stored.
async fn publish_directly(house: &House, author: u64, post: NewPost) -> PostId {
    match house.feed.publish(UserId::new(author), post).await.unwrap() {
        Published::Accepted(post) => post,
        refused => panic!("{refused:?}"),
    }
}

#[tokio::test]
async fn a_body_that_is_not_the_servers_own_is_passed_over() {
    let house = House::new().await;
    let (ann, bob) = two(&house).await;
    ann.publish("before").await;
    let key = "once".parse().unwrap();
    let foreign = publish_directly(&house, 1, NewPost::new("no JSON").with_key(key)).await;
    let elsewhere = NewPost::elsewhere(PostId::new(foreign.get() + 1));
    publish_directly(&house, 1, elsewhere).await;
    ann.publish("after").await;
    house.settle().await;
    for path in ["/v1/me/feed", "/v1/me/feed/top", "/v1/users/ann/feed"] {
        assert_eq!(bob.get(path).await.bodies(), ["after", "before"], "{path}");
    }

    let path = format!("/v1/posts/{foreign}");
    let text = json!({ "body": "a text" });
    let edit = ann.send_json(Method::PATCH, &path, text.clone()).await;
    for answer in [ann.get(&path).await, edit] {
        assert_eq!(answer.status, 404, "{answer:?}");
    }
    let headers = [
        ("content-type", "application/json"),
        ("idempotency-key", "once"),
    ];
    let text = text.to_string();
    let again = ann.send(Method::POST, "/v1/me/feed", &headers, &text);
    let again = again.await;
    assert_eq!(again.status, 200, "{again:?}");
    assert_eq!(again.json(), json!({ "id": foreign, "post": null }));
    assert_eq!(ann.delete(&path).await.status, 204);
}

#[tokio::test]
async fn whoever_is_blocked_takes_back_what_they_did_and_is_told_as_of_a_post_that_has_gone() {
    let house = House::new().await;
    let (ann, bob) = two(&house).await;
    let cat = house.person("cat").await;
    let post = format!("/v1/posts/{}", ann.publish("hello").await);
    let gone = format!("/v1/posts/{}", ann.publish("gone").await);
    for reaction in ["like", "repost"] {
        for person in [&bob, &cat] {
            person.put(&format!("{post}/{reaction}")).await;
        }
    }
    ann.delete(&gone).await;
    ann.put("/v1/me/blocked/bob").await;
    for reaction in ["like", "repost"] {
        let [hidden, gone] = [&post, &gone].map(|post| format!("{post}/{reaction}"));
        let [hidden, gone] = [bob.delete(&hidden).await, bob.delete(&gone).await];
        assert_eq!((hidden.status, hidden.json()), (gone.status, gone.json()));
    }
    let seen = ann.get(&post).await.json();
    assert_eq!((&seen["likes"], &seen["reposts"]), (&json!(1), &json!(1)));
}

#[tokio::test]
async fn a_profile_counts_both_ways_and_following_lists_them() {
    let house = House::new().await;
    let (ann, bob) = two(&house).await;
    let profile = bob.get("/v1/users/ann").await.json();
    assert_eq!(
        (&profile["followers"], &profile["followed"]),
        (&json!(1), &json!(true))
    );
    let me = ann.get("/v1/me").await.json();
    assert_eq!(
        (&me["following"], &me["followed"]),
        (&json!(0), &json!(false))
    );
    let following = bob.get("/v1/me/following").await.json();
    assert_eq!(
        following,
        json!({ "users": [{ "id": "1", "name": "ann" }], "total": 1 })
    );
}

#[tokio::test]
async fn operators_see_health_and_figures() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    ann.publish("hello").await;
    ann.get("/v1/me/feed").await;
    ann.get("/v1/me/feed").await;
    assert_eq!(&ann.get("/healthz").await.body[..], b"ok\n");
    let metrics = ann.get("/metrics").await;
    assert!(metrics.header("content-type").starts_with("text/plain"));
    let text = String::from_utf8(metrics.body.to_vec()).unwrap();
    for line in [
        "http_requests_total{method=\"POST\",route=\"/v1/me/feed\",status=\"201\"}",
        "http_request_duration_seconds_bucket{method=\"POST\",route=\"/v1/me/feed\",le=\"0.1\"}",
        "feed_published_total{outcome=\"accepted\"}",
        "feed_pages_total{source=\"timeline\"}",
        "feed_queue_tasks{state=\"ready\"}",
        "feed_queue_oldest_ready_seconds",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

#[tokio::test]
async fn what_strangers_make_up_is_no_label() {
    let house = House::new().await;
    let made_up = Method::from_bytes(b"MADE-UP-METHOD").unwrap();
    for path in ["/v1/me", "/made-up-path"] {
        house.stranger().send(made_up.clone(), path, &[], "").await;
    }
    let metrics = house.stranger().get("/metrics").await;
    let text = String::from_utf8(metrics.body.to_vec())
        .unwrap()
        .to_lowercase();
    assert!(text.contains("http_requests_total{method=\"other\",route=\"/v1/me\",status=\"405\"}"));
    assert!(!text.contains("made-up"), "{text}");
}

#[tokio::test]
async fn the_page_runs_only_what_the_server_sends() {
    let house = House::new().await;
    let page = house.stranger().get("/").await;
    assert!(page.header("content-type").starts_with("text/html"));
    let policy = page.header("content-security-policy");
    assert!(
        policy.contains("default-src 'none'") && !policy.contains("unsafe"),
        "{policy}"
    );
    let script = house.stranger().get("/feed/panel.js").await;
    assert!(script.header("content-type").starts_with("text/javascript"));
}
