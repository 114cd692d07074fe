//! Which server of a Cluster serves which slot.

use std::collections::BTreeSet;

use redis::{FromRedisValue, Value};

const SLOTS: u16 = 16_384;

/// Ranges of slots and their masters.
#[derive(Debug, Default)]
pub(crate) struct SlotMap(Vec<Range>);

#[derive(Debug)]
pub(crate) struct Range {
    pub(crate) first: u16,
    last: u16,
    /// Where the master is, as clients are to know it.
    pub(crate) address: Address,
    /// The master's name, which it keeps wherever it is.
    pub(crate) node: String,
}

/// Host and port. A host that is empty is that of whoever told the address, which does not know its own.
pub(crate) type Address = (String, u16);

impl SlotMap {
    /// Reads the answer to `CLUSTER SLOTS`.
    pub(crate) fn read(answer: &Value) -> Option<Self> {
        let ranges = Vec::<Vec<Value>>::from_redis_value_ref(answer).ok()?;
        let range = |range: &Vec<Value>| {
            let [first, last, master, ..] = &range[..] else {
                return None;
            };
            let master = Vec::<Value>::from_redis_value_ref(master).ok()?;
            let [host, port, node, ..] = &master[..] else {
                return None;
            };
            let host = Option::<String>::from_redis_value_ref(host).ok()?;
            let port = u16::from_redis_value_ref(port).ok()?;
            let bound = |slot| u16::from_redis_value_ref(slot).ok();
            Some(Range {
                first: bound(first)?,
                last: bound(last)?,
                address: (host.unwrap_or_default(), port),
                node: String::from_redis_value_ref(node).ok()?,
            })
        };
        let ranges: Option<Vec<_>> = ranges.iter().map(range).collect();
        ranges.map(Self)
    }

    /// The server of a slot, if any serves it.
    pub(crate) fn address(&self, slot: u16) -> Option<&Address> {
        Some(&self.range(slot)?.address)
    }

    fn range(&self, slot: u16) -> Option<&Range> {
        let holds = |range: &&Range| (range.first..=range.last).contains(&slot);
        self.0.iter().find(holds)
    }

    /// The name of the master of a slot, if any serves it.
    pub(crate) fn master(&self, slot: u16) -> Option<&str> {
        Some(&self.range(slot)?.node)
    }

    /// How many masters there are, one at least.
    pub(crate) fn count(&self) -> usize {
        let names: BTreeSet<_> = self.0.iter().map(|range| &range.node).collect();
        names.len().max(1)
    }

    /// One range of each master, by the names of the masters.
    pub(crate) fn masters(mut self) -> Vec<Range> {
        self.0
            .sort_unstable_by(|one, other| one.node.cmp(&other.node));
        self.0.dedup_by(|one, other| one.node == other.node);
        self.0
    }
}

/// The slot of a key or a shard channel: CRC16 of its hash tag, if it has one.
pub(crate) fn slot_of(name: &[u8]) -> u16 {
    crc16::State::<crc16::XMODEM>::calculate(tag_of(name).unwrap_or(name)) % SLOTS
}

fn tag_of(name: &[u8]) -> Option<&[u8]> {
    let place = |byte, name: &[u8]| name.iter().position(|&one| one == byte);
    let after = &name[place(b'{', name)? + 1..];
    let tag = &after[..place(b'}', after)?];
    (!tag.is_empty()).then_some(tag)
}

#[cfg(test)]
mod tests {
    use redis::cluster_routing::Slot;

    use super::*;

    #[test]
    fn a_slot_is_that_of_the_client() {
        for name in [
            "{bus:a}",
            "shop:{bus:room 7}",
            "x{bus:odd}name}",
            "{bus:{}",
            "rate:a",
            "{}b",
        ] {
            assert_eq!(
                Slot::new(slot_of(name.as_bytes())),
                Some(Slot::for_key(name)),
                "{name}"
            );
        }
    }

    #[test]
    fn every_slot_of_a_range_is_found() {
        let text = |text: &str| Value::BulkString(text.into());
        let master = |port| Value::Array(vec![text("host"), Value::Int(port), text("name")]);
        let range =
            |from, to, port| Value::Array(vec![Value::Int(from), Value::Int(to), master(port)]);
        let answer = Value::Array(vec![range(0, 99, 1), range(200, 16_383, 2)]);
        let map = SlotMap::read(&answer).unwrap();
        let port = |slot| map.address(slot).map(|(_, port)| *port);
        assert_eq!(
            [0, 99, 100, 200, 16_383].map(port),
            [Some(1), Some(1), None, Some(2), Some(2)]
        );
    }
}
