//! Commands that arrive once more, at any later time: because the client of a Cluster repeats them, or as
//! those of a process that was thought to be dead.

use futures::{StreamExt as _, future::join_all, stream::BoxStream};

use crate::house::{Operator, client};

use super::{Place, Process};

/// All commands that servers were sent, to be sent again.
pub(crate) struct Tape {
    process: Process,
    servers: Vec<Heard>,
    commands: Vec<Vec<Vec<u8>>>,
    _engine: Engine,
}

#[expect(dead_code, reason = "they run as long as this lives")]
enum Engine {
    Server(engines::Redis),
    Cluster(engines::RedisCluster),
}

/// What a server is sent.
struct Heard {
    lines: BoxStream<'static, String>,
    operator: Operator,
}

const MARK: &str = "so-far";

impl Tape {
    pub(crate) async fn new(place: Place) -> Self {
        let (process, urls, engine) = match place {
            Place::Server => {
                let server = engines::Redis::start().unwrap();
                let process = Process::at(&[server.url()]).await;
                (process, vec![server.url()], Engine::Server(server))
            }
            Place::Cluster => {
                let cluster = engines::RedisCluster::start(3, 0).unwrap();
                let process = Process::at(&cluster.urls()).await;
                (process, cluster.urls(), Engine::Cluster(cluster))
            }
        };
        Self {
            process,
            servers: join_all(urls.iter().map(|url| Heard::at(url))).await,
            commands: Vec::new(),
            _engine: engine,
        }
    }

    pub(crate) const fn process(&self) -> &Process {
        &self.process
    }

    /// Remembers what was sent since it was last asked to, or to forget it.
    pub(crate) async fn remember(&mut self) {
        let sent = self.sent().await;
        self.commands.extend(sent);
    }

    pub(crate) async fn forget(&mut self) {
        self.sent().await;
    }

    /// Sends a command once more.
    pub(crate) async fn replay(&mut self, rng: &mut fastrand::Rng) {
        // Most are late by a little.
        let window = if rng.bool() { 12 } else { self.commands.len() };
        let first = self.commands.len().saturating_sub(window);
        let Some(command) = rng.choice(&self.commands[first..]) else {
            return;
        };
        let mut late = redis::Cmd::new();
        for part in command {
            late.arg(part);
        }
        self.process.redis.command("late", &late).await.unwrap();
        self.forget().await;
    }

    async fn sent(&mut self) -> Vec<Vec<Vec<u8>>> {
        let mut sent = Vec::new();
        for server in &mut self.servers {
            sent.extend(server.sent().await);
        }
        sent
    }
}

impl Heard {
    async fn at(url: &str) -> Self {
        let monitor = client(url).get_async_monitor().await.unwrap();
        Self {
            lines: monitor.into_on_message().boxed(),
            operator: Operator::of(url).await,
        }
    }

    async fn sent(&mut self) -> Vec<Vec<Vec<u8>>> {
        self.operator.order(&format!("ECHO {MARK}")).await;
        let mut sent = Vec::new();
        loop {
            let line = self.lines.next().await.unwrap();
            if line.contains(" lua] ") {
                continue;
            }
            let command = parts(&line);
            if command.get(1).is_some_and(|part| part == MARK.as_bytes()) {
                return sent;
            }
            sent.push(command);
        }
    }
}

/// The parts of a command, each in quotes, as `MONITOR` writes them.
fn parts(line: &str) -> Vec<Vec<u8>> {
    let mut bytes = line.bytes();
    let (mut parts, mut part) = (Vec::new(), None::<Vec<u8>>);
    while let Some(byte) = bytes.next() {
        match (&mut part, byte) {
            (None, b'"') => part = Some(Vec::new()),
            (None, _) => {}
            (Some(_), b'"') => parts.extend(part.take()),
            (Some(part), b'\\') => part.push(match bytes.next().unwrap() {
                b'x' => {
                    let digits = [bytes.next().unwrap(), bytes.next().unwrap()];
                    u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
                }
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'a' => 7,
                b'b' => 8,
                itself => itself,
            }),
            (Some(part), byte) => part.push(byte),
        }
    }
    parts
}
