use std::{fmt, sync::Arc};

/// The name of a member: any bytes, at least one. Clones share them.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct MemberName(Arc<[u8]>);

impl MemberName {
    /// Wraps a name.
    ///
    /// # Errors
    ///
    /// [`RingError::EmptyName`] if there is no byte in it.
    pub fn new(name: impl AsRef<[u8]>) -> Result<Self, RingError> {
        match name.as_ref() {
            [] => Err(RingError::EmptyName),
            bytes => Ok(Self(bytes.into())),
        }
    }

    /// The bytes of the name.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for MemberName {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl fmt::Display for MemberName {
    /// Writes the name as text, with escapes for what is not printable ASCII.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.escape_ascii().fmt(f)
    }
}

impl fmt::Debug for MemberName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl PartialEq<str> for MemberName {
    fn eq(&self, other: &str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl PartialEq<&str> for MemberName {
    fn eq(&self, other: &&str) -> bool {
        self == *other
    }
}

/// A member of a ring: a name, and how large a share of the keys it takes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Member {
    name: MemberName,
    weight: u32,
}

impl Member {
    /// A member with a weight of 1.
    ///
    /// # Errors
    ///
    /// [`RingError::EmptyName`] if there is no byte in the name.
    pub fn new(name: impl AsRef<[u8]>) -> Result<Self, RingError> {
        MemberName::new(name).map(|name| Self { name, weight: 1 })
    }

    /// Sets the weight: the member's expected share of the keys is its share of all weights. Zero
    /// drains it: it stays a member and owns nothing.
    #[must_use]
    pub fn with_weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }

    /// What the member is called.
    #[must_use]
    pub const fn name(&self) -> &MemberName {
        &self.name
    }

    /// How large a share of the keys it takes.
    #[must_use]
    pub const fn weight(&self) -> u32 {
        self.weight
    }
}

/// Why a ring cannot be built.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RingError {
    /// A member needs a name.
    #[error("empty member name")]
    EmptyName,
    /// Two members share a name, so that neither can be told from the other.
    #[error("more than one member is called {0}")]
    DuplicateName(MemberName),
    /// The weights ask for more points than the options allow.
    #[error("{points} points are more than the {max} allowed")]
    TooManyPoints {
        /// How many points the weights ask for.
        points: u64,
        /// How many the options allow.
        max: u32,
    },
    /// Members that may not even hold the mean cannot hold all keys.
    #[error("a load factor of {percent} % is below the mean")]
    LoadFactorBelowMean {
        /// The factor that was asked for.
        percent: u32,
    },
}
