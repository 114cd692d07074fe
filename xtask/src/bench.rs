//! `cargo xtask bench`: runs the benches and keeps what they close with.

use std::{env, fs, path::PathBuf, process::Command, thread};

use crate::{
    Failure, Result,
    command::{capture, cargo, run_and_keep},
    stopwatch::today,
    workspace::Workspace,
};

/// The package of the benches, and the one of the crates they are compared with.
const BENCHES: &str = "bench";
const PEERS: &str = "bench-peers";

/// Runs the benches of these names, or all, and writes the tables they close with to the record of
/// this day and machine.
pub(crate) fn record(workspace: &Workspace, names: &[&str]) -> Result<()> {
    let machine = Machine::this();
    let mut record = Record::open(workspace, &machine)?;
    let circumstances = circumstances(workspace)?;
    for name in selected(workspace, names)? {
        let arguments = ["bench", "-p", BENCHES, "--bench", name];
        let output = run_and_keep(&mut cargo(&arguments))?;
        let command = format!("cargo {}", arguments.join(" "));
        let tables = closing(&output);
        record.set(
            name,
            &format!("`{command}`, {circumstances}\n\n```text\n{tables}\n```"),
        );
        record.save()?;
    }
    println!("wrote {}", record.path.display());
    Ok(())
}

fn selected<'a>(workspace: &'a Workspace, names: &[&str]) -> Result<Vec<&'a str>> {
    let known: Vec<_> = workspace
        .members()
        .filter(|package| package.name == BENCHES)
        .flat_map(|package| package.targets_of("bench"))
        .map(|target| target.name.as_str())
        .collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(name)) {
        let known = known.join(", ");
        return Err(Failure::new(format!(
            "no bench is called {unknown}; there are: {known}"
        )));
    }
    Ok(known
        .into_iter()
        .filter(|name| names.is_empty() || names.contains(name))
        .collect())
}

/// The commit and the versions that figures belong to.
fn circumstances(workspace: &Workspace) -> Result<String> {
    let git = |arguments: &[&str]| {
        capture(
            Command::new("git")
                .current_dir(workspace.root())
                .args(arguments),
        )
    };
    let commit = git(&["rev-parse", "--short", "HEAD"])?;
    let changes = git(&["status", "--porcelain", "--", ".", ":!benches/records"])?;
    let state = if changes.is_empty() {
        ""
    } else {
        " with uncommitted changes"
    };
    let compiler = capture(Command::new("rustc").arg("--version"))?;
    let peers = peers(workspace).join(", ");
    Ok(format!(
        "commit {}{state}, {}.\nPeers: {peers}.",
        commit.trim(),
        compiler.trim()
    ))
}

fn peers(workspace: &Workspace) -> Vec<String> {
    let package = workspace.members().find(|package| package.name == PEERS);
    let dependencies = package
        .into_iter()
        .flat_map(|package| &package.dependencies);
    let names: Vec<_> = dependencies
        .map(|dependency| dependency.name.as_str())
        .collect();
    let peers = workspace
        .strangers()
        .filter(|package| names.contains(&package.name.as_str()));
    peers
        .map(|package| format!("{} {}", package.name, package.version))
        .collect()
}

/// What a bench printed after the last line of criterion's.
fn closing(output: &str) -> String {
    let lines: Vec<_> = output.lines().collect();
    let start = lines
        .iter()
        .rposition(|line| is_criterions(line))
        .map_or(0, |last| last + 1);
    lines[start..].join("\n").trim_matches('\n').to_owned()
}

fn is_criterions(line: &str) -> bool {
    const BEGINNINGS: &[&str] = &["Benchmarking ", "Found ", "Testing ", "Gnuplot not found"];
    const MEASURES: &[&str] = &[" time:   [", "thrpt:  [", "change:", "change: ["];
    const VERDICTS: &[&str] = &[
        "Performance has improved.",
        "Performance has regressed.",
        "No change in performance detected.",
        "Change within noise threshold.",
    ];
    const OUTLIERS: &[&str] = &["low mild", "low severe", "high mild", "high severe"];
    BEGINNINGS
        .iter()
        .any(|beginning| line.starts_with(beginning))
        || MEASURES.iter().any(|measure| line.contains(measure))
        || VERDICTS.contains(&line.trim())
        || OUTLIERS
            .iter()
            .any(|kind| line.ends_with(kind) && line.contains("%)"))
}

/// The machine as a reader of its figures wants to know it.
struct Machine {
    processor: String,
    threads: usize,
}

impl Machine {
    fn this() -> Self {
        let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = processors
            .lines()
            .find(|line| line.starts_with("model name"));
        let model = model
            .and_then(|line| line.split_once(": "))
            .map(|(_, model)| model.trim());
        Self {
            processor: model.unwrap_or(env::consts::ARCH).to_owned(),
            threads: thread::available_parallelism().map_or(1, usize::from),
        }
    }

    /// Its name in a file name.
    fn slug(&self) -> String {
        let text = format!("{} {}-threads", self.processor, self.threads).to_lowercase();
        let words = text.split(|c: char| !c.is_ascii_alphanumeric());
        let words: Vec<_> = words
            .filter(|word| !matches!(*word, "" | "r" | "tm" | "cpu"))
            .collect();
        words.join("-")
    }
}

/// A file of one day and machine with a section a bench.
struct Record {
    path: PathBuf,
    head: String,
    sections: Vec<(String, String)>,
}

impl Record {
    fn open(workspace: &Workspace, machine: &Machine) -> Result<Self> {
        let (date, slug) = (today(), machine.slug());
        let folder = workspace.root().join("benches/records");
        fs::create_dir_all(&folder).map_err(|e| Failure::because(folder.display(), e))?;
        let path = folder.join(format!("{date}-{slug}.md"));
        let Machine { processor, threads } = machine;
        let system = env::consts::OS;
        Ok(Self {
            head: format!("# {date}, {processor}, {threads} hardware threads, {system}\n"),
            sections: sections(&fs::read_to_string(&path).unwrap_or_default()),
            path,
        })
    }

    /// Replaces the section of a bench that ran again.
    fn set(&mut self, bench: &str, text: &str) {
        self.sections.retain(|(name, _)| name != bench);
        self.sections.push((bench.to_owned(), text.to_owned()));
        self.sections.sort();
    }

    fn save(&self) -> Result<()> {
        let sections = self.sections.iter();
        let sections = sections.map(|(bench, section)| format!("\n## {bench}\n\n{section}\n"));
        let text = self.head.clone() + &sections.collect::<String>();
        fs::write(&self.path, text).map_err(|e| Failure::because(self.path.display(), e))
    }
}

fn sections(text: &str) -> Vec<(String, String)> {
    let parts = text
        .split("\n## ")
        .skip(1)
        .filter_map(|part| part.split_once('\n'));
    parts
        .map(|(bench, section)| (bench.to_owned(), section.trim().to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\
     Running benches/ids.rs (target/release/deps/ids-1)
Gnuplot not found, using plotters backend
Benchmarking ids/shared
Benchmarking ids/shared: Analyzing
ids/shared              time:   [7.1 ns 7.2 ns 7.3 ns]
                        change: [-1.0% +0.1% +1.2%] (p = 0.71 > 0.05)
                        No change in performance detected.
Found 5 outliers among 30 measurements (16.67%)
  4 (13.33%) high mild
  1 (3.33%) high severe


ids: CPU ns an id
              ns   bar   met
shared       7.2   9.0   yes

how many times our cost a peer's is
";

    #[test]
    fn the_closing_is_what_follows_criterion() {
        let closing = closing(OUTPUT);
        assert!(closing.starts_with("ids: CPU ns an id\n"), "{closing}");
        assert!(
            closing.ends_with("how many times our cost a peer's is"),
            "{closing}"
        );
    }

    #[test]
    fn a_bench_that_ran_again_replaces_its_section_only() {
        let text = "# head\n\n## hub\n\nold hub\n\n## ids\n\nold ids\n";
        let mut record = Record {
            path: PathBuf::new(),
            head: String::new(),
            sections: sections(text),
        };
        record.set("hub", "new hub");
        let expected = [("hub", "new hub"), ("ids", "old ids")].map(|(b, s)| (b.into(), s.into()));
        assert_eq!(record.sections, expected);
    }

    #[test]
    fn a_machine_s_name_is_a_file_name() {
        let machine = Machine {
            processor: "Intel(R) Xeon(R) CPU @ 2.10GHz".to_owned(),
            threads: 2,
        };
        assert_eq!(machine.slug(), "intel-xeon-2-10ghz-2-threads");
    }
}
