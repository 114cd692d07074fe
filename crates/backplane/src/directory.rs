//! Service discovery: who is up, where, and for how long.
