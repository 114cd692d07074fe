//! What it costs to push a post into home timelines, and to read a page of one.
//!
//! There are 100,000 viewers with full timelines of 800 posts: more than a gigabyte, so that nearly
//! every timeline comes from memory. A fanout goes to a random part of them; one post in twenty is
//! late. The peers hold the same, but for Redis, which has 20,000 lists. Its row `redis_server` is
//! the CPU time of the server alone, and `redis_wall` what passed until the last answer.
//!
//! A row that says `hot` reads what a core's cache holds: one viewer's home page, or the timelines of
//! a hundred viewers. The others read another viewer each time.

mod crowd;
mod home;
mod peers;
mod timelines;

use std::{
    io::{self, Write},
    time::Duration,
};

use bench::{Bars, CpuTime, Row};
use criterion::{Criterion, criterion_group};

const FANOUT: &str = "feed_fanout";
const PAGE: &str = "feed_page";
const HOME: &str = "feed_home";
const FOLLOWERS: [u32; 3] = [100, 1_000, 10_000];

fn main() -> io::Result<()> {
    let (fanout, pages, home) = (fanout(), pages(), home());
    benches();
    fanout.print()?;
    pages.print()?;
    home.print()?;
    if !fanout.is_empty() {
        let (originals, mixed) = timelines::bytes_an_entry();
        let redis = peers::bytes_an_entry()?;
        let mut out = io::stdout().lock();
        writeln!(out, "\nfeed: bytes an entry of full timelines (bar 24)")?;
        writeln!(out, "  memory, originals alone          {originals:>6.2}")?;
        writeln!(out, "  memory, one in five a repost     {mixed:>6.2}")?;
        writeln!(out, "  redis lists, ids alone           {redis:>6.2}")?;
    }
    Ok(())
}

fn fanout() -> Bars {
    let mut bars = Bars::new("feed, fanout: CPU ns an insert, median of this run");
    for followers in FOLLOWERS {
        let row = |name: &str| Row::new(FANOUT, format!("{name}/{followers}")).items(followers);
        bars.row(row("memory").bar(200.0));
        bars.peer(row("dashmap_btreeset"));
        bars.peer(row("redis_server"));
    }
    let row = |name: &str| Row::new(FANOUT, format!("{name}/1000")).items(1_000);
    bars.row(row("memory_async").bar(200.0));
    bars.row(row("memory_reposts").bar(200.0));
    bars.peer(row("redis_wall"));
    bars
}

fn pages() -> Bars {
    let mut bars = Bars::new("feed, a page of 20: CPU ns, median of this run");
    for name in ["newest_hot", "cursor_hot"] {
        bars.row(Row::new(PAGE, name).bar(500.0));
    }
    for name in ["newest_of_100k", "cursor_of_100k", "reposts_of_100k"] {
        bars.row(Row::new(PAGE, name));
    }
    bars.peer(Row::new(PAGE, "dashmap_btreeset"));
    bars
}

fn home() -> Bars {
    let mut bars = Bars::new("feed, a page of 20 through the engine: CPU ns, median of this run");
    bars.row(Row::new(HOME, "pulled_50_hot").bar(4_000.0));
    bars.row(Row::new(HOME, "pulled_50").bar(4_000.0));
    bars.row(Row::new(HOME, "pulled_50_cursor"));
    bars.row(Row::new(HOME, "all_pushed"));
    bars
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .with_measurement(CpuTime::Thread)
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = timelines::run, home::run, peers::run
}
