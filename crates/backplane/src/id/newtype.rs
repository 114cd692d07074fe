use std::num::IntErrorKind;

/// Defines a newtype over a 64-bit identifier: `Copy`, ordered, `Display` and `FromStr` in decimal.
///
/// Serde writes it as a decimal string where the format is for humans, since JavaScript rounds
/// integers past 2^53, and as a `u64` elsewhere. It reads back exactly what it writes: no sign, no
/// leading zero, no space, and no JSON number.
///
/// ```
/// backplane::id_newtype! {
///     /// A user of the embedding application.
///     pub struct UserId;
/// }
/// let user: UserId = "175928847299117063".parse()?;
/// assert_eq!(user, UserId::new(175_928_847_299_117_063));
/// assert_eq!(serde_json::to_string(&user)?, r#""175928847299117063""#);
/// assert!(serde_json::from_str::<UserId>("175928847299117063").is_err());
/// assert!("007".parse::<UserId>().is_err());
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
///
/// It converts from and into an [`Id`](crate::id::Id), which is what a generator issues.
#[macro_export]
macro_rules! id_newtype {
    ($(#[$meta:meta])* $visibility:vis struct $name:ident;) => {
        $crate::__id_newtype! { $(#[$meta])* $visibility struct $name; }

        impl ::core::convert::From<$crate::id::Id> for $name {
            fn from(id: $crate::id::Id) -> Self {
                Self(id.get())
            }
        }

        impl ::core::convert::From<$name> for $crate::id::Id {
            fn from(id: $name) -> Self {
                Self::new(id.0)
            }
        }
    };
}

/// The part of [`id_newtype!`] that `Id` itself is made with.
#[doc(hidden)]
#[macro_export]
macro_rules! __id_newtype {
    ($(#[$meta:meta])* $visibility:vis struct $name:ident;) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        $visibility struct $name(u64);

        impl $name {
            /// Wraps a raw identifier.
            #[must_use]
            pub const fn new(raw: u64) -> Self {
                Self(raw)
            }

            /// The raw identifier.
            #[must_use]
            pub const fn get(self) -> u64 {
                self.0
            }
        }

        impl ::core::fmt::Display for $name {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                ::core::fmt::Display::fmt(&self.0, f)
            }
        }

        impl ::core::str::FromStr for $name {
            type Err = $crate::id::ParseIdError;

            fn from_str(text: &str) -> ::core::result::Result<Self, Self::Err> {
                $crate::id::__private::parse(text).map(Self)
            }
        }

        impl $crate::id::__private::Serialize for $name {
            fn serialize<S: $crate::id::__private::Serializer>(
                &self,
                serializer: S,
            ) -> ::core::result::Result<S::Ok, S::Error> {
                $crate::id::__private::serialize(self.0, serializer)
            }
        }

        impl<'de> $crate::id::__private::Deserialize<'de> for $name {
            fn deserialize<D: $crate::id::__private::Deserializer<'de>>(
                deserializer: D,
            ) -> ::core::result::Result<Self, D::Error> {
                $crate::id::__private::deserialize(deserializer).map(Self)
            }
        }
    };
}

__id_newtype! {
    /// A 64-bit identifier that sorts by the time it was issued, to the unit of its
    /// [`Layout`](crate::id::Layout).
    ///
    /// Domain types are made of it with [`id_newtype!`](crate::id_newtype).
    pub struct Id;
}

// `fill` starts from a slice of something.
impl Default for Id {
    /// Zero, which no generator issues.
    fn default() -> Self {
        Self(0)
    }
}

/// The text is not a decimal identifier.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseIdError {
    /// Something other than digits, or a leading zero, or nothing at all.
    #[error("not a decimal identifier")]
    Malformed,
    /// More than 64 bits.
    #[error("identifier out of range")]
    OutOfRange,
}

/// What the macros expand to. Not for use by hand.
#[doc(hidden)]
pub mod __private {
    use std::fmt;

    use serde::de;
    pub use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub use super::parse;

    pub fn serialize<S: Serializer>(raw: u64, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(&raw)
        } else {
            serializer.serialize_u64(raw)
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        if deserializer.is_human_readable() {
            deserializer.deserialize_str(Decimal)
        } else {
            u64::deserialize(deserializer)
        }
    }

    struct Decimal;

    impl de::Visitor<'_> for Decimal {
        type Value = u64;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a 64-bit identifier as a decimal string")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<u64, E> {
            parse(text).map_err(E::custom)
        }
    }
}

/// Reads what `Display` writes, and nothing else.
pub fn parse(text: &str) -> Result<u64, ParseIdError> {
    let canonical = text == "0" || text.starts_with(|first| matches!(first, '1'..='9'));
    if !canonical {
        return Err(ParseIdError::Malformed);
    }
    text.parse::<u64>().map_err(|error| match error.kind() {
        IntErrorKind::PosOverflow => ParseIdError::OutOfRange,
        _ => ParseIdError::Malformed,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;
    use serde::{
        Deserialize, Serialize,
        de::value::{Error as ValueError, U64Deserializer},
    };

    use super::*;

    id_newtype! {
        /// A note of this test.
        struct NoteId;
    }

    #[test]
    fn only_canonical_decimals_are_read() {
        assert_eq!("0".parse(), Ok(Id::new(0)));
        assert_eq!("18446744073709551615".parse(), Ok(Id::new(u64::MAX)));
        for malformed in [
            "", "+1", "-1", "01", "00", " 1", "1 ", "1_0", "1e3", "0x1", "١",
        ] {
            assert_eq!(
                malformed.parse::<Id>(),
                Err(ParseIdError::Malformed),
                "{malformed:?}"
            );
        }
        assert_eq!(
            "18446744073709551616".parse::<Id>(),
            Err(ParseIdError::OutOfRange)
        );
    }

    #[test]
    fn json_is_a_string_because_a_number_would_be_rounded() {
        let id = NoteId::new(175_928_847_299_117_063);
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(json, r#""175928847299117063""#);
        assert_eq!(serde_json::from_str::<NoteId>(&json).unwrap(), id);
        assert_eq!(
            serde_json::from_str::<NoteId>(r#""\u0031""#).unwrap(),
            NoteId::new(1)
        );
        for foreign in [
            "175928847299117063",
            "1",
            "1.0",
            r#""01""#,
            "null",
            r#"["1"]"#,
        ] {
            assert!(
                serde_json::from_str::<NoteId>(foreign).is_err(),
                "{foreign}"
            );
        }
    }

    #[test]
    fn keys_of_a_json_object_are_identifiers_too() {
        let likes = HashMap::from([(NoteId::new(u64::MAX), 3)]);
        let json = serde_json::to_string(&likes).unwrap();
        assert_eq!(json, r#"{"18446744073709551615":3}"#);
        assert_eq!(
            serde_json::from_str::<HashMap<NoteId, i32>>(&json).unwrap(),
            likes
        );
    }

    #[test]
    fn binary_formats_hold_the_number() {
        struct Binary(U64Deserializer<ValueError>);
        impl<'de> serde::Deserializer<'de> for Binary {
            type Error = ValueError;
            fn deserialize_any<V: serde::de::Visitor<'de>>(
                self,
                visitor: V,
            ) -> Result<V::Value, ValueError> {
                self.0.deserialize_any(visitor)
            }
            fn is_human_readable(&self) -> bool {
                false
            }
            serde::forward_to_deserialize_any! {
                bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
                option unit unit_struct newtype_struct seq tuple tuple_struct map struct enum
                identifier ignored_any
            }
        }
        let number = serde::de::IntoDeserializer::into_deserializer(u64::MAX);
        assert_eq!(
            NoteId::deserialize(Binary(number)),
            Ok(NoteId::new(u64::MAX))
        );
    }

    #[test]
    fn a_domain_identifier_is_an_id_and_back() {
        let id = Id::new(7);
        assert_eq!(Id::from(NoteId::from(id)), id);
    }

    proptest! {
        #[test]
        fn text_round_trips(raw: u64) {
            let id = Id::new(raw);
            prop_assert_eq!(id.to_string().parse(), Ok(id));
            let json = serde_json::to_value(id).unwrap();
            prop_assert_eq!(Id::deserialize(json).unwrap(), id);
            prop_assert!(id.serialize(serde_json::value::Serializer).unwrap().is_string());
        }
    }
}
