//! The first element of a timeline's list, as `timeline.lua` reads it too.

use backplane::Timestamp;
use feed_core::PostId;

/// A double is exact up to here; it is the year 287396.
const LAST_TIME: u64 = 1 << 53;

/// What is known of a timeline before its list is read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Header {
    pub(super) is_warm: bool,
    /// Of the build that it came from, or is to.
    generation: u64,
    /// How often the list was packed.
    version: u32,
    pub(super) floor: PostId,
    /// When the build began, in milliseconds.
    began: u64,
    /// The replication id of the server on which it began; none yet in what a build begins with.
    server: String,
}

impl Header {
    pub(super) fn building(generation: u64, began: Timestamp) -> Self {
        Self {
            is_warm: false,
            generation,
            version: 0,
            floor: PostId::MIN,
            began: time(began),
            server: String::new(),
        }
    }

    pub(super) fn packed(&self, floor: PostId) -> Self {
        Self {
            version: self.version.wrapping_add(1),
            floor,
            ..self.clone()
        }
    }

    pub(super) fn encode(&self) -> String {
        let state = if self.is_warm { 'W' } else { 'B' };
        let generation = digits(self.generation);
        let (version, floor) = (self.version, self.floor.get());
        let (began, server) = (self.began, &self.server);
        format!("{state}{generation}{version:08x}{floor:016x}{began:016}{server}")
    }

    pub(super) fn decode(element: &[u8]) -> Option<Self> {
        let mut rest = std::str::from_utf8(element).ok()?;
        let mut take = |count| {
            let (part, after) = rest.split_at_checked(count)?;
            rest = after;
            Some(part)
        };
        let hex = |part| u64::from_str_radix(part, 16).ok();
        let header = Self {
            is_warm: match take(1)? {
                "W" => true,
                "B" => false,
                _ => return None,
            },
            generation: hex(take(16)?)?,
            version: u32::try_from(hex(take(8)?)?).ok()?,
            floor: PostId::new(hex(take(16)?)?),
            began: take(16)?.parse().ok()?,
            server: take(40)?.to_owned(),
        };
        rest.is_empty().then_some(header)
    }
}

/// A generation as it stands in a header.
pub(super) fn digits(generation: u64) -> String {
    format!("{generation:016x}")
}

/// A time as it stands in a header.
pub(super) fn time(time: Timestamp) -> u64 {
    time.as_millis().min(LAST_TIME)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_header_is_read_as_it_was_written(
            is_warm: bool,
            generation: u64,
            version: u32,
            floor: u64,
            began in 0..=LAST_TIME,
            server in "[0-9a-f]{40}",
        ) {
            let floor = PostId::new(floor);
            let header = Header { is_warm, generation, version, floor, began, server };
            let bytes = header.encode().into_bytes();
            prop_assert_eq!(Header::decode(&bytes[1..]), None);
            prop_assert_eq!(Header::decode(&bytes[..96]), None);
            prop_assert_eq!(Header::decode(&bytes), Some(header));
        }
    }
}
