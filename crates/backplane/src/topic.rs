//! The name of one stream of messages.

use std::{fmt, hash, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use xxhash_rust::xxh3::xxh3_64;

/// The name of one stream of messages: 1 to 255 bytes of UTF-8 without control characters.
///
/// Cloning shares the text. The hash is computed once, when the name is parsed.
///
/// ```
/// use backplane::Topic;
/// let topic: Topic = "feed:42".parse()?;
/// assert_eq!(topic.as_str(), "feed:42");
/// assert!("".parse::<Topic>().is_err());
/// # Ok::<(), backplane::topic::ParseTopicError>(())
/// ```
#[derive(Clone)]
pub struct Topic {
    hash: u64,
    name: Arc<str>,
}

impl Topic {
    /// The longest name, in bytes.
    pub const MAX_LEN: usize = 255;

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// XXH3-64 of the name's bytes: the same in every process and on every machine.
    #[must_use]
    pub const fn hash64(&self) -> u64 {
        self.hash
    }

    /// Whether one is a clone of the other, so that equality need not read the text.
    #[inline]
    pub(crate) fn shares_text(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.name, &other.name)
    }
}

impl FromStr for Topic {
    type Err = ParseTopicError;

    fn from_str(name: &str) -> Result<Self, ParseTopicError> {
        if name.is_empty() {
            return Err(ParseTopicError::Empty);
        }
        if name.len() > Self::MAX_LEN {
            return Err(ParseTopicError::TooLong);
        }
        if name.chars().any(char::is_control) {
            return Err(ParseTopicError::Control);
        }
        Ok(Self {
            hash: xxh3_64(name.as_bytes()),
            name: name.into(),
        })
    }
}

impl PartialEq for Topic {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && (self.shares_text(other) || self.name == other.name)
    }
}

impl Eq for Topic {}

impl PartialOrd for Topic {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Topic {
    /// By name, byte for byte.
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.name.cmp(&other.name)
    }
}

impl hash::Hash for Topic {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Topic({:?})", self.as_str())
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Serialize for Topic {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name)
    }
}

impl<'de> Deserialize<'de> for Topic {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        name.parse().map_err(de::Error::custom)
    }
}

/// Why a text names no [`Topic`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseTopicError {
    /// The text is empty.
    #[error("topic name is empty")]
    Empty,
    /// The text is longer than [`Topic::MAX_LEN`] bytes.
    #[error("topic name is longer than 255 bytes")]
    TooLong,
    /// The text holds a control character.
    #[error("topic name holds a control character")]
    Control,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_outside_the_limits_do_not_parse() {
        assert_eq!("".parse::<Topic>(), Err(ParseTopicError::Empty));
        assert_eq!("a\nb".parse::<Topic>(), Err(ParseTopicError::Control));
        let longest = "x".repeat(Topic::MAX_LEN);
        assert_eq!(longest.parse::<Topic>().unwrap().as_str(), longest);
        let longer = "x".repeat(Topic::MAX_LEN + 1);
        assert_eq!(longer.parse::<Topic>(), Err(ParseTopicError::TooLong));
    }

    #[test]
    fn serialises_as_its_name_and_refuses_a_bad_one() {
        let topic: Topic = "room:é".parse().unwrap();
        let json = serde_json::to_string(&topic).unwrap();
        assert_eq!(json, "\"room:é\"");
        assert_eq!(serde_json::from_str::<Topic>(&json).unwrap(), topic);
        assert!(serde_json::from_str::<Topic>("\"\"").is_err());
    }

    #[test]
    fn the_hash_is_that_of_the_published_algorithm() {
        // The reference implementation's XXH3-64 of "a" with seed 0.
        let topic: Topic = "a".parse().unwrap();
        assert_eq!(topic.hash64(), 0xe6c6_32b6_1e96_4e1f);
    }
}
