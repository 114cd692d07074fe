//! Fan-out inside one process.
