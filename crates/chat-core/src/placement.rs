//! Which chat server a device connects to.
//!
//! Servers are in a [directory](backplane::directory): each says where it stands, whether it drains, and by its weight how
//! many more sessions it takes. [`choose`] finds one for a device, and a [`Ticket`] lets the device in there and
//! nowhere else. A device whose server died, or drains, asks again, and [resumes](crate::session::Sessions::open) its session at
//! another.
//!
//! ```
//! use std::time::Duration;
//! use backplane::{Clock, SystemClock, directory::{Directory, Incarnation, Node}, memory::MemoryDirectory};
//! use chat_core::{Device, DeviceId, UserId, TokenKey, placement::{Ticket, choose}};
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let directory = MemoryDirectory::default();
//! let node = Node::new("chat-7", Incarnation::new(1), "wss://chat-7.example").with_region("eu").with_weight(10_000);
//! Directory::join(&directory, "chat", node, Duration::from_secs(15)).await?;
//!
//! let view = Directory::members(&directory, "chat").await?;
//! let chosen = choose(&view, "eu", &mut fastrand::Rng::new()).expect("a server with room");
//! let (key, clock) = (TokenKey::of_this_process(), SystemClock::new());
//! let phone = Device::new(UserId::new(1), DeviceId::new(1));
//! let ticket = Ticket::sign(&key, phone, &chosen.name, clock.now().saturating_add(Duration::from_secs(30)));
//!
//! // At chat-7:
//! ticket.admit(&key, phone, "chat-7", clock.now())?;
//! # Ok(()) }
//! ```
//!
//! # Draining
//!
//! A server that is to stop says so in the directory ([`NodeState::Draining`](backplane::directory::NodeState::Draining)), so
//! that nobody is sent there any more, and then [drains](backplane::hub::Hub::drain) its hub: each session is told when
//! to come again, at a time of its own within a window. What is sent there meanwhile is stored and told like
//! everything.

mod choice;
mod ticket;

pub use self::{
    choice::{choose, choose_for},
    ticket::{NotAdmitted, Ticket},
};
