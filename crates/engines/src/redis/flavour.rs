use crate::{
    Engine,
    catalogue::{REDIS, REDIS_6_2, VALKEY},
};

/// Which of the servers that speak as Redis does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Flavour {
    /// The Redis that the system has.
    Redis,
    /// Redis 6.2.
    Redis62,
    /// Valkey.
    Valkey,
}

impl Flavour {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Redis, Self::Redis62, Self::Valkey];

    pub(super) const fn engine(self) -> &'static Engine {
        match self {
            Self::Redis => &REDIS,
            Self::Redis62 => &REDIS_6_2,
            Self::Valkey => &VALKEY,
        }
    }
}
