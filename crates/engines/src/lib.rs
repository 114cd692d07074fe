//! Real engines for tests and benches: started on a free loopback port, or behind a pipe, in a
//! directory of their own, stopped with the value that started them. Development only; needs a Unix.
//!
//! ```
//! use std::{io::{Read, Write}, net::TcpStream};
//!
//! let redis = engines::Redis::start()?;
//! let mut connection = TcpStream::connect(redis.address())?;
//! connection.write_all(b"PING\r\n")?;
//! let mut answer = [0; 7];
//! connection.read_exact(&mut answer)?;
//! assert_eq!(&answer, b"+PONG\r\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What a started engine promises
//!
//! - It has answered a request of its own protocol, and it is the process this value started: a
//!   stranger on the same port is not mistaken for it.
//! - It is stopped and its directory is gone when `drop` returns, also while a panic unwinds.
//! - It does not outlive the test process, even one that was killed: a shell between the two waits
//!   for the end of a pipe that only the test process holds. So a `static` engine, which is never
//!   dropped, is stopped too.
//! - An engine that is not installed is an [`Error`] that names the command that installs it.
//!
//! What goes wrong between a program and an engine is made by [`Proxy`], and by the methods of an engine
//! that kill it, stop it for a while, or start it again with nothing in it.
//!
//! # Adding an engine
//!
//! One row in [`catalogue::ENGINES`], which `cargo xtask engines` installs from, and one file like
//! `redis.rs`: the command line, and the request that proves it answers.
pub mod catalogue;
mod chromium;
mod demo;
mod error;
mod proxy;
mod redis;
mod server;

pub use catalogue::Engine;
pub use chromium::{Chromium, Page};
pub use demo::Demo;
pub use error::{Error, Result};
pub use proxy::{Proxy, Traffic, Way};
pub use redis::{Flavour, Redis, RedisCluster};
