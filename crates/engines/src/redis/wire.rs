//! As much of Redis' protocol as it takes to ask a server something.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// Far more than an answer takes, for a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection that asks one thing after another.
#[derive(Debug)]
pub(super) struct Asking(BufReader<TcpStream>);

impl Asking {
    pub(super) fn of(address: SocketAddr) -> io::Result<Self> {
        let connection = TcpStream::connect_timeout(&address, PATIENCE)?;
        connection.set_read_timeout(Some(PATIENCE))?;
        connection.set_write_timeout(Some(PATIENCE))?;
        Ok(Self(BufReader::new(connection)))
    }

    /// The text of the answer to a command; an error, if that is one.
    pub(super) fn ask(&mut self, command: &[&str]) -> io::Result<String> {
        let parts = command
            .iter()
            .map(|part| format!("${}\r\n{part}\r\n", part.len()));
        let request = format!("*{}\r\n{}", command.len(), parts.collect::<String>());
        self.0.get_mut().write_all(request.as_bytes())?;
        self.answer()
    }

    /// Of an array, its parts, a line each.
    fn answer(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        let (kind, text) = line
            .trim_end()
            .split_at_checked(1)
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        let length = || text.parse::<usize>().map_err(io::Error::other);
        match kind {
            "-" => Err(io::Error::other(text.to_owned())),
            "$" => {
                let mut bytes = vec![0; length()? + 2];
                self.0.read_exact(&mut bytes)?;
                bytes.truncate(bytes.len() - 2);
                String::from_utf8(bytes).map_err(io::Error::other)
            }
            "*" => {
                let parts: io::Result<Vec<_>> = (0..length()?).map(|_| self.answer()).collect();
                Ok(parts?.join("\n"))
            }
            _ => Ok(text.to_owned()),
        }
    }
}
