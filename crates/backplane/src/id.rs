//! 64-bit identifiers that sort by time.
