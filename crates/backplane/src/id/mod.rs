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
mod batch;
mod generator;
mod layout;
mod local;
mod newtype;
mod sequence;
mod snowflake;

pub use batch::IdBatch;
pub use generator::{IdError, IdGenerator};
pub use layout::{Bits, Layout, LayoutError, Parts, PartsError};
pub use local::LocalIds;
#[doc(hidden)]
pub use newtype::__private;
pub use newtype::{Id, ParseIdError};
pub use snowflake::{SnowflakeGenerator, SnowflakeOptions};
