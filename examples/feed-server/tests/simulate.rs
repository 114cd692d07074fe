//! The load run, from the command line to its chart.

use std::{fs, process::Command};

#[test]
fn a_quick_run_compares_the_policies_in_a_table_and_a_chart() {
    let directory = tempfile::tempdir().unwrap();
    let chart = directory.path().join("chart.svg");
    let output = Command::new(env!("CARGO_BIN_EXE_feed-server"))
        .args(["simulate", "--quick", "--users", "2000", "--chart"])
        .arg(&chart)
        .output()
        .unwrap();
    let (table, errors) = (
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    );
    assert!(output.status.success(), "{errors}");
    assert_eq!(errors, "", "a bar where there is no terminal");
    for row in [
        "push",
        "deliveries/s",
        "page there, p99.9",
        "bytes an entry",
    ] {
        assert!(table.contains(row), "no {row} in:\n{table}");
    }
    assert!(table.contains("1000 viewers were sampled: each sees the same pages under all"));

    let chart = fs::read_to_string(chart).unwrap();
    let chart = roxmltree::Document::parse(&chart).unwrap();
    let named = |name: &str| {
        let nodes = chart.descendants();
        nodes.filter(|node| node.tag_name().name() == name).count()
    };
    assert_eq!(chart.root_element().tag_name().name(), "svg");
    // Two panels of curves: three of reads, two of deliveries, since pull delivers nothing.
    assert_eq!(named("polyline"), 5);
    // The ground, and three bars in each of four panels.
    assert_eq!(named("rect"), 13);
}

#[test]
fn what_cannot_be_simulated_is_refused() {
    for wrong in [
        ["--users", "10"],
        ["--rate", "0"],
        ["--workers", "0"],
        ["--listen", "[::1]:0"],
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_feed-server"))
            .arg("simulate")
            .args(wrong)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
    }
}
