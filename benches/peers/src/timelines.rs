//! Home timelines as they are kept elsewhere: the newest posts of each viewer, up to a bound.

use std::{
    collections::BTreeSet,
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
    sync::Arc,
    time::Duration,
};

use dashmap::DashMap;

/// The obvious concurrent map of the obvious ordered set.
#[derive(Debug)]
pub struct Sets {
    timelines: DashMap<u64, BTreeSet<u64>>,
    bound: usize,
}

impl Sets {
    /// No timelines, of up to `bound` posts each.
    #[must_use]
    pub fn new(bound: usize) -> Self {
        Self {
            timelines: DashMap::new(),
            bound,
        }
    }

    /// Makes a timeline of these posts.
    pub fn fill(&self, owner: u64, posts: impl Iterator<Item = u64>) {
        self.timelines.insert(owner, posts.collect());
    }

    /// Adds a post to every timeline that there is.
    pub fn push(&self, owners: &[u64], post: u64) {
        for owner in owners {
            if let Some(mut timeline) = self.timelines.get_mut(owner) {
                timeline.insert(post);
                if timeline.len() > self.bound {
                    timeline.pop_first();
                }
            }
        }
    }

    /// The newest `limit` posts.
    #[must_use]
    pub fn newest(&self, owner: u64, limit: usize) -> Vec<u64> {
        let timeline = self.timelines.get(&owner);
        timeline.map_or_else(Vec::new, |timeline| {
            timeline.iter().rev().take(limit).copied().collect()
        })
    }
}

/// Lists in a Redis server, over one connection: `LPUSH` and `LTRIM` for every owner, in one
/// pipeline a post. A list keeps the order of arrival, and a post that is pushed twice is in it
/// twice.
#[derive(Debug)]
pub struct Lists {
    connection: BufReader<TcpStream>,
    server: Arc<engines::Redis>,
    bound: usize,
}

impl Lists {
    /// An empty server of its own, for lists of up to `bound` posts.
    ///
    /// # Errors
    ///
    /// If Redis does not start.
    pub fn new(bound: usize) -> io::Result<Self> {
        let server = engines::Redis::start().map_err(io::Error::other)?;
        Self::on(Arc::new(server), bound)
    }

    /// Beside whatever else is on a server.
    ///
    /// # Errors
    ///
    /// If it cannot be reached.
    pub fn on(server: Arc<engines::Redis>, bound: usize) -> io::Result<Self> {
        let connection = TcpStream::connect(server.address())?;
        connection.set_nodelay(true)?;
        Ok(Self {
            connection: BufReader::new(connection),
            server,
            bound,
        })
    }

    /// Makes a list of these posts, the last at its head.
    ///
    /// # Errors
    ///
    /// If the connection fails.
    pub fn fill(&mut self, owner: u64, posts: impl Iterator<Item = u64>) -> io::Result<()> {
        let key = key(owner);
        let posts: Vec<_> = posts.map(|post| post.to_string()).collect();
        let mut parts = vec!["LPUSH", &key];
        parts.extend(posts.iter().map(String::as_str));
        let mut request = Vec::new();
        encode(&mut request, &parts);
        self.call(&request, 1)
    }

    /// The requests that push a post to every owner, ready to send.
    #[must_use]
    pub fn encode(&self, owners: &[u64], post: u64) -> Vec<u8> {
        let (post, last) = (post.to_string(), (self.bound - 1).to_string());
        let mut requests = Vec::new();
        for &owner in owners {
            let key = key(owner);
            encode(&mut requests, &["LPUSH", &key, &post]);
            encode(&mut requests, &["LTRIM", &key, "0", &last]);
        }
        requests
    }

    /// Sends requests, and waits for as many answers of one line.
    ///
    /// # Errors
    ///
    /// If the connection fails or the server refuses a request.
    pub fn call(&mut self, requests: &[u8], answers: usize) -> io::Result<()> {
        self.connection.get_mut().write_all(requests)?;
        let mut line = Vec::new();
        for _ in 0..answers {
            line.clear();
            self.connection.read_until(b'\n', &mut line)?;
            if !matches!(line.first(), Some(b':' | b'+')) {
                return Err(io::Error::other("the server refused a request"));
            }
        }
        Ok(())
    }

    /// The CPU time that the server has used.
    ///
    /// # Errors
    ///
    /// If the connection fails.
    pub fn cpu(&mut self) -> io::Result<Duration> {
        let info = self.info("cpu")?;
        let seconds = ["used_cpu_sys", "used_cpu_user"].map(|name| number(&info, name));
        Ok(Duration::from_secs_f64(seconds.into_iter().sum()))
    }

    /// The memory that the server's data takes, in bytes.
    ///
    /// # Errors
    ///
    /// If the connection fails.
    pub fn bytes(&mut self) -> io::Result<f64> {
        Ok(number(&self.info("memory")?, "used_memory_dataset"))
    }

    /// Where the server listens.
    #[must_use]
    pub fn server(&self) -> &Arc<engines::Redis> {
        &self.server
    }

    /// Adds a post to every owner's sorted set as Stream-Framework does: one `ZADD` a follower, each with a
    /// round trip of its own, since the storage does not use the pipeline that it is given; and once in a
    /// hundred times a `ZREMRANGEBYRANK`. What Python and the broker add to it is left out.
    ///
    /// # Errors
    ///
    /// If the connection fails or the server refuses a request.
    pub fn push_as_stream_framework(&mut self, owners: &[u64], post: u64) -> io::Result<()> {
        let id = format!("{post:026}");
        let last = format!("-{}", self.bound + 1);
        let mut request = Vec::new();
        for (place, &owner) in owners.iter().enumerate() {
            let key = format!("feed_{owner}");
            request.clear();
            encode(&mut request, &["ZADD", &key, &id, &id]);
            self.call(&request, 1)?;
            if place % 100 == 0 {
                request.clear();
                encode(&mut request, &["ZREMRANGEBYRANK", &key, "0", &last]);
                self.call(&request, 1)?;
            }
        }
        Ok(())
    }

    fn info(&mut self, section: &str) -> io::Result<String> {
        let mut request = Vec::new();
        encode(&mut request, &["INFO", section]);
        self.connection.get_mut().write_all(&request)?;
        let mut length = String::new();
        self.connection.read_line(&mut length)?;
        let length: usize = length
            .trim_start_matches('$')
            .trim_end()
            .parse()
            .map_err(io::Error::other)?;
        let mut info = vec![0; length + 2];
        self.connection.read_exact(&mut info)?;
        String::from_utf8(info).map_err(io::Error::other)
    }
}

fn key(owner: u64) -> String {
    format!("tl:{owner}")
}

fn encode(requests: &mut Vec<u8>, parts: &[&str]) {
    requests.extend(format!("*{}\r\n", parts.len()).bytes());
    for part in parts {
        requests.extend(format!("${}\r\n{part}\r\n", part.len()).bytes());
    }
}

/// The value of `name`, or nothing if it is not there.
fn number(info: &str, name: &str) -> f64 {
    let mut lines = info.lines();
    let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value
        .and_then(|value| value.parse().ok())
        .unwrap_or(f64::NAN)
}
