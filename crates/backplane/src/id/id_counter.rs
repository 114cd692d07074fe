use std::fmt;

use async_trait::async_trait;

use crate::Result;

/// A counter in a database, which every node takes its identifiers from.
///
/// `take` is what `INCRBY` does on Redis, `UPDATE … SET last = last + n RETURNING last` on an SQL
/// database, and `nextval` of a Postgres sequence whose `INCREMENT` is the count that it is always asked
/// for. A sequence with a `CACHE` keeps numbers back in a session, and loses the order between nodes.
///
/// [`AutoIncrementKeeper`](super::AutoIncrementKeeper) makes an
/// [`IdGenerator`](super::IdGenerator) of it. Taking one by one, without it, is a database's
/// auto-increment in the narrow sense: a round trip for each identifier, and an order over all nodes.
#[async_trait]
pub trait IdCounter: fmt::Debug + Send + Sync {
    /// Takes the next `count` numbers, which follow each other, as one atomic step, and returns the
    /// first. They lie above zero and above all that any call returned before this one began. When this
    /// returns, the step is durable: no crash of the database makes it give them again.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) if `count` is zero, and
    /// [`ErrorKind::Full`](crate::ErrorKind::Full) if there are not so many left; nothing is taken. On
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) the numbers may be gone; nobody has
    /// them.
    ///
    /// # Cancel safety
    ///
    /// As after an error.
    async fn take(&self, count: u32) -> Result<u64>;
}
