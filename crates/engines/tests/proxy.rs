//! What [`Proxy`] does to connections, before a real server.
#![expect(clippy::unwrap_used, reason = "a test panics to fail")]

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    time::Duration,
};

use engines::{Proxy, Redis, RedisCluster, Way};

const PING: &[u8] = b"*1\r\n$4\r\nPING\r\n";
const PONG: &[u8] = b"+PONG\r\n";

/// Longer than any answer takes that is on its way.
const QUIET: Duration = Duration::from_millis(200);

/// A server behind a proxy, and a client of it.
struct House {
    _redis: Redis,
    proxy: Proxy,
    client: TcpStream,
}

impl House {
    fn new() -> Self {
        let redis = Redis::start().unwrap();
        let proxy = Proxy::start(redis.address()).unwrap();
        let mut house = Self {
            client: connect(&proxy),
            _redis: redis,
            proxy,
        };
        house.ping();
        house.hear(PONG);
        house
    }

    fn ping(&mut self) {
        self.client.write_all(PING).unwrap();
    }

    fn hear(&mut self, expected: &[u8]) {
        let mut answer = vec![0; expected.len()];
        self.client.set_read_timeout(None).unwrap();
        self.client.read_exact(&mut answer).unwrap();
        assert_eq!(answer, expected);
    }

    fn hears_nothing(&mut self) {
        self.client.set_read_timeout(Some(QUIET)).unwrap();
        let heard = self.client.read(&mut [0]);
        assert_eq!(heard.unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    fn hears_the_end(&mut self) {
        self.client.set_read_timeout(None).unwrap();
        // Where there was something to read, the end is a reset.
        assert_eq!(self.client.read(&mut [0]).unwrap_or(0), 0);
    }
}

fn connect(proxy: &Proxy) -> TcpStream {
    TcpStream::connect(proxy.address()).unwrap()
}

#[test]
fn commands_that_wait_for_no_answer_are_one_round_trip() {
    let mut house = House::new();
    let _ = house.proxy.take_traffic();
    house.proxy.delay(Way::ToClient, QUIET);
    house.ping();
    house.client.write_all(&[PING, PING].concat()).unwrap();
    house.hear(&PONG.repeat(3));
    house.ping();
    house.hear(PONG);
    let traffic = house.proxy.take_traffic();
    assert_eq!((traffic.round_trips, traffic.commands["PING"]), (2, 4));
    assert_eq!(house.proxy.take_traffic().round_trips, 0);
}

#[test]
fn what_is_held_arrives_once_it_passes() {
    for way in [Way::ToServer, Way::ToClient] {
        let mut house = House::new();
        house.proxy.hold(way);
        house.ping();
        house.hears_nothing();
        house.proxy.pass(way);
        house.hear(PONG);
    }
}

#[test]
fn the_end_of_a_connection_is_held_too() {
    let mut house = House::new();
    house.proxy.hold(Way::ToClient);
    // To which the server answers by the end of the connection.
    house.client.shutdown(Shutdown::Write).unwrap();
    house.hears_nothing();
    house.proxy.pass(Way::ToClient);
    house.hears_the_end();
}

#[test]
fn what_is_held_is_lost_when_it_is_cut() {
    let mut house = House::new();
    house.proxy.hold(Way::ToServer);
    house
        .client
        .write_all(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n")
        .unwrap();
    house.hears_nothing();
    house.proxy.cut();
    house.hears_the_end();
    house.proxy.pass(Way::ToServer);
    house.client = connect(&house.proxy);
    house
        .client
        .write_all(b"*2\r\n$6\r\nEXISTS\r\n$1\r\nk\r\n")
        .unwrap();
    house.hear(b":0\r\n");
}

#[test]
fn one_way_may_end_alone() {
    let mut house = House::new();
    house.proxy.half_close(Way::ToClient);
    house.hears_the_end();
    let increment = b"*2\r\n$4\r\nINCR\r\n$1\r\nk\r\n";
    house.client.write_all(increment).unwrap();
    house.client = connect(&house.proxy);
    loop {
        house
            .client
            .write_all(b"*2\r\n$6\r\nEXISTS\r\n$1\r\nk\r\n")
            .unwrap();
        let mut answer = [0; 4];
        house.client.read_exact(&mut answer).unwrap();
        if &answer == b":1\r\n" {
            break;
        }
    }
}

#[test]
fn refused_connections_end_at_once_and_others_stay() {
    let mut house = House::new();
    house.proxy.refuse();
    assert_eq!(connect(&house.proxy).read(&mut [0]).unwrap_or(0), 0);
    house.ping();
    house.hear(PONG);
    house.proxy.admit();
    house.client = connect(&house.proxy);
    house.ping();
    house.hear(PONG);
}

#[test]
fn connections_end_with_the_proxy() {
    let mut house = House::new();
    let address = house.proxy.address();
    house.proxy = Proxy::start(address).unwrap();
    house.hears_the_end();
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn clients_of_a_cluster_are_sent_to_its_proxies() {
    let cluster = RedisCluster::start_behind_proxies(3, 0).unwrap();
    let mut client = connect(&cluster.proxies()[0]);
    client
        .write_all(b"*2\r\n$7\r\nCLUSTER\r\n$5\r\nSLOTS\r\n")
        .unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut slots = String::new();
    client.read_to_string(&mut slots).unwrap();
    assert_eq!(slots.matches("127.0.0.1").count(), 3);
    for proxy in cluster.proxies() {
        let port = format!(":{}\r\n", proxy.address().port());
        assert!(slots.contains(&port), "no {port} in {slots}");
    }
}
