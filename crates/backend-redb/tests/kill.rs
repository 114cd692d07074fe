//! A process that is killed while it works loses nothing that it was promised.
//!
//! The test starts itself as a child that enqueues and settles tasks and reports each call before
//! and after it, kills the child with a signal that cannot be caught, and compares the file with
//! the report.

use std::{
    collections::BTreeSet,
    env,
    error::Error,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use backend_redb::{RedbQueue, Writer, WriterOptions, redb::Database};
use backplane::{
    SystemClock,
    queue::{Enqueued, NewTask, QueueOptions, Settlement, TaskId, TaskQueue},
};
use futures::future::join_all;

const CHILD: &str = "BACKEND_REDB_KILL_CHILD";
const ROUNDS: usize = 5;
const MINUTE: Duration = Duration::from_secs(60);

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    if let Some(path) = env::var_os(CHILD) {
        return runtime.block_on(work(Path::new(&path)));
    }
    if env::args().any(|argument| argument == "--list") {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("data.redb");
    let mut report = Report::default();
    for round in 0..ROUNDS {
        report.take_down(&path, 200 + 100 * round)?;
        runtime.block_on(compare(&path, &report))?;
    }
    let out = &mut std::io::stdout();
    writeln!(out, "test a_killed_process_keeps_its_promises ... ok")?;
    Ok(())
}

/// The child: goes on until it is killed.
async fn work(path: &Path) -> Result<(), Box<dyn Error + Send + Sync>> {
    let queue = open(path).await?;
    loop {
        let callers = (0_u32..8).map(|_| async {
            let tasks = [NewTask::new("a"), NewTask::new("b")];
            if let Enqueued::Accepted(admitted) = queue.enqueue(&tasks).await? {
                for admission in admitted {
                    report("accepted", admission.task())?;
                }
            }
            for lease in queue.lease(1, MINUTE).await? {
                report("settling", lease.key.task)?;
                queue.settle(&[(lease.key, Settlement::Ack)]).await?;
                report("settled", lease.key.task)?;
            }
            Ok::<_, Box<dyn Error + Send + Sync>>(())
        });
        for caller in join_all(callers).await {
            caller?;
        }
    }
}

fn report(what: &str, task: TaskId) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{what} {task}")?;
    out.flush()
}

/// What the children were told.
#[derive(Default)]
struct Report {
    accepted: BTreeSet<TaskId>,
    settling: BTreeSet<TaskId>,
    settled: BTreeSet<TaskId>,
}

impl Report {
    /// Starts a child, kills it after so many lines, and takes down all that it wrote.
    fn take_down(&mut self, path: &Path, lines: usize) -> Result<(), Box<dyn Error + Send + Sync>> {
        let mut child = Command::new(env::current_exe()?)
            .env(CHILD, path)
            .stdout(Stdio::piped())
            .spawn()?;
        let out = child.stdout.take().ok_or("no standard output")?;
        let mut read = 0;
        for line in BufReader::new(out).lines() {
            self.note(&line?)?;
            read += 1;
            if read == lines {
                child.kill()?;
            }
        }
        child.wait()?;
        if read < lines {
            return Err(format!("the child ended by itself after {read} lines").into());
        }
        Ok(())
    }

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
}

/// Every accepted task that nobody tried to settle is there, and none that was settled.
async fn compare(path: &Path, report: &Report) -> Result<(), Box<dyn Error + Send + Sync>> {
    let queue = open(path).await?;
    let leases = queue.lease(usize::MAX, MINUTE).await?;
    let held: BTreeSet<_> = leases.iter().map(|lease| lease.key.task).collect();
    let lost: Vec<_> = (&report.accepted - &report.settling)
        .difference(&held)
        .copied()
        .collect();
    assert!(lost.is_empty(), "accepted and lost: {lost:?}");
    let risen: Vec<_> = report.settled.intersection(&held).collect();
    assert!(risen.is_empty(), "settled and back: {risen:?}");
    assert!(!report.settled.is_empty() && report.accepted.len() > report.settled.len());
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

async fn open(path: &Path) -> Result<RedbQueue, Box<dyn Error + Send + Sync>> {
    let writer = Writer::start(Arc::new(Database::create(path)?), WriterOptions::default())?;
    let clock = Arc::new(SystemClock::new());
    Ok(RedbQueue::open(&writer, "kill", clock, QueueOptions::default()).await?)
}
