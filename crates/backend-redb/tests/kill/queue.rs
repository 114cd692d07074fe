//! Tasks that are enqueued and settled.

use std::{collections::BTreeSet, error::Error, path::Path, sync::Arc, time::Duration};

use backend_redb::{RedbQueue, Writer, WriterOptions, redb::Database};
use backplane::{
    SystemClock,
    queue::{Enqueued, NewTask, QueueOptions, Settlement, TaskId, TaskQueue},
};
use futures::future::join_all;

use crate::{Promises, report};

const MINUTE: Duration = Duration::from_secs(60);

pub(crate) async fn work(path: &Path) -> Result<(), Box<dyn Error + Send + Sync>> {
    let queue = open(path).await?;
    loop {
        let callers = (0_u32..8).map(|_| async {
            let tasks = [NewTask::new("a"), NewTask::new("b")];
            if let Enqueued::Accepted(admitted) = queue.enqueue(&tasks).await? {
                for admission in admitted {
                    report(&format!("accepted {}", admission.task()))?;
                }
            }
            for lease in queue.lease(1, MINUTE).await? {
                report(&format!("settling {}", lease.key.task))?;
                queue.settle(&[(lease.key, Settlement::Ack)]).await?;
                report(&format!("settled {}", lease.key.task))?;
            }
            Ok::<_, Box<dyn Error + Send + Sync>>(())
        });
        for caller in join_all(callers).await {
            caller?;
        }
    }
}

/// What the children were told.
#[derive(Default)]
pub(crate) struct Report {
    accepted: BTreeSet<TaskId>,
    settling: BTreeSet<TaskId>,
    settled: BTreeSet<TaskId>,
}

impl Promises for Report {
    fn note(&mut self, line: &str) -> Result<(), Box<dyn Error + Send + Sync>> {
        let (what, task) = line.split_once(' ').ok_or("a torn line")?;
        let task = task.parse()?;
        match what {
            "accepted" => self.accepted.insert(task),
            "settling" => self.settling.insert(task),
            "settled" => self.settled.insert(task),
            _ => return Err(format!("unknown report: {line}").into()),
        };
        Ok(())
    }

    /// Every accepted task that nobody tried to settle is there, and none that was settled.
    async fn compare(&self, path: &Path) -> Result<(), Box<dyn Error + Send + Sync>> {
        let queue = open(path).await?;
        let leases = queue.lease(usize::MAX, MINUTE).await?;
        let held: BTreeSet<_> = leases.iter().map(|lease| lease.key.task).collect();
        let lost: Vec<_> = (&self.accepted - &self.settling)
            .difference(&held)
            .copied()
            .collect();
        assert!(lost.is_empty(), "accepted and lost: {lost:?}");
        let risen: Vec<_> = self.settled.intersection(&held).collect();
        assert!(risen.is_empty(), "settled and back: {risen:?}");
        assert!(!self.settled.is_empty() && self.accepted.len() > self.settled.len());
        let release = Settlement::Release {
            delay: Duration::ZERO,
        };
        let released: Vec<_> = leases
            .iter()
            .map(|lease| (lease.key, release.clone()))
            .collect();
        queue.settle(&released).await?;
        Ok(())
    }
}

async fn open(path: &Path) -> Result<RedbQueue, Box<dyn Error + Send + Sync>> {
    let writer = Writer::start(Arc::new(Database::create(path)?), WriterOptions::default())?;
    let clock = Arc::new(SystemClock::new());
    Ok(RedbQueue::open(&writer, "kill", clock, QueueOptions::default()).await?)
}
