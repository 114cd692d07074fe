//! What it costs to push a post into home timelines on a Redis server, and how much room they take there.
//!
//! There are 10,000 viewers with full timelines of 800 posts, a thousand followers an author. Every row
//! of a table is of the same server in the same run. A row `…/wall` is what passed until the last answer,
//! on this side and on that; a row `…/server` is the CPU time of the server alone.
//!
//! `push_many` is the store, `feed` all from `Feed::publish` to the worker that has served the last
//! follower, with four workers. `pipeline` is `LPUSH` and `LTRIM` for each follower in one pipeline a post of
//! the client that the store uses, on lists of bare ids: neither authors nor deduplication. `socket` is the
//! same requests in bytes that were written beforehand, on a socket without a client.

mod house;

use std::{io, io::Write as _, time::Duration};

use bench::{Bars, CpuTime, Row};
use criterion::{BenchmarkId, Criterion, SamplingMode, criterion_group};

use crate::house::House;

const GROUP: &str = "redis_fanout";
const FOLLOWERS: u32 = 1_000;
const OURS: [&str; 2] = ["push_many", "feed"];
const PEERS: [&str; 3] = ["pipeline", "socket", "stream_framework"];

fn main() -> io::Result<()> {
    let (wall, server) = (bars("wall", "ns"), bars("server", "the server's CPU ns"));
    benches();
    wall.print()?;
    server.print()?;
    if wall.is_empty() {
        return Ok(());
    }
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "\nredis: bytes an entry, 800 entries of 200 authors (bar 12)"
    )?;
    writeln!(out, "{:<22}{:>9}{:>9}{:>9}", "", "packed", "mean", "most")?;
    for bits in [20, 32, 63] {
        let [packed, mean, most] = house::bytes_an_entry(bits);
        let name = format!("users of {bits} bits");
        writeln!(out, "{name:<22}{packed:>9.2}{mean:>9.2}{most:>9.2}")?;
    }
    Ok(())
}

fn bars(clock: &str, unit: &str) -> Bars {
    let mut bars = Bars::new(format!(
        "redis, fanout: {unit} an insert, median of this run"
    ));
    let row = |name| Row::new(GROUP, format!("{name}/{clock}")).items(FOLLOWERS);
    for name in OURS {
        bars.row(row(name));
    }
    for name in PEERS {
        bars.peer(row(name));
    }
    bars
}

fn fanout(criterion: &mut Criterion<CpuTime>) {
    let mut house = House::new();
    let mut group = criterion.benchmark_group(GROUP);
    group.sampling_mode(SamplingMode::Flat).sample_size(10);
    for name in OURS.into_iter().chain(PEERS) {
        for clock in ["wall", "server"] {
            group.bench_function(BenchmarkId::new(name, clock), |bencher| {
                bencher.iter_custom(|rounds| {
                    let before = house.clock(clock);
                    match name {
                        "push_many" => house.push_many(rounds),
                        "feed" => house.publish(rounds),
                        "pipeline" => house.pipeline(rounds),
                        "socket" => return house.socket(rounds, clock),
                        _ => house.stream_framework(rounds),
                    }
                    house.clock(clock).saturating_sub(before)
                });
            });
        }
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .with_measurement(CpuTime::Thread)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_millis(1_500));
    targets = fanout
}
