/// The bounds of a directory.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct DirectoryOptions {
    /// How many services it knows; 1,024 by default. A service counts from its first node on, also
    /// when the last has gone: its epoch must not start again.
    pub services: usize,
    /// How many nodes a service has; 10,000 by default, at least 1.
    pub nodes: usize,
}

impl DirectoryOptions {
    /// Knows at most `services`.
    #[must_use]
    pub fn with_services(mut self, services: usize) -> Self {
        self.services = services;
        self
    }

    /// Lets a service have at most `nodes`; 0 counts as 1.
    #[must_use]
    pub fn with_nodes(mut self, nodes: usize) -> Self {
        self.nodes = nodes.max(1);
        self
    }
}

impl Default for DirectoryOptions {
    fn default() -> Self {
        Self {
            services: 1_024,
            nodes: 10_000,
        }
    }
}
