//! What everything else is made of.

use backplane::{Epoch, Timestamp};
use bytes::Bytes;

use super::{Input, Wire};
use crate::{ClientId, DeviceId, GroupId, MessageId, Reaction, Result, UserId};

impl Wire for u64 {
    fn put(&self, out: &mut Vec<u8>) {
        let mut rest = *self;
        while rest > 0x7f {
            out.push(rest.to_le_bytes()[0] | 0x80);
            rest >>= 7;
        }
        out.push(rest.to_le_bytes()[0]);
    }

    fn take(input: &mut Input) -> Result<Self> {
        let mut number = 0;
        for shift in (0..Self::BITS).step_by(7) {
            let byte = input.byte()?;
            let bits = Self::from(byte & 0x7f);
            number |= bits << shift;
            if byte == 0 && shift > 0 || number >> shift != bits {
                break; // longer than need be, or than a number is
            }
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Input::corrupt())
    }
}

impl Wire for u32 {
    fn put(&self, out: &mut Vec<u8>) {
        u64::from(*self).put(out);
    }

    fn take(input: &mut Input) -> Result<Self> {
        Self::try_from(u64::take(input)?).map_err(|_| Input::corrupt())
    }
}

impl Wire for bool {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn take(input: &mut Input) -> Result<Self> {
        match input.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Input::corrupt()),
        }
    }
}

impl<T: Wire> Wire for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }

    fn take(input: &mut Input) -> Result<Self> {
        bool::take(input)?.then(|| T::take(input)).transpose()
    }
}

impl<T: Wire> Wire for Vec<T> {
    fn put(&self, out: &mut Vec<u8>) {
        (self.len() as u64).put(out);
        for value in self {
            value.put(out);
        }
    }

    fn take(input: &mut Input) -> Result<Self> {
        // Grows with what is read: the length may be damaged.
        let len = u64::take(input)?;
        (0..len).map(|_| T::take(input)).collect()
    }
}

impl<A: Wire, B: Wire> Wire for (A, B) {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
        self.1.put(out);
    }

    fn take(input: &mut Input) -> Result<Self> {
        Ok((A::take(input)?, B::take(input)?))
    }
}

impl Wire for Bytes {
    fn put(&self, out: &mut Vec<u8>) {
        put_text(self, out);
    }

    fn take(input: &mut Input) -> Result<Self> {
        let len = u64::take(input)?;
        input.slice(len)
    }
}

impl Wire for String {
    fn put(&self, out: &mut Vec<u8>) {
        put_text(self.as_bytes(), out);
    }

    fn take(input: &mut Input) -> Result<Self> {
        let text = Bytes::take(input)?;
        Self::from_utf8(text.into()).map_err(|_| Input::corrupt())
    }
}

fn put_text(text: &[u8], out: &mut Vec<u8>) {
    (text.len() as u64).put(out);
    out.extend_from_slice(text);
}

macro_rules! texts {
    ($($text:ident),*) => {$(
        impl Wire for $text {
            fn put(&self, out: &mut Vec<u8>) {
                put_text(self.as_str().as_bytes(), out);
            }

            fn take(input: &mut Input) -> Result<Self> {
                let text = Bytes::take(input)?;
                let text = std::str::from_utf8(&text).map_err(|_| Input::corrupt())?;
                text.parse().map_err(|_| Input::corrupt())
            }
        }
    )*};
}

texts!(ClientId, Reaction);

macro_rules! numbers {
    ($($number:ident: $new:ident, $get:ident);*) => {$(
        impl Wire for $number {
            fn put(&self, out: &mut Vec<u8>) {
                self.$get().put(out);
            }

            fn take(input: &mut Input) -> Result<Self> {
                u64::take(input).map(Self::$new)
            }
        }
    )*};
}

numbers!(
    UserId: new, get;
    DeviceId: new, get;
    MessageId: new, get;
    GroupId: new, get;
    Epoch: new, get;
    Timestamp: from_millis, as_millis
);
