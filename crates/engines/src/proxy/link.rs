//! A connection through the proxy, which is one to each side.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use super::{Network, Way, traffic::Requests};

const PATIENCE: Duration = Duration::from_secs(1);

const PIECE: usize = 64 << 10;

pub(super) struct Link {
    client: TcpStream,
    server: TcpStream,
    is_cut: AtomicBool,
    /// The ways that are closed: to the server, to the client.
    closed: [AtomicBool; 2],
}

impl Link {
    pub(super) fn new(client: TcpStream, server: SocketAddr) -> io::Result<Self> {
        let server = TcpStream::connect_timeout(&server, PATIENCE)?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        Ok(Self {
            client,
            server,
            is_cut: AtomicBool::default(),
            closed: Default::default(),
        })
    }

    pub(super) fn is_cut(&self) -> bool {
        self.is_cut.load(Ordering::Acquire)
    }

    pub(super) fn cut(&self) {
        self.is_cut.store(true, Ordering::Release);
        for end in [&self.client, &self.server] {
            // It may be over already.
            let _ = end.shutdown(Shutdown::Both);
        }
    }

    pub(super) fn half_close(&self, way: Way) {
        self.closed(way).store(true, Ordering::Release);
        let _ = self.ends(way).1.shutdown(Shutdown::Write);
    }

    fn closed(&self, way: Way) -> &AtomicBool {
        &self.closed[usize::from(way == Way::ToClient)]
    }

    /// Whence and whither.
    const fn ends(&self, way: Way) -> (&TcpStream, &TcpStream) {
        match way {
            Way::ToServer => (&self.client, &self.server),
            Way::ToClient => (&self.server, &self.client),
        }
    }
}

/// Passes on what goes one way, to the end of the connection.
pub(super) fn carry(network: &Network, link: &Link, way: Way) {
    let (mut from, mut to) = link.ends(way);
    let (mut piece, mut requests) = (vec![0; PIECE], Requests::default());
    loop {
        let length = from.read(&mut piece).unwrap_or(0);
        if way == Way::ToServer {
            network.tally.asked(requests.read(&piece[..length]));
        }
        network.wait_to_pass(link, way);
        if length == 0 || link.is_cut() {
            break;
        }
        if way == Way::ToClient {
            network.tally.answered();
        }
        let is_closed = link.closed(way).load(Ordering::Acquire);
        if !is_closed && to.write_all(&piece[..length]).is_err() {
            link.cut();
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
