mod cluster;
mod wire;

use std::{io, net::SocketAddr, path::Path, process::Command};

pub use cluster::RedisCluster;

use self::wire::Asking;

use crate::{
    Engine, Result,
    catalogue::{REDIS, VALKEY},
    server::{Blow, Launch, Server},
};

/// A Redis server of its own, without persistence, for as long as this value lives.
///
/// A test binary whose cases only need separate key spaces shares one in a `static`: the server
/// ends with the process.
///
/// ```
/// use std::sync::LazyLock;
///
/// static REDIS: LazyLock<engines::Redis> = LazyLock::new(|| engines::Redis::start().unwrap());
/// assert!(REDIS.url().starts_with("redis://127.0.0.1:"));
/// ```
#[derive(Debug)]
pub struct Redis {
    server: Server,
    launcher: Launcher,
}

impl Redis {
    /// Starts a server on a free loopback port and waits until it answers `PING`.
    ///
    /// # Errors
    ///
    /// If Redis is not installed, ends at once or does not answer within about half a minute.
    /// Nothing is left behind.
    pub fn start() -> Result<Self> {
        let server = Server::start(&ALONE)?;
        Ok(Self {
            server,
            launcher: ALONE,
        })
    }

    /// Starts a server of Valkey, as [`start`](Self::start) does one of Redis.
    ///
    /// # Errors
    ///
    /// As for [`start`](Self::start).
    pub fn start_valkey() -> Result<Self> {
        let launcher = Launcher {
            engine: &VALKEY,
            ..ALONE
        };
        let server = Server::start(&launcher)?;
        Ok(Self { server, launcher })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// The address in the form that Redis clients take.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}/", self.address())
    }

    /// Kills it as a crash of its machine does.
    ///
    /// # Errors
    ///
    /// If it is dead already.
    pub fn kill(&self) -> Result<()> {
        self.server.suffer(Blow::Kill)
    }

    /// Stops it where it stands: it keeps its connections and its memory, and answers nothing until it
    /// is [resumed](Self::resume).
    ///
    /// # Errors
    ///
    /// If it is dead.
    pub fn pause(&self) -> Result<()> {
        self.server.suffer(Blow::Pause)
    }

    /// Lets it go on after a [pause](Self::pause).
    ///
    /// # Errors
    ///
    /// If it is dead.
    pub fn resume(&self) -> Result<()> {
        self.server.suffer(Blow::Resume)
    }

    /// Kills it unless it is dead, and starts it again at the same address with nothing in it.
    ///
    /// # Errors
    ///
    /// As for [`start`](Self::start).
    pub fn restart_empty(&self) -> Result<()> {
        self.server.restart(&self.launcher)
    }
}

/// Starts a server on its own, or one that waits to be part of a Cluster.
#[derive(Clone, Copy, Debug)]
struct Launcher {
    engine: &'static Engine,
    cluster: bool,
}

const ALONE: Launcher = Launcher {
    engine: &REDIS,
    cluster: false,
};

const NODE: Launcher = Launcher {
    engine: &REDIS,
    cluster: true,
};

impl Launch for Launcher {
    fn engine(&self) -> &'static Engine {
        self.engine
    }

    fn command(&self, program: &Path, address: SocketAddr, directory: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .args(["--bind", &address.ip().to_string()])
            .args(["--port", &address.port().to_string()])
            .args(["--save", "", "--appendonly", "no", "--daemonize", "no"])
            .arg("--dir")
            .arg(directory);
        if self.cluster {
            command
                .args(["--cluster-enabled", "yes"])
                .args(["--cluster-node-timeout", cluster::NODE_TIMEOUT])
                .args(["--repl-diskless-sync-delay", "0"]);
        }
        command
    }

    fn suits(&self, address: SocketAddr) -> bool {
        !self.cluster || address.port().checked_add(cluster::BUS_PORT).is_some()
    }

    fn probe(&self, address: SocketAddr, directory: &Path) -> io::Result<()> {
        // The directory tells our server from a stranger's that was quicker to take the port.
        let ours = format!("dir\n{}", directory.display());
        if Asking::of(address)?.ask(&["CONFIG", "GET", "dir"])? == ours {
            return Ok(());
        }
        Err(io::Error::other("another server answered"))
    }
}
