use std::{io, net::SocketAddr, process::Command, thread, time::Duration};

use super::{Asking, Launcher};
use crate::{Error, Result, catalogue::REDIS, error::Cause, server::Server};

/// After how many milliseconds of silence the others take a node for dead.
pub(super) const NODE_TIMEOUT: &str = "1000";

const SLOTS: usize = 16_384;

/// Between two looks at a Cluster whose nodes do not agree yet.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// Half a minute: nodes usually agree within a second.
const LOOKS: u32 = 1_500;

/// A Redis Cluster of its own, without persistence, for as long as this value lives.
///
/// ```
/// let cluster = engines::RedisCluster::start(3, 0)?;
/// assert_eq!(cluster.urls().len(), 3);
/// # Ok::<(), engines::Error>(())
/// ```
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<Server>,
}

impl RedisCluster {
    /// Starts as many masters, with as many replicas each, and waits until all nodes agree that every
    /// slot is served.
    ///
    /// # Errors
    ///
    /// As for [`Redis::start`](crate::Redis::start), or if they do not agree within about half a minute.
    pub fn start(masters: usize, replicas: usize) -> Result<Self> {
        let count = masters * (1 + replicas);
        let launcher = Launcher { cluster: true };
        let nodes: Result<Vec<_>> = (0..count).map(|_| Server::start(&launcher)).collect();
        let cluster = Self { nodes: nodes? };
        let joined = cluster.join(masters);
        joined.map_err(|e| Error::new(&REDIS, Cause::Io("form a cluster", e)))?;
        Ok(cluster)
    }

    /// The addresses of all nodes in the form that Redis clients take.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        let url = |address| format!("redis://{address}/");
        self.addresses().map(url).collect()
    }

    /// Kills one of the nodes as a crash of its machine does. The masters come first, in the order of their
    /// slots, then the replicas in the order of their masters.
    ///
    /// # Errors
    ///
    /// If there is no such node, or it is dead already.
    pub fn kill(&self, node: usize) -> Result<()> {
        self.signal(node, "-KILL")
            .map_err(|e| Error::new(&REDIS, Cause::Io("kill a node", e)))
    }

    fn signal(&self, node: usize, signal: &str) -> io::Result<()> {
        let node = self.nodes.get(node).ok_or(io::ErrorKind::NotFound)?;
        let info = Asking::of(node.address())?.ask(&["INFO", "server"])?;
        let line = info
            .lines()
            .find_map(|line| line.strip_prefix("process_id:"));
        let process = line.ok_or_else(|| io::Error::other("no process id"))?;
        let status = Command::new("kill").args([signal, process]).status()?;
        if status.success() {
            return Ok(());
        }
        Err(io::Error::other(format!(
            "kill {signal} {process}: {status}"
        )))
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
        let (first, others) = nodes.split_at_mut(1);
        for address in self.addresses().skip(1) {
            let (ip, port) = (address.ip().to_string(), address.port().to_string());
            first[0].ask(&["CLUSTER", "MEET", &ip, &port])?;
        }
        let all = format!("cluster_known_nodes:{}\r\n", self.nodes.len());
        for node in first.iter_mut().chain(&mut *others) {
            wait_for(node, &["CLUSTER", "INFO"], &all)?;
        }
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
        Ok(())
    }
}

impl RedisCluster {
    /// Moves a slot from one master to another, key by key, as an operator does, and waits until all nodes
    /// know. Nodes are numbered as for [`kill`](Self::kill).
    ///
    /// # Errors
    ///
    /// If one of the nodes does not answer, or the slot is not that of `from`.
    pub fn move_slot(&self, slot: u16, from: usize, to: usize) -> Result<()> {
        self.hand_over(&slot.to_string(), from, to)
            .map_err(|e| Error::new(&REDIS, Cause::Io("move a slot", e)))
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
