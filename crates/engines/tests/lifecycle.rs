//! What [`Redis`] promises about its start and its end, on a real server.

use std::{
    env,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    panic,
    process::{Command, Stdio},
};

use engines::{Flavour, Redis};

#[test]
fn a_started_server_answers() {
    let redis = Redis::start().unwrap();
    assert!(answers(redis.address()));
    assert_eq!(redis.url(), format!("redis://{}/", redis.address()));
}

#[test]
fn two_servers_share_nothing() {
    let (one, two) = (Redis::start().unwrap(), Redis::start().unwrap());
    assert_eq!(ask(one.address(), "SET k v\r\n", 5).unwrap(), "+OK\r\n");
    assert_eq!(ask(two.address(), "EXISTS k\r\n", 4).unwrap(), ":0\r\n");
}

#[test]
fn drop_stops_the_server() {
    let redis = Redis::start().unwrap();
    let address = redis.address();
    drop(redis);
    assert!(!answers(address));
}

#[test]
fn a_panic_stops_the_server() {
    let mut address = None;
    let outcome = panic::catch_unwind(panic::AssertUnwindSafe(|| {
        let redis = Redis::start().unwrap();
        address = Some(redis.address());
        panic!("on purpose");
    }));
    assert!(outcome.is_err());
    assert!(!answers(address.unwrap()));
}

/// This test is its own child: with [`CHILD`] set it starts a server, says where, and hangs until
/// it is killed.
#[test]
fn a_killed_test_process_takes_its_server_along() {
    const CHILD: &str = "ENGINES_TEST_CHILD";
    if env::var_os(CHILD).is_some() {
        let redis = Redis::start().unwrap();
        eprintln!("{}", redis.address());
        let _ = std::io::stdin().read(&mut [0]);
        unreachable!("the parent kills this process before it closes its input");
    }
    let mut child = Command::new(env::current_exe().unwrap())
        .args([
            "--exact",
            "a_killed_test_process_takes_its_server_along",
            "--nocapture",
        ])
        .env(CHILD, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stderr.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let address = line.trim().parse().unwrap();
    let mut connection = TcpStream::connect(address).unwrap();
    assert!(answers(address));

    child.kill().unwrap();
    child.wait().unwrap();
    // The end of the server is the end of this connection.
    assert_eq!(connection.read(&mut [0]).unwrap_or(0), 0);
    assert!(!answers(address));
}

fn answers(address: SocketAddr) -> bool {
    ask(address, "PING\r\n", 7).is_ok_and(|answer| answer == "+PONG\r\n")
}

fn ask(address: SocketAddr, request: &str, length: usize) -> std::io::Result<String> {
    let mut connection = TcpStream::connect(address)?;
    connection.write_all(request.as_bytes())?;
    let mut answer = vec![0; length];
    connection.read_exact(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[test]
fn a_cluster_with_replicas_serves_every_slot() {
    let cluster = engines::RedisCluster::start(3, 1).unwrap();
    let first = &cluster.urls()[0];
    let address = first["redis://".len()..].trim_end_matches('/');
    let slots = ask(address.parse().unwrap(), "CLUSTER INFO\r\n", 400).unwrap();
    assert!(slots.contains("cluster_slots_ok:16384"), "{slots}");
    assert!(slots.contains("cluster_size:3"), "{slots}");
}

#[test]
fn a_server_is_of_the_flavour_that_was_asked_for() {
    for (flavour, said) in [
        (Flavour::Redis, "redis_version:"),
        (Flavour::Redis62, "redis_version:6.2."),
        (Flavour::Valkey, "valkey_version:"),
    ] {
        let server = Redis::start_as(flavour).unwrap();
        let about = ask(server.address(), "INFO server\r\n", 150).unwrap();
        assert!(about.contains(said), "{flavour:?}: {about}");
    }
}

#[test]
fn a_server_that_loads_says_so_until_it_is_let_finish() {
    for flavour in [Flavour::Redis, Flavour::Valkey] {
        let redis = Redis::start_as(flavour).unwrap();
        let value = "v".repeat(1_000);
        for key in 0..100 {
            let set = format!("SET {key} {value}\r\n");
            assert_eq!(ask(redis.address(), &set, 5).unwrap(), "+OK\r\n");
        }
        redis.save().unwrap();
        redis.restart_loading().unwrap();
        assert_eq!(ask(redis.address(), "GET 1\r\n", 8).unwrap(), "-LOADING");
        redis.finish_loading().unwrap();
        assert_eq!(ask(redis.address(), "DBSIZE\r\n", 6).unwrap(), ":100\r\n");
        redis.restart_empty().unwrap();
        assert_eq!(ask(redis.address(), "DBSIZE\r\n", 4).unwrap(), ":0\r\n");
        redis.save().unwrap();
        let error = redis.restart_loading().unwrap_err().to_string();
        assert!(error.contains("more has to be saved"), "{error}");
    }
}

#[test]
fn a_killed_server_is_gone_and_starts_again_with_nothing_in_it() {
    let redis = Redis::start().unwrap();
    assert_eq!(ask(redis.address(), "SET k v\r\n", 5).unwrap(), "+OK\r\n");
    redis.kill().unwrap();
    assert!(!answers(redis.address()));
    assert!(redis.kill().is_err(), "it is dead");
    for _ in 0..2 {
        redis.restart_empty().unwrap();
        assert_eq!(ask(redis.address(), "EXISTS k\r\n", 4).unwrap(), ":0\r\n");
        assert_eq!(ask(redis.address(), "SET k v\r\n", 5).unwrap(), "+OK\r\n");
    }
}

#[test]
fn a_paused_server_answers_once_it_is_resumed() {
    let redis = Redis::start().unwrap();
    redis.pause().unwrap();
    let mut connection = TcpStream::connect(redis.address()).unwrap();
    connection.write_all(b"PING\r\n").unwrap();
    let quiet = std::time::Duration::from_millis(100);
    connection.set_read_timeout(Some(quiet)).unwrap();
    assert!(connection.read(&mut [0]).is_err());
    redis.resume().unwrap();
    connection.set_read_timeout(None).unwrap();
    let mut answer = [0; 7];
    connection.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"+PONG\r\n");
}

#[test]
fn a_paused_server_is_stopped_as_others_are() {
    let redis = Redis::start().unwrap();
    let address = redis.address();
    redis.pause().unwrap();
    drop(redis);
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn a_node_that_starts_again_is_the_same_node_of_its_cluster() {
    let cluster = engines::RedisCluster::start(3, 0).unwrap();
    let id = |node: usize| {
        let url = &cluster.urls()[node];
        let address = url["redis://".len()..].trim_end_matches('/');
        ask(address.parse().unwrap(), "CLUSTER MYID\r\n", 47).unwrap()
    };
    let before = [0, 1, 2].map(id);
    cluster.restart_empty(1).unwrap();
    assert_eq!([0, 1, 2].map(id), before);
    assert!(cluster.kill(3).is_err(), "there is no such node");
}
