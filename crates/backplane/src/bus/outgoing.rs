use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_128;

use crate::{Position, Topic};

/// A message to be published.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Outgoing {
    /// Where to.
    pub topic: Topic,
    /// What.
    pub payload: Bytes,
    /// What makes a repeated publish recognisable.
    pub key: Option<IdempotencyKey>,
}

impl Outgoing {
    /// A message for `topic`, published as often as it is sent.
    pub fn new(topic: Topic, payload: impl Into<Bytes>) -> Self {
        Self {
            topic,
            payload: payload.into(),
            key: None,
        }
    }

    /// Publishes the message only if the topic does not remember `key`.
    #[must_use]
    pub fn with_key(mut self, key: IdempotencyKey) -> Self {
        self.key = Some(key);
        self
    }
}

/// The identity of a message, within its topic, across attempts to publish it.
///
/// ```
/// use backplane::bus::IdempotencyKey;
/// assert_eq!(IdempotencyKey::of("order 17"), IdempotencyKey::of("order 17"));
/// assert_ne!(IdempotencyKey::of("order 17"), IdempotencyKey::new(17));
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct IdempotencyKey(u128);

impl IdempotencyKey {
    /// The key that is the given number, a UUID for instance.
    #[must_use]
    pub const fn new(raw: u128) -> Self {
        Self(raw)
    }

    /// The key of a name of any length: its XXH3-128.
    ///
    /// The hash keeps accidents apart, not a publisher who looks for two names with one hash.
    #[must_use]
    pub fn of(name: impl AsRef<[u8]>) -> Self {
        Self(xxh3_128(name.as_ref()))
    }

    /// The raw key.
    #[must_use]
    pub const fn get(self) -> u128 {
        self.0
    }
}

/// What became of a message that was published.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Published {
    /// It stands at this position.
    New(Position),
    /// An earlier attempt with its key had put it at this position.
    Duplicate(Position),
}

impl Published {
    /// Where the message stands.
    #[must_use]
    pub const fn position(self) -> Position {
        match self {
            Self::New(position) | Self::Duplicate(position) => position,
        }
    }
}
