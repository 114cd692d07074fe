//! 64-bit identifiers.
//!
//! An [`IdGenerator`] issues them, a [`Layout`] says what the bits of those that sort by time mean, and
//! [`id_newtype!`](crate::id_newtype) makes domain types of them.
//!
//! # Three designs
//!
//! | design | generator | unique | order | costs | for |
//! |---|---|---|---|---|---|
//! | database auto-increment | [`AutoIncrement`] | over all nodes of one counter | increasing on a node; over nodes to within the blocks in hand | a write of the database for each block; gaps after a restart | small numbers, and databases that have them already; whoever sees two can tell how many lie between |
//! | Snowflake | [`SnowflakeGenerator`] | over all nodes, if each has a number | by time, over all nodes to within what their clocks differ | a node's number and, over restarts, its mark | messages and posts: pages, cursors and buckets by time need nothing else |
//! | local sequence | [`LocalSequence`] | in one group, in one process at a time | dense: 1, 2, 3 | nothing; its last number must be kept by somebody | what is numbered inside its group only |
//!
//! All are strictly increasing per generator, issue without waiting, and never repeat themselves. A chat
//! needs two of these: an identifier that is unique everywhere, and a dense number in each
//! conversation, by which a device sees that it lacks a message. The second is no `IdGenerator` there:
//! the log gives it in the step that stores the message.
//!
//! # Snowflake
//!
//! | form | call | for |
//! |---|---|---|
//! | shared | [`SnowflakeGenerator::next_id`] | any thread, one at a time |
//! | batch | [`SnowflakeGenerator::fill`], [`reserve`](SnowflakeGenerator::reserve) | many at once, in one step |
//! | leased | [`SnowflakeGenerator::local`] | a thread that needs many one by one |
//!
//! What makes a node's identifiers unique, and over what:
//!
//! | made by | unique across |
//! |---|---|
//! | [`SnowflakeGenerator::new`] | threads; restarts too, while the clock does not go back over one |
//! | [`MarkKeeper`] over a [`HighWater`] mark | threads, restarts, any clock, a second generator of the node |
//! | [`LeaseKeeper`] over [`NodeLeases`] | all of these, and nobody has to number the nodes |
mod auto_increment;
mod batch;
mod blocks;
mod file_high_water;
mod generator;
mod high_water;
mod id_counter;
mod keeper;
mod layout;
mod lease_keeper;
mod local;
mod local_sequence;
mod mark_keeper;
mod newtype;
mod node_leases;
mod sequence;
mod snowflake;

pub use auto_increment::{AutoIncrement, AutoIncrementKeeper};
pub use batch::IdBatch;
pub use file_high_water::FileHighWater;
pub use generator::{IdError, IdGenerator};
pub use high_water::{HighWater, Mark, Replaced};
pub use id_counter::IdCounter;
pub use keeper::{Held, KeeperOptions};
pub use layout::{Bits, Layout, LayoutError, Parts, PartsError};
pub use lease_keeper::{LeaseKeeper, Opened};
pub use local::LocalIds;
pub use local_sequence::LocalSequence;
pub use mark_keeper::MarkKeeper;
#[doc(hidden)]
pub use newtype::__private;
pub use newtype::{Id, ParseIdError};
pub use node_leases::{Acquired, NodeLease, NodeLeases, Renewed};
pub use snowflake::{SnowflakeGenerator, SnowflakeOptions};
