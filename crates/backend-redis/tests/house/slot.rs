//! Where a key is that has a tag: what stands between its braces.

const SLOTS: u16 = 16_384;

pub(crate) fn slot_of(tag: &str) -> u16 {
    crc16::State::<crc16::XMODEM>::calculate(tag.as_bytes()) % SLOTS
}

/// The number of the master, of three, which serve an equal share of the slots each, in order.
pub(crate) fn master_of(tag: &str) -> usize {
    usize::from(slot_of(tag)) * 3 / usize::from(SLOTS)
}
