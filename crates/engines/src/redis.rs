use std::{
    io::{self, BufRead, BufReader, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::Command,
    time::Duration,
};

use crate::{
    Engine, Result,
    catalogue::REDIS,
    server::{Launch, Server},
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
}

impl Redis {
    /// Starts a server on a free loopback port and waits until it answers `PING`.
    ///
    /// # Errors
    ///
    /// If Redis is not installed, ends at once or does not answer within about half a minute.
    /// Nothing is left behind.
    pub fn start() -> Result<Self> {
        let server = Server::start(&Standalone)?;
        Ok(Self { server })
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
}

struct Standalone;

impl Launch for Standalone {
    const ENGINE: Engine = REDIS;

    fn command(&self, program: &Path, address: SocketAddr, directory: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .args(["--bind", &address.ip().to_string()])
            .args(["--port", &address.port().to_string()])
            .args([
                "--save",
                "",
                "--appendonly",
                "no",
                "--daemonize",
                "no",
                "--dir",
            ])
            .arg(directory);
        command
    }

    fn probe(&self, address: SocketAddr, directory: &Path) -> io::Result<()> {
        const PATIENCE: Duration = Duration::from_secs(1);
        let mut connection = TcpStream::connect_timeout(&address, PATIENCE)?;
        connection.set_read_timeout(Some(PATIENCE))?;
        connection.write_all(b"PING\r\nCONFIG GET dir\r\n")?;
        let mut lines = BufReader::new(connection).lines();
        let mut answers = |wanted: &str| lines.next().is_some_and(|l| l.is_ok_and(|l| l == wanted));
        // The directory tells our server from a stranger's that was quicker to take the port.
        let directory = directory.to_string_lossy();
        let length = format!("${}", directory.len());
        let ours = ["+PONG", "*2", "$3", "dir", &length, &directory]
            .into_iter()
            .all(&mut answers);
        ours.then_some(())
            .ok_or_else(|| io::Error::other("another server answered"))
    }
}
