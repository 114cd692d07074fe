use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use engines::Demo;

/// The line between a browser and a server: its near end stays where it is while servers come and go.
#[derive(Debug)]
pub(crate) struct Line {
    address: SocketAddr,
    far: Arc<Far>,
}

/// The server at the far end.
#[derive(Debug)]
struct Far {
    server: Mutex<Option<Demo>>,
    /// Whether the server dies before its next answer to a publication is heard.
    is_doomed: AtomicBool,
}

impl Line {
    pub(crate) fn to(server: Demo) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let far = Arc::new(Far {
            server: Mutex::new(Some(server)),
            is_doomed: AtomicBool::new(false),
        });
        let line = Self {
            address,
            far: Arc::clone(&far),
        };
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let far = Arc::clone(&far);
                // An error is an end that is gone, of which the other hears by the end of the line.
                thread::spawn(move || far.connect(&client));
            }
        });
        line
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Has the server killed once it has answered a publication, of which nobody hears.
    pub(crate) fn doom(&self) {
        self.far.is_doomed.store(true, Ordering::SeqCst);
    }

    /// Leads to this server from now on.
    pub(crate) fn lead_to(&self, server: Demo) {
        *self.far.server.lock().unwrap() = Some(server);
    }
}

impl Drop for Line {
    /// Whoever still listens for the near end keeps no server alive.
    fn drop(&mut self) {
        self.far.server.lock().unwrap().take();
    }
}

impl Far {
    fn connect(&self, client: &TcpStream) -> io::Result<()> {
        let address = self.server.lock().unwrap().as_ref().map(Demo::address);
        let server = TcpStream::connect(address.ok_or(io::ErrorKind::ConnectionRefused)?)?;
        let publishes = AtomicBool::new(false);
        thread::scope(|both| {
            both.spawn(|| {
                let up = pass(client, &server, |requests| note(requests, &publishes));
                server.shutdown(Shutdown::Both).and(up)
            });
            let down = pass(&server, client, |_| !self.dies(&publishes));
            client.shutdown(Shutdown::Both).and(down)
        })
    }

    /// Whether the server had to die with the answer to a publication on its lips.
    fn dies(&self, publishes: &AtomicBool) -> bool {
        let dies = publishes.load(Ordering::SeqCst) && self.is_doomed.swap(false, Ordering::SeqCst);
        if dies && let Some(server) = self.server.lock().unwrap().take() {
            server.end_by("KILL").unwrap();
        }
        dies
    }
}

/// Notes whether the last request that begins in here is a publication.
fn note(requests: &[u8], publishes: &AtomicBool) -> bool {
    let text = String::from_utf8_lossy(requests);
    if let Some(head) = text.lines().rfind(|line| line.ends_with(" HTTP/1.1")) {
        publishes.store(head.starts_with("POST /v1/me/feed "), Ordering::SeqCst);
    }
    true
}

/// Passes on what comes, while `goes_on` says so.
fn pass(
    mut from: &TcpStream,
    mut to: &TcpStream,
    goes_on: impl Fn(&[u8]) -> bool,
) -> io::Result<()> {
    let mut buffer = [0; 16 * 1024];
    loop {
        let read = from.read(&mut buffer)?;
        if read == 0 || !goes_on(&buffer[..read]) {
            return Ok(());
        }
        to.write_all(&buffer[..read])?;
    }
}
