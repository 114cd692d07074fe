//! A process that is killed while it works loses nothing that it was promised.
//!
//! The test starts itself as a child that works and reports each call before or after it, kills the
//! child with a signal that cannot be caught, and compares the file with the report.

#[cfg(feature = "chat")]
mod chat;
#[cfg(feature = "feed")]
mod feed;
mod id_counter;
mod queue;

use std::{
    env,
    error::Error,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
};

use tokio::runtime::{Builder, Runtime};

const CHILD: &str = "BACKEND_REDB_KILL_CHILD";
const WORK: &str = "BACKEND_REDB_KILL_WORK";
const ROUNDS: usize = 5;

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let runtime = Builder::new_current_thread().build()?;
    if let Some(path) = env::var_os(CHILD) {
        return runtime.block_on(work(Path::new(&path), &env::var(WORK)?));
    }
    if env::args().any(|argument| argument == "--list") {
        return Ok(());
    }
    outlive(&runtime, "queue", &mut queue::Report::default())?;
    outlive(&runtime, "ids", &mut id_counter::Report::default())?;
    #[cfg(feature = "feed")]
    outlive(&runtime, "feed", &mut feed::Report::default())?;
    #[cfg(feature = "chat")]
    outlive(&runtime, "chat", &mut chat::Report::default())?;
    let out = &mut std::io::stdout();
    writeln!(out, "test a_killed_process_keeps_its_promises ... ok")?;
    Ok(())
}

/// The child: goes on until it is killed.
async fn work(path: &Path, what: &str) -> Result<(), Box<dyn Error + Send + Sync>> {
    match what {
        "queue" => queue::work(path).await,
        "ids" => id_counter::work(path).await,
        #[cfg(feature = "feed")]
        "feed" => feed::work(path).await,
        #[cfg(feature = "chat")]
        "chat" => chat::work(path).await,
        _ => Err("no such work".into()),
    }
}

/// What the children of one kind of work were told.
trait Promises {
    /// Takes down one line of a report.
    fn note(&mut self, line: &str) -> Result<(), Box<dyn Error + Send + Sync>>;

    /// Compares the file with all reports so far.
    async fn compare(&self, path: &Path) -> Result<(), Box<dyn Error + Send + Sync>>;
}

fn outlive(
    runtime: &Runtime,
    what: &str,
    promises: &mut impl Promises,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("data.redb");
    for round in 0..ROUNDS {
        take_down(&path, what, 200 + 100 * round, promises)?;
        runtime.block_on(promises.compare(&path))?;
    }
    Ok(())
}

/// Starts a child, kills it after so many lines, and takes down all that it wrote.
fn take_down(
    path: &Path,
    what: &str,
    lines: usize,
    promises: &mut impl Promises,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut child = Command::new(env::current_exe()?)
        .env(CHILD, path)
        .env(WORK, what)
        .stdout(Stdio::piped())
        .spawn()?;
    let out = child.stdout.take().ok_or("no standard output")?;
    let mut read = 0;
    for line in BufReader::new(out).lines() {
        promises.note(&line?)?;
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

/// Writes one line, as a whole, to who started this child.
fn report(line: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
