//! How scripts are told of times.

use std::time::Duration;

use backplane::{Error, ErrorKind, Result};

/// A century: a time that no server sees.
pub(crate) const FOREVER: Duration = Duration::from_secs(100 * 365 * 24 * 3_600);

/// A time in microseconds, rounded up.
pub(crate) fn micros(time: Duration) -> u64 {
    let micros = time.min(FOREVER).as_nanos().div_ceil(1_000);
    u64::try_from(micros).unwrap_or(u64::MAX)
}

/// A time to live in milliseconds, at least one, since Redis takes zero for the past.
pub(crate) fn millis(time: Duration) -> u64 {
    micros(time).div_ceil(1_000).max(1)
}

/// The length of a lease in microseconds.
pub(crate) fn ttl(op: &'static str, ttl: Duration) -> Result<u64> {
    if ttl.is_zero() {
        return Err(Error::new(ErrorKind::Invalid, op, "a lease of no time"));
    }
    Ok(micros(ttl))
}
