//! 64-bit identifiers that sort by time.
//!
//! An [`IdGenerator`] issues them, a [`Layout`] says what their bits mean, and
//! [`id_newtype!`](crate::id_newtype) makes domain types of them.
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
mod batch;
mod file_high_water;
mod generator;
mod high_water;
mod keeper;
mod layout;
mod lease_keeper;
mod local;
mod mark_keeper;
mod newtype;
mod node_leases;
mod sequence;
mod snowflake;

pub use batch::IdBatch;
pub use file_high_water::FileHighWater;
pub use generator::{IdError, IdGenerator};
pub use high_water::{HighWater, Mark, Replaced};
pub use keeper::{Held, KeeperOptions};
pub use layout::{Bits, Layout, LayoutError, Parts, PartsError};
pub use lease_keeper::{LeaseKeeper, Opened};
pub use local::LocalIds;
pub use mark_keeper::MarkKeeper;
#[doc(hidden)]
pub use newtype::__private;
pub use newtype::{Id, ParseIdError};
pub use node_leases::{Acquired, NodeLease, NodeLeases, Renewed};
pub use snowflake::{SnowflakeGenerator, SnowflakeOptions};
