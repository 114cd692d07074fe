use std::{
    env, fmt, fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use backplane::{Clock, SystemClock, Timestamp};

use crate::Machine;

/// The table that a bench closes with: what each row costs, the bar it is held to, and how the
/// peers of the same run compare.
///
/// A row's figures are the median that criterion found in this run, which the bar is held against,
/// and the least of its samples, which neighbours on the machine disturb least. A row that this run did not
/// measure (a filter left it out, or `--test` ran each bench once) is left out; an empty table
/// prints nothing.
///
/// ```no_run
/// use bench::{Bars, Row};
/// let mut bars = Bars::new("ring: CPU ns a lookup");
/// bars.row(Row::new("ring", "backplane").bar(12.0));
/// bars.peer(Row::new("ring", "hashring"));
/// // … the groups run here …
/// bars.print()?;
/// # Ok::<_, std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Bars {
    title: String,
    rows: Vec<Row>,
    peers: Vec<Row>,
    since: Timestamp,
    criterion: PathBuf,
}

/// One line of the table: a bench of a criterion group.
#[derive(Clone, Debug)]
pub struct Row {
    group: String,
    bench: String,
    items: u32,
    bar: Option<f64>,
    cap: Option<String>,
}

impl Row {
    /// The bench `bench` of the group `group`.
    pub fn new(group: impl Into<String>, bench: impl Into<String>) -> Self {
        Self {
            group: group.into(),
            bench: bench.into(),
            items: 1,
            bar: None,
            cap: None,
        }
    }

    /// One iteration of the bench does `items` items; the figure is per item.
    #[must_use]
    pub const fn items(mut self, items: u32) -> Self {
        self.items = items;
        self
    }

    /// The most CPU nanoseconds an item may cost.
    #[must_use]
    pub const fn bar(mut self, nanos: f64) -> Self {
        self.bar = Some(nanos);
        self
    }

    /// What limits the row however cheap an item is, in words.
    #[must_use]
    pub fn cap(mut self, cap: impl Into<String>) -> Self {
        self.cap = Some(cap.into());
        self
    }
}

impl Bars {
    /// A table of the benches that run from now on.
    pub fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            rows: Vec::new(),
            peers: Vec::new(),
            since: SystemClock::new().now(),
            criterion: criterion_home(),
        }
    }

    /// Adds a row of ours.
    pub fn row(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Adds a row of a peer, to which each of ours is compared.
    pub fn peer(&mut self, row: Row) {
        self.peers.push(row);
    }

    /// Whether this run has measured none of the rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.measured(&self.rows).is_empty() && self.measured(&self.peers).is_empty()
    }

    /// Writes the table to standard output, and how fast the machine is.
    ///
    /// # Errors
    ///
    /// If standard output does not take it.
    pub fn print(&self) -> io::Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        writeln!(io::stdout().lock(), "{self}{}", Machine::measure())
    }

    fn measured<'a>(&'a self, rows: &'a [Row]) -> Vec<Line<'a>> {
        rows.iter().filter_map(|row| self.line(row)).collect()
    }

    fn line<'a>(&self, row: &'a Row) -> Option<Line<'a>> {
        let bench = self.criterion.join(&row.group).join(&row.bench).join("new");
        let estimates = bench.join("estimates.json");
        if written(&estimates)? < self.since {
            return None;
        }
        let items = f64::from(row.items);
        Some(Line {
            row,
            median: json(&estimates)?["median"]["point_estimate"].as_f64()? / items,
            least: least(&json(&bench.join("sample.json"))?)? / items,
        })
    }
}

impl fmt::Display for Bars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rows, peers) = (self.measured(&self.rows), self.measured(&self.peers));
        if rows.is_empty() && peers.is_empty() {
            return Ok(());
        }
        writeln!(f, "\n{}", self.title)?;
        let columns = ["median", "least", "bar", "met"];
        let [median, least, bar, met] = columns;
        writeln!(f, "{:<22}{median:>10}{least:>10}{bar:>8}{met:>6}  cap", "")?;
        for line in rows.iter().chain(&peers) {
            writeln!(f, "{line}")?;
        }
        if rows.is_empty() || peers.is_empty() {
            return Ok(());
        }
        writeln!(f, "\nhow many times our median a peer's is")?;
        write!(f, "{:<22}", "")?;
        for ours in &rows {
            write!(f, "{:>20}", ours.row.bench)?;
        }
        for theirs in &peers {
            write!(f, "\n{:<22}", theirs.row.bench)?;
            for ours in &rows {
                write!(f, "{:>19.2}×", theirs.median / ours.median)?;
            }
        }
        writeln!(f)
    }
}

/// What this run measured of a row, in nanoseconds an item.
struct Line<'a> {
    row: &'a Row,
    median: f64,
    least: f64,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (row, median, least) = (self.row, self.median, self.least);
        write!(f, "{:<22}{median:>10.2}{least:>10.2}", row.bench)?;
        match row.bar {
            Some(bar) => {
                let met = if median <= bar { "yes" } else { "NO" };
                write!(f, "{bar:>8.1}{met:>6}")?;
            }
            None => write!(f, "{:>8}{:>6}", "–", "–")?,
        }
        write!(f, "  {}", row.cap.as_deref().unwrap_or("none"))
    }
}

/// The nanoseconds an iteration of the sample that was disturbed least.
fn least(sample: &serde_json::Value) -> Option<f64> {
    let (iters, times) = (sample["iters"].as_array()?, sample["times"].as_array()?);
    let each = times.iter().zip(iters);
    each.filter_map(|(time, iters)| Some(time.as_f64()? / iters.as_f64()?))
        .min_by(f64::total_cmp)
}

fn json(path: &Path) -> Option<serde_json::Value> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// Where criterion keeps its estimates: beside the profile folder this executable was built into.
fn criterion_home() -> PathBuf {
    if let Some(home) = env::var_os("CRITERION_HOME") {
        return home.into();
    }
    let executable = env::current_exe().unwrap_or_default();
    let target = executable.ancestors().nth(3);
    target
        .unwrap_or_else(|| Path::new("target"))
        .join("criterion")
}

fn written(path: &Path) -> Option<Timestamp> {
    let since = fs::metadata(path)
        .ok()?
        .modified()
        .ok()?
        .duration_since(std::time::UNIX_EPOCH)
        .ok()?;
    Some(Timestamp::EPOCH.saturating_add(since))
}
