//! What finding the owner of a key costs, beside other consistent hashes.
//!
//! Keys count upwards, so that no branch predictor learns them and no array of them competes with
//! the ring for the cache; every contender hashes the same integers with its own default hash. The
//! text key is written anew for each lookup, which is counted too.

use std::{hint::black_box, time::Duration};

use backplane::ring::{HashRing, Member, RingOptions};
use bench::{Bars, CpuTime, Row};
use bench_peers::rings as peers;
use criterion::{Criterion, criterion_group};

const SIZES: [u32; 2] = [140, 1_000];
const BAR_AT_140: f64 = 12.0;

fn main() -> std::io::Result<()> {
    let tables = SIZES.map(bars);
    benches();
    tables.iter().try_for_each(Bars::print)
}

fn bars(nodes: u32) -> Bars {
    let group = group(nodes);
    let mut bars = Bars::new(format!(
        "ring: CPU ns a lookup among {nodes} nodes of 160 points, median of this run"
    ));
    let integer = Row::new(&*group, "integer");
    bars.row(match nodes {
        140 => integer.bar(BAR_AT_140),
        _ => integer,
    });
    for row in ["text", "three_owners"] {
        bars.row(Row::new(&*group, row));
    }
    for (peer, cap) in [
        ("hashring", "1 point a node"),
        ("anchorhash", "depends on the history of changes"),
        ("mpchash", "21 probes, 1 point a node"),
        ("jumphash", "numbers, no names"),
    ] {
        bars.peer(Row::new(&*group, peer).cap(cap));
    }
    bars
}

fn group(nodes: u32) -> String {
    format!("ring_{nodes}")
}

fn ring(nodes: u32) -> HashRing {
    let members = (0..nodes).map(|node| Member::new(format!("node-{node}")).expect("a name"));
    HashRing::build(members, 1, &RingOptions::default()).expect("distinct names")
}

fn lookups(criterion: &mut Criterion<CpuTime>) {
    for nodes in SIZES {
        let ring = ring(nodes);
        lookup(criterion, nodes, "integer", |key| {
            ring.owner_of_u64(key).expect("an owner").weight()
        });
        let mut text = *b"chat:00000000";
        lookup(criterion, nodes, "text", |key| {
            for (digit, shift) in text[5..].iter_mut().zip((0..32).step_by(4)) {
                *digit = b"0123456789abcdef"[(key >> shift & 15) as usize];
            }
            ring.owner(&text).expect("an owner").weight()
        });
        lookup(criterion, nodes, "three_owners", |key| {
            let owners = ring.owners_at(HashRing::point_of_u64(key)).take(3);
            owners.map(Member::weight).sum::<u32>() / 3
        });
        lookup(
            criterion,
            nodes,
            "hashring",
            in_range(nodes, peers::hashring(nodes)),
        );
        lookup(
            criterion,
            nodes,
            "anchorhash",
            in_range(nodes, peers::anchorhash(nodes)),
        );
        lookup(
            criterion,
            nodes,
            "mpchash",
            in_range(nodes, peers::mpchash(nodes)),
        );
        lookup(
            criterion,
            nodes,
            "jumphash",
            in_range(nodes, peers::jumphash(nodes)),
        );
    }
}

/// Turns the number of a node into a check that there is such a node.
fn in_range(nodes: u32, owner: impl Fn(u64) -> u32) -> impl Fn(u64) -> u32 {
    move |key| u32::from(owner(key) < nodes)
}

/// Measures `lookup` on the next key, and asserts that it answers 1: every member's weight.
fn lookup(
    criterion: &mut Criterion<CpuTime>,
    nodes: u32,
    name: &str,
    mut lookup: impl FnMut(u64) -> u32,
) {
    let mut key = 0_u64;
    let mut group = criterion.benchmark_group(group(nodes));
    group
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    group.bench_function(name, |bencher| {
        bencher.iter(|| {
            key += 1;
            assert_eq!(lookup(black_box(key)), 1, "{name} finds no owner");
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(CpuTime::Thread);
    targets = lookups
}
