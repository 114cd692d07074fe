//! Who is there, on servers that are full, have lost something or hold what is not ours, and where calls meet.

use std::time::Duration;

use backend_redis::{Redis, RedisPresence, RedisPresenceOptions};
use backplane::{
    Timestamp,
    directory::{Incarnation, Tenure},
};
use chat_core::{
    ErrorKind, UserId,
    presence::{
        Change, Mode, NodeJoined, NodeLease, Presence, PresenceState, Published, Report, Reported,
        Setting, StateRead, Status,
    },
};
use engines::{Proxy, Way};

use crate::house::{Server, connect, until};

const MINUTE: Duration = Duration::from_secs(60);

/// Users whose keys are text.
const ANN: UserId = UserId::new(u64::from_be_bytes(*b"user:ann"));
const BOB: UserId = UserId::new(u64::from_be_bytes(*b"user:bob"));

fn presence(redis: &Redis) -> RedisPresence {
    let options = RedisPresenceOptions::default().with_parts(1);
    RedisPresence::new(redis.clone(), options)
}

async fn join(presence: &RedisPresence, node: &str) -> NodeLease {
    let joined = presence.join(node, Incarnation::new(1), MINUTE).await;
    match joined.unwrap() {
        NodeJoined::Held(lease) => lease,
        refused => panic!("{refused:?}"),
    }
}

fn state(status: Status) -> PresenceState {
    PresenceState::new(status, Some(Timestamp::from_millis(5)), false)
}

async fn report(
    presence: &RedisPresence,
    lease: &NodeLease,
    sequence: u64,
    status: Status,
) -> Option<Change> {
    let report = Report::new(ANN, sequence, state(status));
    match presence.report(lease, &[report]).await.unwrap() {
        Reported::Held(changes) => Some(changes[0]),
        Reported::Lost => None,
    }
}

async fn seen(presence: &RedisPresence) -> Published {
    let seen = presence.states(&[StateRead::new(ANN)]).await.unwrap();
    seen[0].unwrap_or_else(|| Published::unknown(ANN))
}

/// Whoever cannot be told that somebody is there can still see that a node is gone, and nodes are not taken for gone.
#[tokio::test]
async fn leases_go_on_where_memory_is_full_and_reports_are_refused() {
    let server = Server::start().await;
    let presence = presence(&server.redis);
    let [a, b] = [join(&presence, "a").await, join(&presence, "b").await];
    report(&presence, &a, 1, Status::Online).await.unwrap();
    server.order("CONFIG SET maxmemory 1").await;
    let more = Report::new(BOB, 1, state(Status::Online));
    let refused = presence.report(&b, &[more]).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Full);
    let refused = presence.join("c", Incarnation::new(1), MINUTE).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Full);
    assert_eq!(presence.renew(&b, MINUTE).await.unwrap(), Tenure::Held);
    assert_eq!(presence.leave(&a).await.unwrap(), Tenure::Held);
    let gone = seen(&presence).await;
    assert_eq!(gone.state.status, Status::Offline);
    let lapses = presence.lapsed(&[], 9).await.unwrap();
    assert_eq!(lapses[0].published, gone);
    assert_eq!(presence.lapsed(&lapses, 9).await.unwrap(), []);
}

/// A report under a lease that ends while it is on its way counts for nobody, and is told as what time has changed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_that_its_lease_does_not_outlive_is_told_as_a_lapse() {
    let server = Server::start().await;
    let proxy = Proxy::start(server.engine.address()).unwrap();
    let (far, near) = (
        presence(&connect(&[proxy.url()]).await),
        presence(&server.redis),
    );
    let lease = join(&far, "a").await;
    report(&far, &lease, 1, Status::Offline).await.unwrap();
    let _ = proxy.take_traffic();
    proxy.hold(Way::ToClient);
    let late = tokio::spawn({
        let (far, lease) = (far.clone(), lease.clone());
        async move { report(&far, &lease, 2, Status::Online).await }
    });
    let mut looked = 0;
    until("the report has looked", async || {
        looked += proxy.take_traffic().commands.get("EVALSHA").unwrap_or(&0);
        looked == 2
    })
    .await;
    assert_eq!(near.leave(&lease).await.unwrap(), Tenure::Held);
    assert_eq!(near.lapsed(&[], 9).await.unwrap(), []);
    proxy.pass(Way::ToClient);
    let told = late
        .await
        .unwrap()
        .expect("it was held when it was looked at");
    assert_eq!(told.published.state.status, Status::Online);
    let lapses = near.lapsed(&[], 9).await.unwrap();
    assert_eq!(lapses[0].published.state.status, Status::Offline);
    assert!(lapses[0].is_news && lapses[0].published.version > told.published.version);
    assert_eq!(seen(&near).await, lapses[0].published);
    assert_eq!(near.lapsed(&lapses, 9).await.unwrap(), []);
    assert_eq!(report(&near, &lease, 3, Status::Online).await, None);
}

/// On a server that may lack reports all nodes report anew, and of whom they do so is told again, as others may have
/// been told what is lost.
#[tokio::test]
async fn another_server_has_everybody_reported_and_told_anew() {
    let server = Server::start().await;
    let presence = presence(&server.redis);
    let lease = join(&presence, "a").await;
    report(&presence, &lease, 1, Status::Online).await.unwrap();
    let before = report(&presence, &lease, 2, Status::Offline).await.unwrap();
    server.order("REPLICAOF 127.0.0.1 1").await;
    server.order("REPLICAOF NO ONE").await;
    assert_eq!(report(&presence, &lease, 3, Status::Offline).await, None);
    assert_eq!(presence.renew(&lease, MINUTE).await.unwrap(), Tenure::Lost);
    let again = join(&presence, "a").await;
    assert!(again.token > lease.token);
    let after = report(&presence, &again, 4, Status::Offline).await.unwrap();
    assert_eq!(after.published.state, before.published.state);
    assert!(after.published.version > before.published.version);
    let told = presence.lapsed(&[], 9).await.unwrap();
    assert_eq!(told[0].published, after.published);
    assert!(told[0].is_news);
    assert_eq!(presence.lapsed(&told, 9).await.unwrap(), []);
}

/// A server that has lost everything gives no version and no token again.
#[tokio::test]
async fn versions_and_tokens_go_on_above_all_that_were_lost() {
    let server = Server::start().await;
    let presence = presence(&server.redis);
    let mut last = None;
    for _ in 0..2 {
        let lease = join(&presence, "a").await;
        let change = report(&presence, &lease, 1, Status::Online).await.unwrap();
        let erased = presence.erase(ANN).await.unwrap();
        let numbers = [
            change.published.version,
            change.own.version,
            erased.published.version,
        ];
        let now = (lease.token, numbers.iter().copied().min().unwrap());
        assert!(last.is_none_or(|(token, version)| token < now.0 && version < now.1));
        last = Some((lease.token, numbers.into_iter().max().unwrap()));
        server.order("FLUSHALL").await;
        assert_eq!(report(&presence, &lease, 2, Status::Online).await, None);
    }
}

/// A record that does not decode is nobody's, and what is said of the user next takes its place.
#[tokio::test]
async fn a_damaged_record_is_passed_over() {
    let server = Server::start().await;
    let presence = presence(&server.redis);
    let lease = join(&presence, "a").await;
    let damage = "HSET {presence:0}:users user:ann damaged";
    report(&presence, &lease, 1, Status::Online).await.unwrap();
    server.order(damage).await;
    assert_eq!(seen(&presence).await, Published::unknown(ANN));
    let back = report(&presence, &lease, 2, Status::Away).await.unwrap();
    assert_eq!(back.published.state.status, Status::Away);
    server.order(damage).await;
    presence.leave(&lease).await.unwrap();
    assert_eq!(presence.lapsed(&[], 9).await.unwrap(), []);
    let busy = Setting::new(Mode::DoNotDisturb);
    let set = presence.set(&[(ANN, busy)]).await.unwrap();
    assert_eq!(set[0].own.setting, busy);
}

/// Nothing is left of whoever is forgotten, and of nodes that were settled.
#[tokio::test]
async fn what_is_over_leaves_no_key() {
    let server = Server::start().await;
    let presence = presence(&server.redis);
    let keys = async || {
        let keys: Vec<String> = server.ask("KEYS {presence:*").await;
        keys.len()
    };
    let lease = join(&presence, "a").await;
    report(&presence, &lease, 1, Status::Online).await.unwrap();
    let ends = Timestamp::from_millis(9_000_000_000_000);
    let busy = Setting::new(Mode::DoNotDisturb).until(ends);
    presence.set(&[(ANN, busy)]).await.unwrap();
    assert_eq!(keys().await, 5, "numbers, users, timed, leases, at");
    presence.leave(&lease).await.unwrap();
    let told = presence.lapsed(&[], 9).await.unwrap();
    presence.lapsed(&told, 9).await.unwrap();
    presence.erase(ANN).await.unwrap();
    assert_eq!(keys().await, 1, "numbers alone");
}
