//! A rhythm is the last time in milliseconds and the rate: eight and four bytes, big endian. A marker is
//! the eight bytes of its post.

use backplane::Timestamp;
use feed_core::{PostId, Rhythm};
use redis::Value;

use crate::answer::{Maybe, bytes, number};

/// What became of a rhythm that was to be replaced.
pub(super) enum Swapped {
    Done,
    /// Somebody else was there first, and this is what stands.
    Found(Option<Rhythm>),
}

pub(super) fn row(rhythm: Rhythm) -> Vec<u8> {
    let last = rhythm.last.as_millis().to_be_bytes();
    [&last[..], &rhythm.per_day_milli.to_be_bytes()].concat()
}

pub(super) fn rhythm(answer: &Value) -> Option<Maybe<Rhythm>> {
    if *answer == Value::Nil {
        return Some(Maybe(None));
    }
    let (last, rate) = bytes(answer)?.split_first_chunk()?;
    let mut rhythm = Rhythm::first(Timestamp::from_millis(u64::from_be_bytes(*last)));
    rhythm.per_day_milli = u32::from_be_bytes(rate.try_into().ok()?);
    Some(Maybe(Some(rhythm)))
}

pub(super) fn swapped(answer: &Value) -> Option<Swapped> {
    if *answer == Value::Int(1) {
        return Some(Swapped::Done);
    }
    rhythm(answer).map(|Maybe(found)| Swapped::Found(found))
}

pub(super) fn marker(answer: &Value) -> Option<PostId> {
    if *answer == Value::Nil {
        return Some(PostId::MIN);
    }
    number(bytes(answer)?).map(PostId::new)
}
