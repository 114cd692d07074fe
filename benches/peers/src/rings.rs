//! Consistent hashes. Each function makes one of the nodes 0 to `nodes` and returns a call that finds
//! the owner of a key.

use jumphash::JumpHasher;

/// `hashring`, with its one point a node.
pub fn hashring(nodes: u32) -> impl Fn(u64) -> u32 {
    let mut ring = hashring::HashRing::new();
    ring.batch_add((0..nodes).collect());
    move |key| ring.get(&key).copied().unwrap_or(u32::MAX)
}

/// `anchorhash`, with room for twice the nodes.
///
/// # Panics
///
/// From 32,768 nodes on.
pub fn anchorhash(nodes: u32) -> impl Fn(u64) -> u32 {
    let capacity = u16::try_from(2 * nodes).expect("fewer than 32,768 nodes");
    let anchor = anchorhash::Builder::default()
        .with_resources(0..nodes)
        .build::<u64>(capacity);
    move |key| anchor.get_resource(key).copied().unwrap_or(u32::MAX)
}

/// `mpchash`, with its default of 21 probes.
pub fn mpchash(nodes: u32) -> impl Fn(u64) -> u32 {
    let ring = mpchash::HashRing::<u32>::new();
    for node in 0..nodes {
        ring.add(node);
    }
    move |key| ring.node(&key).map_or(u32::MAX, |token| *token.node())
}

/// `jumphash`, keyed so that its mapping is the same in every process.
pub fn jumphash(nodes: u32) -> impl Fn(u64) -> u32 {
    let hasher = JumpHasher::new_with_keys(0, 0);
    move |key| hasher.slot(&key, nodes)
}
