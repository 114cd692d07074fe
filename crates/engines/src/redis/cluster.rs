use std::{io, net::SocketAddr, sync::Arc, thread, time::Duration};

use super::{Asking, Flavour, Launcher};
use crate::{
    Error, Proxy, Result,
    error::Cause,
    proxy::Tally,
    server::{Blow, Server},
};

/// After how many milliseconds of silence the others take a node for dead.
pub(super) const NODE_TIMEOUT: &str = "1000";

/// Nodes talk to each other on a port that is larger by this.
pub(super) const BUS_PORT: u16 = 10_000;

const SLOTS: usize = 16_384;

/// Between two looks at a Cluster whose nodes do not agree yet.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// A minute and a half: nodes usually agree within a second.
const LOOKS: u32 = 4_500;

/// Two seconds, by which a node has met another or has given up.
const LOOKS_BETWEEN_MEETINGS: u32 = 100;

/// A Redis Cluster of its own, without persistence, for as long as this value lives.
///
/// ```
/// let cluster = engines::RedisCluster::start(3, 0)?;
/// assert_eq!(cluster.urls().len(), 3);
/// # Ok::<(), engines::Error>(())
/// ```
#[derive(Debug)]
pub struct RedisCluster {
    launcher: Launcher,
    nodes: Vec<Server>,
    proxies: Vec<Proxy>,
}

impl RedisCluster {
    /// Starts as many masters, with as many replicas each, and waits until all nodes agree that every
    /// slot is served.
    ///
    /// # Errors
    ///
    /// As for [`Redis::start`](crate::Redis::start), or if they do not agree within about half a minute.
    pub fn start(masters: usize, replicas: usize) -> Result<Self> {
        Self::start_as(Flavour::Redis, masters, replicas)
    }

    /// Starts a Cluster of servers of `flavour`, as [`start`](Self::start) does.
    ///
    /// # Errors
    ///
    /// As for [`start`](Self::start).
    pub fn start_as(flavour: Flavour, masters: usize, replicas: usize) -> Result<Self> {
        Self::start_nodes(flavour, masters * (1 + replicas))?.formed(masters)
    }

    /// As [`start`](Self::start), with a proxy before each node, which is where nodes say they are: so
    /// all that clients send goes through the proxies, and what replicas copy. What nodes tell each
    /// other of the state of the Cluster does not.
    ///
    /// # Errors
    ///
    /// As for [`start`](Self::start).
    pub fn start_behind_proxies(masters: usize, replicas: usize) -> Result<Self> {
        let mut cluster = Self::start_nodes(Flavour::Redis, masters * (1 + replicas))?;
        let tally = Arc::default();
        for node in &cluster.nodes {
            let proxy = announce_a_proxy(node.address(), &tally);
            let proxy = proxy.map_err(|e| cluster.cannot("announce a proxy", e))?;
            cluster.proxies.push(proxy);
        }
        cluster.formed(masters)
    }

    fn start_nodes(flavour: Flavour, count: usize) -> Result<Self> {
        let launcher = Launcher::node(flavour);
        let nodes: Result<Vec<_>> = (0..count).map(|_| Server::start(&launcher)).collect();
        Ok(Self {
            launcher,
            nodes: nodes?,
            proxies: Vec::new(),
        })
    }

    fn formed(self, masters: usize) -> Result<Self> {
        let joined = self.join(masters);
        joined.map_err(|e| self.cannot("form a cluster", e))?;
        Ok(self)
    }

    fn cannot(&self, what: &'static str, error: io::Error) -> Error {
        Error::new(self.launcher.engine, Cause::Io(what, error))
    }

    /// The addresses of all nodes, or of their proxies, in the form that Redis clients take.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        if !self.proxies.is_empty() {
            return self.proxies.iter().map(Proxy::url).collect();
        }
        let url = |address| format!("redis://{address}/");
        self.addresses().map(url).collect()
    }

    /// The proxy of each node, in the order of the nodes; none, unless it was started with them.
    #[must_use]
    pub fn proxies(&self) -> &[Proxy] {
        &self.proxies
    }

    /// Kills one of the nodes as a crash of its machine does. The masters come first, in the order of their
    /// slots, then the replicas in the order of their masters.
    ///
    /// # Errors
    ///
    /// If there is no such node, or it is dead already.
    pub fn kill(&self, node: usize) -> Result<()> {
        self.node(node)?.suffer(Blow::Kill)
    }

    /// Stops a node where it stands: it keeps its connections and its memory, and answers nothing until
    /// it is [resumed](Self::resume). Nodes are numbered as for [`kill`](Self::kill).
    ///
    /// # Errors
    ///
    /// If there is no such node, or it is dead.
    pub fn pause(&self, node: usize) -> Result<()> {
        self.node(node)?.suffer(Blow::Pause)
    }

    /// Lets a node go on after a [pause](Self::pause).
    ///
    /// # Errors
    ///
    /// If there is no such node, or it is dead.
    pub fn resume(&self, node: usize) -> Result<()> {
        self.node(node)?.suffer(Blow::Resume)
    }

    /// Kills a node unless it is dead, and starts it again at the same address, as the same node of the
    /// Cluster, with no keys. What it serves by then is what the others say.
    ///
    /// # Errors
    ///
    /// If there is no such node, or as for [`start`](Self::start).
    pub fn restart_empty(&self, node: usize) -> Result<()> {
        self.node(node)?.restart(&self.launcher)
    }

    fn node(&self, node: usize) -> Result<&Server> {
        let none = || {
            let text = format!("there is no node {node}");
            Error::new(self.launcher.engine, Cause::Refused(text))
        };
        self.nodes.get(node).ok_or_else(none)
    }

    fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.nodes.iter().map(Server::address)
    }

    fn join(&self, masters: usize) -> io::Result<()> {
        let asking: io::Result<Vec<_>> = self.addresses().map(Asking::of).collect();
        let mut nodes = asking?;
        for (number, node) in nodes.iter_mut().enumerate() {
            // Else they argue about it for a while.
            node.ask(&["CLUSTER", "SET-CONFIG-EPOCH", &(number + 1).to_string()])?;
            if number < masters {
                let slots = SLOTS * number / masters..SLOTS * (number + 1) / masters;
                let slots: Vec<_> = slots.map(|slot| slot.to_string()).collect();
                let mut command = vec!["CLUSTER", "ADDSLOTS"];
                command.extend(slots.iter().map(String::as_str));
                node.ask(&command)?;
            }
        }
        self.meet(&mut nodes)?;
        for replica in masters..nodes.len() {
            let master = nodes[replica % masters].ask(&["CLUSTER", "MYID"])?;
            nodes[replica].ask(&["CLUSTER", "REPLICATE", &master])?;
        }
        for (number, node) in nodes.iter_mut().enumerate() {
            wait_for(node, &["CLUSTER", "INFO"], "cluster_state:ok")?;
            if number >= masters {
                wait_for(node, &["INFO", "replication"], "master_link_status:up")?;
            }
        }
        // A master counts a replica only when it has heard of it since, which takes it up to a second.
        let replicas = ((nodes.len() - masters) / masters).to_string();
        for master in &mut nodes[..masters] {
            wait_for(master, &["WAIT", &replicas, "100"], &replicas)?;
        }
        Ok(())
    }
}

impl RedisCluster {
    /// Has the nodes learn of each other. What the first tells the others is lost when they are slow, and so
    /// told again.
    fn meet(&self, nodes: &mut [Asking]) -> io::Result<()> {
        let all = format!("cluster_known_nodes:{}\r\n", nodes.len());
        for look in 0..LOOKS {
            if look % LOOKS_BETWEEN_MEETINGS == 0 {
                self.introduce(&mut nodes[0])?;
            }
            let knows_all = |node: &mut Asking| Ok(node.ask(&["CLUSTER", "INFO"])?.contains(&all));
            let know_all: io::Result<Vec<bool>> = nodes.iter_mut().map(knows_all).collect();
            if know_all?.into_iter().all(|knows_all| knows_all) {
                return Ok(());
            }
            thread::sleep(LOOK_INTERVAL);
        }
        Err(io::Error::other("the nodes do not learn of each other"))
    }

    fn introduce(&self, first: &mut Asking) -> io::Result<()> {
        for (number, address) in self.addresses().enumerate().skip(1) {
            let said = self.proxies.get(number).map_or(address, Proxy::address);
            let (ip, port) = (said.ip().to_string(), said.port().to_string());
            let bus_port = (address.port() + BUS_PORT).to_string();
            first.ask(&["CLUSTER", "MEET", &ip, &port, &bus_port])?;
        }
        Ok(())
    }

    /// Moves a slot from one master to another, key by key, as an operator does, and waits until all nodes
    /// know. Nodes are numbered as for [`kill`](Self::kill).
    ///
    /// # Errors
    ///
    /// If one of the nodes does not answer, or the slot is not that of `from`.
    pub fn move_slot(&self, slot: u16, from: usize, to: usize) -> Result<()> {
        self.hand_over(&slot.to_string(), from, to)
            .map_err(|e| self.cannot("move a slot", e))
    }

    fn hand_over(&self, slot: &str, from: usize, to: usize) -> io::Result<()> {
        let address = |node: usize| {
            let node = self.nodes.get(node).ok_or(io::ErrorKind::NotFound)?;
            Ok::<_, io::Error>(node.address())
        };
        let (host, port) = (
            address(to)?.ip().to_string(),
            address(to)?.port().to_string(),
        );
        let (mut source, mut target) = (Asking::of(address(from)?)?, Asking::of(address(to)?)?);
        let ids = [&mut source, &mut target].map(|node| node.ask(&["CLUSTER", "MYID"]));
        let [from, to] = ids;
        let (from, to) = (from?, to?);
        target.ask(&["CLUSTER", "SETSLOT", slot, "IMPORTING", &from])?;
        source.ask(&["CLUSTER", "SETSLOT", slot, "MIGRATING", &to])?;
        loop {
            let key = source.ask(&["CLUSTER", "GETKEYSINSLOT", slot, "1"])?;
            if key.is_empty() {
                break;
            }
            source.ask(&["MIGRATE", &host, &port, &key, "0", "1000"])?;
        }
        target.ask(&["CLUSTER", "SETSLOT", slot, "NODE", &to])?;
        source.ask(&["CLUSTER", "SETSLOT", slot, "NODE", &to])?;
        // Two moves of one epoch would leave nodes of two minds.
        let info = target.ask(&["CLUSTER", "INFO"])?;
        let epoch = info
            .lines()
            .find(|line| line.starts_with("cluster_current_epoch"));
        let epoch = epoch.ok_or(io::ErrorKind::InvalidData)?;
        for address in self.addresses() {
            let node = &mut Asking::of(address)?;
            wait_for(node, &["CLUSTER", "INFO"], &format!("{epoch}\r\n"))?;
        }
        Ok(())
    }
}

/// Starts a proxy before a node, and has the node say that it is there.
fn announce_a_proxy(node: SocketAddr, tally: &Arc<Tally>) -> io::Result<Proxy> {
    let proxy = Proxy::start_counting(node, Arc::clone(tally))?;
    let (port, bus_port) = (proxy.address().port(), node.port() + BUS_PORT);
    let mut asking = Asking::of(node)?;
    for (option, value) in [
        ("cluster-announce-ip", node.ip().to_string()),
        ("cluster-announce-port", port.to_string()),
        ("cluster-announce-bus-port", bus_port.to_string()),
    ] {
        asking.ask(&["CONFIG", "SET", option, &value])?;
    }
    Ok(proxy)
}

/// Asks until the answer contains `wanted`.
fn wait_for(node: &mut Asking, command: &[&str], wanted: &str) -> io::Result<()> {
    let mut answer = String::new();
    for _ in 0..LOOKS {
        answer = node.ask(command)?;
        if answer.contains(wanted) {
            return Ok(());
        }
        thread::sleep(LOOK_INTERVAL);
    }
    Err(io::Error::other(format!("no {wanted} in {answer}")))
}
