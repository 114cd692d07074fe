use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

/// A server that is an example of this workspace: a process that ends with this value at the latest.
///
/// Such a server says on the first line of its standard output where it listens, once it serves, and
/// stops cleanly at SIGTERM.
#[derive(Debug)]
pub struct Demo {
    process: Child,
    address: SocketAddr,
}

/// How long a server may take to start, to answer or to stop.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks at a process that is to end.
const INTERVAL: Duration = Duration::from_millis(10);

impl Demo {
    /// Runs `command` and waits for the first line.
    ///
    /// # Errors
    ///
    /// If the program cannot be run, ends, says something else first, or nothing for a minute.
    pub fn start(command: &mut Command) -> io::Result<Self> {
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut demo = Self {
            process: command.spawn()?,
            address: SocketAddr::from(([0, 0, 0, 0], 0)),
        };
        demo.address = address(&first_line(&mut demo.process)?)?;
        Ok(demo)
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The status with which it answers a request for `path`.
    ///
    /// # Errors
    ///
    /// If it does not answer, or not in HTTP.
    pub fn status_of(&self, path: &str) -> io::Result<u16> {
        status_of(self.address, path)
    }

    /// Sends a signal by its name, such as `TERM`, and waits for the end.
    ///
    /// # Errors
    ///
    /// If the signal cannot be sent, or the server still runs after a minute.
    pub fn end_by(self, signal: &str) -> io::Result<ExitStatus> {
        let id = self.process.id().to_string();
        let sent = Command::new("kill").args(["-s", signal, &id]).status()?;
        if !sent.success() {
            return Err(io::Error::other(format!("cannot send {signal}")));
        }
        self.end()
    }

    /// Waits for a server to end by itself.
    ///
    /// # Errors
    ///
    /// If it still runs after a minute.
    pub fn end(mut self) -> io::Result<ExitStatus> {
        for _ in 0..PATIENCE.as_millis() / INTERVAL.as_millis() {
            if let Some(status) = self.process.try_wait()? {
                return Ok(status);
            }
            thread::sleep(INTERVAL);
        }
        let seconds = PATIENCE.as_secs();
        Err(io::Error::other(format!("still runs after {seconds} s")))
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Reads on behind the first line to the end, so that the server never waits for its reader.
fn first_line(process: &mut Child) -> io::Result<String> {
    let output = process.stdout.take();
    let output = output.ok_or_else(|| io::Error::other("no standard output"))?;
    let (send, first) = mpsc::channel();
    thread::spawn(move || {
        let mut lines = BufReader::new(output);
        let mut line = String::new();
        let _ = send.send(lines.read_line(&mut line).map(|_| line));
        io::copy(&mut lines, &mut io::sink())
    });
    let line = first.recv_timeout(PATIENCE);
    line.unwrap_or_else(|_| Err(io::Error::other("printed no line")))
}

/// The address in `listening on http://127.0.0.1:4000`.
fn address(line: &str) -> io::Result<SocketAddr> {
    let line = line.trim_end();
    line.strip_prefix("listening on http://")
        .and_then(|address| address.parse().ok())
        .ok_or_else(|| io::Error::other(format!("began with `{line}` instead of its address")))
}

fn status_of(address: SocketAddr, path: &str) -> io::Result<u16> {
    let mut connection = TcpStream::connect(address)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    // Written at once: `write!` would send it piece by piece, and a server may
    // answer and leave before the last.
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    connection.write_all(request.as_bytes())?;
    let mut answer = String::new();
    // A status line is short; what else it may be is not for a test's memory.
    BufReader::new(connection.take(256)).read_line(&mut answer)?;
    let status = answer
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let answered = || format!("answered {path} with `{}`", answer.trim_end());
    status.ok_or_else(|| io::Error::other(answered()))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn only_a_line_with_an_address_is_the_first_line_of_a_server() {
        let server = Demo::start(&mut shell(
            "echo listening on http://127.0.0.1:4000; exec cat",
        ));
        assert_eq!(server.unwrap().address().port(), 4000);
        for script in [
            "echo error: address in use",
            "echo listening on http://here",
            "true",
        ] {
            let refused = Demo::start(&mut shell(script)).unwrap_err().to_string();
            assert!(refused.contains("began with"), "{refused}");
        }
    }

    #[test]
    fn a_server_ends_with_its_value_and_by_a_signal() {
        let script =
            "trap 'exit 7' TERM; echo listening on http://127.0.0.1:4000; while :; do :; done";
        let server = Demo::start(&mut shell(script)).unwrap();
        assert_eq!(server.end_by("TERM").unwrap().code(), Some(7));

        let server = Demo::start(&mut shell(script)).unwrap();
        let id = server.process.id().to_string();
        drop(server);
        let alive = Command::new("kill")
            .args(["-0", &id])
            .stderr(Stdio::null())
            .status();
        assert!(!alive.unwrap().success());
    }

    #[test]
    fn the_status_is_that_of_the_answer() {
        for (response, status) in [
            ("HTTP/1.1 200 OK\r\n\r\n", Some(200)),
            ("HTTP/1.1 503 Service Unavailable\r\n\r\n", Some(503)),
            ("", None),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let at = listener.local_addr().unwrap();
            let server = thread::spawn(move || {
                let (mut connection, _) = listener.accept().unwrap();
                // To its end: a connection closed on bytes unread is reset.
                let request = BufReader::new(connection.try_clone().unwrap());
                let end = request.lines().position(|line| line.unwrap().is_empty());
                assert_eq!(end, Some(3));
                connection.write_all(response.as_bytes()).unwrap();
            });
            assert_eq!(status_of(at, "/healthz").ok(), status, "{response}");
            server.join().unwrap();
        }
    }
}
