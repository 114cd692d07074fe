use backplane::Timestamp;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use feed_core::UserId;
use hmac_sha256::HMAC;
use serde::Serialize;
use std::{fmt, time::Duration};

/// How long a token is good for.
const LIFETIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);

const USER: usize = 8;
const SIGNED: usize = USER + 8;
const WHOLE: usize = SIGNED + 32;

/// What tokens are signed with.
///
/// A token says whose it is and until when, and carries a signature (HMAC-SHA-256) of that. Nothing
/// is stored per token, so there is nothing to bound or to lose at a restart; in turn, a single token
/// cannot be revoked, only all of them, by another key.
///
/// ```
/// use std::time::Duration;
/// use backplane::Timestamp;
/// use feed_core::UserId;
/// use feed_server::{TokenError, TokenKey};
///
/// let key = TokenKey::new([7; 32]);
/// let now = Timestamp::from_millis(1_000);
/// let token = key.issue(UserId::new(42), now);
/// assert_eq!(key.verify(&token.to_string(), now), Ok(UserId::new(42)));
///
/// let later = now.saturating_add(Duration::from_secs(31 * 24 * 60 * 60));
/// assert_eq!(key.verify(&token.to_string(), later), Err(TokenError::Expired));
/// ```
#[derive(Clone)]
pub struct TokenKey([u8; 32]);

/// Proof that its bearer has signed in. Good for 30 days.
#[derive(Clone, Eq, PartialEq, Serialize)]
pub struct Token(String);

/// Why a token is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// Not a token that was signed with this key.
    #[error("not a token of this server")]
    Invalid,
    /// It was good once.
    #[error("the token has expired")]
    Expired,
}

impl TokenKey {
    /// Signs with these bytes, which must be random and secret.
    #[must_use]
    pub const fn new(secret: [u8; 32]) -> Self {
        Self(secret)
    }

    /// A token for `user`.
    #[must_use]
    pub fn issue(&self, user: UserId, now: Timestamp) -> Token {
        let expires = now.saturating_add(LIFETIME).as_millis();
        let mut bytes = [0; WHOLE];
        bytes[..USER].copy_from_slice(&user.get().to_be_bytes());
        bytes[USER..SIGNED].copy_from_slice(&expires.to_be_bytes());
        let signature = HMAC::mac(&bytes[..SIGNED], self.0);
        bytes[SIGNED..].copy_from_slice(&signature);
        Token(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Whose token `text` is.
    ///
    /// # Errors
    ///
    /// If this key did not sign it, or it has expired.
    pub fn verify(&self, text: &str, now: Timestamp) -> Result<UserId, TokenError> {
        let mut bytes = [0; WHOLE];
        let written = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes);
        if written != Ok(WHOLE) {
            return Err(TokenError::Invalid);
        }
        let (signed, signature) = bytes.split_at(SIGNED);
        if !HMAC::verify(
            signed,
            self.0,
            signature.try_into().map_err(|_| TokenError::Invalid)?,
        ) {
            return Err(TokenError::Invalid);
        }
        let number = |at: usize| {
            let bytes = signed[at..at + 8].try_into();
            bytes
                .map(u64::from_be_bytes)
                .map_err(|_| TokenError::Invalid)
        };
        let (user, expires) = (number(0)?, number(USER)?);
        if now >= Timestamp::from_millis(expires) {
            return Err(TokenError::Expired);
        }
        Ok(UserId::new(user))
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenKey").finish_non_exhaustive()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").finish_non_exhaustive()
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    #[test]
    fn a_changed_token_is_refused_at_every_character() {
        let key = TokenKey::new([7; 32]);
        let token = key.issue(UserId::new(42), NOW).to_string();
        for at in 0..token.len() {
            let mut changed = token.clone();
            let other = if &token[at..=at] == "A" { "B" } else { "A" };
            changed.replace_range(at..=at, other);
            assert_eq!(key.verify(&changed, NOW), Err(TokenError::Invalid), "{at}");
        }
    }

    #[test]
    fn another_key_and_other_text_are_refused() {
        let token = TokenKey::new([7; 32])
            .issue(UserId::new(42), NOW)
            .to_string();
        let other = TokenKey::new([8; 32]);
        let doubled = format!("{token}{token}");
        for text in [
            token.as_str(),
            &doubled,
            &token[1..],
            "",
            "æ",
            "not a token",
        ] {
            assert_eq!(other.verify(text, NOW), Err(TokenError::Invalid), "{text}");
        }
    }
}
