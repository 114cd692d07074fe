//! The comparison in words and figures.

use std::fmt::{Display, Write};

use super::{
    Plan,
    figure::{grouped, nanoseconds, rate, seconds, size},
    latency::Percentiles,
    outcome::{Outcome, real},
};

const LABEL: usize = 44;
const COLUMN: usize = 12;

/// A table with a column for each outcome.
pub(super) fn table(outcomes: &[Outcome], plan: &Plan) -> String {
    let mut table = Table::new(outcomes);
    if let Some(first) = outcomes.first() {
        table.line(&network(first, plan));
        table.line("");
    }
    table.row("", |outcome| outcome.policy.to_string());
    speeds(&mut table, plan);
    latencies(&mut table, plan);
    memory(&mut table);
    table.line("");
    table.line(&same_pages(outcomes));
    table.text
}

/// How many of the sampled viewers do not see the same under all policies.
pub(super) fn differing_pages(outcomes: &[Outcome]) -> usize {
    let Some((first, others)) = outcomes.split_first() else {
        return 0;
    };
    let differs = |viewer: &usize| {
        let page = |outcome: &Outcome| outcome.pages.get(*viewer).copied();
        others.iter().any(|other| page(other) != page(first))
    };
    (0..first.pages.len()).filter(differs).count()
}

/// The network, in a sentence.
pub(super) fn network(outcome: &Outcome, plan: &Plan) -> String {
    let network = outcome.network;
    let follows = real(network.follows) / f64::from(network.users);
    format!(
        "{} users, {} of them around, follow {follows:.1} others each. The most popular has {} \
         followers;\nthe tail of follower counts has the exponent {:.2}. Seed {}, clients {}, \
         workers {}.",
        grouped(network.users.into()),
        grouped(network.around),
        grouped(network.most_followers.into()),
        network.tail_exponent,
        plan.seed,
        plan.clients,
        plan.workers,
    )
}

fn speeds(table: &mut Table<'_>, plan: &Plan) {
    table.head("Posts alone, as fast as they go");
    table.row("posts/s", |o| rate(o.posts.rate(o.posts.posts)));
    table.row("deliveries/s", |o| rate(o.posts.rate(o.posts.deliveries)));
    table.row("CPU a post, with its fanout", |o| seconds(o.posts.cost()));
    let head = format!("{} reads a post, as fast as they go", plan.reads_per_post);
    table.head(&head);
    table.row("reads/s", |o| rate(o.mixed.rate(o.mixed.reads)));
    table.row("posts/s", |o| rate(o.mixed.rate(o.mixed.posts)));
    table.row("deliveries/s", |o| rate(o.mixed.rate(o.mixed.deliveries)));
    table.row("CPU an operation", |o| seconds(o.mixed.cost()));
}

fn latencies(table: &mut Table<'_>, plan: &Plan) {
    let posts = plan.rate / plan.reads_per_post;
    let (reads, posts) = (grouped(plan.rate.into()), grouped(posts.into()));
    table.head(&format!(
        "At {reads} reads/s and {posts} posts/s, from when each was due"
    ));
    table.percentiles("page there", |o| Some(o.read));
    table.percentiles("the same, but from when it was begun", |o| Some(o.reading));
    table.percentiles("post durable", |o| Some(o.publish));
    table.percentiles("post in a follower's timeline", |o| o.lag);
}

fn memory(table: &mut Table<'_>) {
    table.head("Memory");
    table.row("entries in timelines", |o| {
        grouped(o.memory.timelines.entries)
    });
    table.row("bytes an entry, by the store's account", |o| {
        each(o.memory.timelines.bytes_per_entry())
    });
    table.row("the same when they had just been built", |o| {
        each(o.memory.built.bytes_per_entry())
    });
    table.row("the same by growth of the process", |o| {
        let built = &o.memory.built;
        o.memory
            .growth
            .map_or_else(unknown, |growth| each(built.per_entry(growth)))
    });
    table.row("timelines", |o| size(o.memory.timelines.bytes));
    table.row("process", |o| o.memory.process.map_or_else(unknown, size));
    table.row("authors whom readers pull from", |o| {
        grouped(o.pulled_authors)
    });
}

fn same_pages(outcomes: &[Outcome]) -> String {
    let viewers = outcomes.first().map_or(0, |first| first.pages.len());
    match differing_pages(outcomes) {
        0 => format!(
            "In the end {viewers} viewers were sampled: each sees the same pages under all."
        ),
        some => format!("In the end {some} of {viewers} sampled viewers see DIFFERENT pages."),
    }
}

struct Table<'a> {
    outcomes: &'a [Outcome],
    text: String,
}

impl<'a> Table<'a> {
    const fn new(outcomes: &'a [Outcome]) -> Self {
        Self {
            outcomes,
            text: String::new(),
        }
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn head(&mut self, head: &str) {
        self.line(head);
    }

    fn row<T: Display>(&mut self, label: &str, value: impl Fn(&Outcome) -> T) {
        let mut row = format!("  {label:LABEL$}");
        for outcome in self.outcomes {
            let value = value(outcome);
            // Writing to a string cannot fail.
            let _ = write!(row, "{value:>COLUMN$}");
        }
        self.line(row.trim_end());
    }

    fn percentiles(&mut self, label: &str, value: impl Fn(&Outcome) -> Option<Percentiles>) {
        for (at, name) in Percentiles::NAMES.into_iter().enumerate() {
            let label = format!("{label}, {name}");
            self.row(&label, |outcome| {
                let found = value(outcome).map(|found| found.values()[at]);
                found.map_or_else(|| String::from("-"), nanoseconds)
            });
        }
    }
}

/// Bytes for one of what there may be none of.
fn each(bytes: Option<f64>) -> String {
    bytes.map_or_else(|| String::from("none"), |bytes| format!("{bytes:.1}"))
}

fn unknown() -> String {
    String::from("unknown")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::{
        outcome::{Burst, Memory, Network, Timelines},
        policy::Policy,
    };

    fn outcome(policy: Policy, pages: &[u64]) -> Outcome {
        let some = Percentiles {
            count: 1,
            p50: 1_000,
            p90: 2_000,
            p99: 3_000,
            p999: 4_000,
            max: 5_000,
        };
        let burst = Burst {
            seconds: 2.0,
            cpu_seconds: 1.0,
            posts: 10,
            reads: 90,
            deliveries: 5_000,
        };
        let timelines = Timelines {
            entries: 4,
            bytes: 70,
        };
        Outcome {
            policy,
            network: Network {
                users: 3,
                around: 2,
                follows: 6,
                most_followers: 2,
                tail_exponent: 2.3,
            },
            posts: burst,
            mixed: burst,
            read: some,
            reading: some,
            publish: some,
            lag: (policy != Policy::Pull).then_some(some),
            memory: Memory {
                built: timelines,
                growth: None,
                timelines,
                process: Some(2_000_000),
            },
            pulled_authors: 1,
            pages: pages.to_vec(),
        }
    }

    fn plan() -> Plan {
        Plan {
            users: 3,
            posts: 10,
            reads_per_post: 9,
            seconds: 1,
            rate: 90,
            pull_above: 1,
            seed: 1,
            clients: 1,
            workers: 1,
        }
    }

    #[test]
    fn a_viewer_who_sees_something_else_under_one_policy_is_reported() {
        let same = [(Policy::Push, [1, 2]), (Policy::Pull, [1, 2])];
        let same = same.map(|(policy, pages)| outcome(policy, &pages));
        assert_eq!(differing_pages(&same), 0);
        let [push, pull] = same;
        let outcomes = [push, pull, outcome(Policy::Hybrid, &[1, 3])];
        assert_eq!(differing_pages(&outcomes), 1);
        assert!(table(&outcomes, &plan()).contains("1 of 2 sampled viewers see DIFFERENT pages"));
    }

    #[test]
    fn every_policy_has_its_column() {
        let outcomes = Policy::ALL.map(|policy| outcome(policy, &[1]));
        let table = table(&outcomes, &plan());
        let row = |label: &str| {
            let line = table.lines().find(|line| line.trim().starts_with(label));
            let line = line.unwrap_or_else(|| panic!("no {label} in:\n{table}"));
            line.trim()
                .strip_prefix(label)
                .unwrap()
                .split_whitespace()
                .collect::<Vec<_>>()
        };
        assert_eq!(row("push"), ["pull", "hybrid"]);
        assert_eq!(row("deliveries/s"), ["2,500", "2,500", "2,500"]);
        let lag = row("post in a follower's timeline, p50");
        assert_eq!(lag, ["1.00", "µs", "-", "1.00", "µs"]);
        let growth = row("the same by growth of the process");
        assert_eq!(growth, ["unknown", "unknown", "unknown"]);
    }
}
