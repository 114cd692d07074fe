//! A network between a client and a server that can be disturbed.

mod link;
mod traffic;

use std::{
    fmt, io,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak},
    thread::{self, JoinHandle},
    time::Duration,
};

use self::link::Link;
pub(crate) use self::traffic::Tally;
pub use self::traffic::Traffic;

/// A proxy of TCP on loopback: it passes on what clients and a server send each other, counts the
/// commands if they are those of Redis, and disturbs them as a network does.
///
/// Whatever is said of a way holds for all connections, those that are made later too, until the
/// opposite is said. Connections end with this value.
///
/// ```
/// use std::{io::{Read, Write}, net::TcpStream};
///
/// let redis = engines::Redis::start()?;
/// let proxy = engines::Proxy::start(redis.address())?;
/// let mut connection = TcpStream::connect(proxy.address())?;
/// connection.write_all(b"*1\r\n$4\r\nPING\r\n")?;
/// connection.read_exact(&mut [0; 7])?;
/// let traffic = proxy.take_traffic();
/// assert_eq!((traffic.round_trips, traffic.commands["PING"]), (1, 1));
///
/// proxy.cut();
/// assert_eq!(connection.read(&mut [0])?, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Proxy {
    network: Arc<Network>,
    address: SocketAddr,
    doorkeeper: Option<JoinHandle<()>>,
}

/// One direction of a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a connection has two directions")]
pub enum Way {
    /// From clients to the server.
    ToServer,
    /// From the server to its clients.
    ToClient,
}

/// What the threads share.
struct Network {
    tally: Arc<Tally>,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    server: SocketAddr,
    is_over: bool,
    refuses: bool,
    to_server: Weather,
    to_client: Weather,
    links: Vec<Weak<Link>>,
}

#[derive(Clone, Copy, Default)]
struct Weather {
    is_held: bool,
    delay: Duration,
}

impl Proxy {
    /// Listens on a free loopback port for clients of `server`.
    ///
    /// # Errors
    ///
    /// If there is no free port.
    pub fn start(server: SocketAddr) -> io::Result<Self> {
        Self::start_counting(server, Arc::default())
    }

    pub(crate) fn start_counting(server: SocketAddr, tally: Arc<Tally>) -> io::Result<Self> {
        let door = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = door.local_addr()?;
        let network = Arc::new(Network {
            tally,
            state: Mutex::new(State::of(server)),
            changed: Condvar::new(),
        });
        let inside = Arc::clone(&network);
        Ok(Self {
            network,
            address,
            doorkeeper: Some(thread::spawn(move || inside.admit_from(&door))),
        })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address in the form that clients of Redis take.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}/", self.address)
    }

    /// What clients have sent since this was last asked. The proxies of a Cluster count together.
    #[must_use]
    pub fn take_traffic(&self) -> Traffic {
        self.network.tally.take()
    }

    /// Has what goes one way arrive later by `time`, or by up to twice that if more is on its way.
    pub fn delay(&self, way: Way, time: Duration) {
        self.network.change(|state| state.on(way).delay = time);
    }

    /// Lets nothing arrive that goes one way, also not the end of a connection. As in a network that
    /// loses every packet, what was sent arrives once it [passes](Self::pass) again.
    pub fn hold(&self, way: Way) {
        self.network.change(|state| state.on(way).is_held = true);
    }

    /// Lets what goes one way arrive, at once.
    pub fn pass(&self, way: Way) {
        self.network
            .change(|state| *state.on(way) = Weather::default());
    }

    /// Ends all connections. What is held does not arrive any more.
    pub fn cut(&self) {
        self.network.change(State::cut);
    }

    /// Ends one way of all connections that there are: the receiver sees the end, the sender does not,
    /// and what it sends is lost.
    pub fn half_close(&self, way: Way) {
        self.network.change(|state| {
            for link in state.links() {
                link.half_close(way);
            }
        });
    }

    /// Ends connections that are made from now on as soon as they are.
    pub fn refuse(&self) {
        self.network.change(|state| state.refuses = true);
    }

    /// Leads connections that are made from now on to another server.
    pub fn lead_to(&self, server: SocketAddr) {
        self.network.change(|state| state.server = server);
    }

    /// Takes connections again.
    pub fn admit(&self) {
        self.network.change(|state| state.refuses = false);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.network.change(|state| {
            state.is_over = true;
            state.cut();
        });
        // It is woken by one more connection, and ends.
        let woken = TcpStream::connect(self.address);
        if let (Ok(_), Some(doorkeeper)) = (woken, self.doorkeeper.take()) {
            let _ = doorkeeper.join();
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("address", &self.address)
            .field("server", &self.network.state().server)
            .finish_non_exhaustive()
    }
}

impl Network {
    fn admit_from(self: &Arc<Self>, door: &TcpListener) {
        for client in door.incoming() {
            let State {
                server,
                is_over,
                refuses,
                ..
            } = *self.state();
            if is_over {
                return;
            }
            if refuses {
                continue;
            }
            // Where the server cannot be reached, neither can the proxy.
            if let Ok(link) = client.and_then(|client| Link::new(client, server)) {
                self.carry(&Arc::new(link));
            }
        }
    }

    fn carry(self: &Arc<Self>, link: &Arc<Link>) {
        let links = &mut self.state().links;
        links.retain(|link| link.strong_count() > 0);
        links.push(Arc::downgrade(link));
        for way in [Way::ToServer, Way::ToClient] {
            let (network, link) = (Arc::clone(self), Arc::clone(link));
            thread::spawn(move || link::carry(&network, &link, way));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.notify_all();
    }

    /// Waits as long as the way is held.
    fn wait_to_pass(&self, link: &Link, way: Way) {
        let delay = self.state().on(way).delay;
        thread::sleep(delay);
        let mut state = self.state();
        while state.on(way).is_held && !link.is_cut() {
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl State {
    fn of(server: SocketAddr) -> Self {
        Self {
            server,
            is_over: false,
            refuses: false,
            to_server: Weather::default(),
            to_client: Weather::default(),
            links: Vec::new(),
        }
    }

    const fn on(&mut self, way: Way) -> &mut Weather {
        match way {
            Way::ToServer => &mut self.to_server,
            Way::ToClient => &mut self.to_client,
        }
    }

    fn links(&self) -> impl Iterator<Item = Arc<Link>> {
        self.links.iter().filter_map(Weak::upgrade)
    }

    fn cut(&mut self) {
        for link in self.links() {
            link.cut();
        }
        self.links.clear();
    }
}
