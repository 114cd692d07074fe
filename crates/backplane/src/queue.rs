//! At-least-once work.
