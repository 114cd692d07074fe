mod cluster;
mod flavour;
mod loading;
mod wire;

use std::{io, net::SocketAddr, path::Path, process::Command};

pub use cluster::RedisCluster;
pub use flavour::Flavour;

use self::wire::Asking;

use crate::{
    Engine, Result,
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
        Self::start_as(Flavour::Redis)
    }

    /// Starts a server of `flavour`, as [`start`](Self::start) does.
    ///
    /// # Errors
    ///
    /// As for [`start`](Self::start).
    pub fn start_as(flavour: Flavour) -> Result<Self> {
        let launcher = Launcher::alone(flavour);
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

    /// Has it write all its keys to disk, for [`restart_loading`](Self::restart_loading).
    ///
    /// # Errors
    ///
    /// If it does not answer, or cannot write.
    pub fn save(&self) -> Result<()> {
        loading::save(&self.server)
    }

    /// Kills it unless it is dead, and starts it again at the same address with what it has saved. It
    /// answers `LOADING` when this returns, and for a tenth of a second for each key or until it is to
    /// [finish](Self::finish_loading).
    ///
    /// A server looks at its connections once in a kilobyte of what it loads, so there have to be some.
    /// Redis 6.2 does once in two megabytes, and so cannot start like this.
    ///
    /// # Errors
    ///
    /// As for [`start`](Self::start), or if it has loaded everything by the time that it answers.
    pub fn restart_loading(&self) -> Result<()> {
        loading::restart_loading(&self.server, self.launcher)
    }

    /// Lets it load the rest as fast as it can, and waits until it has.
    ///
    /// # Errors
    ///
    /// If it does not answer, or has not loaded everything within about half a minute.
    pub fn finish_loading(&self) -> Result<()> {
        loading::finish_loading(&self.server)
    }
}

/// Starts a server on its own, or one that waits to be part of a Cluster.
#[derive(Clone, Copy, Debug)]
struct Launcher {
    engine: &'static Engine,
    cluster: bool,
    /// Whether it begins with what was saved, and takes its time over it.
    loading: bool,
}

impl Launcher {
    const fn alone(flavour: Flavour) -> Self {
        Self {
            engine: flavour.engine(),
            cluster: false,
            loading: false,
        }
    }

    const fn node(flavour: Flavour) -> Self {
        Self {
            cluster: true,
            ..Self::alone(flavour)
        }
    }
}

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
                // However long a replica was cut off, it takes over.
                .args(["--cluster-replica-validity-factor", "0"])
                .args(["--repl-diskless-sync-delay", "0"]);
        }
        if self.loading {
            let between = "--loading-process-events-interval-bytes";
            command
                .args(["--dbfilename", loading::SAVED])
                .args(["--key-load-delay", loading::KEY_DELAY])
                .args([between, loading::BYTES_BETWEEN_LOOKS]);
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
