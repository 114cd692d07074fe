//! The names of users, devices and messages.

use std::{fmt, str::FromStr};

use backplane::id_newtype;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{Error, ErrorKind};

id_newtype! {
    /// A user of the embedding application.
    pub struct UserId;
}

id_newtype! {
    /// One of a user's devices: a phone, a browser. The application numbers each user's devices, and
    /// gives no number twice.
    pub struct DeviceId;
}

id_newtype! {
    /// A message or another event of a conversation, unique over all of them. It addresses; what orders
    /// events, and shows that one is missing, is their sequence number.
    pub struct MessageId;
}

/// A device and whose it is: 16 bytes.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "a pair")]
pub struct Device {
    /// Whose it is.
    pub user: UserId,
    /// Which of theirs.
    pub id: DeviceId,
}

impl Device {
    /// The device `id` of `user`.
    #[must_use]
    pub const fn new(user: UserId, id: DeviceId) -> Self {
        Self { user, id }
    }
}

/// A device's own name for what it sends, by which a retry is known: 1 to 36 bytes of text, which is
/// room for a UUID. Never used again by the device in the same conversation.
///
/// ```
/// use chat_core::ClientId;
/// let name: ClientId = "0190a6f2-7c11-7000-8000-5a3d0c9b1e42".parse()?;
/// assert_eq!(name.as_str().len(), ClientId::MAX_LEN);
/// assert!("".parse::<ClientId>().is_err());
/// # Ok::<(), chat_core::Error>(())
/// ```
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ClientId {
    /// Padded with zeros.
    text: [u8; Self::MAX_LEN],
    len: u8,
}

impl ClientId {
    /// The longest name, in bytes.
    pub const MAX_LEN: usize = 36;

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let text = &self.text[..usize::from(self.len)];
        std::str::from_utf8(text).unwrap_or_default() // which it was when it was parsed
    }
}

impl FromStr for ClientId {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let refused = || Error::bare(ErrorKind::Invalid, "parse a client id");
        let len = u8::try_from(name.len()).map_err(|_| refused())?;
        let mut text = [0; Self::MAX_LEN];
        let place = text.get_mut(..name.len()).filter(|place| !place.is_empty());
        place.ok_or_else(refused)?.copy_from_slice(name.as_bytes());
        Ok(Self { text, len })
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientId({:?})", self.as_str())
    }
}

impl Serialize for ClientId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ClientId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        name.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_id_is_1_to_36_bytes_of_text() {
        for name in ["a", "é", &"x".repeat(36)] {
            assert_eq!(name.parse::<ClientId>().unwrap().as_str(), name);
        }
        for name in ["", &"x".repeat(37), &"x".repeat(300)] {
            let refused = name.parse::<ClientId>().unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Invalid, "{name:?}");
        }
    }

    #[test]
    fn client_ids_that_differ_in_zeros_differ() {
        let [short, long] = ["a", "a\0"].map(|name| name.parse::<ClientId>().unwrap());
        assert_ne!(short, long);
        let json = serde_json::to_string(&long).unwrap();
        assert_eq!(serde_json::from_str::<ClientId>(&json).unwrap(), long);
    }
}
