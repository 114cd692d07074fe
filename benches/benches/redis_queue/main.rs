//! What it costs to put tasks into a queue on a Redis server, and to work them off.
//!
//! A task has 64 bytes and no key. `batches` enqueues a hundred in a call, `singles` one in a call, of
//! which 64 are under way at any time, and `process` is one worker that takes a hundred tasks at a time,
//! does nothing with them, and has told the server of each that it is done; `whole` is `singles` and then
//! `process`. Every row is of the same server in the same run, which is emptied before each round. A row
//! `…/wall` is what passed until the last answer, on this side and on that; a row `…/server` is the CPU time
//! of the server alone.
//!
//! `apalis` is `apalis-redis` as it comes, but with batches as large as ours; `apalis_lean` locks no tasks
//! and tells nobody of them, of which its documentation proposes the first for short ones. `streams` is what
//! a queue could be made of, and does less: a stream whose tasks are claimed by a group and then deleted.
//! `bullmq` is [BullMQ](https://bullmq.io) 6 with a worker of a hundred tasks at once. It is left out unless Node.js finds it:
//!
//! ```sh
//! npm install --prefix /tmp/bullmq bullmq@6.7.0 ioredis@5
//! NODE_PATH=/tmp/bullmq/node_modules cargo bench -p bench --bench redis_queue
//! ```

mod house;

use std::{io, time::Duration};

use bench::{Bars, CpuTime, Row};
use criterion::{BenchmarkId, Criterion, SamplingMode, criterion_group};

use crate::house::{House, TASKS};

const OPERATIONS: [&str; 4] = ["batches", "singles", "process", "whole"];
const CLOCKS: [(&str, &str); 2] = [("wall", "ns"), ("server", "the server's CPU ns")];
const PEERS: [&str; 3] = ["apalis", "apalis_lean", "bullmq"];

/// What a queue could be made of, which does less than a queue.
const PARTS: &str = "streams";

fn main() -> io::Result<()> {
    let tables = OPERATIONS.iter().flat_map(|operation| {
        let of = |&(clock, unit)| bars(operation, clock, unit);
        CLOCKS.iter().map(of).collect::<Vec<_>>()
    });
    let tables: Vec<_> = tables.collect();
    benches();
    tables.iter().try_for_each(Bars::print)
}

fn bars(operation: &str, clock: &str, unit: &str) -> Bars {
    let bar = match operation {
        "whole" => " (bar: a peer's is twice ours)",
        _ => "",
    };
    let mut bars = Bars::new(format!(
        "redis queue, {operation}: {unit} a task, median of this run{bar}"
    ));
    let row = |name| Row::new(group(operation), format!("{name}/{clock}")).items(TASKS);
    bars.row(row("backplane"));
    for name in PEERS.into_iter().chain([PARTS]) {
        bars.peer(row(name));
    }
    bars
}

fn group(operation: &str) -> String {
    format!("redis_queue_{operation}")
}

fn queues(criterion: &mut Criterion<CpuTime>) {
    let mut house = House::new();
    for operation in OPERATIONS {
        let mut group = criterion.benchmark_group(group(operation));
        group.sampling_mode(SamplingMode::Flat).sample_size(10);
        let names = ["backplane"].into_iter().chain(PEERS).chain([PARTS]);
        for name in names {
            if !house.has(name) {
                continue;
            }
            for (clock, _) in CLOCKS {
                group.bench_function(BenchmarkId::new(name, clock), |bencher| {
                    bencher.iter_custom(|rounds| {
                        let round = |_| house.round(name, operation, clock);
                        (0..rounds).map(round).sum()
                    });
                });
            }
        }
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .with_measurement(CpuTime::Thread)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = queues
}
