//! The bytes of events and of what belongs to them: for stores, and for links between nodes.
//!
//! What has a byte form is [`Wire`]. [`encode`] writes it after a version, and [`decode`] reads it back:
//! what it says is a slice of what was read, without a copy. What does not decode is
//! [`ErrorKind::Corrupt`], however it came about.
//!
//! ```
//! use chat_core::{Event, Message, MessageId, What, codec};
//! let said = What::Message(Message::new("hello".into()));
//! let event = Event::new(1, MessageId::new(7), backplane::Timestamp::EPOCH, None, None, said);
//!
//! let mut bytes = Vec::new();
//! codec::encode(&event, &mut bytes);
//! assert_eq!(bytes.len(), 16);
//! assert_eq!(codec::decode::<Event>(bytes.into())?, event);
//! # Ok::<(), chat_core::Error>(())
//! ```
//!
//! # Form
//!
//! Version 1. Every value has one form, and no form is the beginning of another.
//!
//! | what | bytes |
//! |---|---|
//! | version | 1 byte |
//! | number, id, time in ms | [LEB128](https://en.wikipedia.org/wiki/LEB128), the shortest: seven bits a byte, the lowest first |
//! | yes or no | 0 or 1 |
//! | text, body | its length as a number, then its bytes |
//! | list | its length as a number, then its elements |
//! | what may be absent | 0, or 1 and what it is |
//! | struct | its fields in the order of `codec/chat.rs` |
//! | enum | 1 byte that says which, as there, then its fields |

mod chat;
#[cfg(test)]
mod tests;
mod values;

use bytes::{Buf, Bytes};

use crate::{Error, ErrorKind, Result};

const VERSION: u8 = 1;

/// A value that has a byte form, of one byte at least. A store implements it for its rows, out of what
/// they are made of.
pub trait Wire: Sized {
    /// Appends the value to `out`.
    fn put(&self, out: &mut Vec<u8>);

    /// Takes the value off the beginning of `input`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Corrupt`].
    fn take(input: &mut Input) -> Result<Self>;
}

/// Appends the version and `value` to `out`.
pub fn encode(value: &impl Wire, out: &mut Vec<u8>) {
    out.push(VERSION);
    value.put(out);
}

/// The value that all of `bytes` is, whose memory is kept as long as anything that it says.
///
/// # Errors
///
/// [`ErrorKind::Corrupt`] if the bytes are of another version, or none that [`encode`] has made.
pub fn decode<T: Wire>(bytes: Bytes) -> Result<T> {
    let mut input = Input(bytes);
    if input.byte()? != VERSION {
        return Err(Input::corrupt());
    }
    let value = T::take(&mut input)?;
    input
        .0
        .is_empty()
        .then_some(value)
        .ok_or_else(Input::corrupt)
}

/// What is left to be read.
#[derive(Debug)]
pub struct Input(Bytes);

impl Input {
    /// Says that what was read is no value.
    #[must_use]
    pub fn corrupt() -> Error {
        Error::bare(ErrorKind::Corrupt, "decode")
    }

    /// Takes one byte.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Corrupt`] if there is none.
    pub fn byte(&mut self) -> Result<u8> {
        let byte = *self.0.first().ok_or_else(Self::corrupt)?;
        self.0.advance(1);
        Ok(byte)
    }

    /// Takes so many bytes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Corrupt`] if there are fewer.
    pub fn slice(&mut self, len: u64) -> Result<Bytes> {
        let len = usize::try_from(len).ok().filter(|len| *len <= self.0.len());
        Ok(self.0.split_to(len.ok_or_else(Self::corrupt)?))
    }
}
