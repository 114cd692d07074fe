//! A run of cargo's tests, and which test of which package ended how.

use std::{collections::HashMap, env, num::NonZero, process::Command, thread};

use serde::Deserialize;

use crate::{
    Result,
    command::{capture, cargo, run_and_keep},
    workspace::Workspace,
};

/// The arguments that every test step shares, so that cargo compiles one set of features.
pub(crate) const EVERYTHING: &[&str] = &["test", "--workspace", "--all-features"];

/// What the path of each case of a conformance list has in it, and of no other test.
const CASE: &str = "_conformance::";

/// How many cases of conformance lists are run at a time, on a machine with no more processors than that.
/// Most of the time they wait, for times to pass or for an engine.
const CASES_AT_ONCE: usize = 4;

/// The environment variable that says how many tests are run at a time.
const AT_ONCE: &str = "RUST_TEST_THREADS";

/// A test that passed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Passed {
    pub(crate) package: String,
    /// Whether it is a test below `tests/`, as opposed to one inside the library.
    pub(crate) is_integration: bool,
    /// Its modules and its name.
    pub(crate) path: String,
}

/// A test executable that cargo has built.
#[derive(Clone, Debug)]
struct Executable {
    package: String,
    is_integration: bool,
}

/// The test executables by file name.
#[derive(Debug)]
pub(crate) struct Executables(HashMap<String, Executable>);

impl Executables {
    /// Builds the tests of the whole workspace.
    pub(crate) fn build(workspace: &Workspace) -> Result<Self> {
        let format = ["--no-run", "--message-format", "json-render-diagnostics"];
        println!("$ cargo {} --no-run", EVERYTHING.join(" "));
        let messages = capture(cargo(EVERYTHING).args(format))?;
        let packages = workspace
            .members()
            .map(|package| (package.id.as_str(), &*package.name));
        Ok(Self::parse(&messages, &packages.collect()))
    }

    fn parse(messages: &str, packages: &HashMap<&str, &str>) -> Self {
        let artifacts = messages
            .lines()
            .filter_map(|line| serde_json::from_str::<Artifact>(line).ok());
        let tests = artifacts.filter(|artifact| artifact.profile.test);
        let executables = tests.filter_map(|artifact| {
            let path = artifact.executable?;
            let executable = Executable {
                package: (*packages.get(artifact.package_id.as_str())?).to_owned(),
                is_integration: artifact.target.kind.iter().any(|kind| kind == "test"),
            };
            Some((file_name(&path).to_owned(), executable))
        });
        Self(executables.collect())
    }

    /// Runs the conformance lists, and returns the cases that passed.
    pub(crate) fn run_lists(&self) -> Result<Vec<Passed>> {
        let mut command = cargo(EVERYTHING);
        command.args(["--tests", CASE]);
        if env::var_os(AT_ONCE).is_none() {
            let processors = thread::available_parallelism().map_or(1, NonZero::get);
            command.env(AT_ONCE, processors.max(CASES_AT_ONCE).to_string());
        }
        self.run(&mut command)
    }

    /// Runs all other tests, and returns those that passed.
    pub(crate) fn run_others(&self) -> Result<Vec<Passed>> {
        self.run(cargo(EVERYTHING).args(["--", "--skip", CASE]))
    }

    fn run(&self, command: &mut Command) -> Result<Vec<Passed>> {
        let output = run_and_keep(command)?;
        Ok(self.passed(&output))
    }

    fn passed(&self, output: &str) -> Vec<Passed> {
        let mut running = None;
        let mut passed = Vec::new();
        for line in output.lines() {
            if let Some(name) = started(line) {
                running = self.0.get(name);
            } else if line.trim_start().starts_with("Doc-tests ") {
                running = None;
            } else if let (Some(executable), Some(path)) = (running, passed_path(line)) {
                passed.push(Passed {
                    package: executable.package.clone(),
                    is_integration: executable.is_integration,
                    path: path.to_owned(),
                });
            }
        }
        passed
    }
}

/// The part of cargo's message about something built that is read here.
#[derive(Debug, Deserialize)]
struct Artifact {
    package_id: String,
    executable: Option<String>,
    profile: Profile,
    target: Target,
}

#[derive(Debug, Deserialize)]
struct Profile {
    test: bool,
}

#[derive(Debug, Deserialize)]
struct Target {
    kind: Vec<String>,
}

/// The executable in `Running unittests src/lib.rs (target/debug/deps/backplane-0123456789abcdef)`.
fn started(line: &str) -> Option<&str> {
    let line = line.trim_start().strip_prefix("Running ")?;
    let (_, path) = line.trim_end().strip_suffix(')')?.rsplit_once('(')?;
    Some(file_name(path))
}

/// The path in `test path::to::test ... ok`.
fn passed_path(line: &str) -> Option<&str> {
    line.strip_prefix("test ")?.strip_suffix(" ... ok")
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGES: &str = r#"{"reason":"compiler-artifact","package_id":"path+file:///w/a#0.1.0","target":{"kind":["lib"],"name":"a"},"profile":{"test":true},"executable":"/t/debug/deps/a-1"}
{"reason":"compiler-artifact","package_id":"path+file:///w/a#0.1.0","target":{"kind":["lib"],"name":"a"},"profile":{"test":false},"executable":null}
{"reason":"compiler-artifact","package_id":"path+file:///w/b#0.1.0","target":{"kind":["test"],"name":"conformance"},"profile":{"test":true},"executable":"/t/debug/deps/conformance-2"}
{"reason":"build-finished","success":true}
"#;

    const OUTPUT: &str = "\
   Compiling a v0.1.0
     Running unittests src/lib.rs (target/debug/deps/a-1)

running 3 tests
test one::tests::passes ... ok
test one::tests::fails ... FAILED
test one::tests::is_slow ... ignored

test result: FAILED. 1 passed; 1 failed
     Running tests/conformance.rs (/elsewhere/debug/deps/conformance-2)
test queue_conformance::case ... ok
     Running tests/unknown.rs (target/debug/deps/unknown-3)
test nobody::knows ... ok
   Doc-tests a
test src/lib.rs - (line 4) ... ok
";

    #[test]
    fn a_test_belongs_to_the_package_whose_executable_ran_last() {
        let packages = [
            ("path+file:///w/a#0.1.0", "a"),
            ("path+file:///w/b#0.1.0", "backend-b"),
        ];
        let executables = Executables::parse(MESSAGES, &HashMap::from(packages));
        let passed = executables.passed(OUTPUT);
        let expected = [
            ("a", false, "one::tests::passes"),
            ("backend-b", true, "queue_conformance::case"),
        ];
        let found: Vec<_> = passed
            .iter()
            .map(|p| (&*p.package, p.is_integration, &*p.path))
            .collect();
        assert_eq!(found, expected);
    }
}
