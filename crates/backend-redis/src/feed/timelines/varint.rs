//! Numbers in as few bytes as they need: LEB128, seven bits a byte, the least significant first.

pub(super) fn put(into: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        into.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    into.push(number.to_le_bytes()[0]);
}

/// A difference that may be negative, small ones in few bytes.
pub(super) fn put_difference(into: &mut Vec<u8>, from: u64, to: u64) {
    let difference = to.wrapping_sub(from).cast_signed();
    put(
        into,
        ((difference << 1) ^ (difference >> 63)).cast_unsigned(),
    );
}

/// Takes what [`put`] has written off the front of `from`.
pub(super) fn take(from: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = from.split_first()?;
        *from = rest;
        let bits = u64::from(byte & 0x7f);
        let shifted = bits << shift;
        if shifted >> shift != bits {
            return None;
        }
        number |= shifted;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

pub(super) fn take_difference(from: &mut &[u8], base: u64) -> Option<u64> {
    let zigzag = take(from)?;
    let difference = (zigzag >> 1) ^ (zigzag & 1).wrapping_neg();
    Some(base.wrapping_add(difference))
}

/// How many are to follow, each of which takes at least a byte: more cannot.
pub(super) fn take_count(from: &mut &[u8]) -> Option<usize> {
    let count = usize::try_from(take(from)?).ok()?;
    (count <= from.len()).then_some(count)
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        #[test]
        fn what_was_put_is_taken(number: u64, base: u64, rest: Vec<u8>) {
            let mut bytes = Vec::new();
            put(&mut bytes, number);
            put_difference(&mut bytes, base, number);
            bytes.extend(&rest);
            let mut from = &bytes[..];
            prop_assert_eq!(take(&mut from), Some(number));
            prop_assert_eq!(take_difference(&mut from, base), Some(number));
            prop_assert_eq!(from, rest);
        }

        #[test]
        fn anything_else_is_taken_for_something_or_refused(bytes in vec(any::<u8>(), 0..12)) {
            let mut from = &bytes[..];
            if let Some(number) = take(&mut from) {
                let mut least = Vec::new();
                put(&mut least, number);
                prop_assert!(least.len() <= bytes.len() - from.len());
            }
        }
    }

    #[test]
    fn neighbours_are_a_byte_apart() {
        for (from, to) in [(0, 0), (7, 0), (0, 63), (u64::MAX, 0)] {
            let mut bytes = Vec::new();
            put_difference(&mut bytes, from, to);
            assert_eq!(bytes.len(), 1, "{from} {to}");
        }
    }
}
