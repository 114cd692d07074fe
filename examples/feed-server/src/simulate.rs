//! The load run: push, pull and hybrid under the same load, on the same network of users.
//!
//! Each policy runs in a process of its own, on fresh stores in memory: what one leaves behind in the
//! allocator would otherwise flatter the next. [`graph`] and [`mix`] state
//! whom users follow and what they do, and where that is from.
//!
//! Clients read and post in threads, workers do the fanout in others. What can be done is measured with
//! clients who do one thing after the other, until fanout has done the last piece of it. How long it
//! takes is measured at a given rate, from when each operation was due: timed from when a client gets
//! round to it, as it is beside, the slowest operations would hide the ones that wait for them
//! (coordinated omission).

use std::{env, fs, num::NonZero, path::PathBuf, process::Stdio, thread, time::Duration};

use anyhow::{Context, ensure};
use clap::{Args, value_parser};

use self::{mix::Amounts, outcome::Outcome, policy::Policy};

mod beat;
mod chart;
mod client;
mod deliveries;
mod figure;
mod graph;
mod latency;
mod mix;
mod outcome;
mod policy;
mod process;
mod progress;
mod report;
mod run;
mod stage;
mod svg;
mod weights;

/// How much is done.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// How many users there are [default: 200000; 20000 if quick]
    #[arg(long, value_parser = value_parser!(u32).range(1_000..=10_000_000))]
    users: Option<u32>,
    /// How many posts are written as fast as it goes, first alone and then among reads [default: 20000; 500 if quick]
    #[arg(long, value_parser = value_parser!(u32).range(1..=10_000_000))]
    posts: Option<u32>,
    /// How many reads come with each post
    #[arg(long, default_value_t = 50, value_parser = value_parser!(u32).range(1..=10_000))]
    reads_per_post: u32,
    /// For how many seconds latencies are taken [default: 10; 1 if quick]
    #[arg(long, value_parser = value_parser!(u32).range(1..=3_600))]
    seconds: Option<u32>,
    /// How many reads a second there are meanwhile
    #[arg(long, default_value_t = 10_000, value_parser = value_parser!(u32).range(1..=1_000_000))]
    rate: u32,
    /// From authors with more followers than this, hybrid pulls [default: one in 200 users]
    #[arg(long)]
    pull_above: Option<u64>,
    /// Which network and which operations; the same seed makes the same
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many threads read and post [default: one for each processor but those that workers have]
    #[arg(long)]
    clients: Option<NonZero<usize>>,
    /// How many threads do the fanout
    #[arg(long, default_value = "1")]
    workers: NonZero<usize>,
    /// A few seconds instead of a minute or two
    #[arg(long)]
    quick: bool,
    /// Where to write the chart
    #[arg(long, value_name = "PATH", default_value = "feed-simulation.svg")]
    chart: PathBuf,
    /// Measures one policy and prints the outcome for the program that asked for it
    #[arg(long, hide = true)]
    alone: Option<Policy>,
}

/// What the options come to.
#[derive(Clone, Copy, Debug)]
struct Plan {
    users: u32,
    posts: u32,
    reads_per_post: u32,
    seconds: u32,
    rate: u32,
    pull_above: u64,
    seed: u64,
    clients: usize,
    workers: usize,
}

/// Measures the three policies one after the other, prints a table and writes a chart.
///
/// # Errors
///
/// If one of the measuring processes fails, the policies show different pages, or the chart cannot be
/// written.
#[expect(clippy::print_stdout, reason = "the table is what the command is for")]
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let plan = Plan::new(options);
    if let Some(policy) = options.alone {
        let outcome = run::measure(policy, &plan)?;
        println!("{}", serde_json::to_string(&outcome)?);
        return Ok(());
    }
    let outcomes: Vec<_> = Policy::ALL
        .into_iter()
        .map(measure_alone)
        .collect::<anyhow::Result<_>>()?;
    println!("{}", report::table(&outcomes, &plan));
    let chart = &options.chart;
    fs::write(chart, chart::draw(&outcomes, &plan))
        .with_context(|| format!("cannot write {}", chart.display()))?;
    println!("The chart is in {}.", chart.display());
    let differing = report::differing_pages(&outcomes);
    ensure!(differing == 0, "{differing} viewers see different pages");
    Ok(())
}

/// Runs this program again with the same arguments, for one policy.
fn measure_alone(policy: Policy) -> anyhow::Result<Outcome> {
    let output = std::process::Command::new(env::current_exe()?)
        .args(env::args_os().skip(1))
        .args(["--alone", policy.name()])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(output.status.success(), "{policy}: {}", output.status);
    serde_json::from_slice(&output.stdout).with_context(|| format!("{policy} has no outcome"))
}

impl Plan {
    fn new(options: &Options) -> Self {
        let or = |given: Option<u32>, usual, quick| {
            given.unwrap_or(if options.quick { quick } else { usual })
        };
        let processors = thread::available_parallelism().map_or(1, NonZero::get);
        let workers = options.workers.get();
        let spare = || processors.saturating_sub(workers).max(1);
        let users = or(options.users, 200_000, 20_000);
        Self {
            users,
            posts: or(options.posts, 20_000, 500),
            seconds: or(options.seconds, 10, 1),
            reads_per_post: options.reads_per_post,
            rate: options.rate,
            pull_above: options.pull_above.unwrap_or_else(|| u64::from(users) / 200),
            seed: options.seed,
            clients: options.clients.map_or_else(spare, NonZero::get),
            workers,
        }
    }

    fn amounts(&self) -> Amounts {
        Amounts {
            users: self.users,
            posts: self.posts,
            reads_per_post: self.reads_per_post,
            beat_posts: (self.rate * self.seconds / self.reads_per_post).max(1),
        }
    }

    /// From one operation to the next, at the rate.
    fn step(&self) -> Duration {
        let reads = f64::from(self.reads_per_post);
        Duration::from_secs_f64(reads / (reads + 1.0) / f64::from(self.rate))
    }
}
