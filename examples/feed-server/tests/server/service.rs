//! Several servers on one Redis, which are one service.

use std::{
    collections::HashSet,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use engines::{Demo, Redis, RedisCluster};
use feed_server::{Accounts, Name};
use hyper::Method;
use serde_json::json;
use tokio::{
    sync::{Mutex, Semaphore},
    task::spawn_blocking,
    time::{sleep, timeout},
};

use crate::{
    client::Client,
    live::{Event, Events},
};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A server of the service on these URLs.
fn start(urls: &[String]) -> Demo {
    let mut command = Command::new(env!("CARGO_BIN_EXE_feed-server"));
    command
        .args(["--listen", "127.0.0.1:0", "--redis", &urls.join(",")])
        .stderr(Stdio::null());
    Demo::start(&mut command).unwrap()
}

const fn stranger(server: &Demo) -> Client {
    Client::new(server.address())
}

/// The same person at another server.
fn at(server: &Demo, person: &Client) -> Client {
    Client {
        address: server.address(),
        token: person.token.clone(),
    }
}

/// The next event of this name.
async fn expect(events: &mut Events, name: &str) -> Event {
    let wanted = async {
        loop {
            let event = events.next().await.expect("the stream goes on");
            if event.name == name {
                return event;
            }
        }
    };
    timeout(PATIENCE, wanted).await.expect("it comes")
}

/// What happens at one server shows on the screens of another.
async fn are_one_service(urls: &[String]) {
    let (oslo, lima) = (start(urls), start(urls));
    assert_eq!(stranger(&lima).get("/healthz").await.status, 200);
    let ann = stranger(&oslo).sign_in("ann").await;
    let bob = stranger(&lima).sign_in("bob").await;
    assert_eq!(bob.put("/v1/me/following/ann").await.status, 200);
    let mut events = Events::open(&bob, None).await;
    expect(&mut events, "reset").await;

    let post = ann.publish("hello from Oslo").await;
    let added = expect(&mut events, "added").await;
    assert_eq!(added.data["post"]["body"], "hello from Oslo");
    let path = format!("/v1/posts/{post}");
    ann.send_json(Method::PATCH, &path, json!({ "body": "hello again" }))
        .await;
    let revised = expect(&mut events, "revised").await;
    assert_eq!(revised.data["post"]["body"], "hello again");
    at(&oslo, &bob).put(&format!("{path}/like")).await;
    let reactions = expect(&mut events, "reactions").await;
    assert_eq!(reactions.data["likes"], 1);

    let page = at(&oslo, &bob).get("/v1/me/feed").await.json();
    assert_eq!(page["items"][0]["id"], json!(post));
    ann.delete(&path).await;
    assert_eq!(expect(&mut events, "removed").await.data["id"], json!(post));
    assert!(oslo.end_by("TERM").unwrap().success());
    assert!(lima.end_by("TERM").unwrap().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_on_one_redis_are_one_service() {
    let redis = Redis::start().unwrap();
    are_one_service(&[redis.url()]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_on_one_cluster_are_one_service() {
    let cluster = RedisCluster::start(3, 0).unwrap();
    are_one_service(&cluster.urls()).await;
}

/// A server that is started while Redis loads what it has saved serves once that is done.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_waits_for_a_redis_that_loads() {
    let server = Redis::start().unwrap();
    let urls = [server.url()];
    let (redis, _) = backend_redis::Redis::connect(&urls).await.unwrap();
    for key in 0..120 {
        let mut set = backend_redis::redis::cmd("SET");
        set.arg(format!("key {key}")).arg(".".repeat(1_000));
        redis.command("fill", &set).await.unwrap();
    }
    server.save().unwrap();
    server.restart_loading().unwrap();
    let starting = spawn_blocking(move || start(&urls));
    sleep(Duration::from_millis(500)).await;
    assert!(!starting.is_finished());
    server.finish_loading().unwrap();
    let server = starting.await.unwrap();
    assert_eq!(stranger(&server).get("/healthz").await.status, 200);
}

/// Whose posts may still be there must not be somebody else.
#[tokio::test]
async fn an_account_that_is_lost_is_nobody_who_comes_later() {
    let server = Redis::start().unwrap();
    let mut ids = HashSet::new();
    for _ in 0..3 {
        let (redis, _) = backend_redis::Redis::connect(&[server.url()])
            .await
            .unwrap();
        let accounts = Accounts::on_redis(redis).await.unwrap();
        for name in ["ann", "bob"] {
            let name: Name = name.parse().unwrap();
            let account = accounts.sign_in(&name).await.unwrap();
            assert!(ids.insert(account.id), "{account:?}");
            assert_eq!(accounts.sign_in(&name).await.unwrap(), account);
            let found = accounts.of(&[account.id]).await.unwrap();
            assert_eq!(found, [Some(account)]);
        }
        server.restart_empty().unwrap();
    }
}

/// Publishes one post after the other until the server is gone.
async fn be_busy(
    me: usize,
    client: Client,
    told: Arc<Mutex<HashSet<String>>>,
    many: Arc<Semaphore>,
) {
    let json = [("content-type", "application/json")];
    for number in 0.. {
        let body = json!({ "body": format!("{me}:{number}") }).to_string();
        let sent = client
            .try_send(Method::POST, "/v1/me/feed", &json, &body)
            .await;
        let Ok(answer) = sent else { return };
        if answer.status == 201 {
            let id = answer.json()["id"].as_str().unwrap().to_owned();
            told.lock().await.insert(id);
            many.add_permits(1);
        }
    }
}

/// All that a reader finds in their home feed.
async fn home(reader: &Client) -> HashSet<String> {
    let (mut found, mut cursor) = (HashSet::new(), String::new());
    loop {
        let page = reader.get(&format!("/v1/me/feed?limit=100{cursor}")).await;
        let page = page.json();
        for item in page["items"].as_array().unwrap() {
            found.insert(item["id"].as_str().unwrap().to_owned());
        }
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
    }
}

/// What one of two servers has acknowledged before it was killed reaches the readers of the other, who
/// goes on with its work.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_loses_nothing() {
    const AUTHORS: usize = 4;
    let redis = Redis::start().unwrap();
    let urls = [redis.url()];
    let (oslo, lima) = (start(&urls), start(&urls));
    let reader = stranger(&lima).sign_in("reader").await;
    let (told, many) = (Arc::default(), Arc::new(Semaphore::new(0)));
    let mut busy = Vec::new();
    for me in 0..AUTHORS {
        let author = stranger(&oslo).sign_in(&format!("author_{me}")).await;
        reader.put(&format!("/v1/me/following/author_{me}")).await;
        busy.push(tokio::spawn(be_busy(
            me,
            author,
            Arc::clone(&told),
            Arc::clone(&many),
        )));
    }
    home(&reader).await;
    let enough = timeout(PATIENCE, many.acquire_many(60)).await;
    enough.expect("posts are accepted").unwrap().forget();
    drop(oslo); // with SIGKILL
    for author in busy {
        author.await.unwrap();
    }
    let told: HashSet<String> = told.lock().await.clone();
    assert!(told.len() >= 60);
    let all_are_there = async {
        while !told.is_subset(&home(&reader).await) {
            sleep(Duration::from_millis(200)).await;
        }
    };
    let there = timeout(PATIENCE, all_are_there).await;
    there.expect("each is delivered, once the lease of the dead has ended");
    assert!(lima.end_by("TERM").unwrap().success());
}
