//! Whether an example's server starts, answers and stops as every server of this workspace does.

use std::{
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{self, Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use crate::{Failure, Result};

/// How long a server may take to start, to answer or to stop.
const PATIENCE: Duration = Duration::from_secs(30);

/// Between two looks at a process that is to end.
const INTERVAL: Duration = Duration::from_millis(20);

/// Starts `program` on a free port, asks for `/healthz` and `/metrics`, and ends it by SIGTERM. A
/// program whose `--help` knows no `--listen` is left alone.
pub(crate) fn try_program(program: &Path) -> Result<()> {
    if !takes_listen(program)? {
        println!("{} is no server", program.display());
        return Ok(());
    }
    println!("$ {} --listen 127.0.0.1:0", program.display());
    let mut server = Server::start(program)?;
    let outcome = server.first_line().and_then(|line| {
        let address = address(&line)?;
        println!("{line}");
        answers(address, "/healthz")?;
        answers(address, "/metrics")?;
        server.stop()
    });
    outcome.map_err(|e| Failure::because(program.display(), e))
}

fn takes_listen(program: &Path) -> Result<bool> {
    let mut help = Command::new(program);
    help.arg("--help")
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let failed = |e| Failure::because(format!("{} --help", program.display()), e);
    let mut help = Running(help.spawn().map_err(failed)?);
    help.wait().map_err(failed)?;
    let mut text = String::new();
    let read = help
        .0
        .stdout
        .take()
        .map(|mut output| output.read_to_string(&mut text));
    read.transpose().map_err(failed)?;
    Ok(text.contains("--listen"))
}

/// A process that does not outlive this value.
struct Running(Child);

impl Running {
    /// Waits for its end, with patience.
    fn wait(&mut self) -> io::Result<ExitStatus> {
        for _ in 0..PATIENCE.as_millis() / INTERVAL.as_millis() {
            if let Some(status) = self.0.try_wait()? {
                return Ok(status);
            }
            thread::sleep(INTERVAL);
        }
        Err(io::Error::other(format!("still runs after {PATIENCE:?}")))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Server {
    process: Running,
    lines: mpsc::Receiver<io::Result<String>>,
    data: PathBuf,
}

impl Server {
    fn start(program: &Path) -> Result<Self> {
        let failed = |e| Failure::because(program.display(), e);
        let name = program.file_name().unwrap_or_default().display();
        let data = std::env::temp_dir().join(format!("{name}-{}", process::id()));
        fs::create_dir_all(&data).map_err(failed)?;
        let mut command = Command::new(program);
        command
            .args(["--listen", "127.0.0.1:0", "--data"])
            .arg(&data);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = Running(command.spawn().map_err(failed)?);
        let (send, lines) = mpsc::channel();
        if let Some(output) = process.0.stdout.take() {
            // Read to the end, so that the server never waits for its reader.
            thread::spawn(move || {
                BufReader::new(output)
                    .lines()
                    .for_each(|line| drop(send.send(line)));
            });
        }
        Ok(Self {
            process,
            lines,
            data,
        })
    }

    fn first_line(&self) -> io::Result<String> {
        let line = self.lines.recv_timeout(PATIENCE);
        line.unwrap_or_else(|_| Err(io::Error::other("printed no line")))
    }

    fn stop(&mut self) -> io::Result<()> {
        let id = self.process.0.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &id]).status()?;
        let status = self.process.wait()?;
        if sent.success() && status.success() {
            return Ok(());
        }
        Err(io::Error::other(format!(
            "did not stop cleanly on SIGTERM ({status})"
        )))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.data);
    }
}

/// The address in `listening on http://127.0.0.1:4000`.
fn address(line: &str) -> io::Result<&str> {
    line.strip_prefix("listening on http://")
        .map(|address| address.trim_end_matches('/'))
        .ok_or_else(|| io::Error::other(format!("began with `{line}` instead of its address")))
}

fn answers(address: &str, path: &str) -> io::Result<()> {
    let mut connection = TcpStream::connect(address)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    write!(
        connection,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut status = String::new();
    BufReader::new(connection).read_line(&mut status)?;
    if status.split(' ').nth(1) == Some("200") {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "answered {path} with `{}`",
        status.trim_end()
    )))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn only_a_line_with_an_address_is_the_first_line_of_a_server() {
        assert_eq!(
            address("listening on http://127.0.0.1:4000").unwrap(),
            "127.0.0.1:4000"
        );
        assert_eq!(
            address("listening on http://127.0.0.1:4000/").unwrap(),
            "127.0.0.1:4000"
        );
        assert!(address("error: address in use").is_err());
    }

    #[test]
    fn only_status_200_is_an_answer() {
        for (response, is_answer) in [
            ("HTTP/1.1 200 OK\r\n\r\n", true),
            ("HTTP/1.1 503 Service Unavailable\r\n\r\n", false),
            ("", false),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let at = listener.local_addr().unwrap().to_string();
            let server = thread::spawn(move || {
                let (mut connection, _) = listener.accept().unwrap();
                let mut request = BufReader::new(connection.try_clone().unwrap());
                request.read_line(&mut String::new()).unwrap();
                connection.write_all(response.as_bytes()).unwrap();
            });
            assert_eq!(answers(&at, "/healthz").is_ok(), is_answer, "{response}");
            server.join().unwrap();
        }
    }

    #[test]
    fn a_program_that_does_not_serve_is_left_alone() {
        try_program(Path::new("/bin/true")).unwrap();
    }
}
