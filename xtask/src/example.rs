//! Whether an example's server starts, answers and stops as every server of this workspace does.

use std::{
    env, fs,
    io::{self, Read},
    path::Path,
    process::{self, Child, Command, Stdio},
};

use engines::Demo;

use crate::{Failure, Result};

/// What every server answers: operators, whoever measures it, and people.
const PATHS: [&str; 3] = ["/healthz", "/metrics", "/"];

/// Starts `program` on a free port, asks for each of [`PATHS`], and ends it by SIGTERM. A program
/// whose `--help` knows no `--listen` is left alone.
pub(crate) fn try_program(program: &Path) -> Result<()> {
    let failed = |e| Failure::because(program.display(), e);
    if !takes_listen(program).map_err(failed)? {
        println!("{} is no server", program.display());
        return Ok(());
    }
    println!("$ {} --listen 127.0.0.1:0", program.display());
    let name = program.file_name().unwrap_or_default().display();
    let data = env::temp_dir().join(format!("{name}-{}", process::id()));
    let outcome = try_server(program, &data);
    let _ = fs::remove_dir_all(&data);
    outcome.map_err(failed)
}

fn takes_listen(program: &Path) -> io::Result<bool> {
    let help = Command::new(program)
        .arg("--help")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut help = Running(help);
    let mut text = String::new();
    if let Some(output) = &mut help.0.stdout {
        output.read_to_string(&mut text)?;
    }
    Ok(text.contains("--listen"))
}

fn try_server(program: &Path, data: &Path) -> io::Result<()> {
    let mut command = Command::new(program);
    command
        .args(["--listen", "127.0.0.1:0", "--data"])
        .arg(data);
    let server = Demo::start(&mut command)?;
    println!("listening on http://{}", server.address());
    for path in PATHS {
        match server.status_of(path)? {
            200 => {}
            other => return Err(io::Error::other(format!("answered {path} with {other}"))),
        }
    }
    let status = server.end_by("TERM")?;
    if status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "did not stop cleanly on SIGTERM ({status})"
    )))
}

/// A process that does not outlive this value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_does_not_serve_is_left_alone() {
        try_program(Path::new("/bin/true")).unwrap();
    }

    #[test]
    fn a_server_that_says_something_else_first_fails() {
        let failure = try_server(Path::new("/bin/echo"), Path::new("data"));
        let failure = failure.unwrap_err().to_string();
        assert!(failure.contains("began with `--listen"), "{failure}");
    }
}
