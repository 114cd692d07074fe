use std::{fmt, str::FromStr};

use backplane::{Epoch, Position};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{Device, Error, ErrorKind, Result, TokenKey};

/// Where a session goes on, as text for the device to hand back: up to where in its user's inbox it has
/// everything. Any node takes it, and no other device's session.
///
/// 66 characters of the URL-safe base 64 alphabet, signed by the nodes of the service.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct ResumeToken([u8; Self::LEN]);

impl ResumeToken {
    const VERSION: u8 = 1;
    const SIGNED: usize = 33;
    const LEN: usize = Self::SIGNED + TokenKey::SIGNATURE;

    /// For the session of `device` that has everything up to `inbox`.
    pub(super) fn sign(key: &TokenKey, device: Device, inbox: Position) -> Self {
        let mut token = [0; Self::LEN];
        token[0] = Self::VERSION;
        let numbers = [
            device.user.get(),
            device.id.get(),
            inbox.epoch.get(),
            inbox.offset,
        ];
        for (place, number) in token[1..Self::SIGNED].chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_be_bytes());
        }
        let signature = key.sign(&token[..Self::SIGNED]);
        token[Self::SIGNED..].copy_from_slice(&signature);
        Self(token)
    }

    /// Up to where `device` has everything, if this is its token.
    pub(super) fn open(&self, key: &TokenKey, device: Device) -> Result<Position> {
        let number = |place: usize| {
            let bytes = self.0[1 + 8 * place..].first_chunk();
            u64::from_be_bytes(bytes.copied().unwrap_or_default())
        };
        let (signed, signature) = self.0.split_at(Self::SIGNED);
        let is_ours = key.has_signed(signed, signature);
        let is_own = number(0) == device.user.get() && number(1) == device.id.get();
        if is_ours && is_own {
            Ok(Position::new(Epoch::new(number(2)), number(3)))
        } else {
            Err(Error::bare(ErrorKind::ForeignToken, "resume"))
        }
    }
}

impl FromStr for ResumeToken {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let token = URL_SAFE_NO_PAD.decode(text).ok();
        let token = token.and_then(|token| token.try_into().ok());
        token
            .map(Self)
            .ok_or_else(|| Error::bare(ErrorKind::ForeignToken, "parse a resume token"))
    }
}

impl fmt::Display for ResumeToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl Serialize for ResumeToken {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ResumeToken {
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

    fn token(key: &TokenKey) -> ResumeToken {
        ResumeToken::sign(key, ANN, Position::new(Epoch::new(3), 4))
    }

    #[test]
    fn a_token_says_where_its_device_goes_on() {
        let key = TokenKey::of_this_process();
        let token: ResumeToken = token(&key).to_string().parse().unwrap();
        assert_eq!(token.to_string().len(), 66);
        let inbox = token.open(&key, ANN).unwrap();
        assert_eq!(inbox, Position::new(Epoch::new(3), 4));
    }

    #[test]
    fn no_token_is_good_for_another_device_or_service() {
        let key = TokenKey::new([7; 32]);
        let others = [
            Device::new(ANN.user, DeviceId::new(8)),
            Device::new(UserId::new(2), ANN.id),
        ];
        for other in others {
            let refused = token(&key).open(&key, other).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::ForeignToken);
        }
        let other = TokenKey::new([8; 32]);
        assert!(token(&other).open(&key, ANN).is_err());
    }

    #[test]
    fn whatever_is_changed_in_a_token_shows() {
        let key = TokenKey::new([7; 32]);
        for place in 0..ResumeToken::LEN {
            let mut token = token(&key);
            token.0[place] ^= 1;
            let refused = token.open(&key, ANN).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::ForeignToken, "{place}");
        }
        for text in ["", "é", "AAAA", &"A".repeat(67)] {
            assert!(text.parse::<ResumeToken>().is_err(), "{text:?}");
        }
    }
}
