use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

/// [BullMQ](https://docs.bullmq.io) in a process of Node.js, which does what it is told over a pipe.
#[derive(Debug)]
pub struct Bullmq {
    process: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Bullmq {
    /// A queue on the server at `url`; none, unless there is a `node` that finds a module `bullmq` in its
    /// `NODE_PATH`.
    ///
    /// # Errors
    ///
    /// If the process cannot be spoken with.
    pub fn start(url: &str) -> io::Result<Option<Self>> {
        let mut node = Command::new("node");
        node.args(["-e", include_str!("bullmq.js"), url])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let Ok(mut process) = node.spawn() else {
            return Ok(None);
        };
        let pipes = process.stdin.take().zip(process.stdout.take());
        let (orders, answers) = pipes.ok_or(io::ErrorKind::BrokenPipe)?;
        let mut peer = Self {
            process,
            orders,
            answers: BufReader::new(answers),
        };
        Ok(peer.answer("ready").is_ok().then_some(peer))
    }

    /// Enqueues so many tasks, `batch` in a call.
    ///
    /// # Errors
    ///
    /// If the process cannot be spoken with.
    pub fn push_batches(&mut self, tasks: usize, batch: usize, payload: &str) -> io::Result<()> {
        self.tell(&format!("batches {tasks} {batch} {payload}"))
    }

    /// Enqueues so many tasks, one in a call, by so many callers at once.
    ///
    /// # Errors
    ///
    /// If the process cannot be spoken with.
    pub fn push_singles(&mut self, tasks: usize, callers: usize, payload: &str) -> io::Result<()> {
        self.tell(&format!("singles {tasks} {callers} {payload}"))
    }

    /// Does so many tasks, and so many of them at a time.
    ///
    /// # Errors
    ///
    /// If the process cannot be spoken with.
    pub fn work(&mut self, tasks: usize, at_once: usize) -> io::Result<()> {
        self.tell(&format!("process {tasks} {at_once}"))
    }

    fn tell(&mut self, order: &str) -> io::Result<()> {
        writeln!(self.orders, "{order}")?;
        self.answer("done")
    }

    fn answer(&mut self, wanted: &str) -> io::Result<()> {
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        if answer.trim_end() == wanted {
            return Ok(());
        }
        Err(io::Error::other(format!(
            "BullMQ said {answer:?}, not {wanted}"
        )))
    }
}

impl Drop for Bullmq {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
