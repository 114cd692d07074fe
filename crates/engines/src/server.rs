//! One process of an engine, from its start to its end.

use std::{
    env,
    fs::{self, File},
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{self, Child, Command, Stdio},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use crate::{Engine, Error, Result, error::Cause};

/// Between two looks at a server that does not answer yet.
const PROBE_INTERVAL: Duration = Duration::from_millis(10);

/// Half a minute and more: a cold disk may be slow, and only a broken engine waits for the end.
const PROBES: u32 = 3_000;

/// Another process may take the free port before the server does.
const PORTS: u32 = 5;

const SUPERVISE: &str = include_str!("supervise.sh");

/// The file in a server's directory that holds what it writes to its standard streams.
const LOG: &str = "log";

/// The file that holds the number of its process, which `supervise.sh` writes.
const PROCESS: &str = "pid";

/// How much of the log an error shows.
const LOG_LINES: usize = 20;

/// How one kind of server is started, and how it shows that it answers.
pub(crate) trait Launch {
    /// The row of the catalogue.
    fn engine(&self) -> &'static Engine;

    /// The command that runs `program` in the foreground, listening on `address` alone, with
    /// everything it writes below `directory`.
    fn command(&self, program: &Path, address: SocketAddr, directory: &Path) -> Command;

    /// Whether the server can listen there at all.
    fn suits(&self, _: SocketAddr) -> bool {
        true
    }

    /// Fails unless the server whose directory is `directory` answers on `address`.
    fn probe(&self, address: SocketAddr, directory: &Path) -> io::Result<()>;
}

/// A server that runs as long as this value lives, under a shell that outlives neither of them;
/// see `supervise.sh`.
#[derive(Debug)]
pub(crate) struct Server {
    engine: &'static Engine,
    supervisor: Mutex<Child>,
    directory: PathBuf,
    address: SocketAddr,
}

/// What can be done to a process that does not ask.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Blow {
    Kill,
    Pause,
    Resume,
}

impl Server {
    /// Starts a server and waits until it answers.
    pub(crate) fn start<L: Launch>(launch: &L) -> Result<Self> {
        let program = launch.engine().locate()?;
        let mut ports = 1..=PORTS;
        loop {
            ports.next();
            match Self::try_start(launch, &program) {
                Err(Cause::Exited { .. }) if !ports.is_empty() => {}
                outcome => return outcome.map_err(|cause| Error::new(launch.engine(), cause)),
            }
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) const fn engine(&self) -> &'static Engine {
        self.engine
    }

    /// Where it keeps all that it writes.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Does something to the server's process. One that was killed is dead when this returns.
    pub(crate) fn suffer(&self, blow: Blow) -> Result<()> {
        let struck = self.strike(blow);
        struck.map_err(|e| Error::new(self.engine, Cause::Io("signal it", e)))
    }

    fn strike(&self, blow: Blow) -> io::Result<()> {
        let signal = match blow {
            Blow::Kill => "-KILL",
            Blow::Pause => "-STOP",
            Blow::Resume => "-CONT",
        };
        let mut supervisor = self.supervisor();
        if let Some(status) = supervisor.try_wait()? {
            return Err(io::Error::other(format!("it has ended ({status})")));
        }
        let process = fs::read_to_string(self.directory.join(PROCESS))?;
        let sent = Command::new("kill")
            .args([signal, process.trim()])
            .status()?;
        if !sent.success() {
            return Err(io::Error::other(format!("kill {signal}: {sent}")));
        }
        if let Blow::Kill = blow {
            // To wait closes its input, at which the shell would remove the directory.
            let input = supervisor.stdin.take();
            supervisor.wait()?;
            drop(input);
        }
        Ok(())
    }

    /// Starts the server again on the same address and in the same directory, once it is dead.
    pub(crate) fn restart<L: Launch>(&self, launch: &L) -> Result<()> {
        let program = self.engine.locate()?;
        let again = || {
            if self.strike(Blow::Kill).is_err() {
                // It was killed before.
                self.supervisor()
                    .wait()
                    .map_err(|e| Cause::Io("end it", e))?;
            }
            let command = launch.command(&program, self.address, &self.directory);
            let supervisor = supervise(&command, &self.directory);
            *self.supervisor() =
                supervisor.map_err(|e| Cause::Io("start a shell to watch it", e))?;
            self.wait_until_it_answers(launch)
        };
        again().map_err(|cause| Error::new(self.engine, cause))
    }

    fn try_start<L: Launch>(launch: &L, program: &Path) -> Result<Self, Cause> {
        let address = loop {
            let free = free_address().map_err(|e| Cause::Io("find a free port", e))?;
            if launch.suits(free) {
                break free;
            }
        };
        let directory = fresh_directory().map_err(|e| Cause::Io("make its directory", e))?;
        let command = launch.command(program, address, &directory);
        let supervisor = supervise(&command, &directory)
            .map_err(|e| Cause::Io("start a shell to watch it", e))?;
        let server = Self {
            engine: launch.engine(),
            supervisor: Mutex::new(supervisor),
            directory,
            address,
        };
        server.wait_until_it_answers(launch)?;
        Ok(server)
    }

    fn supervisor(&self) -> MutexGuard<'_, Child> {
        self.supervisor
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_until_it_answers<L: Launch>(&self, launch: &L) -> Result<(), Cause> {
        for _ in 0..PROBES {
            if launch.probe(self.address, &self.directory).is_ok() {
                return Ok(());
            }
            if let Ok(Some(status)) = self.supervisor().try_wait() {
                let log = self.end_of_log();
                return Err(Cause::Exited { status, log });
            }
            thread::sleep(PROBE_INTERVAL);
        }
        let log = self.end_of_log();
        Err(Cause::Silent { log })
    }

    fn end_of_log(&self) -> String {
        let text = fs::read(self.directory.join(LOG)).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let mut supervisor = self.supervisor();
        drop(supervisor.stdin.take());
        // No test could mend a failure of these, and a panic in a panic would abort.
        let _ = supervisor.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Runs a command under the shell, with its directory for all that it writes.
fn supervise(command: &Command, directory: &Path) -> io::Result<Child> {
    let log = File::create(directory.join(LOG))?;
    Command::new("/bin/sh")
        .args(["-c", SUPERVISE, "supervise.sh"])
        .arg(directory)
        .arg(command.get_program())
        .args(command.get_args())
        .current_dir(directory)
        // Ctrl-C ends the test process, and by that the server: not both at once.
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
}

/// A port that was free a moment ago.
fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

pub(crate) fn fresh_directory() -> io::Result<PathBuf> {
    static STARTED: AtomicU64 = AtomicU64::new(0);
    loop {
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("engine-{}-{number}", process::id()));
        match fs::create_dir(&path) {
            // A process of the same number was here before and could not clean up.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            outcome => return outcome.and_then(|()| path.canonicalize()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHELL: Engine = Engine {
        name: "script",
        purpose: "the tests of this file",
        programs: &["sh"],
        variable: "ENGINES_TEST_SHELL",
        package: crate::catalogue::Package::Apt("dash"),
        without_package: None,
        need: crate::catalogue::Need::Required,
    };

    /// A "server" that is a line of shell, and answers once it has made a file.
    struct Script(&'static str);

    impl Launch for Script {
        fn engine(&self) -> &'static Engine {
            &SHELL
        }

        fn command(&self, program: &Path, _: SocketAddr, _: &Path) -> Command {
            let mut command = Command::new(program);
            command.args(["-c", self.0]);
            command
        }

        fn probe(&self, _: SocketAddr, directory: &Path) -> io::Result<()> {
            fs::metadata(directory.join("ready")).map(drop)
        }
    }

    #[test]
    fn a_server_that_ends_early_is_reported_with_its_log() {
        let error = Server::start(&Script("echo no room on the disk; exit 3")).unwrap_err();
        let message = error.to_string();
        assert!(message.contains("no room on the disk"), "{message}");
        assert!(message.contains("exit status: 3"), "{message}");
        assert!(!error.is_missing());
    }

    #[test]
    fn drop_returns_after_the_server_and_its_directory_are_gone() {
        let server = Server::start(&Script("echo $$ >ready; exec tail -f /dev/null")).unwrap();
        let directory = server.directory.clone();
        let id = fs::read_to_string(directory.join("ready")).unwrap();
        assert!(runs(id.trim()), "the test looks at the right process");
        drop(server);
        assert!(!runs(id.trim()));
        assert!(!directory.exists());
    }

    #[test]
    fn a_failed_start_leaves_no_directory() {
        let error = Server::start(&Script("pwd; exit 1")).unwrap_err();
        let message = error.to_string();
        let directory = Path::new(message.lines().last().unwrap());
        assert!(directory.is_absolute(), "{message}");
        assert!(!directory.exists(), "{message}");
    }

    fn runs(id: &str) -> bool {
        let probe = Command::new("kill")
            .args(["-0", id])
            .stderr(Stdio::null())
            .status();
        probe.unwrap().success()
    }
}
