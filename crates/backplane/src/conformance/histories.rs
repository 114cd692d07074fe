//! Random histories of calls, to be played on two implementations that must answer alike.
#![expect(clippy::unwrap_used, reason = "a test panics where stores differ")]

pub mod queue;
