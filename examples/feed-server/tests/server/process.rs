//! The program: how it starts, stops, and comes back after it was killed.

use std::{
    fs::{self, File, Permissions},
    io::{self, BufRead, BufReader, PipeWriter},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use backend_redb::{RedbHighWater, Writer, WriterOptions, redb::Database};
use backplane::{
    Clock, SystemClock,
    id::{HighWater, Mark, Replaced},
};
use engines::Demo;
use futures::future::join_all;
use hyper::Method;
use serde_json::json;
use tokio::{sync::Semaphore, time::timeout};

use crate::client::Client;

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn command(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_feed-server"));
    command
        .args(["--listen", "127.0.0.1:0", "--data"])
        .arg(data)
        .stderr(Stdio::null());
    command
}

/// A server on this directory.
pub(crate) fn start(data: &Path) -> Demo {
    Demo::start(&mut command(data)).unwrap()
}

const fn stranger(server: &Demo) -> Client {
    Client::new(server.address())
}

#[tokio::test]
async fn it_makes_its_directory_serves_and_ends_at_either_signal_though_a_stream_is_open() {
    for signal in ["TERM", "INT"] {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("not/there/yet");
        let server = start(&data);
        // It holds the secret that tokens are signed with.
        for (path, mode) in [(&data, 0o700), (&data.join("feed.redb"), 0o600)] {
            let permissions = fs::metadata(path).unwrap().permissions();
            assert_eq!(permissions.mode() & 0o777, mode, "{}", path.display());
        }
        assert_eq!(stranger(&server).get("/healthz").await.status, 200);
        assert_eq!(stranger(&server).get("/").await.status, 200);
        let ann = stranger(&server).sign_in("ann").await;
        let stream = ann.open(Method::GET, "/v1/me/feed/live", &[], "").await;
        assert!(server.end_by(signal).unwrap().success());
        drop(stream);
    }
}

/// The end of a pipe whose other end nobody reads.
fn nobody() -> PipeWriter {
    let (_, writer) = io::pipe().unwrap();
    writer
}

#[tokio::test]
async fn it_serves_though_nobody_reads_what_it_prints() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = command(folder.path());
    let mut server = command
        .stdout(nobody())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(server.stderr.take().unwrap()).lines();
    let address = log.find_map(|line| {
        let line = line.unwrap();
        let (_, address) = line.split_once("listening on http://")?;
        address.split(' ').next()?.parse().ok()
    });
    let client = Client::new(address.unwrap());
    let health = client.try_send(Method::GET, "/healthz", &[], "").await;
    let id = server.id().to_string();
    Command::new("kill").arg(id).status().unwrap();
    let status = server.wait().unwrap();
    assert!(status.success(), "{status}");
    assert_eq!(health.unwrap().status, 200);
}

#[test]
fn it_stops_cleanly_though_nobody_reads_its_log() {
    let folder = tempfile::tempdir().unwrap();
    let server = Demo::start(command(folder.path()).stderr(nobody())).unwrap();
    let status = server.end_by("TERM").unwrap();
    assert!(status.success(), "{status}");
}

#[test]
fn a_database_that_others_could_read_is_its_owners_alone_once_it_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("feed.redb");
    start(folder.path()).end_by("TERM").unwrap();
    let before = [(folder.path(), 0o755), (&file, 0o644)];
    for (path, mode) in before {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }
    let _server = start(folder.path());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    // What else is in a folder that was there is not the server's to hide.
    assert_eq!((mode(&file), mode(folder.path())), (0o600, 0o755));
}

#[test]
fn what_keeps_it_from_starting_is_said_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let _first = start(folder.path());
    for (data, words) in [
        (folder.path(), "cannot open the database"),
        (&file, "cannot make the directory"),
    ] {
        let second = command(data).stderr(Stdio::piped()).output().unwrap();
        assert!(!second.status.success());
        assert!(second.stdout.is_empty());
        let message = String::from_utf8(second.stderr).unwrap();
        assert!(message.contains(words), "{message}");
    }
}

#[test]
fn a_server_that_cannot_be_reached_is_named_without_its_password() {
    let program = env!("CARGO_BIN_EXE_feed-server");
    for (url, words) in [
        ("redis://ann:hunter2@127.0.0.1:1/", "use 127.0.0.1:1:"),
        ("redis://ann:hunter2@127.0.0.1:hello/", "URL 1 is none"),
    ] {
        let ended = Command::new(program).args(["--redis", url]).output();
        let message = String::from_utf8(ended.unwrap().stderr).unwrap();
        assert!(message.contains(words), "{message}");
        assert!(!message.contains("hunter2"), "{message}");
    }
}

/// The same, which finds no room on disk behind about a megabyte.
fn command_in_little_room(data: &Path) -> Command {
    let inner = command(data);
    let mut command = Command::new("sh");
    let limits = "trap '' XFSZ; ulimit -f 3000; exec \"$0\" \"$@\"";
    let command_line = [inner.get_program()].into_iter().chain(inner.get_args());
    command.args(["-c", limits]).args(command_line);
    command
}

#[tokio::test]
async fn it_ends_when_the_disk_is_full_and_nothing_acknowledged_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut command = command_in_little_room(folder.path());
    let server = Demo::start(command.stderr(File::create(&log).unwrap())).unwrap();
    let mut acknowledged = Vec::new();
    let draft = json!({ "body": "x".repeat(8_000) }).to_string();
    let headers = [("content-type", "application/json")];
    let mut people = 0..;
    let mut person = stranger(&server).sign_in("ann").await;
    loop {
        let answer = person.try_send(Method::POST, "/v1/me/feed", &headers, &draft);
        match answer.await {
            Ok(answer) if answer.status == 201 => {
                acknowledged.push(answer.header("location").to_owned());
            }
            Ok(answer) if answer.status == 429 => {
                person = stranger(&server)
                    .sign_in(&name(people.next().unwrap()))
                    .await;
            }
            _ => break,
        }
    }
    assert!(!acknowledged.is_empty());
    let status = server.end().unwrap();
    assert_eq!(status.code(), Some(1), "a supervisor starts it again");
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains("the database takes no more writes: "), "{log}");

    let server = start(folder.path());
    let ann = stranger(&server).sign_in("ann").await;
    for post in acknowledged {
        assert_eq!(ann.get(&post).await.status, 200);
    }
    ann.publish("there is room again").await;
}

/// As a clock that was an hour ahead leaves it.
async fn leave_a_mark_ahead(data: &Path) {
    let database = Database::create(data.join("feed.redb")).unwrap();
    let writer = Writer::start(Arc::new(database), WriterOptions::default()).unwrap();
    let marks = RedbHighWater::new(&writer, "feed.main");
    let last = marks.load().await.unwrap();
    let mark = Mark {
        until: SystemClock::new()
            .now()
            .saturating_add(Duration::from_secs(3_600)),
        holder: 1,
    };
    assert_eq!(marks.replace(last, mark).await.unwrap(), Replaced::Done);
}

#[tokio::test]
async fn it_serves_though_ids_are_ahead_of_the_clock_and_says_when_posts_are_taken() {
    let folder = tempfile::tempdir().unwrap();
    leave_a_mark_ahead(folder.path()).await;
    let log = File::create(folder.path().join("log")).unwrap();
    let server = Demo::start(command(folder.path()).stderr(log)).unwrap();
    let ann = stranger(&server).sign_in("ann").await;
    assert_eq!(ann.get("/v1/me/feed").await.bodies(), [""; 0]);
    let refused = ann.post("/v1/me/feed", json!({ "body": "hello" })).await;
    assert_eq!(refused.status, 503);
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((3_000..=3_600).contains(&wait), "{wait}");
    let log = fs::read_to_string(folder.path().join("log")).unwrap();
    assert!(log.contains("ids are ahead of the clock"), "{log}");
}

/// What the server has acknowledged before it was killed.
#[derive(Debug, Default)]
struct Acknowledged {
    /// Author's number, post and body.
    posts: Vec<(usize, String, String)>,
    /// The numbers of who follows, and whom.
    follows: Vec<(usize, usize)>,
    /// The number of who likes, and what.
    likes: Vec<(usize, String)>,
}

/// The same, with one permit for each post.
#[derive(Debug)]
struct Ledger {
    acknowledged: Mutex<Acknowledged>,
    posts: Semaphore,
}

const PEOPLE: usize = 6;

fn name(number: usize) -> String {
    format!("person_{number}")
}

/// Follows everybody, and then posts and likes until the server is gone.
async fn be_busy(me: usize, client: Client, ledger: Arc<Ledger>) -> Gone {
    for other in (0..PEOPLE).filter(|other| *other != me) {
        let path = format!("/v1/me/following/{}", name(other));
        let answer = client.try_send(Method::PUT, &path, &[], "").await?;
        assert_eq!(answer.status, 200, "{answer:?}");
        ledger.note(|all| all.follows.push((me, other)));
    }
    for round in 0.. {
        let body = format!("{me} says {round}");
        let draft = json!({ "body": body }).to_string();
        let headers = [("content-type", "application/json")];
        let answer = client.try_send(Method::POST, "/v1/me/feed", &headers, &draft);
        let answer = answer.await?;
        if answer.status == 503 {
            let wait = answer.header("retry-after").parse().unwrap();
            SystemClock::new().sleep(Duration::from_secs(wait)).await;
            continue;
        }
        assert_eq!(answer.status, 201, "{answer:?}");
        let post = answer.json()["id"].as_str().unwrap().to_owned();
        ledger.note(|all| all.posts.push((me, post.clone(), body)));
        ledger.posts.add_permits(1);

        let like = format!("/v1/posts/{post}/like");
        let answer = client.try_send(Method::PUT, &like, &[], "").await?;
        assert_eq!(answer.status, 200, "{answer:?}");
        ledger.note(|all| all.likes.push((me, post)));
    }
    Ok(())
}

/// The error is that of the last request.
type Gone = hyper::Result<()>;

impl Ledger {
    fn note(&self, change: impl FnOnce(&mut Acknowledged)) {
        change(&mut self.acknowledged.lock().unwrap());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_is_there_after_a_kill_under_load() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Arc::new(Ledger {
        acknowledged: Mutex::default(),
        posts: Semaphore::new(0),
    });
    let mut tokens = Vec::new();
    for _ in 0..2 {
        let server = start(folder.path());
        if tokens.is_empty() {
            for number in 0..PEOPLE {
                let client = stranger(&server).sign_in(&name(number)).await;
                tokens.push(client.token);
            }
        }
        // The tokens of the first process, at a new address.
        let clients = tokens.iter().cloned().map(|token| Client {
            token,
            ..stranger(&server)
        });
        let lives = clients
            .enumerate()
            .map(|(me, client)| tokio::spawn(be_busy(me, client, Arc::clone(&ledger))));
        let lives: Vec<_> = lives.collect();
        let enough = timeout(PATIENCE, ledger.posts.acquire_many(60));
        enough.await.unwrap().unwrap().forget();
        server.end_by("KILL").unwrap();
        for life in timeout(PATIENCE, join_all(lives)).await.unwrap() {
            assert!(life.unwrap().is_err(), "the server was killed");
        }
    }

    let server = start(folder.path());
    let all = std::mem::take(&mut *ledger.acknowledged.lock().unwrap());
    let person = |number: usize| Client {
        token: tokens[number].clone(),
        ..stranger(&server)
    };
    for (author, post, body) in &all.posts {
        let seen = person(*author).get(&format!("/v1/posts/{post}")).await;
        assert_eq!(seen.json()["body"], **body, "{seen:?}");
    }
    for (viewer, post) in &all.likes {
        let seen = person(*viewer)
            .get(&format!("/v1/posts/{post}"))
            .await
            .json();
        assert_eq!(
            (&seen["liked"], &seen["likes"]),
            (&json!(true), &json!(1)),
            "{seen}"
        );
    }
    for (viewer, author) in &all.follows {
        let path = format!("/v1/users/{}", name(*author));
        let profile = person(*viewer).get(&path).await.json();
        assert_eq!(profile["followed"], true);
    }
    // Everybody follows everybody, so each home feed has every post, whatever fanout was cut short.
    let mut wanted: Vec<_> = all.posts.iter().map(|(_, post, _)| post.clone()).collect();
    wanted.sort_unstable();
    for number in 0..PEOPLE {
        let found = home(&person(number)).await;
        let missing: Vec<_> = wanted
            .iter()
            .filter(|post| !found.contains(*post))
            .collect();
        assert!(missing.is_empty(), "{number} misses {missing:?}");
    }
}

/// The ids of a whole home feed.
async fn home(client: &Client) -> Vec<String> {
    let mut found = Vec::new();
    let mut path = "/v1/me/feed?limit=200".to_owned();
    loop {
        let page = client.get(&path).await.json();
        let items = page["items"].as_array().unwrap().iter();
        found.extend(items.map(|item| item["id"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => path = format!("/v1/me/feed?limit=200&cursor={next}"),
            None => return found,
        }
    }
}
