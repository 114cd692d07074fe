//! The workspace's own tool. `cargo xtask` without arguments says what it does.
#![expect(
    clippy::print_stdout,
    reason = "a command line tool answers on standard output"
)]

mod bench;
mod command;
mod dependencies;
mod engine;
mod example;
mod failure;
mod guarantees;
mod stopwatch;
mod suite;
mod test_run;
mod workspace;

use std::{env, process::ExitCode};

use crate::{
    failure::{Failure, Result},
    workspace::Workspace,
};

const USAGE: &str = "\
usage: cargo xtask COMMAND

  engines [NAME…]       find the engines that the tests need, or those named; install what is missing
  test                  everything that must hold before a change goes in, in order
  bench [NAME…]         run the benches, or those named, and write a record of the run
  guarantees            run the conformance lists and write docs/guarantees.md
  guarantees --check    the same, but fail if the file is not up to date";

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("\n{failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Result<()> {
    match arguments {
        [] | ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            Ok(())
        }
        ["engines", names @ ..] => engine::provide(names),
        ["test"] => suite::pass(&Workspace::read()?),
        ["bench", names @ ..] => bench::record(&Workspace::read()?, names),
        ["guarantees"] => guarantees::write(&Workspace::read()?),
        ["guarantees", "--check"] => guarantees::check(&Workspace::read()?),
        _ => Err(Failure::new(format!(
            "no such command: {}\n\n{USAGE}",
            arguments.join(" ")
        ))),
    }
}
