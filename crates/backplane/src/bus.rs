//! The edge between nodes: topics with positions, history and recovery.
