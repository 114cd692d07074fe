//! How scripts are told of times.

use std::time::Duration;

use backplane::{Error, ErrorKind, Result};

/// A century, in microseconds: a time that no server sees.
const FOREVER: u64 = 100 * 365 * 24 * 3_600 * 1_000_000;

/// A time in microseconds, rounded up.
pub(crate) fn micros(time: Duration) -> u64 {
    let micros = u64::try_from(time.as_nanos().div_ceil(1_000)).unwrap_or(u64::MAX);
    micros.min(FOREVER)
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
