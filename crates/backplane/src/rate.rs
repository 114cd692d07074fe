//! Rate limits by the generic cell rate algorithm.
