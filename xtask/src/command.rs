//! Other programs: shown before they run, without standard input, and stopped at if they fail.

use std::{
    env,
    ffi::OsString,
    io::{self, BufRead, BufReader},
    process::{Command, Output, Stdio},
};

use crate::{Failure, Result};

/// A call of the cargo that runs this tool.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(cargo);
    command.args(arguments);
    command
}

/// Runs `command` with its output in view.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    println!("$ {}", shown(command));
    let status = command.stdin(Stdio::null()).status();
    let status = status.map_err(|e| Failure::because(shown(command), e))?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "`{}` failed ({status})",
        shown(command)
    )))
}

/// Runs `command` silently and returns what it wrote to standard output.
pub(crate) fn capture(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output();
    let Output { status, stdout, .. } = output.map_err(|e| Failure::because(shown(command), e))?;
    if status.success() {
        return Ok(String::from_utf8_lossy(&stdout).into_owned());
    }
    Err(Failure::new(format!(
        "`{}` failed ({status})",
        shown(command)
    )))
}

/// Runs `command` with its output in view and returns it too, both streams in the order they were
/// written.
pub(crate) fn run_and_keep(command: &mut Command) -> Result<String> {
    println!("$ {}", shown(command));
    let failed = |e: io::Error| Failure::because("run a command", e);
    let (reader, writer) = io::pipe().map_err(failed)?;
    command
        .stdin(Stdio::null())
        .stdout(writer.try_clone().map_err(failed)?)
        .stderr(writer);
    let line = shown(command);
    let mut child = command.spawn().map_err(|e| Failure::because(&line, e))?;
    // The command holds the writing end, and the loop below ends when nobody does.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut kept = String::new();
    for line in BufReader::new(reader).split(b'\n') {
        let line = line.map_err(failed)?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        kept.push_str(&line);
        kept.push('\n');
    }
    let status = child.wait().map_err(failed)?;
    if status.success() {
        return Ok(kept);
    }
    Err(Failure::new(format!("`{line}` failed ({status})")))
}

/// Whether `program` is in the search path.
pub(crate) fn is_installed(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

/// The command line as a person would type it.
fn shown(command: &Command) -> String {
    let mut words: Vec<_> = command
        .get_envs()
        .filter_map(|(name, value)| Some((name, value?)))
        .map(|(name, value)| quoted(&format!("{}={}", name.display(), value.display())))
        .collect();
    let program = command.get_program().to_string_lossy();
    words.push(program.rsplit('/').next().unwrap_or(&program).to_owned());
    words.extend(
        command
            .get_args()
            .map(|argument| quoted(&argument.to_string_lossy())),
    );
    words.join(" ")
}

fn quoted(word: &str) -> String {
    if word.contains([' ', '*', '$', '"']) {
        format!("'{word}'")
    } else {
        word.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn both_streams_are_kept_in_order() {
        let kept = run_and_keep(&mut shell("echo one; echo two >&2; echo three")).unwrap();
        assert_eq!(kept, "one\ntwo\nthree\n");
    }

    #[test]
    fn a_failed_command_is_named_with_its_status() {
        let failure = run(&mut shell("exit 7")).unwrap_err().to_string();
        assert!(failure.contains("sh -c 'exit 7'"), "{failure}");
        assert!(failure.contains("exit status: 7"), "{failure}");
    }

    #[test]
    fn no_command_reads_standard_input() {
        assert_eq!(capture(&mut shell("cat; echo end")).unwrap(), "end\n");
    }
}
