/// The bounds of a [`RedisPresence`](super::RedisPresence). All nodes have the same.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RedisPresenceOptions {
    /// How many nodes hold a lease; one more is refused as `Full`. 1,000 by default.
    pub max_nodes: usize,
    /// How many users are kept, also those who are offline. 20,000,000 by default. Each part has its share, and
    /// refuses one more as `Full`.
    pub max_users: usize,
    /// In how many parts the users are kept, each of which is in one slot of a Cluster. 64 by default. With another
    /// number users are looked for elsewhere, so it does not change for as long as there are any.
    pub parts: u16,
}

impl RedisPresenceOptions {
    /// Lets `nodes` hold a lease.
    #[must_use]
    pub const fn with_max_nodes(mut self, nodes: usize) -> Self {
        self.max_nodes = nodes;
        self
    }

    /// Keeps `users`.
    #[must_use]
    pub const fn with_max_users(mut self, users: usize) -> Self {
        self.max_users = users;
        self
    }

    /// Keeps users in `parts`, one at least.
    #[must_use]
    pub fn with_parts(mut self, parts: u16) -> Self {
        self.parts = parts.max(1);
        self
    }
}

impl Default for RedisPresenceOptions {
    fn default() -> Self {
        Self {
            max_nodes: 1_000,
            max_users: 20_000_000,
            parts: 64,
        }
    }
}
