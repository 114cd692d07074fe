//! The whole of what is measured under one policy.

use std::{panic::resume_unwind, thread, time::Duration};

use anyhow::Context;
use backplane::Clock;
use fastrand::Rng;
use futures::{FutureExt, channel::oneshot, executor::block_on};

use super::{
    Plan,
    beat::Beat,
    client::{Timings, hurry, keep_beat},
    graph::FollowGraph,
    mix::{Mix, Script},
    outcome::{Burst, Memory, Network, Outcome},
    policy::Policy,
    process,
    progress::Progress,
    stage::Stage,
};

/// How long the clients of a beat have to get ready.
const GET_READY: Duration = Duration::from_millis(20);

/// Measures `policy`, in a process that nothing else was measured in: else what is freed before is
/// taken for memory that is not needed.
pub(super) fn measure(policy: Policy, plan: &Plan) -> anyhow::Result<Outcome> {
    let progress = Progress::new(policy);
    progress.begin("meeting people", 1);
    let mut rng = Rng::with_seed(plan.seed);
    let network = FollowGraph::generate(plan.users, &mut rng);
    let mix = Mix::generate(plan.amounts(), &mut rng);
    let stage = Stage::new(policy, plan, &network);
    stage.follow(&network, &progress)?;
    let network = Network {
        users: network.users(),
        around: mix.around.len() as u64,
        follows: network.follows() as u64,
        most_followers: network.most_followers(),
        tail_exponent: network.tail_exponent(),
    };
    let measuring = || measure_on(&stage, policy, network, &mix, plan, &progress);
    beside_workers(&stage, plan.workers, measuring)
}

fn measure_on(
    stage: &Stage,
    policy: Policy,
    network: Network,
    mix: &Mix,
    plan: &Plan,
    progress: &Progress,
) -> anyhow::Result<Outcome> {
    block_on(stage.post_past(&mix.past, progress))?;
    stage.welcome(&mix.around, progress)?;
    let before = process::resident();
    block_on(stage.build(&mix.around, progress))?;
    let after = process::resident();
    let built = stage.timelines(&mix.around);

    progress.begin("posting", mix.posts.operations.len() as u64);
    let posts = burst(stage, &mix.posts, plan, progress)?;
    progress.begin("posting and reading", mix.burst.operations.len() as u64);
    let mixed = burst(stage, &mix.burst, plan, progress)?;
    progress.begin("keeping the beat", mix.beat.operations.len() as u64);
    let timings = beat(stage, &mix.beat, plan, progress)?;
    let lag = stage.deliveries.lag().and_then(|lag| lag.percentiles());

    let memory = Memory {
        built,
        growth: before
            .zip(after)
            .map(|(before, after)| after.saturating_sub(before)),
        timelines: stage.timelines(&mix.around),
        process: process::resident(),
    };
    Ok(Outcome {
        policy,
        network,
        posts,
        mixed,
        read: timings.reads.percentiles().context("nobody read")?,
        reading: timings.reading.percentiles().context("nobody read")?,
        publish: timings.posts.percentiles().context("nobody posted")?,
        lag,
        memory,
        pulled_authors: stage.pulled_authors(plan.users),
        pages: block_on(stage.pages(plan.users, progress))?,
    })
}

/// Does something while workers do what fanout there is.
fn beside_workers<T>(
    stage: &Stage,
    workers: usize,
    work: impl FnOnce() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    thread::scope(|scope| {
        let (stop, stopped) = oneshot::channel::<()>();
        let stopped = stopped.map(|_| ()).shared();
        let workers: Vec<_> = (0..workers)
            .map(|_| {
                let stopped = stopped.clone();
                scope.spawn(|| block_on(stage.feed.run(stopped)))
            })
            .collect();
        let done = work();
        drop(stop);
        for worker in workers {
            let worked = worker.join();
            worked.unwrap_or_else(|panic| resume_unwind(panic))?;
        }
        done
    })
}

/// From the first operation until fanout has done the last piece of its work.
fn burst(
    stage: &Stage,
    script: &Script,
    plan: &Plan,
    progress: &Progress,
) -> anyhow::Result<Burst> {
    let (started, cpu) = (stage.clock.monotonic(), process::cpu_time());
    let delivered = stage.deliveries.count();
    hurry(&stage.feed, script, plan.clients, progress)?;
    block_on(stage.drain())?;
    let elapsed = stage.clock.monotonic().saturating_sub(started);
    let posts = script.posts() as u64;
    Ok(Burst {
        seconds: elapsed.as_secs_f64(),
        cpu_seconds: process::cpu_time().saturating_sub(cpu).as_secs_f64(),
        posts,
        reads: script.operations.len() as u64 - posts,
        deliveries: stage.deliveries.count() - delivered,
    })
}

fn beat(
    stage: &Stage,
    script: &Script,
    plan: &Plan,
    progress: &Progress,
) -> anyhow::Result<Timings> {
    let beat = Beat {
        first: script.post(0),
        start: stage.clock.monotonic() + GET_READY,
        step: plan.step(),
    };
    stage.deliveries.time(beat);
    let timings = keep_beat(
        &stage.feed,
        script,
        (beat, &stage.clock),
        plan.clients,
        progress,
    )?;
    block_on(stage.drain())?;
    Ok(timings)
}

#[cfg(test)]
mod tests {
    use feed_core::{Entry, PageSize};

    use super::*;
    use crate::simulate::{
        mix::{Operation, past_post, user},
        stage::{PAGES, hash, sample},
    };

    const PLAN: Plan = Plan {
        users: 1_000,
        posts: 200,
        reads_per_post: 5,
        seconds: 1,
        rate: 500,
        pull_above: 20,
        seed: 7,
        clients: 2,
        workers: 2,
    };

    /// Everything that is ever posted, newest first.
    fn posts(mix: &Mix) -> Vec<Entry> {
        let past = mix.past.iter().enumerate();
        let past = past.map(|(place, &author)| Entry::original(past_post(place), user(author)));
        let scripts = [&mix.posts, &mix.burst, &mix.beat];
        let later = scripts.into_iter().flat_map(|script| {
            let operations = script.operations.iter().enumerate();
            operations.filter_map(|(place, operation)| match operation {
                Operation::Post { author } => {
                    Some(Entry::original(script.post(place), user(*author)))
                }
                Operation::Read { .. } => None,
            })
        });
        let mut posts: Vec<_> = past.chain(later).collect();
        posts.reverse();
        posts
    }

    #[test]
    fn every_policy_shows_what_was_posted_and_measures_all_of_it() {
        let mut rng = Rng::with_seed(PLAN.seed);
        let network = FollowGraph::generate(PLAN.users, &mut rng);
        let mix = Mix::generate(PLAN.amounts(), &mut rng);
        let posts = posts(&mix);
        assert!(posts.is_sorted_by(|a, b| a.post > b.post));
        let expected: Vec<_> = sample(PLAN.users)
            .map(|viewer| {
                let followees = network.followees(viewer);
                let sources = followees.iter().chain([&viewer]);
                let sources: Vec<_> = sources.map(|&author| user(author)).collect();
                let seen = posts.iter().filter(|post| sources.contains(&post.author));
                let seen = seen.take(PAGES * PageSize::default().get()).copied();
                hash(&seen.collect::<Vec<_>>())
            })
            .collect();

        for policy in Policy::ALL {
            let outcome = measure(policy, &PLAN).unwrap();
            assert_eq!(outcome.pages, expected, "{policy}");
            assert_eq!((outcome.posts.posts, outcome.posts.reads), (200, 0));
            assert_eq!((outcome.mixed.posts, outcome.mixed.reads), (200, 1_000));
            assert_eq!((outcome.publish.count, outcome.read.count), (100, 500));
            let delivers = policy != Policy::Pull;
            assert_eq!(outcome.lag.is_some(), delivers, "{policy}");
            assert_eq!(outcome.mixed.deliveries > 0, delivers, "{policy}");
            assert_eq!(
                outcome.pulled_authors > 0,
                policy != Policy::Push,
                "{policy}"
            );
            let bytes = outcome.memory.timelines.bytes_per_entry();
            assert_eq!(bytes.is_some(), delivers, "{policy}");
            assert!(bytes.is_none_or(|bytes| bytes > 16.0), "{policy}");
            assert_eq!(outcome.memory.timelines.bytes > 0, delivers, "{policy}");
        }
    }
}
