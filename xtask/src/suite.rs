//! `cargo xtask test`: everything that must hold before a change goes in.

use std::{process::Command, time::Duration};

use crate::{
    Result,
    command::{cargo, run},
    dependencies, engine, example, guarantees,
    stopwatch::Stopwatch,
    test_run::{EVERYTHING, Executables, Passed},
    workspace::{Package, Workspace},
};

/// One thing that must hold.
struct Step {
    name: &'static str,
    run: fn(&mut Suite<'_>) -> Result<Outcome>,
    /// What to do when it does not.
    advice: &'static str,
}

/// How a step ended that did not fail.
enum Outcome {
    Holds,
    /// There is nothing to look at, for this reason.
    Skipped(&'static str),
}

const STEPS: &[Step] = &[
    Step {
        name: "engines",
        run: |_| engine::provide(&[]).map(|()| Outcome::Holds),
        advice: "run `cargo xtask engines`",
    },
    Step {
        name: "format",
        run: |_| holds(&mut cargo(&["fmt", "--all", "--check"])),
        advice: "run `cargo fmt --all`",
    },
    Step {
        name: "lints",
        run: |_| holds(&mut lint()),
        advice: "mend what clippy names; relax a lint only with #[expect(…, reason = \"…\")]",
    },
    Step {
        name: "compile tests",
        run: |suite| suite.compile_tests(),
        advice: "mend what the compiler names",
    },
    Step {
        name: "tests",
        run: |suite| suite.run_tests(),
        advice: "run the failed test alone by the command above its output",
    },
    Step {
        name: "few features",
        run: |suite| suite.lint_few_features(),
        advice: "put what needs the feature behind #[cfg(feature = \"…\")]",
    },
    Step {
        name: "models",
        run: |suite| suite.run_models(),
        advice: "the schedule that fails is printed above; it is a bug also if it is rare",
    },
    Step {
        name: "documentation",
        run: |_| holds(&mut document()),
        advice: "mend what rustdoc names",
    },
    Step {
        name: "dependencies",
        run: |suite| dependencies::check(suite.workspace).map(|()| Outcome::Holds),
        advice: "see deny.toml",
    },
    Step {
        name: "benches",
        run: |suite| suite.try_benches(),
        advice: "a bench asserts its result: run it alone with `-- --test`",
    },
    Step {
        name: "guarantees",
        run: |suite| {
            guarantees::check_against(suite.workspace, &suite.passed).map(|()| Outcome::Holds)
        },
        advice: "see the message",
    },
    Step {
        name: "examples",
        run: |suite| suite.try_examples(),
        advice: "start it by hand with `--listen 127.0.0.1:0`",
    },
];

/// What the steps share.
struct Suite<'a> {
    workspace: &'a Workspace,
    executables: Option<Executables>,
    passed: Vec<Passed>,
}

/// Runs the steps in order and stops at the first that fails.
pub(crate) fn pass(workspace: &Workspace) -> Result<()> {
    let mut suite = Suite {
        workspace,
        executables: None,
        passed: Vec::new(),
    };
    let mut times = Vec::new();
    for (number, step) in STEPS.iter().enumerate() {
        println!("\n== {} ({} of {})", step.name, number + 1, STEPS.len());
        let stopwatch = Stopwatch::start();
        let outcome = (step.run)(&mut suite);
        times.push((step.name, stopwatch.elapsed(), as_words(&outcome)));
        if let Err(failure) = outcome {
            print_times(&times);
            return Err(failure.advise(step.advice));
        }
    }
    print_times(&times);
    Ok(())
}

impl Suite<'_> {
    fn compile_tests(&mut self) -> Result<Outcome> {
        self.executables = Some(Executables::build(self.workspace)?);
        Ok(Outcome::Holds)
    }

    fn run_tests(&mut self) -> Result<Outcome> {
        let Some(executables) = &self.executables else {
            return Ok(Outcome::Skipped("not compiled"));
        };
        self.passed = executables.run_lists()?;
        self.passed.extend(executables.run_others()?);
        Ok(Outcome::Holds)
    }

    /// A feature that is switched on elsewhere hides what is missing without it.
    fn lint_few_features(&mut self) -> Result<Outcome> {
        let libraries = || self.workspace.members_in("crates");
        for package in libraries().filter(|package| is_core(package)) {
            let check = ["check", "-p", &package.name, "--no-default-features"];
            run(&mut cargo(&check))?;
        }
        for package in libraries().filter(|package| is_backend(package)) {
            for feature in package.parts() {
                run(&mut lint_with(package, feature))?;
            }
        }
        Ok(Outcome::Holds)
    }

    /// The test targets named `loom…` and `shuttle…`, which are empty without that cfg.
    fn run_models(&mut self) -> Result<Outcome> {
        let mut found = false;
        for model in ["loom", "shuttle"] {
            for package in self.workspace.members() {
                let targets = package
                    .targets_of("test")
                    .filter(|t| t.name.starts_with(model));
                for target in targets {
                    found = true;
                    run(&mut self.model_test(model, package, &target.name))?;
                }
            }
        }
        Ok(if found {
            Outcome::Holds
        } else {
            Outcome::Skipped("no tests/loom*.rs, tests/shuttle*.rs")
        })
    }

    fn model_test(&self, model: &str, package: &Package, target: &str) -> Command {
        let arguments = [
            "test",
            "-p",
            &package.name,
            "--all-features",
            "--release",
            "--test",
            target,
        ];
        let mut command = cargo(&arguments);
        command
            .env("RUSTFLAGS", format!("--cfg {model}"))
            // Other flags mean other artifacts: kept apart, neither build undoes the other.
            .env(
                "CARGO_TARGET_DIR",
                self.workspace.target_directory().join(model),
            )
            .env("CARGO_PROFILE_RELEASE_LTO", "off");
        command
    }

    fn try_benches(&mut self) -> Result<Outcome> {
        if self
            .workspace
            .members()
            .all(|package| package.targets_of("bench").next().is_none())
        {
            return Ok(Outcome::Skipped("no benches"));
        }
        holds(cargo(EVERYTHING).args(["--bench", "*", "--", "--test"]))
    }

    fn try_examples(&mut self) -> Result<Outcome> {
        let programs: Vec<_> = self
            .workspace
            .members_in("examples")
            .flat_map(|package| package.targets_of("bin"))
            .map(|target| target.name.as_str())
            .collect();
        if programs.is_empty() {
            return Ok(Outcome::Skipped("no examples"));
        }
        run(&mut cargo(&[
            "build",
            "--workspace",
            "--all-features",
            "--bins",
        ]))?;
        for name in programs {
            example::try_program(&self.workspace.target_directory().join("debug").join(name))?;
        }
        Ok(Outcome::Holds)
    }
}

fn holds(command: &mut Command) -> Result<Outcome> {
    run(command).map(|()| Outcome::Holds)
}

fn lint() -> Command {
    let arguments = ["clippy", "--workspace", "--all-targets", "--all-features"];
    let mut command = cargo(&arguments);
    command.args(["--", "-D", "warnings"]);
    command
}

fn lint_with(package: &Package, feature: &str) -> Command {
    let mut command = cargo(&["clippy", "-p", &package.name, "--all-targets"]);
    command.args(["--no-default-features", "--features", feature]);
    command.args(["--", "-D", "warnings"]);
    command
}

fn document() -> Command {
    let mut command = cargo(&["doc", "--workspace", "--all-features", "--no-deps"]);
    command.env("RUSTDOCFLAGS", "-D warnings");
    command
}

fn is_core(package: &Package) -> bool {
    package.name == "backplane" || package.name.ends_with("-core")
}

fn is_backend(package: &Package) -> bool {
    package.name.starts_with("backend-")
}

fn as_words(outcome: &Result<Outcome>) -> String {
    match outcome {
        Ok(Outcome::Holds) => "holds".to_owned(),
        Ok(Outcome::Skipped(reason)) => format!("skipped: {reason}"),
        Err(_) => "FAILED".to_owned(),
    }
}

fn print_times(times: &[(&str, Duration, String)]) {
    println!();
    for (name, time, outcome) in times {
        println!("{name:<14} {:>7.1} s  {outcome}", time.as_secs_f64());
    }
    let total: Duration = times.iter().map(|(_, time, _)| *time).sum();
    println!("{:<14} {:>7.1} s", "together", total.as_secs_f64());
}
