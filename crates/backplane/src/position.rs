//! Where a reader stands in a topic's stream of messages.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Which incarnation of a stream an offset belongs to.
///
/// A stream that may have lost acknowledged messages takes a new epoch, so that an offset of the
/// old one is never mistaken for an offset of the new one.
///
/// Its text, which is also what serde writes where the format is for humans, has 16 hexadecimal
/// digits: `JavaScript` would round the number, and find every stream to be another.
///
/// ```
/// use backplane::Epoch;
/// let epoch: Epoch = "00c0ffee00c0ffee".parse()?;
/// assert_eq!(serde_json::to_string(&epoch)?, r#""00c0ffee00c0ffee""#);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Epoch(u64);

/// The text is not 16 hexadecimal digits in lower case.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not an epoch of 16 hexadecimal digits")]
#[non_exhaustive]
pub struct ParseEpochError;

impl Epoch {
    /// Wraps a raw epoch. Epochs are compared for equality only; their order means nothing.
    #[must_use]
    pub const fn new(raw: u64) -> Self {
        Self(raw)
    }

    /// The raw epoch.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for Epoch {
    type Err = ParseEpochError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != 16 || !text.bytes().all(is_digit) {
            return Err(ParseEpochError);
        }
        let raw = u64::from_str_radix(text, 16);
        raw.map(Self).map_err(|_| ParseEpochError)
    }
}

impl Serialize for Epoch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_u64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Epoch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            text.parse().map_err(de::Error::custom)
        } else {
            u64::deserialize(deserializer).map(Self)
        }
    }
}

/// A point in one topic's stream: the offset of the last message a reader has seen.
///
/// Offsets start at 1 and grow by 1 with every message; offset 0 is the point before the first.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct Position {
    /// The incarnation of the stream.
    pub epoch: Epoch,
    /// How many messages of it lie at or before this point.
    pub offset: u64,
}

impl Position {
    /// The point after `offset` messages of `epoch`.
    #[must_use]
    pub const fn new(epoch: Epoch, offset: u64) -> Self {
        Self { epoch, offset }
    }

    /// The point one message later.
    #[must_use]
    pub const fn next(self) -> Self {
        Self::new(self.epoch, self.offset + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_reads_back_what_it_prints_and_nothing_else() {
        for raw in [0, 1, (1 << 53) + 1, u64::MAX] {
            let epoch = Epoch::new(raw);
            assert_eq!(epoch.to_string().parse(), Ok(epoch));
        }
        for text in [
            "",
            "0",
            "00C0FFEE00C0FFEE",
            "+0c0ffee00c0ffee",
            "00c0ffee00c0ffee0",
        ] {
            assert_eq!(text.parse::<Epoch>(), Err(ParseEpochError), "{text}");
        }
    }

    #[test]
    fn a_position_survives_a_browser() {
        let position = Position::new(Epoch::new(u64::MAX - 1), 7);
        let json = serde_json::to_value(position).unwrap();
        assert_eq!(
            json,
            serde_json::json!({"epoch": "fffffffffffffffe", "offset": 7})
        );
        assert_eq!(serde_json::from_value::<Position>(json).unwrap(), position);
    }
}
