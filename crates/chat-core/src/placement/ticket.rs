use std::{fmt, str::FromStr};

use backplane::Timestamp;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{Device, Error, ErrorKind, Result, TokenKey};

/// Lets one device in at one server for a while, as text for the device to take there: in the URL-safe base 64 alphabet,
/// 41 bytes and the server's name.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Ticket {
    /// Up to the signature.
    signed: Vec<u8>,
    signature: Vec<u8>,
}

/// Why a ticket lets nobody in. The device asks for another.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NotAdmitted {
    /// It is of another service, for another device, or for another server.
    #[error("not a ticket of this device for this server")]
    Foreign,
    /// It was good until then.
    #[error("the ticket was good until {} ms after the epoch", at.as_millis())]
    Expired {
        /// When.
        at: Timestamp,
    },
}

impl Ticket {
    const VERSION: u8 = 1;

    /// Lets `device` in at the server called `node` until `expires`, by the clocks of the service.
    #[must_use]
    pub fn sign(key: &TokenKey, device: Device, node: &str, expires: Timestamp) -> Self {
        let signed = text(device, node, expires);
        let signature = key.sign(&signed).to_vec();
        Self { signed, signature }
    }

    /// Lets `device` in at the server called `node`.
    ///
    /// # Errors
    ///
    /// [`NotAdmitted`].
    pub fn admit(
        &self,
        key: &TokenKey,
        device: Device,
        node: &str,
        now: Timestamp,
    ) -> Result<(), NotAdmitted> {
        let expires = self.signed.get(1..).and_then(<[u8]>::first_chunk);
        let expires = expires.ok_or(NotAdmitted::Foreign)?;
        let at = Timestamp::from_millis(u64::from_be_bytes(*expires));
        let is_own = self.signed == text(device, node, at);
        if !is_own || !key.has_signed(&self.signed, &self.signature) {
            return Err(NotAdmitted::Foreign);
        }
        if at <= now {
            return Err(NotAdmitted::Expired { at });
        }
        Ok(())
    }
}

/// What is signed.
fn text(device: Device, node: &str, expires: Timestamp) -> Vec<u8> {
    let mut text = vec![Ticket::VERSION];
    for number in [expires.as_millis(), device.user.get(), device.id.get()] {
        text.extend(number.to_be_bytes());
    }
    text.extend(node.as_bytes());
    text
}

impl FromStr for Ticket {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refused = || Error::bare(ErrorKind::ForeignToken, "parse a ticket");
        let mut signed = URL_SAFE_NO_PAD.decode(text).map_err(|_| refused())?;
        let at = signed.len().checked_sub(TokenKey::SIGNATURE);
        let signature = signed.split_off(at.ok_or_else(refused)?);
        Ok(Self { signed, signature })
    }
}

impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = [&self.signed[..], &self.signature].concat();
        f.write_str(&URL_SAFE_NO_PAD.encode(whole))
    }
}

impl Serialize for Ticket {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Ticket {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DeviceId, UserId};

    const ANN: Device = Device::new(UserId::new(1), DeviceId::new(7));
    const NOON: Timestamp = Timestamp::from_millis(1_000);
    const LATER: Timestamp = Timestamp::from_millis(2_000);

    fn ticket(key: &TokenKey) -> Ticket {
        let ticket = Ticket::sign(key, ANN, "chat-7", LATER);
        ticket.to_string().parse().unwrap()
    }

    #[test]
    fn a_ticket_lets_its_device_in_until_it_expires() {
        let key = TokenKey::new([7; 32]);
        let ticket = ticket(&key);
        assert_eq!(ticket.to_string().len(), (41 + 6) * 4 / 3 + 1);
        assert_eq!(ticket.admit(&key, ANN, "chat-7", NOON), Ok(()));
        let expired = NotAdmitted::Expired { at: LATER };
        assert_eq!(ticket.admit(&key, ANN, "chat-7", LATER), Err(expired));
    }

    #[test]
    fn a_ticket_lets_nobody_else_in_and_nowhere_else() {
        let key = TokenKey::new([7; 32]);
        let ticket = ticket(&key);
        let bob = Device::new(UserId::new(2), ANN.id);
        for (device, node) in [(bob, "chat-7"), (ANN, "chat-8"), (ANN, "chat-77")] {
            let refused = ticket.admit(&key, device, node, NOON);
            assert_eq!(refused, Err(NotAdmitted::Foreign));
        }
        let other = TokenKey::new([8; 32]);
        let refused = ticket.admit(&other, ANN, "chat-7", NOON);
        assert_eq!(refused, Err(NotAdmitted::Foreign));
    }

    #[test]
    fn whatever_is_changed_in_a_ticket_shows() {
        let key = TokenKey::new([7; 32]);
        let text = ticket(&key).to_string();
        for place in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
            let changed: Result<Ticket> = String::from_utf8(bytes).unwrap().parse();
            let admitted = changed.map(|changed| changed.admit(&key, ANN, "chat-7", NOON));
            assert!(!matches!(admitted, Ok(Ok(()))), "{place}");
        }
        for text in ["", "é", "AAAA"] {
            assert!(text.parse::<Ticket>().is_err(), "{text:?}");
        }
    }
}
