//! What a client of Redis asks for, and how often it waits.

use std::{
    collections::BTreeMap,
    mem, str,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// What clients of Redis have sent through a [`Proxy`](super::Proxy), or those of a Cluster.
///
/// A round trip begins with a command, and ends with whatever a client is sent next. So all that is sent
/// before an answer arrives is one round trip, however many commands, connections and servers there
/// are. A [delay](super::Proxy::delay) of what goes to the clients gives them the time to send it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Traffic {
    /// How often clients have waited.
    pub round_trips: u64,
    /// How often each command was sent, by its first word, in capitals.
    pub commands: BTreeMap<String, u64>,
}

/// Counts what goes through one or several proxies.
#[derive(Debug, Default)]
pub(crate) struct Tally(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    traffic: Traffic,
    is_waited: bool,
}

impl Tally {
    pub(super) fn asked(&self, names: Vec<String>) {
        if names.is_empty() {
            return;
        }
        let mut counted = self.counted();
        let begins = !mem::replace(&mut counted.is_waited, true);
        counted.traffic.round_trips += u64::from(begins);
        for name in names {
            *counted.traffic.commands.entry(name).or_default() += 1;
        }
    }

    pub(super) fn answered(&self) {
        self.counted().is_waited = false;
    }

    pub(super) fn take(&self) -> Traffic {
        mem::take(&mut self.counted().traffic)
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The commands of one connection, in whatever pieces they arrive.
#[derive(Debug, Default)]
pub(super) struct Requests {
    /// What has arrived of a command that is not complete.
    begun: Vec<u8>,
    /// Whether this is another protocol, which is not looked at any further.
    is_foreign: bool,
}

/// Whether a command is complete.
enum Read {
    Command { name: String, length: usize },
    Incomplete,
    Foreign,
}

impl Requests {
    /// The names of the commands that this piece completes.
    pub(super) fn read(&mut self, piece: &[u8]) -> Vec<String> {
        let (mut names, mut at) = (Vec::new(), 0);
        if self.is_foreign {
            return names;
        }
        self.begun.extend_from_slice(piece);
        loop {
            match first_command(&self.begun[at..]) {
                Read::Command { name, length } => {
                    names.push(name);
                    at += length;
                }
                Read::Incomplete => break,
                Read::Foreign => {
                    self.is_foreign = true;
                    break;
                }
            }
        }
        self.begun.drain(..at);
        names
    }
}

/// A command is an array of byte strings, each of which says its length before it.
fn first_command(bytes: &[u8]) -> Read {
    let Some((parts, mut rest)) = header(b'*', bytes) else {
        return incomplete_or_foreign(b'*', bytes);
    };
    let mut name = String::new();
    for part in 0..parts {
        let Some((length, after)) = header(b'$', rest) else {
            return incomplete_or_foreign(b'$', rest);
        };
        let Some((text, after)) = after.split_at_checked(length + 2) else {
            return Read::Incomplete;
        };
        if part == 0 {
            name = String::from_utf8_lossy(&text[..length]).to_uppercase();
        }
        rest = after;
    }
    let length = bytes.len() - rest.len();
    Read::Command { name, length }
}

/// The number in a line that begins with `kind`, and what follows upon the line.
fn header(kind: u8, bytes: &[u8]) -> Option<(usize, &[u8])> {
    let text = bytes.strip_prefix(&[kind])?;
    let end = text.iter().position(|byte| *byte == b'\r')?;
    let number = str::from_utf8(&text[..end]).ok()?.parse().ok()?;
    Some((number, text.get(end + 2..)?))
}

/// No line that says a length has more bytes.
const LONGEST_HEADER: usize = 24;

fn incomplete_or_foreign(kind: u8, bytes: &[u8]) -> Read {
    let is_begun = bytes.first().is_none_or(|first| *first == kind);
    let may_follow = bytes.len() < LONGEST_HEADER && !bytes.contains(&b'\n');
    if is_begun && may_follow {
        Read::Incomplete
    } else {
        Read::Foreign
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &[u8] = b"*3\r\n$3\r\nset\r\n$1\r\nk\r\n$4\r\n\r\n*1\r\n*1\r\n$4\r\nPING\r\n";

    #[test]
    fn commands_are_named_whatever_pieces_they_arrive_in() {
        for size in 1..=TWO.len() {
            let mut requests = Requests::default();
            let pieces = TWO.chunks(size);
            let names: Vec<_> = pieces.flat_map(|piece| requests.read(piece)).collect();
            assert_eq!(names, ["SET", "PING"], "in pieces of {size}");
        }
    }

    #[test]
    fn a_command_is_named_when_it_is_complete() {
        let mut requests = Requests::default();
        let (begun, end) = TWO.split_at(TWO.len() - 1);
        assert_eq!(requests.read(begun), ["SET"]);
        assert_eq!(requests.read(end), ["PING"]);
    }

    #[test]
    fn another_protocol_is_passed_over() {
        for foreign in [&b"GET / HTTP/1.1\r\n"[..], b"*x\r\n", &[b'*'; 100]] {
            let mut requests = Requests::default();
            assert!(requests.read(foreign).is_empty());
            assert!(requests.read(TWO).is_empty(), "{foreign:?}");
        }
    }
}
