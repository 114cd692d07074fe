use std::{
    env, fmt, fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use backplane::{Clock, SystemClock, Timestamp};

/// The table that a bench closes with: what each row costs, the bar it is held to, and how the
/// peers of the same run compare.
///
/// A row's figure is the median that criterion found in this run. A row that this run did not
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

    /// Writes the table to standard output.
    ///
    /// # Errors
    ///
    /// If standard output does not take it.
    pub fn print(&self) -> io::Result<()> {
        write!(io::stdout().lock(), "{self}")
    }

    fn measured<'a>(&'a self, rows: &'a [Row]) -> Vec<(&'a Row, f64)> {
        rows.iter()
            .filter_map(|row| Some((row, self.median(row)?)))
            .collect()
    }

    fn median(&self, row: &Row) -> Option<f64> {
        let bench = self.criterion.join(&row.group).join(&row.bench);
        let path = bench.join("new").join("estimates.json");
        if written(&path)? < self.since {
            return None;
        }
        let estimates: serde_json::Value = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
        let nanos = estimates["median"]["point_estimate"].as_f64()?;
        Some(nanos / f64::from(row.items))
    }
}

impl fmt::Display for Bars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rows, peers) = (self.measured(&self.rows), self.measured(&self.peers));
        if rows.is_empty() && peers.is_empty() {
            return Ok(());
        }
        writeln!(f, "\n{}", self.title)?;
        writeln!(f, "{:<24}{:>9}{:>8}{:>6}  cap", "", "ns", "bar", "met")?;
        for (row, nanos) in rows.iter().chain(&peers) {
            writeln!(f, "{}", Line(row, *nanos))?;
        }
        if rows.is_empty() || peers.is_empty() {
            return Ok(());
        }
        writeln!(f, "\nhow many times our cost a peer's is")?;
        write!(f, "{:<24}", "")?;
        for (row, _) in &rows {
            write!(f, "{:>16}", row.bench)?;
        }
        for (peer, theirs) in &peers {
            write!(f, "\n{:<24}", peer.bench)?;
            for (_, ours) in &rows {
                write!(f, "{:>15.2}×", theirs / ours)?;
            }
        }
        writeln!(f)
    }
}

struct Line<'a>(&'a Row, f64);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(row, nanos) = self;
        write!(f, "{:<24}{nanos:>9.2}", row.bench)?;
        match row.bar {
            Some(bar) => {
                let met = if *nanos <= bar { "yes" } else { "NO" };
                write!(f, "{bar:>8.1}{met:>6}")?;
            }
            None => write!(f, "{:>8}{:>6}", "–", "–")?,
        }
        write!(f, "  {}", row.cap.as_deref().unwrap_or("none"))
    }
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
