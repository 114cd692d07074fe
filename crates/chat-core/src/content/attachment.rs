use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{
    Result,
    codec::{Input, Wire},
};

/// A file that the application keeps, as a message refers to it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Attachment {
    /// Where the application keeps it: at most [`MAX_TEXT`](Self::MAX_TEXT) bytes, as the other texts.
    pub reference: String,
    /// What it is called; empty if it has no name.
    #[serde(default)]
    pub name: String,
    /// Its media type, as `image/png` (RFC 6838).
    pub content_type: String,
    /// How many bytes it has.
    pub size: u64,
    /// Of what bytes it is.
    pub digest: Digest,
    /// A small image of it.
    #[serde(default)]
    pub thumbnail: Option<Thumbnail>,
}

/// A small image of an attachment.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Thumbnail {
    /// Where the application keeps it.
    pub reference: String,
    /// Its media type.
    pub content_type: String,
    /// Its width, in pixels.
    pub width: u32,
    /// Its height.
    pub height: u32,
    /// How many bytes it has.
    pub size: u64,
}

/// The SHA-256 of a file. Its text is 64 hexadecimal digits.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct Digest([u8; 32]);

/// The text is not 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a digest of 64 hexadecimal digits")]
#[non_exhaustive]
pub struct ParseDigestError;

impl Attachment {
    /// The longest reference, name or type, in bytes.
    pub const MAX_TEXT: usize = 1_024;

    /// A file of `size` bytes, kept at `reference`.
    #[must_use]
    pub fn new(
        reference: impl Into<String>,
        content_type: impl Into<String>,
        size: u64,
        digest: Digest,
    ) -> Self {
        Self {
            reference: reference.into(),
            name: String::new(),
            content_type: content_type.into(),
            size,
            digest,
            thumbnail: None,
        }
    }

    /// The same under a name.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The same with a small image of it.
    #[must_use]
    pub fn with_thumbnail(mut self, thumbnail: Thumbnail) -> Self {
        self.thumbnail = Some(thumbnail);
        self
    }

    pub(super) fn is_within_limits(&self) -> bool {
        let thumbnail = self.thumbnail.as_ref();
        is_place(&self.reference)
            && self.name.len() <= Self::MAX_TEXT
            && is_media_type(&self.content_type)
            && thumbnail.is_none_or(|thumbnail| {
                is_place(&thumbnail.reference) && is_media_type(&thumbnail.content_type)
            })
    }
}

fn is_place(reference: &str) -> bool {
    (1..=Attachment::MAX_TEXT).contains(&reference.len())
}

/// A type and a subtype, of letters, digits and some signs (RFC 6838, section 4.2).
fn is_media_type(text: &str) -> bool {
    let is_sign = |byte: u8| b"!#$&-^_.+".contains(&byte);
    let is_name = |name: &str| {
        let mut bytes = name.bytes();
        (1..=127).contains(&name.len())
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || is_sign(byte))
    };
    text.split_once('/')
        .is_some_and(|(kind, subtype)| is_name(kind) && is_name(subtype))
}

impl Thumbnail {
    /// An image of `width` and `height` pixels and `size` bytes, kept at `reference`.
    #[must_use]
    pub fn new(
        reference: impl Into<String>,
        content_type: impl Into<String>,
        (width, height): (u32, u32),
        size: u64,
    ) -> Self {
        Self {
            reference: reference.into(),
            content_type: content_type.into(),
            width,
            height,
            size,
        }
    }
}

impl Digest {
    /// These bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl FromStr for Digest {
    type Err = ParseDigestError;

    fn from_str(text: &str) -> Result<Self, ParseDigestError> {
        let digit = |byte: u8| char::from(byte).to_digit(16).ok_or(ParseDigestError);
        let text: &[u8; 64] = text.as_bytes().try_into().map_err(|_| ParseDigestError)?;
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
            let value = digit(pair[0])? << 4 | digit(pair[1])?;
            *byte = u8::try_from(value).map_err(|_| ParseDigestError)?;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl Wire for Attachment {
    fn put(&self, out: &mut Vec<u8>) {
        self.reference.put(out);
        self.name.put(out);
        self.content_type.put(out);
        self.size.put(out);
        out.extend(self.digest.0);
        self.thumbnail.put(out);
    }

    fn take(input: &mut Input) -> Result<Self> {
        Ok(Self {
            reference: Wire::take(input)?,
            name: Wire::take(input)?,
            content_type: Wire::take(input)?,
            size: Wire::take(input)?,
            digest: Wire::take(input)?,
            thumbnail: Wire::take(input)?,
        })
    }
}

impl Wire for Thumbnail {
    fn put(&self, out: &mut Vec<u8>) {
        self.reference.put(out);
        self.content_type.put(out);
        self.width.put(out);
        self.height.put(out);
        self.size.put(out);
    }

    fn take(input: &mut Input) -> Result<Self> {
        Ok(Self {
            reference: Wire::take(input)?,
            content_type: Wire::take(input)?,
            width: Wire::take(input)?,
            height: Wire::take(input)?,
            size: Wire::take(input)?,
        })
    }
}

/// Its 32 bytes.
impl Wire for Digest {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend(self.0);
    }

    fn take(input: &mut Input) -> Result<Self> {
        let bytes = input.slice(32)?;
        let bytes = bytes[..].try_into().map_err(|_| Input::corrupt())?;
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_64_hexadecimal_digits() {
        // The SHA-256 of no bytes (FIPS 180-4).
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let digest: Digest = empty.parse().unwrap();
        assert_eq!(
            (digest.as_bytes()[0], digest.to_string()),
            (0xe3, empty.to_owned())
        );
        for text in ["", "e3", &empty.replace('e', "g"), &format!("{empty}00")] {
            assert_eq!(text.parse::<Digest>(), Err(ParseDigestError), "{text}");
        }
    }

    #[test]
    fn media_types_are_those_of_the_registry() {
        for text in [
            "image/png",
            "image/svg+xml",
            "application/vnd.ms-excel",
            "text/x.y_z",
        ] {
            assert!(is_media_type(text), "{text}");
        }
        let long = format!("a/{}", "b".repeat(128));
        for text in [
            "",
            "image",
            "/png",
            "image/",
            "image/p ng",
            "image/png; a=b",
            "é/a",
            &long,
        ] {
            assert!(!is_media_type(text), "{text}");
        }
    }
}
