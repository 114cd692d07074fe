//! A node as its scripts keep it: numbers as text of fixed length, which they cut out and compare.

use backplane::{
    Error, ErrorKind, Result,
    directory::{Incarnation, Node, NodeState},
};

/// As text that sorts as the number does.
pub(super) fn digits(number: u64) -> String {
    format!("{number:020}")
}

pub(super) fn weight(weight: u32) -> String {
    format!("{weight:010}")
}

pub(super) fn state(op: &'static str, state: NodeState) -> Result<&'static str> {
    match state {
        NodeState::Up => Ok("u"),
        NodeState::Draining => Ok("d"),
        _ => Err(Error::new(ErrorKind::Invalid, op, "an unknown state")),
    }
}

/// What follows upon the incarnation and the token.
pub(super) fn pack(op: &'static str, node: &Node) -> Result<Vec<u8>> {
    let (state, weight) = (state(op, node.state)?, weight(node.weight));
    let address = format!("{:03}{}", node.address.len(), node.address);
    let row = [state, &weight, &address, &node.region].concat();
    Ok(row.into_bytes())
}

/// The node of a whole row.
pub(super) fn unpack(name: &str, row: &[u8]) -> Option<Node> {
    let row = std::str::from_utf8(row).ok()?;
    let number = |from: usize, to: usize| row.get(from..to);
    let incarnation = number(0, 20)?.parse().ok()?;
    let address = 54 + number(51, 54)?.parse::<usize>().ok()?;
    let node = Node::new(name, Incarnation::new(incarnation), row.get(54..address)?)
        .with_region(row.get(address..)?)
        .with_weight(number(41, 51)?.parse().ok()?);
    Some(match row.get(40..41)? {
        "u" => node.with_state(NodeState::Up),
        "d" => node.with_state(NodeState::Draining),
        _ => return None,
    })
}
