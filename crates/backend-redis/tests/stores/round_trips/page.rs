//! The table in docs/redis.md: a row for each call, with its round trips and its commands.

use std::{collections::BTreeMap, fmt};

use engines::Traffic;

const PAGE: &str = include_str!("../../../../../docs/redis.md");

const HEADING: &str = "## What calls cost\n";

/// What the name of a call ends with that costs something else on a Cluster, or on a server.
const ENDINGS: [(Place, &str); 2] = [
    (Place::Server, ", on a server"),
    (Place::Cluster, ", on a Cluster"),
];

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Place {
    Server,
    Cluster,
}

/// The text of a row: how many round trips, and which commands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Cost {
    round_trips: String,
    commands: String,
}

impl Cost {
    pub(crate) fn of(traffic: Traffic) -> Self {
        let commands = traffic.commands.into_iter();
        let commands = commands.map(|(name, count)| match count {
            1 => format!("`{name}`"),
            _ => format!("{count} × `{name}`"),
        });
        let commands: Vec<_> = commands.collect();
        Self {
            round_trips: traffic.round_trips.to_string(),
            commands: match &commands[..] {
                [] => "none".to_owned(),
                some => some.join(", "),
            },
        }
    }
}

/// The rows that are missing or wrong for what was counted, and the calls of the page that nobody counted.
pub(crate) fn differences(place: Place, counted: &BTreeMap<String, Cost>) -> Vec<String> {
    let stated = table(place);
    let rows = counted
        .iter()
        .filter(|(call, cost)| stated.get(*call) != Some(cost));
    let wrong = rows.map(|(call, cost)| format!("on a {place}: | {call} {cost}"));
    let uncounted = stated.keys().filter(|call| !counted.contains_key(*call));
    let uncounted = uncounted.map(|call| format!("on a {place}: {call} was not counted"));
    wrong.chain(uncounted).collect()
}

/// What the page says of each call at a place.
fn table(place: Place) -> BTreeMap<String, Cost> {
    let (_, section) = PAGE.split_once(HEADING).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.filter_map(|row| read(row, place)).collect()
}

fn read(row: &str, place: Place) -> Option<(String, Cost)> {
    let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
    let [call, round_trips, commands] = cells[..] else {
        panic!("no row of three cells: {row}");
    };
    let elsewhere = ENDINGS
        .iter()
        .any(|(only, ending)| *only != place && call.ends_with(ending));
    let name = ENDINGS
        .iter()
        .find_map(|(_, ending)| call.strip_suffix(ending));
    let cost = Cost {
        round_trips: round_trips.to_owned(),
        commands: commands.to_owned(),
    };
    (!elsewhere).then(|| (name.unwrap_or(call).to_owned(), cost))
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "| {} | {} |", self.round_trips, self.commands)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Server => "server",
            Self::Cluster => "Cluster",
        })
    }
}
