//! Exponential delays with full jitter, bounded, that honour a server's own wish.
