//! The live stream, byte by byte.

use std::time::Duration;

use http_body_util::BodyExt;
use hyper::{Method, body::Incoming};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{client::Client, house::House};

/// An open stream of events.
pub(crate) struct Events {
    body: Incoming,
    buffer: String,
}

#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) data: Value,
}

impl Events {
    pub(crate) async fn open(viewer: &Client, last: Option<&str>) -> Self {
        let headers: Vec<_> = last.map(|id| ("last-event-id", id)).into_iter().collect();
        let response = viewer.open(Method::GET, "/v1/me/feed/live", &headers, "");
        let response = response.await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self {
            body: response.into_body(),
            buffer: String::new(),
        }
    }

    /// The next event; `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((block, rest)) = self.buffer.split_once("\n\n") {
                let event = Event::parse(block);
                let rest = rest.len();
                self.buffer.drain(..self.buffer.len() - rest);
                return Some(event);
            }
            let frame = self.body.frame().await?.unwrap();
            let bytes = frame.into_data().unwrap();
            self.buffer.push_str(std::str::from_utf8(&bytes).unwrap());
        }
    }

    pub(crate) async fn expect(&mut self, name: &str) -> Event {
        let event = self.next().await.expect("the stream goes on");
        assert_eq!(event.name, name, "{event:?}");
        event
    }
}

impl Event {
    fn parse(block: &str) -> Self {
        let field = |name: &str| {
            let line = block.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_default().trim_start().to_owned()
        };
        Self {
            name: field("event:"),
            id: field("id:"),
            data: serde_json::from_str(&field("data:")).unwrap(),
        }
    }
}

/// The events of a viewer who has been shown their page.
async fn watched_by(viewer: &Client) -> Events {
    let mut events = Events::open(viewer, None).await;
    events.expect("reset").await;
    events
}

async fn two() -> (House, Client, Client) {
    let house = House::new().await;
    let (ann, bob) = (house.person("ann").await, house.person("bob").await);
    bob.put("/v1/me/following/ann").await;
    (house, ann, bob)
}

#[tokio::test]
async fn a_stream_begins_with_a_page_and_tells_what_happens_to_posts() {
    let (house, ann, bob) = two().await;
    ann.publish("before").await;
    let mut events = Events::open(&bob, None).await;
    let reset = events.expect("reset").await;
    assert_eq!(reset.data["items"][0]["post"]["body"], "before");

    let post = ann.publish("hello").await;
    house.settle().await;
    let mut added = events.next().await.unwrap();
    // The fanout of the first post came late, too.
    if added.data["post"]["body"] == "before" {
        added = events.next().await.unwrap();
    }
    assert_eq!(
        (added.name.as_str(), &added.data["id"]),
        ("added", &json!(post))
    );

    let path = format!("/v1/posts/{post}");
    ann.send_json(Method::PATCH, &path, json!({ "body": "hello again" }))
        .await;
    house.settle().await;
    let revised = events.expect("revised").await;
    assert_eq!(revised.data["post"]["body"], "hello again");

    ann.put(&format!("{path}/like")).await;
    let reactions = events.expect("reactions").await;
    let wanted = json!({
        "post": post, "likes": 1, "replies": 0, "reposts": 0, "liked": false, "reposted": false,
    });
    assert_eq!((reactions.data, reactions.id.as_str()), (wanted, ""));

    ann.delete(&path).await;
    house.settle().await;
    assert_eq!(events.expect("removed").await.data, json!({ "id": post }));
}

#[tokio::test]
async fn a_stream_goes_on_after_the_last_event_that_arrived() {
    let (house, ann, bob) = two().await;
    ann.publish("one").await;
    house.settle().await;
    let mut events = Events::open(&bob, None).await;
    let reset = events.expect("reset").await;
    drop(events);

    let missed = [ann.publish("two").await, ann.publish("three").await];
    house.settle().await;
    let mut events = Events::open(&bob, Some(&reset.id)).await;
    for post in missed {
        assert_eq!(events.expect("added").await.data["id"], post);
    }
}

#[tokio::test]
async fn whom_one_follows_changes_the_page() {
    let (house, ann, bob) = two().await;
    ann.publish("hello").await;
    house.settle().await;
    let mut events = Events::open(&bob, None).await;
    assert_eq!(
        events.expect("reset").await.data["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    bob.delete("/v1/me/following/ann").await;
    assert_eq!(events.expect("reset").await.data["items"], json!([]));
}

#[tokio::test]
async fn only_what_changes_the_counts_is_told() {
    let (house, ann, bob) = two().await;
    let cat = house.person("cat").await;
    let post = ann.publish("hello").await;
    house.settle().await;
    let mut events = watched_by(&bob).await;
    let path = format!("/v1/posts/{post}");
    let edit = async |text: &str| {
        ann.send_json(Method::PATCH, &path, json!({ "body": text }))
            .await;
        house.settle().await;
    };
    let headers = [
        ("content-type", "application/json"),
        ("idempotency-key", "once"),
    ];
    let draft = json!({ "body": "hello yourself", "reply_to": post }).to_string();
    let reply = async || {
        cat.send(Method::POST, "/v1/me/feed", &headers, &draft)
            .await
            .json()
    };

    cat.delete(&format!("{path}/like")).await;
    cat.delete(&format!("{path}/repost")).await;
    edit("nothing was taken back").await;
    events.expect("revised").await;

    cat.put(&format!("{path}/like")).await;
    assert_eq!(events.expect("reactions").await.data["likes"], 1);
    cat.put(&format!("{path}/repost")).await;
    assert_eq!(events.expect("reactions").await.data["reposts"], 1);
    let answer = reply().await;
    assert_eq!(events.expect("reactions").await.data["replies"], 1);
    cat.put(&format!("{path}/like")).await;
    cat.put(&format!("{path}/repost")).await;
    reply().await;
    edit("nothing was done twice").await;
    events.expect("revised").await;

    let answer = answer["id"].as_str().unwrap();
    cat.delete(&format!("/v1/posts/{answer}")).await;
    assert_eq!(events.expect("reactions").await.data["replies"], 0);
}

#[tokio::test]
async fn whoever_is_blocked_hears_no_more_of_a_post() {
    let (house, ann, bob) = two().await;
    let cat = house.person("cat").await;
    let post = ann.publish("hello").await;
    house.settle().await;
    let mut events = watched_by(&bob).await;
    ann.put("/v1/me/blocked/bob").await;
    assert_eq!(events.expect("reset").await.data["items"], json!([]));
    cat.put(&format!("/v1/posts/{post}/like")).await;
    bob.publish("mine").await;
    house.settle().await;
    events.expect("added").await;
}

#[tokio::test]
async fn a_silent_stream_shows_that_it_is_alive() {
    let (_house, _, bob) = two().await;
    let mut events = watched_by(&bob).await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(15)).await;
    let comment = events.body.frame().await.unwrap().unwrap();
    assert!(comment.into_data().unwrap().starts_with(b":"));
}

#[tokio::test]
async fn streams_end_when_the_server_stops() {
    let (house, _, bob) = two().await;
    let mut events = watched_by(&bob).await;
    house.trigger.pull();
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn a_viewer_has_so_many_streams_and_closing_one_makes_room() {
    let (_house, _, bob) = two().await;
    let mut open = Vec::new();
    for _ in 0..16 {
        open.push(watched_by(&bob).await);
    }
    let refused = bob.get("/v1/me/feed/live").await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.json()["type"], "/problems/too-many-connections");
    assert_eq!(refused.header("retry-after"), "15");

    drop(open.pop());
    // The server hears of it when it hears of it.
    let room = async {
        loop {
            let answer = bob.open(Method::GET, "/v1/me/feed/live", &[], "").await;
            if answer.unwrap().status() == 200 {
                break;
            }
        }
    };
    timeout(Duration::from_secs(60), room).await.unwrap();
}
