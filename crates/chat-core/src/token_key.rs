use std::fmt;

use hmac_sha256::HMAC;

/// By which the nodes of one service sign what clients hand back: HMAC-SHA-256, cut to 16 bytes.
#[derive(Clone)]
pub struct TokenKey([u8; 32]);

impl TokenKey {
    pub(crate) const SIGNATURE: usize = 16;

    /// A key that all nodes of the service are given: 32 bytes that nobody else knows.
    #[must_use]
    pub const fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// A key of this process alone: what it signs is foreign to others, and to itself after a restart.
    ///
    /// # Panics
    ///
    /// If the operating system has no random numbers.
    #[must_use]
    pub fn of_this_process() -> Self {
        let mut key = [0; 32];
        getrandom::fill(&mut key).expect("the operating system has random numbers");
        Self(key)
    }

    pub(crate) fn sign(&self, text: &[u8]) -> [u8; Self::SIGNATURE] {
        let whole = HMAC::mac(text, self.0);
        *whole.first_chunk().expect("it has 32 bytes")
    }

    /// Whether this is the signature of `text`. It takes as long whichever of its bytes is wrong.
    pub(crate) fn has_signed(&self, text: &[u8], signature: &[u8]) -> bool {
        let right = self.sign(text);
        let differ = right
            .iter()
            .zip(signature)
            .fold(0, |differ, (one, other)| differ | (one ^ other));
        signature.len() == Self::SIGNATURE && differ == 0
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenKey")
    }
}
